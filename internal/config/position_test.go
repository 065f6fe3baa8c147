package config

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestPositions(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       map[string]string // path: "line:column" of the key, and of the value
	}{
		{
			"keys and tables",
			"# [no]\ntop = 1\n[a]\n  b = 'x' # c = 2\n[a.c]\nd=[ 1 ]\n",
			map[string]string{"top": "2:1 2:7", "a": "3:1", "a.b": "4:3 4:7", "a.c": "5:1", "a.c.d": "6:1 6:3", "a.c.d[0]": "6:5 6:5"},
		},
		{
			"arrays of tables, and tables within the last element",
			"[[s]]\nn=1\n[[s.i]]\n[s.i.v]\nx=1\n[[s.i]]\nx=2\n[[s]]\n[[s.i]]\nx=3\n",
			map[string]string{
				"s": "1:1", "s[0]": "1:1", "s[0].n": "2:1 2:3", "s[0].i": "3:1", "s[0].i[0]": "3:1", "s[0].i[0].v": "4:1", "s[0].i[0].v.x": "5:1 5:3",
				"s[0].i[1]": "6:1", "s[0].i[1].x": "7:1 7:3", "s[1]": "8:1", "s[1].i[0]": "9:1", "s[1].i[0].x": "10:1 10:3",
			},
		},
		{
			"dotted and quoted keys",
			"a . \"b.c\".'d' = 1\n\"\\u0065\" = 2\n\"\" = 3\n",
			map[string]string{"a": "1:1", `a."b.c"`: "1:5", `a."b.c".d`: "1:11 1:17", "e": "2:1 2:12", `""`: "3:1 3:6"},
		},
		{
			"a header explains an implicit table",
			"[a.b]\nx=1\n[a]\ny=1\n",
			map[string]string{"a": "3:1", "a.b": "1:1", "a.b.x": "2:1 2:3", "a.y": "4:1 4:3"},
		},
		{
			"inline tables, also over several lines and nested",
			"x = { a = 1, b.c = [ { d = 2 }, { d = 3 } ] }\ny = [ # one\n  { z = \"}\" },\n]\n",
			map[string]string{
				"x": "1:1 1:5", "x.a": "1:7 1:11", "x.b": "1:14", "x.b.c": "1:16 1:20", "x.b.c[0]": "1:22 1:22", "x.b.c[1].d": "1:35 1:39",
				"y": "2:1 2:5", "y[0]": "3:3 3:3", "y[0].z": "3:5 3:9",
			},
		},
		{
			"multi-line strings hide what looks like keys",
			"a = \"\"\"\nb = 1\n\\\"\"\" c = 2\n\"\"\"\"\"\nd = '''\n[e]''''\nf = 1\n",
			map[string]string{"a": "1:1 1:5", "b": "", "c": "", "d": "5:1 5:5", "e": "", "f": "7:1 7:5"},
		},
		{
			"columns count characters, and a line may end in CR LF",
			"\"é\".x = 'ü'\r\nb = [\"日本\", 5]\r\n",
			map[string]string{`"é"`: "1:1", `"é".x`: "1:5 1:9", "b[0]": "2:6 2:6", "b[1]": "2:12 2:12"},
		},
		{
			"dates may have a blank within",
			"a = 2026-01-01 00:00:00Z # x\nb = [ 2026-01-01 00:00:00, 1.5 ]\n",
			map[string]string{"a": "1:1 1:5", "b[1]": "2:28 2:28"},
		},
		{"a byte order mark", "\ufeffa = 1\n", map[string]string{"a": "1:2 1:6"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			tree, err := decode(test.text)
			if err != nil {
				t.Fatalf("not accepted: %v", err)
			}
			ix := scan(test.text)
			checkIndex(t, ix, tree)
			for path, want := range test.want {
				got := ""
				if sp, ok := ix.spans[path]; ok {
					got = fmt.Sprintf("%d:%d", sp.key.line, sp.key.column)
					if sp.value.line != 0 {
						got += fmt.Sprintf(" %d:%d", sp.value.line, sp.value.column)
					}
				}
				if got != want {
					t.Errorf("%s: got %q, want %q", path, got, want)
				}
			}
		})
	}
}

func TestPathsHaveParents(t *testing.T) {
	for _, test := range [][2]string{
		{"a", ""}, {"a.b", "a"}, {"a[3]", "a"}, {"a[3].b", "a[3]"}, {`a."b.c[1]"`, "a"}, {`a."\".".b`, `a."\"."`}, {"", ""},
	} {
		if got := parentPath(test[0]); got != test[1] {
			t.Errorf("%q: got %q, want %q", test[0], got, test[1])
		}
	}
}

