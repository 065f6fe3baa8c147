package collect

import "time"

// A checkState turns single probe results into "up" and "down".
//
//	unknown ── first result ──► up or down
//	up      ── fall failures in a row ───► down
//	down    ── rise successes in a row ──► up
//
// The first result decides at once: an agent that restarts beside a healthy
// service must not hold its announcement back for rise intervals, and before
// the first result nothing was announced that a failure could take away.
//
// While results contradict the state, the next probe comes after the fast
// interval, so that a change takes rise or fall fast intervals and a quiet
// service is not bothered.
type checkState struct {
	rise, fall     int           // >= 1
	interval, fast time.Duration // 0 < fast <= interval

	known, up bool
	against   int // results in a row that contradict up
}

// step takes the result of the probe that started at now. It reports whether
// the state changed (becoming known is a change), and when the next probe is
// due: counted from the start of this one, so that slow answers do not stretch
// the interval.
func (s *checkState) step(now time.Time, ok bool) (changed bool, next time.Time) {
	switch {
	case !s.known:
		s.known, s.up = true, ok
		changed = true
	case ok == s.up:
		s.against = 0
	default:
		s.against++
		if s.against >= s.needed() {
			s.up, s.against = ok, 0
			changed = true
		}
	}
	if s.against > 0 {
		return changed, now.Add(s.fast)
	}
	return changed, now.Add(s.interval)
}

// needed is how many results in a row overturn the present state.
func (s *checkState) needed() int {
	if s.up {
		return s.fall
	}
	return s.rise
}
