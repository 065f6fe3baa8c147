package bgp

import (
	"context"
	"fmt"
	"math"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/osrg/gobgp/v4/api"
	"github.com/osrg/gobgp/v4/pkg/apiutil"
	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
	"github.com/osrg/gobgp/v4/pkg/server"
)

// The benchmarks compare a Speaker that sends to a Speaker with GoBGP that
// sends to GoBGP, both in this process over loopback, both with a consumer that
// keeps the latest value of every route. "x_bare" metrics are ratios.
//
// They run for their own time: use -benchtime=1x. CATSBGP_BENCH_LARGE=1 adds
// 500,000 routes.

// A link sends routes and reports what arrives.
type link interface {
	put(i int, v []byte)
	flush() // what put has gathered
	// arrived calls fn with each route and value that arrives.
	arrived(fn func(i int, v []byte))
	close()
}

const benchBatch = 64

// bareLink is GoBGP used directly, as simply as it can be for the same.
type bareLink struct {
	tb   testing.TB
	src  *server.BgpServer
	dst  *server.BgpServer
	mu   sync.Mutex
	fn   func(int, []byte)
	rib  map[netip.Prefix][]byte
	stop context.CancelFunc
	next []*apiutil.Path
}

func newBareLink(tb testing.TB) *bareLink {
	n := newNet()
	l := &bareLink{tb: tb, rib: map[netip.Prefix][]byte{}}
	ctx, cancel := context.WithCancel(context.Background())
	l.stop = cancel
	open := func(host, far byte, passive bool) *server.BgpServer {
		s := server.NewBgpServer()
		go s.Serve()
		check(tb, startAlone(s, func() error {
			return s.StartBgp(ctx, &api.StartBgpRequest{Global: &api.Global{
				Asn: 64500, RouterId: fmt.Sprintf("192.0.2.%d", host),
				ListenPort: testPort, ListenAddresses: []string{n.addr(host).String()},
			}})
		}))
		check(tb, s.SetPolicyAssignment(ctx, &api.SetPolicyAssignmentRequest{Assignment: &api.PolicyAssignment{
			Name: "global", Direction: api.PolicyDirection_POLICY_DIRECTION_IMPORT,
			DefaultAction: map[bool]api.RouteAction{true: api.RouteAction_ROUTE_ACTION_REJECT, false: api.RouteAction_ROUTE_ACTION_ACCEPT}[passive],
		}}))
		return s
	}
	peer := func(s *server.BgpServer, host, far byte, passive bool) {
		p := n.peer("far", host, far, 64500)
		p.Passive = passive
		check(tb, s.AddPeer(ctx, &api.AddPeerRequest{Peer: toPeer(&p)}))
	}
	l.src, l.dst = open(1, 2, false), open(2, 1, true)
	up := make(chan struct{}, 16)
	watchUp := server.WatchEventMessageCallbacks{OnPeerUpdate: func(ev *apiutil.WatchEventMessage_PeerEvent, _ time.Time) {
		if ev.Peer.State.SessionState == bgp.BGP_FSM_ESTABLISHED {
			up <- struct{}{}
		}
	}}
	check(tb, l.src.WatchEvent(ctx, watchUp, server.WatchPeer()))
	check(tb, l.dst.WatchEvent(ctx, server.WatchEventMessageCallbacks{OnPathUpdate: l.onPaths},
		server.WatchUpdate(false, "", ""), server.WatchAdjInWithdraw()))
	peer(l.dst, 2, 1, true)
	peer(l.src, 1, 2, false)
	<-up
	return l
}

