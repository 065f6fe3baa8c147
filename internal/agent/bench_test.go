package agent

import (
	"context"
	"encoding/binary"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/catsbgp/catsbgp/advert"
	"github.com/catsbgp/catsbgp/bgp"
	"github.com/catsbgp/catsbgp/internal/bgptest"
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
	p.gate, _ = p.start(tb, fmt.Sprintf(pairBGP, "gate", "ingress", "127.0.6.1", "127.0.6.2", false), p.split)
	p.site, _ = p.start(tb, site.String(), nil)
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

func (p *pair) start(tb testing.TB, text string, split func(*selection.Split)) (a *Agent, stop func()) {
	text = strings.ReplaceAll(text, "SOCKET", filepath.Join(tb.TempDir(), "s"))
	cfg, err := config.Parse("bench.toml", []byte(text), func(string) ([]byte, fs.FileMode, error) { return nil, 0, os.ErrNotExist })
	if err != nil {
		tb.Fatal(err)
	}
	a, err = New(cfg, Options{Log: zerolog.Nop(), Split: split, NoAPI: true})
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	tb.Cleanup(stop)
	<-a.Ready()
	return a, stop
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
// ingress: condensing, dampening, encoding, BGP, decoding, deciding. In the same
// run GoBGP alone carries a value of the same size from an AddPath to the
// callback of the other side; "x_bare" is our p99 over its.
func BenchmarkChange(b *testing.B) {
	loads := []struct {
		name  string
		n     int
		every time.Duration
	}{{"idle", 500, 10 * time.Millisecond}, {"1000-per-second", 10000, time.Millisecond}}
	// Both live in this process throughout, so that the collector has the same
	// work whoever is measured.
	p := newPair(b, 1000)
	for _, l := range loads {
		b.Run(l.name, func(b *testing.B) {
			for b.Loop() {
				bare := measureBare(b, l.n, l.every)
				took := p.measure(b, l.n, l.every)
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(percentile(took, 50), "p50-ms")
				b.ReportMetric(percentile(took, 99), "p99-ms")
				b.ReportMetric(percentile(bare, 50), "bare-p50-ms")
				b.ReportMetric(percentile(bare, 99), "bare-p99-ms")
				b.ReportMetric(percentile(took, 99)/percentile(bare, 99), "x_bare")
			}
		})
	}
}

func percentile(sorted []time.Duration, p int) float64 {
	return float64(sorted[len(sorted)*p/100]) / 1e6
}

// measureBare is measure for GoBGP alone, with as many routes.
func measureBare(tb testing.TB, n int, every time.Duration) []time.Duration {
	const routes, octets = 1000, 82
	var mu sync.Mutex
	sent := make([]time.Time, n)
	var took []time.Duration
	arrived := make(chan struct{}, routes)
	l, err := bgptest.NewBare(tb.Context(), netip.MustParseAddr("127.0.6.3"), netip.MustParseAddr("127.0.6.4"), 17907, func(_ netip.Prefix, v []byte) {
		i := int(binary.BigEndian.Uint32(v))
		if i >= n {
			arrived <- struct{}{}
			return
		}
		mu.Lock()
		took = append(took, time.Since(sent[i]))
		mu.Unlock()
	})
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	say := func(route, value int) {
		v := make([]byte, octets)
		binary.BigEndian.PutUint32(v, uint32(value))
		if err := l.Announce(bgptest.BareRoute{Prefix: host(route), Value: v}); err != nil {
			tb.Fatal(err)
		}
	}
	for i := range routes {
		say(i, n+i)
	}
	for range routes {
		<-arrived
	}
	next := time.Now()
	for i := range n {
		time.Sleep(time.Until(next))
		next = next.Add(every)
		mu.Lock()
		sent[i] = time.Now()
		mu.Unlock()
		say(i%routes, i)
	}
	time.Sleep(200 * time.Millisecond)
	mu.Lock()
	defer mu.Unlock()
	slices.Sort(took)
	return took
}

func host(i int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32)
}

// BenchmarkLoad measures an ingress that hears so many instance routes, 100 a
// service, until it has a selection for the last: time, and live heap of both
// ends per route. GoBGP alone, with a map of the latest values, does the same
// transfer in the same run.
func BenchmarkLoad(b *testing.B) {
	sizes := []int{10_000, 100_000}
	if os.Getenv("CATSBGP_BENCH_LARGE") != "" {
		sizes = append(sizes, 500_000)
	}
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				bareTime, bareHeap := loadBare(b, n)
				took, heap := loadAgent(b, n)
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(float64(n)/took.Seconds(), "routes/s")
				b.ReportMetric(took.Seconds()/bareTime.Seconds(), "time_x_bare")
				b.ReportMetric(heap/float64(n), "heap-B/route")
				b.ReportMetric(heap/bareHeap, "heap_x_bare")
			}
		})
	}
}

