package interop

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// mosquitto is a client made of mosquitto_sub, which runs from subscribe on, and of a mosquitto_pub for each publish.
type mosquitto struct {
	version  int
	where    []string // arguments that tell where the broker is
	options  options
	filters  []subscription
	sub      *exec.Cmd // nil: not running
	ended    chan struct{}
	answers  chan answer // of sub: to its SUBSCRIBE, or to its CONNECT if that was refused
	received chan message
}

func newMosquitto(version int, where ...string) *mosquitto {
	return &mosquitto{version: version, where: where, received: make(chan message, receivedMax)}
}

// mosquittoTCP are the arguments for a TCP address.
func mosquittoTCP(address string) []string {
	host, port, _ := net.SplitHostPort(address) // of a listener of our own
	return []string{"-h", host, "-p", port}
}

// connect leaves it to mosquitto_sub to connect: when it has something to subscribe to.
func (p *mosquitto) connect(o options) (answer, error) {
	p.options = o
	if len(p.filters) == 0 {
		return answer{}, nil
	}
	ans, err := p.start()
	if ans.Code < 0x80 {
		ans.Code = 0 // that of SUBACK, which is no matter here
	}
	return ans, err
}

func (p *mosquitto) subscribe(s subscription) (answer, error) {
	if p.sub != nil {
		return answer{}, errors.New("mosquitto_sub runs already: it takes one subscription only here")
	}
	p.filters = []subscription{s}
	return p.start()
}

// common are the arguments that both programs know.
func (p *mosquitto) common(id string) []string {
	version := map[int]string{3: "mqttv31", 4: "mqttv311", 5: "mqttv5"}[p.version]
	return append([]string{"-d", "-V", version, "-i", id}, p.where...)
}

// start runs mosquitto_sub, and returns the answer to its SUBSCRIBE.
func (p *mosquitto) start() (answer, error) {
	o := p.options
	args := append(p.common(o.ClientID), "-F", "%j")
	if !o.Clean {
		args = append(args, "-c")
	}
	if p.version == 5 {
		args = append(args, "-x", strconv.Itoa(int(o.SessionExpiry)))
	}
	if o.Will != nil {
		args = append(args, "--will-topic", o.Will.Topic, "--will-payload", string(o.Will.Payload), "--will-qos", strconv.Itoa(int(o.Will.QoS)))
	}
	for _, s := range p.filters {
		args = append(args, "-t", s.filter, "-q", strconv.Itoa(int(s.qos)))
		if s.id > 0 {
			args = append(args, "-D", "subscribe", "subscription-identifier", strconv.Itoa(s.id))
		}
	}
	cmd := exec.Command("stdbuf", append([]string{"-oL", "mosquitto_sub"}, args...)...) // lines come when they are printed
	out, err := cmd.StdoutPipe()
	if err != nil {
		return answer{}, err
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		return answer{}, err
	}
	p.sub, p.ended, p.answers = cmd, make(chan struct{}), make(chan answer, 2)
	answers, ended := p.answers, p.ended
	go func() {
		defer close(ended)
		p.read(out, answers)
		_ = cmd.Wait()
	}()
	select {
	case ans := <-answers:
		return ans, nil
	case <-ended:
		select {
		case ans := <-answers:
			return ans, nil
		default:
			return answer{}, fmt.Errorf("mosquitto_sub: %s", &stderr)
		}
	case <-time.After(patience):
		return answer{}, errors.New("mosquitto_sub has no SUBACK")
	}
}

var (
	connackLine = regexp.MustCompile(`received CONNACK \((\d+)\)`)
	subackLine  = regexp.MustCompile(`^Subscribed \(mid: \d+\): (\d+)`)
	pubackLine  = regexp.MustCompile(`received PUB(?:ACK|REC) \(Mid: \d+, RC:(\d+)\)`)
	reasonLine  = regexp.MustCompile(`(?m)^Warning: Publish \d+ failed: .*\n(.*)`)
)

// read takes what mosquitto_sub prints: messages as JSON, and the trace of -d.
func (p *mosquitto) read(out io.Reader, answers chan<- answer) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "{") {
			if m, err := decodeMosquitto([]byte(line)); err == nil {
				p.received <- m
			} else {
				p.received <- message{Topic: "not understood: " + err.Error(), Payload: []byte(line)}
			}
		} else if code, ok := codeIn(connackLine, line); ok && code > 0 {
			answers <- answer{Code: code}
		} else if code, ok := codeIn(subackLine, line); ok {
			answers <- answer{Code: code}
		}
	}
}

