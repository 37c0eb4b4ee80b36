// Package packets holds the wire format of MQTT 3.1, 3.1.1 and 5.0: the control packets, their properties and
// reason codes, and the immutable Message that is shared by everyone who receives it.
//
// Decoding takes the fixed header first (ParseHeader) and then exactly the bytes of one packet. Decoded byte slices
// are views into those bytes, so they live as long as the caller's buffer does; decoding into the same struct again
// reuses its slices. Decoding checks everything that can be known from one packet alone; what depends on the
// connection (aliases, quotas, permissions) or on topic syntax is the caller's business.
//
// Encoders append to a slice and return it. What a peer did wrong comes back as *Error with the Reason Code for it.
package packets
