package client

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

// Exit statuses of the process.
const (
	exitFailure = 1 // refused, lost, timed out, unreadable
	exitUsage   = 2 // the command line is wrong
)

// ExitError is what the commands return when they fail. By then the reason has been printed to standard error
// (unless --quiet asked for silence), so the caller only has to end the process with Code.
type ExitError struct {
	Code int // 1: run-time failure, 2: usage
	Err  error
}

func (e *ExitError) Error() string { return e.Err.Error() }

// Unwrap gives the reason.
func (e *ExitError) Unwrap() error { return e.Err }

// usageError is a fault of the command line: nothing has been sent.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// finish prints why a command failed and turns it into an exit status.
func finish(cmd *cobra.Command, quiet bool, err error) error {
	if err == nil {
		return nil
	}
	exit := &ExitError{Code: exitFailure, Err: err}
	hint := ""
	if _, ok := errors.AsType[*usageError](err); ok {
		exit.Code = exitUsage
		hint = fmt.Sprintf("\nUse '%s --help' to see usage.", cmd.CommandPath())
	}
	if !quiet {
		out := cmd.ErrOrStderr()
		fmt.Fprintf(out, "%s %v%s\n", paletteFor(out).fault(cmd.CommandPath()+":"), err, hint)
	}
	return exit
}
