package config

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const reference = "../../config.toml"

// files is what Parse's open finds, by path.
type files map[string]struct {
	text string
	mode fs.FileMode
}

func (f files) open(path string) ([]byte, fs.FileMode, error) {
	got, ok := f[filepath.ToSlash(path)]
	if !ok {
		return nil, 0, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
	return []byte(got.text), got.mode, nil
}

func mustParse(t *testing.T, text string, f files) *Config {
	t.Helper()
	c, err := Parse("config.toml", []byte(text), f.open)
	if err != nil {
		t.Fatalf("parse:\n%v", err)
	}
	return c
}

func readReference(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestReferenceParses(t *testing.T) {
	c, err := Load(reference)
	if err != nil {
		t.Fatalf("\n%v", err)
	}
	for _, w := range c.Warnings {
		t.Errorf("the reference is not free of warnings: %v", w)
	}
}

func TestMinimalParsesAndHarmsNobody(t *testing.T) {
	c := mustParse(t, string(Minimal()), nil)
	if len(c.BGP.Peers) != 0 || len(c.BGP.Listen) != 0 || c.API.Listen.IsValid() || c.Agent.Egress {
		t.Errorf("the minimal configuration talks to somebody: %v", c)
	}
	for _, w := range c.Warnings {
		if w.Key != "bgp" {
			t.Errorf("unexpected warning: %v", w)
		}
	}
	if Minimal()[0] = 'x'; minimal[0] == 'x' {
		t.Error("Minimal hands out the original")
	}
}

// A commented line of the reference: "# key = value   # comment".
var commented = regexp.MustCompile(`^# ([a-z0-9_]+ = .*)$`)

// TestReferenceDefaults takes the comment sign off one line of the reference at
// a time: a key that is set to its default changes nothing.
func TestReferenceDefaults(t *testing.T) {
	lines := strings.Split(readReference(t), "\n")
	want := mustParse(t, strings.Join(lines, "\n"), nil)
	tried := 0
	for i, line := range lines {
		m := commented.FindStringSubmatch(line)
		if m == nil || isExample(lines, i) {
			continue
		}
		tried++
		changed := slices.Clone(lines)
		changed[i] = m[1]
		got, err := Parse("config.toml", []byte(strings.Join(changed, "\n")), nil)
		if err != nil {
			t.Errorf("line %d, %s:\n%v", i+1, m[1], err)
			continue
		}
		if len(got.Warnings) > 0 {
			t.Errorf("line %d, %s: %v", i+1, m[1], got.Warnings)
		}
		if d := Diff(want, got); !d.Empty() {
			t.Errorf("line %d says that the default is %s, which is not what the code has:\n%s", i+1, m[1], strings.Join(d.Lines(), "\n"))
		}
		if diff := cmp.Diff(*want, *got, cmpOptions...); diff != "" {
			t.Errorf("line %d, %s, changes what becomes of the file:\n%s", i+1, m[1], diff)
		}
	}
	if tried < 100 {
		t.Errorf("only %d commented defaults found: the reference is written differently from what this test reads", tried)
	}
}

// isExample reports whether a commented line is within a commented table, or
// says that it is an example.
func isExample(lines []string, i int) bool {
	for ; i >= 0 && strings.HasPrefix(lines[i], "#"); i-- {
		if strings.HasPrefix(lines[i], "# [") {
			return true
		}
	}
	return false
}

var cmpOptions = []cmp.Option{
	cmp.FilterPath(func(p cmp.Path) bool {
		return p.String() == "raw" || p.String() == "contents"
	}, cmp.Ignore()),
	cmp.Exporter(func(t reflect.Type) bool {
		return strings.HasPrefix(t.PkgPath(), "net/netip") || t.PkgPath() == "unique" || strings.Contains(t.PkgPath(), "catsbgp")
	}),
}

// TestReferenceIsComplete holds the keys of the reference, commented or not,
// against those that the code knows.
func TestReferenceIsComplete(t *testing.T) {
	var b strings.Builder
	for _, line := range strings.Split(readReference(t), "\n") {
		if commented.MatchString(line) || strings.HasPrefix(line, "# [") {
			line = strings.TrimPrefix(line, "# ")
		}
		b.WriteString(line + "\n")
	}
	ix := scan(b.String())
	documented := map[string]bool{}
	for path := range ix.spans {
		documented[withoutIndexes(path)] = true
	}
	for _, path := range schemaPaths() {
		if !documented[path] {
			t.Errorf("%s is not in config.toml", path)
		}
	}
}

// schemaPaths lists all keys; what a value's selector has is listed below
// the values that the reference shows.
func schemaPaths() []string {
	paths := map[string]bool{}
	var walk func(path string, t reflect.Type)
	walk = func(path string, t reflect.Type) {
		for _, f := range fieldsOf(t) {
			p := joinPath(path, f.name)
			paths[p] = true
			ft := t.Field(f.index).Type
			if ft.Kind() == reflect.Slice {
				ft = ft.Elem()
			}
			if ft.Kind() == reflect.Struct && !isScalar(reflect.New(ft).Elem()) {
				walk(p, ft)
			}
		}
	}
	walk("", reflect.TypeFor[rawConfig]())
	return slices.Sorted(maps.Keys(paths))
}

// TestSelectorKeysAreDocumented: the keys of a value's selector stand in the
// examples of the reference.
func TestSelectorKeysAreDocumented(t *testing.T) {
	_, text, _ := strings.Cut(readReference(t), "[service.instance.source.values]")
	text, _, _ = strings.Cut(text, "\n[")
	for _, f := range fieldsOf(reflect.TypeFor[rawSelector]()) {
		if !strings.Contains(text, f.name+" = ") {
			t.Errorf("%s is not shown", f.name)
		}
	}
}
