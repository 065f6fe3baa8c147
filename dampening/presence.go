package dampening

import (
	"math"
	"time"
)

// A presence is the figure of merit of RFC 2439 for one instance's coming and
// going. What an instance says while it is there does not count: penalties
// punish change, not error.
type presence struct {
	penalty float64
	at      instant // of penalty
	release instant // held down until then
	known   bool    // it has appeared before; the first time is free
	reuse   bool    // held down since it was last said
}

func (p *presence) suppressed(now instant) bool { return now < p.release }

// flap counts an appearance or a disappearance.
func (p *presence) flap(now instant, r *rules) {
	if !p.known {
		p.known = true
		return
	}
	held := p.suppressed(now)
	p.penalty = min(p.value(now, r)+r.PresencePenalty, r.presenceCeiling)
	p.at, p.reuse = now, held
	if held || r.PresencePenalty > 0 && p.penalty >= r.PresenceSuppress {
		p.hold(now, r)
	}
}

// hold fixes the release time, once, so that "is it due?" compares times and
// never floats.
func (p *presence) hold(now instant, r *rules) {
	d := decayTime(p.penalty, r.PresenceReuse, r.PresenceHalfLife)
	p.release = now + min(d, r.PresenceMaxSuppress)
	p.reuse = true
}

func (p *presence) value(now instant, r *rules) float64 {
	return decay(p.penalty, now-p.at, r.PresenceHalfLife)
}

// reload takes over new rules. What has decayed has decayed by the old ones.
func (p *presence) reload(now instant, from, to *rules) {
	p.penalty = min(p.value(now, from), to.presenceCeiling)
	p.at = now
	if p.suppressed(now) {
		p.hold(now, to)
	}
}

// forgotten returns when the penalty is not worth remembering: below half of
// reuse (RFC 2439).
func (p *presence) forgotten(r *rules) instant {
	return p.at + decayTime(p.penalty, r.PresenceReuse/2, r.PresenceHalfLife)
}

func decay(penalty float64, d, halfLife time.Duration) float64 {
	if penalty == 0 || d <= 0 {
		return penalty
	}
	return penalty * math.Exp2(-float64(d)/float64(halfLife))
}

// decayTime returns how long penalty takes to decay to at most floor.
func decayTime(penalty, floor float64, halfLife time.Duration) time.Duration {
	if !(penalty > floor) {
		return 0
	}
	return clampDuration(math.Ceil(math.Log2(penalty/floor)*float64(halfLife)), 0, maxStep)
}