func check(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func (l *bareLink) onPaths(paths []*apiutil.Path, _ time.Time) {
	for _, p := range paths {
		prefix := p.Nlri.(*bgp.IPAddrPrefix).Prefix
		for _, a := range p.Attrs {
			if u, ok := a.(*bgp.PathAttributeUnknown); ok {
				l.mu.Lock()
				l.rib[prefix] = u.Value
				fn := l.fn
				l.mu.Unlock()
				if fn != nil {
					fn(instanceIndex(prefix), u.Value)
				}
			}
		}
	}
}

func instanceIndex(p netip.Prefix) int {
	a := p.Addr().As4()
	return int(a[1])<<16 | int(a[2])<<8 | int(a[3])
}

func (l *bareLink) put(i int, v []byte) {
	nlri := must(bgp.NewIPAddrPrefix(instance(i)))
	l.next = append(l.next, &apiutil.Path{
		Family: bgp.RF_IPv4_UC, Nlri: nlri, Age: time.Now().Unix(),
		Attrs: []bgp.PathAttributeInterface{
			bgp.NewPathAttributeOrigin(0), must(bgp.NewPathAttributeNextHop(netip.IPv4Unspecified())),
			bgp.NewPathAttributeUnknown(flagsDomain, DefaultAttributeType, v),
		},
	})
	if len(l.next) == benchBatch {
		l.flush()
	}
}

func (l *bareLink) flush() {
	if len(l.next) > 0 {
		_, err := l.src.AddPath(apiutil.AddPathRequest{Paths: l.next})
		check(l.tb, err)
		l.next = nil
	}
}

func (l *bareLink) arrived(fn func(int, []byte)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fn = fn
}

func (l *bareLink) close() {
	l.stop()
	l.src.Stop()
	l.dst.Stop()
	stopped(l.src)
	stopped(l.dst)
}

// ourLink is two Speakers.
type ourLink struct {
	a, b *runner
	mu   sync.Mutex
	fn   func(int, []byte)
	rib  map[netip.Prefix][]byte
	quit chan struct{}
	wg   sync.WaitGroup
	next []Announcement
}

func newOurLink(tb testing.TB) *ourLink {
	l := &ourLink{rib: map[netip.Prefix][]byte{}, quit: make(chan struct{})}
	l.a, l.b = pair(tb, 64500, 64500)
	l.a.waitUp("b")
	l.b.waitUp("a")
	l.wg.Go(l.consume)
	return l
}

func (l *ourLink) consume() {
	var buf []Event
	for {
		select {
		case <-l.quit:
			return
		case <-l.b.Wake():
		}
		buf = l.b.Take(buf[:0])
		for _, ev := range buf {
			ev, ok := ev.(RouteEvent)
			if !ok || ev.Withdrawn {
				continue
			}
			l.mu.Lock()
			l.rib[ev.Prefix] = ev.Attribute
			fn := l.fn
			l.mu.Unlock()
			if fn != nil {
				fn(instanceIndex(ev.Prefix), ev.Attribute)
			}
		}
		clear(buf)
	}
}

func (l *ourLink) put(i int, v []byte) {
	l.next = append(l.next, Announcement{Prefix: instance(i), Attribute: v})
	if len(l.next) == benchBatch {
		l.flush()
	}
}

func (l *ourLink) flush() {
	if len(l.next) > 0 {
		l.a.Put(l.next...)
		l.next = l.next[:0]
	}
}

func (l *ourLink) arrived(fn func(int, []byte)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fn = fn
}

func (l *ourLink) close() {
	l.a.stop()
	l.b.stop()
	close(l.quit)
	l.wg.Wait()
}

// load sends n routes and returns how long it takes until all have arrived.
func load(tb testing.TB, l link, n int, v uint32) time.Duration {
	done := make(chan struct{})
	seen, left := make([]bool, n), n
	l.arrived(func(i int, val []byte) {
		if got := uint32(val[0])<<24 | uint32(val[1])<<16 | uint32(val[2])<<8 | uint32(val[3]); got == v && !seen[i] {
			seen[i] = true
			if left--; left == 0 {
				close(done)
			}
		}
	})
	began := time.Now()
	for i := range n {
		l.put(i, value(v))
	}
	l.flush()
	select {
	case <-done:
	case <-time.After(10 * time.Minute):
		tb.Fatal("routes are missing")
	}
	d := time.Since(began)
	l.arrived(nil)
	return d
}

// heap is the live heap.
func heap() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// cpu is the processor time this process has used. Unlike time on the wall it
// hardly depends on what else the machine does.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

type loadResult struct{ load, update, cpu, bytes float64 }

func measureLoad(tb testing.TB, open func(testing.TB) link, n int) loadResult {
	before := heap()
	l := open(tb)
	defer l.close()
	var r loadResult
	began := cpu()
	r.load = load(tb, l, n, 1).Seconds()
	r.update = load(tb, l, n, 2).Seconds()
	time.Sleep(300 * time.Millisecond) // let queues run dry
	r.cpu = (cpu() - began).Seconds()
	r.bytes = (heap() - before) / float64(n)
	runtime.KeepAlive(l)
	return r
}

func bare(tb testing.TB) link { return newBareLink(tb) }
func ours(tb testing.TB) link { return newOurLink(tb) }

func BenchmarkLoad(b *testing.B) {
	sizes := []int{10_000, 100_000}
	if os.Getenv("CATSBGP_BENCH_LARGE") != "" {
		sizes = append(sizes, 500_000)
	}
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				// In turns, as the machine is not ours alone; the best of each.
				best := [2]loadResult{}
				for round := range 3 {
					for i, open := range []func(testing.TB) link{bare, ours} {
						r := measureLoad(b, open, n)
						if round == 0 {
							best[i] = r
						}
						best[i].load = min(best[i].load, r.load)
						best[i].update = min(best[i].update, r.update)
						best[i].cpu = min(best[i].cpu, r.cpu)
						best[i].bytes = min(best[i].bytes, r.bytes)
					}
					if n > 200_000 {
						break
					}
				}
				b.ReportMetric(float64(n)/best[1].load, "loads/s")
				b.ReportMetric(best[1].load/best[0].load, "load_x_bare")
				b.ReportMetric(float64(n)/best[1].update, "updates/s")
				b.ReportMetric(best[1].update/best[0].update, "update_x_bare")
				b.ReportMetric(best[1].cpu/best[0].cpu, "cpu_x_bare")
				b.ReportMetric(best[1].bytes, "heap_B/route")
				b.ReportMetric(best[1].bytes/best[0].bytes, "heap_x_bare")
			}
		})
	}
}

