package collect

import "time"

// A window is the recent course of one value: a step function, of which the
// time-weighted mean is taken. Times are durations on the accumulator's own
// clock, which never runs backwards.
//
// However often the value changes, a window holds a bounded number of
// segments: neighbours that together last less than 1/windowSegments of the
// window are merged into their mean, which leaves the integral as it is.
type window struct {
	segments []segment // in order of time; the last is open and holds the current value
}

type segment struct {
	from time.Duration
	mean float64 // of the value from here to the next segment
}

const windowSegments = 64

// set says that the value is v from now on.
func (w *window) set(now, size time.Duration, v float64) {
	w.prune(now - size)
	n := len(w.segments)
	switch {
	case n > 0 && w.segments[n-1].mean == v:
		return
	case n > 0 && w.segments[n-1].from >= now:
		w.segments[n-1].mean = v
		return
	}
	w.segments = append(w.segments, segment{now, v})
	if n < 2 {
		return
	}
	// s[n-2] and s[n-1] are the two that closed last, s[n] is open.
	s := w.segments
	if whole := now - s[n-2].from; whole < size/windowSegments {
		first := float64(s[n-1].from - s[n-2].from)
		second := float64(now - s[n-1].from)
		s[n-2].mean = (s[n-2].mean*first + s[n-1].mean*second) / (first + second)
		s[n-1] = s[n]
		w.segments = s[:n]
	}
}

// mean is the time-weighted mean of the last size, or of as much of it as is
// known; the current value if that is no time at all.
func (w *window) mean(now, size time.Duration) float64 {
	current := w.segments[len(w.segments)-1].mean
	if w.settled(now, size) {
		return current // exactly
	}
	var sum, total float64
	for i, s := range w.segments {
		end := now
		if i+1 < len(w.segments) {
			end = w.segments[i+1].from
		}
		if lasted := end - max(s.from, now-size); lasted > 0 {
			sum += s.mean * lasted.Seconds()
			total += lasted.Seconds()
		}
	}
	if total == 0 {
		return current
	}
	return sum / total
}

// settled reports whether the mean stays as it is without a new value.
func (w *window) settled(now, size time.Duration) bool {
	n := len(w.segments)
	return n < 2 || w.segments[n-1].from <= now-size
}

// prune forgets segments that ended before since.
func (w *window) prune(since time.Duration) {
	k := 0
	for k+1 < len(w.segments) && w.segments[k+1].from <= since {
		k++
	}
	w.segments = append(w.segments[:0], w.segments[k:]...)
}
