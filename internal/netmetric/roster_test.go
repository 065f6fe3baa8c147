package netmetric

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// A rosterTest is a roster with a simulated network: every probe is answered
// after the target's delay; 0: never.
type rosterTest struct {
	t     *testing.T
	r     *roster
	now   time.Time
	delay map[netip.Addr]time.Duration
	sent  []sending
	told  []Measurement
	air   []flying
}

type sending struct {
	to  netip.Addr
	seq uint32
	at  time.Time
}

type flying struct {
	from netip.Addr
	Answer
}

func newRosterTest(t *testing.T, cfg Config) *rosterTest {
	rt := &rosterTest{t: t, now: start, delay: map[netip.Addr]time.Duration{}}
	rt.r = newRoster(cfg.withDefaults(), rand.New(rand.NewPCG(5, 6)), func(m Measurement) { rt.told = append(rt.told, m) })
	return rt
}

func (rt *rosterTest) send(to netip.Addr, seq uint32) (time.Time, uint64) {
	rt.sent = append(rt.sent, sending{to, seq, rt.now})
	if d := rt.delay[to]; d > 0 {
		rt.air = append(rt.air, flying{to, Answer{Seq: seq, Stamp: uint64(seq) + 7, At: rt.now.Add(d)}})
	}
	return rt.now, uint64(seq) + 7
}

func (rt *rosterTest) set(addrs ...netip.Addr) {
	rt.r.set(rt.now, addrs)
	rt.r.due(rt.now, rt.send)
}

// run lets time pass, from event to event.
func (rt *rosterTest) run(d time.Duration) {
	end := rt.now.Add(d)
	for {
		slices.SortStableFunc(rt.air, func(a, b flying) int { return a.At.Compare(b.At) })
		next := rt.r.next()
		if len(rt.air) > 0 && (next.IsZero() || rt.air[0].At.Before(next)) {
			next = rt.air[0].At
		}
		if next.IsZero() || next.After(end) {
			rt.now = end
			return
		}
		if next.Before(rt.now) {
			rt.t.Fatalf("next %v is in the past", next.Sub(rt.now))
		}
		rt.now = next
		for len(rt.air) > 0 && !rt.air[0].At.After(rt.now) {
			a := rt.air[0]
			rt.air = rt.air[1:]
			rt.r.received(rt.now, a.from, a.Answer)
		}
		rt.r.due(rt.now, rt.send)
	}
}

func (rt *rosterTest) sentTo(a netip.Addr) (times []time.Time) {
	for _, s := range rt.sent {
		if s.to == a {
			times = append(times, s.at)
		}
	}
	return times
}

func (rt *rosterTest) toldOf(a netip.Addr) (ms []Measurement) {
	for _, m := range rt.told {
		if m.Egress == a {
			ms = append(ms, m)
		}
	}
	return ms
}

func TestRosterSpreadsProbes(t *testing.T) {
	rt := newRosterTest(t, Config{Interval: time.Second})
	var all []netip.Addr
	for i := range 100 {
		a := addr(fmt.Sprintf("192.0.2.%d", i))
		all = append(all, a)
		rt.delay[a] = 20 * ms
	}
	rt.set(all...)
	rt.run(20 * time.Second)
	t.Log("# even over the interval: 100 a second is about 10 in every 100 ms")
	slots := make([]int, 200)
	for _, s := range rt.sent {
		slots[min(int(s.at.Sub(start)/(100*ms)), 199)]++
	}
	for i, n := range slots {
		if i > 1 && (n < 5 || n > 15) {
			t.Errorf("slot %d has %d probes", i, n)
		}
	}
	t.Log("# each target once an interval, and not like clockwork")
	for _, a := range all {
		times := rt.sentTo(a)
		if len(times) < 19 || len(times) > 20 {
			t.Errorf("%v has %d probes in 20 s", a, len(times))
		}
		gaps := map[time.Duration]bool{}
		for i := 1; i < len(times); i++ {
			gap := times[i].Sub(times[i-1])
			gaps[gap] = true
			if gap < 900*ms || gap > 1100*ms {
				t.Fatalf("%v: %v between probes", a, gap)
			}
		}
		if len(gaps) < 15 {
			t.Errorf("%v: no jitter", a)
		}
	}
	t.Log("# sequence numbers begin at random and follow one another")
	first := map[uint32]bool{}
	last := map[netip.Addr]uint32{}
	for _, s := range rt.sent {
		if n, ok := last[s.to]; !ok {
			first[s.seq] = true
		} else if s.seq != n+1 {
			t.Fatalf("%d after %d", s.seq, n)
		}
		last[s.to] = s.seq
	}
	if len(first) < 99 {
		t.Errorf("only %d different first numbers", len(first))
	}
}

