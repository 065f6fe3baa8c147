package collect

import (
	"fmt"
	"time"
)

// A State is whether an instance can serve, as far as this site knows.
type State uint8

const (
	Unknown State = iota // nothing was heard yet; say nothing
	Up
	Down
)

// String returns "unknown", "up" or "down".
func (s State) String() string {
	switch s {
	case Unknown:
		return "unknown"
	case Up:
		return "up"
	case Down:
		return "down"
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// MarshalText returns the same as String.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// An L0 is the raw metrics of an instance that have a meaning of their own
// (draft-ietf-cats-metric-definition, level 0), as of now, not smoothed.
type L0 struct {
	Utilisation Value // offered load / capacity, may exceed 1
	InFlight    Value // requests
	Capacity    Value // flows/s
	Slots       Value // requests served in parallel
	ServiceTime Value // s, without waiting
	Delay       Value // s, predicted service delay; only if a source delivers it
	FlowRate    Value // flows/s offered
}

// An L1 is the score of each category (level 1), over the measurement window.
type L1 struct {
	Computing     Score // computing_comb
	Communication Score // communication_comb
	Service       Score // service_comb
}

// A Report is what is known of one instance, or of several together.
type Report struct {
	State  State
	Reason string // why not up, or up with doubts; "" otherwise. Free of ages, so that it only changes with the facts
	L0
	L1
	NormFI Score         // norm_fi (level 2)
	Window time.Duration // measurement window of L1 and NormFI

	// Degraded: a source is silent, and the utilisation said is a careful
	// guess, at least 0.9.
	Degraded bool
	// Anomalous: a source said something that cannot be true, which was
	// refused, or something hard to believe, which was not.
	Anomalous bool

	Sources []SourceStatus     // in configured order; nil in an aggregate
	Checks  []CheckStatus      // likewise
	Raw     map[string]float64 // last value in force of each name, for display
}

// A SourceStatus is how a source is doing.
type SourceStatus struct {
	Name       string
	Type       SourceType
	Answered   bool          // ever
	Age        time.Duration // since the last good answer, or since the source was configured
	Stale      bool
	Err        string             // of the last answer; "" if it was good
	LastValues map[string]float64 // by name, whatever their age
}

// A CheckStatus is how a check is doing.
type CheckStatus struct {
	Name    string
	Type    CheckType
	Known   bool // it has decided at least once
	Up      bool
	Age     time.Duration // since the last result
	Detail  string
	Latency time.Duration
}