// instanceRoute is what a site says of the i-th instance.
func instanceRoute(tb testing.TB, i int) []byte {
	in := advert.Instance{
		Service: advert.ServicePrefix(netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18, byte(i / 100 >> 8), byte(i / 100)}), 32)),
		ID:      advert.InstanceAddr(host(i).Addr()), Sequence: 1, Generated: uint32(time.Now().Unix()), Validity: 90, Window: 100,
	}
	in.SetScore(advert.NormFI, 7, advert.StatMean, advert.SourceNormalization)
	in.SetScore(advert.ComputingComb, 7, advert.StatMean, advert.SourceNormalization)
	in.SetUtilisation(0.3+float64(i%40)/100, advert.StatCurrent, advert.SourceMeasured)
	in.SetCapacityFlows(100, advert.StatCurrent, advert.SourceMeasured)
	in.SetSlotsN(8, advert.StatCurrent, advert.SourceMeasured)
	a := &advert.Attribute{
		Profile: advert.Profile{Normalization: 1, Domain: 65001}, Locator: netip.AddrFrom4([4]byte{192, 0, 2, byte(i % 100 / 4)}),
		Instances: []advert.Instance{in},
	}
	v, err := advert.AppendAttribute(make([]byte, 0, advert.AttributeLen(a)), a)
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

func liveHeap() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

func loadBare(tb testing.TB, n int) (time.Duration, float64) {
	before := liveHeap()
	var mu sync.Mutex
	rib := map[netip.Prefix][]byte{}
	full := false
	done := make(chan struct{})
	l, err := bgptest.NewBare(tb.Context(), netip.MustParseAddr("127.0.6.3"), netip.MustParseAddr("127.0.6.4"), 17907, func(p netip.Prefix, v []byte) {
		mu.Lock()
		defer mu.Unlock()
		if rib[p] = v; len(rib) == n && !full {
			full = true
			close(done)
		}
	})
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	begin := time.Now()
	batch := make([]bgptest.BareRoute, 0, 64)
	for i := range n {
		batch = append(batch, bgptest.BareRoute{Prefix: host(i), Value: instanceRoute(tb, i)})
		if len(batch) == cap(batch) || i == n-1 {
			if err := l.Announce(batch...); err != nil {
				tb.Fatal(err)
			}
			batch = batch[:0]
		}
	}
	<-done
	took := time.Since(begin)
	heap := liveHeap() - before
	runtime.KeepAlive(l)
	runtime.KeepAlive(rib)
	return took, heap
}

func loadAgent(tb testing.TB, n int) (time.Duration, float64) {
	before := liveHeap()
	var mu sync.Mutex
	heard := map[advert.CSID]int{}
	left := n
	done := make(chan struct{})
	p := &pair{}
	gate, stop := p.start(tb, fmt.Sprintf(pairBGP, "gate", "ingress", "127.0.6.1", "127.0.6.2", false), func(sp *selection.Split) {
		mu.Lock()
		defer mu.Unlock()
		left += heard[sp.Service] - len(sp.Targets)
		heard[sp.Service] = len(sp.Targets)
		if left == 0 {
			close(done)
			left = -1
		}
	})
	defer stop()
	site, err := bgp.New(bgp.Config{
		ASN: 65001, RouterID: netip.MustParseAddr("127.0.6.2"), Listen: []netip.Addr{netip.MustParseAddr("127.0.6.2")}, Port: 17907,
		Peers: []bgp.Peer{{Name: "far", Address: netip.MustParseAddr("127.0.6.1"), LocalAddress: netip.MustParseAddr("127.0.6.2"), ASN: 65001, Port: 17907,
			Passive: true, HoldTime: 90 * time.Second, ConnectRetry: time.Second, IPv4: true, IPv6: true, InDomain: true}},
	}, zerolog.Nop())
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- site.Run(ctx) }()
	defer func() { cancel(); <-stopped }()
	<-site.Ready()
	for up := false; !up; time.Sleep(10 * time.Millisecond) {
		peers := site.Peers()
		up = len(peers) == 1 && peers[0].Up
	}
	begin := time.Now()
	batch := make([]bgp.Announcement, 0, 64)
	for i := range n {
		batch = append(batch, bgp.Announcement{Prefix: host(i), Attribute: instanceRoute(tb, i)})
		if len(batch) == cap(batch) || i == n-1 {
			site.Put(batch...)
			batch = batch[:0]
		}
	}
	select {
	case <-done:
	case <-time.After(10 * time.Minute):
		mu.Lock()
		defer mu.Unlock()
		tb.Fatalf("%d of %d routes are missing", left, n)
	}
	took := time.Since(begin)
	heap := liveHeap() - before
	runtime.KeepAlive(gate)
	runtime.KeepAlive(site)
	return took, heap
}
