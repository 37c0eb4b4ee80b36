package client

import (
	"strconv"
	"strings"

	"github.com/eclipse/paho.golang/paho"
)

// command is a packet, or the Will, that -D gives properties to.
type command int

const (
	commandConnect command = iota
	commandWill
	commandPublish
	commandSubscribe
	commandUnsubscribe
	commandDisconnect
	commands // how many there are
)

var commandNames = [commands]string{"connect", "will", "publish", "subscribe", "unsubscribe", "disconnect"}

// properties holds MQTT 5 properties of any packet; nil and empty mean absent.
type properties struct {
	contentType       string
	responseTopic     string
	correlationData   []byte
	payloadFormat     *byte   // 1: the payload is UTF-8 text
	messageExpiry     *uint32 // seconds
	topicAlias        *uint16
	subscriptionID    *int
	sessionExpiry     *uint32 // seconds
	willDelay         *uint32 // seconds
	receiveMaximum    *uint16
	topicAliasMaximum *uint16
	maximumPacketSize *uint32 // bytes
	requestProblem    *byte   // 0 or 1
	requestResponse   *byte   // 0 or 1
	authMethod        string
	authData          []byte
	user              paho.UserProperties
}

// propertyFlags holds what the -D flags say, by command.
type propertyFlags [commands]properties

// propertySetter reads a value into a property, and knows which commands may carry it.
type propertySetter struct {
	allowed []command
	set     func(p *properties, value string) error
}

// userProperty is the one property of two values.
const userProperty = "user-property"

var propertySetters = map[string]propertySetter{
	"content-type":                 {messages, text(func(p *properties) *string { return &p.contentType })},
	"response-topic":               {messages, text(func(p *properties) *string { return &p.responseTopic })},
	"correlation-data":             {messages, binaryData(func(p *properties) *[]byte { return &p.correlationData })},
	"payload-format-indicator":     {messages, flag(func(p *properties) **byte { return &p.payloadFormat })},
	"message-expiry-interval":      {messages, number(32, 0, func(p *properties) **uint32 { return &p.messageExpiry })},
	"topic-alias":                  {[]command{commandPublish}, number(16, 1, func(p *properties) **uint16 { return &p.topicAlias })},
	"subscription-identifier":      {[]command{commandSubscribe}, number(28, 1, func(p *properties) **int { return &p.subscriptionID })},
	"will-delay-interval":          {[]command{commandWill}, number(32, 0, func(p *properties) **uint32 { return &p.willDelay })},
	"session-expiry-interval":      {[]command{commandConnect, commandDisconnect}, number(32, 0, func(p *properties) **uint32 { return &p.sessionExpiry })},
	"receive-maximum":              {[]command{commandConnect}, number(16, 1, func(p *properties) **uint16 { return &p.receiveMaximum })},
	"topic-alias-maximum":          {[]command{commandConnect}, number(16, 0, func(p *properties) **uint16 { return &p.topicAliasMaximum })},
	"maximum-packet-size":          {[]command{commandConnect}, number(32, 1, func(p *properties) **uint32 { return &p.maximumPacketSize })},
	"request-problem-information":  {[]command{commandConnect}, flag(func(p *properties) **byte { return &p.requestProblem })},
	"request-response-information": {[]command{commandConnect}, flag(func(p *properties) **byte { return &p.requestResponse })},
	"authentication-method":        {[]command{commandConnect}, text(func(p *properties) *string { return &p.authMethod })},
	"authentication-data":          {[]command{commandConnect}, binaryData(func(p *properties) *[]byte { return &p.authData })},
}

// messages are the commands that carry an Application Message.
var messages = []command{commandPublish, commandWill}

func text(field func(*properties) *string) func(*properties, string) error {
	return func(p *properties, value string) error {
		*field(p) = value
		return nil
	}
}

func binaryData(field func(*properties) *[]byte) func(*properties, string) error {
	return func(p *properties, value string) error {
		*field(p) = []byte(value)
		return nil
	}
}

func flag(field func(*properties) **byte) func(*properties, string) error {
	return func(p *properties, value string) error {
		if value != "0" && value != "1" {
			return usagef("want 0 or 1, not %q", value)
		}
		*field(p) = new(value[0] - '0')
		return nil
	}
}

func number[N uint16 | uint32 | int](bits int, least uint64, field func(*properties) **N) func(*properties, string) error {
	return func(p *properties, value string) error {
		n, err := strconv.ParseUint(value, 10, bits)
		if err != nil || n < least {
			return usagef("want a number from %d to %d, not %q", least, uint64(1)<<bits-1, value)
		}
		*field(p) = new(N(n))
		return nil
	}
}

// propertySeparator joins the words of one -D flag into one flag value; no argument can hold a NUL.
const propertySeparator = "\x00"

// Set reads the words of one -D flag: command, property, value, and for user-property a second value.
func (f *propertyFlags) Set(joined string) error {
	words := strings.Split(joined, propertySeparator)
	if len(words) < 3 {
		return usagef("-D wants a command, a property and its value: -D publish content-type text/plain")
	}
	c, ok := commandNamed(words[0])
	if !ok {
		return usagef("-D %s: the command is one of %s", words[0], strings.Join(commandNames[:], ", "))
	}
	name := strings.ToLower(words[1])
	if name == userProperty {
		if len(words) != 4 {
			return usagef("-D %s user-property wants a name and a value", words[0])
		}
		f[c].user.Add(words[2], words[3])
		return nil
	}
	setter, ok := propertySetters[name]
	if !ok {
		return usagef("-D %s %s: there is no such property", words[0], words[1])
	}
	for _, allowed := range setter.allowed {
		if allowed != c {
			continue
		}
		if err := setter.set(&f[c], words[2]); err != nil {
			return usagef("-D %s %s: %v", words[0], name, err)
		}
		return nil
	}
	return usagef("-D %s %s: MQTT 5 has no such property there", words[0], name)
}

func commandNamed(name string) (command, bool) {
	for c, known := range commandNames {
		if strings.EqualFold(name, known) {
			return command(c), true
		}
	}
	return 0, false
}

// Type is what the help shows for the value.
func (f *propertyFlags) Type() string { return "command property value" }

func (f *propertyFlags) String() string { return "" }
