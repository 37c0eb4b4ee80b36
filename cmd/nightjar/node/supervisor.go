package node

import (
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// notify tells systemd, if it has started this process, what the Node does.
func (n *Node) notify(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		n.log.Warn("cannot tell systemd", "state", state, "error", err)
	}
}

// NotifyReady tells systemd that clients are served; also after a reload.
func (n *Node) NotifyReady() { n.notify(daemon.SdNotifyReady) }

// NotifyReloading tells systemd that files are read again.
func (n *Node) NotifyReloading() { n.notify(daemon.SdNotifyReloading) }

// NotifyStopping tells systemd that the Node ends.
func (n *Node) NotifyStopping() { n.notify(daemon.SdNotifyStopping) }

// startWatchdog tells systemd that the broker is well, as long as it is, in half of the time it asks for.
func (n *Node) startWatchdog() {
	every, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		n.log.Warn("cannot tell systemd's watchdog", "error", err)
	}
	if every > 0 {
		n.tasks.start(func() { n.watchdog(every / 2) })
	}
}

func (n *Node) watchdog(every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-n.done:
			return
		case <-tick.C:
			if n.broker.Ready() == nil {
				n.notify(daemon.SdNotifyWatchdog)
			}
		}
	}
}
