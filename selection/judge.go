package selection

import (
	"fmt"
	"time"

	"github.com/catsbgp/catsbgp/advert"
)

// judge decides who is eligible, and on which rung.
func (s *Service) judge(pl *plan, now time.Time) {
	pl.edge = time.Time{}
	for _, st := range s.list {
		st.reason, st.aged = s.bar(st, now), false
		if st.metrics && !st.staleAt.IsZero() && !now.Before(st.staleAt) {
			st.aged = true
		}
		if st.Flags&advert.Anomalous != 0 {
			st.aged = true // the site itself does not trust the value
		}
		for _, t := range [...]time.Time{st.staleAt, st.outAt, st.halfTill} {
			if now.Before(t) {
				pl.edge = earlier(pl.edge, t)
			}
		}
	}
	s.supersede()
	s.climb(pl)
}

// bar returns why a candidate is not eligible, looking at nothing but itself.
func (s *Service) bar(st *state, now time.Time) Reason {
	p := &s.policy
	rtt, known := st.path.rtt()
	switch {
	case st.Ineligible != "":
		return barred(st.Ineligible)
	case !st.siteOK:
		return SiteNotAllowed
	case st.Flags&advert.Drain != 0:
		return Draining
	case st.path.unreachable():
		return Unreachable
	case p.MaxDelay > 0 && known && rtt > p.MaxDelay:
		return TooFar
	case st.metrics && !st.outAt.IsZero() && !now.Before(st.outAt):
		return Stale
	case st.Score >= 0 && st.Score < p.MinScore:
		return LowScore
	}
	return ""
}

// supersede bars the aggregates of sites whose instances speak for themselves,
// whatever they say, and a site's anycast route where all who speak for the
// site are out: a site that drains is not to be had by its other route. Those
// who are stale, without metrics or not believed do not speak.
func (s *Service) supersede() {
	for lo := 0; lo < len(s.list); {
		hi, instances, mute := lo, false, false
		why, open := Reason(""), false
		for ; hi < len(s.list) && s.list[hi].Key.Egress == s.list[lo].Key.Egress; hi++ {
			st := s.list[hi]
			mute = mute || !st.metrics && st.Level != LevelSite && st.reason == ""
			if !st.metrics || st.Ineligible != "" || st.reason == Stale {
				continue
			}
			instances = instances || st.Level == LevelInstance
			if st.reason == "" {
				open = true
			} else if why == "" {
				why = st.reason
			}
		}
		for _, st := range s.list[lo:hi] {
			switch {
			case st.reason != "":
			case st.Level == LevelAggregate && instances:
				st.reason = Superseded
			case st.Level == LevelSite && mute:
				st.reason = Superseded
			case st.Level == LevelSite && !open:
				st.reason = why
			}
		}
		lo = hi
	}
}

// climb finds the highest rung that has candidates, and collects them.
func (s *Service) climb(pl *plan) {
	pl.elig = pl.elig[:0]
	var fresh, aged, aggregates, bare bool
	for _, st := range s.list {
		switch {
		case st.reason != "":
		case !st.metrics:
			bare = true
		case st.Level == LevelAggregate:
			aggregates = true
		case st.aged:
			aged = true
		default:
			fresh = true
		}
	}
	switch {
	case fresh:
		pl.rung = RungFresh
	case aged:
		pl.rung = RungAged
	case aggregates:
		pl.rung = RungAggregates
	case bare:
		pl.rung = RungMeasured
	default:
		pl.rung = RungAnycast
	}
	for _, st := range s.list {
		if st.reason == "" && !st.metrics && pl.rung < RungMeasured {
			st.reason = NoMetrics
		}
		if st.reason == "" {
			pl.elig = append(pl.elig, st)
		}
	}
}

// detail says what is behind the reason a candidate is not eligible.
func (s *Service) detail(st *state, now time.Time) string {
	switch st.reason {
	case Ineligible:
		return st.Ineligible
	case Stale:
		return fmt.Sprintf("metrics are %s old, used for %s at most",
			round(now.Sub(st.Heard)+st.Age), round(st.outAt.Sub(st.Heard)+st.Age))
	case TooFar:
		rtt, _ := st.path.rtt()
		return fmt.Sprintf("round trip %s, allowed %s", round(rtt), round(s.policy.MaxDelay))
	case LowScore:
		return fmt.Sprintf("score %d, wanted %d", st.Score, s.policy.MinScore)
	case Unreachable:
		return fmt.Sprintf("no answer from %s any more", st.Key.Egress)
	case Draining:
		return "the site asks for no new flows"
	case NoMetrics:
		return "others have metrics"
	case Superseded:
		return "the site's instances are known one by one"
	case Unmeasured:
		return "neither metrics nor a round trip"
	}
	return ""
}

// round cuts a duration to what is worth reading.
func round(d time.Duration) time.Duration {
	switch {
	case d >= 10*time.Second:
		return d.Round(time.Second)
	case d >= 10*time.Millisecond:
		return d.Round(time.Millisecond)
	}
	return d.Round(10 * time.Microsecond)
}
