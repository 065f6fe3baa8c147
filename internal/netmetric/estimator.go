package netmetric

import (
	"math"
	"slices"
	"time"
)

const (
	// maxProbes bounds the memory of one target. A window that holds more probes
	// is cut to the latest of them.
	maxProbes = 512

	// maxProcessing is the longest processing time that a reflector is believed.
	// What it claims is subtracted from the round trip, so a site that wants to
	// look near can claim too much; this is the most it can gain. Honest
	// reflectors need tens of microseconds.
	maxProcessing = 10 * time.Millisecond

	// returnAfter is how many answers in a row make an unreachable target
	// reachable again. One may be a stray of a path that comes and goes.
	returnAfter = 2

	// fasterAfter and slowerAfter are how many answers in a row must lie below
	// or above the usual band before the path counts as changed. Outliers are
	// upwards, so that it takes more to believe in a slower path.
	fasterAfter = 3
	slowerAfter = 4

	// The band: the median ± the largest of these. 1.4826 median absolute
	// deviations are a standard deviation where delays are normal.
	bandDeviations = 3 * 1.4826
	bandRelative   = 0.05
	bandAbsolute   = 100 * time.Microsecond
)

// An Estimator knows the path to one target from its probes: delay, variation
// and loss over the window (RFC 8570 sections 4.1 to 4.4, for the round trip),
// reachability, and a round-trip time to compare paths by.
//
// That round-trip time is the median of the answers in the window since the
// path last changed. A median, because delays have outliers upwards (a lost
// interrupt, a burst, a route that flutters) which a mean or an EWMA keeps for
// many probes, while a selection needs the usual delay of the path. Since the
// last change, because a median alone needs half a window to follow one. The
// path has changed when three answers in a row lie below, or four above, the
// band in which its answers have been, or when it was unreachable between.
// Of an even number of answers the lower of the two middle ones is taken, so
// that one outlier does no harm even among two.
//
// The caller passes all times; only their differences count, so that with
// times from time.Now (which carry the monotonic clock) steps of the wall
// clock do no harm. The memory is fixed. An Estimator is not safe for
// concurrent use.
type Estimator struct {
	window, timeout  time.Duration
	unreachableAfter int

	epoch time.Time // of the probes' times: the first Sent
	ring  []probe
	sent  uint64 // probes ever sent; probe i stands at ring[i%len(ring)]
	open  uint64 // no probe before this one is pending

	received           uint64
	lastAnswered       uint64 // 1 + the latest probe that was answered; 0: none
	level              uint64 // first probe since the path last changed
	lostInRow, answers int    // since the last answer, since the last loss
	decided, reachable bool
	counters           EstimatorCounters
	values             []time.Duration // scratch
}

// EstimatorCounters count the answers that were not plain, since the beginning.
type EstimatorCounters struct {
	Duplicates  uint64 // of an answered probe
	Late        uint64 // after the timeout
	Unknown     uint64 // no such probe, or not with this timestamp
	Absurd      uint64 // received before it was sent
	Implausible uint64 // processing time not believed, and not subtracted
}

// A probe is one slot of the ring.
type probe struct {
	seq   uint32
	fate  fate
	stamp timestamp
	at    time.Duration // since epoch
	rtt   time.Duration // if answered
}

// A fate is what became of a probe:
//
//	pending ── answer within the timeout ──► answered
//	pending ── timeout ──► lost
//	lost ── answer that came within the timeout, but was seen later ──► answered
type fate uint8

const (
	pending fate = iota
	answered
	lost
)

// An Outcome is what became of an answer.
type Outcome uint8

const (
	Accepted Outcome = iota
	Duplicate
	Late
	Unknown
	Absurd
)

// An Answer is what a reflector's packet says about one probe.
type Answer struct {
	Seq   uint32    // T1's probe
	Stamp uint64    // its timestamp as sent, which the reflector must have echoed
	At    time.Time // T4, when it arrived

	// Processing is T3-T2 by the reflector's clock. It is subtracted from
	// T4-T1 if it is believable: not negative, less than T4-T1, at most 10 ms.
	Processing time.Duration
}

