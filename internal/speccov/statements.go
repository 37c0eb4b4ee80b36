package speccov

import (
	"bufio"
	"embed"
	"fmt"
	"strings"
)

//go:embed mqtt5.tsv mqtt311.tsv untestable.tsv floor.txt
var files embed.FS

// versions are the protocol versions as identifiers spell them, with the file of each.
var versions = []struct{ name, file string }{{"v3.1.1", "mqtt311.tsv"}, {"v5", "mqtt5.tsv"}}

// Versions are the protocol versions as identifiers begin: v3.1.1, v5.
func Versions() []string {
	var names []string
	for _, v := range versions {
		names = append(names, v.name)
	}
	return names
}

// Statement is one normative statement of a version of the standard.
type Statement struct {
	// ID is version and OASIS number, as Covers takes it.
	ID string
	// Who has to obey: S the server, B both ends, C the client. C counts where the server can tell that a client broke it.
	Who string
	// Short is what it says, in our own words.
	Short string
	// In5 is, of a 3.1.1 statement, where MQTT 5 says it and what differs; the numbers overlap.
	In5 string
}

// Number is the statement's OASIS number.
func (s *Statement) Number() string { return s.ID[strings.IndexByte(s.ID, ' ')+1:] }

// Statements are all statements of a version, in the order of the standard.
func Statements(version string) ([]Statement, error) {
	for _, v := range versions {
		if v.name != version {
			continue
		}
		rows, err := table(v.file)
		if err != nil {
			return nil, err
		}
		var list []Statement
		for _, row := range rows[1:] { // without the head
			row = append(row, "")
			list = append(list, Statement{ID: version + " " + row[0], Who: row[1], Short: row[2], In5: row[3]})
		}
		return list, nil
	}
	return nil, fmt.Errorf("no statements of version %q: want one of %v", version, Versions())
}

// Untestable are the statements that no test of a server through a socket can hold, by identifier, each with its reason.
func Untestable() (map[string]string, error) {
	rows, err := table("untestable.tsv")
	if err != nil {
		return nil, err
	}
	reasons := make(map[string]string, len(rows))
	for _, row := range rows {
		reasons[row[0]] = row[1]
	}
	return reasons, nil
}

// Floor is the number of covered statements of each version that must not be lost again.
func Floor() (map[string]int, error) {
	text, err := files.ReadFile("floor.txt")
	if err != nil {
		return nil, fmt.Errorf("read the floor: %w", err)
	}
	floor := map[string]int{}
	for line := range strings.Lines(string(text)) {
		var version string
		var count int
		if strings.HasPrefix(line, "#") {
			continue
		}
		if _, err := fmt.Sscanf(line, "%s %d", &version, &count); err != nil {
			return nil, fmt.Errorf("floor.txt: line %q: want a version and a number: %w", line, err)
		}
		floor[version] = count
	}
	return floor, nil
}

// table reads a table of at least two columns that are parted by tabs. Lines that begin with # are for the reader.
func table(name string) ([][]string, error) {
	f, err := files.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	defer f.Close()
	var rows [][]string
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		row := strings.Split(lines.Text(), "\t")
		if len(row) < 2 || len(rows) > 0 && len(row) != len(rows[0]) {
			return nil, fmt.Errorf("%s: line %q has %d columns, not as many as the first", name, lines.Text(), len(row))
		}
		rows = append(rows, row)
	}
	return rows, lines.Err()
}
