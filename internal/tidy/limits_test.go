package tidy

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"nightjar/broker"
)

// TestLimitsAreDocumented holds that every limit that broker.Limits checks has a row in docs/limits.md. All limits are
// set below their range, so that Validate names each of them.
func TestLimitsAreDocumented(t *testing.T) {
	var limits broker.Limits
	numbers := 0
	for v, i := reflect.ValueOf(&limits).Elem(), 0; i < v.NumField(); i++ {
		if f := v.Field(i); f.CanInt() {
			f.SetInt(-1 << 30) // of durations: -1.07 s
			numbers++
		}
	}
	page, err := os.ReadFile(filepath.Join(root, "docs/limits.md"))
	if err != nil {
		t.Fatal(err)
	}
	faults := strings.Split(limits.Validate().Error(), "\n")
	if len(faults) != numbers {
		t.Errorf("Validate names %d limits of %d", len(faults), numbers)
	}
	for _, fault := range faults {
		name := fault[:strings.IndexAny(fault, " :")]
		if !strings.Contains(string(page), "\n| `"+name+"` |") {
			t.Errorf("%s has no row in docs/limits.md: say its unit, default, range, and what happens there", name)
		}
	}
}
