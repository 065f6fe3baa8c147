package dampening

import (
	"math"
	"time"
)

// A gate is all that is known about one instance.
type gate struct {
	key  string
	hash uint64 // of seed and key: the source of the refresh jitter

	state      State // as observed
	removed    bool  // configured away; kept while its past counts
	observedAt instant
	smooth     smoother
	changed    bool // Resay
	presence   presence
	bucket     bucket

	said   book    // what is out, by the rules
	heard  book    // what is out, kept in observe-only mode only
	jitter float64 // of the next refresh, 1 ± refreshJitter

	plan  plan
	since instant // of plan.reason
	told  plan    // what the last decision said about it

	class   class   // order in ready or creates
	urgency float64 // within the class; greater first
	due     instant // when the plan must be made again without an event

	queue             *queue // ready or creates, while in one
	inQueue, inTimers int    // see queue.place

	// Within one Advance.
	touched  bool   // in Table.touched
	observed bool   // by the caller, since the last Advance
	spoke    Reason // what was said, by the rules
	because  Reason // the guard behind a withdrawal
	says     bool   // it will be told with Say set

	observations uint64
	counts       Counts
}

// A plan is what a gate would do if nothing else happened.
type plan struct {
	reason Reason  // to say something; NoReason: nothing to say
	held   Reason  // the guard in its way; NoReason: none of its own
	until  instant // when that guard lets go
}

// A book is what neighbours have been told about one instance, and what they
// make of it.
type book struct {
	state     State
	level     float64
	above     bool // High was crossed, Low not since
	reason    Reason
	at        instant
	validity  time.Duration
	created   bool // counted as an instance of this site
	announced bool // neighbours have seen it before
	rfd       estimates
}

func (b *book) present() bool { return b.state != Down }

// refreshAt is when to repeat. The validity may be of an older reload, and
// shorter than what is in force.
func (b *book) refreshAt(refresh time.Duration, jitter float64) instant {
	return b.at + min(time.Duration(float64(refresh)*jitter), b.validity*2/3)
}

// lastCall is when a refresh can wait no longer for what is less important.
func (b *book) lastCall() instant { return b.at + b.validity*2/3 }

func (b *book) expires() instant { return b.at + b.validity }

// target is the state to be said.
func (g *gate) target(now instant) State {
	if g.presence.suppressed(now) {
		return Down
	}
	return g.state
}

// makePlan decides what to say and which of the instance's own guards is in
// the way. What is shared by all instances is not its business.
func (t *Table) makePlan(g *gate) plan {
	target := g.target(t.now())
	switch {
	case target == Down && g.said.present():
		if g.removed {
			return plan{reason: SaidRemoved}
		}
		return plan{reason: SaidDown}
	case target == Down && g.state != Down:
		return plan{g.appearance(), HeldSuppressed, g.presence.release}
	case target == Down:
		return plan{held: HeldBelowThreshold}
	case !g.said.present():
		return t.guardState(g, g.appearance())
	case target == Draining && g.said.state == Up:
		return plan{reason: SaidDrain}
	case target != g.said.state:
		return t.guardState(g, SaidUndrain)
	}
	reason := t.metricReason(g)
	if reason == NoReason {
		return plan{held: HeldBelowThreshold}
	}
	return t.guardMetric(g, reason)
}

// appearance is the reason for saying a withdrawn instance.
func (g *gate) appearance() Reason {
	switch {
	case !g.said.created:
		return SaidFirst
	case g.presence.reuse:
		return SaidReuse
	}
	return SaidUp
}

func (t *Table) metricReason(g *gate) Reason {
	level := g.smooth.level
	above := crossed(g.said.above, level, t.rules.High, t.rules.Low)
	switch {
	case above && !g.said.above:
		return SaidHigh
	case !above && g.said.above:
		return SaidLow
	case math.Abs(level-g.said.level) >= t.rules.Delta-deltaSlack:
		return SaidDelta
	case g.changed:
		return SaidChanged
	case t.now() >= g.said.refreshAt(t.refresh, g.jitter):
		return SaidRefresh
	}
	return NoReason
}

func (t *Table) guardState(g *gate, reason Reason) plan {
	if ready := g.bucket.ready(t.rules.bucket); ready > t.now() {
		return plan{reason, HeldBucket, ready}
	}
	return plan{reason: reason}
}

// guardMetric names the guard that lets go last, so that until is the earliest
// time.
func (t *Table) guardMetric(g *gate, reason Reason) plan {
	p := plan{reason: reason}
	hold := func(held Reason, until instant) {
		if until > t.now() && until > p.until {
			p.held, p.until = held, until
		}
	}
	hold(HeldMinInterval, g.said.at+t.rules.MinInterval)
	hold(HeldBucket, g.bucket.ready(t.rules.bucket))
	if d := g.said.rfd.wait(t.now(), t.budgets); d > 0 {
		// Silence until the value expires would lose the instance everywhere,
		// not just behind the router that damps. A history of metric updates
		// alone never gets here (see RFDBudget.interval).
		if t.now() >= g.said.lastCall() {
			p.reason = SaidRefresh
		} else {
			hold(HeldRFDBudget, min(t.now()+d, g.said.lastCall()))
		}
	}
	return p
}

