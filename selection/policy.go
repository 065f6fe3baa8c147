package selection

import "time"

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
