package client

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/eclipse/paho.golang/paho"
	"github.com/ncruces/go-strftime"
)

// format is a parsed -F format: what to print for a message, piece by piece.
type format []piece

// piece is a literal text, or a field of the message or the time.
type piece struct {
	literal string
	sign    byte // % for a field of the message, @ for one of the time, 0 for a literal
	verb    byte
	zero    bool // pad with zeros
	left    bool // align left
	width   int  // least width; 0 for none
	max     int  // longest text; -1 for any
}

// The verbs of % that exist, that may be padded, that zeros may pad, and that may be cut.
const (
	verbsKnown   = "%ACDEFIJjlmPpqRrSTtUXx"
	verbsPadded  = "ACEFIlmpRStXx"
	verbsZeroed  = "AEFlmSXx"
	verbsLimited = "CIRt"
)

// escapes are what follows a backslash.
var escapes = map[byte]string{'\\': "\\", '0': "\x00", 'a': "\a", 'e': "\x1b", 'n': "\n", 'r': "\r", 't': "\t", 'v': "\v"}

// parseFormat reads the format language of mosquitto_sub.
func parseFormat(text string) (format, error) {
	var f format
	for text != "" {
		special := strings.IndexAny(text, `%@\`)
		if special != 0 {
			if special < 0 {
				special = len(text)
			}
			f = append(f, piece{literal: text[:special]})
			text = text[special:]
			continue
		}
		if len(text) == 1 {
			return nil, usagef("-F: %q at the end says nothing", text)
		}
		p := piece{sign: text[0], verb: text[1], max: -1}
		rest := text[2:]
		switch p.sign {
		case '\\':
			literal, ok := escapes[p.verb]
			if !ok {
				return nil, usagef(`-F: unknown escape \%c; there are \\ \0 \a \e \n \r \t \v`, p.verb)
			}
			p = piece{literal: literal}
		case '%':
			var err error
			if rest, err = p.parseField(text[1:]); err != nil {
				return nil, err
			}
		}
		f = append(f, p)
		text = rest
	}
	return f, nil
}

// parseField reads [0-][width][.max]verb and returns what follows.
func (p *piece) parseField(text string) (rest string, err error) {
	for ; text != "" && (text[0] == '0' || text[0] == '-'); text = text[1:] {
		p.zero = p.zero || text[0] == '0'
		p.left = p.left || text[0] == '-'
	}
	p.width, text = leadingNumber(text, 0)
	if limit, ok := strings.CutPrefix(text, "."); ok {
		p.max, text = leadingNumber(limit, 0)
	}
	if text == "" || !strings.Contains(verbsKnown, text[:1]) {
		return "", usagef("-F: unknown field %%%s; there are %s", strings.TrimSpace(text[:min(1, len(text))]), verbsKnown)
	}
	p.verb = text[0]
	if !strings.Contains(verbsPadded, text[:1]) {
		p.width = 0
	}
	if !strings.Contains(verbsLimited, text[:1]) {
		p.max = -1
	}
	p.zero = p.zero && !p.left && strings.Contains(verbsZeroed, text[:1])
	return text[1:], nil
}

// fieldWidthMax bounds the widths of a format.
const fieldWidthMax = 9999

func leadingNumber(text string, otherwise int) (n int, rest string) {
	digits := len(text) - len(strings.TrimLeft(text, "0123456789"))
	if digits == 0 {
		return otherwise, text
	}
	n, err := strconv.Atoi(text[:digits])
	if err != nil || n > fieldWidthMax {
		n = fieldWidthMax
	}
	return n, text[digits:]
}

// render is how a message is printed.
type render struct {
	format format
	pretty bool // indent JSON
}

// append adds the message as the format has it. The one error is a payload that %J cannot show.
func (r *render) append(to []byte, m *message, now time.Time) ([]byte, error) {
	for i := range r.format {
		p := &r.format[i]
		switch p.sign {
		case 0:
			to = append(to, p.literal...)
		case '@':
			to = appendTime(to, p.verb, now)
		default:
			field, err := r.field(p.verb, m, now)
			if err != nil {
				return nil, err
			}
			to = p.pad(to, field)
		}
	}
	return to, nil
}

func (p *piece) pad(to, field []byte) []byte {
	if p.max >= 0 && len(field) > p.max {
		field = field[:p.max]
	}
	fill := " "
	if p.zero {
		fill = "0"
	}
	padding := strings.Repeat(fill, max(0, p.width-len(field)))
	if p.left {
		return append(append(to, field...), padding...)
	}
	return append(append(to, padding...), field...)
}

// field gives one % field; properties that a message does not have are empty.
func (r *render) field(verb byte, m *message, now time.Time) ([]byte, error) {
	p := &m.properties
	switch verb {
	case '%':
		return []byte("%"), nil
	case 't':
		return []byte(m.topic), nil
	case 'p':
		return m.payload, nil
	case 'x':
		return fmt.Appendf(nil, "%x", m.payload), nil
	case 'X':
		return fmt.Appendf(nil, "%X", m.payload), nil
	case 'l':
		return strconv.AppendInt(nil, int64(len(m.payload)), 10), nil
	case 'm':
		return strconv.AppendUint(nil, uint64(m.packetID), 10), nil
	case 'q':
		return []byte{'0' + m.qos}, nil
	case 'r':
		return []byte{'0' + bit(m.retain)}, nil
	case 'A':
		return optional(p.topicAlias), nil
	case 'C':
		return []byte(p.contentType), nil
	case 'D':
		return p.correlationData, nil
	case 'E':
		return optional(p.messageExpiry), nil
	case 'F':
		return optional(p.payloadFormat), nil
	case 'P':
		return joinUser(p.user), nil
	case 'R':
		return []byte(p.responseTopic), nil
	case 'S':
		return optional(p.subscriptionID), nil
	case 'I':
		return now.AppendFormat(nil, "2006-01-02T15:04:05-0700"), nil
	case 'U':
		return fmt.Appendf(nil, "%d.%09d", now.Unix(), now.Nanosecond()), nil
	case 'J':
		if !json.Valid(m.payload) {
			return nil, fmt.Errorf("message payload is not valid JSON on topic %s", m.topic)
		}
		return r.json(m, json.RawMessage(m.payload), now)
	}
	return r.json(m, nil, now) // %j
}

// appendTime gives one @ field: a character of strftime, or N for nanoseconds.
func appendTime(to []byte, verb byte, now time.Time) []byte {
	if verb == '@' {
		return append(to, '@')
	}
	return strftime.AppendFormat(to, "%"+string(rune(verb)), now)
}

func optional[N byte | uint16 | uint32 | int](n *N) []byte {
	if n == nil {
		return nil
	}
	return strconv.AppendUint(nil, uint64(*n), 10)
}

func bit(set bool) byte {
	if set {
		return 1
	}
	return 0
}

func joinUser(user paho.UserProperties) []byte {
	pairs := make([]string, len(user))
	for i, u := range user {
		pairs[i] = u.Key + ":" + u.Value
	}
	return []byte(strings.Join(pairs, " "))
}

// record is a message as JSON, in the names and the order of mosquitto_sub. What MQTT carries as bytes stands as
// text where it is UTF-8, and as base64 where it is not; the encoding field then says so.
type record struct {
	Time            string            `json:"tst"`
	Topic           string            `json:"topic"`
	QoS             byte              `json:"qos"`
	Retain          byte              `json:"retain"`
	PayloadLength   int               `json:"payloadlen"`
	PacketID        uint16            `json:"mid,omitempty"`
	Properties      *recordProperties `json:"properties,omitempty"`
	PayloadEncoding string            `json:"payload-encoding,omitempty"`
	Payload         any               `json:"payload"`
}

// recordProperties are the MQTT 5 properties of a message.
type recordProperties struct {
	ContentType            string         `json:"content-type,omitempty"`
	CorrelationEncoding    string         `json:"correlation-data-encoding,omitempty"`
	CorrelationData        string         `json:"correlation-data,omitempty"`
	MessageExpiry          *uint32        `json:"message-expiry-interval,omitempty"`
	PayloadFormat          *byte          `json:"payload-format-indicator,omitempty"`
	ResponseTopic          string         `json:"response-topic,omitempty"`
	SubscriptionIdentifier *int           `json:"subscription-identifier,omitempty"`
	TopicAlias             *uint16        `json:"topic-alias,omitempty"`
	UserProperties         []recordedUser `json:"user-properties,omitempty"`
}

// recordedUser is one user property. They stand in a list, since a name may come more than once and the order counts.
type recordedUser struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// json gives a message as a JSON object; payload stands in for the message's own if it is not nil.
func (r *render) json(m *message, payload any, now time.Time) ([]byte, error) {
	record := record{
		Time:  now.Format("2006-01-02T15:04:05.000000-0700"),
		Topic: m.topic, QoS: m.qos, Retain: bit(m.retain), PayloadLength: len(m.payload), PacketID: m.packetID,
		Properties: recordOf(&m.properties),
		Payload:    payload,
	}
	if payload == nil {
		record.PayloadEncoding, record.Payload = bytesAsText(m.payload)
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if r.pretty {
		encoder.SetIndent("", "  ")
	}
	if err := encoder.Encode(record); err != nil {
		return nil, fmt.Errorf("encode message on topic %s: %w", m.topic, err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

func recordOf(p *properties) *recordProperties {
	r := recordProperties{
		ContentType: p.contentType, MessageExpiry: p.messageExpiry, PayloadFormat: p.payloadFormat,
		ResponseTopic: p.responseTopic, SubscriptionIdentifier: p.subscriptionID, TopicAlias: p.topicAlias,
	}
	r.CorrelationEncoding, r.CorrelationData = bytesAsText(p.correlationData)
	for _, u := range p.user {
		r.UserProperties = append(r.UserProperties, recordedUser{u.Key, u.Value})
	}
	empty := r.ContentType == "" && r.CorrelationData == "" && r.MessageExpiry == nil && r.PayloadFormat == nil &&
		r.ResponseTopic == "" && r.SubscriptionIdentifier == nil && r.TopicAlias == nil && r.UserProperties == nil
	if empty {
		return nil
	}
	return &r
}

func bytesAsText(data []byte) (encoding, text string) {
	if utf8.Valid(data) {
		return "", string(data)
	}
	return "base64", base64.StdEncoding.EncodeToString(data)
}
