package selection

import (
	"slices"
	"time"
)

// A Kind names a selection policy.
type Kind string

const (
	Balanced      Kind = "balanced"      // damped split, anticipation, own open flows (default)
	Nearest       Kind = "nearest"       // lowest round trip: plain anycast
	LeastCost     Kind = "least-cost"    // lowest advertised cost; herds, see Policy.Warning
	Weighted      Kind = "weighted"      // by capacity × configured weight, blind to load
	Lexicographic Kind = "lexicographic" // preference, then score class, then round trip
	Static        Kind = "static"        // configured weights only
)

// A Policy is how one ingress selects for one service. The zero value is not
// usable: start from Default.
type Policy struct {
	Kind Kind

	// Constraints. A candidate that misses one is excluded, with the reason.
	MaxDelay time.Duration // round trip; 0: any
	MinScore int           // norm_fi, 0..10; 0: any; a candidate without a score passes
	Sites    []string      // names or locators; empty: all

	// Constants of the balanced policy.
	Tick       time.Duration // control interval; 0: max(0.5 s, min(update period, 2 s))
	Gain       float64       // 0 < Gain ≤ 1
	Omega      float64       // weight of waiting in the cost
	Penalty    float64       // B, of loading beyond Eta
	Eta        float64       // load up to which an instance may be filled
	Draws      int           // per new flow
	MinShare   float64       // shares below are 0
	RateWindow time.Duration // EWMA of the ingress's own flow rate

	NewInstanceHold    time.Duration // a new instance counts half its capacity so long
	DefaultSlots       int
	DefaultServiceTime time.Duration

	StaleAfter time.Duration // 0: the validity that came with the value
	OutAfter   time.Duration // 0: twice StaleAfter
}

// Default returns the balanced policy with the constants of the steering
// study.
func Default() Policy {
	return Policy{
		Kind: Balanced,
		Gain: 0.7, Omega: 0.5, Penalty: 64, Eta: 0.9, Draws: 3, MinShare: 1e-4,
		RateWindow: 5 * time.Second, NewInstanceHold: 10 * time.Second,
		DefaultSlots: 8, DefaultServiceTime: 40 * time.Millisecond,
	}
}

// Warning returns what an operator should know before using the policy, or "".
func (p Policy) Warning() string {
	if p.Kind == LeastCost {
		return "least-cost sends every new flow to the best advertised instance: " +
			"it herds and oscillates at every update rate; use balanced unless you are comparing"
	}
	return ""
}

// checked returns the policy with every field in its range; what is not becomes
// the default, or the nearest value that works.
func (p Policy) checked() Policy {
	d := Default()
	switch p.Kind {
	case Balanced, Nearest, LeastCost, Weighted, Lexicographic, Static:
	default:
		p.Kind = Balanced
	}
	p.Sites = slices.Clone(p.Sites)
	within := func(v *float64, lo, hi, def float64) {
		if !(*v >= 0) {
			*v = def
		}
		*v = min(max(*v, lo), hi)
	}
	if p.Gain == 0 {
		p.Gain = d.Gain
	}
	if p.Eta == 0 {
		p.Eta = d.Eta
	}
	within(&p.Gain, 1e-3, 1, d.Gain)
	within(&p.Omega, 1e-3, 1e3, d.Omega)
	within(&p.Penalty, 0, 1e6, d.Penalty)
	within(&p.Eta, 0.1, kneeLoad, d.Eta)
	within(&p.MinShare, 0, 0.1, d.MinShare)
	if p.Draws <= 0 {
		p.Draws = d.Draws
	}
	p.Draws = min(p.Draws, maxDraws)
	if p.DefaultSlots <= 0 {
		p.DefaultSlots = d.DefaultSlots
	}
	positive := func(v *time.Duration, def time.Duration) {
		if *v <= 0 {
			*v = def
		}
		*v = min(*v, maxSpan)
	}
	positive(&p.RateWindow, d.RateWindow)
	positive(&p.DefaultServiceTime, d.DefaultServiceTime)
	for _, v := range []*time.Duration{&p.MaxDelay, &p.Tick, &p.NewInstanceHold, &p.StaleAfter, &p.OutAfter} {
		*v = min(max(*v, 0), maxSpan)
	}
	if p.Tick > 0 {
		p.Tick = min(max(p.Tick, 10*time.Millisecond), time.Hour)
	}
	p.MinScore = min(max(p.MinScore, 0), 10)
	return p
}
