package selection

import (
	"math"
	"net/netip"
	"testing"
	"time"

	"github.com/catsbgp/catsbgp/advert"
)

const ms = time.Millisecond

func drain(c *Candidate) { c.Flags |= advert.Drain }

func TestBalanced(t *testing.T) {
	sc := newScene(t, Default())

	sc.say("nothing known: packets follow the anycast route, nothing is due")
	sc.decide()
	sc.wantRung(RungAnycast)
	if due := sc.s.Due(); !due.IsZero() {
		t.Errorf("due at %v, want never", due)
	}

	sc.say("one candidate takes all at once")
	sc.rtt("a", 10*ms)
	sc.rtt("b", 10*ms)
	sc.hear("a1", 0.6)
	sc.decide()
	sc.wantRung(RungFresh)
	sc.wantShares(map[string]float64{"a1": 1})

	sc.say("its equal, heard a moment later, gets the same share: both are part of the start")
	sc.advance(100 * ms)
	sc.hear("b1", 0.6)
	sc.decide()
	sc.wantShares(map[string]float64{"a1": 0.5, "b1": 0.5})

	sc.say("the start over, nothing moves while nothing changes")
	sc.run(10 * time.Second)
	sc.wantShares(map[string]float64{"a1": 0.5, "b1": 0.5})

	sc.say("b gets busier: flows move to a, 70 %% of the way at the next tick, not before")
	sc.hear("b1", 0.8)
	sc.decide()
	sc.wantShares(map[string]float64{"a1": 0.5, "b1": 0.5})
	sc.run(2200 * ms)
	first := sc.share("a1")
	wanted := sc.target("a1").Wanted
	if got, want := first-0.5, 0.7*(wanted-0.5); math.Abs(got-want) > 1e-6 {
		t.Errorf("a1 gained %.4f at the first tick, want %.4f: 0.7 of the way to %.4f", got, want, wanted)
	}

	sc.say("and settles where both would be loaded alike, the others moving as well: 0.7 of capacity each")
	sc.run(20 * time.Second)
	a, b := sc.target("a1"), sc.target("b1")
	if math.Abs(a.Terms.Anticipated-b.Terms.Anticipated) > 1e-3 || math.Abs(a.Terms.Anticipated-0.7) > 0.01 {
		t.Errorf("anticipated loads %.4f and %.4f, want 0.7 both", a.Terms.Anticipated, b.Terms.Anticipated)
	}
	if a.Terms.Cost-b.Terms.Cost > time.Microsecond || sc.sp.Lambda-a.Terms.Cost > time.Microsecond {
		t.Errorf("costs %v and %v, price %v: want all alike", a.Terms.Cost, b.Terms.Cost, sc.sp.Lambda)
	}

	sc.say("a drains: its flows do not wait for a tick")
	sc.hear("a1", 0.7, drain)
	if due := sc.s.Due(); due.After(sc.now) {
		t.Errorf("due in %v, want at once", due.Sub(sc.now))
	}
	sc.decide()
	sc.wantShares(map[string]float64{"a1": 0, "b1": 1})
	sc.wantReason("a1", Draining)

	sc.say("the drain undone: a comes back by ticks")
	sc.hear("a1", 0.5)
	sc.decide()
	sc.wantShares(map[string]float64{"a1": 0, "b1": 1})
	sc.run(20 * time.Second)
	if s := sc.share("a1"); s < 0.1 || s > 0.9 {
		t.Errorf("a1 has %.3f long after its drain was undone", s)
	}

	sc.say("b is withdrawn")
	sc.s.Forget(sc.now, keyOf("b1"))
	sc.decide()
	sc.wantShares(map[string]float64{"a1": 1})
	if c := sc.sp.Changes; len(c) == 0 || c[0].Kind != TargetLeft || c[0].Reason != Withdrawn {
		t.Errorf("changes %v, want that b1 left, withdrawn", c)
	}

	sc.say("so is a: back to the anycast route")
	sc.s.Forget(sc.now, keyOf("a1"))
	sc.decide()
	sc.wantRung(RungAnycast)
}

