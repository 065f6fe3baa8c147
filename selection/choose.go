package selection

import (
	"cmp"
	"math"
	"net/netip"
	"time"
)

// choose has the policy set the wanted shares and their reasons; false if it
// finds no candidate to take.
func (s *Service) choose(pl *plan, now time.Time) bool {
	if pl.rung == RungMeasured && (s.policy.Kind == Balanced || s.policy.Kind == LeastCost) {
		return s.nearest(pl, now) // nothing else to go by
	}
	switch s.policy.Kind {
	case Nearest:
		return s.nearest(pl, now)
	case LeastCost:
		pl.leastCost()
	case Weighted:
		pl.byWeight(func(i int) float64 { return pl.room[i] * pl.elig[i].Weight })
	case Static:
		pl.static()
	case Lexicographic:
		s.lexicographic(pl, now)
	default:
		s.balance(pl)
	}
	return true
}

// Limits of L, the flows that shift in the domain per unit of share, to the
// capacity of all candidates together: below, in an idle service, so that the
// first flows do not all go to the nearest instance however small; above, so
// that no number makes a share immovable.
const (
	leastSlope = 0.01
	mostSlope  = 100
	// leastPref is the share below which our part in a load says nothing of how
	// the others' compare.
	leastPref = 1e-3
)

// balance is the policy of that name. Per candidate j of ingress i:
//
//	L_ij   = min(Λ, u_j·C_j / pref_ij), at least the own rate
//	û_j(p) = u_j + (p_j - pref_ij)·L_ij/C_j
//
// that is, when I shift flows the others are expected to shift theirs in the
// same proportion; and p* is where φ_ij(û_j) is the same for all who get flows.
//
// Where pref_ij says nothing, L_ij = Λ: an instance that just came back empty
// looks as attractive to everyone, and everyone's flows may come at once.
func (s *Service) balance(pl *plan) {
	capacity := 0.0
	for _, c := range pl.cap {
		capacity += c
	}
	least := leastSlope * capacity
	if !pl.assumed {
		least = max(least, pl.ownRate)
	}
	for i, st := range pl.elig {
		l := pl.demand
		if st.pref >= leastPref {
			l = min(l, st.util*pl.cap[i]/st.pref)
		}
		l = min(max(l, least), mostSlope*capacity)
		b := basin{
			pref: st.pref, u: pl.util[i], k: pl.room[i] / l,
			base: pl.rtt[i] + st.service, s: st.service, curve: st.curve,
		}
		b.prepare()
		st.stiff = b.k
		pl.basins = append(pl.basins, b)
		pl.slope = append(pl.slope, l)
	}
	pl.price = fill(pl.basins, pl.price, pl.want)
	for i := range pl.want {
		switch {
		case pl.want[i] == 0:
			pl.why[i] = TooDear
		case pl.want[i] < s.policy.MinShare:
			pl.why[i] = BelowMinimum
		default:
			pl.why[i] = EqualCost
		}
	}
}

// leastCost takes the candidate with the lowest round trip, service time and
// wait as advertised: no damping, no thought of what it does.
func (pl *plan) leastCost() {
	best, least := 0, math.Inf(1)
	for i := range pl.elig {
		pl.why[i] = Costlier
		if c := pl.advertisedCost(i); c < least {
			best, least = i, c
		}
	}
	pl.want[best], pl.why[best] = 1, Cheapest
}

// advertisedCost is what a flow would take, in seconds, if its being there
// changed nothing.
func (pl *plan) advertisedCost(i int) float64 {
	st := pl.elig[i]
	return pl.rtt[i] + st.service*(1+st.curve.plain(pl.util[i]))
}

// byWeight shares in proportion to a weight. If all weights are 0, all count
// as 1: a service is not lost for want of a configured weight.
func (pl *plan) byWeight(weight func(i int) float64) {
	for i := range pl.want {
		pl.want[i] = weight(i)
	}
	if !normalise(pl.want) {
		for i := range pl.want {
			pl.want[i] = 1 / float64(len(pl.want))
		}
	}
	for i, w := range pl.want {
		pl.why[i] = ByWeight
		if w == 0 {
			pl.why[i] = NoWeight
		}
	}
}

// static shares by the configured weights, which are those of sites: the
// candidates of a site divide what it gets.
func (pl *plan) static() {
	same := map[netip.Addr]int{}
	for _, st := range pl.elig {
		same[st.Key.Egress]++
	}
	pl.byWeight(func(i int) float64 {
		st := pl.elig[i]
		return st.Weight / float64(same[st.Key.Egress])
	})
}

