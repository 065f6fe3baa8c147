package dampening

import "fmt"

// A State is whether an instance takes new flows.
type State uint8

const (
	Down     State = iota // gone; said as a withdrawal
	Up                    // takes new flows
	Draining              // keeps what it has, takes no new flows
)

// String returns the state in lower case.
func (s State) String() string {
	switch s {
	case Down:
		return "down"
	case Up:
		return "up"
	case Draining:
		return "draining"
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// A Reason is why a value is said (Said...), or why it is not (Held...).
type Reason uint8

const (
	NoReason Reason = iota

	SaidFirst   // an instance not said before
	SaidDelta   // the level changed by Delta or more since it was last said
	SaidHigh    // the level crossed High upwards
	SaidLow     // the level crossed Low downwards
	SaidUp      // it came back
	SaidDown    // it went down, or is held down for flapping (Decision.Held says so)
	SaidDrain   // it takes no new flows any more
	SaidUndrain // it takes new flows again
	SaidRefresh // repeated so that it does not expire
	SaidChanged // the caller asked for it (Resay)
	SaidReuse   // it flapped, was held down, and is let go
	SaidRemoved // configured away

	HeldBelowThreshold // nothing worth saying
	HeldMinInterval    // less than MinInterval after the last update
	HeldBucket         // the instance's token bucket is empty
	HeldSessionBudget  // all instances together say too much
	HeldSuppressed     // it appears and disappears too often
	HeldCreateQuota    // too many instances are created and deleted here
	HeldRFDBudget      // a neighbour's route-flap damping might suppress it

	numReasons
)

var reasonNames = [numReasons]string{
	"none",
	"first", "delta", "high", "low", "up", "down", "drain", "undrain", "refresh", "changed", "reuse", "removed",
	"below-threshold", "min-interval", "bucket", "session-budget", "suppressed", "create-quota", "rfd-budget",
}

// String returns the reason in kebab case, for logs, labels and tables.
func (r Reason) String() string {
	if r < numReasons {
		return reasonNames[r]
	}
	return fmt.Sprintf("reason(%d)", uint8(r))
}

// Held reports whether r is a reason for not saying something.
func (r Reason) Held() bool { return r >= HeldBelowThreshold && r < numReasons }

// Counts counts decisions by reason: counts[SaidDelta].
type Counts [numReasons]uint64

// Reasons returns all reasons but NoReason, in the order of the constants.
func Reasons() []Reason {
	all := make([]Reason, 0, numReasons-1)
	for r := NoReason + 1; r < numReasons; r++ {
		all = append(all, r)
	}
	return all
}

// safe reports whether r takes traffic away and therefore never waits.
func (r Reason) safe() bool {
	return r == SaidDown || r == SaidDrain || r == SaidRemoved
}

// metric reports whether r is an update of something that stays as it is.
func (r Reason) metric() bool {
	switch r {
	case SaidDelta, SaidHigh, SaidLow, SaidChanged, SaidRefresh:
		return true
	}
	return false
}

// A class orders what is ready to be said.
type class uint8

const (
	classSafe class = iota
	classState
	classExpiring // said so long ago that its validity ends soon
	classCrossing
	classDelta
	classRefresh
	classNone
)

func (r Reason) class() class {
	switch r {
	case SaidDown, SaidDrain, SaidRemoved:
		return classSafe
	case SaidFirst, SaidUp, SaidUndrain, SaidReuse:
		return classState
	case SaidHigh, SaidLow:
		return classCrossing
	case SaidDelta, SaidChanged:
		return classDelta
	case SaidRefresh:
		return classRefresh
	}
	return classNone
}
