package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"nightjar/cmd/nightjar/node"
	"nightjar/configs"
)

// durabilities say what an acknowledged message survives.
var durabilities = map[string]string{
	"strict":  "acknowledged is on disk, and survives a power cut",
	"relaxed": "acknowledged survives the end of the process; a power cut may take the last moments",
	"memory":  "nothing is stored; sessions and retained messages end with the broker",
}

// announce tells what listens where and what is kept: to a person at a terminal, or in a log line.
func announce(c configs.Config, n *node.Node, log *slog.Logger) {
	dir := c.Data.Dir
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	if c.Data.Durability == "memory" {
		dir = ""
	}
	if c.Log.Format == "auto" && terminal() {
		banner(c, n, dir)
		return
	}
	listeners := make([]string, 0, len(n.Listeners()))
	for _, ln := range n.Listeners() {
		listeners = append(listeners, ln.URL)
	}
	log.Info("ready", "version", version, "listeners", listeners, "admin", n.AdminURL(),
		"durability", c.Data.Durability, "data", dir, "pid", os.Getpid())
}

func banner(c configs.Config, n *node.Node, dir string) {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 3, ' ', 0)
	for _, ln := range n.Listeners() {
		who := "users only"
		if ln.Anonymous {
			who = "open to every client that reaches it"
		}
		fmt.Fprintf(w, "  %s\t%s\t%s\n", ln.Name, ln.URL, who)
	}
	if url := n.AdminURL(); url != "" {
		fmt.Fprintf(w, "  admin\t%s\t/metrics /healthz /readyz\n", url)
	}
	if dir != "" {
		fmt.Fprintf(w, "  data\t%s\t\n", dir)
	}
	fmt.Fprintf(w, "  %s\t%s\n", c.Data.Durability, durabilities[c.Data.Durability])
	_ = w.Flush() // into memory
	fmt.Fprintf(os.Stderr, "Nightjar %s is ready\n\n%s\nCtrl-C ends it. Try, in two other terminals: nightjar sub -t '#' -v, and nightjar pub -t hello -m world\n\n", version, b.String())
}
