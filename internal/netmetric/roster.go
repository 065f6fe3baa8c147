package netmetric

import (
	"container/heap"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"
)

// A roster is the prober without its clock, sockets and goroutines: which
// targets there are, when each is to be probed and reported.
//
// Probes of one target are an interval apart, plus up to a tenth of it at
// random, so that measuring does not fall into step with anything. Targets are
// spread over the interval by multiples of the golden ratio, which is even for
// any number of them and moves nobody when some come or go.
type roster struct {
	config  Config
	random  *rand.Rand
	emit    func(Measurement)
	targets map[netip.Addr]*target
	queue   queue
	added   uint64 // targets ever
	former  EstimatorCounters
}

// A target is one egress.
type target struct {
	addr      netip.Addr
	estimator *Estimator
	seq       uint32    // of the next probe
	base      time.Time // of the next probe, before jitter
	send      time.Time // of the next probe
	report    time.Time // of the next regular report
	expire    time.Time // when the oldest probe is given up; zero: none is out
	index     int       // in the queue
}

// wake is when the target next needs attention.
func (t *target) wake() time.Time {
	at := t.send
	if t.report.Before(at) {
		at = t.report
	}
	if !t.expire.IsZero() && t.expire.Before(at) {
		at = t.expire
	}
	return at
}

func newRoster(cfg Config, random *rand.Rand, emit func(Measurement)) *roster {
	return &roster{config: cfg, random: random, emit: emit, targets: map[netip.Addr]*target{}}
}

// selectTargets returns the targets that are probed: addresses that can be,
// each once, in order; beyond limit the lowest win, which is arbitrary but the
// same after a restart and for every ingress.
func selectTargets(addrs []netip.Addr, limit int) (chosen []netip.Addr, excess int) {
	for _, a := range addrs {
		a = a.Unmap()
		if a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() && a != netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
			chosen = append(chosen, a)
		}
	}
	slices.SortFunc(chosen, netip.Addr.Compare)
	chosen = slices.Compact(chosen)
	if len(chosen) > limit {
		chosen, excess = chosen[:limit], len(chosen)-limit
	}
	return chosen, excess
}

// set makes addrs (from selectTargets) the targets. Those that stay keep what
// is known of them.
func (r *roster) set(now time.Time, addrs []netip.Addr) {
	wanted := make(map[netip.Addr]bool, len(addrs))
	for _, a := range addrs {
		wanted[a] = true
	}
	for a, t := range r.targets {
		if !wanted[a] {
			heap.Remove(&r.queue, t.index)
			delete(r.targets, a)
			r.former.add(t.estimator.Counters())
		}
	}
	for _, a := range addrs {
		if r.targets[a] == nil {
			r.add(now, a)
		}
	}
}

func (r *roster) add(now time.Time, a netip.Addr) {
	const golden = 0.6180339887498949
	phase := float64(r.added) * golden
	phase -= float64(uint64(phase))
	r.added++
	t := &target{
		addr:      a,
		estimator: NewEstimator(r.config),
		seq:       r.random.Uint32(), // hard to guess, and wraps some day in every test
		base:      now.Add(time.Duration(phase * float64(r.config.Interval))),
	}
	t.send = t.base.Add(r.jitter())
	t.report = t.base.Add(r.config.Interval)
	r.targets[a] = t
	heap.Push(&r.queue, t)
}

func (r *roster) jitter() time.Duration {
	return time.Duration(r.random.Int64N(int64(r.config.Interval/10) + 1))
}

// next is when due should be called; zero: not before set.
func (r *roster) next() time.Time {
	if len(r.queue) == 0 {
		return time.Time{}
	}
	return r.queue[0].wake()
}

// due does everything that is due at now. send transmits one probe and returns
// when it left and the timestamp it carried; a probe that could not be sent
// counts as lost, since that is what it is to the traffic.
func (r *roster) due(now time.Time, send func(to netip.Addr, seq uint32) (at time.Time, stamp uint64)) {
	for len(r.queue) > 0 && !r.queue[0].wake().After(now) {
		t := r.queue[0]
		if t.estimator.Advance(now) {
			r.tell(t, now)
		}
		if !t.send.After(now) {
			at, stamp := send(t.addr, t.seq)
			t.estimator.Sent(at, t.seq, stamp)
			t.seq++
			t.base = following(t.base, now, r.config.Interval)
			t.send = t.base.Add(r.jitter())
		}
		if !t.report.After(now) {
			t.report = following(t.report, now, r.config.Interval)
			if t.estimator.decided {
				r.tell(t, now)
			}
		}
		t.expire = t.estimator.expiry()
		heap.Fix(&r.queue, t.index)
	}
}

// following is the first time after now that is whole intervals after t: after
// a pause, what was missed is not made up for.
func following(t, now time.Time, interval time.Duration) time.Time {
	return t.Add((now.Sub(t)/interval + 1) * interval)
}

// received takes an answer of the target at addr.
func (r *roster) received(now time.Time, addr netip.Addr, a Answer) Outcome {
	t := r.targets[addr]
	if t == nil {
		r.former.Unknown++
		return Unknown
	}
	outcome, changed := t.estimator.Received(now, a)
	t.expire = t.estimator.expiry()
	heap.Fix(&r.queue, t.index)
	if changed {
		r.tell(t, now)
	}
	return outcome
}

func (r *roster) tell(t *target, now time.Time) {
	m, _ := t.estimator.Measurement(now)
	m.Egress = t.addr
	r.emit(m)
}

// counters are those of all targets, also of former ones.
func (r *roster) counters() EstimatorCounters {
	sum := r.former
	for _, t := range r.targets {
		sum.add(t.estimator.Counters())
	}
	return sum
}

func (c *EstimatorCounters) add(o EstimatorCounters) {
	c.Duplicates += o.Duplicates
	c.Late += o.Late
	c.Unknown += o.Unknown
	c.Absurd += o.Absurd
	c.Implausible += o.Implausible
}

// A queue is a heap of targets by wake. It implements heap.Interface.
type queue []*target

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].wake().Before(q[j].wake()) }
func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}
func (q *queue) Push(x any) {
	t := x.(*target)
	t.index = len(*q)
	*q = append(*q, t)
}
func (q *queue) Pop() any {
	last := len(*q) - 1
	t := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return t
}
