package configs

import (
	"bytes"
	_ "embed"
)

//go:embed nightjar.reference.yaml
var reference []byte

// Reference is the file with every key, its default and what it is for.
func Reference() []byte { return bytes.Clone(reference) }
