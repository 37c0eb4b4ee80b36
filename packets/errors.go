package packets

import (
	"errors"
	"fmt"
)

// Error is a fault of the peer.
type Error struct {
	Code   ReasonCode // what the peer is told
	Reason string     // Reason String for the peer: short, lower case, no secrets
	Spec   string     // the statement broken, with its version, or empty
	Err    error      // more for the log, or nil
}

func (e *Error) Error() string {
	s := fmt.Sprintf("%v (0x%02X): %s", e.Code, byte(e.Code), e.Reason)
	if e.Spec != "" {
		s += " [" + e.Spec + "]"
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error whose Reason is the formatted text. Spec is the statement broken, or empty.
func Errorf(code ReasonCode, spec, format string, args ...any) *Error {
	return &Error{Code: code, Spec: spec, Reason: fmt.Sprintf(format, args...)}
}

// ReasonCodeOf is the code of the first *Error in err's chain, and UnspecifiedError where there is none.
func ReasonCodeOf(err error) ReasonCode {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return UnspecifiedError
}
