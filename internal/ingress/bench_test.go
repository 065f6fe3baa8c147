package ingress

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/catsbgp/catsbgp/advert"
)

const (
	benchServices, benchInstances = 1000, 100
	benchSites                    = 100
)

// benchAnnouncements are the instance routes of a large domain: every service
// has an instance at every site.
func benchAnnouncements(tb testing.TB, now time.Time, seq uint32) []Announcement {
	var all []Announcement
	for s := range benchServices {
		service := advert.ServicePrefix(netip.PrefixFrom(netip.AddrFrom4([4]byte{203, 0, byte(s >> 8), byte(s)}), 32))
		for i := range benchInstances {
			a := benchAnnouncement(tb, now, service, s, i, seq, 0.3+float64(i%5)/10)
			all = append(all, a)
		}
	}
	return all
}

func benchAnnouncement(tb testing.TB, now time.Time, service advert.CSID, s, i int, seq uint32, load float64) Announcement {
	addr := netip.AddrFrom4([4]byte{10, byte(s >> 8), byte(s), byte(i)})
	in := advert.Instance{
		Service: service, ID: advert.InstanceAddr(addr), Sequence: advert.Sequence(seq), Generated: uint32(now.Unix()), Validity: 90, Window: 100,
	}
	in.SetUtilisation(load, advert.StatCurrent, advert.SourceMeasured)
	in.SetCapacityFlows(100, advert.StatCurrent, advert.SourceNominal)
	in.SetSlotsN(8, advert.StatCurrent, advert.SourceNominal)
	in.SetServiceTimeDur(20*time.Millisecond, advert.StatCurrent, advert.SourceMeasured)
	in.SetScore(advert.NormFI, 6, advert.StatMean, advert.SourceNormalization)
	site := netip.AddrFrom4([4]byte{192, 0, 2, byte(i % benchSites)})
	b, err := advert.AppendAttribute(nil, &advert.Attribute{
		Profile: advert.Profile{Normalization: 1, Domain: domain}, Locator: site, Instances: []advert.Instance{in},
	})
	if err != nil {
		tb.Fatal(err)
	}
	return Announcement{Peer: "r1", Prefix: netip.PrefixFrom(addr, 32), Attribute: b, NextHop: site}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// kept shows a core to -memprofile: go tool pprof -sample_index=inuse_space.
var kept *Core

// BenchmarkHear100k hears 1,000 services × 100 instances and decides. It reports the
// memory that stays, per route.
func BenchmarkHear100k(b *testing.B) {
	opt := newScene(&testing.T{}).c.opt
	all := benchAnnouncements(b, epoch, 1)
	for b.Loop() {
		b.StopTimer()
		kept = nil
		before := heap()
		b.StartTimer()
		c := New(opt, 1)
		start := time.Now()
		for i := range all {
			c.Hear(epoch, all[i])
		}
		heard := time.Since(start)
		b.StopTimer()
		told := heap()
		b.StartTimer()
		start = time.Now()
		c.Step(epoch)
		stepped := time.Since(start)
		b.StopTimer()
		after := heap()
		n := float64(len(all))
		b.ReportMetric(float64(heard.Nanoseconds())/n, "ns/route-heard")
		b.ReportMetric(float64(stepped.Nanoseconds())/n, "ns/route-decided")
		b.ReportMetric(float64(told-before)/n, "B/route-heard")
		b.ReportMetric(float64(after-before)/n, "B/route-decided")
		b.StartTimer()
		kept = c
	}
}

// BenchmarkOneChange is one changed instance among 100,000: from its route to
// the new split of its service.
func BenchmarkOneChange(b *testing.B) {
	c := New(newScene(&testing.T{}).c.opt, 1)
	all := benchAnnouncements(b, epoch, 1)
	for i := range all {
		c.Hear(epoch, all[i])
	}
	c.Step(epoch)
	service := advert.ServicePrefix(netip.MustParsePrefix("203.0.0.5/32"))
	var changes []Announcement
	for i := range 1000 {
		changes = append(changes, benchAnnouncement(b, epoch, service, 5, 7, uint32(i+2), float64(i%2)))
	}
	n := 0
	for b.Loop() {
		if n > 0 && n%len(changes) == 0 { // sequences must go on
			b.StopTimer()
			for i := range changes {
				changes[i] = benchAnnouncement(b, epoch, service, 5, 7, uint32(n+i+2), float64(i%2))
			}
			b.StartTimer()
		}
		c.services[service].decided = 0 // as if the last one were long ago
		c.Hear(epoch, changes[n%len(changes)])
		if out := c.Step(epoch); len(out.Splits) != 1 {
			b.Fatalf("%d splits after %d changes", len(out.Splits), n)
		}
		n++
	}
}

// BenchmarkFlood is a hostile peer with more instances than are allowed.
func BenchmarkFlood(b *testing.B) {
	opt := newScene(&testing.T{}).c.opt
	opt.MaxInstances = 100
	c := New(opt, 1)
	service := advert.ServicePrefix(netip.MustParsePrefix("203.0.113.5/32"))
	var flood []Announcement
	for i := range 10000 {
		flood = append(flood, benchAnnouncement(b, epoch, service, i>>8, i&255, 1, 0))
	}
	i := 0
	for b.Loop() {
		c.Hear(epoch, flood[i%len(flood)])
		i++
	}
	if n := c.Totals().Candidates; n > 100 {
		b.Fatal(fmt.Sprint(n, " candidates"))
	}
}
