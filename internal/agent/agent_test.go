package agent_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/catsbgp/catsbgp/advert"
	"github.com/catsbgp/catsbgp/internal/agent"
	"github.com/catsbgp/catsbgp/internal/api"
	"github.com/catsbgp/catsbgp/internal/config"
)

// start runs an agent from a configuration until the test ends, or stop is
// called.
func start(t *testing.T, text string) (a *agent.Agent, stop func()) {
	t.Helper()
	text = strings.ReplaceAll(text, "SOCKET", filepath.Join(t.TempDir(), "s"))
	cfg, err := config.Parse(t.Name()+".toml", []byte(text), func(p string) ([]byte, fs.FileMode, error) {
		b, err := os.ReadFile(p)
		return b, 0o600, err
	})
	if err != nil {
		t.Fatal(err)
	}
	log := zerolog.Nop()
	if testing.Verbose() {
		log = zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.InfoLevel).With().Str("agent", cfg.Agent.Name).Logger()
	}
	a, err = agent.New(cfg, agent.Options{Log: log})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("%s: %v", cfg.Agent.Name, err)
			}
		case <-time.After(20 * time.Second):
			t.Errorf("%s does not stop", cfg.Agent.Name)
		}
	}
	t.Cleanup(stop)
	return a, stop
}

// eventually waits for a condition, at most 20 s.
func first[T any](v T, _ error) T { return v }

func eventually(t *testing.T, what string, ok func() bool, agents ...*agent.Agent) {
	t.Helper()
	for range 2000 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Helper()
	for _, a := range agents {
		b, _ := json.Marshal(first(a.Backend().Explain(t.Context(), "203.0.113.10")))
		t.Log(string(b))
	}
	t.Fatalf("not in time: %s", what)
}

// A workload is a server that says of itself how busy it is.
type workload struct {
	*httptest.Server
	utilisation atomic.Int64 // percent
}

func newWorkload(t *testing.T) *workload {
	w := &workload{}
	w.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(rw, "load_ratio %g\ninflight 3\n", float64(w.utilisation.Load())/100)
	}))
	t.Cleanup(w.Close)
	return w
}

const ingressConfig = `
[agent]
name = "gate"
roles = ["ingress"]
locator = "127.0.4.1"
state_dir = ""
[api]
socket = "SOCKET"
[bgp]
asn = 65001
router_id = "192.0.2.1"
listen = ["127.0.4.1"]
port = 17904
[netmetric]
reflector = ""
port = 18624
interval = "100ms"
[[selection.site]]
locator = "127.0.4.11"
name = "madrid"
[[selection.site]]
locator = "127.0.4.12"
name = "paris"
[[bgp.peer]]
name = "madrid"
address = "127.0.4.11"
local_address = "127.0.4.1"
port = 17904
asn = 65001
connect_retry = "1s"
[[bgp.peer]]
name = "paris"
address = "127.0.4.12"
local_address = "127.0.4.1"
port = 17904
asn = 65001
connect_retry = "1s"
`

func siteConfig(name, locator, instance, url, target string) string {
	return fmt.Sprintf(`
[agent]
name = %q
roles = ["egress"]
locator = %q
state_dir = ""
[api]
socket = "SOCKET"
[bgp]
asn = 65001
router_id = %[2]q
listen = [%[2]q]
port = 17904
[netmetric]
reflector = "%[2]s:18624"
[dampening]
smoothing = "100ms"
min_interval = "100ms"
refresh = "2s"
bucket_per_minute = 120
validity = "10s"
[[bgp.peer]]
name = "gate"
address = "127.0.4.1"
asn = 65001
passive = true
[[service]]
name = "video"
cs_id = "203.0.113.10"
[[service.instance]]
id = %[3]q
capacity = 100.0
slots = 8
[[service.instance.source]]
name = "prom"
type = "prometheus"
url = %[4]q
interval = "100ms"
timeout = "90ms"
[service.instance.source.values]
utilisation = { metric = "load_ratio" }
in_flight = { metric = "inflight" }
[[service.instance.check]]
type = "tcp"
target = %[5]q
fast_interval = "100ms"
interval = "100ms"
timeout = "90ms"
fall = 1
rise = 1
`, name, locator, instance, url, target)
}