func TestRosterReports(t *testing.T) {
	rt := newRosterTest(t, Config{Interval: time.Second, UnreachableAfter: 3})
	near, dead := addr("192.0.2.1"), addr("2001:db8::1")
	rt.delay[near] = 20 * ms
	rt.set(near, dead)
	rt.run(10 * time.Second)
	ms1 := rt.toldOf(near)
	if len(ms1) < 10 || len(ms1) > 11 || !ms1[0].Reachable || ms1[0].RTT != 20*ms {
		t.Fatalf("%d reports, first %+v", len(ms1), ms1[0])
	}
	if got, want := ms1[0].At, rt.sentTo(near)[0].Add(20*ms); !got.Equal(want) {
		t.Errorf("the first answer is reported at %v, want at once", got.Sub(want))
	}
	for i := 2; i < len(ms1); i++ {
		if gap := ms1[i].At.Sub(ms1[i-1].At); gap != time.Second {
			t.Errorf("report %d after %v", i, gap)
		}
	}
	ms2 := rt.toldOf(dead)
	if got, want := ms2[0].At, rt.sentTo(dead)[2].Add(time.Second); ms2[0].Reachable || ms2[0].LostInRow != 3 || !got.Equal(want) {
		t.Errorf("first report of the dead one %v off: %+v", got.Sub(want), ms2[0])
	}

	t.Log("# an outage is told at the timeout of the third lost probe, and the return at the second answer")
	rt.told, rt.sent = nil, nil
	rt.delay[near] = 0
	rt.run(5 * time.Second)
	changes := func() (at []time.Time) {
		was := !rt.toldOf(near)[0].Reachable
		for _, m := range rt.toldOf(near) {
			if m.Reachable != was {
				at = append(at, m.At)
			}
			was = m.Reachable
		}
		return at
	}
	if got := changes(); len(got) != 2 || !got[1].Equal(rt.sentTo(near)[2].Add(time.Second)) {
		t.Errorf("changes at %v, probes at %v", got, rt.sentTo(near))
	}
	rt.told, rt.sent = nil, nil
	rt.delay[near] = 30 * ms
	rt.run(5 * time.Second)
	if got := changes(); len(got) != 2 || !got[1].Equal(rt.sentTo(near)[1].Add(30*ms)) {
		t.Errorf("changes at %v, probes at %v", got, rt.sentTo(near))
	}
}

