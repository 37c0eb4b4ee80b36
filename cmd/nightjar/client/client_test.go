package client

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// versions are the values of -V that every test of behaviour runs with.
var versions = []string{"31", "311", "5"}

// each runs a test for every version, with a topic of its own.
func each(t *testing.T, test func(t *testing.T, version, topic string)) {
	for _, version := range versions {
		t.Run("V"+version, func(t *testing.T) { test(t, version, strings.ReplaceAll(t.Name(), "#", "_")) })
	}
}

func TestDelivery(t *testing.T) {
	m := broker(t)
	servers := map[string][]string{
		"tcp":      {"-p", m.tcp},
		"tcp url":  {"-L", "mqtt://localhost:" + m.tcp},
		"unix":     {"--unix", m.unix},
		"unix url": {"--url", "unix://" + m.unix},
		"tls":      {"-p", m.tls, "--cafile", m.file("ca.pem")},
		"tls url":  {"--url", "tls://localhost:" + m.tls, "--cafile", m.file("ca.pem")},
	}
	if m.ws != "" {
		servers["ws"] = []string{"--url", "ws://localhost:" + m.ws}
	}
	for name, server := range servers {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, version, topic string) {
				args := append([]string{"-V", version, "-t", topic}, server...)
				sub := subscribed(t, append(args, "-q", "2", "-C", "3", "-F", "%t %q %l %p %r")...)
				var want string
				for qos := range 3 {
					run(t, 0, append([]string{"pub", "-q", fmt.Sprint(qos), "-m", fmt.Sprintf("message %d", qos)}, args...)...)
					want += fmt.Sprintf("%s %d 9 message %d 0\n", topic, qos, qos)
				}
				if got, _ := sub.ends(0); got != want {
					t.Errorf("got %q, want %q", got, want)
				}
			})
		})
	}
}

