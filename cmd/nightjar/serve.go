package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"nightjar/cmd/nightjar/logs"
	"nightjar/cmd/nightjar/node"
	"nightjar/configs"
)

const serveLong = `Without a configuration it listens on this machine only, for MQTT on 127.0.0.1:1883 and for MQTT over WebSocket on
ws://127.0.0.1:8083/mqtt, serves metrics and health on http://127.0.0.1:18083, and keeps its data in ./nightjar-data.
A listener that others can reach needs users: see 'nightjar passwd --help'.

Values come from flags, then from variables (NIGHTJAR_DATA__DIR is data.dir of the file), then from the file, then from
the defaults.

SIGHUP reads users, rules and certificates again. SIGTERM and SIGINT end the broker in good order, and a second one at once.

Exit status: 0 ended as asked, 1 failed while running, 2 wrong command line or configuration, 3 the store failed.`

const serveExamples = `  # MQTT and WebSocket on this machine
  nightjar serve --listen tcp://127.0.0.1:1883 --listen ws://127.0.0.1:8083/mqtt

  # With a configuration file, and more to see
  nightjar serve --config /etc/nightjar/nightjar.yaml --log-level debug

  # A throw-away broker for tests: nothing is stored, any free port is taken
  nightjar serve --listen tcp://127.0.0.1:0 --durability memory --admin off`

// logPatience is how long the last log lines may take to be written.
const logPatience = time.Second

// serveCommand runs the broker.
func serveCommand() *cobra.Command {
	var s settings
	cmd := &cobra.Command{
		Use: "serve", Short: "Run the broker (also without any command)", Long: "Run the broker.\n\n" + serveLong, Example: serveExamples,
		Args: exactly(0, "no arguments"),
	}
	s.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, warnings, err := s.load(cmd)
		if err != nil {
			return err
		}
		out := logs.New(os.Stderr)
		defer out.Close(logPatience)
		log := newLogger(c.Log, out)
		for _, w := range warnings {
			log.Warn("check the configuration", "warning", w.String())
		}
		return serve(c, log)
	}
	return cmd
}

// serve runs a broker until a signal or its store ends it.
func serve(c configs.Config, log *slog.Logger) error {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	surviveFileLimit()

	n, err := node.New(c, version, log)
	if err != nil {
		return err
	}
	if err := n.Start(); err != nil {
		_ = n.Shutdown(context.Background())
		return err
	}
	announce(c, n, log)
	n.NotifyReady()
	for {
		select {
		case <-n.Failed():
			return end(c, n, log, signals, "store failed")
		case sig := <-signals:
			if sig != syscall.SIGHUP {
				return end(c, n, log, signals, sig.String())
			}
			reload(n, log)
		}
	}
}

// reload reads again what may change while the broker runs.
func reload(n *node.Node, log *slog.Logger) {
	n.NotifyReloading()
	if err := n.Reload(); err != nil {
		log.Error("reload failed", "error", err)
	} else {
		log.Info("reloaded users, rules and certificates")
	}
	n.NotifyReady()
}

// end ends the broker in good order, or at once when a second signal comes.
func end(c configs.Config, n *node.Node, log *slog.Logger, signals <-chan os.Signal, why string) error {
	log.Info("stopping", "why", why, "timeout_ms", c.ShutdownTimeout.Milliseconds())
	n.NotifyStopping()
	ctx, cancel := context.WithTimeout(context.Background(), c.ShutdownTimeout)
	defer cancel()
	stopped := n.Stop(ctx)
	for {
		select {
		case err := <-stopped:
			if n.Err() != nil {
				return &failure{exitStoreFailed, n.Err()}
			}
			if err != nil {
				return &failure{exitStoreFailed, fmt.Errorf("close the store: %w", err)}
			}
			log.Info("stopped")
			return nil
		case sig := <-signals:
			if sig != syscall.SIGHUP {
				return fmt.Errorf("forced by a second signal (%v); what was acknowledged is stored", sig)
			}
		}
	}
}
