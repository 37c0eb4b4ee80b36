package configs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/viper"
	"go.yaml.in/yaml/v3"
)

// parse returns the tree of a file, with lines where its format lets us know them. JSON is read as the YAML that it
// also is; tabs, which YAML has not between its values, can be nothing else in JSON.
func parse(kind string, text []byte) (*yaml.Node, error) {
	root := new(yaml.Node)
	if kind == "toml" || kind == "json" {
		v := viper.NewWithOptions(viper.KeyDelimiter(keyDelimiter))
		v.SetConfigType(kind)
		if err := v.ReadConfig(bytes.NewReader(text)); err != nil {
			return nil, err
		}
		if kind == "toml" {
			return root, root.Encode(v.AllSettings())
		}
		text = bytes.ReplaceAll(text, []byte("\t"), []byte(" "))
	}
	documents := yaml.NewDecoder(bytes.NewReader(text))
	if err := documents.Decode(root); errors.Is(err, io.EOF) {
		return &yaml.Node{Kind: yaml.MappingNode}, nil // an empty file
	} else if err != nil {
		return nil, err
	}
	if more := new(yaml.Node); documents.Decode(more) == nil {
		return nil, fmt.Errorf("yaml: line %d: a second document begins; make one of them, without the --- between", more.Line)
	}
	return resolve(root.Content[0]), nil
}

// section checks a section of the file against its struct: no key but ours, none twice, and the right kind of value
// behind each. It notes their lines, and takes out of the tree what is wrong.
func (o *origin) section(n *yaml.Node, t reflect.Type, prefix string) {
	n = resolve(n)
	if n.Kind != yaml.MappingNode {
		if prefix == "" {
			prefix = "the file"
			o.lines[prefix] = n.Line
		}
		if !isNull(n) {
			o.report(prefix, "is not a section; write %s", field{kind: kindSection}.wanted())
		}
		*n = yaml.Node{Kind: yaml.MappingNode}
		return
	}
	known := fields(t)
	var good []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		path := join(prefix, name.Value)
		if first, again := o.lines[path]; again {
			o.repeated(path, name.Line, first)
			continue
		}
		o.lines[path] = name.Line
		at := slices.IndexFunc(known, func(f field) bool { return f.key == name.Value })
		if at < 0 {
			o.unknown(path, name.Value, prefix, known, n)
			continue
		}
		if o.value(value, known[at], path) {
			good = append(good, name, value)
		}
	}
	n.Content = good
}

// value checks what stands behind a known key, and tells whether it is of the right kind.
func (o *origin) value(n *yaml.Node, f field, path string) bool {
	n = resolve(n)
	switch {
	case f.kind == kindSection:
		o.section(n, f.typ, path)
		return true
	case isNull(n):
		o.report(path, "has no value; write %s, or take the line out", f.wanted())
		return false
	case f.kind != kindSections && f.kind != kindTexts:
		return true // assign says more
	case n.Kind != yaml.SequenceNode:
		o.report(path, "is not a list; write %s", f.wanted())
		return false
	}
	for i, item := range n.Content {
		at := fmt.Sprintf("%s[%d]", path, i)
		o.lines[at] = item.Line
		if f.kind == kindSections {
			o.section(item, f.typ.Elem(), at)
		}
	}
	return true
}

// unknown refuses a key, with a hint: a near one of this section, or the place where the key belongs.
func (o *origin) unknown(path, name, prefix string, known []field, section *yaml.Node) {
	names, keys := map[string]string{}, make([]string, len(known)) // names: to the key that is meant
	for i, f := range known {
		keys[i], names[f.key] = f.key, f.key
	}
	for name, key := range meant {
		if names[key] != "" {
			names[name] = key
		}
	}
	if name == "<<" {
		o.report(path, "merging is not supported; write the keys out")
		return
	}
	if best := names[nearest(name, slices.Sorted(maps.Keys(names)))]; best != "" {
		o.report(path, "unknown key (did you mean %q?)", best)
		if !has(section, best) {
			o.bad[join(prefix, best)] = true // what is missing there stands here
		}
		return
	}
	var c Config
	for _, l := range slices.Concat(settings(&c), leaves(reflect.ValueOf(&Listener{}).Elem(), "listeners[…]")) {
		if l.key == name || meant[name] == l.key {
			o.report(path, "unknown key here (did you mean %q?)", l.path)
			return
		}
	}
	o.report(path, "unknown key; known here: %s", strings.Join(keys, ", "))
}

// has tells whether a section has a key.
func has(section *yaml.Node, key string) bool {
	for i := 0; i+1 < len(section.Content); i += 2 {
		if section.Content[i].Value == key {
			return true
		}
	}
	return false
}

// meant are names that other brokers have for keys of ours.
var meant = map[string]string{
	"address": "url", "bind": "url", "listener": "url", "port": "url",
	"cafile": "client_ca_file", "certfile": "cert_file", "keyfile": "key_file", "crlfile": "crl_file",
	"max_packet_size": "packet_bytes", "max_connections": "connections", "max_keepalive": "keep_alive_max",
	"max_inflight_messages": "in_flight", "max_queued_messages": "queue_messages",
	"max_topic_alias": "topic_aliases", "persistence_location": "dir", "persistent_client_expiration": "session_expiry_max",
}

func (o *origin) repeated(path string, line, first int) {
	o.problems = append(o.problems, located{Problem{
		fmt.Sprintf("%s:%d", o.file, line), path, fmt.Sprintf("is there already, in line %d; take one of them out", first),
	}, line})
}

// resolve follows an alias to what it stands for.
func resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }
