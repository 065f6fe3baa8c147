package selection

import (
	"slices"
	"time"
)

// A plan is the working space of a decision: the eligible candidates, and what
// to do with each. The slices are parallel.
type plan struct {
	rung   Rung
	edge   time.Time // when the next candidate gets stale or ends its hold
	chosen bool      // the policy found candidates to take

	elig   []*state
	rtt    []float64 // s, as used
	cap    []float64 // flows/s, as advertised or assumed
	room   []float64 // flows/s, as counted: half while new
	util   []float64 // as used
	want   []float64 // p*
	why    []Reason  // of want
	basins []basin   // policy balanced on metrics only
	slope  []float64 // L, likewise

	demand  float64 // Λ
	ownRate float64 // Λ_i
	assumed bool    // no capacity is known: capacities are not in flows/s
	price   float64 // λ
}

// balanced reports that the shares come from equal marginal costs.
func (pl *plan) balanced() bool { return len(pl.basins) > 0 }

// Decide returns the split as of now. It moves the shares of the policy
// balanced at control ticks only, except for the flows of candidates that are
// out, which go elsewhere at once; so it may be called after every event. When
// nothing came in and nothing is due it returns the split it returned last.
func (s *Service) Decide(now time.Time) *Split {
	back := now.Before(s.lastAt) // a clock that went back must not stop the ticks
	if s.split != nil && !s.dirty && !back {
		if due := s.Due(); due.IsZero() || now.Before(due) {
			return s.split
		}
	}
	tick := s.nextTick.IsZero() || !now.Before(s.nextTick) || back
	for _, st := range s.list {
		st.remember(now, &s.fade)
	}
	cold := s.cold(now)
	if tick && !cold {
		for _, st := range s.list {
			st.hush(now)
		}
	}
	pl := &s.curves.plan
	s.draft(pl, now, cold)
	s.price = pl.price
	s.move(pl, tick, cold)
	if tick {
		s.schedule(now)
	}
	s.edge, s.urgent, s.dirty, s.lastAt = pl.edge, time.Time{}, false, now
	sp := s.publish(pl, now)
	s.split = sp.Settled()
	return sp
}

// cold reports that there is no split in force to start from, or only one made
// while candidates were still coming in.
func (s *Service) cold(now time.Time) bool {
	if age := now.Sub(s.started); age >= 0 && age < startGrace {
		return true
	}
	return !slices.ContainsFunc(s.list, func(st *state) bool { return st.share > 0 })
}

// draft finds the shares wanted now, p*. It changes nothing that a later
// decision depends on, but for pref when cold.
func (s *Service) draft(pl *plan, now time.Time, cold bool) {
	s.judge(pl, now)
	n := len(pl.elig)
	pl.rtt, pl.cap, pl.room = resize(pl.rtt, n), resize(pl.cap, n), resize(pl.room, n)
	pl.util, pl.want, pl.why = resize(pl.util, n), resize(pl.want, n), resize(pl.why, n)
	pl.basins, pl.slope = pl.basins[:0], pl.slope[:0]
	clear(pl.want)
	clear(pl.why)
	pl.price = s.price
	s.supply(pl, now)
	s.distance(pl)
	s.demand(pl)
	if cold {
		pl.coldStart()
	}
	pl.chosen = n > 0 && s.choose(pl, now)
	if !pl.chosen {
		pl.rung = RungAnycast
	}
}

// resize returns a slice of length n, s itself if it is large enough. What it
// holds is undefined.
func resize[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n, n+n/2)
	}
	return s[:n]
}

