package configs

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"nightjar/broker"
)

// assign sets the value of a key, of any kind but sections, to what a file, a variable or a flag says.
// Its errors tell what is wrong and what to write, and never show a text that was given.
func assign(f field, value reflect.Value, raw any) error {
	if f.kind == kindTexts {
		texts, err := textList(raw)
		if err == nil {
			value.Set(reflect.ValueOf(texts))
		}
		return err
	}
	text, ok := scalar(raw)
	if !ok {
		return fmt.Errorf("is not one value; write %s", f.wanted())
	}
	switch f.kind {
	case kindBool:
		on, err := strconv.ParseBool(text)
		if err != nil || len(text) == 1 {
			return errors.New("is neither true nor false")
		}
		value.SetBool(on)
	case kindDuration:
		d, err := parseDuration(text)
		if err != nil {
			return err
		}
		value.SetInt(int64(d))
	case kindNumber, kindSize:
		n, named := words[f.key][text]
		var err error
		if !named {
			n, err = parseNumber(f.kind, text)
		}
		if err == nil && value.OverflowInt(n) {
			err = errors.New("is too large a number")
		}
		if err != nil {
			return err
		}
		value.SetInt(n)
	default:
		if f.oneof != nil && !slices.Contains(f.oneof, text) {
			return fmt.Errorf("is not one of %s%s", strings.Join(f.oneof, ", "), didYouMean(text, f.oneof))
		}
		value.SetString(text)
	}
	return nil
}

// wanted says what may stand behind the key.
func (f field) wanted() string {
	switch f.kind {
	case kindBool:
		return "true or false"
	case kindNumber:
		return "a number"
	case kindSize:
		return "a size, as 64KiB"
	case kindDuration:
		return "a duration, as 30s"
	case kindTexts:
		return "a list, as [a, b]"
	case kindSection:
		return "its keys below it, indented"
	case kindSections:
		return "a list of sections, each begun by \"- \""
	}
	if f.oneof != nil {
		return strings.Join(f.oneof, ", ")
	}
	return "a text"
}

// scalar is the text of a single value, however the file's format has read it.
func scalar(raw any) (text string, ok bool) {
	switch v := raw.(type) {
	case string:
		return v, true
	case float64: // every number of a JSON file
		return strconv.FormatFloat(v, 'f', -1, 64), true
	case bool, int, int64, uint64:
		return fmt.Sprint(v), true
	}
	return "", false
}

func textList(raw any) ([]string, error) {
	items, ok := raw.([]any)
	if texts, are := raw.([]string); are {
		return texts, nil
	}
	if !ok {
		return nil, fmt.Errorf("is not a list; write %s", field{kind: kindTexts}.wanted())
	}
	var texts []string
	for i, item := range items {
		text, ok := scalar(item)
		if !ok {
			return nil, fmt.Errorf("item %d is not a text", i+1)
		}
		texts = append(texts, text)
	}
	return texts, nil
}

// sizeUnits are the units of sizes, in the order in which they are tried when printing.
var sizeUnits = []struct {
	name  string
	bytes int64
}{
	{"GiB", 1 << 30},
	{"MiB", 1 << 20},
	{"KiB", 1 << 10},
	{"GB", 1e9},
	{"MB", 1e6},
	{"KB", 1e3},
	{"B", 1},
}

func parseNumber(k kind, text string) (int64, error) {
	digits, unit := strings.ReplaceAll(text, "_", ""), int64(1)
	if k == kindSize {
		for _, u := range sizeUnits {
			if rest, found := strings.CutSuffix(digits, u.name); found {
				digits, unit = strings.TrimSpace(rest), u.bytes
				break
			}
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange) || err == nil && n > math.MaxInt64/unit:
		return 0, errors.New("is too large a number")
	case err != nil && k == kindSize:
		return 0, errors.New("is not a size; write a number of bytes, or with a unit: 64KiB, 1MiB, 2GB")
	case err != nil:
		return 0, errors.New("is not a whole number")
	}
	return n * unit, nil
}

// parseDuration reads Go's durations, and whole days as 7d.
func parseDuration(text string) (time.Duration, error) {
	if days, found := strings.CutSuffix(text, "d"); found {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	d, err := time.ParseDuration(text)
	if err == nil {
		return d, nil
	}
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		return 0, fmt.Errorf("has no unit; write %ss for seconds (units: ms, s, m, h, d)", text)
	}
	return 0, errors.New("is not a duration; write a number and a unit: 500ms, 30s, 5m, 18h, 7d")
}

// words stand for numbers, by key.
var words = map[string]map[string]int64{"publish_rate": {off: broker.PublishRateOff}}

// format is the value of a key as it is written into a file.
func format(f field, value reflect.Value) any {
	for word, n := range words[f.key] {
		if value.Int() == n {
			return word
		}
	}
	switch f.kind {
	case kindDuration:
		return formatDuration(time.Duration(value.Int()))
	case kindSize:
		if n := value.Int(); n != 0 {
			return formatSize(n)
		}
	case kindTexts:
		return append([]string{}, value.Interface().([]string)...)
	}
	return value.Interface()
}

func formatSize(n int64) any {
	for _, u := range sizeUnits[:3] {
		if n != 0 && n%u.bytes == 0 {
			return fmt.Sprint(n/u.bytes) + u.name
		}
	}
	return n
}

// formatDuration leaves out what String says of hours, minutes and seconds that are zero.
func formatDuration(d time.Duration) string {
	const day = 24 * time.Hour
	if d > 0 && d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
