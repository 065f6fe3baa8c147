package catsbgp_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The architecture, as far as imports can tell. What a package imports
// indirectly does not count: fmt brings os to everyone.

const module = "github.com/catsbgp/catsbgp/"

// pure are the packages that decide. They get the time as an argument and
// answer with values; so they can be tested with a thousand days in a second,
// and equal inputs give equal outputs.
var pure = []string{"advert", "dampening", "selection", "internal/egress", "internal/ingress", "internal/timers"}

// impure is what a pure package must not import.
var impure = []struct{ what, why string }{
	{"net", "addresses are net/netip; sockets belong in bgp, netmetric and collect"},
	{"net/http", "sockets belong in collect and api"},
	{"os...", "files, processes and signals belong in cmd, config and agent"},
	{"io/fs", "files belong in config and agent"},
	{"syscall", "the kernel belongs in the packages that face it"},
	{"golang.org/x/sys...", "the kernel belongs in the packages that face it"},
	{"unsafe", "no core is in such a hurry"},
	{"sync...", "a pure package is called from one goroutine"},
	{"context", "nothing here waits, so nothing is cancelled"},
	{"log...", "return a reason or a note; the agent logs it"},
	{"github.com/rs/zerolog", "return a reason or a note; the agent logs it"},
	{"math/rand", "its global source is shared and seeded by chance; use math/rand/v2 with a *Rand"},
	{"crypto/rand", "equal inputs must give equal outputs"},
	{"testing", "tests are in files of their own"},
}

