package node

// descriptorsReserved are the open files that are not connections: the store, listeners, loops, logs.
const descriptorsReserved = 64

// fitDescriptors lowers the limit of connections to what the system lets this process open. Go raises the soft limit
// of open files to the hard one when the program starts.
func (n *Node) fitDescriptors() {
	open := openFilesMax()
	most := open - descriptorsReserved
	if n.cfg.Limits.Connections <= most || most < 1 {
		return
	}
	n.log.Info("connections limited by the number of open files", "connections", most, "open_files", open,
		"configured", n.cfg.Limits.Connections, "hint", "raise LimitNOFILE of the unit, or ulimit -n")
	n.cfg.Limits.Connections = most
}
