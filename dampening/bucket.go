package dampening

import (
	"math"
	"time"
)

// A rate is what fills a bucket: a token every so often, until it has run for
// span. It always holds at least one token.
type rate struct {
	every time.Duration // one token
	span  time.Duration // empty to full: burst × every
}

// newRate returns the rate of n tokens each per, with room for burst of them.
// Nonsense becomes the nearest sense.
func newRate(n float64, per time.Duration, burst float64) rate {
	every := clampDuration(float64(per)/n, time.Nanosecond, maxStep)
	if !(n > 0) {
		every = maxStep
	}
	span := clampDuration(math.Max(burst, 1)*float64(every), every, 12*maxStep)
	return rate{every, span}
}

// A bucket is a token bucket kept as a time instead of a count (the generic
// cell rate algorithm), so that "is there a token?" compares times and never
// floats. The zero bucket is full.
type bucket struct {
	full instant // when it will be full again, if nothing is taken
}

// ready returns when there is a token; in the past: since then.
func (b bucket) ready(r rate) instant {
	return b.full - (r.span - r.every)
}

// take removes a token, or what there is of one.
func (b *bucket) take(now instant, r rate) {
	b.full = min(max(b.full, now)+r.every, now+r.span)
}

func (b bucket) tokens(now instant, r rate) float64 {
	return float64(r.span-max(0, b.full-now)) / float64(r.every)
}

// convert keeps the tokens taken when the rate changes.
func (b *bucket) convert(now instant, from, to rate) {
	taken := float64(max(0, b.full-now)) / float64(from.every)
	b.full = now + clampDuration(taken*float64(to.every), 0, to.span)
}

// clampDuration converts nanoseconds; NaN becomes lo.
func clampDuration(ns float64, lo, hi time.Duration) time.Duration {
	switch {
	case !(ns > float64(lo)):
		return lo
	case ns >= float64(hi):
		return hi
	}
	return time.Duration(ns)
}
