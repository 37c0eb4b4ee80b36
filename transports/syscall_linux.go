//go:build linux

package transports

import (
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls below are the hot path's. The descriptors do not block, so they skip the
// bookkeeping with which the Go scheduler prepares for calls that do.

func readNow(fd int, b []byte) (int, error) {
	n, _, e := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	if e != 0 {
		return -1, unix.Errno(e)
	}
	return int(n), nil
}

func writeNow(fd int, b []byte) (int, error) {
	n, _, e := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	if e != 0 {
		return -1, unix.Errno(e)
	}
	return int(n), nil
}

// epollNow is epoll_wait that returns at once.
func epollNow(epfd int, events []unix.EpollEvent) int {
	n, _, e := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(epfd),
		uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), 0, 0, 0)
	if e != 0 {
		return 0
	}
	return int(n)
}

// socketPeer asks the kernel for the peer's address: a connection does not store it.
func (c *Conn) socketPeer() netip.AddrPort {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd < 0 {
		return netip.AddrPort{}
	}
	sa, err := unix.Getpeername(int(c.fd))
	if err != nil {
		return netip.AddrPort{}
	}
	return addrPort(sa)
}

func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch a := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port))
	}
	return netip.AddrPort{}
}

// listenControl sets what accepted sockets inherit from a listening one, whoever accepts.
func listenControl(cfg ListenerConfig) func(network, address string, rc syscall.RawConn) error {
	idle := int(cfg.keepAlive().Seconds())
	options := []struct{ level, name, value int }{{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1}}
	if idle > 0 {
		options = append(options, []struct{ level, name, value int }{
			{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
			{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, idle},
			{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, max(idle/6, 1)},
			{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 6},
			{unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 2 * idle * 1000},
		}...)
	}
	return func(_, _ string, rc syscall.RawConn) error {
		var err error
		if ctlErr := rc.Control(func(fd uintptr) {
			for _, o := range options {
				if err == nil {
					err = unix.SetsockoptInt(int(fd), o.level, o.name, o.value)
				}
			}
		}); ctlErr != nil {
			return ctlErr
		}
		return err
	}
}
