package collect

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/catsbgp/catsbgp/advert"
)

const (
	// defaultStaleAfter applies where a Source says nothing.
	defaultStaleAfter = 5 * time.Second

	// degradedUtilisation is the least that is said of an instance whose
	// source is silent: full enough that it only gets what others cannot take.
	degradedUtilisation = 0.9

	// suspectUtilisation is more than overload explains; most likely it is a
	// percentage that lacks its scale = 0.01.
	suspectUtilisation = 10
)

// An Accumulator condenses the events of one instance into a [Report].
//
// It reads no clock, and its own runs by the differences of the times it is
// given: a time earlier than the one before is taken for the same time, so a
// clock that is set back makes nothing fresh or stale.
//
// An Accumulator is not safe for concurrent use. The zero value is not usable.
type Accumulator struct {
	inst    Instance
	last    time.Time     // the latest time given; zero: none yet
	elapsed time.Duration // own clock
	sources map[string]*sourceState
	checks  map[string]*checkVerdict
	windows map[string]*window // by metric of an input
}

// A sourceState is what one source has said. Times are on the own clock.
type sourceState struct {
	good     time.Duration // of the last good answer, or when the source was configured
	valid    time.Duration // how long that is good for; 0: as configured
	answered bool          // a value or a sign of life was heard
	values   map[string]float64
	err      error
	lied     bool   // the last answer held a value that was refused
	down     string // exec: why the instance is down
}

// A checkVerdict is the latest a check has said.
type checkVerdict struct {
	event CheckEvent
	at    time.Duration
}

// NewAccumulator returns an accumulator that has heard nothing. Silence counts
// from the first time that it is given.
func NewAccumulator(inst Instance) *Accumulator {
	a := &Accumulator{
		sources: map[string]*sourceState{},
		checks:  map[string]*checkVerdict{},
		windows: map[string]*window{},
	}
	a.configure(inst)
	return a
}

// SetInstance takes a new configuration. Sources and checks that keep their
// name keep what they said, so that a reload is no outage; their values live
// on only as long as they are still configured.
func (a *Accumulator) SetInstance(now time.Time, inst Instance) {
	a.advance(now)
	a.configure(inst)
	a.record()
}

func (a *Accumulator) configure(inst Instance) {
	a.inst = inst
	sources := make(map[string]*sourceState, len(inst.Sources))
	for _, c := range inst.Sources {
		s := a.sources[c.Name]
		if s == nil {
			s = &sourceState{good: a.elapsed, values: map[string]float64{}}
		}
		maps.DeleteFunc(s.values, func(name string, _ float64) bool {
			_, wanted := c.values()[name]
			return !wanted && (c.Type != Push || len(c.Values) > 0)
		})
		if !c.signalsLife() {
			s.down = ""
		}
		sources[c.Name] = s
	}
	a.sources = sources
	checks := make(map[string]*checkVerdict, len(inst.Checks))
	for _, c := range inst.Checks {
		if s := a.checks[c.Name]; s != nil {
			checks[c.Name] = s
		}
	}
	a.checks = checks
}

// Observe takes one event. Events of another instance, or of a source or check
// that is not configured (any more), are ignored.
func (a *Accumulator) Observe(now time.Time, ev Event) {
	a.advance(now)
	if key(ev) != a.inst.Key {
		return
	}
	switch ev := ev.(type) {
	case SourceEvent:
		if s := a.sources[ev.Source]; s != nil {
			a.hear(s, ev, a.when(now, ev.At))
		}
	case CheckEvent:
		if slices.ContainsFunc(a.inst.Checks, func(c Check) bool { return c.Name == ev.Check }) {
			a.checks[ev.Check] = &checkVerdict{ev, a.when(now, ev.At)}
		}
	default:
		panic("BUG: unknown event")
	}
	a.record()
}

// hear takes one answer. Good values are used even if others were refused, but
// only an answer without any error keeps a source from growing stale.
func (a *Accumulator) hear(s *sourceState, ev SourceEvent, at time.Duration) {
	s.err, s.lied = ev.Err, refused(ev.Err)
	for _, name := range slices.Sorted(maps.Keys(ev.Values)) {
		v := ev.Values[name]
		if !plausible(v) {
			s.err, s.lied = join(s.err, &ValueError{name, v}), true
			continue
		}
		s.values[name] = v
		s.answered = true
	}
	if s.err == nil {
		s.good, s.valid, s.down = at, ev.Valid, ev.Down
		s.answered = true
	}
}

// record notes the values that inputs want averaged.
func (a *Accumulator) record() {
	l0, _ := derive(a.value, a.inst)
	size := a.inst.Normalization.window()
	kept := make(map[string]*window, len(a.windows))
	for _, in := range a.inst.Normalization.inputs() {
		v := a.input(l0, in.Metric)
		if !v.Known() {
			continue
		}
		w := a.windows[in.Metric]
		if w == nil {
			w = new(window)
		}
		w.set(a.elapsed, size, v.Value)
		kept[in.Metric] = w
	}
	a.windows = kept
}