func TestBalancedPrefersTheNear(t *testing.T) {
	sc := newScene(t, Default())
	sc.rtt("a", 5*ms)
	sc.rtt("b", 45*ms)

	sc.say("hardly any load: the near site takes it all, the far one only what overflows")
	sc.hear("a1", 0.05)
	sc.hear("b1", 0.05)
	sc.run(5 * time.Second)
	sc.wantShares(map[string]float64{"a1": 1, "b1": 0})
	if tg := sc.target("b1"); tg.Reason != TooDear || tg.Quota < 1 {
		t.Errorf("b1: %s, quota %v: want it too dear, but with room for spilled flows", tg.Reason, tg.Quota)
	}

	sc.say("both loaded: the near one is filled further, until waiting there costs the way")
	sc.hear("a1", 1.1)
	sc.hear("b1", 0.5)
	sc.run(60 * time.Second)
	a, b := sc.target("a1"), sc.target("b1")
	if !(a.Terms.Anticipated > b.Terms.Anticipated+0.01) || a.Terms.Anticipated > 0.97 || b.Share == 0 {
		t.Errorf("anticipated loads %.3f near, %.3f far", a.Terms.Anticipated, b.Terms.Anticipated)
	}
}

func TestAnticipationCountsTheOthers(t *testing.T) {
	sc := newScene(t, Default())
	sc.say("two equals at 10 ms, one loaded to 0.5, one to 0.9; this ingress has a tenth of the flows")
	sc.hear("a1", 0.5)
	sc.hear("b1", 0.9)
	sc.run(10 * time.Second)

	sc.say("everyone sees the same and moves alike: settle at 0.7, which is a share of 0.5, not all to a")
	sc.wantShares(map[string]float64{"a1": 0.5, "b1": 0.5})
	if l := sc.target("a1").Terms.Slope; math.Abs(l-280) > 1 {
		t.Errorf("L = %.1f flows/s, want all of Λ = 280", l)
	}
}

func TestNewInstance(t *testing.T) {
	sc := newScene(t, Default())
	for _, n := range []string{"a1", "b1", "c1"} {
		sc.hear(n, 0.8)
	}
	sc.decide()
	sc.say("at the start all are new: none counts half")
	if c := sc.target("a1").Capacity; c != 200 {
		t.Errorf("capacity counted %v, want 200", c)
	}
	sc.run(time.Minute)

	sc.say("d appears, empty: half its capacity for ten seconds; nobody knows how the others take to it, so all may")
	sc.hear("d1", 0)
	sc.run(9 * time.Second)
	d := sc.target("d1")
	if d.Capacity != 100 {
		t.Errorf("capacity counted %v, want 100", d.Capacity)
	}
	if l := d.Terms.Slope; math.Abs(l-480) > 1 {
		t.Errorf("L = %.0f, want all of Λ = 480", l)
	}
	if d.Share > 0.2 {
		t.Errorf("the new instance has %.3f of the flows: %.0f flows/s for 200", d.Share, d.Share*480)
	}
	sc.run(1500 * ms)
	sc.say("then all of it")
	if c := sc.target("d1").Capacity; c != 200 {
		t.Errorf("capacity counted %v, want 200", c)
	}
}

func TestConstraints(t *testing.T) {
	p := Default()
	p.MaxDelay, p.MinScore, p.Sites = 50*ms, 4, []string{"a", "b", "192.0.2.99", "e", "f", "g"} // .99 is "c"
	sc := newScene(t, p)
	for site, d := range map[string]time.Duration{"a": 10 * ms, "b": 51 * ms, "c": 20 * ms, "d": 10 * ms, "f": 10 * ms} {
		sc.rtt(site, d)
	}
	score := func(n int) func(*Candidate) { return func(c *Candidate) { c.Score = n } }
	bar := func(why string) func(*Candidate) { return func(c *Candidate) { c.Ineligible = why } }
	sc.hear("a1", 0.5, score(4))
	sc.hear("a2", 0.5, score(3))
	sc.hear("a3", 0.5, bar("signature"))
	sc.hear("a4", 0.5, bar("over budget"))
	sc.hear("b1", 0.5)
	sc.hear("c1", 0.5)
	sc.hear("d1", 0.5)
	sc.hear("e1", 0.5) // never measured
	sc.hear("f1", 0.5)
	sc.s.Measure(sc.now, siteAddr("f"), Path{})
	sc.s.Measure(sc.now, siteAddr("f"), Path{RTT: 10 * ms, Known: true, Reachable: true})
	sc.s.Measure(sc.now, siteAddr("f"), Path{RTT: 10 * ms, Known: true, Reachable: false, Loss: 1})
	sc.hear("g1", 0.5)
	sc.s.Measure(sc.now, siteAddr("g"), Path{Loss: 1}) // asked, never answered
	sc.decide()
	for name, why := range map[string]Reason{
		"a1": "", "a2": LowScore, "a3": BadSignature, "a4": Ineligible, "b1": TooFar, "c1": "",
		"d1": SiteNotAllowed, "e1": "", "f1": Unreachable, "g1": "",
	} {
		sc.wantReason(name, why)
	}
	sc.say("the unmeasured ones are taken to be farther than the farthest that is allowed and measured, not shut out")
	if e := sc.target("e1"); e.Terms.RTTKnown || e.Terms.RTT != 26*ms {
		t.Errorf("e1 at %v (known: %v), want assumed 26 ms", e.Terms.RTT, e.Terms.RTTKnown)
	}
	sc.say("the way to f works again")
	sc.rtt("f", 10*ms)
	sc.decide()
	sc.wantReason("f1", "")
}

