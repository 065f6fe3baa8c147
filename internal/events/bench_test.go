package events

import "testing"

// Append is called from the agent's loop: it must cost next to nothing.
func BenchmarkAppend(b *testing.B) {
	r := NewRing(4096)
	for range 8 {
		defer r.Subscribe(0).Close()
	}
	e := Event{At: start, Name: MetricSaid, Service: "video", Message: "x", Fields: Fields{{"open", 3}}}
	b.ReportAllocs()
	for b.Loop() {
		e.At = e.At.Add(1e9)
		r.Append(e)
	}
}