var video, _ = advert.ParseCSID("203.0.113.10")

// share returns what part of the service's new flows goes to a site.
func share(t *testing.T, a *agent.Agent, site string) float64 {
	t.Helper()
	services, err := a.Backend().Services(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, s := range services {
		for _, tg := range s.Targets {
			if tg.Site == site {
				sum += tg.Share
			}
		}
	}
	return sum
}

// flows opens 200 flows a second, of 30 ms each, until stop is closed.
func flows(t *testing.T, a *agent.Agent, stop <-chan struct{}) {
	var wg sync.WaitGroup
	t.Cleanup(wg.Wait)
	wg.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			if f := a.Flows().Open(video); f != nil {
				time.AfterFunc(30*time.Millisecond, f.Close)
			}
		}
	})
}

// From a real load over a real scrape and a real BGP session to a changed
// choice, a drain and a death.
func TestFromLoadToChoice(t *testing.T) {
	m, p := newWorkload(t), newWorkload(t)
	m.utilisation.Store(30)
	p.utilisation.Store(30)
	gate, _ := start(t, ingressConfig)
	madrid, _ := start(t, siteConfig("madrid", "127.0.4.11", "10.0.1.1", m.URL, m.Listener.Addr().String()))
	start(t, siteConfig("paris", "127.0.4.12", "10.0.2.1", p.URL, p.Listener.Addr().String()))

	eventually(t, "both sites take flows", func() bool { return share(t, gate, "madrid") > 0.2 && share(t, gate, "paris") > 0.2 })
	if f := gate.Flows().Open(video); f == nil {
		t.Error("no target for a new flow")
	} else {
		f.Close()
	}

	// The first two seconds belong to finding out who is there.
	begin := time.Now()
	eventually(t, "the start is over", func() bool { return time.Since(begin) > 2500*time.Millisecond })

	// Local users fill madrid; what comes by us follows the shares.
	var background atomic.Int64
	background.Store(120)
	stop := make(chan struct{})
	flows(t, gate, stop)
	followed := make(chan struct{})
	go func() {
		defer close(followed)
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
			m.utilisation.Store(background.Load() + int64(60*share(t, gate, "madrid")))
			p.utilisation.Store(int64(60 * share(t, gate, "paris")))
		}
	}()
	defer func() { close(stop); <-followed }()
	eventually(t, "the busy site is left", func() bool { return share(t, gate, "madrid") < 0.1 }, gate)
	background.Store(0)
	eventually(t, "the site that is calm again is taken back", func() bool { return share(t, gate, "madrid") > 0.2 })

	if _, err := madrid.Backend().Drain(t.Context(), api.DrainRequest{Target: "site", Reason: "maintenance"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the draining site takes no new flows", func() bool { return share(t, gate, "madrid") == 0 && share(t, gate, "paris") > 0.99 })
	if _, err := madrid.Backend().Drain(t.Context(), api.DrainRequest{Target: "site", Undo: true}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the undrained site is back", func() bool { return share(t, gate, "madrid") > 0.2 })

	p.Close()
	eventually(t, "the dead instance is left", func() bool { return share(t, gate, "paris") == 0 && share(t, gate, "madrid") > 0.99 })

	peers, err := gate.Backend().Peers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, peer := range peers {
		if peer.Flaps != 0 || !peer.Up {
			t.Errorf("session to %s was reset: %+v", peer.Name, peer)
		}
	}
	ex, err := gate.Backend().Explain(t.Context(), "203.0.113.10")
	if err != nil || ex.Winner == "" {
		t.Errorf("explain: %v, %+v", err, ex)
	}
}
