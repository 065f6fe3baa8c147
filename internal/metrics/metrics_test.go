package metrics_test

import (
	"errors"
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/catsbgp/catsbgp/internal/api"
	"github.com/catsbgp/catsbgp/internal/api/apitest"
	"github.com/catsbgp/catsbgp/internal/metrics"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// scrape asks the handler and returns the lines about catsbgp.
func scrape(t *testing.T, m *metrics.Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	var out strings.Builder
	for line := range strings.Lines(w.Body.String()) {
		if strings.Contains(line, "catsbgp_") {
			out.WriteString(line)
		}
	}
	return out.String()
}

func families(t *testing.T, text string) map[string]*dto.MetricFamily {
	t.Helper()
	p := expfmt.NewTextParser(model.UTF8Validation)
	f, err := p.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return f
}

func newMetrics(b metrics.Source) *metrics.Metrics {
	return metrics.New(b, metrics.Build{Version: "v0.1.0-test", Revision: "abc", GoVersion: "go1.26"})
}

func TestScrape(t *testing.T) {
	b := apitest.New()
	m := newMetrics(b)
	m.UpdateSent("video", "delta")
	m.UpdateSent("video", "delta")
	m.UpdateSuppressed("video", "threshold")
	m.Event("peer.up", "info")
	got := scrape(t, m)
	golden := filepath.Join("testdata", "scrape.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("differs from %s (rewrite with -update): %s", golden, d)
	}

	t.Logf("# every family that is defined is fed by the story, and no other")
	have := families(t, got)
	for _, d := range metrics.Series {
		if _, ok := have[d.Name]; !ok && d.Name != "catsbgp_scrape_dropped_series" {
			t.Errorf("%s is defined but never fed", d.Name)
		}
		delete(have, d.Name)
	}
	for name := range have {
		t.Errorf("%s is not defined", name)
	}
}

func TestDefinitions(t *testing.T) {
	name := regexp.MustCompile(`^catsbgp_[a-z][a-z0-9_]*[a-z0-9]$`)
	seen := map[string]bool{}
	text := scrape(t, newMetrics(apitest.New()))
	types := families(t, text)
	for _, d := range metrics.Series {
		if !name.MatchString(d.Name) || seen[d.Name] || !strings.HasSuffix(d.Help, ".") {
			t.Errorf("%s: bad name, twice, or help without a full stop", d.Name)
		}
		seen[d.Name] = true
		if len(d.Labels) > 5 {
			t.Errorf("%s has %d labels", d.Name, len(d.Labels))
		}
		for _, l := range d.Labels {
			if strings.Contains(l, "client") || strings.Contains(l, "flow") {
				t.Errorf("%s: label %s is about clients", d.Name, l)
			}
		}
		if f := types[d.Name]; f != nil {
			if counter := f.GetType() == dto.MetricType_COUNTER; counter != strings.HasSuffix(d.Name, "_total") {
				t.Errorf("%s is a %s", d.Name, f.GetType())
			}
		}
	}
}

func TestPromtoolLikesIt(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed")
	}
	m := newMetrics(apitest.New())
	m.UpdateSent("video", "delta")
	m.UpdateSuppressed("video", "threshold")
	cmd := exec.Command(promtool, "check", "metrics")
	cmd.Stdin = strings.NewReader(scrape(t, m))
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}

// An agent that cannot answer still has a scrape that says so.
func TestAgentThatDoesNotAnswer(t *testing.T) {
	b := apitest.New()
	b.Err = errors.New("busy")
	b.Alive = false
	got := scrape(t, newMetrics(b))
	for _, want := range []string{
		"catsbgp_live 0\n", `catsbgp_scrape_document_success{document="status"} 0`, "catsbgp_build_info{",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in:\n%s", want, got)
		}
	}
	if strings.Contains(got, "catsbgp_peer_up") {
		t.Error("series without a document")
	}
}

// What the network says can neither break the scrape nor make it grow without
// limit.
func TestHostileDocuments(t *testing.T) {
	b := apitest.New()
	twice := b.ServiceDocs[0].Targets[0]
	b.ServiceDocs[0].Targets = append(b.ServiceDocs[0].Targets, twice)
	b.InstanceDocs[0].Service = "vid\xffeo\n\""
	b.SiteDocs = []api.Site{{Name: "big"}}
	for i := range metrics.MaxSeries + 3 {
		b.SiteDocs[0].Instances = append(b.SiteDocs[0].Instances, api.HeardInstance{Service: "video", CSCIID: fmt.Sprint("#", i)})
	}
	got := scrape(t, newMetrics(b))
	if n := len(families(t, got)["catsbgp_heard_age_seconds"].Metric); n != metrics.MaxSeries {
		t.Errorf("%d series, want %d", n, metrics.MaxSeries)
	}
	if want := `catsbgp_scrape_dropped_series{family="catsbgp_heard_age_seconds"} 3`; !strings.Contains(got, want) {
		t.Errorf("no %s", want)
	}

	m := newMetrics(b)
	for i := range 5000 {
		m.UpdateSuppressed(fmt.Sprint("service", i), "threshold")
	}
	f := families(t, scrape(t, m))["catsbgp_updates_suppressed_total"]
	if n := len(f.Metric); n != 4097 {
		t.Errorf("%d counters, want 4096 and one for the rest", n)
	}
	for _, v := range f.Metric {
		if v.Label[0].GetValue() == "other" && v.Counter.GetValue() != 5000-4096 {
			t.Errorf("other counts %v, want %d", v.Counter.GetValue(), 5000-4096)
		}
	}
}
