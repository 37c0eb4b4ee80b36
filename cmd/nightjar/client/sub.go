package client

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

const subLong = `Subscribe to topics of an MQTT server and print the messages as they come.

It ends on Ctrl-C, after -C messages, or after -W seconds. A topic filter that the server refuses is named on
standard error with the reason; if it refuses all of them, the command ends with status 1.
The flags are those of mosquitto_sub.

A format (-F) is text with fields: %t topic, %p payload, %x and %X payload in hexadecimal, %l its length, %q QoS,
%r retained (0 or 1), %m packet identifier, %j and %J JSON (with a JSON payload inside), %I ISO 8601 time, %U Unix
time, %% a percent sign; of MQTT 5: %A topic alias, %C content type, %D correlation data, %E message expiry,
%F payload format, %P user properties, %R response topic, %S subscription identifier. @Y @m @d @H @M @S and other
letters of strftime(3), and @N nanoseconds, tell the time. \n \t \e \0 and others are as in C. %-10.10t pads and cuts.

Exit status: 0 ended as asked, 1 refused, lost or timed out, 2 wrong command line.`

const subExamples = `  # Everything, with topics
  nightjar sub -t '#' -v

  # Wait up to 10 seconds for one message; the exit status says whether it came
  nightjar sub -t device/7/state -C 1 -W 10

  # One JSON object per line for jq, by MQTT 5 over TLS
  nightjar sub --url tls://broker.example.com -V 5 -t 'sensor/+/temperature' --json | jq .payload

  # A session that misses nothing while this command is not running
  nightjar sub -i recorder -c -q 1 -t 'orders/#' -F '%I %t %p' >>orders.log`

// subscribeFlags are the flags of sub.
type subscribeFlags struct {
	connectionFlags
	filters, filteredOut, unsubscribe []string
	count                             uint64
	timeoutSeconds                    float64
	noStale, retainedOnly             bool
	exitAfterSubscribe                bool
	noEOL, verbose, json, pretty      bool
	format                            string
}

// SubCommand returns the command `sub`, which subscribes and prints.
func SubCommand() *cobra.Command {
	f := new(subscribeFlags)
	cmd := &cobra.Command{
		Use:     "sub -t filter [-t filter ...] [flags]",
		Short:   "Subscribe to topics of an MQTT server and print the messages",
		Long:    subLong,
		Example: subExamples,
	}
	var groups flagGroups
	set := groups.add("Messages")
	set.StringArrayVarP(&f.filters, "topic", "t", nil, "topic `filter` to subscribe to, may be repeated")
	set.Uint8VarP(&f.qos, "qos", "q", 0, "highest `QoS` to receive")
	set.StringArrayVarP(&f.filteredOut, "filter-out", "T", nil, "do not print messages whose topic this `filter` covers, may be repeated")
	set.StringArrayVarP(&f.unsubscribe, "unsubscribe", "U", nil, "unsubscribe from this `filter`, may be repeated")
	set.BoolVarP(&f.noStale, "no-stale", "R", false, "do not print retained messages")
	set.BoolVar(&f.retainedOnly, "retained-only", false, "print only retained messages, and end at the first that is not")
	set.Uint64VarP(&f.count, "count", "C", 0, "end after this `number` of messages")
	set.Float64VarP(&f.timeoutSeconds, "timeout", "W", 0, "end after these `seconds`, with status 1")
	set.BoolVarP(&f.exitAfterSubscribe, "exit-after-subscribe", "E", false, "end when the server has answered the subscription")
	set = groups.add("Output")
	set.BoolVarP(&f.verbose, "verbose", "v", false, "print the topic before the payload")
	set.StringVarP(&f.format, "format", "F", "", "print by this `format`; see above")
	set.BoolVar(&f.json, "json", false, "print a JSON object per message, with the payload in base64 if it is not UTF-8; as -F %j")
	set.BoolVar(&f.pretty, "pretty", false, "indent JSON")
	set.BoolVarP(&f.noEOL, "no-eol", "N", false, "print no line end after a message")
	f.register(&groups)
	groups.install(cmd, func(cmd *cobra.Command) error { return finish(cmd, f.quiet, f.run(cmd)) })
	return cmd
}

func (f *subscribeFlags) run(cmd *cobra.Command) error {
	s, topic, err := f.settings(cmd)
	if err != nil {
		return err
	}
	if topic != "" {
		f.filters = append(f.filters, topic)
	}
	if err := f.check(); err != nil {
		return err
	}
	printer, err := f.printer(cmd)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if f.timeoutSeconds > 0 {
		var cancel context.CancelFunc
		wait := time.Duration(f.timeoutSeconds * float64(time.Second))
		ctx, cancel = context.WithTimeoutCause(ctx, wait, errTimedOut)
		defer cancel()
	}
	sub := newSubscriber(f, s.version, printer, cmd.ErrOrStderr())
	opened, err := open(ctx, s, receiver{take: sub.take, settled: sub.settled})
	if err == nil {
		err = sub.run(ctx, opened, s.answerTimeout)
		opened.disconnect()
	}
	if errors.Is(err, errTimedOut) {
		return fmt.Errorf("%w after %v s with %d messages", errTimedOut, f.timeoutSeconds, sub.printed())
	}
	if err != nil && ctx.Err() != nil {
		return nil // Ctrl-C is how a person ends it
	}
	return err
}

var errTimedOut = errors.New("timed out")

// check holds what goes together.
func (f *subscribeFlags) check() error {
	for _, filter := range slices.Concat(f.filters, f.filteredOut, f.unsubscribe) {
		if err := checkFilter(filter); err != nil {
			return err
		}
	}
	switch {
	case len(f.filters) == 0 && len(f.unsubscribe) == 0:
		return usagef("say what to subscribe to with -t")
	case f.set("count") && f.count == 0:
		return usagef("-C 0: want 1 or more")
	case f.set("timeout") && !(f.timeoutSeconds > 0 && f.timeoutSeconds < 1e9):
		return usagef("-W %v: want seconds, more than 0", f.timeoutSeconds)
	case f.noStale && f.retainedOnly:
		return usagef("-R and --retained-only leave nothing to print")
	case f.json && f.set("format"), f.json && f.verbose, f.verbose && f.set("format"):
		return usagef("--json, -F and -v each say how to print: use one")
	}
	return nil
}

// printer makes the format of the flags.
func (f *subscribeFlags) printer(cmd *cobra.Command) (*printer, error) {
	text, out := "%p", cmd.OutOrStdout()
	switch {
	case f.json:
		text = "%j"
	case f.verbose:
		text = paletteFor(out).topic("%t") + " %p"
	case f.set("format"):
		text = f.format
	}
	parsed, err := parseFormat(text)
	if !f.noEOL {
		parsed = append(parsed, piece{literal: "\n"})
	}
	return &printer{out: out, render: render{format: parsed, pretty: f.pretty}}, err
}
