package topics

import "errors"

// The faults of a Topic Name or Topic Filter. Their texts contain nothing the
// client sent and are fit for a Reason String.
var (
	// ErrEmpty: a name or filter has at least one character
	// [v5 MQTT-4.7.3-1] [v3.1.1 MQTT-4.7.3-1].
	ErrEmpty = errors.New("topic is empty: at least one character is required")
	// ErrTooLong: longer than [Limits].Bytes.
	ErrTooLong = errors.New("topic has more bytes than this server allows")
	// ErrTooManyLevels: more levels than [Limits].Levels.
	ErrTooManyLevels = errors.New("topic has more levels than this server allows")
	// ErrWildcard: a Topic Name contains + or #
	// [v5 MQTT-4.7.0-1] [v3.1.1 MQTT-4.7.1-1].
	ErrWildcard = errors.New("topic name contains a wildcard: + and # belong in topic filters")
	// ErrControlCharacter: U+0000, never allowed [v5 MQTT-4.7.3-2] [v3.1.1 MQTT-4.7.3-2],
	// or U+0001..U+001F, U+007F..U+009F, U+FFFE, U+FFFF, which a server may refuse.
	ErrControlCharacter = errors.New("topic contains a control character")
	// ErrBadFilter: + does not fill its level [v5 MQTT-4.7.1-2] [v3.1.1 MQTT-4.7.1-3],
	// or # does not fill the last one [v5 MQTT-4.7.1-1] [v3.1.1 MQTT-4.7.1-2].
	ErrBadFilter = errors.New("topic filter has a misplaced wildcard: + fills a whole level, # the whole last level")
	// ErrBadShare: not $share/ShareName/filter with a ShareName of at least one
	// character without +, # and / [v5 MQTT-4.8.2-1] [v5 MQTT-4.8.2-2].
	ErrBadShare = errors.New("shared subscription is not of the form $share/name/filter")
)
