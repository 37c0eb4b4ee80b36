package auth

import (
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Identity is who a connection is. It is immutable once it is shared.
type Identity struct {
	UserName  string // authenticated; empty where Anonymous
	ClientID  string // as chosen by the client, or assigned by the broker
	Anonymous bool   // nobody vouches for this client
	Admin     bool   // may read $SYS and use other $-topics without a rule
}

// Credentials are what a client shows when it connects.
type Credentials struct {
	ClientID    string // where the client sent none: the one that the broker assigned
	UserName    string
	HasUserName bool
	HasPassword bool
	Password    []byte // only read during the call
	// CertificateName is the name that the listener takes from a verified client certificate
	// (certificate_user: cn or san), or empty. It is the user name, and needs no password.
	CertificateName string
	Listener        string     // name of the listener, for the log
	Remote          netip.Addr // address of the client
	Loopback        bool       // the client is on this machine
}

// Format implements fmt.Formatter, so that no verb can print the password.
func (c Credentials) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "client_id=%q user_name=%q certificate_name=%q listener=%q remote=%v",
		c.ClientID, c.UserName, c.CertificateName, c.Listener, c.Remote)
}

// MarshalText implements encoding.TextMarshaler: all but the password.
func (c Credentials) MarshalText() ([]byte, error) { return fmt.Append(nil, c), nil }

// LogValue implements slog.LogValuer: all but the password.
func (c Credentials) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(c)) }

// singleLevel reports whether a client's name may stand for one literal level of a topic: not
// empty, valid UTF-8, no wildcard, no level separator, no $ in front, no control character.
// Anything else could reach beyond the level (CVE-2017-7650).
func singleLevel(name string) bool {
	return name != "" && name[0] != '$' && utf8.ValidString(name) &&
		!strings.ContainsFunc(name, func(r rune) bool {
			return r == '+' || r == '#' || r == '/' || unicode.IsControl(r)
		})
}