// Report says what is known at a time.
func (a *Accumulator) Report(now time.Time) Report {
	a.advance(now)
	l0, sane := derive(a.value, a.inst)
	r := Report{L0: l0, Window: a.inst.Normalization.window(), Anomalous: !sane}
	var reasons []string

	r.State, reasons = a.state()
	degraded := map[string]bool{} // names of values that come from a silent source
	for _, c := range a.inst.Sources {
		s := a.sources[c.Name]
		if s.lied {
			r.Anomalous = true
			reasons = append(reasons, fmt.Sprintf("source %s lies: %v", c.Name, s.err))
		}
		missing, matters := a.missing(c)
		switch {
		case !matters || c.Stale == StaleWithdraw: // state has said it
		case c.Stale == StaleHold:
			reasons = append(reasons, "source "+c.Name+" is silent, its last values are held"+because(s.err))
		default:
			r.Degraded = true
			reasons = append(reasons, "source "+c.Name+" is silent"+because(s.err))
			for _, name := range missing {
				degraded[name] = true
			}
			if !a.fresh(ValueUtilisation) && (len(missing) == 0 || slices.ContainsFunc(missing, meaningful)) {
				degraded[ValueUtilisation] = true
			}
		}
	}
	if degraded[ValueUtilisation] {
		r.Utilisation.Value = max(r.Utilisation.Value, degradedUtilisation)
		r.Utilisation.Source |= advert.SourceEstimation
	}
	if u := r.Utilisation.Value; u > suspectUtilisation {
		r.Anomalous = true
		reasons = append(reasons, fmt.Sprintf("utilisation %s is hard to believe: a percentage without scale = 0.01?", number(u)))
	}
	if !sane {
		reasons = append(reasons, "the values do not fit together")
	}
	r.Reason = strings.Join(reasons, "; ")

	r.L1 = a.scores(degraded)
	r.NormFI = a.inst.Normalization.final(r.L1)
	r.Sources, r.Checks, r.Raw = a.sourceStatus(), a.checkStatus(), a.raw()
	return r
}

// Due returns the next time after now at which the report changes although
// nothing happens: a source turns stale, or the measurement window moves on.
// Zero: never.
func (a *Accumulator) Due(now time.Time) time.Time {
	a.advance(now)
	var next time.Duration // from now
	sooner := func(d time.Duration) {
		if d > 0 && (next == 0 || d < next) {
			next = d
		}
	}
	for _, c := range a.inst.Sources {
		s := a.sources[c.Name]
		sooner(s.good + s.limit(c) - a.elapsed)
	}
	size := a.inst.Normalization.window()
	for _, w := range a.windows {
		if !w.settled(a.elapsed, size) {
			sooner(size / 10) // fine enough for scores in tenths
		}
	}
	if next == 0 {
		return time.Time{}
	}
	return now.Add(next)
}

// advance moves the own clock to now.
func (a *Accumulator) advance(now time.Time) {
	if d := now.Sub(a.last); d > 0 && !a.last.IsZero() {
		a.elapsed += d
	}
	a.last = now
}

// when is the time at, read at now, on the own clock. A time in the future is
// now; the zero time likewise.
func (a *Accumulator) when(now, at time.Time) time.Duration {
	if at.IsZero() {
		return a.elapsed
	}
	return a.elapsed - max(0, now.Sub(at))
}

// state is whether the instance can serve, and why not.
func (a *Accumulator) state() (State, []string) {
	var down, pending []string
	for _, c := range a.inst.Checks {
		switch s := a.checks[c.Name]; {
		case s == nil:
			pending = append(pending, "check "+c.Name+" has not decided yet")
		case !s.event.Up:
			down = append(down, "check "+c.Name+": "+s.event.Detail)
		}
	}
	heard, silent := len(a.inst.Sources) == 0, true
	for _, c := range a.inst.Sources {
		s := a.sources[c.Name]
		heard = heard || s.answered
		silent = silent && a.stale(c, s)
		switch {
		case s.down != "":
			down = append(down, "source "+c.Name+": "+s.down)
		case c.Stale == StaleWithdraw:
			if _, matters := a.missing(c); matters {
				down = append(down, "source "+c.Name+" is silent"+because(s.err))
			}
		}
	}
	switch {
	case len(down) > 0:
		return Down, down
	case len(pending) > 0:
		return Unknown, pending
	case heard, silent && len(a.inst.Checks) > 0:
		return Up, nil
	}
	for _, c := range a.inst.Sources {
		pending = append(pending, "source "+c.Name+" has not answered yet"+because(a.sources[c.Name].err))
	}
	return Unknown, pending
}

