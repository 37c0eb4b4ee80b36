package packets

// AppendPingreq appends a PINGREQ. It has no body; ParseHeader is its decoder.
func AppendPingreq(dst []byte) []byte { return append(dst, byte(PINGREQ)<<4, 0) }

// AppendPingresp appends a PINGRESP. It has no body; ParseHeader is its decoder.
func AppendPingresp(dst []byte) []byte { return append(dst, byte(PINGRESP)<<4, 0) }
