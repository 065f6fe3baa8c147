package egress

import (
	"fmt"
	"testing"
	"time"

	"github.com/catsbgp/catsbgp/internal/collect"
)

// BenchmarkSample is one sample of one of so many instances, and the step that
// follows it.
func BenchmarkSample(b *testing.B) {
	for _, n := range []int{10, 1000, 10000} {
		for _, form := range []string{"instances", "aggregate"} {
			b.Run(fmt.Sprintf("%s/%d", form, n), func(b *testing.B) {
				var services []Service
				for s := range max(n/100, 1) {
					var ids []string
					for i := range min(n, 100) {
						ids = append(ids, fmt.Sprintf("10.%d.%d.%d", 1+s>>8, s&255, i))
					}
					sv := perInstance(fmt.Sprintf("203.0.%d.%d", s>>8, s&255), ids...)
					sv.PerInstance, sv.Aggregate = form == "instances", form == "aggregate"
					services = append(services, sv)
				}
				opt := options(services...)
				opt.Dampening.CreatePerMinute, opt.Dampening.SessionPerSec = 1e6, 1e6
				c := New(epoch, opt, 1)
				now, i := epoch, 0
				for b.Loop() {
					in := &services[i/100%len(services)].Instances[i%len(services[0].Instances)]
					i++
					now = now.Add(time.Millisecond)
					c.Observe(now, collect.SourceEvent{Key: in.Key, Source: "load", At: now,
						Values: map[string]float64{collect.ValueUtilisation: float64(i%10) / 10}})
					c.Step(now)
				}
			})
		}
	}
}