// scores are the L1 metrics: each input's mean over the window becomes a
// score, and the scores of a category become one. Inputs of which nothing is
// known do not count.
func (a *Accumulator) scores(degraded map[string]bool) L1 {
	n := a.inst.Normalization
	var l1 L1
	for _, c := range []struct {
		category Category
		score    *Score
	}{
		{CategoryComputing, &l1.Computing},
		{CategoryCommunication, &l1.Communication},
		{CategoryService, &l1.Service},
	} {
		var scores, weights []float64
		for _, in := range n.inputs() {
			w := a.windows[in.Metric]
			if in.Category != c.category || w == nil && !degraded[in.Metric] {
				continue
			}
			s := float64(bestScore)
			if w != nil {
				s = n.Score(in, w.mean(a.elapsed, n.window()))
			}
			if degraded[in.Metric] {
				s = min(s, degradedScore)
			}
			scores, weights = append(scores, s), append(weights, in.Weight)
		}
		if x, ok := n.combine(scores, weights); ok {
			*c.score = newScore(x)
		}
	}
	return l1
}

// input is the value an input means: one of L0, derived or not, or any other
// name.
func (a *Accumulator) input(l L0, name string) Value {
	switch name {
	case ValueUtilisation:
		return l.Utilisation
	case ValueInFlight:
		return l.InFlight
	case ValueCapacity:
		return l.Capacity
	case ValueSlots:
		return l.Slots
	case ValueServiceTime:
		return l.ServiceTime
	case ValueDelay:
		return l.Delay
	case ValueFlowRate:
		return l.FlowRate
	}
	return a.value(name)
}

// value returns the value in force of a name: that of the first source in
// configured order that is not stale, else that of the first that has one.
func (a *Accumulator) value(name string) Value {
	var held Value
	for _, c := range a.inst.Sources {
		s := a.sources[c.Name]
		v, ok := s.values[name]
		switch {
		case ok && !a.stale(c, s):
			return Value{v, advert.SourceMeasured}
		case ok && !held.Known():
			held = Value{v, advert.SourceMeasured}
		}
	}
	return held
}

// stale reports whether a source has been silent for too long.
func (a *Accumulator) stale(c Source, s *sourceState) bool {
	return a.elapsed-s.good >= s.limit(c)
}

// limit is how long after its last good answer a source turns stale.
func (s *sourceState) limit(c Source) time.Duration {
	switch {
	case s.valid > 0:
		return s.valid
	case c.StaleAfter > 0:
		return c.StaleAfter
	}
	return defaultStaleAfter
}

// missing reports whether a source is stale and that matters: it only gave a
// sign of life, or owes values that no other source delivers, which are named.
func (a *Accumulator) missing(c Source) (names []string, matters bool) {
	s := a.sources[c.Name]
	if !a.stale(c, s) {
		return nil, false
	}
	owed := slices.Sorted(maps.Keys(c.values()))
	if len(owed) == 0 {
		owed = slices.Sorted(maps.Keys(s.values)) // it says what it likes
	}
	for _, name := range owed {
		if !a.fresh(name) {
			names = append(names, name)
		}
	}
	return names, len(names) > 0 || len(owed) == 0
}

// fresh reports whether any source that is not stale has a value.
func (a *Accumulator) fresh(name string) bool {
	return slices.ContainsFunc(a.inst.Sources, func(c Source) bool {
		s := a.sources[c.Name]
		_, ok := s.values[name]
		return ok && !a.stale(c, s)
	})
}

func (a *Accumulator) sourceStatus() []SourceStatus {
	var out []SourceStatus
	for _, c := range a.inst.Sources {
		s := a.sources[c.Name]
		st := SourceStatus{
			Name: c.Name, Type: c.Type, Answered: s.answered,
			Age: a.elapsed - s.good, Stale: a.stale(c, s), LastValues: maps.Clone(s.values),
		}
		if s.err != nil {
			st.Err = s.err.Error()
		}
		out = append(out, st)
	}
	return out
}

func (a *Accumulator) checkStatus() []CheckStatus {
	var out []CheckStatus
	for _, c := range a.inst.Checks {
		st := CheckStatus{Name: c.Name, Type: c.Type}
		if s := a.checks[c.Name]; s != nil {
			st.Known, st.Up, st.Age = true, s.event.Up, a.elapsed-s.at
			st.Detail, st.Latency = s.event.Detail, s.event.Latency
		}
		out = append(out, st)
	}
	return out
}

// raw returns the value in force of each name.
func (a *Accumulator) raw() map[string]float64 {
	out := map[string]float64{}
	for _, s := range a.sources {
		for name := range s.values {
			out[name] = a.value(name).Value
		}
	}
	return out
}

// because is what to add to a reason.
func because(err error) string {
	if err == nil {
		return ""
	}
	return ": " + err.Error()
}

// meanings returns the names with a meaning of their own.
func meanings() []string {
	return []string{
		ValueUtilisation, ValueInFlight, ValueCapacity, ValueSlots, ValueServiceTime, ValueDelay, ValueFlowRate,
	}
}

func meaningful(name string) bool { return slices.Contains(meanings(), name) }