// readsClock are the functions of package time that know what time it is.
var readsClock = []string{"Now", "Since", "Until", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick", "Sleep"}

// ownRand is what a pure package may use of math/rand/v2: all else draws from
// the global source.
var ownRand = []string{"New", "NewPCG", "NewChaCha8", "NewZipf", "Rand", "Source", "PCG", "ChaCha8", "Zipf"}

// only says who alone may import something: foreign types stop at the package
// that imports them.
var only = []struct {
	what string
	who  []string
	why  string
}{
	{"github.com/osrg/gobgp...", []string{"bgp", "internal/bgptest"}, "the rest knows announcements, not GoBGP"},
	{"github.com/BurntSushi/toml", []string{"internal/config"}, "the rest knows typed values, not files"},
	{"github.com/spf13/cobra...", []string{"cmd/..."}, "commands are the outermost layer"},
	{"github.com/hashicorp/memberlist", []string{"internal/cluster"}, "the rest knows who is there, not gossip"},
	{"github.com/cilium/ebpf...", []string{"internal/dataplane..."}, "the rest knows plans, not the kernel"},
	{"github.com/vishvananda/netlink...", []string{"internal/dataplane...", "lab..."}, "the rest knows plans, not the kernel"},
	{"github.com/prometheus/client_golang...", []string{"internal/metrics", "bgp", "internal/cluster", "internal/dataplane...", "tlsnode..."}, "series are made in one place, of the documents that show prints; shells may bring their own"},
	{module + "internal/agent", []string{"cmd/...", "internal/demo", "lab..."}, "the agent wires everything: who imports it is above everything"},
	{module + "internal/config", []string{"internal/agent", "cmd/...", "internal/demo", "lab..."}, "leaves have options of their own; the agent translates"},
	{module + "internal/egress", []string{"internal/agent", "internal/domaintest"}, "siblings meet only in the agent"},
	{module + "internal/ingress", []string{"internal/agent", "internal/domaintest"}, "siblings meet only in the agent"},
	{module + "internal/bgptest", nil, "for tests"},
	{module + "cmd...", []string{"cmd/..."}, "nothing is above the commands"},
}

// ours says what of ours the lower layers may import, where that is not much.
var ours = []struct {
	who string
	may []string
	why string
}{
	{"advert", nil, "the vocabulary that all others share"},
	{"dampening", nil, "does not know what a value means"},
	{"selection", []string{"advert"}, "does not know where candidates come from"},
	{"bgp", nil, "carries attributes without reading them"},
	{"internal/timers", nil, "a data structure"},
	{"internal/events", nil, "a ring of what others tell"},
	{"internal/netmetric", nil, "measures the network, knows no services"},
	{"internal/collect", []string{"advert"}, "samples and scores; thresholds are dampening's"},
	{"internal/classifier", []string{"advert", "selection"}, "obeys a split; why it is so is selection's"},
	{"internal/egress", []string{"advert", "dampening", "internal/collect", "internal/events", "internal/timers"}, "the site's core knows no ingress and no BGP"},
	{"internal/ingress", []string{"advert", "selection", "internal/netmetric", "internal/events", "internal/timers"}, "the ingress's core knows no site's core and no BGP"},
	{"internal/config", []string{"advert", "bgp", "dampening", "selection", "internal/collect", "internal/netmetric", "internal/cluster", "internal/dataplane...", "tlsnode..."}, "fills in the leaves' options, knows no state"},
	{"internal/api", []string{"advert", "internal/events"}, "documents for readers; decisions are the cores'"},
	{"internal/metrics", []string{"internal/api"}, "reads the documents that show prints"},
	{"tlsnode...", []string{"tlsnode..."}, "TLS migration is of use without BGP"},
}

func TestArchitecture(t *testing.T) {
	packages, err := load(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pure {
		if packages[p] == nil {
			t.Errorf("there is no package %s", p)
		}
	}
	for _, problem := range judge(packages) {
		t.Error(problem)
	}
}

// TestArchitectureNotices breaks every kind of rule once.
func TestArchitectureNotices(t *testing.T) {
	for _, tt := range []struct{ in, source, want string }{
		{"advert", `import "net"`, "net/netip"},
		{"advert", `import "os/exec"`, "processes"},
		{"advert", `import "sync/atomic"`, "one goroutine"},
		{"dampening", `import "log/slog"`, "a reason"},
		{"dampening", `import "github.com/catsbgp/catsbgp/advert"`, "does not know what a value means"},
		{"selection", `import "github.com/catsbgp/catsbgp/dampening"`, "where candidates come from"},
		{"selection", "import \"time\"\nvar now = time.Now()", "time.Now"},
		{"selection", "import clock \"time\"\nfunc f() { clock.Sleep(1) }", "time.Sleep"},
		{"selection", "import \"math/rand/v2\"\nfunc f() int { return rand.IntN(3) }", "rand.IntN"},
		{"internal/timers", "func f() { go f() }", "goroutine"},
		{"internal/egress", `import "github.com/catsbgp/catsbgp/internal/ingress"`, "meet only in the agent"},
		{"internal/ingress", `import "github.com/osrg/gobgp/v4/api"`, "not GoBGP"},
		{"internal/agent", `import "github.com/osrg/gobgp/v4/pkg/server"`, "not GoBGP"},
		{"internal/api", `import "github.com/catsbgp/catsbgp/selection"`, "the cores'"},
		{"internal/metrics", `import "github.com/catsbgp/catsbgp/internal/egress"`, "show prints"},
		{"internal/config", `import "github.com/catsbgp/catsbgp/internal/egress"`, "knows no state"},
		{"internal/collect", `import "github.com/catsbgp/catsbgp/internal/config"`, "options of their own"},
		{"bgp", `import "github.com/catsbgp/catsbgp/cmd/catsbgp"`, "above the commands"},
		{"tlsnode/tls13", `import "github.com/catsbgp/catsbgp/bgp"`, "without BGP"},
		{"internal/new", `import "github.com/catsbgp/catsbgp/internal/bgptest"`, "for tests"},
	} {
		p, err := parse(tt.in, map[string]string{"x.go": "package x\n" + tt.source})
		if err != nil {
			t.Fatalf("%s: %v", tt.source, err)
		}
		if got := strings.Join(judge(map[string]*source{tt.in: p}), "\n"); !strings.Contains(got, tt.want) {
			t.Errorf("%s with %s: judged %q, want something with %q", tt.in, tt.source, got, tt.want)
		}
	}
	p, err := parse("advert", map[string]string{"x.go": "package x\nimport (\"net/netip\"; \"time\"; \"math/rand/v2\")\n" +
		"func f(now time.Time, r *rand.Rand) { _ = rand.New(rand.NewPCG(1, 2)); _ = netip.Addr{} }"})
	if err != nil {
		t.Fatal(err)
	}
	if got := judge(map[string]*source{"advert": p}); len(got) != 0 {
		t.Errorf("nothing is wrong with it, but %q", got)
	}
}

// A source is a package without its tests.
type source struct {
	files   []*ast.File
	imports []string
}

// load reads all packages below a directory, by their path in the module.
func load(root string) (map[string]*source, error) {
	texts := map[string]map[string]string{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		switch base := filepath.Base(name); {
		case err != nil:
			return err
		case d.IsDir() && (base == "testdata" || base != "." && strings.HasPrefix(base, ".")):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(base, ".go") || strings.HasSuffix(base, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		dir := path.Clean(filepath.ToSlash(filepath.Dir(name)))
		if texts[dir] == nil {
			texts[dir] = map[string]string{}
		}
		texts[dir][name] = string(text)
		return nil
	})
	if err != nil {
		return nil, err
	}
	packages := map[string]*source{}
	for dir, files := range texts {
		if packages[dir], err = parse(dir, files); err != nil {
			return nil, err
		}
	}
	return packages, nil
}

func parse(dir string, files map[string]string) (*source, error) {
	s := &source{}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		f, err := parser.ParseFile(token.NewFileSet(), name, files[name], parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		s.files = append(s.files, f)
		for _, imp := range f.Imports {
			p, err := strconv.Unquote(imp.Path.Value)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", dir, err)
			}
			s.imports = append(s.imports, p)
		}
	}
	slices.Sort(s.imports)
	s.imports = slices.Compact(s.imports)
	return s, nil
}

// judge returns what is wrong, one line each.
func judge(packages map[string]*source) (problems []string) {
	say := func(pkg, what, why string) {
		problems = append(problems, fmt.Sprintf("%s must not use %s: %s", pkg, what, why))
	}
	for _, pkg := range slices.Sorted(maps.Keys(packages)) {
		src := packages[pkg]
		for _, imp := range src.imports {
			for _, r := range only {
				if matches(r.what, imp) && !anyMatch(r.who, pkg) {
					say(pkg, imp, r.why)
				}
			}
			for _, r := range ours {
				if own, ok := strings.CutPrefix(imp, module); ok && matches(r.who, pkg) && !anyMatch(r.may, own) {
					say(pkg, imp, r.why)
				}
			}
			for _, r := range impure {
				if slices.Contains(pure, pkg) && matches(r.what, imp) {
					say(pkg, imp, r.why)
				}
			}
		}
		if slices.Contains(pure, pkg) {
			for _, f := range src.files {
				judgeUses(pkg, f, say)
			}
		}
	}
	return problems
}

// judgeUses looks for clocks, chance and goroutines in a file of a pure package.
func judgeUses(pkg string, f *ast.File, say func(pkg, what, why string)) {
	names := map[string]string{} // local name to import path
	for _, imp := range f.Imports {
		p, _ := strconv.Unquote(imp.Path.Value)
		name := path.Base(strings.TrimSuffix(p, "/v2"))
		if imp.Name != nil {
			name = imp.Name.Name
		}
		names[name] = p
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			say(pkg, "a goroutine", "the caller decides what runs when")
		case *ast.SelectorExpr:
			x, ok := n.X.(*ast.Ident)
			if !ok {
				break
			}
			switch p := names[x.Name]; {
			case p == "time" && slices.Contains(readsClock, n.Sel.Name):
				say(pkg, "time."+n.Sel.Name, "the time is an argument")
			case p == "math/rand/v2" && !slices.Contains(ownRand, n.Sel.Name):
				say(pkg, "rand."+n.Sel.Name, "the source of chance is an argument")
			}
		}
		return true
	})
}

// matches reports whether a path is as a pattern says: "a" is a, "a..." is a
// and all below, "a/..." the same.
func matches(pattern, p string) bool {
	prefix, all := strings.CutSuffix(pattern, "...")
	prefix = strings.TrimSuffix(prefix, "/")
	return p == prefix || all && strings.HasPrefix(p, prefix+"/")
}

func anyMatch(patterns []string, p string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return matches(pattern, p) })
}
