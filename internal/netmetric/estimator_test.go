package netmetric

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const ms = time.Millisecond

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// An estimatorTest drives an estimator by hand. The probe's stamp is its
// sequence number with a one in front.
type estimatorTest struct {
	t   testing.TB
	e   *Estimator
	cfg Config
	now time.Time
	seq uint32
}

func newEstimatorTest(t testing.TB, cfg Config) *estimatorTest {
	return &estimatorTest{t: t, e: NewEstimator(cfg), cfg: cfg.withDefaults(), now: start, seq: math.MaxUint32 - 2}
}

func stampOf(seq uint32) uint64 { return 1<<32 | uint64(seq) }

// send sends the next probe and returns its number.
func (et *estimatorTest) send() uint32 {
	et.seq++
	et.e.Sent(et.now, et.seq, stampOf(et.seq))
	return et.seq
}

// answer answers probe seq now.
func (et *estimatorTest) answer(seq uint32) (Outcome, bool) {
	return et.e.Received(et.now, Answer{Seq: seq, Stamp: stampOf(seq), At: et.now})
}

func (et *estimatorTest) advance(d time.Duration) bool {
	et.now = et.now.Add(d)
	return et.e.Advance(et.now)
}

// probe lets one interval pass in which a probe is answered after rtt; rtt 0:
// not at all. It reports whether reachability changed.
func (et *estimatorTest) probe(rtt time.Duration) (changed bool) {
	et.t.Helper()
	seq := et.send()
	if rtt == 0 {
		return et.advance(et.cfg.Interval)
	}
	changed = et.advance(rtt)
	o, c := et.answer(seq)
	if o != Accepted {
		et.t.Fatalf("answer after %v: outcome %d", rtt, o)
	}
	return et.advance(et.cfg.Interval-rtt) || changed || c
}

func (et *estimatorTest) probes(rtts ...time.Duration) (changes int) {
	et.t.Helper()
	for _, rtt := range rtts {
		if et.probe(rtt) {
			changes++
		}
	}
	return changes
}

func (et *estimatorTest) m() Measurement {
	m, _ := et.e.Measurement(et.now)
	return m
}

func (et *estimatorTest) wantRTT(why string, want time.Duration) {
	et.t.Helper()
	if got := et.m().RTT; got != want {
		et.t.Errorf("%s: RTT %v, want %v", why, got, want)
	}
}

func (et *estimatorTest) wantReachable(why string, decided, reachable bool) {
	et.t.Helper()
	if m := et.m(); m.Decided != decided || m.Reachable != reachable {
		et.t.Errorf("%s: decided %v reachable %v, want %v %v", why, m.Decided, m.Reachable, decided, reachable)
	}
}

func repeat(n int, d time.Duration) []time.Duration { return slices.Repeat([]time.Duration{d}, n) }

func TestEstimatorWindow(t *testing.T) {
	et := newEstimatorTest(t, Config{Interval: time.Second, Window: 10 * time.Second})
	if m, next := et.e.Measurement(et.now); m.Known || m.Decided || m.Loss != 0 || !next.IsZero() {
		t.Errorf("before anything: %+v, %v", m, next)
	}
	et.probes(10*ms, 14*ms, 0, 12*ms)
	m := et.m()
	want := Measurement{
		At: et.now, Decided: true, Reachable: true, Known: true,
		RTT: 12 * ms, Min: 10 * ms, Mean: 12 * ms, Max: 14 * ms,
		Variation: 3 * ms, // (4+2)/2: of consecutive answers, over the loss
		Loss:      0.25, Sent: 4, Received: 3,
	}
	if m != want {
		t.Errorf("four probes:\n got %+v\nwant %+v", m, want)
	}

	t.Log("# one probe is out: not yet lost, and known when it will be")
	sent := et.now
	et.send()
	if m, next := et.e.Measurement(et.now); m.Loss != 0.25 || !next.Equal(sent.Add(time.Second)) {
		t.Errorf("loss %v, next %v", m.Loss, next.Sub(sent))
	}
	if et.advance(time.Second - 1); et.m().Loss != 0.25 {
		t.Error("given up too early")
	}
	if et.advance(1); et.m().Loss != 0.4 || et.m().LostInRow != 1 {
		t.Errorf("not given up: %+v", et.m())
	}

	t.Log("# what is older than the window is no longer counted")
	et.advance(6 * time.Second) // the first four are 11, 10, 9, 8 s old
	if m := et.m(); m.Min != 12*ms || m.Max != 14*ms || m.Loss != 0.5 || m.Variation != 2*ms || m.Sent != 5 {
		t.Errorf("later: %+v", m)
	}
	et.advance(time.Minute)
	if m := et.m(); m.Known || m.RTT != 0 || m.Loss != 0 || !m.Reachable || m.Received != 3 {
		t.Errorf("much later: %+v", m)
	}
}

