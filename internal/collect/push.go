package collect

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// maxTTL bounds how long pushed values may be said to be good for. The point of
// a time to live is that a dead program is found out.
const maxTTL = 24 * time.Hour

// A pushed is a source that is told instead of asked.
type pushed struct {
	key    Key
	source Source // with defaults filled in
	names  map[string]bool

	mu        sync.Mutex // guards evaluator
	evaluator *evaluator // nil: values are taken under their own names
}

// newPushed prepares a push source. With values configured, these name what is
// pushed; without, everything that means something to this instance can be
// pushed: the names with a meaning of their own and those of its inputs.
func newPushed(inst Instance, c Source) *pushed {
	p := &pushed{key: inst.Key, source: c, names: map[string]bool{}}
	if len(c.Values) > 0 {
		p.evaluator = newEvaluator(c.Values)
		for name, s := range c.Values {
			s.named(name).metrics(func(metric string) { p.names[metric] = true })
		}
		return p
	}
	for _, name := range meanings() {
		p.names[name] = true
	}
	for _, in := range inst.Normalization.Inputs {
		p.names[in.Metric] = true
	}
	return p
}

func (p *pushed) run(context.Context, func(Event)) {}

func (p *pushed) once(context.Context) SourceEvent {
	return SourceEvent{Key: p.key, Source: p.source.Name, At: time.Now(), Err: errors.New("values are pushed to it, there is nothing to ask")}
}

// push returns the event of a push. A push that is refused as a whole has no
// event.
func (p *pushed) push(values map[string]float64, ttl time.Duration, now time.Time) (SourceEvent, error) {
	var unknown []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !p.names[name] {
			unknown = append(unknown, printable(name))
		}
	}
	switch {
	case len(unknown) > 0:
		return SourceEvent{}, fmt.Errorf("unknown values %s; known are %s",
			strings.Join(unknown, ", "), strings.Join(slices.Sorted(maps.Keys(p.names)), ", "))
	case ttl < 0 || ttl > maxTTL:
		return SourceEvent{}, fmt.Errorf("ttl %v: want 0 (stale_after, %v) to %v", ttl, p.source.StaleAfter, maxTTL)
	}
	ev := SourceEvent{Key: p.key, Source: p.source.Name, At: now, Valid: ttl}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.evaluator != nil {
		ev.Values, ev.Err = p.evaluator.evaluate(now, partial{values})
		return ev, nil
	}
	ev.Values = make(map[string]float64, len(values))
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if v := values[name]; plausible(v) {
			ev.Values[name] = v
		} else {
			ev.Err = join(ev.Err, &ValueError{name, v})
		}
	}
	return ev, nil
}

// A partial reading may lack anything: who pushes chooses what.
type partial struct{ flat }

func (partial) pending(string) bool { return true }