// say carries out the plan.
func (t *Table) say(g *gate) {
	now, reason := t.now(), g.plan.reason
	if g.presence.suppressed(now) && g.state != Down {
		g.because = HeldSuppressed
	}
	if reason.safe() {
		g.class, g.urgency = classSafe, 0
	}
	g.spoke = reason
	g.counts[reason]++
	t.counts[reason]++

	g.bucket.take(now, t.rules.bucket)
	t.session.take(now, t.rules.session)
	if reason == SaidFirst || reason == SaidRemoved {
		t.create.take(now, t.rules.create)
	}
	t.write(g, &g.said, g.target(now), reason)
	if g.said.present() {
		g.presence.reuse = false
	}
	g.changed = false
	g.jitter = g.drawJitter()
	g.plan = t.makePlan(g)
	g.since, g.told = now, g.plan
	t.wait(g)
}

// write puts what was just said into a book.
func (t *Table) write(g *gate, b *book, state State, reason Reason) {
	switch {
	case state == Down:
		if b.present() {
			b.rfd.add(t.now(), t.budgets, rfdWithdrawal)
		}
	case b.present():
		b.rfd.add(t.now(), t.budgets, rfdAttributeChange)
	case b.announced:
		b.rfd.add(t.now(), t.budgets, rfdReadvertisement)
	}
	b.above = crossed(b.above && b.present(), g.smooth.level, t.rules.High, t.rules.Low)
	b.state, b.level, b.reason, b.at = state, g.smooth.level, reason, t.now()
	b.validity = t.validity
	b.announced = b.announced || state != Down
	b.created = state != Down || b.created && !g.removed
}

// settle makes the plan again after an event or a timer.
func (t *Table) settle(g *gate) {
	p := t.makePlan(g)
	if p.reason != g.plan.reason {
		g.since = t.now()
	}
	g.plan = p
	if p.reason.safe() {
		t.say(g)
		return
	}
	t.wait(g)
}

// wait puts the gate where it will be found when its plan can go on: in a
// queue for what is shared, or among the timers.
func (t *Table) wait(g *gate) {
	// Once in an Advance is enough. Rules that contradict themselves (Low above
	// High) could go on for ever.
	ready := g.plan.reason != NoReason && g.plan.held == NoReason && g.spoke == NoReason
	q := &t.ready
	if g.plan.reason == SaidFirst {
		q = &t.creates
	}
	if g.queue != nil && (!ready || g.queue != q) {
		g.queue.remove(g)
		g.queue = nil
	}
	if ready {
		g.class, g.urgency = t.rank(g)
		q.put(g)
		g.queue = q
	}
	t.arm(g)
}

// rank orders what is ready; of two of a class the one with the greater
// urgency is first.
func (t *Table) rank(g *gate) (class, float64) {
	reason := g.plan.reason
	if reason.metric() && t.now() >= g.said.lastCall() {
		return classExpiring, -float64(g.said.expires())
	}
	switch c := reason.class(); c {
	case classState:
		return c, -float64(g.since)
	case classRefresh:
		return c, -float64(g.said.expires())
	case classCrossing, classDelta:
		return c, math.Abs(g.smooth.level - g.said.level)
	default:
		return c, 0
	}
}

// never is later than every instant.
const never = instant(math.MaxInt64)

// arm sets the timer for the next moment at which time alone changes the plan.
func (t *Table) arm(g *gate) {
	due := never
	switch {
	case g.plan.reason != NoReason && g.plan.held == NoReason && g.spoke != NoReason:
		due = t.now() + time.Millisecond
	case g.plan.reason == NoReason && g.said.present():
		due = g.said.refreshAt(t.refresh, g.jitter)
	case g.plan.reason.metric():
		if call := g.said.lastCall(); call > t.now() {
			due = call
		}
		if g.plan.held != NoReason {
			due = min(due, g.plan.until)
		}
	case g.plan.reason != NoReason && g.plan.held != NoReason:
		due = g.plan.until
	case g.removed:
		due = t.forgotten(g)
	}
	if t.rules.ObserveOnly && g.heard.present() {
		due = min(due, max(g.heard.refreshAt(t.refresh, g.jitter), t.now()+1))
	}
	if due == g.due && (g.inTimers != 0) == (due != never) {
		return
	}
	g.due = due
	if due == never {
		t.timers.remove(g)
		return
	}
	t.timers.put(g)
}

// forgotten returns when nothing about a removed gate is worth keeping. What no
// neighbour ever heard of is not: names that come and go cost no memory.
func (t *Table) forgotten(g *gate) instant {
	if !g.said.announced && !g.heard.announced {
		return 0
	}
	return max(g.presence.forgotten(t.rules), g.said.rfd.forgotten(t.budgets), g.heard.rfd.forgotten(t.budgets))
}

// drawJitter depends on the seed, the key and how often the gate has spoken,
// and on nothing else.
func (g *gate) drawJitter() float64 {
	g.hash = mix(g.hash)
	return 1 - refreshJitter + 2*refreshJitter*float64(g.hash>>11)/(1<<53)
}

// hashKey is FNV-1a, started from the seed.
func hashKey(seed uint64, key string) uint64 {
	h := 14695981039346656037 ^ mix(seed)
	for i := range len(key) {
		h = (h ^ uint64(key[i])) * 1099511628211
	}
	return h
}

// mix is the output function of SplitMix64, and one step of it.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