func TestEstimatorReachability(t *testing.T) {
	type step struct {
		why                string
		rtt                time.Duration // 0: lost
		changed, reachable bool
	}
	const d = 10 * ms
	for name, steps := range map[string][]step{
		"normal": {
			{"the first answer decides", d, true, true},
			{"lost", 0, false, true}, {"lost", 0, false, true},
			{"an answer between: the row begins anew", d, false, true},
			{"lost", 0, false, true}, {"lost", 0, false, true},
			{"three in a row", 0, true, false},
			{"still", 0, false, false},
			{"one answer may be a stray", d, false, false},
			{"lost again", 0, false, false},
			{"one", d, false, false},
			{"two in a row: back", d, true, true},
			{"lost", 0, false, true}, {"lost", 0, false, true},
			{"three in a row", 0, true, false},
		},
		"never_there": {
			{"lost", 0, false, false}, {"lost", 0, false, false},
			{"now it is decided, which is a change", 0, true, false},
			{"said once", 0, false, false}, {"", 0, false, false}, {"", 0, false, false},
			{"one", d, false, false},
			{"two", d, true, true},
		},
	} {
		t.Run(name, func(t *testing.T) {
			et := newEstimatorTest(t, Config{UnreachableAfter: 3})
			for i, s := range steps {
				if changed := et.probe(s.rtt); changed != s.changed || et.m().Reachable != s.reachable {
					t.Fatalf("step %d (%s): changed %v, reachable %v", i, s.why, changed, et.m().Reachable)
				}
			}
		})
	}
}

// With many probes in flight the losses of a short outage are noticed after
// the first answers since; they are no row at the end, and no new outage.
func TestEstimatorLossesBehindAnswers(t *testing.T) {
	et := newEstimatorTest(t, Config{Interval: 100 * ms, Timeout: time.Second, UnreachableAfter: 3})
	et.probe(10 * ms)
	for range 8 {
		et.send()
		et.advance(100 * ms)
	}
	if et.probe(10*ms) || et.advance(time.Second) {
		t.Error("reachability changed")
	}
	et.wantReachable("after", true, true)
	if m := et.m(); m.Loss != 0.8 || m.LostInRow != 0 {
		t.Errorf("%+v", m)
	}
	t.Log("# but behind the latest answer they are")
	for range 3 {
		et.send()
	}
	if !et.advance(time.Second) {
		t.Error("reachability did not change")
	}
}

func TestEstimatorAnswers(t *testing.T) {
	et := newEstimatorTest(t, Config{})
	if o, _ := et.answer(1); o != Unknown {
		t.Errorf("an answer before any probe: %d", o)
	}
	a, b := et.send(), et.send() // b is 2^32-1, and the next one 0
	c := et.send()
	if c != 0 {
		t.Fatalf("the numbers did not wrap: %d", c)
	}
	et.advance(20 * ms)
	want := func(why string, seq uint32, want Outcome) {
		t.Helper()
		if got, _ := et.answer(seq); got != want {
			t.Errorf("%s: %d, want %d", why, got, want)
		}
	}
	want("reordered: the last first", c, Accepted)
	want("duplicate", c, Duplicate)
	want("then the first", a, Accepted)
	want("a number that is to come", c+1, Unknown)
	want("a number of before", a-1, Unknown)
	if o, _ := et.e.Received(et.now, Answer{Seq: b, Stamp: stampOf(b) + 1, At: et.now}); o != Unknown {
		t.Errorf("a forged timestamp: %d", o)
	}
	if o, _ := et.e.Received(et.now, Answer{Seq: b, Stamp: stampOf(b), At: et.now.Add(-21 * ms)}); o != Absurd {
		t.Errorf("received before it was sent: %d", o)
	}
	et.advance(time.Second)
	want("after the timeout", b, Late)
	if m := et.m(); m.Received != 2 || m.Loss != 1.0/3 || m.Max != 20*ms {
		t.Errorf("%+v", m)
	}
	if got, want := et.e.Counters(), (EstimatorCounters{Duplicates: 1, Late: 1, Unknown: 4, Absurd: 1}); got != want {
		t.Errorf("counters %+v, want %+v", got, want)
	}

	t.Log("# an answer that came in time but was read late counts, by the kernel's time")
	sent := et.now
	d := et.send()
	et.advance(3 * time.Second)
	if m := et.m(); m.LostInRow != 1 {
		t.Errorf("not given up: %+v", m)
	}
	if o, _ := et.e.Received(et.now, Answer{Seq: d, Stamp: stampOf(d), At: sent.Add(30 * ms)}); o != Accepted {
		t.Errorf("outcome %d", o)
	}
	if m := et.m(); m.LostInRow != 0 || m.Max != 30*ms || m.Received != 3 {
		t.Errorf("%+v", m)
	}
}

