package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const head = `
[agent]
name = "a"
roles = ["ingress"]
locator = "192.0.2.21"
[bgp]
asn = 65001
router_id = "192.0.2.21"
peer = [ { name = "rr1", address = "192.0.2.1", asn = 65001 } ]
`

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode fs.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("key", strings.Repeat("41", 32), 0o640)
	write("open", strings.Repeat("41", 32), 0o644)
	keys := func(files ...string) string {
		text := head
		for i, f := range files {
			text += fmt.Sprintf("[[auth.key]]\nid = %d\nalgorithm = \"ed25519\"\nfile = %q\n", i+1, f)
		}
		return text
	}

	t.Log("# files are relative to the configuration")
	c, err := Load(write("a.toml", keys("key", filepath.Join(dir, "key")), 0o644))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(c.Auth.Keys[0].Secret.Reveal()); got != strings.Repeat("A", 32) || !c.Auth.Keys[0].Secret.Equal(c.Auth.Keys[1].Secret) {
		t.Errorf("got the key %q", got)
	}

	t.Log("# what everybody may read is no secret, unless it is public")
	_, err = Load(write("b.toml", keys("open"), 0o644))
	if err == nil || !strings.Contains(err.Error(), "chmod o-rwx "+filepath.Join(dir, "open")) {
		t.Errorf("got %v", err)
	}
	if _, err = Load(write("b.toml", keys("open")+"public = true\n", 0o644)); err != nil {
		t.Errorf("a public key may be read by everybody: %v", err)
	}

	t.Log("# a directory and a file that is not there")
	_, err = Load(write("c.toml", keys(".", "missing"), 0o644))
	ps, _ := errors.AsType[Problems](err)
	if len(ps) != 2 || !strings.Contains(ps[0].Message, "is a directory") || !strings.Contains(ps[1].Message, "no such file") {
		t.Errorf("got %v", err)
	}

	t.Log("# the configuration itself is not there, or is too large")
	if _, err = Load(filepath.Join(dir, "none.toml")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if _, err = Load(write("d.toml", strings.Repeat("#\n", maxConfig), 0o644)); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("got %v", err)
	}
}

func TestParseWithoutFiles(t *testing.T) {
	_, err := Parse("x.toml", []byte(head+"[netmetric]\nkey_file = \"k\"\n"), nil)
	if err == nil || !strings.HasPrefix(err.Error(), "x.toml:11:12: netmetric.key_file: k: files cannot be read here") {
		t.Errorf("got %v", err)
	}
}

func TestAttributeTypes(t *testing.T) {
	var allowed []int
	for n := 1; n <= 255; n++ {
		_, err := Parse("x.toml", []byte(strings.Replace(head, "asn = 65001\n", fmt.Sprintf("asn = 65001\nattribute_type = %d\n", n), 1)), nil)
		if err == nil {
			allowed = append(allowed, n)
		} else if want := fmt.Sprintf("x.toml:8:18: bgp.attribute_type: %d ", n); !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%d: %v", n, err)
		}
	}
	if len(allowed) != 112 || allowed[0] != 130 || allowed[110] != 240 || allowed[111] != 255 {
		t.Errorf("allowed are %v", allowed)
	}
}

func TestStatusRange(t *testing.T) {
	for _, test := range []struct {
		in       string
		from, to int
		ok       bool
	}{
		{"200-399", 200, 399, true}, {"204", 204, 204, true}, {"100-599", 100, 599, true},
		{"", 0, 0, false}, {"20", 0, 0, false}, {"200-", 0, 0, false}, {"-200", 0, 0, false}, {"300-200", 0, 0, false},
		{"099", 0, 0, false}, {"600", 0, 0, false}, {"200-299-", 0, 0, false}, {"+20", 0, 0, false}, {"2xx", 0, 0, false},
	} {
		from, to, ok := statusRange(test.in)
		if ok != test.ok || ok && (from != test.from || to != test.to) {
			t.Errorf("%q: %d to %d, %t", test.in, from, to, ok)
		}
	}
	in := mustParse(t, readReference(t), nil).Services[0].Instances[0]
	if ch := in.Checks[0]; ch.StatusFrom != 200 || ch.StatusTo != 399 {
		t.Errorf("the default is %d to %d", ch.StatusFrom, ch.StatusTo)
	}
}

