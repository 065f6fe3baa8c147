package collect

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// What a Source means where it says nothing. StaleAfter's default is
// defaultStaleAfter.
const (
	defaultInterval = time.Second
	defaultTimeout  = 800 * time.Millisecond
	defaultMaxBody  = 4 << 20
)

// A source asks one configured Source. One goroutine uses it at a time.
type source interface {
	// run emits a SourceEvent for each answer until ctx ends.
	run(ctx context.Context, emit func(Event))
	// once asks a single time. A source with rates is asked twice.
	once(ctx context.Context) SourceEvent
}

// newSource prepares a source of an instance. It fails if the source cannot
// work as configured. A push source has nothing to run: see pushed.
func newSource(inst Instance, c Source) (source, error) {
	var ask func(context.Context) (answer, error)
	var closer func()
	var err error
	c = c.withDefaults()
	switch c.Type {
	case Prometheus:
		ask, closer, err = newScraper(c)
	case ORCAHeader:
		ask, closer, err = newHeaderProbe(c)
	case ORCAStream:
		return newORCAStream(inst.Key, c)
	case Local:
		ask, err = newLocal(c)
	case Exec:
		ask, err = newCommand(inst, c)
	case Push:
		return newPushed(inst, c), nil
	default:
		err = fmt.Errorf("unknown type %q", c.Type)
	}
	if err != nil {
		return nil, fmt.Errorf("collect: source %q of %s: %w", c.Name, inst.Key, err)
	}
	return &poller{key: inst.Key, source: c, ask: ask, close: closer, evaluator: newEvaluator(c.values())}, nil
}

func (c Source) withDefaults() Source {
	orElse := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	orElse(&c.Interval, defaultInterval)
	orElse(&c.Timeout, defaultTimeout)
	orElse(&c.StaleAfter, defaultStaleAfter)
	if c.MaxBody <= 0 {
		c.MaxBody = defaultMaxBody
	}
	return c
}

// values returns the selectors of a source: those configured, or what its type
// means without any. An exec source without values is a sign of life, and a
// push source without values takes what it is given; both have none.
func (c Source) values() map[string]Selector {
	switch {
	case len(c.Values) > 0:
		return c.Values
	case c.Type == ORCAStream || c.Type == ORCAHeader:
		return map[string]Selector{ValueUtilisation: {Metric: orcaUtilisation}}
	case c.Type == Local:
		return map[string]Selector{ValueUtilisation: {Metric: localCPUUtilisation}}
	}
	return nil
}

// signalsLife reports whether a source says up or down instead of values.
func (c Source) signalsLife() bool { return c.Type == Exec && len(c.Values) == 0 }

// rated reports whether any value of a source needs two readings.
func (c Source) rated() bool {
	for _, s := range c.values() {
		if s.rated() {
			return true
		}
	}
	return c.Type == Local // processor time is a difference as well
}

// An answer is what a source said at one time.
type answer struct {
	reading reading
	down    string // exec without values: why the instance is down
}

// A poller asks at its interval. It asks the next time when the answer is
// there or the timeout has passed, never twice at once.
type poller struct {
	key       Key
	source    Source // with defaults filled in
	ask       func(ctx context.Context) (answer, error)
	close     func() // may be nil
	evaluator *evaluator
}

// run asks for the first time within a tenth of the interval, so that sources
// that were configured together do not stay together.
func (p *poller) run(ctx context.Context, emit func(Event)) {
	defer p.release()
	interval := p.source.Interval
	timer := time.NewTimer(rand.N(max(1, interval/10)))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		started := time.Now()
		ev := p.poll(ctx)
		if ctx.Err() != nil {
			return // it was cut off, which is not the source's fault
		}
		emit(ev)
		// A source that takes longer than its interval gets a break all the same.
		timer.Reset(max(jitter(interval)-time.Since(started), interval/10))
	}
}

func (p *poller) once(ctx context.Context) SourceEvent {
	defer p.release()
	ev := p.poll(ctx)
	if !p.source.rated() || ev.Err != nil {
		return ev
	}
	select {
	case <-ctx.Done():
		return ev
	case <-time.After(min(p.source.Interval, time.Second)):
		return p.poll(ctx)
	}
}

// poll asks a single time.
func (p *poller) poll(ctx context.Context) SourceEvent {
	asking, cancel := context.WithTimeout(ctx, p.source.Timeout)
	defer cancel()
	said, err := p.ask(asking)
	ev := SourceEvent{Key: p.key, Source: p.source.Name, At: time.Now(), Down: said.down}
	switch {
	case err != nil && asking.Err() != nil && ctx.Err() == nil:
		ev.Err = fmt.Errorf("no answer within %v", p.source.Timeout)
	case err != nil:
		ev.Err = err
	case said.reading != nil:
		ev.Values, ev.Err = p.evaluator.evaluate(ev.At, said.reading)
	}
	return ev
}

func (p *poller) release() {
	if p.close != nil {
		p.close()
	}
}

// jitter lengthens or shortens an interval by up to a tenth.
func jitter(d time.Duration) time.Duration {
	return d - d/10 + rand.N(max(1, d/5))
}