// What a reflector says about itself is believed only so far.
func TestEstimatorProcessing(t *testing.T) {
	for _, tt := range []struct {
		why              string
		elapsed, claimed time.Duration
		want             time.Duration
		implausible      uint64
	}{
		{"none", 20 * ms, 0, 20 * ms, 0},
		{"honest", 20 * ms, 2 * ms, 18 * ms, 0},
		{"longer than the round trip", 20 * ms, 30 * ms, 20 * ms, 1},
		{"all of the round trip", 5 * ms, 5 * ms, 5 * ms, 1},
		{"negative", 20 * ms, -3 * ms, 20 * ms, 1},
		{"the most that is believed", 100 * ms, 10 * ms, 90 * ms, 0},
		{"a site that wants to look near", 100 * ms, 99 * ms, 100 * ms, 1},
		{"clock nonsense", 20 * ms, math.MinInt64, 20 * ms, 1},
		{"no time at all", 0, 0, 1, 0},
	} {
		et := newEstimatorTest(t, Config{})
		seq := et.send()
		et.advance(tt.elapsed)
		et.e.Received(et.now, Answer{Seq: seq, Stamp: stampOf(seq), At: et.now, Processing: tt.claimed})
		et.wantRTT(tt.why, tt.want)
		if got := et.e.Counters().Implausible; got != tt.implausible {
			t.Errorf("%s: %d implausible", tt.why, got)
		}
	}
}

func TestEstimatorSpikes(t *testing.T) {
	et := newEstimatorTest(t, Config{})
	et.probe(20 * ms)
	et.probe(990 * ms)
	et.wantRTT("a spike as the second answer", 20*ms)
	et.probes(repeat(10, 20*ms)...)
	et.probe(1000 * ms)
	et.wantRTT("one spike of 1 s", 20*ms)
	et.probes(20*ms, 900*ms, 900*ms, 900*ms)
	et.wantRTT("three in a row are still spikes", 20*ms)
	if m := et.m(); m.Max != 1000*ms || m.Mean < 200*ms {
		t.Errorf("maximum and mean do not see them: %+v", m)
	}
}

func TestEstimatorPathChange(t *testing.T) {
	for _, tt := range []struct{ from, to time.Duration }{
		{20 * ms, 60 * ms}, {60 * ms, 20 * ms}, {20 * ms, 23 * ms}, {300 * time.Microsecond, 150 * ms},
	} {
		et := newEstimatorTest(t, Config{})
		et.probes(repeat(40, tt.from)...)
		needed := fasterAfter
		if tt.to > tt.from {
			needed = slowerAfter
		}
		et.probes(repeat(needed-1, tt.to)...)
		et.wantRTT("these answers are not yet a change", tt.from)
		et.probe(tt.to)
		et.wantRTT("one more is", tt.to)
		et.probe(990 * ms)
		et.wantRTT("a spike just then does no harm", tt.to)
		et.probes(repeat(4, tt.from)...)
		et.wantRTT("and back", tt.from)
	}

	t.Log("# after an outage the old path is history at once")
	et := newEstimatorTest(t, Config{})
	et.probes(repeat(20, 20*ms)...)
	et.probes(repeat(5, 0)...)
	et.wantReachable("out", true, false)
	et.wantRTT("the last that was known", 20*ms)
	et.probes(80*ms, 82*ms)
	et.wantReachable("back", true, true)
	et.wantRTT("the lower of two", 80*ms)
}

