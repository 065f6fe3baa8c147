package selection

import (
	"math"
	"time"
)

// publish makes the split of the shares in force.
func (s *Service) publish(pl *plan, now time.Time) *Split {
	s.version++
	sp := &Split{
		Service: s.id, Version: s.version, At: now, Policy: s.policy.Kind, Rung: pl.rung,
		Demand: pl.demand, OwnRate: pl.ownRate, Draws: 1, Stretch: 1,
	}
	if pl.balanced() {
		sp.Draws, sp.Lambda, sp.Stretch = s.policy.Draws, seconds(pl.price), s.stretch(pl)
	}
	if pl.rung != s.rung {
		sp.Changes = append(sp.Changes, Change{Kind: RungChanged, FromRung: s.rung, ToRung: pl.rung})
		s.rung = pl.rung
	}
	sp.Changes = append(sp.Changes, s.left...)
	for _, c := range s.left {
		sp.Moved += c.From
	}
	s.left = nil

	targets := 0
	for i, st := range pl.elig {
		switch {
		case pl.part(i):
			targets++
		case st.reason == "":
			st.reason = pl.why[i]
		}
	}
	sp.Targets = make([]Target, 0, targets)
	if out := len(s.list) - targets; out > 0 {
		sp.Excluded = make([]Exclusion, 0, out)
	}
	i := 0
	for _, st := range s.list {
		why := st.reason
		if i < len(pl.elig) && pl.elig[i] == st {
			if pl.part(i) {
				sp.Targets = sp.Targets[:len(sp.Targets)+1]
				t := &sp.Targets[len(sp.Targets)-1]
				pl.target(t, i)
				if pl.balanced() {
					t.Quota = pl.quota(i, s.policy.Eta, sp.Stretch)
				}
				why = t.Reason
			}
			i++
		}
		if st.reason != st.detailOf {
			st.detailOf, st.detail = st.reason, s.detail(st, now)
		}
		if st.reason != "" {
			sp.Excluded = append(sp.Excluded, Exclusion{st.Key, st.Site, st.reason, st.detail})
		}
		sp.Moved += math.Abs(st.share - st.published)
		st.published = st.share
		sp.tell(st, why)
	}
	sp.Moved = min(sp.Moved/2, 1)
	return sp
}

// part reports whether a candidate is a target: it has a share, or may take
// what the others have no room for.
func (pl *plan) part(i int) bool {
	return pl.chosen && pl.elig[i].reason == "" && (pl.elig[i].share > 0 || pl.balanced())
}

// target describes a target.
func (pl *plan) target(t *Target, i int) {
	st := pl.elig[i]
	_, known := st.path.rtt()
	// Field by field: a literal would be made aside and copied, a quarter of a
	// kilobyte for each of hundreds.
	t.Key, t.Site, t.Level = st.Key, st.Site, st.Level
	t.Share, t.Wanted, t.Capacity = st.share, pl.want[i], pl.room[i]
	t.Aged, t.Reason = st.aged, pl.why[i]
	tm := &t.Terms
	tm.RTT, tm.RTTKnown, tm.Service = seconds(pl.rtt[i]), known, seconds(st.service)
	tm.Pref, tm.Open, tm.Rate, tm.Loss = st.pref, st.own.open, st.own.perSecond(), st.path.loss()
	if !st.metrics {
		tm.Cost = tm.RTT + tm.Service
		return
	}
	tm.Utilisation, tm.Anticipated = pl.util[i], pl.util[i]
	if pl.balanced() {
		tm.Anticipated, tm.Slope = pl.basins[i].anticipated(st.share), pl.slope[i]
		if st.share > 0 && t.Reason != EqualCost {
			t.Reason = Leaving
		}
	}
	wait, penalty := st.curve.terms(tm.Anticipated)
	tm.Wait, tm.Penalty = seconds(st.service*wait), seconds(st.service*penalty)
	tm.Cost = seconds(pl.rtt[i] + st.service*(1+wait+penalty))
}

// quota is how many flows the ingress may have open at a candidate:
//
//	e = x_ij + max(0, η-u_j)·C_j·max(x_ij/(u_j·C_j), Λ_i/Λ)
//
// its flow rate there when u_j was measured, and of the room there is, the part
// it has of that load or of all load; so that all ingresses' entitlements make η
// together. n = e·(RTT+s) flows are then open on average; twice the square root
// is for chance.
func (pl *plan) quota(i int, eta, stretch float64) float64 {
	st := pl.elig[i]
	x := st.own.perSecond()
	if st.xKnown {
		x = st.xPref
	}
	part := 1.0 // an idle service, or no news of our own flows: all room is ours
	if pl.ownRate > 0 && pl.demand > 0 {
		part = pl.ownRate / pl.demand
	}
	if load := st.util * pl.cap[i]; load > 0 {
		part = max(part, x/load)
	}
	e := x + max(0, eta-pl.util[i])*pl.room[i]*min(part, 1)
	n := e * (pl.rtt[i] + st.service) * stretch
	return n + 2*math.Sqrt(n) + 1
}

// longLived is from what multiple of round trip and service time on flows count
// as sessions that stay open, rather than as requests that wait.
const longLived = 2

// stretch is by how much the ingress's flows outlive a round trip and a service
// time, if that is far more. The quota formula takes a flow to be a request;
// with connections that stay open it would be exceeded by all targets at once.
// By Little's law their mean life is open flows over flow rate, of all targets
// together: a single slow target does not raise its own quota.
func (s *Service) stretch(pl *plan) float64 {
	var open, rate, work float64
	for i, st := range pl.elig {
		r := st.own.perSecond()
		open += st.own.meanOpen()
		rate += r
		work += r * (pl.rtt[i] + st.service)
	}
	if rate <= 0 || work <= 0 {
		return 1
	}
	return min(max(1, open/(longLived*work)), 1e6)
}

// tell notes what changed for one candidate.
func (sp *Split) tell(st *state, why Reason) {
	takes := st.share > 0
	change := Change{Key: st.Key, Site: st.Site, From: st.told, To: st.share, Reason: why, Detail: st.detail}
	switch {
	case takes && !st.takes:
		change.Kind = TargetJoined
	case !takes && st.takes:
		change.Kind = TargetLeft
	case math.Abs(st.share-st.told) >= toldShare:
		change.Kind = ShareMoved
	default:
		return
	}
	sp.Changes = append(sp.Changes, change)
	st.told, st.takes = st.share, takes
}
