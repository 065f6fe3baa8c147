package agent

import (
	"maps"

	"github.com/catsbgp/catsbgp/internal/collect"
	"github.com/catsbgp/catsbgp/selection"
)

// counters are what only the loop sees happen. Owned by the loop.
type counters struct {
	samples map[sampleKey]*tally
	changes map[string]uint64 // of splits, by service
}

// A tally is how a source has answered.
type tally struct {
	good, bad uint64
	failing   bool // the last time
}

func newCounters() counters {
	return counters{samples: map[sampleKey]*tally{}, changes: map[string]uint64{}}
}

// sample counts an answer and reports whether it changed from good to bad or
// back; a first good one is no change.
func (c *counters) sample(k sampleKey, good bool) (changed bool) {
	t := c.samples[k]
	if t == nil {
		t = &tally{}
		c.samples[k] = t
	}
	if good {
		t.good++
	} else {
		t.bad++
	}
	changed = t.failing == good
	t.failing = !good
	return changed
}

func (c *counters) split(service string, changes []selection.Change) {
	for _, ch := range changes {
		if ch.Kind != selection.RungChanged {
			c.changes[service]++
		}
	}
}

// keep forgets the sources of instances that are configured no more.
func (c *counters) keep(instances []collect.Instance) {
	known := map[collect.Key]bool{}
	for _, in := range instances {
		known[in.Key] = true
	}
	maps.DeleteFunc(c.samples, func(k sampleKey, _ *tally) bool { return !known[k.key] })
}