// NewEstimator returns an estimator for one target with cfg's Interval, Window,
// Timeout and UnreachableAfter.
func NewEstimator(cfg Config) *Estimator {
	cfg = cfg.withDefaults()
	// Probes may come up to a tenth of the interval early.
	n := int(math.Ceil(float64(cfg.Window+cfg.Timeout)/(0.9*float64(cfg.Interval)))) + 2
	n = min(max(n, 2*slowerAfter), maxProbes)
	return &Estimator{
		window: cfg.Window, timeout: cfg.Timeout,
		unreachableAfter: cfg.UnreachableAfter,
		ring:             make([]probe, n),
	}
}

// Sent records that probe seq left at now with this timestamp in it. The
// sequence numbers of one target follow one another, wrapping; a probe before
// a gap is forgotten, which costs its answer.
func (e *Estimator) Sent(now time.Time, seq uint32, stamp uint64) {
	if e.sent == 0 {
		e.epoch = now
	}
	slot := e.slot(e.sent)
	if e.sent >= uint64(len(e.ring)) && e.open == e.sent-uint64(len(e.ring)) {
		e.lose(e.open) // more probes in flight than slots
		e.open++
	}
	*slot = probe{seq: seq, stamp: timestamp(stamp), at: now.Sub(e.epoch)}
	e.sent++
}

// Received takes an answer at now and reports what it was worth, and whether
// reachability changed.
func (e *Estimator) Received(now time.Time, a Answer) (o Outcome, changed bool) {
	i, ok := e.find(a.Seq)
	if !ok || e.slot(i).stamp != timestamp(a.Stamp) {
		e.counters.Unknown++
		return Unknown, false
	}
	p := e.slot(i)
	if p.fate == answered {
		e.counters.Duplicates++
		return Duplicate, false
	}
	elapsed := a.At.Sub(e.epoch) - p.at
	switch {
	case elapsed < 0:
		e.counters.Absurd++
		return Absurd, false
	case elapsed > e.timeout:
		e.counters.Late++
		return Late, false
	}
	p.fate = answered
	p.rtt = max(elapsed-e.believe(a.Processing, elapsed), 1) // 0 is "not known"
	e.received++
	e.lastAnswered = max(e.lastAnswered, i+1)
	e.lostInRow = 0
	e.answers++
	if !e.reachable && e.answers == 1 {
		e.level = i // what was before the outage is no longer the path
	}
	e.follow(now)
	if !e.reachable && (!e.decided || e.answers >= returnAfter) {
		e.decided, e.reachable = true, true
		return Accepted, true
	}
	return Accepted, false
}

// believe returns the part of the claimed processing time to subtract.
func (e *Estimator) believe(claimed, elapsed time.Duration) time.Duration {
	if claimed < 0 || claimed > 0 && (claimed >= elapsed || claimed > maxProcessing) {
		e.counters.Implausible++
		return 0
	}
	return claimed
}

// Advance gives up the probes that have been out for longer than the timeout.
// It reports whether reachability changed or was decided.
func (e *Estimator) Advance(now time.Time) (changed bool) {
	for ; e.open < e.sent; e.open++ {
		p := e.slot(e.open)
		if p.fate != pending {
			continue
		}
		if now.Sub(e.epoch)-p.at < e.timeout {
			return changed
		}
		changed = e.lose(e.open) || changed
	}
	return changed
}

func (e *Estimator) lose(i uint64) (changed bool) {
	p := e.slot(i)
	if p.fate != pending {
		return false
	}
	p.fate = lost
	if i+1 < e.lastAnswered {
		return false // a later probe was answered: not the end of the row
	}
	e.answers = 0
	e.lostInRow++
	if e.lostInRow < e.unreachableAfter || e.decided && !e.reachable {
		return false
	}
	e.decided, e.reachable = true, false
	return true
}

