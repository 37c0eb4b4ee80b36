package client

import (
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
)

func TestFormat(t *testing.T) {
	m := &message{
		topic: "a/bc", payload: []byte("{\"n\":1}"), qos: 2, retain: true, packetID: 9,
		properties: properties{
			contentType: "text", responseTopic: "re", correlationData: []byte{0xff}, payloadFormat: new(byte(1)),
			messageExpiry: new(uint32(60)), topicAlias: new(uint16(4)), subscriptionID: new(5), user: paho.UserProperties{{Key: "k", Value: "v"}},
		},
	}
	now := time.Date(2026, 5, 6, 7, 8, 9, 12345, time.FixedZone("", 2*60*60))
	const head = `{"tst":"2026-05-06T07:08:09.000012+0200","topic":"a/bc","qos":2,"retain":1,"payloadlen":7,"mid":9,` +
		`"properties":{"content-type":"text","correlation-data-encoding":"base64","correlation-data":"/w==","message-expiry-interval":60,` +
		`"payload-format-indicator":1,"response-topic":"re","subscription-identifier":5,"topic-alias":4,"user-properties":[{"name":"k","value":"v"}]},`
	tests := []struct{ format, want string }{
		{"plain", "plain"},
		{"%t %p %q %r %m %l%%", "a/bc {\"n\":1} 2 1 9 7%"},
		{"%x|%X", "7b226e223a317d|7B226E223A317D"},
		{"%A %C %E %F %P %R %S", "4 text 60 1 k:v re 5"},
		{"[%D]", "[\xff]"},
		{"[%6t|%-6t|%6.2t|%.3t|%2t]", "[  a/bc|a/bc  |    a/|a/b|a/bc]"},
		{"[%05l|%-05l|%5m|%05t|%3q]", "[00007|7    |    9| a/bc|2]"},
		{"%I %U", "2026-05-06T07:08:09+0200 1778044089.000012345"},
		{"@Y-@m-@d @H:@M:@S.@N @@", "2026-05-06 07:08:09.000012345 @"},
		{`\\ \0\a\e\n\r\t\v`, "\\ \x00\a\x1b\n\r\t\v"},
		{"%j", head + `"payload":"{\"n\":1}"}`},
		{"%J", head + `"payload":{"n":1}}`},
	}
	for _, tt := range tests {
		parsed, err := parseFormat(tt.format)
		if err != nil {
			t.Errorf("%s: %v", tt.format, err)
			continue
		}
		got, err := (&render{format: parsed}).append(nil, m, now)
		if string(got) != tt.want || err != nil {
			t.Errorf("%s: got %q, %v, want %q", tt.format, got, err, tt.want)
		}
	}
}

// The JSON of a payload that is none is an error, which ends nothing.
func TestFormatOfNoJSON(t *testing.T) {
	parsed, err := parseFormat("%J")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := (&render{format: parsed}).append(nil, &message{topic: "a", payload: []byte("{")}, time.Now()); err == nil {
		t.Errorf("got %q", got)
	}
}

func TestPaletteOnlyOnTerminals(t *testing.T) {
	if got := paletteFor(new(buffer)).fault("x"); got != "x" {
		t.Errorf("no terminal: got %q", got)
	}
	if got := (palette{on: true}).topic("x"); got != "\x1b[36mx\x1b[0m" {
		t.Errorf("terminal: got %q", got)
	}
}
