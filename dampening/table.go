package dampening

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// A Table holds the gates of all instances of a site.
//
// It is not safe for concurrent use. Equal calls give equal decisions; the
// order in which keys first appear does not matter.
type Table struct {
	clock   clock
	rules   *rules
	seed    uint64
	budgets []RFDBudget // without those that are off

	refresh, validity time.Duration // in force

	gates   map[string]*gate
	removed int // gates kept only for their past

	session bucket
	create  bucket

	timers  queue // gates that wait for a time
	ready   queue // gates that wait for the session budget
	creates queue // gates that wait for the create quota, then for the session budget

	touched []*gate    // to be settled at the next Advance
	out     []Decision // of the last Advance; reused

	observations uint64
	counts       Counts
}

// An Observation is what was seen of an instance.
type Observation struct {
	State State

	// Level is the watched quantity, 0 or more. NaN is no new level; others
	// are clamped to 0..MaxLevel. It does not count while State is Down.
	Level float64

	// Decided says that the level is no sample but somebody's decision (of a
	// source that fell silent, say): it counts as it is, not smoothed.
	Decided bool
}

// A Decision says something, or says why not.
type Decision struct {
	Key   string
	Say   bool
	State State   // to say; Down: withdraw. Of a held decision: as observed
	Level float64 // smoothed, to say; 0 if the instance never had one

	// Reason is why it is said, or would be if it were not for Held. It is
	// NoReason if there is nothing to say.
	Reason Reason

	// Held is the guard that holds it back. If Say is true, it is the guard that
	// would have held it (observe-only), or HeldSuppressed for the withdrawal of
	// an instance that is up but flaps.
	Held Reason

	// Until is the earliest time at which Held lets go; zero if no time is
	// known. Others may be served first then.
	Until time.Time
}

// NewTable returns an empty table. The seed decides the jitter of refreshes.
func NewTable(p Params, seed uint64) *Table {
	t := &Table{rules: newRules(p), seed: seed, gates: make(map[string]*gate)}
	t.refresh, t.validity = inForce(t.rules.Refresh, t.rules.Validity, nil)
	t.timers = queue{less: dueFirst, place: func(g *gate) *int { return &g.inTimers }}
	t.ready = queue{less: urgentFirst, place: func(g *gate) *int { return &g.inQueue }}
	t.creates = queue{less: urgentFirst, place: func(g *gate) *int { return &g.inQueue }}
	return t
}

func dueFirst(a, b *gate) bool { return a.due < b.due }

func urgentFirst(a, b *gate) bool { return compareGates(a, b) < 0 }

func compareGates(a, b *gate) int {
	switch {
	case a.class != b.class:
		return cmp.Compare(a.class, b.class)
	case a.urgency != b.urgency:
		return cmp.Compare(b.urgency, a.urgency)
	}
	return strings.Compare(a.key, b.key)
}

func (t *Table) now() instant { return t.clock.now }

// SetParams changes the rules. All state is kept: what was said, tokens taken,
// penalties (decayed so far by the old rules); an instance held down is let go
// when its penalty reaches the new PresenceReuse.
func (t *Table) SetParams(now time.Time, p Params) {
	t.clock.tick(now)
	old := t.rules
	t.rules = newRules(p)
	t.refresh, t.validity = inForce(t.rules.Refresh, t.rules.Validity, t.budgets)
	t.session.convert(t.now(), old.session, t.rules.session)
	t.create.convert(t.now(), old.create, t.rules.create)
	for _, g := range t.gates {
		g.bucket.convert(t.now(), old.bucket, t.rules.bucket)
		g.presence.reload(t.now(), old, t.rules)
		switch {
		case t.rules.ObserveOnly && !old.ObserveOnly:
			g.heard = g.said
			g.heard.rfd.penalty = slices.Clone(g.said.rfd.penalty)
			g.observed = g.plan.reason != NoReason // what was held passes
		case !t.rules.ObserveOnly && old.ObserveOnly:
			g.said, g.heard = g.heard, book{}
		}
		t.touch(g)
	}
}

// SetBudgets sets what is known about route-flap damping at peers, at most one
// budget each. Peers keep their estimates by name.
func (t *Table) SetBudgets(now time.Time, b []RFDBudget) {
	t.clock.tick(now)
	old := t.budgets
	t.budgets = nil
	for _, budget := range b {
		if budget.Mode != RFDOff {
			t.budgets = append(t.budgets, budget.normalize())
		}
	}
	t.refresh, t.validity = inForce(t.rules.Refresh, t.rules.Validity, t.budgets)
	for _, g := range t.gates {
		g.said.rfd.convert(t.now(), old, t.budgets)
		g.heard.rfd.convert(t.now(), old, t.budgets)
		t.touch(g)
	}
}

