package dampening

import (
	"fmt"
	"testing"
	"time"
)

// benchmarkTable observes n instances and advances once, each 100 ms.
func benchmarkTable(b *testing.B, n int, swing float64, edit func(*Params)) {
	p := Domain()
	p.CreatePerMinute, p.SessionPerSec = 1e6, 1e6
	if edit != nil {
		edit(&p)
	}
	table := NewTable(p, 1)
	keys := make([]string, n)
	now := epoch
	for i := range keys {
		keys[i] = fmt.Sprintf("video/2001:db8::%x", i)
		table.Observe(now, keys[i], Observation{State: Up, Level: 0.5})
	}
	table.Advance(now)
	b.ReportAllocs()
	b.ResetTimer()
	said := 0
	for i := 0; b.Loop(); i++ {
		now = now.Add(100 * time.Millisecond)
		for j, key := range keys {
			table.Observe(now, key, Observation{State: Up, Level: 0.5 + swing*float64((i+j)%16)/16})
		}
		ds, _ := table.Advance(now)
		for _, d := range ds {
			if d.Say {
				said++
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/key")
	b.ReportMetric(float64(said)/float64(b.N), "said/op")
}

func BenchmarkQuiet10k(b *testing.B) { benchmarkTable(b, 10_000, 0.01, nil) }

func BenchmarkSwing10k(b *testing.B) {
	benchmarkTable(b, 10_000, 0.4, func(p *Params) { p.Smoothing = 0 })
}

// All wait for a session budget of 50 a second.
func BenchmarkStarved10k(b *testing.B) {
	benchmarkTable(b, 10_000, 0.4, func(p *Params) { p.Smoothing, p.SessionPerSec = 0, 50 })
}

func BenchmarkEnforced10k(b *testing.B) {
	p := Domain()
	p.CreatePerMinute, p.SessionPerSec, p.Smoothing = 1e6, 1e6, 0
	table := NewTable(p, 1)
	table.SetBudgets(epoch, []RFDBudget{{"a", RFDEnforce, 2000, 0}, {"b", RFDWarn, 3000, 0}})
	keys := make([]string, 10_000)
	for i := range keys {
		keys[i] = fmt.Sprintf("video/2001:db8::%x", i)
	}
	now := epoch
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		now = now.Add(100 * time.Millisecond)
		for j, key := range keys {
			table.Observe(now, key, Observation{State: Up, Level: float64((i+j)%16) / 16})
		}
		table.Advance(now)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(keys)), "ns/key")
}

// One instance among 10,000 changes: the others cost nothing.
func BenchmarkOneOf10k(b *testing.B) {
	p := Domain()
	p.CreatePerMinute, p.SessionPerSec = 1e6, 1e6
	p.Refresh, p.Validity = 12*time.Hour, 24*time.Hour
	table := NewTable(p, 1)
	for i := range 10_000 {
		table.Observe(epoch, fmt.Sprintf("video/2001:db8::%x", i), Observation{State: Up, Level: 0.5})
	}
	now := epoch
	table.Advance(now)
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(time.Millisecond)
		table.Observe(now, "video/2001:db8::7", Observation{State: Up, Level: 0.5})
		table.Advance(now)
	}
}
