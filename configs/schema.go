package configs

import (
	"reflect"
	"strings"
	"time"
	"unicode"
)

// kind is what may stand behind a key.
type kind int

const (
	kindText kind = iota
	kindBool
	kindNumber
	kindSize     // a number of bytes
	kindDuration //
	kindTexts    // a list of texts
	kindSection  // keys of its own
	kindSections // a list of those
)

// field is one key of a section.
type field struct {
	key   string
	kind  kind
	oneof []string // the only values of a text
	index int      // of the struct field
	typ   reflect.Type
}

// fields are the keys of the section that is kept in a struct.
func fields(t reflect.Type) []field {
	list := make([]field, 0, t.NumField())
	for i := range t.NumField() {
		sf := t.Field(i)
		f := field{key: keyOf(sf.Name), kind: kindOf(sf), index: i, typ: sf.Type}
		if values := sf.Tag.Get("oneof"); values != "" {
			f.oneof = strings.Split(values, "|")
		}
		list = append(list, f)
	}
	return list
}

func kindOf(sf reflect.StructField) kind {
	switch {
	case sf.Type == reflect.TypeFor[time.Duration]():
		return kindDuration
	case sf.Type.Kind() == reflect.Struct:
		return kindSection
	case sf.Type.Kind() == reflect.Slice && sf.Type.Elem().Kind() == reflect.Struct:
		return kindSections
	case sf.Type.Kind() == reflect.Slice:
		return kindTexts
	case sf.Type.Kind() == reflect.Bool:
		return kindBool
	case sf.Type.Kind() == reflect.String:
		return kindText
	case strings.HasSuffix(sf.Name, "Bytes"):
		return kindSize
	}
	return kindNumber
}

// keyOf makes the key of a field from its name: ClientCAFile is client_ca_file.
func keyOf(name string) string {
	var b strings.Builder
	runes := []rune(name)
	for i, r := range runes {
		starts := unicode.IsUpper(r) && i > 0 &&
			(unicode.IsLower(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1]))
		if starts {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// leaf is a key that has a value of its own, outside of lists of sections.
type leaf struct {
	field
	path  string // limits.packet_bytes
	value reflect.Value
}

// leaves are all of a section's, in order, with the lists of sections among them.
func leaves(section reflect.Value, prefix string) []leaf {
	var list []leaf
	for _, f := range fields(section.Type()) {
		value, path := section.Field(f.index), join(prefix, f.key)
		if f.kind == kindSection {
			list = append(list, leaves(value, path)...)
			continue
		}
		list = append(list, leaf{f, path, value})
	}
	return list
}

// settings are the leaves of a whole configuration.
func settings(c *Config) []leaf { return leaves(reflect.ValueOf(c).Elem(), "") }

func join(prefix, key string) string {
	if prefix == "" {
		return key
	}
	return prefix + "." + key
}

// Variable is the environment variable of a key: NIGHTJAR_LIMITS__PACKET_BYTES of limits.packet_bytes.
func Variable(path string) string {
	return variablePrefix + strings.ToUpper(strings.ReplaceAll(path, ".", "__"))
}

const variablePrefix = "NIGHTJAR_"

// hasVariable tells whether a key can be set by the environment: lists of sections and the format cannot.
func (l leaf) hasVariable() bool { return l.kind != kindSections && l.path != "version" }
