package topics

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"
)

var wide = Limits{Bytes: 65535, Levels: 64}

func TestCheckName(t *testing.T) {
	t.Parallel()
	lim := Limits{Bytes: 20, Levels: 4}
	control := Limits{Bytes: 20, Levels: 4, AllowControl: true}
	for _, c := range []struct {
		about, name string
		lim         Limits
		want        error
	}{
		{"plain", "sport/tennis", lim, nil},
		{"one character", "a", lim, nil},
		{"only a separator", "/", lim, nil},
		{"empty levels", "//", lim, nil},
		{"space", "Accounts payable", lim, nil},
		{"dollar", "$SYS/x", lim, nil},
		{"C06 empty", "", lim, ErrEmpty},
		{"C07 hash", "a/#", lim, ErrWildcard},
		{"C07 plus", "a/+/b", lim, ErrWildcard},
		{"C07 wildcard within a level", "a+b", lim, ErrWildcard},
		{"C08 NUL", "to\x00p", lim, ErrControlCharacter},
		{"C08 NUL though control characters are allowed", "to\x00p", control, ErrControlCharacter},
		{"B18 U+0001", "a\x01", lim, ErrControlCharacter},
		{"B18 U+001F", "\x1fa", lim, ErrControlCharacter},
		{"B18 U+007F", "a\x7f", lim, ErrControlCharacter},
		{"B18 U+0080", "a\u0080", lim, ErrControlCharacter},
		{"B18 U+009F", "\u009fa", lim, ErrControlCharacter},
		{"B18 U+FFFE", "\ufffea", lim, ErrControlCharacter},
		{"B18 U+FFFF", "a\uffff", lim, ErrControlCharacter},
		{"U+FFFD and U+FF3F", "\ufffd\uff3f", lim, nil},
		{"U+0020", "a ", lim, nil},
		{"U+007E", "a~", lim, nil},
		{"U+00A0", "a\u00a0", lim, nil},
		{"U+00C2", "a\u00c2", lim, nil},
		{"trail bytes 80 to 9F are no control characters", "\u0440\u4080", lim, nil},
		{"control characters allowed", "a\x01\x7f\u0080", control, nil},
		{"bytes: limit", strings.Repeat("a", 20), lim, nil},
		{"bytes: over", strings.Repeat("a", 21), lim, ErrTooLong},
		{"C10 levels: limit", "a/a/a/a", lim, nil},
		{"C10 levels: over", "a/a/a/a/a", lim, ErrTooManyLevels},
		{"levels: limit, empty ones", "///", lim, nil},
		{"levels: over, empty ones", "////", lim, ErrTooManyLevels},
		{"zero limits refuse everything", "a", Limits{}, ErrTooLong},
		{"no level allowed", "a", Limits{Bytes: 1}, ErrTooManyLevels},
		{"B17g truncated UTF-8 is the caller's, but no crash", "a\xc2", lim, nil},
	} {
		if got := CheckName([]byte(c.name), c.lim); !errors.Is(got, c.want) {
			t.Errorf("%s: CheckName(%q): got %v, want %v", c.about, c.name, got, c.want)
		}
	}
}

func TestCheckFilter(t *testing.T) {
	t.Parallel()
	lim := Limits{Bytes: 20, Levels: 4}
	for _, c := range []struct {
		about, filter string
		want          error
	}{
		{"plain", "sport/tennis", nil},
		{"hash", "#", nil},
		{"plus", "+", nil},
		{"both", "+/+/#", nil},
		{"in the middle", "a/+/b", nil},
		{"empty levels", "//", nil},
		{"after an empty level", "/#", nil},
		{"before an empty level", "+/", nil},
		{"dollar", "$SYS/#", nil},
		{"D08 empty", "", ErrEmpty},
		{"D09 plus in a level", "ab/+e", ErrBadFilter},
		{"D09 hash after a level", "a#", ErrBadFilter},
		{"D09 hash in the middle", "a/#/b", ErrBadFilter},
		{"D09 hash first", "#/a", ErrBadFilter},
		{"D09 plus before a level", "+a", ErrBadFilter},
		{"D09 plus after a level", "a+/b", ErrBadFilter},
		{"hash before an empty level", "#/", ErrBadFilter},
		{"two plus", "a/++", ErrBadFilter},
		{"two hashes", "##", ErrBadFilter},
		{"plus and hash", "+#", ErrBadFilter},
		{"NUL", "a\x00", ErrControlCharacter},
		{"control character", "a/\u0085", ErrControlCharacter},
		{"bytes: limit", strings.Repeat("a", 20), nil},
		{"bytes: over", strings.Repeat("a", 21), ErrTooLong},
		{"D16 levels: limit", "+/+/+/#", nil},
		{"D16 levels: over", "+/+/+/+/#", ErrTooManyLevels},
	} {
		if got := CheckFilter(c.filter, lim); !errors.Is(got, c.want) {
			t.Errorf("%s: CheckFilter(%q): got %v, want %v", c.about, c.filter, got, c.want)
		}
	}
}