// follow notes a change of the path.
func (e *Estimator) follow(now time.Time) {
	v, latestProbes := e.answersSince(now, e.level)
	if len(v) <= slowerAfter {
		return
	}
	usual, latest := v[:len(v)-slowerAfter], v[len(v)-slowerAfter:]
	low := slices.Min(latest)                            // of four
	high := slices.Max(latest[slowerAfter-fasterAfter:]) // of three
	m := lowerMedian(usual)                              // sorts usual
	if m >= low && m <= high {
		return // the common case needs no deviation
	}
	for i := range usual {
		usual[i] = (usual[i] - m).Abs()
	}
	band := max(
		time.Duration(bandDeviations*float64(lowerMedian(usual))),
		time.Duration(bandRelative*float64(m)),
		bandAbsolute)
	switch {
	case low > m+band:
		e.level = latestProbes[0]
	case high < m-band:
		e.level = latestProbes[slowerAfter-fasterAfter]
	}
}

// Measurement is what is known at now, as of the last Advance and Received.
// next is when Advance should be called if nothing happens until then (zero:
// nothing is pending). Egress is left to the caller.
func (e *Estimator) Measurement(now time.Time) (m Measurement, next time.Time) {
	m = Measurement{
		At: now, Decided: e.decided, Reachable: e.reachable, LostInRow: e.lostInRow,
		Sent: e.sent, Received: e.received,
	}
	var sum, variation, previous time.Duration
	var n, losses int
	for i := e.oldest(now); i < e.sent; i++ {
		p := e.slot(i)
		switch p.fate {
		case lost:
			losses++
		case answered:
			if n == 0 {
				m.Min = p.rtt
			} else {
				variation += (p.rtt - previous).Abs()
			}
			n++
			m.Min, m.Max = min(m.Min, p.rtt), max(m.Max, p.rtt)
			sum, previous = sum+p.rtt, p.rtt
		}
	}
	if n > 0 {
		m.Known = true
		m.Mean = sum / time.Duration(n)
		m.Variation = variation / time.Duration(max(n-1, 1))
		if v, _ := e.answersSince(now, e.level); len(v) > 0 {
			m.RTT = lowerMedian(v)
		} else {
			m.RTT = m.Min // the path changed and no answer since then is in the window
		}
	}
	if n+losses > 0 {
		m.Loss = float64(losses) / float64(n+losses)
	}
	return m, e.expiry()
}

// expiry is when the oldest pending probe is given up; zero: none is pending.
func (e *Estimator) expiry() time.Time {
	for ; e.open < e.sent; e.open++ {
		if p := e.slot(e.open); p.fate == pending {
			return e.epoch.Add(p.at + e.timeout)
		}
	}
	return time.Time{}
}

// Counters returns the counts since the beginning.
func (e *Estimator) Counters() EstimatorCounters { return e.counters }

func (e *Estimator) slot(i uint64) *probe { return &e.ring[i%uint64(len(e.ring))] }

// find returns the probe with this sequence number, if it is remembered.
func (e *Estimator) find(seq uint32) (uint64, bool) {
	if e.sent == 0 {
		return 0, false
	}
	back := uint64(e.slot(e.sent-1).seq - seq) // wraps as the numbers do
	if back >= min(e.sent, uint64(len(e.ring))) {
		return 0, false
	}
	i := e.sent - 1 - back
	return i, e.slot(i).seq == seq
}

// oldest returns the first remembered probe in the window.
func (e *Estimator) oldest(now time.Time) uint64 {
	i := e.sent - min(e.sent, uint64(len(e.ring)))
	for i < e.sent && now.Sub(e.epoch)-e.slot(i).at > e.window {
		i++
	}
	return i
}

// answersSince returns the round-trip times in the window from probe i on, in
// the order of sending, in scratch memory, and the probes of the last four.
func (e *Estimator) answersSince(now time.Time, i uint64) (v []time.Duration, last [slowerAfter]uint64) {
	v = e.values[:0]
	for i = max(i, e.oldest(now)); i < e.sent; i++ {
		if p := e.slot(i); p.fate == answered {
			copy(last[:], last[1:])
			last[slowerAfter-1] = i
			v = append(v, p.rtt)
		}
	}
	e.values = v
	return v, last
}

// lowerMedian sorts v, which is not empty.
func lowerMedian(v []time.Duration) time.Duration {
	slices.Sort(v)
	return v[(len(v)-1)/2]
}
