package broker

import (
	"errors"
	"fmt"
)

// Check compares the broker's numbers with what they count. It is for tests, of a broker that
// nobody uses meanwhile.
func (b *Broker) Check() error {
	var errs []error
	count, subscriptions, waiting := 0, 0, 0
	for i := range b.registry.shards {
		sh := &b.registry.shards[i]
		sh.mu.Lock()
		for id, s := range sh.sessions {
			s.mu.Lock()
			count++
			subscriptions += len(s.Subscriptions())
			if s.will != nil && s.owner == nil {
				waiting++
			}
			if s.Ended() || s.ClientID != id {
				errs = append(errs, fmt.Errorf("session %q of %q is in the registry, ended %t", s.ClientID, id, s.Ended()))
			}
			if c := s.client.Load(); c != nil && c != s.owner {
				errs = append(errs, fmt.Errorf("session %q has a client that is not its owner", id))
			}
			s.mu.Unlock()
		}
		sh.mu.Unlock()
	}
	differ := func(what string, n, real int) {
		if n != real {
			errs = append(errs, fmt.Errorf("%s: counted %d, there are %d", what, n, real))
		}
	}
	differ("sessions", int(b.registry.count.Load()), count)
	differ("subscriptions", b.tree.Len(), subscriptions)
	differ("wills that wait", b.wills.len(), waiting)
	return errors.Join(errs...)
}