// TestManyAggregates: the aggregates of one CSCI-ID share one BGP message.
func TestManyAggregates(t *testing.T) {
	text := func(n, own int) string {
		var b strings.Builder
		b.WriteString(head)
		for i := range n {
			fmt.Fprintf(&b, "[[service]]\nname = \"s%d\"\ncs_id = \"203.0.113.%d\"\nannounce = \"aggregate\"\n", i, i)
			if i < own {
				fmt.Fprintf(&b, "aggregate_id = \"198.51.100.%d\"\n", i+1)
			}
		}
		return b.String()
	}
	mustParse(t, text(40, 0), nil)
	mustParse(t, text(100, 60), nil)
	_, err := Parse("x.toml", []byte(text(100, 59)), nil)
	ps, _ := errors.AsType[Problems](err)
	if len(ps) != 1 || ps[0].Key != "service[99].announce" || !strings.Contains(ps[0].Hint, "aggregate_id") {
		t.Errorf("got %v", err)
	}
}

func TestDerivedValues(t *testing.T) {
	c := mustParse(t, head+`
[[service]]
name = "v4"
cs_id = "203.0.113.10"
policy = "lexicographic"
max_delay = "20ms"
min_score = 3
sites = ["paris", "192.0.2.23"]
[[service]]
name = "v6"
cs_id = "2001:db8::/64"
announce = "both"
aggregate_id = "2001:db8:1::1"
[selection]
gain = 0.5
site = [ { locator = "192.0.2.22", name = "paris", weight = 2, preference = 7 } ]
`, nil)
	p := c.Services[0].Policy
	for _, test := range []struct {
		what      string
		got, want any
	}{
		{"the domain is the AS", c.Agent.Domain, uint32(65001)},
		{"the aggregate is the locator", c.Services[0].AggregateID.Addr(), netip.MustParseAddr("192.0.2.21")},
		{"or what is set", c.Services[1].AggregateID.Addr(), netip.MustParseAddr("2001:db8:1::1")},
		{"policies inherit the constants", p.Gain, 0.5},
		{"and have their own", fmt.Sprint(string(p.Kind)+" ", p.MaxDelay, p.MinScore, p.Sites), "lexicographic 20ms 3 [paris 192.0.2.23]"},
		{"the policy for what is not configured", fmt.Sprint(string(c.Selection.Kind)+" ", c.Selection.Gain, c.Selection.MinScore), "balanced 0.5 0"},
		{"sites", fmt.Sprint(c.Sites), "[{192.0.2.22 paris 2 7}]"},
		{"announce", fmt.Sprint(c.Services[0].Announce.Instances(), c.Services[0].Announce.Whole(), c.Services[1].Announce.Whole()), "true false true"},
	} {
		if test.got != test.want {
			t.Errorf("%s: got %v, want %v", test.what, test.got, test.want)
		}
	}
	if c.Agent.Egress || !c.Agent.Ingress {
		t.Errorf("roles: %+v", c.Agent)
	}
}

// FuzzParse: no text makes Parse panic; problems are at a place in the file;
// what is accepted can be shown, and differs from itself in nothing.
func FuzzParse(f *testing.F) {
	paths, err := filepath.Glob("testdata/problems/*.toml")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range append(paths, reference) {
		b, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add(Minimal())
	f.Add([]byte(secretive))
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 16<<10 {
			return
		}
		c, err := Parse("testdata/problems/x.toml", text, someFiles.open)
		if err != nil {
			checkProblems(t, string(text), err)
			ps, _ := errors.AsType[Problems](err)
			if err := ps.Render(&bytes.Buffer{}, true); err != nil {
				t.Error(err)
			}
			return
		}
		b, err := json.Marshal(c)
		if err != nil || !json.Valid(b) {
			t.Errorf("cannot be shown: %s, %v", b, err)
		}
		if d := Diff(c, c); !d.Empty() {
			t.Errorf("differs from itself: %v", d)
		}
		if err := c.Dampening.Validate(); err != nil {
			t.Error(err)
		}
	})
}