func TestUnknownNumbers(t *testing.T) {
	nan := math.NaN()
	sc := newScene(t, Default())
	sc.say("only scores: u = 1 - score/10, capacities alike")
	for name, score := range map[string]int{"a1": 9, "b1": 3} {
		sc.hear(name, nan, func(c *Candidate) { c.Score, c.Capacity, c.Slots, c.ServiceTime = score, 0, 0, 0 })
	}
	sc.decide()
	if a, b := sc.target("a1"), sc.target("b1"); a.Terms.Utilisation > 0.1+1e-9 || math.Abs(b.Terms.Utilisation-0.7) > 1e-9 ||
		a.Capacity != 200 || b.Capacity != 200 {
		t.Errorf("a %+v, b %+v", a, b)
	}
	sc.say("own flow rates in real flows/s do not meet assumed capacities")
	sc.s.Own(sc.now, keyOf("a1"), 0, 0)
	sc.advance(5 * time.Second)
	sc.s.Own(sc.now, keyOf("a1"), 100, 1_000_000)
	sc.run(5 * time.Second)
	if sc.sp.Demand > 400 {
		t.Errorf("Λ = %v, in units of the assumed capacity it is at most 400", sc.sp.Demand)
	}

	sc = newScene(t, Default())
	sc.say("slots and service time make a capacity; an unknown one is the mean of the known")
	sc.hear("a1", 0.5, func(c *Candidate) { c.Capacity = 0 })
	sc.hear("b1", 0.5, func(c *Candidate) { c.Capacity = 400 })
	sc.hear("c1", 0.5, func(c *Candidate) { c.Capacity, c.Slots = nan, 0 })
	sc.decide()
	for name, want := range map[string]float64{"a1": 200, "b1": 400, "c1": 300} {
		if got := sc.target(name).Capacity; math.Abs(got-want) > 1e-9 {
			t.Errorf("%s counts %v flows/s, want %v", name, got, want)
		}
	}
}

