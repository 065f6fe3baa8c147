package demo

import (
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

func TestLognormal(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	const n, mean, cv = 100_000, 100 * time.Millisecond, 0.3
	var sum, square float64
	for range n {
		x := lognormal(rng, mean, cv).Seconds()
		if x <= 0 || x > 1 {
			t.Fatalf("drew %v s", x)
		}
		sum, square = sum+x, square+x*x
	}
	m := sum / n
	sd := math.Sqrt(square/n - m*m)
	if math.Abs(m-0.1) > 0.001 || math.Abs(sd/m-cv) > 0.01 {
		t.Errorf("mean %v s, coefficient of variation %v, want 0.1 s, %v", m, sd/m, cv)
	}
}

func TestWorkload(t *testing.T) {
	w, err := newWorkload(anyPort, 1)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}
	get := func(path string) (int, string) {
		resp, err := client.Get(fmt.Sprintf("http://%s%s", w.listener.Addr(), path))
		if err != nil {
			return 0, err.Error()
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(b)
	}

	// Twice as many as there are slots: half of them wait.
	var group sync.WaitGroup
	for range 2 * slots {
		group.Go(func() {
			if code, body := get("/"); code != http.StatusOK {
				t.Errorf("got %d %s", code, body)
			}
		})
	}
	group.Wait()
	_, page := get("/metrics")
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(page))
	if err != nil {
		t.Fatalf("%v in\n%s", err, page)
	}
	work := families["demo_service_seconds"].Metric[0].Summary
	if n := work.GetSampleCount(); n != 2*slots {
		t.Errorf("%d served, want %d", n, 2*slots)
	}
	if mean := work.GetSampleSum() / float64(work.GetSampleCount()); mean < 0.05 {
		t.Errorf("a request takes %v s: waiting for a slot is not work, but sleeping in one is", mean)
	}
	for name, want := range map[string]float64{"demo_requests_in_flight": 0, "demo_workers": slots} {
		if got := families[name].Metric[0].Gauge.GetValue(); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if got := families["demo_requests_total"].Metric[0].Counter.GetValue(); got != 2*slots {
		t.Errorf("demo_requests_total is %v", got)
	}

	for _, sick := range []bool{true, false} {
		w.sick.Store(sick)
		if code, _ := get("/healthz"); (code == http.StatusOK) == sick {
			t.Errorf("sick %v, status %d", sick, code)
		}
	}

	t.Log("killed in the middle of a request: that fails, and Run ends without an error")
	group.Go(func() {
		if code, _ := get("/"); code != 0 {
			t.Errorf("answered %d by the dead", code)
		}
	})
	for w.inFlight.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	w.Kill()
	group.Wait()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
