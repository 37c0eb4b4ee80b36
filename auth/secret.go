package auth

import (
	"fmt"
	"io"
	"log/slog"
)

// hidden is what is shown of a Secret.
const hidden = "***"

// Secret is a text that must not be shown: a password or its hash. Every way of printing or
// encoding it gives "***". The zero value is an empty secret.
type Secret struct {
	// A pointer, because fmt prints the unexported fields of other structs without asking
	// the methods below; then it shows an address.
	text *string
}

// NewSecret returns text as a Secret.
func NewSecret(text string) Secret { return Secret{&text} }

// Reveal returns the text itself.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// Format implements fmt.Formatter for every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// String implements fmt.Stringer.
func (s Secret) String() string { return hidden }

// GoString implements fmt.GoStringer.
func (s Secret) GoString() string { return hidden }

// MarshalText implements encoding.TextMarshaler.
func (s Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// LogValue implements slog.LogValuer.
func (s Secret) LogValue() slog.Value { return slog.StringValue(hidden) }
