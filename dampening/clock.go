package dampening

import "time"

// An instant is a reading of a clock: how much time has passed, as far as the
// table believes it, since the table's first call.
type instant = time.Duration

const (
	// overtaken is how much older than its predecessor a time may be and still
	// be an event that arrived late, not a clock that was set back.
	overtaken = 2 * time.Second

	// maxStep is the most one call can advance the clock. Nothing here
	// remembers longer, and instants stay far from overflow.
	maxStep = 30 * 24 * time.Hour
)

// A clock turns the caller's times, which may jump, into instants, which do
// not go backwards.
type clock struct {
	now     instant
	mark    time.Time // the caller's time at now
	started bool
}

func (c *clock) tick(now time.Time) {
	if !c.started {
		c.mark, c.started = now, true
		return
	}
	switch d := now.Sub(c.mark); {
	case d >= 0:
		c.now += min(d, maxStep)
		c.mark = now
	case d < -overtaken:
		// Set back. Waiting for the old time to come round again would lock
		// every gate for as long; carry on from here instead.
		c.mark = now
	}
}

// time returns an instant in the caller's time. The result moves with the
// caller's clock, so that "three minutes ago" stays three minutes ago.
func (c *clock) time(i instant) time.Time {
	return c.mark.Add(i - c.now)
}