// checkIndex: whatever is in the tree is in the index, what the index calls
// the key is the key, and a value on one line is that value.
func checkIndex(t interface {
	Helper()
	Errorf(string, ...any)
}, ix *index, tree map[string]any) {
	t.Helper()
	var walk func(path, name string, v any)
	walk = func(path, name string, v any) {
		sp, ok := ix.spans[path]
		if !ok {
			t.Errorf("%s is not in the index", path)
			return
		}
		line := []rune(ix.line(sp.key.line))
		if sp.key.column+sp.key.length-1 > len(line) {
			t.Errorf("%s: beyond the end of line %d", path, sp.key.line)
			return
		}
		key := string(line[sp.key.column-1:][:sp.key.length])
		if name != "" && key != name && !strings.HasPrefix(key, "[") && !isQuoted(key, name) {
			t.Errorf("%s: the index has %q for its key", path, key)
		}
		checkValue(t, ix, path, sp, v)
		switch v := v.(type) {
		case map[string]any:
			for name, sub := range v {
				walk(joinPath(path, name), name, sub)
			}
		case []map[string]any:
			for i, sub := range v {
				walk(elementPath(path, i), "", sub)
			}
		case []any:
			for i, sub := range v {
				walk(elementPath(path, i), "", sub)
			}
		}
	}
	for name, v := range tree {
		walk(joinPath("", name), name, v)
	}
}

func isQuoted(key, name string) bool {
	switch {
	case len(key) < 2:
		return false
	case key[0] == '\'':
		return key == "'"+name+"'"
	}
	return key[0] == '"' && unescape(key[1:len(key)-1]) == name
}

func checkValue(t interface {
	Helper()
	Errorf(string, ...any)
}, ix *index, path string, sp span, want any) {
	t.Helper()
	if sp.value.line == 0 {
		return // a table or a list made by headers
	}
	line := []rune(ix.line(sp.value.line))
	if sp.value.column+sp.value.length-1 > len(line) {
		t.Errorf("%s: value beyond the end of line %d", path, sp.value.line)
		return
	}
	text := string(line[sp.value.column-1:][:sp.value.length])
	got, err := decode("x = " + text)
	if err != nil {
		if strings.HasPrefix(text, "\"\"\"") || strings.HasPrefix(text, "'''") || text[0] == '[' || text[0] == '{' {
			return // goes on in the next line
		}
		t.Errorf("%s: %q is no value", path, text)
		return
	}
	if !sameValue(got["x"], want) {
		t.Errorf("%s: %q is not the value", path, text)
	}
}

func sameValue(a, b any) bool {
	if x, ok := a.(time.Time); ok {
		y, ok := b.(time.Time)
		return ok && x.Equal(y)
	}
	return reflect.DeepEqual(a, b) || fmt.Sprint(a) == fmt.Sprint(b) // nan
}

// TestPositionsOfGeneratedText writes TOML in all the ways there are, and notes
// where each key and value was put.
func TestPositionsOfGeneratedText(t *testing.T) { rapid.Check(t, testGenerated) }

func testGenerated(t *rapid.T) {
	w := &writer{t: t, want: map[string]string{}}
	tables := rapid.IntRange(0, 6).Draw(t, "tables")
	w.pairs("", "top")
	for i := range tables {
		w.blank()
		name := fmt.Sprintf("t%d", i)
		if rapid.Bool().Draw(t, "array") {
			for n := range rapid.IntRange(1, 3).Draw(t, "elements") {
				path := elementPath(name, n)
				w.note(path)
				w.write("[[" + name + "]]")
				w.end()
				w.pairs(path, "k")
				if rapid.Bool().Draw(t, "sub") {
					w.note(path + ".sub")
					w.write("[" + name + " . sub]")
					w.end()
					w.pairs(path+".sub", "s")
				}
			}
			continue
		}
		w.note(name)
		w.write("[" + name + "]")
		w.end()
		w.pairs(name, "k")
	}
	text := w.b.String()
	tree, err := decode(text)
	if err != nil {
		t.Fatalf("BUG in the generator: %v\n%s", err, text)
	}
	ix := scan(text)
	checkIndex(t, ix, tree)
	for path, want := range w.want {
		sp := ix.spans[path]
		got := fmt.Sprintf("%d:%d", sp.key.line, sp.key.column)
		if got != want {
			t.Fatalf("%s: got %s, want %s in\n%s", path, got, want, text)
		}
	}
}