func TestRosterSet(t *testing.T) {
	rt := newRosterTest(t, Config{})
	a, b, c := addr("192.0.2.1"), addr("192.0.2.2"), addr("192.0.2.3")
	for _, x := range []netip.Addr{a, b, c} {
		rt.delay[x] = 10 * ms
	}
	if !rt.r.next().IsZero() {
		t.Error("no targets, yet something to do")
	}
	rt.set(a, b)
	rt.run(5 * time.Second)
	before := rt.sentTo(a)
	rt.set(a, c)
	rt.run(5 * time.Second)
	if n := len(rt.sentTo(b)); n > 5 {
		t.Errorf("%d probes to a target that is gone", n)
	}
	if got := rt.toldOf(a); got[len(got)-1].Sent < 9 {
		t.Errorf("a target that stays was forgotten: %+v", got[len(got)-1])
	}
	after := rt.sentTo(a)[len(before)]
	if gap := after.Sub(before[len(before)-1]); gap < 900*ms || gap > 1100*ms {
		t.Errorf("a target that stays was probed after %v", gap)
	}
	if n := len(rt.sentTo(c)); n < 4 {
		t.Errorf("%d probes to the new target", n)
	}
	t.Log("# an answer of a former target is nobody's")
	if o := rt.r.received(rt.now, b, Answer{}); o != Unknown {
		t.Errorf("outcome %d", o)
	}
	rt.set()
	if !rt.r.next().IsZero() || len(rt.r.targets) != 0 {
		t.Error("something is left")
	}
	if got := rt.r.counters(); got.Unknown != 1 {
		t.Errorf("counters %+v", got)
	}
}

// After a pause (a suspended machine) there is no burst of what was missed.
func TestRosterPause(t *testing.T) {
	rt := newRosterTest(t, Config{})
	a := addr("192.0.2.1")
	rt.delay[a] = 10 * ms
	rt.set(a)
	rt.run(5 * time.Second)
	rt.air, rt.sent = nil, nil
	rt.now = rt.now.Add(time.Hour)
	rt.r.due(rt.now, rt.send)
	rt.run(10 * time.Second)
	if n := len(rt.sent); n < 10 || n > 12 {
		t.Errorf("%d probes in 10 s after a pause", n)
	}
}

func TestSelectTargets(t *testing.T) {
	in := []netip.Addr{
		addr("2001:db8::1"), addr("192.0.2.2"), {}, addr("192.0.2.1"), addr("::ffff:192.0.2.1"), addr("0.0.0.0"),
		addr("::"), addr("224.0.0.1"), addr("255.255.255.255"), addr("ff02::1"), addr("192.0.2.2"),
	}
	want := []netip.Addr{addr("192.0.2.1"), addr("192.0.2.2"), addr("2001:db8::1")}
	if got, excess := selectTargets(in, 3); !slices.Equal(got, want) || excess != 0 {
		t.Errorf("%v, %d", got, excess)
	}
	if got, excess := selectTargets(in, 2); !slices.Equal(got, want[:2]) || excess != 1 {
		t.Errorf("%v, %d", got, excess)
	}
}

func TestLimiter(t *testing.T) {
	l := newLimiter(start, 10, 20)
	a := addr("192.0.2.1")
	count := func(now time.Time, source func(i int) netip.Addr) (n int) {
		for i := range 1000 {
			if l.allow(now, source(i)) {
				n++
			}
		}
		return n
	}
	only := func(a netip.Addr) func(int) netip.Addr { return func(int) netip.Addr { return a } }
	if n := count(start, only(a)); n != 20 {
		t.Errorf("a burst of %d", n)
	}
	if n := count(start.Add(500*ms), only(a)); n != 5 {
		t.Errorf("%d after half a second", n)
	}
	if n := count(start, only(a)); n != 0 {
		t.Errorf("%d when time stands back", n)
	}
	if n := count(start.Add(time.Hour), only(addr("::ffff:192.0.2.1"))); n != 20 {
		t.Errorf("%d after an hour", n)
	}
	t.Log("# whoever has a /64 has one bucket")
	n := count(start.Add(time.Hour), func(i int) netip.Addr {
		b := addr("2001:db8:0:1::").As16()
		b[15], b[14] = byte(i), byte(i>>8)
		return netip.AddrFrom16(b)
	})
	if n != 20 {
		t.Errorf("%d from one /64", n)
	}
	t.Log("# a flood of other sources costs an honest one nothing but a cell now and then")
	l = newLimiter(start, 10, 20)
	refused := 0
	for i := range 200 {
		if !l.allow(start, netip.AddrFrom4([4]byte{198, 51, 100, byte(i)})) {
			refused++
		}
	}
	if refused > 0 {
		t.Errorf("%d of 200 sources refused", refused)
	}
}