func TestQuota(t *testing.T) {
	sc := newScene(t, Default())
	sc.rtt("a", 10*ms)
	sc.rtt("b", 10*ms)
	sc.hear("a1", 0.5)
	sc.hear("b1", 0.5)
	sc.decide()
	sc.say("no news of our own flows: all room below η may be ours. n = (0.9-0.5)·200·0.05 = 4")
	if q, want := sc.target("a1").Quota, 4+2*2+1.0; math.Abs(q-want) > 1e-9 {
		t.Errorf("quota %v, want %v", q, want)
	}
	sc.say("we have 20 of the 200 flows/s, evenly: e = 10 + 80·0.1 = 18, n = 18·0.05 = 0.9")
	for range 200 {
		sc.advance(time.Second)
		for _, n := range []string{"a1", "b1"} {
			sc.flows[n] += 10
			sc.s.Own(sc.now, keyOf(n), 1, sc.flows[n])
			sc.hear(n, 0.5)
		}
	}
	sc.decide()
	if q, want := sc.target("a1").Quota, 0.9+2*math.Sqrt(0.9)+1; math.Abs(q-want) > 1e-6 {
		t.Errorf("quota %v, want %v", q, want)
	}
	sc.say("our rate doubles: no more room until the next advertisement has it, or quotas would grow with what they let through")
	for range 30 {
		sc.advance(time.Second)
		for _, n := range []string{"a1", "b1"} {
			sc.flows[n] += 20
			sc.s.Own(sc.now, keyOf(n), 1, sc.flows[n])
		}
	}
	sc.decide()
	n := (10 + 80*40.0/200) * 0.05 // Λ_i is 40 of 200 now
	if q, want := sc.target("a1").Quota, n+2*math.Sqrt(n)+1; math.Abs(q-want) > 1e-2 {
		t.Errorf("quota %v, want %v", q, want)
	}
	for range 200 {
		sc.advance(time.Second)
		for _, n := range []string{"a1", "b1"} {
			sc.flows[n] += 10
			sc.s.Own(sc.now, keyOf(n), 1, sc.flows[n])
		}
	}
	sc.say("loaded beyond η: our own rate is all we are entitled to, n = 10·0.05")
	sc.hear("a1", 0.95)
	sc.decide()
	if q, want := sc.target("a1").Quota, 0.5+2*math.Sqrt(0.5)+1; math.Abs(q-want) > 1e-6 {
		t.Errorf("quota %v, want %v", q, want)
	}
	sc.say("connections that stay open 20 s instead of 50 ms: quotas follow their life, halved")
	for range 200 {
		sc.advance(time.Second)
		for _, n := range []string{"a1", "b1"} {
			sc.flows[n] += 10
			sc.s.Own(sc.now, keyOf(n), 200, sc.flows[n])
			sc.hear(n, 0.5)
		}
	}
	sc.decide()
	n = 0.9 * 200 // 20 s / 50 ms / 2
	if q, want := sc.target("a1").Quota, n+2*math.Sqrt(n)+1; math.Abs(q-want) > 1e-3*want {
		t.Errorf("quota %v, want %v (stretch %v)", q, want, sc.sp.Stretch)
	}
}

func TestPrefIsTheAverageOverTheWindow(t *testing.T) {
	sc := newScene(t, Default())
	sc.hear("a1", 0.5)
	sc.hear("b1", 0.5)
	sc.run(10 * time.Second)
	sc.hear("b1", 0.9)
	sc.s.Forget(sc.now, keyOf("b1"))
	sc.decide()
	sc.wantShares(map[string]float64{"a1": 1})
	sc.say("a had half, and has all for 1 s of a window of 2 s when it is heard again: 1 - 0.5·e^-½")
	sc.advance(time.Second)
	sc.hear("a1", 0.7)
	sc.advance(300 * ms) // whatever comes later is no part of it
	sc.decide()
	if got, want := sc.target("a1").Terms.Pref, 1-0.5*math.Exp(-0.5); math.Abs(got-want) > 1e-9 {
		t.Errorf("pref %v, want %v", got, want)
	}
	sc.say("the same news again is no new advertisement")
	before := sc.target("a1").Terms.Pref
	c := candidate("a1", 0.7)
	c.Heard = sc.now.Add(-300 * ms)
	sc.s.Hear(sc.now, c)
	sc.decide()
	if got := sc.target("a1").Terms.Pref; got != before {
		t.Errorf("pref %v, want %v still", got, before)
	}
}

func TestOwnRateIsTheLeastThatShifts(t *testing.T) {
	sc := newScene(t, Default())
	sc.hear("a1", 0)
	sc.hear("b1", 0)
	started := uint64(0)
	second := func() {
		sc.s.Own(sc.now, keyOf("a1"), 5, started)
		sc.run(time.Second)
		started += 100
	}
	for range 10 {
		second()
	}
	sc.say("advertised idle, yet we send 100 flows/s")
	if math.Abs(sc.sp.Demand-100) > 1e-6 || math.Abs(sc.sp.OwnRate-100) > 1e-6 {
		t.Errorf("Λ %v, own %v: want 100 both", sc.sp.Demand, sc.sp.OwnRate)
	}
	sc.say("half of ours should be there, and it says 20 flows/s: not 40, but all of ours shift")
	sc.hear("a1", 0.1)
	second()
	if tm := sc.target("a1").Terms; math.Abs(tm.Pref-0.5) > 0.01 || math.Abs(tm.Slope-100) > 1e-6 {
		t.Errorf("pref %v, L %v: want 0.5 and 100", tm.Pref, tm.Slope)
	}
}