// latencies changes routes of a table of n at a rate, and returns how long each
// change took to arrive, sorted.
func latencies(tb testing.TB, l link, n, rate, changes int) []time.Duration {
	load(tb, l, n, 1)
	time.Sleep(500 * time.Millisecond)
	runtime.GC()

	var mu sync.Mutex
	sent := make(map[int]time.Time, changes)
	out := make([]time.Duration, 0, changes)
	done := make(chan struct{})
	l.arrived(func(i int, v []byte) {
		now := time.Now()
		mu.Lock()
		defer mu.Unlock()
		if t, ok := sent[i]; ok {
			delete(sent, i)
			if out = append(out, now.Sub(t)); len(out) == changes {
				close(done)
			}
		}
	})
	interval := time.Second / time.Duration(rate)
	next := time.Now()
	for c := range changes {
		next = next.Add(interval)
		time.Sleep(time.Until(next))
		i := c % n
		v := value(uint32(c + 2))
		mu.Lock()
		sent[i] = time.Now()
		mu.Unlock()
		l.put(i, v)
		l.flush()
	}
	select {
	case <-done:
	case <-time.After(time.Minute):
		tb.Fatal("changes are missing")
	}
	l.arrived(nil)
	slices.Sort(out)
	return out
}

func quantile(d []time.Duration, q float64) float64 {
	return float64(d[int(math.Ceil(q*float64(len(d))))-1]) / float64(time.Microsecond)
}

func BenchmarkLatency(b *testing.B) {
	const table = 10_000
	for _, bm := range []struct{ rate, changes int }{{20, 60}, {1000, 4000}} {
		b.Run(fmt.Sprintf("%d_per_s", bm.rate), func(b *testing.B) {
			for b.Loop() {
				var p50, p99 [2][]float64
				for range 3 {
					for i, open := range []func(testing.TB) link{bare, ours} {
						l := open(b)
						d := latencies(b, l, table, bm.rate, bm.changes)
						l.close()
						p50[i], p99[i] = append(p50[i], quantile(d, 0.5)), append(p99[i], quantile(d, 0.99))
					}
				}
				for i := range 2 {
					slices.Sort(p50[i])
					slices.Sort(p99[i])
				}
				b.ReportMetric(p50[1][1], "p50_us")
				b.ReportMetric(p99[1][1], "p99_us")
				b.ReportMetric(p50[1][1]/p50[0][1], "p50_x_bare")
				b.ReportMetric(p99[1][1]/p99[0][1], "p99_x_bare")
			}
		})
	}
}
