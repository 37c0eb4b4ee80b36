package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"nightjar/auth"
	"nightjar/configs"
	"nightjar/transports"
)

// checkCommand validates everything that can be without serving.
func checkCommand() *cobra.Command {
	var s settings
	cmd := &cobra.Command{
		Use: "check", Short: "Check the configuration, and the files that it names",
		Long: "Check the configuration as `nightjar serve` would use it, with the password file, the ACL file and the TLS files that it names.\n" +
			"Nothing is opened or changed. Everything that is wrong is told at once.\n\nExit status: 0 it would start, 2 it would not.",
		Example: "  nightjar check --config /etc/nightjar/nightjar.yaml",
		Args:    exactly(0, "no arguments"),
	}
	s.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, warnings, err := s.load(cmd)
		if err != nil {
			return err
		}
		more, err := checkFiles(&c)
		if err != nil {
			return usage(err)
		}
		for _, w := range warnings {
			fmt.Fprintln(cmd.ErrOrStderr(), "warning:", w)
		}
		for _, w := range more {
			fmt.Fprintln(cmd.ErrOrStderr(), "warning:", w)
		}
		fmt.Fprintf(cmd.OutOrStdout(), "configuration is good: %d listeners, durability %s\n", len(c.Listeners), c.Data.Durability)
		return nil
	}
	return cmd
}

// checkFiles reads all files that the configuration names.
func checkFiles(c *configs.Config) (warnings []string, err error) {
	var errs []error
	a, err := auth.Open(c.AuthConfig())
	if err != nil {
		errs = append(errs, err)
	} else {
		warnings = a.Warnings()
	}
	for i := range c.Listeners {
		if files, secure := c.Listeners[i].TLSFiles(); secure {
			if _, err := transports.LoadTLS(files); err != nil {
				errs = append(errs, fmt.Errorf("listener %q: %w", c.Listeners[i].Name, err))
			}
		}
	}
	return warnings, errors.Join(errs...)
}
