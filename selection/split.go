package selection

import (
	"fmt"
	"math"
	"time"

	"github.com/catsbgp/catsbgp/advert"
)

// A Split says how an ingress spreads the new flows of one service. It is
// immutable: it may be handed to other goroutines.
type Split struct {
	Service advert.CSID
	Version uint64 // grows with every split of the service
	At      time.Time
	Policy  Kind
	Rung    Rung

	// Targets are ordered by key. Their shares sum to 1; without targets,
	// packets follow the anycast route. Under the policy balanced, healthy
	// candidates with a share of 0 are among them: they take flows that the
	// others have no room for.
	Targets  []Target
	Excluded []Exclusion // ordered by key
	Draws    int         // per new flow; the least loaded of these by own open flows is taken

	// Lambda is λ, the marginal cost that the split moves to; 0 unless balanced.
	Lambda  time.Duration
	Demand  float64 // Λ, flows/s at all sites together
	OwnRate float64 // Λ_i, flows/s of this ingress

	// Stretch is by how much the ingress's flows outlive a round trip and a
	// service time, where that is far more: quotas are for open flows, so they
	// are that much larger. 1 for requests.
	Stretch float64

	Moved   float64  // part of the flows that goes elsewhere than under the last split, 0..1
	Changes []Change // what an operator should hear about
}

// Settled returns the split without its Changes, for whoever keeps it: the
// first ones of a large service are as large as the rest.
func (sp *Split) Settled() *Split {
	if len(sp.Changes) == 0 {
		return sp
	}
	c := *sp
	c.Changes = nil
	return &c
}

// A Target is a candidate that new flows may go to.
type Target struct {
	Key    advert.InstanceKey
	Site   string
	Level  Level
	Share  float64 // p, 0..1
	Wanted float64 // p*, which Share moves to
	// Quota is how many open flows of this ingress the target should have at
	// most; ≥ 1, or 0: no quota.
	Quota    float64
	Capacity float64 // flows/s as counted: assumed if unknown, half if new
	Aged     bool    // its metrics are past their validity
	Terms    Terms
	Reason   Reason
}

// Terms are what a target's cost is made of, at the anticipated load for the
// policy balanced, at the advertised load for the others.
type Terms struct {
	RTT     time.Duration
	Service time.Duration // s
	Wait    time.Duration // ω(W + u·W′)
	Penalty time.Duration // B·s·(max(0,u-η)/(1-η))²
	Cost    time.Duration // φ, the sum

	RTTKnown    bool    // false: RTT is assumed
	Utilisation float64 // u as used
	Anticipated float64 // û, with the share in force; < 0: others are expected to leave more room than there is
	Pref        float64 // share that this ingress had when u was measured
	Slope       float64 // L, flows/s that shift in the whole domain per unit of share
	Open        int     // own open flows
	Rate        float64 // x, own new flows/s
	Loss        float64 // measured, 0..1; for display, not part of the cost
}

// An Exclusion is a candidate without a part in the split.
type Exclusion struct {
	Key    advert.InstanceKey
	Site   string
	Reason Reason
	Detail string // as of when the reason arose
}

// Largest returns the index of the target with the largest share, the first of
// equals; -1 without targets.
func (sp *Split) Largest() int {
	best := -1
	for i := range sp.Targets {
		if best < 0 || sp.Targets[i].Share > sp.Targets[best].Share {
			best = i
		}
	}
	return best
}

// A ChangeKind is the kind of a Change.
type ChangeKind string

const (
	RungChanged  ChangeKind = "rung"
	TargetJoined ChangeKind = "joined" // takes flows now
	TargetLeft   ChangeKind = "left"   // takes none any more
	ShareMoved   ChangeKind = "share"  // by a twentieth of all flows or more since last told
)

// toldShare is what a share has to move by to be worth a Change.
const toldShare = 0.05

// A Change is what happened between two splits.
type Change struct {
	Kind     ChangeKind
	Key      advert.InstanceKey // zero for RungChanged
	Site     string
	From, To float64 // shares
	FromRung Rung    // for RungChanged
	ToRung   Rung
	Reason   Reason
	Detail   string
}

// String returns the change as a sentence.
func (c Change) String() string {
	who := func() string { return fmt.Sprintf("%s at %s", c.Key.ID, c.Site) }
	why := func() string {
		if c.Detail != "" {
			return fmt.Sprintf("%s: %s", c.Reason, c.Detail)
		}
		return string(c.Reason)
	}
	switch c.Kind {
	case RungChanged:
		return fmt.Sprintf("%s → %s: %s", c.FromRung, c.ToRung, c.ToRung.Explain())
	case TargetJoined:
		return fmt.Sprintf("%s takes flows, %.1f %% (%s)", who(), 100*c.To, why())
	case TargetLeft:
		return fmt.Sprintf("%s takes no more flows (%s)", who(), why())
	}
	return fmt.Sprintf("%s: %.1f %% → %.1f %% of the flows", who(), 100*c.From, 100*c.To)
}

// seconds turns seconds into a duration, saturating.
func seconds(s float64) time.Duration {
	ns := s * 1e9
	switch {
	case ns >= math.MaxInt64:
		return math.MaxInt64
	case ns <= math.MinInt64:
		return math.MinInt64
	}
	return time.Duration(ns)
}
