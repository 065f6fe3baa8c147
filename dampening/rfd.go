package dampening

import (
	"fmt"
	"math"
	"time"
)

// The increments of RFC 7196 Table 1, for each event the worse of Cisco and
// Juniper (Cisco does not count a re-advertisement).
const (
	rfdWithdrawal      = 1000
	rfdReadvertisement = 1000
	rfdAttributeChange = 500

	rfdCeiling  = 50_000           // RFC 7196: at least this
	rfdHalfLife = 15 * time.Minute // the default of both
	rfdForget   = 375              // half of their reuse threshold: routers forget there
)

// rfdMargin of the suppress threshold is all we use: routers decay in steps of
// seconds, and what one hears from two of us, or again after a session reset,
// is not in our estimate.
const rfdMargin = 0.9

// String returns the word the configuration uses.
func (m RFDMode) String() string {
	switch m {
	case RFDOff:
		return "off"
	case RFDWarn:
		return "warn"
	case RFDEnforce:
		return "enforce"
	}
	return fmt.Sprintf("rfd-mode(%d)", uint8(m))
}

// Validate reports the first value that makes no sense.
func (b RFDBudget) Validate() error {
	switch {
	case b.Peer == "":
		return fmt.Errorf("dampening: rfd budget without a peer")
	case b.Mode > RFDEnforce:
		return fmt.Errorf("dampening: peer %q: rfd_budget %v is unknown", b.Peer, b.Mode)
	case b.Mode == RFDOff:
		return nil
	case !(b.Suppress >= rfdWithdrawal && b.Suppress <= rfdCeiling):
		return fmt.Errorf("dampening: peer %q: rfd_suppress %v must be %d to %d", b.Peer, b.Suppress, rfdWithdrawal, rfdCeiling)
	case b.HalfLife < 0 || b.HalfLife > maxDuration:
		return fmt.Errorf("dampening: peer %q: rfd half-life %v must be 0s (15m) to %v", b.Peer, b.HalfLife, maxDuration)
	}
	return nil
}

// limit is the estimate that a metric update must stay below.
func (b RFDBudget) limit() float64 { return rfdMargin * b.Suppress }

// interval returns how far apart attribute changes must be so that alone they
// never reach the limit: the smallest T with 500/(1-2^(-T/half-life)) <= limit.
func (b RFDBudget) interval() time.Duration {
	if !(b.limit() > rfdAttributeChange) {
		return maxDuration // no interval is long enough
	}
	return min(decayTime(b.limit(), b.limit()-rfdAttributeChange, b.HalfLife), maxDuration)
}

// wait returns how long an attribute change must wait at this estimate.
func (b RFDBudget) wait(estimate float64) time.Duration {
	if estimate+rfdAttributeChange < b.limit() {
		return 0
	}
	if !(b.limit() > rfdAttributeChange) {
		return maxDuration
	}
	// At the very boundary the estimate is still not below it, and floats do
	// not say which side it is on.
	return decayTime(estimate, b.limit()-rfdAttributeChange, b.HalfLife) + time.Millisecond
}

// normalize fills in defaults; only what Validate refuses is changed otherwise.
func (b RFDBudget) normalize() RFDBudget {
	if b.HalfLife <= 0 {
		b.HalfLife = rfdHalfLife
	}
	b.HalfLife = min(b.HalfLife, maxStep)
	if !(b.Suppress > 0) {
		b.Suppress = rfdCeiling
	}
	return b
}

// estimates are the penalties of one instance at each peer with a budget, in
// the order of Table.budgets. Nil: all are 0.
type estimates struct {
	penalty []float64
	at      instant
}

func (s *estimates) add(now instant, budgets []RFDBudget, increment float64) {
	if s.penalty == nil && len(budgets) > 0 {
		s.penalty = make([]float64, len(budgets))
	}
	for i, b := range budgets {
		s.penalty[i] = min(decay(s.penalty[i], now-s.at, b.HalfLife)+increment, rfdCeiling)
	}
	s.at = now
}

func (s *estimates) value(now instant, b RFDBudget, i int) float64 {
	if s.penalty == nil {
		return 0
	}
	return decay(s.penalty[i], now-s.at, b.HalfLife)
}

// wait returns how long an attribute change must wait for every enforced peer.
func (s *estimates) wait(now instant, budgets []RFDBudget) time.Duration {
	var d time.Duration
	for i, b := range budgets {
		if b.Mode == RFDEnforce {
			d = max(d, b.wait(s.value(now, b, i)))
		}
	}
	return d
}

// forgotten returns when every peer has forgotten the instance.
func (s *estimates) forgotten(budgets []RFDBudget) instant {
	var d time.Duration
	for i, penalty := range s.penalty {
		d = max(d, decayTime(penalty, rfdForget, budgets[i].HalfLife))
	}
	return s.at + d
}

// convert takes over new budgets; a peer keeps its estimate by name.
func (s *estimates) convert(now instant, from, to []RFDBudget) {
	if s.penalty == nil {
		return
	}
	penalty := make([]float64, len(to))
	for i, b := range to {
		for j, old := range from {
			if old.Peer == b.Peer {
				penalty[i] = s.value(now, old, j)
			}
		}
	}
	s.penalty, s.at = penalty, now
}

// inForce returns refresh and validity under these budgets. A refresh may come
// 10 % early, so the interval is stretched by that.
func inForce(refresh, validity time.Duration, budgets []RFDBudget) (_, _ time.Duration) {
	for _, b := range budgets {
		if b.Mode == RFDEnforce {
			refresh = max(refresh, time.Duration(math.Ceil(float64(b.interval())/(1-refreshJitter))))
			validity = max(validity, 3*refresh)
		}
	}
	return refresh, validity
}
