package configs

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"nightjar/auth"
)

// TestReferenceIsComplete proves that the reference file has every key, in order, with its default.
func TestReferenceIsComplete(t *testing.T) {
	c := loaded(t, string(reference))
	if d := cmp.Diff(Default(), c); d != "" {
		t.Errorf("the reference file changes something: %s", d)
	}
	var root yaml.Node
	if err := yaml.Unmarshal(reference, &root); err != nil {
		t.Fatal(err)
	}
	wantKeys(t, "", reflect.TypeFor[Config](), root.Content[0])
}

func wantKeys(t *testing.T, path string, section reflect.Type, n *yaml.Node) {
	t.Helper()
	var got, want []string
	for i := 0; i < len(n.Content); i += 2 {
		got = append(got, n.Content[i].Value)
	}
	for i, f := range fields(section) {
		want = append(want, f.key)
		switch {
		case i*2+1 >= len(n.Content):
		case f.kind == kindSection:
			wantKeys(t, join(path, f.key), f.typ, n.Content[i*2+1])
		case f.kind == kindSections:
			wantKeys(t, join(path, f.key), f.typ.Elem(), n.Content[i*2+1].Content[0])
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("keys of %q: %s", path, d)
	}
}

// TestShipped proves that every file here is good, and what stands in the files that it names.
func TestShipped(t *testing.T) {
	files, err := filepath.Glob("*.yaml")
	if err != nil || len(files) < 4 {
		t.Fatalf("got %v, %v", files, err)
	}
	for _, file := range files {
		c, warnings, err := Load(Options{File: file})
		if err != nil || len(warnings) > 0 {
			t.Errorf("%v %v", warnings, err)
			continue
		}
		if c.Auth.PasswordFile == "" {
			continue
		}
		cfg := c.AuthConfig()
		cfg.PasswordFile = copied(t, cfg.PasswordFile+".example")
		if _, err := auth.Open(cfg); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
	rules, err := filepath.Glob("*.acl")
	if err != nil || len(rules) != 2 {
		t.Errorf("got %v, %v", rules, err)
	}
}

// copied is a copy with the rights that git does not keep.
func copied(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, file, string(text))
}
