package configs

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/viper"
	"go.yaml.in/yaml/v3"
)

// parse returns the tree of a file, with lines where its format lets us know them. JSON is read as the YAML that it
// also is; tabs, which YAML has not between its values, can be nothing else in JSON.
func parse(kind string, text []byte, v *viper.Viper) (*yaml.Node, error) {
	root := new(yaml.Node)
	if kind == "toml" {
		return root, root.Encode(v.AllSettings())
	}
	if kind == "json" {
		text = bytes.ReplaceAll(text, []byte("\t"), []byte(" "))
	}
	if err := yaml.Unmarshal(text, root); err != nil {
		return nil, err
	}
	if len(root.Content) == 0 {
		return &yaml.Node{Kind: yaml.MappingNode}, nil // an empty file
	}
	return root.Content[0], nil
}

// section checks a section of the file against its struct: no key but ours, none twice, and the right kind of value
// behind each. It notes their lines.
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
		return
	}
	known := fields(t)
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
			o.unknown(path, name.Value, prefix, known)
			continue
		}
		o.value(value, known[at], path)
	}
}

// value checks what stands behind a known key.
func (o *origin) value(n *yaml.Node, f field, path string) {
	n = resolve(n)
	switch {
	case f.kind == kindSection:
		o.section(n, f.typ, path)
	case isNull(n):
		o.report(path, "has no value; write %s, or take the line out", f.wanted())
	case f.kind == kindSections && n.Kind == yaml.SequenceNode:
		for i, item := range n.Content {
			at := fmt.Sprintf("%s[%d]", path, i)
			o.lines[at] = item.Line
			o.section(item, f.typ.Elem(), at)
		}
	case f.kind == kindSections:
		o.report(path, "is not a list; write %s", f.wanted())
	case f.kind == kindTexts && n.Kind == yaml.SequenceNode:
		for i, item := range n.Content {
			o.lines[fmt.Sprintf("%s[%d]", path, i)] = item.Line
		}
	}
}

// unknown refuses a key, with a hint: a near one of this section, or the place where the key belongs.
func (o *origin) unknown(path, name, prefix string, known []field) {
	keys := make([]string, len(known))
	for i, f := range known {
		keys[i] = f.key
	}
	if name == "<<" {
		o.report(path, "merging is not supported; write the keys out")
		return
	}
	best := nearest(name, keys)
	if best != "" {
		o.bad[join(prefix, best)] = true // what is missing there stands here
		o.report(path, "unknown key (did you mean %q?)", best)
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
