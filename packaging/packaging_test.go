// Package packaging_test holds the unit, the Debian package, the alerts and the
// dashboard against the program they are for.
package packaging_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/catsbgp/catsbgp/internal/config"
	"github.com/catsbgp/catsbgp/internal/metrics"
)

func need(t *testing.T, tool string) string {
	t.Helper()
	path, err := exec.LookPath(tool)
	if err != nil {
		t.Skipf("%s is not installed", tool)
	}
	return path
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func run(t *testing.T, env []string, name string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestUnitVerifies(t *testing.T) {
	analyze := need(t, "systemd-analyze")
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// The program is not installed where the test runs; anything executable does.
	unit := filepath.Join(t.TempDir(), "catsbgp.service")
	text := strings.ReplaceAll(read(t, "catsbgp.service"), "/usr/bin/catsbgp", program)
	if err := os.WriteFile(unit, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := run(t, nil, analyze, "verify", "--man=no", unit)
	if err != nil || strings.TrimSpace(out) != "" {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

func TestUnitIsHardened(t *testing.T) {
	analyze := need(t, "systemd-analyze")
	// Tenths: 2.0 of 10, "OK" and better.
	out, err := run(t, nil, analyze, "security", "--offline=true", "--threshold=20", "--no-pager", "catsbgp.service")
	if err != nil {
		t.Errorf("systemd-analyze security: %v\n%s", err, out)
	}
	if m := regexp.MustCompile(`Overall exposure level.*`).FindString(out); m != "" {
		t.Log(m)
	}
}

func TestUnitSays(t *testing.T) {
	unit := read(t, "catsbgp.service")
	for _, line := range []string{
		"Type=notify", "ExecReload=/bin/kill -HUP $MAINPID",
		"ExecStartPre=/usr/bin/catsbgp check -q -c /etc/catsbgp/catsbgp.toml",
		"CapabilityBoundingSet=CAP_NET_BIND_SERVICE", "AmbientCapabilities=CAP_NET_BIND_SERVICE", "ProtectSystem=strict",
	} {
		if !slices.Contains(strings.Split(unit, "\n"), line) {
			t.Errorf("the unit lacks %q", line)
		}
	}
}

var seriesName = regexp.MustCompile(`catsbgp_[a-z0-9_]+`)

// exists checks that all series of an expression are ours.
func exists(t *testing.T, where, expr string) {
	t.Helper()
	for _, name := range seriesName.FindAllString(expr, -1) {
		if !slices.ContainsFunc(metrics.Series, func(d metrics.Definition) bool { return d.Name == name }) {
			t.Errorf("%s: no series %s", where, name)
		}
	}
}

func TestAlerts(t *testing.T) {
	text := read(t, "contrib/prometheus/alerts.yml")
	for line := range strings.Lines(text) {
		if _, expr, ok := strings.Cut(line, "expr:"); ok {
			exists(t, "alerts.yml", expr)
		}
	}
	promtool := need(t, "promtool")
	if out, err := run(t, nil, promtool, "check", "rules", "contrib/prometheus/alerts.yml"); err != nil {
		t.Errorf("promtool check rules: %v\n%s", err, out)
	}
	if out, err := run(t, nil, promtool, "test", "rules", "contrib/prometheus/alerts_test.yml"); err != nil {
		t.Errorf("promtool test rules: %v\n%s", err, out)
	}
}

func TestDashboard(t *testing.T) {
	var doc struct {
		Title  string
		Panels []struct {
			ID      int
			Type    string
			Title   string
			GridPos struct{ H, W, X, Y int }
			Targets []struct{ RefID, Expr string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, "contrib/grafana/catsbgp.json")), &doc); err != nil {
		t.Fatal(err)
	}
	ids := map[int]bool{}
	taken := map[[2]int]string{}
	var rules strings.Builder
	rules.WriteString("groups:\n- name: dashboard\n  rules:\n")
	for _, p := range doc.Panels {
		if ids[p.ID] || p.Title == "" {
			t.Errorf("panel %d %q: id twice or no title", p.ID, p.Title)
		}
		ids[p.ID] = true
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %q shows nothing", p.Title)
		}
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other, ok := taken[[2]int{x, y}]; ok || x >= 24 {
					t.Fatalf("panel %q lies over %q or outside", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		for _, target := range p.Targets {
			exists(t, p.Title, target.Expr)
			expr := strings.ReplaceAll(target.Expr, "$__rate_interval", "5m")
			fmt.Fprintf(&rules, "  - record: panel:%d:%s\n    expr: %q\n", p.ID, strings.ToLower(target.RefID), expr)
		}
	}
	promtool := need(t, "promtool")
	file := filepath.Join(t.TempDir(), "rules.yml")
	if err := os.WriteFile(file, []byte(rules.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := run(t, nil, promtool, "check", "rules", file); err != nil {
		t.Errorf("an expression is not valid: %v\n%s", err, out)
	}
}

func TestMinimalConfigurationIsPackaged(t *testing.T) {
	if got := read(t, "../internal/config/minimal.toml"); got != string(config.Minimal()) {
		t.Error("the package does not hold the minimal configuration")
	}
}

// TestDebianPackage builds the package twice, unpacks it without root, and
// runs what is in it.
func TestDebianPackage(t *testing.T) {
	deb := need(t, "dpkg-deb")
	dir := t.TempDir()
	program := filepath.Join(dir, "catsbgp")
	if out, err := run(t, []string{"CGO_ENABLED=0"}, "go", "build", "-trimpath", "-o", program, "../cmd/catsbgp"); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	build := func(out string) string {
		t.Helper()
		text, err := run(t, []string{"CATSBGP_BINARY=" + program, "SOURCE_DATE_EPOCH=1790000000", "DEB_COMPRESSION=none"}, "./build-deb.sh", "v0.1.0~test", filepath.Join(dir, out))
		if err != nil {
			t.Fatalf("build-deb.sh: %v\n%s", err, text)
		}
		return strings.TrimSpace(text)
	}
	file := build("a")
	if again := build("b"); read(t, file) != read(t, again) {
		t.Error("two builds differ")
	}
	if out, err := run(t, nil, "./build-deb.sh", "latest"); err == nil {
		t.Errorf("a version without a digit is accepted: %s", out)
	}

	info, err := run(t, nil, deb, "--info", file)
	if err != nil {
		t.Fatalf("dpkg-deb --info: %v\n%s", err, info)
	}
	for _, want := range []string{"Package: catsbgp", "Version: 0.1.0~test", "conffiles", "postinst", "prerm", "postrm", "md5sums"} {
		if !strings.Contains(info, want) {
			t.Errorf("no %s in\n%s", want, info)
		}
	}
	contents, err := run(t, nil, deb, "--contents", file)
	if err != nil {
		t.Fatalf("dpkg-deb --contents: %v\n%s", err, contents)
	}
	for _, want := range []string{
		"-rwxr-xr-x root/root .* ./usr/bin/catsbgp\n", "-rw-r--r-- root/root .* ./etc/catsbgp/catsbgp.toml\n",
		"-rw-r--r-- root/root .* ./lib/systemd/system/catsbgp.service\n", "./usr/lib/sysusers.d/catsbgp.conf\n",
		"./usr/share/man/man8/catsbgp-drain.8.gz\n", "./usr/share/bash-completion/completions/catsbgp\n",
		"./usr/share/zsh/vendor-completions/_catsbgp\n", "./usr/share/doc/catsbgp/copyright\n", "./usr/share/doc/catsbgp/config.toml\n",
	} {
		if !regexp.MustCompile(want).MatchString(contents) {
			t.Errorf("no %s in\n%s", want, contents)
		}
	}

	tree := filepath.Join(dir, "tree")
	if out, err := run(t, nil, deb, "--extract", file, tree); err != nil {
		t.Fatalf("dpkg-deb --extract: %v\n%s", err, out)
	}
	installed := filepath.Join(tree, "usr/bin/catsbgp")
	for _, name := range []string{"etc/catsbgp/catsbgp.toml"} {
		if out, err := run(t, nil, installed, "check", "-c", filepath.Join(tree, name)); err != nil {
			t.Errorf("check %s: %v\n%s", name, err, out)
		}
	}
	for _, script := range []string{"postinst", "prerm", "postrm"} {
		if out, err := run(t, nil, "sh", "-n", "deb/"+script); err != nil {
			t.Errorf("%s: %v\n%s", script, err, out)
		}
	}
}
