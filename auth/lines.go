package auth

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of files.
const (
	maxFileBytes  = 256 << 20 // of one file
	maxFileFaults = 20        // faults reported of one file
)

// readFile returns the contents of a regular file. A directory, a device or a pipe in its place is an error.
func readFile(file string) ([]byte, fs.FileMode, error) {
	info, err := os.Stat(file) // before opening: opening a pipe would wait for its writer
	if err != nil {
		return nil, 0, err
	}
	if info.IsDir() {
		return nil, 0, fmt.Errorf("%s: is a directory, not a file", file)
	}
	if !info.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("%s: not a regular file", file)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return nil, 0, err
	}
	if len(data) > maxFileBytes {
		return nil, 0, fmt.Errorf("%s: larger than %d MiB", file, maxFileBytes>>20)
	}
	return bytes.TrimPrefix(data, []byte("\ufeff")), info.Mode(), nil
}

// eachLine calls fn for every line that is neither blank nor a comment, and returns all faults
// as "file:line: fault". No fault ever shows the line: it may hold a password.
func eachLine(file string, data []byte, fn func(number int, line string) error) error {
	var errs []error
	number := 0
	for raw := range strings.Lines(string(data)) {
		number++
		if len(errs) == maxFileFaults {
			errs = append(errs, fmt.Errorf("%s:%d: too many faults, the rest is not read", file, number))
			break
		}
		if line := strings.TrimSpace(raw); line != "" && line[0] != '#' {
			err := checkText(line)
			if err == nil {
				err = fn(number, line)
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("%s:%d: %w", file, number, err))
			}
		}
	}
	return errors.Join(errs...)
}

// checkText refuses what a text editor would not show.
func checkText(line string) error {
	if !utf8.ValidString(line) {
		return errors.New("not UTF-8 text: save the file as UTF-8")
	}
	if strings.ContainsFunc(line, func(r rune) bool { return r != '\t' && unicode.IsControl(r) }) {
		return errors.New("control character in the line: remove it")
	}
	return nil
}
