package client

import (
	"io"
	"os"

	"golang.org/x/term"
)

// palette colours text for a person at a terminal, and leaves it alone for everything else.
type palette struct{ on bool }

// paletteFor colours only where out is a terminal and neither NO_COLOR nor TERM=dumb asks not to.
func paletteFor(out io.Writer) palette {
	file, ok := out.(*os.File)
	return palette{on: ok && term.IsTerminal(int(file.Fd())) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

func (p palette) fault(text string) string { return p.paint("\x1b[31m", text) }

func (p palette) topic(text string) string { return p.paint("\x1b[36m", text) }

func (p palette) paint(colour, text string) string {
	if !p.on {
		return text
	}
	return colour + text + "\x1b[0m"
}
