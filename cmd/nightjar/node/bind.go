package node

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"strings"
	"syscall"
)

// explainBind adds what to do about a listener that cannot be bound.
func explainBind(err error, configured string) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("cannot listen on %s: %w; another program has that port, perhaps another broker: stop it, "+
			"or choose another port (--listen, --admin, or url in the configuration)", configured, err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("cannot listen on %s: %w; ports below 1024 and folders of others need rights that this user has not", configured, err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("cannot listen on %s: %w; this machine has no such address", configured, err)
	}
	return fmt.Errorf("cannot listen on %s: %w", configured, err)
}

// boundURL is the configured URL with the port that was bound in place of 0 or of none.
func boundURL(configured string, addr net.Addr) string {
	u, err := url.Parse(configured)
	tcp, is := addr.(*net.TCPAddr)
	if err != nil || !is {
		return configured
	}
	u.Host = net.JoinHostPort(u.Hostname(), fmt.Sprint(tcp.Port))
	if strings.HasPrefix(u.Scheme, "ws") && strings.Trim(u.Path, "/") == "" {
		u.Path = "/mqtt"
	}
	return u.String()
}
