package collect

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// A Runner runs the sources and checks of all instances of a site, each in a
// goroutine of its own, so that one that hangs holds up no other.
//
// Set, Push and Once may be called from any goroutine, before and while Run runs.
type Runner struct {
	log  zerolog.Logger
	emit func(Event)

	mu      sync.Mutex
	running context.Context // of Run; nil: not running
	tasks   map[taskID]*task
	group   sync.WaitGroup // of the goroutines; Add under mu while running
}

// A taskID names a source or check.
type taskID struct {
	key   Key
	check bool
	name  string
}

// A task is one source or check.
type task struct {
	id     taskID
	wanted any // what it was made from; as long as that is equal, it goes on
	job    job // nil: it cannot work, see err
	err    error

	cancel context.CancelFunc // nil: not started
	done   chan struct{}      // closed when its goroutine has ended
}

// A job is a source or a checker.
type job interface {
	run(ctx context.Context, emit func(Event))
}

// NewRunner returns a runner that has nothing to do yet. emit is called from
// several goroutines at once and must not block.
func NewRunner(log zerolog.Logger, emit func(Event)) *Runner {
	return &Runner{log: log, emit: emit, tasks: map[taskID]*task{}}
}

// Run runs what is [Runner.Set] until ctx ends, and returns nil when all
// goroutines have ended. It is an error to run it twice at once.
func (r *Runner) Run(ctx context.Context) error {
	r.mu.Lock()
	if r.running != nil {
		r.mu.Unlock()
		return errors.New("collect: the runner runs already")
	}
	r.running = ctx
	for _, t := range r.tasks {
		r.start(t, nil)
	}
	r.mu.Unlock()

	<-ctx.Done()

	r.mu.Lock()
	r.running = nil // from here on Set starts nothing
	for _, t := range r.tasks {
		t.stop()
	}
	r.mu.Unlock()
	r.group.Wait()
	return nil
}

// Set says which instances there are, all of them. Sources and checks that are
// configured as before go on undisturbed, and keep what they know: counters for
// rates, rise and fall. Others are stopped, started or started anew.
func (r *Runner) Set(instances []Instance) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.tasks
	r.tasks = make(map[taskID]*task, len(before))
	for _, inst := range instances {
		for _, c := range inst.Sources {
			r.want(before, taskID{inst.Key, false, c.Name}, sourceSpec(inst, c), func() (job, error) { return newSource(inst, c) })
		}
		for _, c := range inst.Checks {
			r.want(before, taskID{inst.Key, true, c.Name}, c, func() (job, error) { return newChecker(inst.Key, c, inst.Service) })
		}
	}
	for id, t := range before {
		if r.tasks[id] == nil {
			t.stop()
		}
	}
}

// want keeps or makes one task. mu is held.
func (r *Runner) want(before map[taskID]*task, id taskID, wanted any, make func() (job, error)) {
	if r.tasks[id] != nil {
		r.log.Error().Stringer("instance", id.key).Str("name", id.name).Msg("the same name twice in one instance; the first is used")
		return
	}
	old := before[id]
	if old != nil && reflect.DeepEqual(old.wanted, wanted) {
		r.tasks[id] = old
		return
	}
	t := &task{id: id, wanted: wanted}
	if t.job, t.err = make(); t.err != nil {
		t.job = nil // not an interface around a nil pointer
		r.log.Error().Err(t.err).Msg("cannot collect")
	}
	r.tasks[id] = t
	if old != nil {
		old.stop()
	}
	if r.running != nil {
		r.start(t, old)
	}
}

// sourceSpec is all that a source depends on. Most of an instance it does not,
// so that another capacity starts no source anew.
func sourceSpec(inst Instance, c Source) any {
	spec := struct {
		source Source
		name   string
		inputs []Input
	}{source: c}
	switch c.Type {
	case Exec:
		spec.name = inst.Name
	case Push:
		spec.inputs = inst.Normalization.Inputs
	}
	return spec
}

