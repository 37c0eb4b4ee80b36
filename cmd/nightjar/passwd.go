package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"nightjar/auth"
)

const passwdLong = `Change the password file that auth.password_file of the configuration names.

The password is asked for, or read from --password-file, or, where standard input is no terminal, from its first line. It is
never an argument: arguments can be seen by everybody on the machine. Only an argon2id hash of it is kept, and, for clients that
log in by SCRAM, what --scram adds: who has it, does so again with each new password.

A running broker takes the change over on SIGHUP (systemctl reload nightjar).`

const passwdExamples = `  # Add a user, or give one a new password
  nightjar passwd /etc/nightjar/passwords alice

  # Without being asked
  nightjar passwd /etc/nightjar/passwords alice --password-file alice.txt
  openssl rand -hex 16 | tee alice.txt | nightjar passwd /etc/nightjar/passwords alice

  # For a client that logs in by SCRAM-SHA-256 or SCRAM-SHA-512; a weak one with the fewest iterations
  nightjar passwd /etc/nightjar/passwords alice --scram
  nightjar passwd /etc/nightjar/passwords meter7 --scram=4096

  # Who there is, and one less
  nightjar passwd /etc/nightjar/passwords --list
  nightjar passwd /etc/nightjar/passwords alice --delete`

// passwdCommand edits password files.
func passwdCommand() *cobra.Command {
	var from string
	var remove, list bool
	var iterations int
	cmd := &cobra.Command{
		Use: "passwd FILE USER", Short: "Add a user to a password file, or change or delete one",
		Long: passwdLong, Example: passwdExamples,
	}
	cmd.Flags().StringVar(&from, "password-file", "", "read the password from the first line of this `FILE`; - is standard input")
	cmd.Flags().BoolVarP(&remove, "delete", "D", false, "delete the user")
	cmd.Flags().BoolVar(&list, "list", false, "list the users; no USER is given")
	cmd.Flags().IntVar(&iterations, "scram", 0, "add what SCRAM needs (enhanced authentication of MQTT 5), of so many `ITERATIONS`")
	cmd.Flags().Lookup("scram").NoOptDefVal = strconv.Itoa(auth.SCRAMIterations)
	cmd.MarkFlagsMutuallyExclusive("delete", "list", "password-file")
	cmd.MarkFlagsMutuallyExclusive("delete", "list", "scram")
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if list {
			return exactly(1, "FILE")(cmd, args)
		}
		return exactly(2, "FILE and USER")(cmd, args)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		switch file := args[0]; {
		case list:
			return listUsers(cmd.OutOrStdout(), file)
		case remove:
			return auth.DeleteUser(file, args[1])
		default:
			password, err := readPassword(cmd, from)
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("scram") {
				return auth.SetSCRAM(file, args[1], password, iterations)
			}
			return auth.SetPassword(file, args[1], password)
		}
	}
	return cmd
}

func listUsers(out io.Writer, file string) error {
	users, err := auth.Users(file)
	for _, user := range users {
		fmt.Fprintln(out, user)
	}
	return err
}

// readPassword gets the password from where it is not seen.
func readPassword(cmd *cobra.Command, from string) ([]byte, error) {
	stdin, isFile := cmd.InOrStdin().(*os.File)
	switch {
	case from != "" && from != "-":
		f, err := os.Open(from)
		if err != nil {
			return nil, fmt.Errorf("read the password: %w", err)
		}
		defer f.Close()
		return firstLine(f)
	case from == "" && isFile && term.IsTerminal(int(stdin.Fd())):
		return askPassword(cmd.ErrOrStderr(), int(stdin.Fd()))
	}
	return firstLine(cmd.InOrStdin())
}

// askPassword asks twice, without showing what is typed.
func askPassword(out io.Writer, terminal int) ([]byte, error) {
	var typed [2][]byte
	for i, prompt := range []string{"Password: ", "Again: "} {
		fmt.Fprint(out, prompt)
		var err error
		typed[i], err = term.ReadPassword(terminal)
		fmt.Fprintln(out)
		if err != nil {
			return nil, fmt.Errorf("read the password: %w", err)
		}
	}
	if !bytes.Equal(typed[0], typed[1]) {
		return nil, errors.New("the two passwords differ; nothing was changed")
	}
	return notEmpty(typed[0])
}

// firstLine reads a line without its end.
func firstLine(r io.Reader) ([]byte, error) {
	line, err := bufio.NewReader(r).ReadBytes('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read the password: %w", err)
	}
	return notEmpty(bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r")))
}

func notEmpty(password []byte) ([]byte, error) {
	if len(password) == 0 {
		return nil, errors.New("the password is empty; nothing was changed")
	}
	return password, nil
}