// Hysteresis of the policies that send all to one site: another must be nearer
// by a tenth and by a millisecond.
const (
	nearerBy = 0.1
	nearerMs = 1e-3
	// dwell is how long such a choice stands against one that is better but not
	// nearer, since what makes it better may be that it is not chosen.
	dwell = 10 * time.Second
)

// clearlyNearer reports whether round trip a is worth leaving b for.
func clearlyNearer(a, b float64) bool { return a < b*(1-nearerBy) && b-a > nearerMs }

// nearest takes the site with the lowest round trip, its candidates by
// capacity. Without a measurement the routing knows better: no targets.
func (s *Service) nearest(pl *plan, now time.Time) bool {
	best, kept := -1, -1
	for i, st := range pl.elig {
		pl.why[i] = Farther
		if _, known := st.path.rtt(); !known {
			pl.why[i], st.reason = Unmeasured, Unmeasured
			continue
		}
		if best < 0 || pl.rtt[i] < pl.rtt[best] {
			best = i
		}
		if st.Key.Egress == s.incumbent && kept < 0 {
			kept = i
		}
	}
	if best < 0 {
		return false
	}
	reason := Closest
	if kept >= 0 && pl.elig[best].Key.Egress != s.incumbent && !clearlyNearer(pl.rtt[best], pl.rtt[kept]) {
		best, reason = kept, Kept
	}
	s.settle(pl, best, now, reason, func(i int) bool {
		// A site known by its route only yields to its own instances.
		return pl.elig[i].Level <= pl.elig[best].Level
	})
	return true
}

// settle sends all flows to the site of pl.elig[best], to those of its
// candidates that are as good, by capacity.
func (s *Service) settle(pl *plan, best int, now time.Time, why Reason, as func(i int) bool) {
	egress := pl.elig[best].Key.Egress
	for i, st := range pl.elig {
		if st.Key.Egress == egress && as(i) {
			pl.want[i], pl.why[i] = pl.room[i], why
		}
	}
	normalise(pl.want)
	if egress != s.incumbent && !s.dry {
		s.incumbent, s.since = egress, now
	}
}

// lexicographic takes the site of the candidate with the highest preference,
// then the best score class, then the lowest round trip.
//
// The site in use is given one point of score, and is left for a better class
// or a nearer site only after a dwell time. A higher preference wins at once.
func (s *Service) lexicographic(pl *plan, now time.Time) {
	best, kept := 0, -1
	for i, st := range pl.elig {
		if pl.ranks(i, best) < 0 {
			best = i
		}
		if st.Key.Egress == s.incumbent && (kept < 0 || pl.ranks(i, kept) < 0) {
			kept = i
		}
	}
	reason := Preferred
	if kept >= 0 && pl.elig[best].Key.Egress != s.incumbent {
		settled := now.Sub(s.since) >= dwell || now.Before(s.since)
		a, b := pl.elig[best], pl.elig[kept]
		sameClass := pl.class(best, 0) == pl.class(kept, 1)
		switch {
		case a.Preference != b.Preference:
		case settled && pl.class(best, 0) > pl.class(kept, 1):
		case settled && sameClass && clearlyNearer(pl.rtt[best], pl.rtt[kept]):
		default:
			best, reason = kept, Kept
		}
	}
	for i, st := range pl.elig {
		switch {
		case st.Preference < pl.elig[best].Preference:
			pl.why[i] = LowerPreference
		case pl.class(i, 0) < pl.class(best, 0):
			pl.why[i] = LowerScore
		default:
			pl.why[i] = Farther
		}
	}
	s.settle(pl, best, now, reason, func(i int) bool {
		return pl.elig[i].Preference == pl.elig[best].Preference && pl.class(i, 0) == pl.class(best, 0)
	})
}

// ranks compares two candidates, the better first; by key at last.
func (pl *plan) ranks(i, j int) int {
	a, b := pl.elig[i], pl.elig[j]
	return cmp.Or(
		cmp.Compare(b.Preference, a.Preference),
		cmp.Compare(pl.class(j, 0), pl.class(i, 0)),
		cmp.Compare(pl.rtt[i], pl.rtt[j]),
		cmp.Compare(i, j),
	)
}

// class is the score class of draft-ietf-cats-metric-definition: 2 high (8 to
// 10), 1 medium (4 to 7), 0 low. Without a score the utilisation gives one,
// without either it is medium.
func (pl *plan) class(i, bonus int) int {
	st := pl.elig[i]
	score := min(st.Score, 10)
	if score < 0 {
		if !st.metrics {
			return 1
		}
		score = int(math.Round(10 * (1 - min(pl.util[i], 1))))
	}
	switch score += bonus; {
	case score >= 8:
		return 2
	case score >= 4:
		return 1
	}
	return 0
}
