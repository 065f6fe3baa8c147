package dampening

import "time"

// A Status is all there is to know about one instance, as of the last call.
type Status struct {
	Key        string
	Observed   State
	ObservedAt time.Time
	Level      float64 // smoothed

	Said Said // by the rules
	// Out is what is really out: Said, or in observe-only mode what was passed.
	Out Said

	// Pending is what it would say now, and Held the guard that keeps it from
	// doing so, at least until Until (zero: unknown). With nothing to say
	// Pending is NoReason and Held is HeldBelowThreshold.
	Pending      Reason
	PendingSince time.Time
	Held         Reason
	Until        time.Time

	Tokens, Burst float64 // of its bucket

	Penalty    float64 // for presence
	Suppressed bool    // held down
	ReuseAt    time.Time

	RFD []RFDEstimate // in the order of the budgets, without those that are off

	Observations uint64
	Counts       Counts // decisions by reason
}

// Said is what neighbours were last told. The zero Said is nothing yet.
type Said struct {
	State   State
	Level   float64
	Reason  Reason
	At      time.Time
	Refresh time.Time // when it is repeated; zero if withdrawn
	Expires time.Time // when its validity ends; zero if withdrawn
}

// An RFDEstimate is the penalty a peer may have given an instance.
type RFDEstimate struct {
	Key      string
	Peer     string
	Mode     RFDMode
	Penalty  float64
	Limit    float64 // a metric update must stay below; 90 % of Suppress
	Suppress float64
}

// Status returns the status of an instance, false if it is unknown or removed.
func (t *Table) Status(key string) (Status, bool) {
	g := t.gates[key]
	if g == nil || g.removed {
		return Status{}, false
	}
	p := t.pending(g)
	out := &g.said
	if t.rules.ObserveOnly {
		out = &g.heard
	}
	s := Status{
		Key:          key,
		Observed:     g.state,
		ObservedAt:   t.clock.time(g.observedAt),
		Level:        g.smooth.level,
		Said:         t.saidStatus(g, &g.said),
		Out:          t.saidStatus(g, out),
		Pending:      p.reason,
		Held:         p.held,
		Tokens:       g.bucket.tokens(t.now(), t.rules.bucket),
		Burst:        float64(t.rules.bucket.span) / float64(t.rules.bucket.every),
		Penalty:      g.presence.value(t.now(), t.rules),
		Suppressed:   g.presence.suppressed(t.now()),
		Observations: g.observations,
		Counts:       g.counts,
	}
	if p.reason != NoReason {
		s.PendingSince = t.clock.time(g.since)
	}
	if p.until > 0 {
		s.Until = t.clock.time(p.until)
	}
	if s.Suppressed {
		s.ReuseAt = t.clock.time(g.presence.release)
	}
	for i := range t.budgets {
		s.RFD = append(s.RFD, t.estimate(g, out, i))
	}
	return s, true
}

func (t *Table) saidStatus(g *gate, b *book) Said {
	if !b.announced {
		return Said{}
	}
	s := Said{State: b.state, Level: b.level, Reason: b.reason, At: t.clock.time(b.at)}
	if b.present() {
		s.Refresh = t.clock.time(b.refreshAt(t.refresh, g.jitter))
		s.Expires = t.clock.time(b.expires())
	}
	return s
}

func (t *Table) estimate(g *gate, b *book, i int) RFDEstimate {
	budget := t.budgets[i]
	return RFDEstimate{
		Key: g.key, Peer: budget.Peer, Mode: budget.Mode,
		Penalty: b.rfd.value(t.now(), budget, i), Limit: budget.limit(), Suppress: budget.Suppress,
	}
}

// RFD returns for each peer with a budget the instance with the greatest
// estimate, as of the last call. It looks at every instance.
func (t *Table) RFD() []RFDEstimate {
	worst := make([]RFDEstimate, len(t.budgets))
	for i, b := range t.budgets {
		worst[i] = RFDEstimate{Peer: b.Peer, Mode: b.Mode, Limit: b.limit(), Suppress: b.Suppress}
	}
	for _, g := range t.gates {
		b := &g.said
		if t.rules.ObserveOnly {
			b = &g.heard
		}
		for i := range worst {
			e := t.estimate(g, b, i)
			if e.Penalty > worst[i].Penalty || e.Penalty == worst[i].Penalty && e.Penalty > 0 && e.Key < worst[i].Key {
				worst[i] = e
			}
		}
	}
	return worst
}

// A Summary is the table as a whole, as of the last call.
type Summary struct {
	Instances     int // known and not removed
	Remembered    int // removed, kept for their penalties
	Waiting       int // for the session budget or the create quota
	SessionTokens float64
	CreateTokens  float64
	Observations  uint64
	Counts        Counts // decisions by reason, all instances that ever were
}

// Summary returns the figures of the table as a whole.
func (t *Table) Summary() Summary {
	return Summary{
		Instances:     len(t.gates) - t.removed,
		Remembered:    t.removed,
		Waiting:       t.ready.len() + t.creates.len(),
		SessionTokens: t.session.tokens(t.now(), t.rules.session),
		CreateTokens:  t.create.tokens(t.now(), t.rules.create),
		Observations:  t.observations,
		Counts:        t.counts,
	}
}
