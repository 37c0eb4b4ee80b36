package topics

import (
	"bytes"
	"strings"
)

// sharePrefix begins the filter of a Shared Subscription [v5 MQTT-4.8.2-1].
const sharePrefix = "$share/"

// Limits bound a Topic Name or Topic Filter. The zero value refuses everything.
type Limits struct {
	// Bytes is the greatest length in bytes of UTF-8, 1 to 65535
	// [v5 MQTT-4.7.3-3] [v3.1.1 MQTT-4.7.3-3].
	Bytes int
	// Levels is the greatest number of levels, which is one more than there
	// are '/'; 1 to 65536.
	Levels int
	// AllowControl admits U+0001..U+001F, U+007F..U+009F, U+FFFE and U+FFFF, which
	// the standard lets a server refuse. U+0000 stays refused.
	AllowControl bool
}

// CheckName reports what is wrong with a Topic Name: [ErrEmpty], [ErrTooLong],
// [ErrTooManyLevels], [ErrControlCharacter] or [ErrWildcard]. The caller has
// checked that name is UTF-8. It does not allocate.
func CheckName(name []byte, lim Limits) error {
	if err := check(name, lim); err != nil {
		return err
	}
	if bytes.IndexByte(name, '+') >= 0 || bytes.IndexByte(name, '#') >= 0 {
		return ErrWildcard
	}
	return nil
}

// CheckFilter reports what is wrong with a Topic Filter: [ErrEmpty],
// [ErrTooLong], [ErrTooManyLevels], [ErrControlCharacter] or [ErrBadFilter]. Of
// a Shared Subscription it is given the part that [SplitShared] calls real. The
// caller has checked that filter is UTF-8. It does not allocate.
func CheckFilter(filter string, lim Limits) error {
	if err := check(filter, lim); err != nil {
		return err
	}
	for rest, more := filter, true; more; {
		var level string
		level, rest, more = strings.Cut(rest, "/")
		if level == "+" || level == "#" && !more {
			continue
		}
		if HasWildcard(level) {
			return ErrBadFilter
		}
	}
	return nil
}

// check holds the rules that names and filters share.
func check[S string | []byte](topic S, lim Limits) error {
	switch {
	case len(topic) == 0:
		return ErrEmpty
	case len(topic) > lim.Bytes:
		return ErrTooLong
	}
	levels := 1
	for i := range len(topic) {
		switch c := topic[i]; {
		case c == '/':
			if levels++; levels > lim.Levels {
				return ErrTooManyLevels
			}
		case c == 0, !lim.AllowControl && isControl(topic, i):
			return ErrControlCharacter
		}
	}
	if levels > lim.Levels {
		return ErrTooManyLevels
	}
	return nil
}

// isControl tells whether a character U+0000..U+001F or U+007F..U+009F, or one of the
// non-characters U+FFFE and U+FFFF, begins at topic[i]. In UTF-8 the upper ones are
// C2 80 to C2 9F, EF BF BE and EF BF BF.
func isControl[S string | []byte](topic S, i int) bool {
	c := topic[i]
	return c < 0x20 || c == 0x7F || c == 0xC2 && i+1 < len(topic) && topic[i+1] < 0xA0 ||
		c == 0xEF && i+2 < len(topic) && topic[i+1] == 0xBF && topic[i+2] >= 0xBE
}

// SplitShared splits "$share/ShareName/filter" into its ShareName and the real
// filter, which is still to be given to [CheckFilter]. Any other filter comes
// back as real, with shared false. [ErrBadShare] is returned, with shared true,
// when the ShareName or the real filter is missing, or the ShareName contains a
// wildcard or a control character [v5 MQTT-4.8.2-1] [v5 MQTT-4.8.2-2]. All
// results are parts of filter.
func SplitShared(filter string) (share, real string, shared bool, err error) {
	rest, shared := strings.CutPrefix(filter, sharePrefix)
	if !shared {
		return "", filter, false, nil
	}
	share, real, _ = strings.Cut(rest, "/")
	if share == "" || real == "" || HasWildcard(share) {
		return "", "", true, ErrBadShare
	}
	for i := range len(share) {
		if isControl(share, i) {
			return "", "", true, ErrBadShare
		}
	}
	return share, real, true, nil
}
