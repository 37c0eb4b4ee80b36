package broker

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"nightjar/auth"
	"nightjar/packets"
)

// The keys of the broker's log lines.
const (
	keyClientID   = "client_id"
	keyUserName   = "user_name"
	keyRemote     = "remote"
	keyListener   = "listener"
	keyVersion    = "version"
	keyReason     = "reason"
	keyReasonCode = "reason_code"
	keyTopic      = "topic"
	keyAction     = "action"
	keyRule       = "rule"
	keyError      = "error"
	keySpec       = "spec"
	keyLeftOut    = "lines_left_out"
	keyMaximum    = "receive_maximum"
)

// linesPerSecond is how many lines of one kind are written in a second; the rest is counted.
const linesPerSecond = 10

// logger writes the broker's lines, and holds back floods of one kind.
type logger struct {
	*slog.Logger
	leftOut atomic.Uint64

	mu    sync.Mutex
	kinds map[string]*lineCount // guarded by mu
}

type lineCount struct {
	second  int64
	lines   int
	leftOut uint64
}

func newLogger(l *slog.Logger) *logger { return &logger{Logger: l, kinds: map[string]*lineCount{}} }

// allow tells whether one more line of a kind may be written in this second, and how many were
// left out since the last one.
func (l *logger) allow(kind string) (leftOut uint64, ok bool) {
	now := time.Now().Unix()
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.kinds[kind]
	if k == nil {
		k = &lineCount{}
		l.kinds[kind] = k
	}
	if k.second != now {
		k.second, k.lines = now, 0
	}
	if k.lines >= linesPerSecond {
		k.leftOut++
		l.leftOut.Add(1)
		return 0, false
	}
	k.lines++
	leftOut, k.leftOut = k.leftOut, 0
	return leftOut, true
}

// line writes one line of a kind, if it may.
func (l *logger) line(level slog.Level, kind string, attrs func() []slog.Attr) {
	if !l.Enabled(context.Background(), level) {
		return
	}
	leftOut, ok := l.allow(kind)
	if !ok {
		return
	}
	a := attrs()
	if leftOut > 0 {
		a = append(a, slog.Uint64(keyLeftOut, leftOut))
	}
	l.LogAttrs(context.Background(), level, kind, a...)
}

// about is who a line is about.
func about(c *client) []slog.Attr {
	attrs := []slog.Attr{slog.String(keyListener, c.conn.Listener().Config.Name)}
	if addr := c.conn.RemoteAddr(); addr.IsValid() {
		attrs = append(attrs, slog.String(keyRemote, addr.String()))
	}
	if c.version != 0 {
		attrs = append(attrs, slog.String(keyVersion, c.version.String()))
	}
	if c.session != nil {
		attrs = append(attrs, slog.String(keyClientID, c.session.ClientID), slog.String(keyUserName, c.session.UserName))
	}
	return attrs
}

// why is the reason of a line: what the peer is told, and more.
func why(code packets.ReasonCode, err error) []slog.Attr {
	attrs := []slog.Attr{slog.String(keyReasonCode, code.String())}
	var e *packets.Error
	if errors.As(err, &e) {
		attrs = append(attrs, slog.String(keyReason, e.Reason))
		if e.Spec != "" {
			attrs = append(attrs, slog.String(keySpec, e.Spec))
		}
		if e.Err != nil {
			attrs = append(attrs, slog.String(keyError, e.Err.Error()))
		}
	} else if err != nil {
		attrs = append(attrs, slog.String(keyError, err.Error()))
	}
	return attrs
}

func (l *logger) connected(c *client) {
	l.line(slog.LevelDebug, "client connected", func() []slog.Attr { return about(c) })
}

func (l *logger) disconnected(c *client, code packets.ReasonCode, err error) {
	l.line(slog.LevelInfo, "client disconnected by the broker", func() []slog.Attr { return append(about(c), why(code, err)...) })
}

func (l *logger) overran(c *client, most int) {
	l.line(slog.LevelWarn, "client exceeds receive maximum", func() []slog.Attr { return append(about(c), slog.Int(keyMaximum, most)) })
}

func (l *logger) refused(c *client, code packets.ReasonCode, err error) {
	l.line(slog.LevelInfo, "connection refused", func() []slog.Attr { return append(about(c), why(code, err)...) })
}

// loggedTopicMax is how many bytes a line shows of a Topic Name or Filter that is refused for what it is.
const loggedTopicMax = 256

func (l *logger) refusedFilter(s *session, filter string, err error) {
	l.line(slog.LevelInfo, "subscription refused", func() []slog.Attr {
		attrs := []slog.Attr{
			slog.String(keyClientID, s.ClientID), slog.String(keyUserName, s.UserName),
			slog.String(keyTopic, filter[:min(len(filter), loggedTopicMax)]),
		}
		return append(attrs, why(packets.ReasonCodeOf(err), err)...)
	})
}

func (l *logger) denied(id auth.Identity, action auth.Action, topic string, rule func() string) {
	l.line(slog.LevelInfo, "denied", func() []slog.Attr {
		return []slog.Attr{
			slog.String(keyClientID, id.ClientID), slog.String(keyUserName, id.UserName),
			slog.String(keyAction, action.String()), slog.String(keyTopic, topic), slog.String(keyRule, rule()),
		}
	})
}

func (l *logger) dropped(reason dropReason, clientID, topic string) {
	l.line(slog.LevelWarn, "message dropped", func() []slog.Attr {
		return []slog.Attr{slog.String(keyClientID, clientID), slog.String(keyReason, reason.String()), slog.String(keyTopic, topic)}
	})
}
