package dampening

import (
	"math"
	"time"
)

// MaxLevel is the greatest level a gate believes: a hundred times the capacity.
// One absurd sample must not outweigh the next minute's good ones.
const MaxLevel = 100

// deltaSlack absorbs binary fractions: 0.5 to 0.6 is a change of 0.10.
const deltaSlack = 1e-9

// A smoother is an EWMA over unevenly spaced samples.
type smoother struct {
	level float64
	at    instant
	warm  bool // false: the next sample counts whole
}

// add takes a sample. NaN is no sample; others are clamped to 0..MaxLevel. Of
// two samples at one instant the later weighs nothing, unless tau is 0.
func (s *smoother) add(now instant, x float64, tau time.Duration) {
	if math.IsNaN(x) {
		return
	}
	x = min(max(x, 0), MaxLevel)
	weight := 1.0
	if s.warm && tau > 0 {
		weight = -math.Expm1(-float64(now-s.at) / float64(tau))
	}
	s.level += weight * (x - s.level)
	if weight > 0 && math.Abs(x-s.level) < settled {
		s.level = x
	}
	s.at, s.warm = now, true
}

// settled is how close to the samples a level must be to count as there. An
// average alone never arrives, and so never crosses a threshold that samples
// stand on: those of a site whose source is silent are 0.9, which is also High.
const settled = 0.005

// crossed applies the hysteresis: above High only Low matters, and the other
// way round.
func crossed(above bool, level, high, low float64) (nowAbove bool) {
	if above {
		return level > low
	}
	return level >= high
}
