package client

import (
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

const pubLong = `Publish messages to an MQTT server.

One of -m, -f, -s, -l and -n says what to send. With QoS 1 or 2 the command ends when the server has
acknowledged every message, and ends with status 1 if it refused one; with QoS 0 there is no telling.
The flags are those of mosquitto_pub.

Exit status: 0 all sent, 1 refused, lost or timed out, 2 wrong command line.`

const pubExamples = `  # One message to a server on this machine
  nightjar pub -t home/kitchen/temperature -m 21.5

  # A retained message, acknowledged, to a server with TLS and a password that nobody else sees
  NIGHTJAR_PASSWORD=secret nightjar pub --url tls://broker.example.com -u me --cafile ca.pem -t device/7/state -m on -q 1 -r

  # MQTT 5 with properties: what the payload is, and how long it is of use
  nightjar pub -t log -f report.json -D publish content-type application/json -D publish message-expiry-interval 60

  # Each line of a running program as a message, over WebSocket
  tail -f app.log | nightjar pub --url ws://localhost:8083/mqtt -t logs/app -l -q 1`

// publishFlags are the flags of pub.
type publishFlags struct {
	connectionFlags
	topic              string
	text, file         string
	lines, stdin, null bool
	retain             bool
	repeat             uint32
	repeatDelaySeconds float64
	inflightMax        uint16
}

// PubCommand returns the command `pub`, which publishes messages.
func PubCommand() *cobra.Command {
	f := new(publishFlags)
	cmd := &cobra.Command{
		Use:     "pub -t topic {-m message | -f file | -s | -l | -n} [flags]",
		Short:   "Publish messages to an MQTT server",
		Long:    pubLong,
		Example: pubExamples,
	}
	var groups flagGroups
	set := groups.add("Message")
	set.StringVarP(&f.topic, "topic", "t", "", "`topic` to publish to")
	set.StringVarP(&f.text, "message", "m", "", "`payload`")
	set.StringVarP(&f.file, "file", "f", "", "send the contents of this `file`")
	set.BoolVarP(&f.stdin, "stdin-file", "s", false, "send all of standard input as one message")
	set.BoolVarP(&f.lines, "stdin-line", "l", false, "send each line of standard input as a message")
	set.BoolVarP(&f.null, "null-message", "n", false, "send an empty payload; with -r this clears the retained message")
	set.Uint8VarP(&f.qos, "qos", "q", 0, "`QoS`: 0 at most once, 1 at least once, 2 exactly once")
	set.BoolVarP(&f.retain, "retain", "r", false, "have the server keep it for later subscribers")
	set.Uint32Var(&f.repeat, "repeat", 1, "send it this `number` of times")
	set.Float64Var(&f.repeatDelaySeconds, "repeat-delay", 0, "wait these `seconds` between two times")
	set.Uint16VarP(&f.inflightMax, "max-inflight", "M", 20, "`number` of messages sent ahead of their acknowledgements")
	f.register(&groups)
	groups.install(cmd, func(cmd *cobra.Command) error { return finish(cmd, f.quiet, f.run(cmd)) })
	return cmd
}

func (f *publishFlags) run(cmd *cobra.Command) error {
	s, topic, err := f.settings(cmd)
	if err != nil {
		return err
	}
	if topic != "" && f.topic != "" {
		return usagef("the URL already has a topic (%s): leave -t out", topic)
	}
	if topic == "" {
		topic = f.topic
	}
	properties := s.properties[commandPublish]
	if topic == "" && properties.topicAlias == nil {
		return usagef("say where to publish with -t")
	}
	if err := f.check(topic); err != nil {
		return err
	}
	next, err := f.source(cmd)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	opened, err := open(ctx, s, receiver{take: func(*message) bool { return false }, settled: func() {}})
	if err != nil {
		return err
	}
	defer opened.disconnect()
	p := &publisher{
		session: opened, answerTimeout: s.answerTimeout, inflightMax: int(f.inflightMax),
		template: message{topic: topic, qos: f.qos, retain: f.retain, properties: properties},
		pause:    time.Duration(f.repeatDelaySeconds * float64(time.Second)),
	}
	return p.run(ctx, next)
}

// check holds what goes together.
func (f *publishFlags) check(topic string) error {
	sources := 0
	for _, name := range []string{"message", "file", "stdin-file", "stdin-line", "null-message"} {
		if f.set(name) {
			sources++
		}
	}
	switch {
	case sources != 1:
		return usagef("say what to send with one of -m, -f, -s, -l and -n")
	case f.lines && (f.set("repeat") || f.set("repeat-delay")):
		return usagef("--repeat and --repeat-delay do not go with -l")
	case f.repeat == 0:
		return usagef("--repeat 0: want 1 or more")
	case !(f.repeatDelaySeconds >= 0 && f.repeatDelaySeconds <= math.MaxInt32):
		return usagef("--repeat-delay %v: want seconds, 0 or more", f.repeatDelaySeconds)
	case f.inflightMax == 0:
		return usagef("-M 0: want 1 or more")
	case topic == "":
		return nil // a Topic Alias stands for it
	}
	return checkName(topic)
}

// payloadBytesMax is the largest Remaining Length: what a packet can hold at most.
const payloadBytesMax = 268_435_455

// source opens what is to be sent.
func (f *publishFlags) source(cmd *cobra.Command) (payloads, error) {
	payload := []byte(f.text)
	var err error
	switch {
	case f.lines:
		return lines(cmd.InOrStdin()), nil
	case f.set("file"):
		payload, err = os.ReadFile(f.file)
	case f.stdin:
		payload, err = io.ReadAll(cmd.InOrStdin())
	}
	if err != nil {
		return nil, fmt.Errorf("read message: %w", err)
	}
	if len(payload) > payloadBytesMax {
		return nil, fmt.Errorf("read message: %d bytes are more than an MQTT packet can hold (%d)", len(payload), payloadBytesMax)
	}
	return repeated(payload, f.repeat), nil
}