// Validity returns how often values are repeated (±10 %) and how long they are
// good for, to be said with them. With an enforced RFD budget both may be
// longer than in Params.
func (t *Table) Validity() (refresh, validity time.Duration) {
	return t.refresh, t.validity
}

// Observe takes an observation of an instance. What came of it is told by the
// next Advance. Appearances and disappearances between two Advances all count,
// but only where they ended is said.
func (t *Table) Observe(now time.Time, key string, o Observation) {
	t.clock.tick(now)
	g := t.gates[key]
	if g == nil {
		g = t.newGate(key)
	}
	if g.removed {
		g.removed = false
		t.removed--
	}
	t.setState(g, o.State)
	if g.state != Down {
		tau := t.rules.Smoothing
		if o.Decided {
			tau = 0
		}
		g.smooth.add(t.now(), o.Level, tau)
	}
	g.observedAt = t.now()
	g.observations++
	t.observations++
	g.observed = true
	t.touch(g)
}

// Remove withdraws an instance that was configured away. Its penalties are
// remembered until they have decayed, should it come back.
func (t *Table) Remove(now time.Time, key string) {
	t.clock.tick(now)
	g := t.gates[key]
	if g == nil || g.removed {
		return
	}
	g.removed = true
	t.removed++
	t.setState(g, Down)
	g.observed = true
	t.touch(g)
}

// Resay asks for an instance to be said again, with reason SaidChanged and
// under the guards of a metric update, since something the table does not know
// changed. A withdrawn instance is not said.
func (t *Table) Resay(now time.Time, key string) {
	t.clock.tick(now)
	g := t.gates[key]
	if g == nil || g.removed {
		return
	}
	g.changed = g.said.present()
	g.observed = true
	t.touch(g)
}

func (t *Table) newGate(key string) *gate {
	g := &gate{key: key, hash: hashKey(t.seed, key), due: never}
	g.jitter = g.drawJitter()
	t.gates[key] = g
	return g
}

func (t *Table) setState(g *gate, s State) {
	if s > Draining {
		s = Down // not a state; the safe one
	}
	if (s == Down) != (g.state == Down) {
		g.presence.flap(t.now(), t.rules)
	}
	if s == Down {
		g.smooth.warm = false // who comes back starts anew
	}
	g.state = s
}

func (t *Table) touch(g *gate) {
	if !g.touched {
		g.touched = true
		t.touched = append(t.touched, g)
	}
}

// Advance returns what was decided since the last Advance, and when it should
// be called next if nothing else happens (zero: never).
//
// There is at most one decision for each key: what was said, else why the
// observation was held, else a change of the guard it waits for. First comes
// what is said, then what is held; within each, withdrawals, then state
// changes, then by urgency, then by key. The slice is valid until the next
// call.
func (t *Table) Advance(now time.Time) (ds []Decision, next time.Time) {
	t.clock.tick(now)
	for g := t.timers.top(); g != nil && g.due <= t.now(); g = t.timers.top() {
		t.timers.remove(g)
		t.touch(g)
	}
	for _, g := range t.touched {
		t.settle(g)
	}
	t.grant()
	t.report()
	return t.out, t.next()
}

// grant lets ready gates speak while the session budget and the create quota
// last.
func (t *Table) grant() {
	for t.session.ready(t.rules.session) <= t.now() {
		g := t.ready.top()
		if t.create.ready(t.rules.create) <= t.now() {
			if c := t.creates.top(); g == nil || c != nil && urgentFirst(c, g) {
				g = c
			}
		}
		if g == nil {
			return
		}
		t.say(g)
		t.touch(g)
	}
}

// next returns when a timer is due or one of the shared buckets lets go.
func (t *Table) next() time.Time {
	next := never
	if g := t.timers.top(); g != nil {
		next = g.due
	}
	session := t.session.ready(t.rules.session)
	if t.ready.len() > 0 {
		next = min(next, session)
	}
	if t.creates.len() > 0 {
		next = min(next, max(session, t.create.ready(t.rules.create)))
	}
	if next == never {
		return time.Time{}
	}
	return t.clock.time(next)
}

// Keys returns the instances known and not removed, sorted.
func (t *Table) Keys() []string {
	keys := slices.Collect(maps.Keys(t.gates))
	keys = slices.DeleteFunc(keys, func(key string) bool { return t.gates[key].removed })
	slices.Sort(keys)
	return keys
}
