package configs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"github.com/spf13/viper"
)

// Flag is a value from the command line, which counts more than all others.
type Flag struct {
	Name  string // as the user knows it: --data
	Key   string // what it sets: data.dir
	Value string
}

// Options is where a configuration comes from, beside the environment.
type Options struct {
	File   string   // its ending tells the format: .yaml, .yml, .toml, .json; empty: no file
	Flags  []Flag   // of single values
	Listen []string // URLs in place of all listeners; none: as configured
}

// keyDelimiter keeps viper from seeing structure in names.
const keyDelimiter = "\x1f"

func viperKey(path string) string { return strings.ReplaceAll(path, ".", keyDelimiter) }

// Load reads the configuration. Warnings are what is allowed but probably not meant. The error is of type
// Errors, unless the file itself cannot be read.
func Load(o Options) (Config, []Problem, error) {
	c := Default()
	from := &origin{
		file: o.File, lines: map[string]int{}, flags: map[string]string{}, variable: map[string]string{},
		bad: map[string]bool{},
	}
	v := viper.NewWithOptions(viper.KeyDelimiter(keyDelimiter))
	if o.File != "" {
		if err := readFile(v, o.File, from); err != nil {
			return Config{}, nil, err
		}
	}
	bindEnvironment(v, settings(&c), from)
	for _, f := range o.Flags {
		v.Set(viperKey(f.Key), f.Value)
		from.flags[f.Key] = f.Name
	}
	if len(o.Listen) > 0 {
		v.Set("listeners", listenList(o.Listen))
		from.flags["listeners"] = "--listen"
	}
	apply(v, &c, from)
	check(&c, from)
	return c, from.warnings, from.err()
}

// bindEnvironment tells viper the variable of every key that has one.
func bindEnvironment(v *viper.Viper, keys []leaf, from *origin) {
	var known []string
	for _, l := range keys {
		if !l.hasVariable() {
			continue
		}
		name := Variable(l.path)
		known = append(known, name)
		_ = v.BindEnv(viperKey(l.path), name) // fails without a key only
		if os.Getenv(name) != "" {
			from.variable[l.path] = name
		}
	}
	from.unknownVariables(known)
}

// readFile checks the file, and gives viper what is good of it.
func readFile(v *viper.Viper, file string, from *origin) error {
	kind := strings.TrimPrefix(strings.ToLower(filepath.Ext(file)), ".")
	switch kind {
	case "yaml", "yml", "toml", "json":
	default:
		return Errors{{Where: file, Text: "the name's ending does not tell the format; use .yaml, .toml or .json"}}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	root, err := parse(kind, text)
	if err != nil {
		return Errors{syntaxProblem(file, text, err)}
	}
	from.section(root, reflect.TypeFor[Config](), "")
	var good map[string]any
	if err := root.Decode(&good); err != nil {
		return Errors{syntaxProblem(file, text, err)}
	}
	return v.MergeConfigMap(good)
}

// apply puts what viper has found over the defaults.
func apply(v *viper.Viper, c *Config, from *origin) {
	for _, l := range settings(c) {
		raw := v.Get(viperKey(l.path))
		switch {
		case raw == nil:
		case l.kind == kindSections:
			applyListeners(raw, c, from)
		default:
			if text, is := raw.(string); is && l.kind == kindTexts && from.variable[l.path] != "" {
				raw = splitList(text)
			}
			if err := assign(l.field, l.value, raw); err != nil {
				from.report(l.path, "%s", err)
			}
		}
	}
}

// applyListeners makes the listeners of a list, each from the defaults of one.
func applyListeners(raw any, c *Config, from *origin) {
	items, ok := raw.([]any)
	if !ok {
		return // said by the strict pass
	}
	c.Listeners = nil
	for i, item := range items {
		path := fmt.Sprintf("listeners[%d]", i)
		ln := listener("", "")
		for _, l := range leaves(reflect.ValueOf(&ln).Elem(), path) {
			raw := at(item, strings.Split(strings.TrimPrefix(l.path, path+"."), "."))
			if raw == nil {
				continue
			}
			if err := assign(l.field, l.value, raw); err != nil {
				from.report(l.path, "%s", err)
			}
		}
		c.Listeners = append(c.Listeners, ln)
	}
}

// at is what stands in a tree of maps under the keys.
func at(tree any, keys []string) any {
	for _, key := range keys {
		section, ok := tree.(map[string]any)
		if !ok {
			return nil
		}
		tree = section[key]
	}
	return tree
}

// listenList is the list of listeners that --listen stands for.
func listenList(urls []string) []any {
	list := make([]any, len(urls))
	for i, url := range urls {
		list[i] = map[string]any{"url": url}
	}
	return list
}

// splitList reads a list from a variable: a,b,c.
func splitList(text string) []any {
	var list []any
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			list = append(list, part)
		}
	}
	return list
}

var yamlLine = regexp.MustCompile(`line (\d+): `)

// syntaxProblem tells where a file stops making sense, as far as its parser knows.
func syntaxProblem(file string, text []byte, err error) Problem {
	line, says := 0, err.Error()
	var position interface{ Position() (row, column int) } // of TOML
	if errors.As(err, &position) {
		line, _ = position.Position()
	} else if wrong, ok := errors.AsType[*json.SyntaxError](err); ok {
		line = 1 + bytes.Count(text[:min(int(wrong.Offset), len(text))], []byte("\n"))
	} else if m := yamlLine.FindStringSubmatchIndex(says); m != nil {
		line, _ = strconv.Atoi(says[m[2]:m[3]])
		says = says[:m[0]] + says[m[1]:]
	}
	says = "the file does not make sense from here on: " + strings.TrimPrefix(says, "While parsing config: ")
	if line == 0 {
		return Problem{Where: file, Text: says}
	}
	return Problem{Where: fmt.Sprintf("%s:%d", file, line), Text: says}
}