func TestSources(t *testing.T) {
	m := broker(t)
	file := filepath.Join(t.TempDir(), "payload")
	if err := os.WriteFile(file, []byte("two\nlines\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, stdin string
		args        []string
		want        []string
	}{
		{"message", "", []string{"-m", "-x"}, []string{"-x"}},
		{"null", "", []string{"-n"}, []string{""}},
		{"file", "", []string{"-f", file}, []string{"two\nlines\n"}},
		{"stdin", "all\nof it", []string{"-s"}, []string{"all\nof it"}},
		{"lines", "a\n\nb\r\nc", []string{"-l"}, []string{"a", "", "b\r", "c"}},
		{"repeat", "", []string{"-m", "again", "--repeat", "3", "--repeat-delay", "0.01"}, []string{"again", "again", "again"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			each(t, func(t *testing.T, version, topic string) {
				sub := subscribed(t, "-p", m.tcp, "-V", version, "-t", topic, "-q", "1", "-N", "-F", `%p\0`, "-C", fmt.Sprint(len(tt.want)))
				start(t, strings.NewReader(tt.stdin), append([]string{"pub", "-p", m.tcp, "-V", version, "-t", topic, "-q", "1"}, tt.args...)...).ends(0)
				if got, _ := sub.ends(0); got != strings.Join(tt.want, "\x00")+"\x00" {
					t.Errorf("got %q, want %q", got, tt.want)
				}
			})
		})
	}
}

// Many lines keep their order although they are sent ahead of their acknowledgements.
func TestManyLinesInOrder(t *testing.T) {
	m := broker(t)
	each(t, func(t *testing.T, version, topic string) {
		for _, qos := range []string{"0", "1", "2"} {
			var input strings.Builder
			for i := range 700 {
				fmt.Fprintf(&input, "%d\n", i)
			}
			sub := subscribed(t, "-p", m.tcp, "-V", version, "-t", topic, "-q", qos, "-C", "700")
			start(t, strings.NewReader(input.String()), "pub", "-p", m.tcp, "-V", version, "-t", topic, "-q", qos, "-l").ends(0)
			if got, _ := sub.ends(0); got != input.String() {
				t.Errorf("QoS %s: got %d bytes out of order", qos, len(got))
			}
		}
	})
}

func TestRetained(t *testing.T) {
	m := broker(t)
	each(t, func(t *testing.T, version, topic string) {
		server := []string{"-p", m.tcp, "-V", version, "-t"}
		sub := func(topic string, more ...string) *program {
			return start(t, nil, append(append([]string{"sub"}, append(server, topic)...), more...)...)
		}
		pub := func(topic string, more ...string) {
			t.Helper()
			run(t, 0, append(append([]string{"pub", "-q", "1"}, append(server, topic)...), more...)...)
		}
		pub(topic+"/a", "-r", "-m", "kept")
		if got, _ := sub(topic+"/a", "-F", "%p %r", "-C", "1").ends(0); got != "kept 1\n" {
			t.Errorf("got %q", got)
		}
		// -R: the retained message is not the one that is counted.
		stale := subscribed(t, append(server, topic+"/a", "-R", "-C", "1")...)
		pub(topic+"/a", "-m", "fresh")
		if got, _ := stale.ends(0); got != "fresh\n" {
			t.Errorf("-R: got %q", got)
		}
		// --retained-only: the message that is not retained ends it.
		only := subscribed(t, append(server, topic+"/#", "--retained-only")...)
		only.out.await(t, "kept")
		pub(topic+"/b", "-m", "fresh")
		if got, _ := only.ends(0); got != "kept\n" {
			t.Errorf("--retained-only: got %q", got)
		}
		pub(topic+"/a", "-r", "-n")
		if got, stderr := sub(topic+"/a", "-W", "0.2").ends(1); got != "" || !strings.Contains(stderr, "timed out after 0.2 s with 0 messages") {
			t.Errorf("cleared: got %q, %q", got, stderr)
		}
	})
}

func TestFilters(t *testing.T) {
	m := broker(t)
	each(t, func(t *testing.T, version, topic string) {
		server := []string{"-p", m.tcp, "-V", version}
		sub := subscribed(t, append(server, "-t", topic+"/#", "-t", topic+"/other", "-T", topic+"/+/noise", "-U", topic+"/other", "-v", "-C", "2")...)
		sub.err.await(t, "received UNSUBACK")
		for _, t2 := range []string{"/a/noise", "/a/signal", "/b/noise", "/b/signal"} {
			run(t, 0, append([]string{"pub", "-t", topic + t2, "-m", "x"}, server...)...)
		}
		if got, _ := sub.ends(0); got != topic+"/a/signal x\n"+topic+"/b/signal x\n" {
			t.Errorf("got %q", got)
		}
	})
}

// What comes after the last message asked for is left with the server, and nothing is delivered twice.
func TestSessionKeepsTheRest(t *testing.T) {
	m := broker(t)
	each(t, func(t *testing.T, version, topic string) {
		for _, qos := range []string{"1", "2"} {
			at := []string{"-p", m.tcp, "-V", version, "-q", qos, "-t", topic + qos}
			sub := append([]string{"sub", "-i", "keep-" + version + "-" + qos}, at...)
			run(t, 0, append(sub, "-E")...) // ends what an earlier run may have left
			sub = append(sub, "-c")
			run(t, 0, append(sub, "-E")...)
			start(t, strings.NewReader("1\n2\n3\n4\n"), append([]string{"pub", "-l"}, at...)...).ends(0)
			var got []string
			for range 4 {
				out, _ := run(t, 0, append(sub, "-C", "1", "-W", "10")...)
				got = append(got, out)
			}
			if want := []string{"1\n", "2\n", "3\n", "4\n"}; !slices.Equal(got, want) {
				t.Errorf("QoS %s: got %q, want %q", qos, got, want)
			}
		}
	})
}

func TestJSON(t *testing.T) {
	m := broker(t)
	each(t, func(t *testing.T, version, topic string) {
		sub := subscribed(t, "-p", m.tcp, "-V", version, "-t", topic, "-q", "1", "--json", "-C", "2")
		for _, payload := range []string{"<é\n\">", "\xff\x00"} {
			start(t, strings.NewReader(payload), "pub", "-p", m.tcp, "-V", version, "-t", topic, "-q", "1", "-s").ends(0)
		}
		out, _ := sub.ends(0)
		lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
		if len(lines) != 2 {
			t.Fatalf("got %q", out)
		}
		var text, binary map[string]any
		if err := json.Unmarshal([]byte(lines[0]), &text); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(lines[1]), &binary); err != nil {
			t.Fatal(err)
		}
		if text["topic"] != topic || text["payload"] != "<é\n\">" || text["qos"] != 1.0 || text["retain"] != 0.0 || text["mid"] != 1.0 || text["payloadlen"] != 6.0 || text["tst"] == "" {
			t.Errorf("text: %s", lines[0])
		}
		if binary["payload"] != "/wA=" || binary["payload-encoding"] != "base64" {
			t.Errorf("binary: %s", lines[1])
		}
	})
}

