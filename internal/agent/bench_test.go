package agent

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/catsbgp/catsbgp/advert"
	"github.com/catsbgp/catsbgp/internal/collect"
	"github.com/catsbgp/catsbgp/internal/config"
	"github.com/catsbgp/catsbgp/selection"
)

// A pair is a site and an ingress with one BGP session, in this process, with
// so many services of one instance each.
type pair struct {
	site, gate *Agent
	keys       []collect.Key

	mu   sync.Mutex
	sent map[advert.CSID]change
	took []time.Duration
	seen map[advert.CSID]bool
}

// A change is a value on its way.
type change struct {
	utilisation float64
	at          time.Time
}

const pairBGP = `
[agent]
name = "%[1]s"
roles = ["%[2]s"]
locator = "%[3]s"
state_dir = ""
[api]
socket = "SOCKET"
[netmetric]
reflector = ""
[bgp]
asn = 65001
router_id = "%[3]s"
listen = ["%[3]s"]
port = 17907
max_instances_per_service = 1024
[[bgp.peer]]
name = "far"
address = "%[4]s"
local_address = "%[3]s"
asn = 65001
port = 17907
passive = %[5]t
connect_retry = "1s"
[dampening]
delta = "1%%"
smoothing = "0s"
min_interval = "0s"
bucket_per_minute = 60000
bucket_burst = 1000
session_budget_per_second = 100000
create_quota_per_minute = 60000
`

func newPair(tb testing.TB, services int) *pair {
	p := &pair{sent: map[advert.CSID]change{}, seen: map[advert.CSID]bool{}}
	var site strings.Builder
	fmt.Fprintf(&site, pairBGP, "site", "egress", "127.0.6.2", "127.0.6.1", true)
	for i := range services {
		fmt.Fprintf(&site, `
[[service]]
name = "s%d"
cs_id = "198.18.%d.%d"
[[service.instance]]
id = "198.19.%d.%d"
capacity = 100.0
slots = 8
[[service.instance.source]]
name = "push"
type = "push"
stale_after = "1h"
`, i, i/250, i%250, i/250, i%250)
	}
	p.gate = p.start(tb, fmt.Sprintf(pairBGP, "gate", "ingress", "127.0.6.1", "127.0.6.2", false), p.split)
	p.site = p.start(tb, site.String(), nil)
	for _, s := range p.site.cfg.Services {
		p.keys = append(p.keys, s.Instances[0].Key)
	}
	for _, k := range p.keys {
		p.say(k, 0.1)
	}
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		p.mu.Lock()
		n := len(p.seen)
		p.mu.Unlock()
		if n == services {
			break
		}
		if time.Since(begin) > time.Minute {
			tb.Fatalf("%d of %d services arrived", n, services)
		}
	}
	return p
}

func (p *pair) start(tb testing.TB, text string, split func(*selection.Split)) *Agent {
	text = strings.ReplaceAll(text, "SOCKET", filepath.Join(tb.TempDir(), "s"))
	cfg, err := config.Parse("bench.toml", []byte(text), func(string) ([]byte, fs.FileMode, error) { return nil, 0, os.ErrNotExist })
	if err != nil {
		tb.Fatal(err)
	}
	a, err := New(cfg, Options{Log: zerolog.Nop(), Split: split, NoAPI: true})
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	tb.Cleanup(func() { cancel(); <-done })
	<-a.Ready()
	return a
}

// say makes a source deliver a value.
func (p *pair) say(k collect.Key, utilisation float64) {
	p.mu.Lock()
	p.sent[k.Service] = change{utilisation, time.Now()}
	p.mu.Unlock()
	p.site.sample(collect.SourceEvent{Key: k, Source: "push", At: time.Now(), Values: map[string]float64{"utilisation": utilisation}})
}

// split notes when what was sent has become a selection.
func (p *pair) split(sp *selection.Split) {
	if len(sp.Targets) == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	c, ok := p.sent[sp.Service]
	if d := sp.Targets[0].Terms.Utilisation - c.utilisation; ok && d < 1e-4 && d > -1e-4 {
		p.took = append(p.took, time.Since(c.at))
		p.seen[sp.Service] = true
		delete(p.sent, sp.Service)
	}
}

// measure sends n changes at a rate and returns how long each took to become
// a selection, sorted.
func (p *pair) measure(tb testing.TB, n int, every time.Duration) []time.Duration {
	p.mu.Lock()
	p.took = nil
	p.mu.Unlock()
	rng := rand.New(rand.NewPCG(1, uint64(n)))
	next := time.Now()
	for i := range n {
		time.Sleep(time.Until(next))
		next = next.Add(every)
		p.say(p.keys[i%len(p.keys)], 0.1+0.8*rng.Float64())
	}
	time.Sleep(200 * time.Millisecond)
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.took) < n*9/10 {
		tb.Fatalf("%d of %d changes arrived", len(p.took), n)
	}
	slices.Sort(p.took)
	return p.took
}

// BenchmarkChange measures from a sample at a site to the new selection at an
// ingress: condensing, dampening, encoding, BGP, decoding, deciding.
func BenchmarkChange(b *testing.B) {
	p := newPair(b, 1000)
	for _, load := range []struct {
		name  string
		n     int
		every time.Duration
	}{{"idle", 200, 20 * time.Millisecond}, {"1000-per-second", 5000, time.Millisecond}} {
		b.Run(load.name, func(b *testing.B) {
			for b.Loop() {
				took := p.measure(b, load.n, load.every)
				b.ReportMetric(float64(took[len(took)/2])/1e6, "p50-ms")
				b.ReportMetric(float64(took[len(took)*99/100])/1e6, "p99-ms")
			}
		})
	}
}
