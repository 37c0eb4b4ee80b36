package tidy

import (
	"slices"
	"strconv"
	"strings"
)

// layer is what one top-level folder may import of ours, beside itself.
type layer struct {
	free bool     // may import everything
	may  []string // else these folders
	why  string   // the reason, printed with each failure
}

// layers is the import map of DESIGN.md, section 2: arrows point down only.
var layers = map[string]layer{
	"packets": {why: "packets is the wire format alone: every other package, the simulator too, stands on it"},
	"topics":  {why: "topics knows names and filters only; Tree is generic, so it needs no type of ours"},
	"transports": {
		why: "transports moves bytes and knows no MQTT: whoever serves connections declares the interface they feed",
	},
	"sessions": {
		may: []string{"packets", "topics"},
		why: "sessions is pure: packet and time in, packets out; it knows neither broker nor store",
	},
	"retained": {
		may: []string{"packets", "topics"},
		why: "retained is pure: the broker asks it, and the store keeps it",
	},
	"auth": {
		may: []string{"packets", "topics"},
		why: "auth decides from identity, action and topic, whoever asks",
	},
	"store": {
		may: []string{"packets", "sessions", "retained"},
		why: "store is the durable form of sessions and retained messages; it must not reach up into the broker",
	},
	"broker": {
		may: []string{"packets", "topics", "transports", "sessions", "retained", "auth"},
		why: "broker declares the store it needs as an interface; files, HTTP and commands are above it",
	},
	"admin": {
		may: []string{"packets", "topics", "sessions", "retained", "auth", "store", "broker"},
		why: "admin shows what runs; it is wired by cmd and reads no config file",
	},
	"configs": {
		may: []string{
			"packets", "topics", "transports", "sessions", "retained", "auth", "store", "broker", "admin",
			"devices-sim", "internal",
		},
		why: "configs composes the Config types of the others and is used by cmd, not the other way round",
	},
	"devices-sim": {
		may: []string{"packets", "transports"},
		why: "the simulator is the independent witness: with code of the broker in it, it would share its faults",
	},
	"cmd":      {free: true},
	"internal": {free: true},
}

// checkImports holds the import map. Tests may import more than their package may.
func (t *tree) checkImports(f *file) {
	if f.test {
		return
	}
	from := f.topFolder()
	rules, known := layers[from]
	if !known {
		t.report(f.ast.Package, "folder %q is not in the import map: put it into DESIGN.md, section 2, and internal/tidy/imports.go", from)
		return
	}
	for _, spec := range f.ast.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue // the parser would have refused it
		}
		ours, ok := strings.CutPrefix(name, t.module+"/")
		if !ok || rules.free {
			continue
		}
		to := topFolder(ours + "/")
		if to != from && !slices.Contains(rules.may, to) {
			t.report(spec.Pos(), "%s must not import %s: %s", from, ours, rules.why)
		}
	}
}
