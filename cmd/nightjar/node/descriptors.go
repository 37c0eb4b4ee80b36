package node

import (
	"context"
	"log/slog"

	"nightjar/broker"
)

// descriptorsReserved are the open files that are not connections: the store, listeners, loops, logs.
const descriptorsReserved = 64

// fitDescriptors lowers the limit of connections to what the system lets this process open. Go raises the soft limit
// of open files to the hard one when the program starts. Where the limit was not chosen this is as it should be.
func (n *Node) fitDescriptors() {
	open, configured := openFilesMax(), n.cfg.Limits.Connections
	most := open - descriptorsReserved
	if configured <= most || most < 1 {
		return
	}
	level := slog.LevelWarn
	if configured == broker.DefaultLimits().Connections {
		level = slog.LevelDebug
	}
	n.log.Log(context.Background(), level, "connections limited by the number of open files", "connections", most,
		"configured", configured, "open_files", open, "hint", "raise LimitNOFILE of the systemd unit, or ulimit -n")
	n.cfg.Limits.Connections = most
}
