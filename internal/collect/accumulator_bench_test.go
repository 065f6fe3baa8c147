package collect

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkAccumulator is one answer and one report of an instance with some
// values; the cost per value must not grow with their number (RFC 10054 R6).
func BenchmarkAccumulator(b *testing.B) {
	for _, n := range []int{1, 10, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			inst := Instance{Key: testKey, Slots: 8, Sources: []Source{{Name: "s", StaleAfter: time.Minute, Values: map[string]Selector{}}}}
			ev := SourceEvent{Key: testKey, Source: "s", Values: values{"in_flight": 3}}
			for i := range n {
				name := fmt.Sprint("v", i)
				inst.Sources[0].Values[name] = Selector{}
				inst.Normalization.Inputs = append(inst.Normalization.Inputs, Input{Metric: name, Category: CategoryService, Worst: 1})
				ev.Values[name] = 0
			}
			a := NewAccumulator(inst)
			now := time.Unix(1700000000, 0)
			for i := 0; b.Loop(); i++ {
				now = now.Add(100 * time.Millisecond)
				ev.At = now
				for name := range ev.Values {
					ev.Values[name] = float64(i % 7)
				}
				a.Observe(now, ev)
				a.Report(now)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/value")
		})
	}
}
