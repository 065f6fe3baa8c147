package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the files that say what is expected")

// What the files in testdata may name.
var someFiles = files{
	"/etc/world":                        {"hunter2\n", 0o644},
	"testdata/problems/blank":           {" \n\t\n", 0o600},
	"testdata/problems/short":           {"hunter2\n", 0o600},
	"testdata/problems/long":            {strings.Repeat("x", 81), 0o600},
	"testdata/problems/token":           {"0123456789abcdef\n", 0o640},
	"testdata/problems/seed":            {strings.Repeat("4a", 32) + "\n", 0o600},
	"testdata/problems/seed-world":      {strings.Repeat("4a", 32) + "\n", 0o604},
	"testdata/problems/seed-and-public": {strings.Repeat("4a", 64) + "\n", 0o600},
	"testdata/problems/pem":             {"-----BEGIN PRIVATE KEY-----\nhunter2\n", 0o600},
	"testdata/problems/not.pem":         {"hunter2", 0o644},
}

// TestProblems: everything that is wrong with a file is reported at once, each
// at its line and column. The .problems files are what an operator reads.
func TestProblems(t *testing.T) {
	paths, err := filepath.Glob("testdata/problems/*.toml")
	if err != nil || len(paths) == 0 {
		t.Fatal("no files", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".toml"), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			cfg, err := Parse(filepath.ToSlash(path), text, someFiles.open)
			got := ""
			if err != nil {
				got = err.Error()
				if cfg != nil {
					t.Error("a configuration comes with the problems")
				}
				checkProblems(t, string(text), err)
			} else {
				got = cfg.Warnings.Error()
				if got == "" {
					t.Error("nothing found")
				}
			}
			if strings.Contains(got, "hunter2") {
				t.Error("a secret is quoted")
			}
			golden(t, strings.TrimSuffix(path, ".toml")+".problems", strings.ReplaceAll(got, "testdata/problems/", "")+"\n")
		})
	}
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// checkProblems holds what is true of all problems.
func checkProblems(t *testing.T, text string, err error) {
	t.Helper()
	ps, ok := errors.AsType[Problems](err)
	if !ok || len(ps) == 0 {
		t.Fatalf("not Problems: %#v", err)
	}
	lines := strings.Split(text, "\n")
	seen := map[string]bool{}
	for i, p := range ps {
		if p.Line < 1 || p.Line > len(lines) || p.Column < 1 || p.Length < 1 {
			t.Errorf("nowhere in the file: %#v", p)
			continue
		}
		if width := len([]rune(lines[p.Line-1])); p.Column > width+1 {
			t.Errorf("column beyond the end of the line (%d): %#v", width, p)
		}
		if p.Message == "" || p.Severity != Error {
			t.Errorf("incomplete: %#v", p)
		}
		if i > 0 && ps[i-1].Line > p.Line {
			t.Errorf("not ordered: %v after %v", p, ps[i-1])
		}
		if seen[p.String()] {
			t.Errorf("reported twice: %v", p)
		}
		seen[p.String()] = true
	}
}

func TestRender(t *testing.T) {
	text, err := os.ReadFile("testdata/problems/unknown.toml")
	if err != nil {
		t.Fatal(err)
	}
	_, err = Parse("unknown.toml", text, nil)
	ps, _ := errors.AsType[Problems](err)
	ps = append(ps, Problem{Severity: Warning, File: "a.toml", Line: 1234, Column: 3, Length: 2, Message: "wide and evil", source: "é\t\x1b[31mx"})
	var b bytes.Buffer
	if err := ps.Render(&b, false); err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/render.txt", b.String())

	b.Reset()
	ps[:1].Render(&b, true)
	if got := b.String(); !strings.Contains(got, "\x1b[1;31m") || strings.Count(got, "\x1b[")%2 != 0 {
		t.Errorf("colours are not switched on and off: %q", got)
	}
}

func TestProblemsAsJSON(t *testing.T) {
	for _, test := range []struct {
		name string
		in   Problems
		want string
	}{
		{"none is an empty list", nil, `[]`},
		{"one", Problems{{Severity: Error, File: "f", Line: 1, Column: 2, Length: 3, Key: "a.b", Message: "m", source: "hidden"}},
			`[{"severity":"error","file":"f","line":1,"column":2,"length":3,"key":"a.b","message":"m"}]`},
	} {
		got, err := json.Marshal(test.in)
		if err != nil || string(got) != test.want {
			t.Errorf("%s: %s, %v", test.name, got, err)
		}
	}
}