// Known truth: delays drawn from distributions with a fixed seed. The estimate
// must stay near the true median, however heavy the tail.
func TestEstimatorTruth(t *testing.T) {
	var random *rand.Rand
	scale := func(d time.Duration, f float64) time.Duration { return time.Duration(float64(d) * f) }
	for name, tt := range map[string]struct {
		draw   func() time.Duration
		median time.Duration
		bound  float64 // of the relative error, 99 % of the time
	}{
		"normal": {func() time.Duration { return scale(40*ms, 1+0.02*random.NormFloat64()) }, 40 * ms, 0.02},
		"exponential queue": {func() time.Duration { return 20*ms + scale(4*ms, random.ExpFloat64()) },
			20*ms + scale(4*ms, math.Ln2), 0.15},
		"lognormal": {func() time.Duration { return scale(30*ms, math.Exp(0.3*random.NormFloat64())) }, 30 * ms, 0.25},
		"pareto tail": {func() time.Duration { return min(scale(20*ms, math.Pow(random.Float64(), -0.25)), 999*ms) },
			scale(20*ms, math.Pow(0.5, -0.25)), 0.20},
		"one in ten is 0.8 s": {func() time.Duration {
			if random.Float64() < 0.1 {
				return 800 * ms
			}
			return scale(20*ms, 1+0.01*random.NormFloat64())
		}, 20 * ms, 0.02},
	} {
		t.Run(name, func(t *testing.T) {
			random = rand.New(rand.NewPCG(1, 2))
			et := newEstimatorTest(t, Config{})
			var errors []float64
			for i := range 5000 {
				rtt := tt.draw()
				if random.Float64() < 0.05 {
					rtt = 0 // and some are lost
				}
				et.probe(rtt)
				if i >= 30 {
					errors = append(errors, math.Abs(float64(et.m().RTT)/float64(tt.median)-1))
				}
			}
			slices.Sort(errors)
			p99 := errors[len(errors)*99/100]
			if p99 > tt.bound {
				t.Errorf("1 %% of the time the error is above %.1f %%, bound %.1f %%", 100*p99, 100*tt.bound)
			}
			t.Logf("error: median %.2f %%, p99 %.2f %%, max %.2f %%", 100*errors[len(errors)/2], 100*p99, 100*errors[len(errors)-1])
		})
	}
}

// A change of a noisy path is followed within a few probes.
func TestEstimatorNoisyPathChange(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	worst := 0
	for range 200 {
		et := newEstimatorTest(t, Config{})
		draw := func(d time.Duration) time.Duration {
			return time.Duration(float64(d) * (1 + 0.02*math.Abs(random.NormFloat64())))
		}
		for range 40 {
			et.probe(draw(30 * ms))
		}
		n := 0
		for et.m().RTT < 45*ms && n < 40 {
			et.probe(draw(50 * ms))
			n++
		}
		worst = max(worst, n)
	}
	if worst > 5 {
		t.Errorf("a path change took %d probes", worst)
	}
}

