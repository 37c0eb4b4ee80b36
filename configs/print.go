package configs

import (
	"bytes"
	"encoding/json"
	"reflect"

	"go.yaml.in/yaml/v3"
)

// YAML writes a configuration as a file that Load reads. Nothing in it is secret: passwords are in files of
// their own.
func (c *Config) YAML() ([]byte, error) {
	node, err := encode(reflect.ValueOf(c).Elem())
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(node); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// JSON is YAML in the other format.
func (c *Config) JSON() ([]byte, error) {
	text, err := json.MarshalIndent(plain(reflect.ValueOf(c).Elem()), "", "  ")
	return append(text, '\n'), err
}

// encode makes the tree of a section, with its keys in order.
func encode(section reflect.Value) (*yaml.Node, error) {
	node := &yaml.Node{Kind: yaml.MappingNode}
	for _, f := range fields(section.Type()) {
		value := new(yaml.Node)
		var err error
		switch v := section.Field(f.index); f.kind {
		case kindSection:
			value, err = encode(v)
		case kindSections:
			value.Kind = yaml.SequenceNode
			for i := range v.Len() {
				item, err := encode(v.Index(i))
				if err != nil {
					return nil, err
				}
				value.Content = append(value.Content, item)
			}
		default:
			err = value.Encode(format(f, v))
		}
		if err != nil {
			return nil, err
		}
		if f.kind == kindTexts {
			value.Style = yaml.FlowStyle
		}
		node.Content = append(node.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: f.key}, value)
	}
	return node, nil
}

// plain makes maps of a section.
func plain(section reflect.Value) map[string]any {
	m := map[string]any{}
	for _, f := range fields(section.Type()) {
		switch v := section.Field(f.index); f.kind {
		case kindSection:
			m[f.key] = plain(v)
		case kindSections:
			list := make([]any, v.Len())
			for i := range list {
				list[i] = plain(v.Index(i))
			}
			m[f.key] = list
		default:
			m[f.key] = format(f, v)
		}
	}
	return m
}