func TestNearest(t *testing.T) {
	p := Default()
	p.Kind = Nearest
	sc := newScene(t, p)
	sc.hear("a1", 0.99)
	sc.hear("a2", 0.99, func(c *Candidate) { c.Capacity = 600 })
	sc.hear("b1", 0)
	sc.say("nothing measured: the routing knows better")
	sc.decide()
	sc.wantRung(RungAnycast)
	sc.wantReason("a1", Unmeasured)

	sc.say("the nearest site by capacity, whatever its load")
	sc.rtt("a", 10*ms)
	sc.rtt("b", 12*ms)
	sc.decide()
	sc.wantShares(map[string]float64{"a1": 0.25, "a2": 0.75})
	sc.wantReason("b1", Farther)

	sc.say("b a little nearer is not worth a move")
	sc.rtt("b", 9500*time.Microsecond)
	sc.run(5 * time.Second)
	sc.wantShares(map[string]float64{"a1": 0.25, "a2": 0.75})
	if r := sc.target("a1").Reason; r != Kept {
		t.Errorf("reason %s, want %s", r, Kept)
	}
	sc.say("clearly nearer is")
	sc.rtt("b", 8*ms)
	sc.run(5 * time.Second)
	sc.wantShares(map[string]float64{"b1": 1})
}

func TestLeastCost(t *testing.T) {
	p := Default()
	p.Kind = LeastCost
	sc := newScene(t, p)
	sc.rtt("a", 10*ms)
	sc.rtt("b", 30*ms)
	sc.hear("a1", 0.5)
	sc.hear("b1", 0.5)
	sc.decide()
	sc.wantShares(map[string]float64{"a1": 1})
	sc.say("the advertised best takes all, at once")
	sc.hear("a1", 0.95)
	sc.decide()
	sc.wantShares(map[string]float64{"b1": 1})
	sc.wantReason("a1", Costlier)
}

func TestWeightedAndStatic(t *testing.T) {
	w := func(v float64) func(*Candidate) { return func(c *Candidate) { c.Weight = v } }
	hear := func(sc *scene) {
		sc.hear("a1", 0.9, w(3))
		sc.hear("a2", 0.1, w(3), func(c *Candidate) { c.Capacity = 600 })
		sc.hear("b1", 0.1, w(1))
		sc.hear("c1", 0.1, w(0))
		sc.decide()
	}
	p := Default()
	p.Kind = Weighted
	sc := newScene(t, p)
	hear(sc)
	sc.say("capacity × weight: 600, 1800, 200")
	sc.wantShares(map[string]float64{"a1": 600.0 / 2600, "a2": 1800.0 / 2600, "b1": 200.0 / 2600})
	sc.wantReason("c1", NoWeight)

	p.Kind = Static
	sc = newScene(t, p)
	hear(sc)
	sc.say("static weights are of sites: three quarters to a, whose two instances divide it")
	sc.wantShares(map[string]float64{"a1": 0.375, "a2": 0.375, "b1": 0.25})

	sc = newScene(t, p)
	sc.hear("a1", 0.9, w(0))
	sc.hear("b1", 0.9, w(math.NaN()))
	sc.decide()
	sc.say("no weights at all: all alike")
	sc.wantShares(map[string]float64{"a1": 0.5, "b1": 0.5})
}

func TestLexicographic(t *testing.T) {
	p := Default()
	p.Kind = Lexicographic
	sc := newScene(t, p)
	set := func(pref, score int) func(*Candidate) {
		return func(c *Candidate) { c.Preference, c.Score = pref, score }
	}
	sc.rtt("a", 20*ms)
	sc.rtt("b", 10*ms)
	sc.rtt("c", 5*ms)
	sc.hear("a1", 0.5, set(1, 8))
	sc.hear("a2", 0.5, set(1, 9))
	sc.hear("a3", 0.5, set(1, 5))
	sc.hear("b1", 0.5, set(1, 7))
	sc.hear("c1", 0.5, set(0, 10))
	sc.decide()
	sc.say("preference, then class, then round trip: the high ones of a share alike")
	sc.wantShares(map[string]float64{"a1": 0.5, "a2": 0.5})
	sc.wantReason("a3", LowerScore)
	sc.wantReason("b1", LowerScore)
	sc.wantReason("c1", LowerPreference)

	sc.say("a falls to the class of b, by one point: the site in use is given that point")
	sc.hear("a1", 0.5, set(1, 7))
	sc.hear("a2", 0.5, set(1, 7))
	sc.run(time.Minute)
	if sc.share("b1") != 0 {
		t.Errorf("moved: %s", describe(sc.sp))
	}
	sc.say("by two points: the same class now, and b is nearer")
	sc.hear("a1", 0.5, set(1, 6))
	sc.hear("a2", 0.5, set(1, 6))
	sc.run(3 * time.Second)
	sc.wantShares(map[string]float64{"b1": 1})

	sc.say("b gets bad at once, now that it has the flows; the choice stands for ten seconds")
	sc.hear("a1", 0.5, set(1, 10))
	sc.hear("b1", 0.5, set(1, 2))
	sc.run(5 * time.Second)
	sc.wantShares(map[string]float64{"b1": 1})
	sc.run(6 * time.Second) // moves in its last seconds
	if sc.share("a1") == 0 {
		t.Errorf("still at b after the dwell: %s", describe(sc.sp))
	}
	sc.say("b is as good again, and nearer; but the last move is not ten seconds ago")
	sc.hear("a1", 0.5, set(1, 5))
	sc.hear("a2", 0.5, set(1, 5))
	sc.hear("b1", 0.5, set(1, 5))
	sc.run(2 * time.Second)
	if sc.share("b1") != 0 {
		t.Errorf("moved within the dwell: %s", describe(sc.sp))
	}
	sc.say("a higher preference does not wait")
	sc.hear("c1", 0.5, set(2, 0))
	sc.decide()
	sc.wantShares(map[string]float64{"c1": 1})
}

