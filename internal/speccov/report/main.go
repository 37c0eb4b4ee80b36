// Report counts the normative statements of MQTT that tests hold, and fails when the count falls or a statement has
// neither a test nor a reason.
//
//	go run ./internal/speccov/report            run the tests that cover statements, write docs/conformance.md
//	go run ./internal/speccov/report -from DIR  read what a test run has recorded in DIR already, write nothing
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"nightjar/internal/speccov"
)

// page is where the table is written, from the root of the repository.
const page = "docs/conformance.md"

func main() {
	from := flag.String("from", "", "folder of the records of a test run that is over")
	flag.Parse()
	if err := run(*from); err != nil {
		fmt.Fprintln(os.Stderr, "speccov:", err)
		os.Exit(1)
	}
}

func run(from string) error {
	write := from == ""
	if write {
		dir, err := os.MkdirTemp("", "speccov")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		if err := test(dir); err != nil {
			return err
		}
		from = dir
	}
	c, err := count(from)
	if err != nil {
		return err
	}
	c.print(os.Stdout)
	if write {
		if err := os.WriteFile(page, c.markdown(), 0o644); err != nil {
			return err
		}
	}
	return c.judge()
}

// test runs the packages whose tests cover statements.
func test(records string) error {
	list := exec.Command("go", "list", "-f", "{{.ImportPath}} {{.TestImports}} {{.XTestImports}}", "./...")
	list.Stderr = os.Stderr
	out, err := list.Output()
	if err != nil {
		return fmt.Errorf("list the packages: %w", err)
	}
	args := []string{"test", "-count=1", "-timeout=5m"}
	for line := range strings.Lines(string(out)) {
		name, imports, _ := strings.Cut(line, " ")
		if strings.Contains(imports, "nightjar/internal/speccov") && !strings.Contains(name, "internal/speccov") {
			args = append(args, name)
		}
	}
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), speccov.Variable+"="+records)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("run the tests that cover statements: %w", err)
	}
	return nil
}
