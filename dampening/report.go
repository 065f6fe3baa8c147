package dampening

import "slices"

// report turns the touched gates into decisions.
func (t *Table) report() {
	told := t.touched[:0]
	for _, g := range t.touched {
		if t.reports(g) {
			told = append(told, g)
			continue
		}
		t.done(g)
	}
	slices.SortFunc(told, compareReports)
	t.out = t.out[:0]
	for _, g := range told {
		t.out = append(t.out, t.decide(g))
		t.done(g)
	}
	clear(t.touched)
	t.touched = t.touched[:0]
}

func compareReports(a, b *gate) int {
	switch {
	case a.says && !b.says:
		return -1
	case b.says && !a.says:
		return +1
	}
	return compareGates(a, b)
}

// reports decides whether a touched gate has something to tell, and gives it
// its rank among the others.
func (t *Table) reports(g *gate) bool {
	if t.rules.ObserveOnly {
		return t.reportsOpen(g)
	}
	g.says = g.spoke != NoReason
	switch {
	case g.says:
		return true
	case g.removed:
		return false
	}
	if g.queue == nil {
		g.class, g.urgency = t.rank(g)
	}
	p := t.pending(g)
	return g.observed || p.reason != NoReason && (p.reason != g.told.reason || p.held != g.told.held)
}

// reportsOpen is reports in observe-only mode: what is observed passes.
func (t *Table) reportsOpen(g *gate) bool {
	if g.heard.present() && t.now() >= g.heard.refreshAt(t.refresh, g.jitter) {
		g.observed = true // whatever the rules say, what is out must not expire
	}
	if g.spoke == NoReason && g.queue == nil {
		g.class, g.urgency = t.rank(g)
	}
	g.says = g.state != Down
	if g.state == Down && g.heard.present() {
		g.says, g.class, g.urgency = true, classSafe, 0
	}
	return g.spoke != NoReason || g.observed && (g.says || !g.removed)
}

// decide makes the decision of a gate that reports.
func (t *Table) decide(g *gate) Decision {
	d := Decision{Key: g.key, Say: g.says, State: g.state, Level: g.smooth.level}
	switch {
	case g.spoke != NoReason && !(t.rules.ObserveOnly && g.because != NoReason):
		d.State, d.Reason, d.Held = g.said.state, g.spoke, g.because
	case g.says && g.state == Down:
		// Observe-only, and by the rules it was withdrawn before.
		d.Reason = SaidDown
		if g.removed {
			d.Reason = SaidRemoved
		}
	default:
		p := t.pending(g)
		d.Reason, d.Held = p.reason, p.held
		if p.until > 0 {
			d.Until = t.clock.time(p.until)
		}
		g.told = p
		g.counts[p.held]++
		t.counts[p.held]++
	}
	if t.rules.ObserveOnly && g.says {
		t.write(g, &g.heard, g.state, d.Reason)
		t.arm(g)
	}
	return d
}

// pending is the plan, with the shared guard it waits for.
func (t *Table) pending(g *gate) plan {
	p := g.plan
	if g.queue == nil {
		return p
	}
	p.held, p.until = HeldSessionBudget, t.session.ready(t.rules.session)
	if create := t.create.ready(t.rules.create); g.queue == &t.creates && create > t.now() {
		p.held, p.until = HeldCreateQuota, max(create, p.until)
	}
	return p
}

// done forgets what is of one Advance, and a removed gate when nothing of its
// past counts any more.
func (t *Table) done(g *gate) {
	g.touched, g.observed, g.says = false, false, false
	g.spoke, g.because = NoReason, NoReason
	if g.removed && !g.said.present() && !g.heard.present() && t.forgotten(g) <= t.now() {
		t.timers.remove(g)
		delete(t.gates, g.key)
		t.removed--
	}
}