// A writer writes TOML and knows where it is.
type writer struct {
	t    *rapid.T
	b    strings.Builder
	want map[string]string
	n    int
}

func (w *writer) write(s string) { w.b.WriteString(s) }

func (w *writer) note(path string) {
	text := w.b.String()
	line := strings.Count(text, "\n") + 1
	column := len([]rune(text[strings.LastIndex(text, "\n")+1:])) + 1
	w.want[path] = fmt.Sprintf("%d:%d", line, column)
}

func (w *writer) blank() {
	w.write(rapid.SampledFrom([]string{"", "\n", "# c = 1 [x]\n", "\t\r\n", "# \"\"\"\n"}).Draw(w.t, "blank"))
}

func (w *writer) end() {
	w.write(rapid.SampledFrom([]string{"\n", " # '''\n", "\r\n", "  \n\n"}).Draw(w.t, "end"))
}

func (w *writer) pairs(path, prefix string) {
	for range rapid.IntRange(0, 4).Draw(w.t, "pairs") {
		w.blank()
		w.pair(path, prefix, 0)
		w.end()
	}
}

// pair writes "key = value" with a new key, perhaps dotted or quoted.
func (w *writer) pair(path, prefix string, depth int) {
	w.n++
	w.write(rapid.SampledFrom([]string{"", " ", "\t"}).Draw(w.t, "indent"))
	for i := range rapid.IntRange(1, 3).Draw(w.t, "parts") {
		if i > 0 {
			w.write(rapid.SampledFrom([]string{".", " . "}).Draw(w.t, "dot"))
		}
		name := fmt.Sprintf("%s%d", prefix, w.n)
		quoted := name
		switch rapid.IntRange(0, 3).Draw(w.t, "quoting") {
		case 0:
			name += ".é"
			quoted = "'" + name + "'"
		case 1:
			name += "\"]"
			quoted = `"` + strings.ReplaceAll(name, `"`, `\"`) + `"`
		}
		path = joinPath(path, name)
		w.note(path)
		w.write(quoted)
	}
	w.write(rapid.SampledFrom([]string{"=", " = "}).Draw(w.t, "equals"))
	w.value(path, depth)
}

func (w *writer) value(path string, depth int) {
	kinds := 9
	if depth > 2 {
		kinds = 7
	}
	switch rapid.IntRange(0, kinds-1).Draw(w.t, "kind") {
	case 0:
		w.write("-17")
	case 1:
		w.write("1_000.5e3")
	case 2:
		w.write(`"a \" ] } # é \\"`)
	case 3:
		w.write(`'C:\" ]'`)
	case 4:
		w.write("\"\"\"\nx = 1\n[y] \\\"\"\" \"\" \"\"\"\"")
	case 5:
		w.write("'''\n[[z]]\n'' '''''")
	case 6:
		w.write("2026-11-22 10:00:00.5+01:00")
	case 7:
		w.write("[")
		n := rapid.IntRange(0, 3).Draw(w.t, "items")
		for i := range n {
			w.write(rapid.SampledFrom([]string{"", " ", "\n  ", " # ]\n"}).Draw(w.t, "gap"))
			element := elementPath(path, i)
			w.note(element)
			w.value(element, depth+1)
			if i < n-1 || rapid.Bool().Draw(w.t, "trailing") {
				w.write(",")
			}
		}
		w.write("]")
	case 8:
		w.write("{")
		for i := range rapid.IntRange(0, 3).Draw(w.t, "fields") {
			if i > 0 {
				w.write(",")
			}
			w.pair(path, "f", depth+1)
		}
		w.write(" }")
	}
}

// FuzzIndex: of every text that the TOML library accepts, the index knows
// where everything is; on any other it only has to come back.
func FuzzIndex(f *testing.F) {
	for _, s := range []string{
		"a = 1", "[a.b]\nc = { d.e = [ {}, { f = 1 } ] }", "[[a]]\n[[a.b]]\n[a.b.c]\nx = '''\n'''", "a = \"\"\"\"\"\"\"\"", "\"\\x41\".b = nan",
		"a = [\n# ]\n1, 2\n]\n", "[ a . 'b' ]\r\nx=1979-05-27 07:32:00\r\n", "a={b=1,}", "\ufeffa=1", "a='''''x'''''",
	} {
		f.Add(s)
	}
	f.Add(string(Minimal()))
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 4096 {
			return
		}
		tree, err := decode(text)
		ix := scan(text)
		if err == nil {
			checkIndex(t, ix, tree)
		}
	})
}
