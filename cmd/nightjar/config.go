package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"nightjar/configs"
)

// configCommand shows configurations.
func configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "config", Short: "Show the configuration",
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usage(fmt.Errorf("wants print or defaults\nSee '%s --help'", cmd.CommandPath()))
		},
	}
	cmd.AddCommand(printCommand(), defaultsCommand())
	return cmd
}

func printCommand() *cobra.Command {
	var s settings
	var asJSON bool
	cmd := &cobra.Command{
		Use: "print", Short: "Print the configuration that counts, of file, variables and flags together",
		Long:    "Print the configuration that counts, of defaults, file, variables and flags together, as a file with every key. It holds no secrets.",
		Example: "  nightjar config print --config nightjar.yaml\n  NIGHTJAR_LOG__LEVEL=debug nightjar config print --json",
		Args:    exactly(0, "no arguments"),
	}
	s.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON in place of YAML")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, _, err := s.load(cmd)
		if err != nil {
			return err
		}
		return printConfig(cmd, &c, asJSON)
	}
	return cmd
}

func defaultsCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "defaults", Short: "Print a configuration file with every key, its default and what it is for",
		Example: "  nightjar config defaults > nightjar.yaml",
		Args:    exactly(0, "no arguments"),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON in place of YAML, without comments")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if !asJSON {
			_, err := cmd.OutOrStdout().Write(configs.Reference())
			return err
		}
		c := configs.Default()
		return printConfig(cmd, &c, true)
	}
	return cmd
}

func printConfig(cmd *cobra.Command, c *configs.Config, asJSON bool) error {
	text, err := c.YAML()
	if asJSON {
		text, err = c.JSON()
	}
	if err != nil {
		return err
	}
	_, err = cmd.OutOrStdout().Write(text)
	return err
}