// start runs a task as soon as its predecessor, if any, has ended. mu is held.
func (r *Runner) start(t, old *task) {
	ctx, cancel := context.WithCancel(r.running)
	t.cancel, t.done = cancel, make(chan struct{})
	r.group.Go(func() {
		defer close(t.done)
		defer cancel()
		if old != nil && old.done != nil {
			<-old.done
		}
		failing := false
		post := func(ev Event) {
			if ctx.Err() != nil {
				return // nobody wants to hear it any more
			}
			if ev, ok := ev.(SourceEvent); ok {
				failing = r.note(ev, failing)
			}
			r.emit(ev)
		}
		if t.job == nil {
			post(t.broken())
			return
		}
		t.job.run(ctx, post)
	})
}

// stop ends a task, without waiting for it.
func (t *task) stop() {
	if t.cancel != nil {
		t.cancel()
	}
}

// broken is what there is to say of a task that cannot work.
func (t *task) broken() Event {
	if t.id.check {
		return CheckEvent{Key: t.id.key, Check: t.id.name, At: time.Now(), Changed: true, Detail: t.err.Error()}
	}
	return SourceEvent{Key: t.id.key, Source: t.id.name, At: time.Now(), Err: t.err}
}

// note logs when a source begins and ceases to fail, and returns which it is.
func (r *Runner) note(ev SourceEvent, failing bool) bool {
	switch {
	case ev.Err != nil && !failing:
		r.log.Warn().Stringer("instance", ev.Key).Str("source", ev.Source).Err(ev.Err).Msg("source fails")
	case ev.Err == nil && failing:
		r.log.Info().Stringer("instance", ev.Key).Str("source", ev.Source).Msg("source answers again")
	}
	return ev.Err != nil
}

// Push tells a push source its values. They are good for ttl, 0 meaning the
// source's StaleAfter; then the source is stale.
//
// Values under unknown names refuse the push as a whole, and the error names
// them. A value that cannot be true is refused alone; the others count, and the
// error names it.
func (r *Runner) Push(key Key, source string, values map[string]float64, ttl time.Duration, now time.Time) error {
	r.mu.Lock()
	t := r.tasks[taskID{key, false, source}]
	r.mu.Unlock()
	if t == nil {
		return fmt.Errorf("collect: push: %s has no source %q", key, printable(source))
	}
	p, ok := t.job.(*pushed)
	if !ok {
		return fmt.Errorf("collect: push: source %q of %s is not of type push", source, key)
	}
	ev, err := p.push(values, ttl, now)
	if err != nil {
		return fmt.Errorf("collect: push to %q of %s: %w", source, key, err)
	}
	r.emit(ev)
	if ev.Err != nil {
		return fmt.Errorf("collect: push to %q of %s: %w", source, key, ev.Err)
	}
	return nil
}

// A Result is what one source or check says when asked once.
type Result struct {
	Name   string
	Type   string // of the source or check
	Check  bool   // a check, not a source
	Up     bool   // the check passes, or the source answers and does not say down
	Took   time.Duration
	Values map[string]float64 // of a source
	Detail string             // of a check, or why a source says down
	Err    error
}

// Once asks every source and check of an instance a single time, all at once,
// and returns the results in configured order, sources first. A source with
// rates is asked twice, at most a second apart.
func (r *Runner) Once(ctx context.Context, inst Instance) []Result {
	results := make([]Result, len(inst.Sources)+len(inst.Checks))
	var group sync.WaitGroup
	for i, c := range inst.Sources {
		group.Go(func() {
			began := time.Now()
			res := Result{Name: c.Name, Type: string(c.Type)}
			if s, err := newSource(inst, c); err != nil {
				res.Err = err
			} else {
				ev := s.once(ctx)
				res.Values, res.Detail, res.Err = ev.Values, ev.Down, ev.Err
			}
			res.Up = res.Err == nil && res.Detail == ""
			res.Took = time.Since(began)
			results[i] = res
		})
	}
	for i, c := range inst.Checks {
		group.Go(func() {
			began := time.Now()
			res := Result{Name: c.Name, Type: string(c.Type), Check: true}
			if k, err := newChecker(inst.Key, c, inst.Service); err != nil {
				res.Err = err
			} else {
				ev := k.once(ctx)
				res.Up, res.Detail = ev.Up, ev.Detail
			}
			res.Took = time.Since(began)
			results[len(inst.Sources)+i] = res
		})
	}
	group.Wait()
	return results
}