func TestProperties(t *testing.T) {
	m := broker(t)
	const topic = "TestProperties"
	server := []string{"-p", m.tcp, "-t", topic, "-D", "connect", "user-property", "who", "me"}
	plain := subscribed(t, append(server, "-D", "subscribe", "subscription-identifier", "7", "-F", "%P|%C|%R|%D|%E|%F|%S|%A|", "-C", "1")...)
	asJSON := subscribed(t, append(server, "--json", "-C", "1")...)
	run(t, 0, append([]string{
		"pub", "-q", "1", "-m", "x", "-D", "publish", "user-property", "k", "-v", "-D", "PUBLISH", "user-property", "k", "2",
		"-D", "publish", "content-type", "text/plain", "-D", "publish", "response-topic", "re/ply", "-D", "publish", "correlation-data", "c1",
		"-D", "publish", "message-expiry-interval", "100", "--property", "publish", "payload-format-indicator", "1",
	}, server...)...)
	if got, _ := plain.ends(0); got != "k:-v k:2|text/plain|re/ply|c1|100|1|7||\n" {
		t.Errorf("got %q", got)
	}
	got, _ := asJSON.ends(0)
	contains(t, got, `"properties":{"content-type":"text/plain","correlation-data":"c1","message-expiry-interval":100,"payload-format-indicator":1,`+
		`"response-topic":"re/ply","user-properties":[{"name":"k","value":"-v"},{"name":"k","value":"2"}]}`)
}

func TestTopicAlias(t *testing.T) {
	m := broker(t)
	const topic = "TestTopicAlias"
	sub := subscribed(t, "-p", m.tcp, "-V", "5", "-t", topic, "-v", "-C", "2")
	run(t, 0, "pub", "-p", m.tcp, "-t", topic, "-m", "x", "--repeat", "2", "-D", "publish", "topic-alias", "3")
	if got, _ := sub.ends(0); got != strings.Repeat(topic+" x\n", 2) {
		t.Errorf("got %q", got)
	}
	_, stderr := run(t, 1, "pub", "-p", m.tcp, "-t", topic, "-m", "x", "-D", "publish", "topic-alias", "300")
	contains(t, stderr, "Topic Alias Maximum")
}

func TestWill(t *testing.T) {
	m := broker(t)
	each(t, func(t *testing.T, version, topic string) {
		server := []string{"-p", m.tcp, "-V", version}
		format := "%p %q"
		if version == "5" {
			format = "%p %q%C %R %D %F %E %P"
		}
		watcher := subscribed(t, append(server, "-t", topic, "-q", "1", "-R", "-F", format, "-C", "1")...)
		want := "it died 1\n"
		if version == "5" {
			server = append(server, "-D", "will", "content-type", "/obituary", "-D", "will", "response-topic", "re", "-D", "will", "correlation-data", "co",
				"-D", "will", "payload-format-indicator", "1", "-D", "will", "message-expiry-interval", "60", "-D", "will", "user-property", "k", "v")
			want = "it died 1/obituary re co 1 60 k:v\n"
		}
		victim, errs := process(t, append([]string{
			"sub", "-d", "-t", topic + "/nothing", "--will-topic", topic, "--will-payload", "it died", "--will-qos", "1", "--will-retain",
		}, server...)...)
		errs.await(t, "received SUBACK")
		if err := victim.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = victim.Wait()
		if got, _ := watcher.ends(0); got != want {
			t.Errorf("got %q", got)
		}
		if got, _ := run(t, 0, append([]string{"sub", "-t", topic, "-F", "%r", "-C", "1"}, server...)...); got != "1\n" {
			t.Errorf("retained: got %q", got)
		}
	})
}

