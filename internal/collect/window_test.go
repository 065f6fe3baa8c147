package collect

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The window must agree with a dumb one that keeps everything, as far as
// merging allows: a merged segment that hangs out of the window is less than
// 1/64 of it.
func TestWindowAgreesWithDumb(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const size = 10 * time.Second
		type change struct {
			at time.Duration
			v  float64
		}
		var all []change
		var w window
		var now time.Duration
		longest := rapid.SampledFrom([]time.Duration{time.Millisecond, 300 * time.Millisecond, 20 * time.Second}).Draw(t, "longest")
		for range rapid.IntRange(1, 400).Draw(t, "n") {
			now += time.Duration(rapid.Int64Range(0, int64(longest)).Draw(t, "dt"))
			v := rapid.Float64Range(0, 1).Draw(t, "v")
			w.set(now, size, v)
			all = append(all, change{now, v})
		}
		now += time.Duration(rapid.Int64Range(0, int64(longest)).Draw(t, "rest"))

		var sum, total float64
		for i, c := range all {
			end := now
			if i+1 < len(all) {
				end = all[i+1].at
			}
			if d := end - max(c.at, now-size); d > 0 {
				sum, total = sum+c.v*d.Seconds(), total+d.Seconds()
			}
		}
		want := all[len(all)-1].v
		if total > 0 {
			want = sum / total
		}
		if got := w.mean(now, size); math.Abs(got-want) > 1.0/windowSegments {
			t.Fatalf("mean %v, dumb %v", got, want)
		}
		if now < size {
			if got := w.mean(now, size); math.Abs(got-want) > 1e-9 {
				t.Fatalf("nothing hangs out, yet mean %v, dumb %v", got, want)
			}
		}
		if n := len(w.segments); n > 2*windowSegments+3 {
			t.Fatalf("%d segments", n)
		}
		if w.settled(now, size) && w.mean(now, size) != w.segments[len(w.segments)-1].mean {
			t.Fatal("settled, but the mean is not the current value")
		}
	})
}

func TestWindowIsBounded(t *testing.T) {
	var w window
	for i := range 100_000 {
		w.set(time.Duration(i)*time.Millisecond, 10*time.Second, float64(i%2))
	}
	if n := len(w.segments); n > 2*windowSegments+3 {
		t.Errorf("%d segments after 1000 changes a second", n)
	}
	if m := w.mean(100*time.Second, 10*time.Second); math.Abs(m-0.5) > 0.01 {
		t.Errorf("mean %v", m)
	}
}
