package dampening

import (
	"testing"
	"time"
)

// What is decided once, and then nothing follows, must not stay half way.
func TestDecidedLevelIsNotSmoothed(t *testing.T) {
	now := time.Unix(1_790_000_000, 0)
	table := NewTable(Domain(), 1)
	said := 0.0
	step := func(d time.Duration, o Observation) {
		now = now.Add(d)
		table.Observe(now, "a", o)
		decisions, _ := table.Advance(now)
		for _, d := range decisions {
			if d.Say {
				said = d.Level
			}
		}
	}
	step(0, Observation{State: Up, Level: 0.4})
	step(time.Second, Observation{State: Up, Level: 0.4})
	step(time.Second, Observation{State: Up, Level: 0.9, Decided: true})
	if said != 0.9 {
		t.Errorf("said %v after a decision for 0.9", said)
	}
	step(2*time.Second, Observation{State: Up, Level: 0.4})
	if said <= 0.4 || said >= 0.9 {
		t.Errorf("said %v: the next sample is smoothed again", said)
	}
}