func TestSplitShared(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		filter, share, real string
		shared              bool
		err                 error
	}{
		{"a/b", "", "a/b", false, nil},
		{"", "", "", false, nil},
		{"$share", "", "$share", false, nil},
		{"$shared/g/t", "", "$shared/g/t", false, nil},
		{"$SHARE/g/t", "", "$SHARE/g/t", false, nil},
		{"a/$share/g/t", "", "a/$share/g/t", false, nil},
		{"$share/g/t", "g", "t", true, nil},
		{"$share/g//", "g", "/", true, nil},
		{"$share/g//t", "g", "/t", true, nil},
		{"$share/g/#", "g", "#", true, nil},
		{"$share/g/+/t", "g", "+/t", true, nil},
		{"$share/g/$SYS/x", "g", "$SYS/x", true, nil},
		{"$share/g/$share/h/t", "g", "$share/h/t", true, nil},
		{"$share/g h/a+", "g h", "a+", true, nil}, // the real filter is CheckFilter's
		{"$share/", "", "", true, ErrBadShare},    // D10
		{"$share/g", "", "", true, ErrBadShare},
		{"$share/g/", "", "", true, ErrBadShare},
		{"$share//t", "", "", true, ErrBadShare},
		{"$share/+/t", "", "", true, ErrBadShare},
		{"$share/g#/t", "", "", true, ErrBadShare},
		{"$share/#", "", "", true, ErrBadShare},
		{"$share/g\x01/t", "", "", true, ErrBadShare},
		{"$share/g\u0085/t", "", "", true, ErrBadShare},
	} {
		share, real, shared, err := SplitShared(c.filter)
		if share != c.share || real != c.real || shared != c.shared || !errors.Is(err, c.err) {
			t.Errorf("SplitShared(%q): got %q, %q, %v, %v, want %q, %q, %v, %v",
				c.filter, share, real, shared, err, c.share, c.real, c.shared, c.err)
		}
	}
}

// TestDeepTopics holds the budget of C09 and D16: 65,535 separators take less
// than 1 ms even if all levels are allowed.
func TestDeepTopics(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("/", 65535)
	if err := CheckName([]byte(deep), wide); !errors.Is(err, ErrTooManyLevels) {
		t.Errorf("name: got %v, want %v", err, ErrTooManyLevels)
	}
	if err := CheckFilter(deep, wide); !errors.Is(err, ErrTooManyLevels) {
		t.Errorf("filter: got %v, want %v", err, ErrTooManyLevels)
	}
	all := Limits{Bytes: 65535, Levels: 65536}
	name := []byte(deep)
	best := fastest(func() {
		if err := CheckName(name, all); err != nil {
			t.Error(err)
		}
	})
	t.Logf("CheckName of 65,535 separators: %v", best)
	if best > time.Millisecond {
		t.Errorf("CheckName took %v, want at most 1 ms", best)
	}
}

// fastest is the shortest time of ten that f takes: the one other processes
// disturbed least.
func fastest(f func()) time.Duration {
	best := time.Hour
	for range 10 {
		start := time.Now()
		f()
		best = min(best, time.Since(start))
	}
	return best
}

func TestChecksDoNotAllocate(t *testing.T) {
	name, filter := []byte("sensors/42/temperature"), "$share/g/sensors/+/#"
	allocs := testing.AllocsPerRun(100, func() {
		_, real, _, err := SplitShared(filter)
		if err != nil || CheckFilter(real, wide) != nil || CheckName(name, wide) != nil {
			t.Fatal("refused")
		}
	})
	if allocs != 0 {
		t.Errorf("got %v allocations, want 0", allocs)
	}
}

// validFilter is the grammar of a Topic Filter, as a reference for CheckFilter.
var validFilter = regexp.MustCompile(`(?s)^((\+|[^+#/]*)/)*(\+|#|[^+#/]*)$`)

func FuzzCheckFilter(f *testing.F) {
	for _, s := range []string{"", "a", "#", "+", "a/#", "a/+/b", "ab/+e", "a#", "a/#/b", "#/a", "+a", "a\x00", "a\u0085", "$share/g/t", "//"} {
		f.Add(s, 64, 8, false)
	}
	f.Fuzz(func(t *testing.T, filter string, bytesMax, levelsMax int, allow bool) {
		lim := Limits{Bytes: bytesMax, Levels: levelsMax, AllowControl: allow}
		text := strings.ToValidUTF8(filter, "?")
		control := func(r rune) bool {
			return r == 0 || !allow && (r < 0x20 || r >= 0x7F && r <= 0x9F || r == 0xFFFE || r == 0xFFFF)
		}
		common := text != "" && len(text) <= bytesMax && len(strings.Split(text, "/")) <= levelsMax &&
			strings.IndexFunc(text, control) < 0
		if got, want := CheckFilter(text, lim) == nil, common && validFilter.MatchString(text); got != want {
			t.Errorf("CheckFilter(%q, %+v): got %v, want valid %v", text, lim, CheckFilter(text, lim), want)
		}
		if got, want := CheckName([]byte(text), lim) == nil, common && !strings.ContainsAny(text, "+#"); got != want {
			t.Errorf("CheckName(%q, %+v): got %v, want valid %v", text, lim, CheckName([]byte(text), lim), want)
		}
		_ = CheckFilter(filter, lim) // not UTF-8: no crash is all that is asked
		_ = CheckName([]byte(filter), lim)
		share, real, shared, err := SplitShared(filter)
		if shared && err == nil && "$share/"+share+"/"+real != filter {
			t.Errorf("SplitShared(%q): got %q and %q, which are not its parts", filter, share, real)
		}
	})
}
