package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"nightjar/configs"
)

// settings are the flags that say how the broker works.
type settings struct {
	file   string
	listen []string
	single map[string]*string // of flags that stand for one key, by the flag's name
}

// flagKeys are the keys of the configuration that have a flag.
var flagKeys = []struct{ flag, key, help string }{
	{"data", "data.dir", "keep sessions and retained messages in the folder `DIR` (default ./nightjar-data)"},
	{"durability", "data.durability", "`MODE` is what an acknowledged message survives: strict (a power cut), relaxed (the end of the process), memory (nothing) (default strict)"},
	{"admin", "admin.url", "serve metrics and health at `URL`, or off (default http://127.0.0.1:18083)"},
	{"log-level", "log.level", "log from `LEVEL` on: debug, info, warn or error (default info)"},
	{"log-format", "log.format", "log in `FORMAT`: text, json, or auto: text on a terminal, json otherwise (default auto)"},
}

// add puts the flags on a command.
func (s *settings) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVarP(&s.file, "config", "c", "", "read the configuration from `FILE` (.yaml, .toml or .json)")
	flags.StringArrayVarP(&s.listen, "listen", "l", nil,
		"listen on `URL`, in place of all configured listeners: tcp://host:port, ws://host:port/path, unix:///path (tls:// and wss:// need a file); may be repeated")
	s.single = map[string]*string{}
	for _, f := range flagKeys {
		s.single[f.flag] = flags.String(f.flag, "", f.help)
	}
	_ = cmd.MarkFlagFilename("config", "yaml", "yml", "toml", "json") // the flag is there
	_ = cmd.MarkFlagDirname("data")
	for flag, values := range map[string][]string{
		"durability": {"strict", "relaxed", "memory"}, "log-level": {"debug", "info", "warn", "error"}, "log-format": {"auto", "text", "json"},
	} {
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	}
}

// load reads the configuration.
func (s *settings) load(cmd *cobra.Command) (configs.Config, []configs.Problem, error) {
	o := configs.Options{File: s.file, Listen: s.listen}
	for _, f := range flagKeys {
		if cmd.Flags().Changed(f.flag) {
			o.Flags = append(o.Flags, configs.Flag{Name: "--" + f.flag, Key: f.key, Value: *s.single[f.flag]})
		}
	}
	c, warnings, err := configs.Load(o)
	if faults, ok := errors.AsType[configs.Errors](err); ok {
		noun := "faults"
		if len(faults) == 1 {
			noun = "fault"
		}
		err = fmt.Errorf("%d %s in the configuration\n%w", len(faults), noun, faults)
	}
	if err != nil {
		return c, nil, usage(err)
	}
	return c, warnings, nil
}

// newLogger makes the logger, which writes to out.
func newLogger(c configs.Log, out io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Level)) // was checked by configs
	o := &slog.HandlerOptions{Level: level}
	if c.Format == "text" || c.Format == "auto" && terminal() {
		return slog.New(slog.NewTextHandler(out, o))
	}
	return slog.New(slog.NewJSONHandler(out, o))
}

// terminal tells whether a person reads what we say.
func terminal() bool { return term.IsTerminal(int(os.Stderr.Fd())) }