func TestKeepAlive(t *testing.T) {
	m := broker(t)
	each(t, func(t *testing.T, version, topic string) {
		t.Parallel() // a second each
		subscribed(t, "-p", m.tcp, "-V", version, "-t", topic, "-k", "1").err.await(t, "received PINGRESP")
	})
}

func TestInterruptEndsCleanly(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Log("a process cannot be sent an interrupt on Windows; ending by context is the same path")
		return
	}
	m := broker(t)
	each(t, func(t *testing.T, version, topic string) {
		sub, errs := process(t, "sub", "-d", "-p", m.tcp, "-V", version, "-t", topic)
		errs.await(t, "received SUBACK")
		if err := sub.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		if err := sub.Wait(); err != nil {
			t.Errorf("ended with %v: %s", err, errs)
		}
		contains(t, errs.String(), "sending DISCONNECT")
	})
}

func TestPassword(t *testing.T) {
	m := broker(t)
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("p@ss word\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	refusals := map[string]string{
		"31":  "connection refused: not authorized (0x05)",
		"311": "connection refused: not authorized (0x05)",
		"5":   "connection refused: not authorized (0x87)",
	}
	each(t, func(t *testing.T, version, topic string) {
		pub := []string{"pub", "-V", version, "-q", "1", "-m", "x"}
		at := append(pub, "-p", m.auth, "-t", topic)
		for _, wrong := range [][]string{{}, {"-u", "ann"}, {"-u", "ann", "-P", "wrong"}} {
			_, stderr := run(t, 1, append(at, wrong...)...)
			contains(t, stderr, refusals[version])
		}
		if _, stderr := run(t, 1, append(at, "--quiet")...); stderr != "" {
			t.Errorf("--quiet said %q", stderr)
		}
		run(t, 0, append(at, "-u", "ann", "-P", "p@ss word")...)
		run(t, 0, append(at, "-u", "ann", "--password-file", file)...)
		run(t, 0, append(pub, "-L", "mqtt://ann:p%40ss%20word@localhost:"+m.auth+"/"+topic)...)
		t.Setenv(passwordVariable, "p@ss word")
		run(t, 0, append(at, "-u", "ann")...)
	})
}

func TestTLS(t *testing.T) {
	m := broker(t)
	each(t, func(t *testing.T, version, topic string) {
		pub := func(want int, args ...string) string {
			t.Helper()
			_, stderr := run(t, want, append([]string{"pub", "-V", version, "-t", topic, "-m", "x", "-q", "1"}, args...)...)
			return stderr
		}
		ca, client := m.file("ca.pem"), []string{"--cert", m.file("client.pem"), "--key", m.file("client.key")}
		contains(t, pub(1, "-p", m.tls, "--cafile", m.file("other.pem")), "certificate signed by unknown authority")
		contains(t, pub(1, "-p", m.tls, "--tls-use-os-certs"), "certificate signed by unknown authority")
		contains(t, pub(1, "-h", "127.0.0.1", "-p", m.tls, "--cafile", ca), "127.0.0.1")
		pub(0, "-h", "127.0.0.1", "-p", m.tls, "--cafile", ca, "--insecure")
		contains(t, pub(1, "-p", m.tls, "--cafile", m.file("other.pem"), "--insecure"), "unknown authority")
		pub(0, "-p", m.tls, "--insecure")
		pub(0, "-p", m.tls, "--capath", m.dir)
		pub(1, "-p", m.mutual, "--cafile", ca)
		pub(0, append(client, "-p", m.mutual, "--cafile", ca)...)
		contains(t, pub(1, "-p", m.tls, "--cafile", m.file("server.key")), "holds no PEM certificate")
	})
}

func TestHelp(t *testing.T) {
	for _, command := range []string{"pub", "sub"} {
		stdout, _ := run(t, 0, command, "--help")
		contains(t, stdout, "Examples:", "--property command property value", "process list", "-h, --host")
		if examples := strings.Count(stdout, "\n  # "); examples < 3 || examples > 4 {
			t.Errorf("%s: %d examples", command, examples)
		}
	}
}

func TestCompletionOffersFlags(t *testing.T) {
	stdout, _ := run(t, 0, "__complete", "pub", "--will-")
	contains(t, stdout, "--will-topic", "--will-qos")
}
