package collect

import "time"

// An Event is what a source or a check has to say; see [SourceEvent] and
// [CheckEvent]. An [Accumulator] condenses them.
type Event interface{ isEvent() }

// A SourceEvent is one answer of one source, or that there was none. The
// values are in SI units (s, flows/s, ratios) under the names of the source's
// configuration.
//
// Values and Err may stand together: what was refused is named in Err, what
// is good stands in Values.
type SourceEvent struct {
	Key    Key
	Source string
	At     time.Time // when the answer was complete
	Values map[string]float64
	Err    error // nil: the source answered, and all it said was plausible

	// Down is why the instance is down, where the source says just that (exec
	// without values); "": it does not say so.
	Down string

	// Valid is how long the values are good for if nothing else comes, where
	// the source says so itself (push); 0: the source's StaleAfter.
	Valid time.Duration
}

// A CheckEvent is the result of one health check.
type CheckEvent struct {
	Key     Key
	Check   string
	At      time.Time
	Up      bool          // the state after rise and fall were applied
	Changed bool          // the state differs from that of the last event, or this is the first
	Detail  string        // what the check saw, for an operator
	Latency time.Duration // of this probe; 0: it did not get that far
}

func (SourceEvent) isEvent() {}
func (CheckEvent) isEvent()  {}

// key returns the instance an event is about.
func key(ev Event) Key {
	switch ev := ev.(type) {
	case SourceEvent:
		return ev.Key
	case CheckEvent:
		return ev.Key
	}
	panic("BUG: unknown event")
}
