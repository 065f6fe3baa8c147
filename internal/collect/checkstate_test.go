package collect

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestCheckState(t *testing.T) {
	type step struct {
		ok, up, changed bool
		next            time.Duration
		why             string
	}
	const slow, fast = 2 * time.Second, 500 * time.Millisecond
	tests := []struct {
		name       string
		rise, fall int
		steps      []step
	}{
		{"up_at_once_down_after_fall", 3, 3, []step{
			{true, true, true, slow, "the first result decides"},
			{true, true, false, slow, "nothing new"},
			{false, true, false, fast, "one failure is noise, but look closer"},
			{false, true, false, fast, "two"},
			{false, false, true, slow, "three failures in a row: down, and calm again"},
			{false, false, false, slow, "still down"},
		}},
		{"down_at_once_up_after_rise", 2, 3, []step{
			{false, false, true, slow, "the first result decides downwards too"},
			{true, false, false, fast, "one success does not raise"},
			{true, true, true, slow, "two do"},
		}},
		{"an_interrupted_run_starts_again", 3, 3, []step{
			{true, true, true, slow, ""},
			{false, true, false, fast, "one"},
			{false, true, false, fast, "two"},
			{true, true, false, slow, "a success in between: all forgotten"},
			{false, true, false, fast, "one again"},
			{false, true, false, fast, "two again"},
			{false, false, true, slow, "three"},
			{true, false, false, fast, ""},
			{false, false, false, slow, "and the same on the way up"},
			{true, false, false, fast, ""},
			{true, false, false, fast, ""},
			{true, true, true, slow, ""},
		}},
		{"one_is_enough", 1, 1, []step{
			{true, true, true, slow, ""},
			{false, false, true, slow, "no hysteresis was asked for"},
			{true, true, true, slow, ""},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := checkState{rise: tt.rise, fall: tt.fall, interval: slow, fast: fast}
			now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			for i, st := range tt.steps {
				changed, next := s.step(now, st.ok)
				if s.up != st.up || changed != st.changed || next.Sub(now) != st.next {
					t.Fatalf("step %d (%s): up %v changed %v next %v, want %v %v %v",
						i, st.why, s.up, changed, next.Sub(now), st.up, st.changed, st.next)
				}
				now = next
			}
		})
	}
}

// The state machine agrees with a dumb one that looks at the whole history.
func TestCheckStateHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := checkState{
			rise: rapid.IntRange(1, 4).Draw(t, "rise"), fall: rapid.IntRange(1, 4).Draw(t, "fall"),
			interval: time.Second, fast: time.Millisecond,
		}
		results := rapid.SliceOfN(rapid.Bool(), 1, 60).Draw(t, "results")
		up, since := results[0], 0 // since: where the present state began
		for i, ok := range results {
			changed, _ := s.step(time.Time{}, ok)
			need := s.rise
			if up {
				need = s.fall
			}
			run := 0
			for j := i; j > since && results[j] != up; j-- {
				run++
			}
			flips := i > 0 && run >= need
			if flips {
				up, since = !up, i
			}
			if s.up != up || changed != (flips || i == 0) {
				t.Fatalf("after %v: up %v changed %v, want %v %v", results[:i+1], s.up, changed, up, flips || i == 0)
			}
		}
	})
}
