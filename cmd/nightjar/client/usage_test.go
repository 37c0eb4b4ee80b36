package client

import (
	"strings"
	"testing"
)

// Every fault of the command line ends with status 2 before anything is sent, and says what to do.
func TestUsageErrors(t *testing.T) {
	tests := []struct{ args, want string }{
		{"pub", "where to publish"},
		{"pub -t b", "one of -m, -f, -s, -l and -n"},
		{"pub -m x", "where to publish with -t"},
		{"pub -t a", "one of -m, -f, -s, -l and -n"},
		{"pub -t a -m x -n", "one of -m, -f, -s, -l and -n"},
		{"pub -t a/# -m x", "wildcard"},
		{"pub -t a -m x -q 3", "want 0, 1 or 2"},
		{"pub -t a -m x extra", `unexpected argument "extra"`},
		{"pub -t a -m x --nonsense", "unknown flag"},
		{"pub -t a -l --repeat 2", "do not go with -l"},
		{"pub -t a -m x --repeat 0", "want 1 or more"},
		{"pub -t a -m x --repeat-delay -1", "0 or more"},
		{"pub -t a -m x -M 0", "want 1 or more"},
		{"pub -t a -m x -p 0", "1 to 65535"},
		{"pub -t a -m x -L mqtt://h/b", "already has a topic"},
		{"pub -m x -L mqtt://h/b -h h", "leave -h, -p and --unix out"},
		{"pub -t a -m x --unix /s -p 1", "leave -h and -p out"},
		{"pub -m x -L http://u:secret@h/b", "@h/b"},
		{"pub -m x -L mqtt:///b", "want scheme://"},
		{"pub -t a -m x -V 4", "want 31, 311 or 5"},
		{"pub -t a -m x -c", "needs -i"},
		{"pub -t a -m x -i a -I b", "use one"},
		{"pub -t a -m x -P p", "user name"},
		{"pub -t a -m x -P p --password-file f", "use one"},
		{"pub -t a -m x --will-qos 1", "needs --will-topic"},
		{"pub -t a -m x --will-topic +", "wildcard"},
		{"pub -t a -m x -V 311 -x 1", "use -V 5"},
		{"pub -t a -m x -x -2", "-1 for ever"},
		{"pub -t a -m x -D", "-D wants"},
		{"pub -t a -m x -D publish nonsense 1", "no such property"},
		{"pub -t a -m x -D nonsense content-type 1", "connect, will, publish"},
		{"pub -t a -m x -D connect content-type 1", "no such property there"},
		{"pub -t a -m x -D publish topic-alias 0", "from 1 to 65535"},
		{"pub -t a -m x -D publish payload-format-indicator 2", "want 0 or 1"},
		{"pub -t a -m x -D publish user-property k", "a name and a value"},
		{"pub -t a -m x --cert c", "go together"},
		{"pub -t a -m x --cafile c --unix /s", "do not fit"},
		{"pub -t a -m x --answer-timeout 0s", "more than 0"},
		{"pub -t a -m x -A nowhere.invalid", "-A"},
		{"sub", "subscribe to with -t"},
		{"sub -t a/#/b", "misplaced wildcard"},
		{"sub -t $share/a", "shared subscription"},
		{"sub -t a -C 0", "want 1 or more"},
		{"sub -t a -W 0", "more than 0"},
		{"sub -t a -R --retained-only", "nothing to print"},
		{"sub -t a -v --json", "use one"},
		{"sub -t a -F %k", "unknown field %k"},
		{"sub -t a -F %", "says nothing"},
		{`sub -t a -F \q`, "unknown escape"},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			_, stderr := run(t, exitUsage, strings.Fields(tt.args)...)
			contains(t, stderr, tt.want, "--help' to see usage")
			if strings.Contains(stderr, "secret") {
				t.Error("the password is shown")
			}
		})
	}
}

func TestParseTarget(t *testing.T) {
	tests := []struct {
		raw  string
		want target
	}{
		{"mqtt://h", target{endpoint: endpoint{network: "tcp", address: "h:1883"}}},
		{"mqtt://h/a/+/#", target{endpoint: endpoint{network: "tcp", address: "h:1883"}, topic: "a/+/#"}},
		{"MQTTS://u:p%40%2F@h:1/t", target{endpoint: endpoint{network: "tls", address: "h:1"}, username: "u", password: "p@/", hasPassword: true, topic: "t"}},
		{"tls://[::1]/t", target{endpoint: endpoint{network: "tls", address: "[::1]:8883"}, topic: "t"}},
		{"ws://h", target{endpoint: endpoint{network: "ws", address: "h:80", path: "/mqtt"}}},
		{"wss://h:9/a?b=c", target{endpoint: endpoint{network: "wss", address: "h:9", path: "/a?b=c"}}},
		{"unix:///run/s", target{endpoint: endpoint{network: "unix", address: "/run/s"}}},
	}
	for _, tt := range tests {
		if got, err := parseTarget(tt.raw); got != tt.want || err != nil {
			t.Errorf("%s: got %+v, %v, want %+v", tt.raw, got, err, tt.want)
		}
	}
}
