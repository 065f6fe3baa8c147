package selection

import "fmt"

// A Reason is a stable word for why a target has its share, or a candidate
// none.
type Reason string

// Why a candidate takes flows.
const (
	EqualCost Reason = "equal-marginal-cost" // balanced: one more flow costs the same at all of these
	Closest   Reason = "nearest"
	Cheapest  Reason = "least-cost"
	ByWeight  Reason = "by-weight"
	Preferred Reason = "preferred"
	Leaving   Reason = "leaving" // balanced: still has a share, which goes down to 0
	Kept      Reason = "kept"    // another is better, but not by enough to move
)

// Why an eligible candidate takes none.
const (
	TooDear         Reason = "too-dear"            // balanced: its cost is above the price even with none of our flows
	BelowMinimum    Reason = "share-below-minimum" // takes only flows that others have no room for
	Farther         Reason = "farther"             // nearest, measured network
	Costlier        Reason = "costlier"            // least-cost
	LowerPreference Reason = "lower-preference"    // lexicographic
	LowerScore      Reason = "lower-score-class"   // lexicographic
	NoWeight        Reason = "no-weight"           // weighted, static
)

// Why a candidate is not eligible.
const (
	Draining       Reason = "draining"
	Unreachable    Reason = "unreachable"
	TooFar         Reason = "too-far"
	LowScore       Reason = "low-score"
	SiteNotAllowed Reason = "site-not-allowed"
	Stale          Reason = "stale"
	NoMetrics      Reason = "no-metrics" // and others have them
	Superseded     Reason = "superseded" // an aggregate of a site whose instances are known
	Unmeasured     Reason = "unmeasured" // there are no metrics, and no round trip either
	BadSignature   Reason = "signature"
	Distrusted     Reason = "distrusted"
	Ineligible     Reason = "ineligible" // the caller's reason is in the detail
	Withdrawn      Reason = "withdrawn"  // of a Change only
)

// barred turns the caller's reason into one of ours.
func barred(why string) Reason {
	switch r := Reason(why); r {
	case BadSignature, Distrusted, Stale, Unreachable, Draining:
		return r
	}
	return Ineligible
}

// A Rung is a step of the failure ladder: what a split rests on.
type Rung uint8

const (
	RungFresh      Rung = iota // metrics of instances
	RungAged                   // metrics of instances, all past their validity and discounted
	RungAggregates             // metrics of sites
	RungMeasured               // round trips only
	RungAnycast                // nothing: packets follow the anycast route
)

var rungs = [...]struct{ name, reason string }{
	RungFresh:      {"fresh", "instances with metrics in their validity"},
	RungAged:       {"aged", "no usable instance has metrics that are fresh and trusted; they count as loaded to 90 % at least"},
	RungAggregates: {"aggregates", "no usable instance; sites as a whole"},
	RungMeasured:   {"measured", "no usable metrics; the nearest site by round trip"},
	RungAnycast:    {"anycast", "no usable candidate; packets follow the anycast route"},
}

// String returns "fresh", "aged", "aggregates", "measured" or "anycast".
func (r Rung) String() string {
	if int(r) < len(rungs) {
		return rungs[r].name
	}
	return fmt.Sprintf("rung(%d)", uint8(r))
}

// Explain returns a sentence on what the rung means.
func (r Rung) Explain() string {
	if int(r) < len(rungs) {
		return rungs[r].reason
	}
	return ""
}

// MarshalText implements encoding.TextMarshaler.
func (r Rung) MarshalText() ([]byte, error) { return []byte(r.String()), nil }
