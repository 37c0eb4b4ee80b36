// Command nightjar is an MQTT broker, and the tools that go with it. See docs/cli.md.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"nightjar/cmd/nightjar/client"
)

// version is set by -ldflags "-X main.version=v1.2.3".
var version = "dev"

// Exit codes of the program.
const (
	exitOK          = 0
	exitRunTime     = 1 // something failed while running
	exitUsage       = 2 // the command line or the configuration is wrong
	exitStoreFailed = 3 // the store failed: nothing acknowledged is lost, a restart goes on from there
)

// failure is an error with an exit code of its own.
type failure struct {
	code int
	err  error
}

func (f *failure) Error() string { return f.err.Error() }

func (f *failure) Unwrap() error { return f.err }

// usage makes an error of a wrong command line or configuration.
func usage(err error) error { return &failure{exitUsage, err} }

func main() { os.Exit(run(os.Args[1:], os.Stderr)) }

// run runs a command line and returns the exit code.
func run(args []string, stderr io.Writer) int {
	root := rootCommand()
	root.SetArgs(args)
	return exitCode(root.Execute(), stderr)
}

// exitCode prints an error, if nobody has, and returns its exit code.
func exitCode(err error, stderr io.Writer) int {
	if err == nil {
		return exitOK
	}
	if ended, ok := errors.AsType[*client.ExitError](err); ok {
		return ended.Code // said why itself
	}
	fmt.Fprintf(stderr, "nightjar: %v\n", err)
	if f, ok := errors.AsType[*failure](err); ok {
		return f.code
	}
	return exitRunTime
}

const rootExamples = `  # A broker for this machine, with its data in ./nightjar-data
  nightjar

  # The same, reachable from the network: who may connect must be said first
  nightjar passwd passwords alice
  NIGHTJAR_AUTH__PASSWORD_FILE=passwords nightjar --listen tcp://0.0.0.0:1883

  # Watch everything, and send something, from two other terminals
  nightjar sub -t '#' -v
  nightjar pub -t home/kitchen/temperature -m 21.5

  # Start a configuration file, look at it, check it, use it
  nightjar config defaults > nightjar.yaml
  nightjar check --config nightjar.yaml
  nightjar --config nightjar.yaml`

// rootCommand is the whole command line.
func rootCommand() *cobra.Command {
	root := serveCommand()
	root.Use = "nightjar"
	root.Short = "An MQTT broker"
	root.Long = "Nightjar is an MQTT broker for 3.1, 3.1.1 and 5, over TCP, TLS, WebSocket and Unix sockets.\n\n" +
		"Without a command it serves: `nightjar` is `nightjar serve`.\n\n" + serveLong
	root.Example = rootExamples
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage(fmt.Errorf("%w\nSee '%s --help'", err, cmd.CommandPath()))
	})
	root.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		hint := ""
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			hint = fmt.Sprintf(" (did you mean %q?)", near[0])
		}
		return usage(fmt.Errorf("unknown command %q%s\nSee 'nightjar --help'", args[0], hint))
	}
	root.SuggestionsMinimumDistance = 2
	root.Version = thisBuild().String()
	root.SetVersionTemplate("{{.Version}}\n")
	root.AddCommand(serveCommand(), checkCommand(), configCommand(), passwdCommand(),
		client.PubCommand(), client.SubCommand(), versionCommand(), manCommand())
	return root
}

// exactly is cobra.ExactArgs with the exit code of usage errors.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == n {
			return nil
		}
		return usage(fmt.Errorf("wants %s, and got %d arguments\nUsage: %s", what, len(args), cmd.UseLine()))
	}
}
