package node

import (
	"errors"
	"fmt"

	"nightjar/transports"
)

// loadTLS reads the certificate files of all listeners that have some.
func (n *Node) loadTLS() error {
	var errs []error
	for i := range n.cfg.Listeners {
		ln := &n.cfg.Listeners[i]
		files, secure := ln.TLSFiles()
		if !secure {
			continue
		}
		t, err := transports.LoadTLS(files)
		if err != nil {
			errs = append(errs, fmt.Errorf("listener %q: %w", ln.Name, err))
			continue
		}
		n.tls = append(n.tls, namedTLS{ln.Name, t})
	}
	return errors.Join(errs...)
}

// Reload reads users, rules and certificates again. What does not load stays as it was, and is an error; the
// rest counts from now on. Nobody is disconnected.
func (n *Node) Reload() error {
	var errs []error
	if err := n.auth.Reload(); err != nil {
		errs = append(errs, fmt.Errorf("users and rules stay as they were: %w", err))
	} else {
		n.logWarnings()
	}
	for _, t := range n.tls {
		if err := t.Reload(); err != nil {
			errs = append(errs, fmt.Errorf("certificates of listener %q stay as they were: %w", t.listener, err))
		}
	}
	return errors.Join(errs...)
}

func (n *Node) logWarnings() {
	for _, text := range n.auth.Warnings() {
		n.log.Warn("check the files of users and rules", "warning", text)
	}
}
