package packets

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"
)

// ValidUTF8 says whether b may stand in a UTF-8 Encoded String: well-formed, which leaves out surrogates and overlong
// forms [v5 MQTT-1.5.4-1], and without U+0000 [v5 MQTT-1.5.4-2]. The length limit of 65,535 bytes is not checked.
func ValidUTF8(b []byte) bool {
	if len(b) < 8 {
		for _, c := range b {
			if c-1 >= 0x7F {
				return validUTF8Slow(b)
			}
		}
		return true
	}
	// Eight bytes at a time; the last eight may overlap the ones before.
	for i := 0; i < len(b)-8; i += 8 {
		if !plainASCII(binary.LittleEndian.Uint64(b[i:])) {
			return validUTF8Slow(b)
		}
	}
	return plainASCII(binary.LittleEndian.Uint64(b[len(b)-8:])) || validUTF8Slow(b)
}

// plainASCII says whether all eight bytes of w are 0x01 to 0x7F: taking one from each then borrows from no
// neighbour and leaves every high bit clear.
func plainASCII(w uint64) bool {
	const ones, highs = 0x0101_0101_0101_0101, 0x8080_8080_8080_8080
	return ((w-ones)|w)&highs == 0
}

func validUTF8Slow(b []byte) bool { return utf8.Valid(b) && bytes.IndexByte(b, 0) < 0 }