// codeIn is the number that the pattern finds in a text.
func codeIn(pattern *regexp.Regexp, text string) (int, bool) {
	found := pattern.FindStringSubmatch(text)
	if found == nil {
		return 0, false
	}
	code, err := strconv.Atoi(found[1])
	return code, err == nil
}

// pairs are user properties: an object in which a name may stand more than once.
type pairs [][2]string

// UnmarshalJSON implements json.Unmarshaler.
func (p *pairs) UnmarshalJSON(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	var texts []string
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if text, ok := token.(string); ok {
			texts = append(texts, text)
		}
	}
	for i := 0; i+1 < len(texts); i += 2 {
		*p = append(*p, [2]string{texts[i], texts[i+1]})
	}
	return nil
}

func decodeMosquitto(line []byte) (message, error) {
	var in struct {
		Topic      string `json:"topic"`
		QoS        byte   `json:"qos"`
		Retain     int    `json:"retain"`
		Payload    string `json:"payload"`
		Properties struct {
			ContentType     string `json:"content-type"`
			ResponseTopic   string `json:"response-topic"`
			CorrelationData string `json:"correlation-data"`
			MessageExpiry   uint32 `json:"message-expiry-interval"`
			PayloadFormat   byte   `json:"payload-format-indicator"`
			SubscriptionID  int    `json:"subscription-identifier"`
			UserProperties  pairs  `json:"user-properties"`
		} `json:"properties"`
	}
	if err := json.Unmarshal(line, &in); err != nil {
		return message{}, err
	}
	m := message{Topic: in.Topic, QoS: in.QoS, Retain: in.Retain == 1, Payload: []byte(in.Payload), Properties: properties{
		ContentType: in.Properties.ContentType, ResponseTopic: in.Properties.ResponseTopic,
		CorrelationData: []byte(in.Properties.CorrelationData), MessageExpiry: in.Properties.MessageExpiry,
		PayloadFormat: in.Properties.PayloadFormat, UserProperties: in.Properties.UserProperties,
	}}
	if id := in.Properties.SubscriptionID; id > 0 {
		m.Properties.SubscriptionIDs = []int{id}
	}
	return m, nil
}

func (p *mosquitto) publish(m message) (answer, error) {
	source := "-s"
	if len(m.Payload) == 0 {
		source = "-n"
	}
	return p.runPub(m, bytes.NewReader(m.Payload), source)
}

func (p *mosquitto) burst(m message, count int) error {
	var lines bytes.Buffer
	for i := range count {
		fmt.Fprintln(&lines, i)
	}
	_, err := p.runPub(m, &lines, "-l")
	return err
}

// runPub runs mosquitto_pub; source is the argument that tells where it takes payloads from.
func (p *mosquitto) runPub(m message, in io.Reader, source string) (answer, error) {
	args := append(p.common(p.options.ClientID+"-p"), "-t", m.Topic, "-q", strconv.Itoa(int(m.QoS)), source)
	if m.Retain {
		args = append(args, "-r")
	}
	property := func(name, value string) {
		if value != "" && value != "0" {
			args = append(args, "-D", "publish", name, value)
		}
	}
	property("content-type", m.Properties.ContentType)
	property("response-topic", m.Properties.ResponseTopic)
	property("correlation-data", string(m.Properties.CorrelationData))
	property("message-expiry-interval", strconv.Itoa(int(m.Properties.MessageExpiry)))
	property("payload-format-indicator", strconv.Itoa(int(m.Properties.PayloadFormat)))
	property("topic-alias", strconv.Itoa(int(m.Properties.TopicAlias)))
	for _, user := range m.Properties.UserProperties {
		args = append(args, "-D", "publish", "user-property", user[0], user[1])
	}
	cmd := exec.Command("mosquitto_pub", args...)
	var out, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, &out, &stderr
	if err := cmd.Run(); err != nil {
		return answer{}, fmt.Errorf("mosquitto_pub: %w: %s", err, &stderr)
	}
	var ans answer
	ans.Code, _ = codeIn(pubackLine, out.String())
	if reason := reasonLine.FindStringSubmatch(stderr.String()); reason != nil {
		ans.Reason = reason[1]
	}
	return ans, nil
}

func (p *mosquitto) disconnect() error { return p.end(syscall.SIGTERM) }

func (p *mosquitto) abort() error { return p.end(syscall.SIGKILL) }

func (p *mosquitto) end(how syscall.Signal) error {
	if p.sub == nil {
		return nil
	}
	sub := p.sub
	p.sub = nil
	if err := sub.Process.Signal(how); err != nil {
		return fmt.Errorf("mosquitto_sub: %w", err)
	}
	<-p.ended
	return nil
}

func (p *mosquitto) messages() <-chan message { return p.received }