// The window's figures agree with those of a dumb one, whatever comes in
// whatever order.
func TestEstimatorAgainstDumb(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := Config{Interval: time.Second, Window: 8 * time.Second, Timeout: 2500 * ms, UnreachableAfter: 2}
		e := NewEstimator(cfg)
		type record struct {
			at       time.Time
			arrives  time.Time // zero: never
			rtt      time.Duration
			answered bool
		}
		var all []record
		now := start
		for range rapid.IntRange(1, 40).Draw(t, "probes") {
			r := record{at: now}
			if rapid.IntRange(0, 3).Draw(t, "fate") > 0 {
				r.rtt = time.Duration(rapid.IntRange(1, 3500).Draw(t, "rtt")) * ms
				r.arrives = now.Add(r.rtt)
			}
			all = append(all, r)
			e.Sent(now, uint32(len(all)), uint64(len(all)))
			until := now.Add(time.Second)
			for { // answers until the next probe, in order of arrival
				next := -1
				for i, r := range all {
					if !r.arrives.IsZero() && !r.arrives.After(until) && (next < 0 || r.arrives.Before(all[next].arrives)) {
						next = i
					}
				}
				if next < 0 {
					break
				}
				r := &all[next]
				e.Advance(r.arrives)
				o, _ := e.Received(r.arrives, Answer{Seq: uint32(next + 1), Stamp: uint64(next + 1), At: r.arrives})
				if want := r.rtt <= cfg.Timeout; (o == Accepted) != want {
					t.Fatalf("probe %d after %v: outcome %d", next, r.rtt, o)
				}
				r.answered = r.rtt <= cfg.Timeout
				r.arrives = time.Time{}
			}
			now = until
			e.Advance(now)
			m, _ := e.Measurement(now)
			var rtts []time.Duration
			losses := 0
			for _, r := range all {
				switch age := now.Sub(r.at); {
				case age > cfg.Window:
				case r.answered:
					rtts = append(rtts, r.rtt)
				case age >= cfg.Timeout:
					losses++
				}
			}
			if m.Known != (len(rtts) > 0) || losses+len(rtts) > 0 && m.Loss != float64(losses)/float64(losses+len(rtts)) {
				t.Fatalf("known %v loss %v, want %d lost of %d", m.Known, m.Loss, losses, losses+len(rtts))
			}
			if len(rtts) > 0 && (m.Min != slices.Min(rtts) || m.Max != slices.Max(rtts) || m.RTT < m.Min || m.RTT > m.Max) {
				t.Fatalf("%+v, want from %v", m, rtts)
			}
		}
	})
}

// The memory is fixed from the beginning, but for the scratch, which is as
// long as the ring at most.
func TestEstimatorMemory(t *testing.T) {
	et := newEstimatorTest(t, Config{Interval: minInterval, Window: time.Hour, Timeout: time.Minute})
	if n := len(et.e.ring); n != maxProbes {
		t.Fatalf("%d slots", n)
	}
	t.Log("# more in flight than there are slots: the oldest are lost")
	for range 2 * maxProbes {
		et.send()
		et.now = et.now.Add(minInterval)
	}
	if m := et.m(); m.LostInRow != maxProbes || m.Sent != 2*maxProbes {
		t.Errorf("%+v", m)
	}
	if n := testing.AllocsPerRun(1000, func() { et.probe(ms); et.m() }); n > 0.1 {
		t.Errorf("%v allocations per probe", n)
	}
}

func TestDistrust(t *testing.T) {
	up := Measurement{Decided: true, Reachable: true, Known: true, Min: 40 * ms, RTT: 42 * ms, Sent: 30}
	down := Measurement{Decided: true, LostInRow: 5, Sent: 30}
	lossy := up
	lossy.Loss = 0.6
	for _, tt := range []struct {
		why  string
		c    Claim
		m    Measurement
		want string
	}{
		{"good and reachable", Claim{Score: 10}, up, ""},
		{"excellent, not reachable", Claim{Score: 9}, down, "advertises score 9 while probes say unreachable (5 lost in a row)"},
		{"poor, not reachable: consistent", Claim{Score: 3}, down, ""},
		{"no score", Claim{Score: -1}, down, ""},
		{"a delay, not reachable", Claim{Score: -1, EndToEnd: 5 * ms}, down, "advertises delay 5ms while probes say unreachable (5 lost in a row)"},
		{"faster than the path", Claim{Score: -1, EndToEnd: 5 * ms}, up, "advertises delay 5ms while the path alone takes 40ms at best"},
		{"slower than the path", Claim{Score: 10, EndToEnd: 50 * ms}, up, ""},
		{"good on a ruined path", Claim{Score: 8}, lossy, "advertises score 8 while 60 % of probes are lost"},
		{"medium on a ruined path", Claim{Score: 7}, lossy, ""},
		{"not decided: no opinion", Claim{Score: 10, EndToEnd: ms}, Measurement{Sent: 3}, ""},
	} {
		if got := Distrust(tt.c, tt.m); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.why, got, tt.want)
		}
	}
}

func BenchmarkEstimator(b *testing.B) {
	et := newEstimatorTest(b, Config{})
	et.probes(repeat(30, 20*ms)...)
	b.ReportAllocs()
	for b.Loop() {
		et.probe(20*ms + time.Duration(et.seq%7)*ms)
		et.m()
	}
}
