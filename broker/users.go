package broker

import (
	"sync"

	"nightjar/packets"
)

// users counts what each user keeps in the broker. Anonymous clients are not one user.
type users struct {
	mu     sync.Mutex
	counts map[string]*userCount // guarded by mu
}

type userCount struct{ sessions, retained int }

func (u *users) init() { u.counts = map[string]*userCount{} }

// addSession counts a session, unless the user has as many as most.
func (u *users) addSession(name string, most int) bool {
	if name == "" {
		return true
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	n := u.get(name)
	if n.sessions >= most {
		return false
	}
	n.sessions++
	return true
}

func (u *users) removeSession(name string) { u.change(name, -1, 0) }

// mayRetain tells whether a user may have one more retained message.
func (u *users) mayRetain(name string, most int) bool {
	if name == "" {
		return true
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.get(name).retained < most
}

// moveRetained moves a topic from one retained message to another; either may be nil.
func (u *users) moveRetained(from, to *packets.Message) {
	if from != nil {
		u.change(from.PublisherUser, 0, -1)
	}
	if to != nil {
		u.change(to.PublisherUser, 0, 1)
	}
}

func (u *users) change(name string, sessions, retained int) {
	if name == "" {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	n := u.get(name)
	n.sessions += sessions
	n.retained += retained
	if *n == (userCount{}) {
		delete(u.counts, name)
	}
}

// get needs mu held.
func (u *users) get(name string) *userCount {
	n := u.counts[name]
	if n == nil {
		n = &userCount{}
		u.counts[name] = n
	}
	return n
}