// supply sets the capacity and the load of each eligible candidate. An unknown
// capacity is the mean of the known ones of its level, or one constant for all.
func (s *Service) supply(pl *plan, now time.Time) {
	var sum, count [2]float64
	for _, st := range s.list {
		if st.metrics && st.capacity > 0 && st.Ineligible == "" {
			sum[st.size()] += st.capacity
			count[st.size()]++
		}
	}
	pl.assumed = count[0]+count[1] == 0
	constant := float64(s.policy.DefaultSlots) / s.policy.DefaultServiceTime.Seconds()
	for i, st := range pl.elig {
		c := st.capacity
		if l := st.size(); c == 0 && count[l] > 0 {
			c = sum[l] / count[l]
		} else if c == 0 {
			c = constant
		}
		pl.cap[i], pl.room[i], pl.util[i] = c, c, st.util
		if now.Before(st.halfTill) {
			pl.room[i] = c / 2
		}
		if st.aged && st.metrics {
			pl.util[i] = max(st.util, agedUtilisation)
		}
	}
}

// size is 1 for what stands for many instances, else 0.
func (st *state) size() int {
	if st.Level == LevelAggregate {
		return 1
	}
	return 0
}

// distance sets the round trips. Where none is measured the network is left
// out of account; where some are, the others are taken to be somewhat farther
// than the farthest: not preferred for being unknown, not shut out either.
func (s *Service) distance(pl *plan) {
	worst, some := time.Duration(0), false
	for _, st := range pl.elig {
		if rtt, known := st.path.rtt(); known {
			worst, some = max(worst, rtt), true
		}
	}
	assumed := 0.0
	if some {
		assumed = 1.25*worst.Seconds() + 1e-3
	}
	for i, st := range pl.elig {
		pl.rtt[i] = assumed
		if rtt, known := st.path.rtt(); known {
			pl.rtt[i] = rtt.Seconds()
		}
	}
}

// demand estimates Λ and Λ_i. What a draining or unreachable instance still
// serves is part of the demand: it is about to come to the others.
func (s *Service) demand(pl *plan) {
	pl.demand, pl.ownRate = 0, 0
	for i, st := range pl.elig {
		pl.demand += st.util * pl.cap[i]
	}
	for _, st := range s.list {
		pl.ownRate += st.own.perSecond()
		if st.metrics && (st.reason == Draining || st.reason == Unreachable) {
			pl.demand += st.util * st.capacity
		}
	}
	if !pl.assumed {
		pl.demand = max(pl.demand, pl.ownRate)
	}
}

// coldStart takes our part in the load of each candidate, of which nothing is
// known yet, to be as everyone's.
func (pl *plan) coldStart() {
	load := 0.0
	for i, st := range pl.elig {
		load += st.util * pl.cap[i]
	}
	for i, st := range pl.elig {
		st.pref = 0
		if load > 0 {
			st.pref = st.util * pl.cap[i] / load
		}
	}
}

// move brings the shares in force towards the wanted ones.
func (s *Service) move(pl *plan, tick, cold bool) {
	for _, st := range s.list {
		if st.reason != "" || !pl.chosen {
			st.share = 0
		}
	}
	if !pl.chosen {
		return
	}
	gain, orphaned := 1.0, 1.0
	if pl.balanced() && !cold {
		// The flows of those who are out do not wait for the tick.
		for _, st := range pl.elig {
			orphaned -= st.share
		}
		orphaned, gain = max(orphaned, 0), 0
		if tick {
			gain = s.policy.Gain
		}
	}
	for i, st := range pl.elig {
		st.share += orphaned * pl.want[i]
		st.share += gain * (pl.want[i] - st.share)
	}
	cut(pl.elig, s.policy.MinShare)
	if cold {
		for _, st := range pl.elig {
			st.avg = st.share
		}
	}
}

// cut drops shares below least, but never the largest, and makes the rest sum
// to 1.
func cut(list []*state, least float64) {
	largest := list[0]
	for _, st := range list {
		if st.share > largest.share {
			largest = st
		}
	}
	sum := 0.0
	for _, st := range list {
		if st.share < least && st != largest {
			st.share = 0
		}
		sum += st.share
	}
	for _, st := range list {
		st.share /= sum
	}
}
