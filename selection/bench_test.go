package selection

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/catsbgp/catsbgp/advert"
)

// benchService is a service with n candidates at n/3 sites, in its stride.
func benchService(i, n int, cv *Curves) (*Service, []Candidate, time.Time) {
	rng := rand.New(rand.NewPCG(uint64(i), 1))
	now := time.Unix(1_000_000, 0)
	s := NewShared(advert.ServicePrefix(netip.PrefixFrom(netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}), 32)), Default(), uint64(i), cv)
	list := make([]Candidate, n)
	for j := range list {
		slots := []int{4, 8, 16}[rng.IntN(3)]
		speed := []float64{0.7, 1, 1.4}[rng.IntN(3)]
		list[j] = Candidate{
			Key:  advert.InstanceKey{ID: advert.InstanceNumber(uint32(j)), Egress: netip.AddrFrom4([4]byte{192, 0, 2, byte(j / 3)})},
			Site: fmt.Sprint("site", j/3), Utilisation: 0.5 + 0.4*rng.Float64(), Slots: slots,
			Capacity: float64(slots) / 0.040 * speed, ServiceTime: seconds(0.040 / speed), Score: -1,
			Window: 2 * time.Second, Heard: now,
		}
		s.Hear(now, list[j])
		s.Measure(now, list[j].Key.Egress, Path{RTT: time.Duration(2+rng.IntN(60)) * time.Millisecond, Known: true, Reachable: true})
	}
	for k := range 5 {
		now = now.Add(2 * time.Second)
		for j := range list {
			s.Own(now, list[j].Key, 5, uint64(100*k))
		}
		s.Decide(now)
	}
	return s, list, now
}

func BenchmarkDecide(b *testing.B) {
	for _, n := range []int{24, 100} {
		for _, services := range []int{1, 1000} {
			b.Run(fmt.Sprintf("candidates=%d/services=%d", n, services), func(b *testing.B) {
				type one struct {
					s    *Service
					list []Candidate
				}
				cv := NewCurves()
				all := make([]one, services)
				var now time.Time
				for i := range all {
					all[i].s, all[i].list, now = benchService(i, n, cv)
				}
				rng := rand.New(rand.NewPCG(7, 7))
				b.ReportAllocs()
				b.ResetTimer()
				for i := range b.N {
					if i%services == 0 {
						now = now.Add(2500 * time.Millisecond)
					}
					o := &all[i%services]
					c := &o.list[rng.IntN(n)]
					c.Utilisation, c.Heard = 0.5+0.4*rng.Float64(), now
					o.s.Hear(now, *c)
					sp := o.s.Decide(now)
					if len(sp.Targets) == 0 && i < 30 {
						b.Fatal("no targets")
					}
				}
			})
		}
	}
}

func BenchmarkPick(b *testing.B) {
	for _, n := range []int{24, 100} {
		s, _, now := benchService(1, n, NewCurves())
		sp := s.Decide(now)
		open := make([]int32, n)
		rng := rand.New(rand.NewPCG(1, 2))
		for i := range open {
			open[i] = int32(rng.IntN(8))
		}
		k := NewPicker(sp)
		b.Run(fmt.Sprintf("counts/targets=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				k.PickCounts(rng, open)
			}
		})
		b.Run(fmt.Sprintf("func/targets=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				k.Pick(rng, func(t int) int { return int(open[t]) })
			}
		})
		b.Run(fmt.Sprintf("new/targets=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				NewPicker(sp)
			}
		})
	}
}

func BenchmarkExplain(b *testing.B) {
	for _, n := range []int{24, 100} {
		b.Run(fmt.Sprintf("candidates=%d", n), func(b *testing.B) {
			s, _, now := benchService(1, n, NewCurves())
			for range b.N {
				s.Explain(now)
			}
		})
	}
}