func TestDecideIsIdempotent(t *testing.T) {
	sc := newScene(t, Default())
	sc.hear("a1", 0.5)
	sc.hear("b1", 0.7)
	a := sc.decide()
	b := sc.decide()
	if a.Version != b.Version || len(b.Changes) != 0 {
		t.Error("nothing came in, nothing is due, yet another split, or the same changes again")
	}
	if sc.decide() != b {
		t.Error("the same split is copied again and again")
	}
	sc.say("the same advertisement again changes nothing but the version")
	c := candidate("a1", 0.5)
	c.Heard = sc.now
	sc.s.Hear(sc.now, c)
	if b := sc.decide(); b.Version != a.Version+1 || b.Moved != 0 || len(b.Changes) != 0 {
		t.Errorf("version %d after %d, moved %v, changes %v", b.Version, a.Version, b.Moved, b.Changes)
	}
}

func TestClockJumps(t *testing.T) {
	sc := newScene(t, Default())
	sc.hear("a1", 0.5)
	sc.hear("b1", 0.7)
	sc.run(10 * time.Second)
	sc.say("an hour back: ticks go on")
	sc.advance(-time.Hour)
	sc.hear("b1", 0.3)
	sc.decide()
	if due := sc.s.Due(); due.Sub(sc.now) > 3*time.Second {
		t.Errorf("next decision in %v", due.Sub(sc.now))
	}
	sc.run(10 * time.Second)
	sc.say("ten years on: all is stale, until heard again")
	sc.advance(10 * 365 * 24 * time.Hour)
	sc.decide()
	sc.wantRung(RungAnycast)
	sc.hear("a1", 0.5)
	sc.decide()
	sc.wantRung(RungFresh)
}

func TestSetPolicy(t *testing.T) {
	sc := newScene(t, Default())
	sc.rtt("a", 10*ms)
	sc.rtt("b", 20*ms)
	sc.hear("a1", 0.8)
	sc.hear("b1", 0.8)
	sc.run(5 * time.Second)
	p := Default()
	p.Kind, p.MaxDelay = Nearest, 15*ms
	sc.s.SetPolicy(sc.now, p)
	sc.decide()
	sc.wantShares(map[string]float64{"a1": 1})
	sc.wantReason("b1", TooFar)
	sc.say("nonsense is repaired")
	got := Policy{Kind: "bogus", Gain: -1, Omega: math.NaN(), Eta: 7, Draws: 99, MaxDelay: -1}.checked()
	if got.Kind != Balanced || got.Gain != 0.7 || got.Omega != 0.5 || got.Eta != kneeLoad || got.Draws != maxDraws || got.MaxDelay != 0 {
		t.Errorf("%+v", got)
	}
}

