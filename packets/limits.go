package packets

// Limits bounds what one packet may make the decoder keep. 0 allows nothing.
type Limits struct {
	UserProperties    int // count per packet; over it: QuotaExceeded
	UserPropertyBytes int // sum of names and values per packet; over it: QuotaExceeded
	// StringBytes bounds any UTF-8 string other than topics and user properties. Over it: ClientIdentifierNotValid
	// for the Client Identifier, BadUserNameOrPassword for the user name, MalformedPacket for others.
	StringBytes int
	Filters     int // topic filters per SUBSCRIBE or UNSUBSCRIBE; over it: QuotaExceeded
}

// DefaultLimits holds where a decoder is given no limits (nil).
var DefaultLimits = Limits{UserProperties: 64, UserPropertyBytes: 16 << 10, StringBytes: 4 << 10, Filters: 128}

// orDefault is lim, or the defaults where lim is nil.
func (lim *Limits) orDefault() *Limits {
	if lim == nil {
		return &DefaultLimits
	}
	return lim
}