func TestTicks(t *testing.T) {
	sc := newScene(t, Default())
	sc.hear("a1", 0.5)
	sc.run(3 * time.Second)
	gap := func() time.Duration {
		for {
			sc.now = sc.s.Due()
			before := sc.s.nextTick
			sc.decide()
			if sc.s.nextTick != before {
				return sc.s.nextTick.Sub(sc.now)
			}
		}
	}
	check := func(want time.Duration) {
		t.Helper()
		seen := map[time.Duration]bool{}
		for range 20 {
			g := gap()
			seen[g] = true
			if g < want*9/10-1 || g > want*11/10+1 {
				t.Errorf("tick of %v, want %v ± 10 %%", g, want)
			}
		}
		if len(seen) < 10 {
			t.Error("ticks are not spread")
		}
	}
	sc.say("one advertisement, no period known: 2 s")
	check(2 * time.Second)
	sc.say("advertised every 100 ms: 0.5 s at least")
	for range 30 {
		sc.advance(100 * ms)
		sc.hear("a1", 0.5)
	}
	sc.decide()
	check(500 * ms)
}

// A site that is overloaded by users who come another way: what we take away
// does not relieve it as far as we reckon, so it has nothing new to say. Its
// silence says that.
func TestSilenceIsNews(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	s := New(advert.CSID{}, Default(), 1)
	key := func(n byte) advert.InstanceKey {
		return advert.InstanceKey{ID: advert.InstanceNumber(uint32(n)), Egress: netip.AddrFrom4([4]byte{192, 0, 2, n})}
	}
	hear := func(n byte, u float64) {
		s.Hear(now, Candidate{Key: key(n), Site: string('a' + rune(n)), Utilisation: u, Score: -1, Capacity: 100, Slots: 8, Heard: now, Validity: 90 * time.Second})
	}
	var started [3]uint64
	share := func(n byte) float64 {
		for _, tg := range s.Decide(now).Targets {
			if tg.Key == key(n) {
				return tg.Share
			}
		}
		return 0
	}
	// run lets d pass, with 60 flows a second by the shares.
	run := func(d time.Duration) {
		for end := now.Add(d); now.Before(end); now = now.Add(100 * time.Millisecond) {
			for n := byte(1); n <= 2; n++ {
				started[n] += uint64(6 * share(n))
				s.Own(now, key(n), 1, started[n])
			}
		}
	}
	hear(1, 0.3)
	hear(2, 0.3)
	run(20 * time.Second)

	t.Logf("# 120 %% of site 1 is others' load; it says 150 %% and later, with less of ours, 132 %%")
	hear(1, 1.5)
	run(3 * time.Second)
	hear(1, 1.32)
	run(5 * time.Second)
	before := share(1)
	if before > 0.45 {
		t.Errorf("site 1 has %.2f of the flows soon after, want it left in part", before)
	}
	t.Logf("# a quarter of a minute without a word confirms 132 %%")
	run(18 * time.Second)
	if after := share(1); after > before/4 {
		t.Errorf("site 1 has %.2f of the flows, had %.2f: its silence was not heard", after, before)
	}
}

// A site that drains is not to be had by its anycast route either: that one
// says nothing of draining, and may be the last one there is.
func TestDrainingSiteIsNotTakenByItsOtherRoute(t *testing.T) {
	site := func(c *Candidate) { c.Level, c.Key.ID = LevelSite, advert.CSCIID{} }
	sc := newScene(t, Default())
	sc.rtt("a", 5*ms)
	sc.hear("a", math.NaN(), site)
	sc.hear("a1", 0.5)
	sc.hear("a2", 0.5)
	sc.decide()
	sc.hear("a1", 0.5, drain)
	sc.hear("a2", 0.5, drain)
	if sp := sc.decide(); sp.Rung != RungAnycast || len(sp.Targets) != 0 {
		t.Errorf("rung %s with %d targets while the only site drains", sp.Rung, len(sp.Targets))
	}
	sc.say("another site that only has its anycast route takes them")
	sc.rtt("b", 9*ms)
	sc.hear("b", math.NaN(), site)
	if sp := sc.decide(); sp.Rung != RungMeasured || len(sp.Targets) != 1 || sp.Targets[0].Site != "b" {
		t.Errorf("rung %s, targets %+v", sp.Rung, sp.Targets)
	}
	sc.say("once the instances are withdrawn nobody speaks for the site, and its route is nearest")
	sc.s.Forget(sc.now, keyOf("a1"))
	sc.s.Forget(sc.now, keyOf("a2"))
	if sp := sc.decide(); sp.Rung != RungMeasured || len(sp.Targets) != 1 || sp.Targets[0].Site != "a" {
		t.Errorf("rung %s, targets %+v", sp.Rung, sp.Targets)
	}
}
