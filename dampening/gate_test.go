package dampening

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// A test is one table and the caller's clock.
type test struct {
	*testing.T
	table *Table
	now   time.Time
}

func newTest(t *testing.T, edit func(*Params)) *test {
	p := Domain()
	p.Smoothing = 0
	if edit != nil {
		edit(&p)
	}
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	return &test{T: t, table: NewTable(p, 1), now: epoch}
}

func (t *test) observe(key string, s State, level float64) {
	t.table.Observe(t.now, key, Observation{State: s, Level: level})
}

func (t *test) pass(d time.Duration) { t.now = t.now.Add(d) }

// want advances and compares with lines like "say a up 0.5 delta" and
// "hold a up 0.5 delta min-interval 800ms", the last being how long it waits.
func (t *test) want(lines ...string) (next time.Time) {
	t.Helper()
	ds, next := t.table.Advance(t.now)
	var got []string
	for _, d := range ds {
		line := fmt.Sprintf("hold %s %v %v %v", d.Key, d.State, d.Level, d.Reason)
		if d.Say {
			line = "say" + strings.TrimPrefix(line, "hold")
		}
		if d.Held != NoReason {
			line += " " + d.Held.String()
		}
		if !d.Until.IsZero() {
			line += " " + d.Until.Sub(t.now).String()
		}
		got = append(got, line)
	}
	if !slices.Equal(got, lines) {
		t.Fatalf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(lines, "\n\t"))
	}
	return next
}

func TestMinInterval(tt *testing.T) {
	t := newTest(tt, nil)
	t.observe("a", Up, 0.5)
	t.want("say a up 0.5 first")

	t.Log("# a nanosecond too early it is held, and told when")
	t.pass(time.Second - 1)
	t.observe("a", Up, 0.625)
	next := t.want("hold a up 0.625 delta min-interval 1ns")
	if want := t.now.Add(1); !next.Equal(want) {
		t.Fatalf("next %v, want %v", next, want)
	}
	t.Log("# the timer alone says it, exactly then")
	t.pass(1)
	t.want("say a up 0.625 delta")

	t.Log("# what went away while it waited is not said")
	t.observe("a", Up, 0.75)
	t.want("hold a up 0.75 delta min-interval 1s")
	t.pass(500 * time.Millisecond)
	t.observe("a", Up, 0.625)
	t.want("hold a up 0.625 none below-threshold")
	t.pass(500 * time.Millisecond)
	t.want()

	t.Log("# down and drain do not wait, and a metric update waits after them too")
	t.observe("a", Draining, 0.625)
	t.want("say a draining 0.625 drain")
	t.observe("a", Draining, 0.75)
	t.want("hold a draining 0.75 delta min-interval 1s")
	t.observe("a", Down, 0)
	t.want("say a down 0.75 down")
	t.observe("a", Up, 0.25)
	t.want("say a up 0.25 up")
}

func TestHysteresis(tt *testing.T) {
	for _, test := range []struct {
		name   string
		levels []float64
		want   []Reason
	}{
		{"after High only Low matters", []float64{0.85, 0.90, 0.85, 0.90, 0.81, 0.80, 0.85, 0.90},
			[]Reason{SaidFirst, SaidHigh, HeldBelowThreshold, HeldBelowThreshold, HeldBelowThreshold, SaidLow, HeldBelowThreshold, SaidHigh}},
		{"first above High, then Low", []float64{0.95, 0.85, 0.79}, []Reason{SaidFirst, HeldBelowThreshold, SaidLow}},
		{"first between is below", []float64{0.85, 0.79, 0.9}, []Reason{SaidFirst, HeldBelowThreshold, SaidHigh}},
	} {
		tt.Run(test.name, func(tt *testing.T) {
			t := newTest(tt, func(p *Params) { p.Delta, p.BucketBurst = 1, 100 })
			for i, level := range test.levels {
				t.observe("a", Up, level)
				ds, _ := t.table.Advance(t.now)
				if got := max(ds[0].Reason, ds[0].Held); got != test.want[i] {
					t.Fatalf("level %v: got %v, want %v", level, got, test.want[i])
				}
				t.pass(2 * time.Second)
			}
		})
	}
}

func TestHysteresisOutlivesUpdates(tt *testing.T) {
	t := newTest(tt, func(p *Params) { p.Delta = 0.05 })
	for _, step := range []struct {
		level float64
		want  string
	}{{0.95, "first"}, {0.85, "delta"}, {0.95, "delta"}, {0.75, "low"}, {0.85, "delta"}, {0.9375, "high"}} {
		t.observe("a", Up, step.level)
		t.want(fmt.Sprintf("say a up %v %s", step.level, step.want))
		t.pass(10 * time.Second)
	}
}

// Params that Validate refuses: every level has crossed something.
func TestContradictionDoesNotSpin(tt *testing.T) {
	p := Domain()
	p.Low, p.High, p.MinInterval, p.Smoothing = 2, 1, 0, 0
	p.SessionPerSec, p.BucketPerMinute, p.BucketBurst = 1e9, 1e9, 1e9
	t := &test{T: tt, table: NewTable(p, 1), now: epoch}
	t.observe("a", Up, 1.5)
	if next := t.want("say a up 1.5 first"); !next.After(t.now) {
		t.Fatalf("next %v", next)
	}
	t.pass(time.Second)
	if next := t.want("say a up 1.5 low"); !next.After(t.now) {
		t.Fatalf("next %v", next)
	}
}

func TestDeltaIsAgainstWhatWasSaid(tt *testing.T) {
	t := newTest(tt, nil)
	t.observe("a", Up, 0.3)
	t.want("say a up 0.3 first")
	for _, level := range []float64{0.34, 0.38} {
		t.pass(2 * time.Second)
		t.observe("a", Up, level)
		t.want(fmt.Sprintf("hold a up %v none below-threshold", level))
	}
	t.Log("# 0.3 to 0.4 is 0.10 though binary fractions say a little less")
	t.pass(2 * time.Second)
	t.observe("a", Up, 0.4)
	t.want("say a up 0.4 delta")
}

func TestPresence(tt *testing.T) {
	t := newTest(tt, func(p *Params) {
		p.PresenceSuppress, p.PresenceReuse = 2600, 1500
		p.PresenceHalfLife, p.PresenceMaxSuppress = time.Minute, 2*time.Minute
	})
	t.Log("# the first appearance is free, the next three flaps are not")
	t.observe("a", Up, 0)
	t.want("say a up 0 first")
	t.observe("a", Down, 0)
	t.want("say a down 0 down")
	t.observe("a", Up, 0)
	t.want("say a up 0 up")
	t.observe("a", Down, 0)
	t.want("say a down 0 down")

	t.Log("# 3000 decays to 1500 in one half-life, fixed at the flap")
	t.pass(time.Second)
	t.table.Observe(t.now, "b", Observation{State: Up, Level: 0}) // b's is not a's
	t.want("say b up 0 first")
	t.pass(-time.Second + time.Minute - 1)
	if s, _ := t.table.Status("a"); s.Suppressed != true || !s.ReuseAt.Equal(epoch.Add(time.Minute)) {
		t.Fatalf("%+v", s)
	}

	t.Log("# it comes back while held: another 1000, from 1500, is less than suppress and moves the release all the same")
	t.observe("a", Up, 0)
	release := decayTime(decay(3000, time.Minute-1, time.Minute)+1000, 1500, time.Minute)
	t.want("say b up 0 refresh", "hold a up 0 reuse suppressed "+release.String())

	t.Log("# released exactly when promised, not before")
	t.pass(release - 1)
	ds, _ := t.table.Advance(t.now)
	if slices.ContainsFunc(ds, func(d Decision) bool { return d.Key == "a" }) {
		t.Fatalf("%+v", ds)
	}
	t.pass(1)
	t.want("say a up 0 reuse")

	t.Log("# and after a plain flap it is up, not reuse")
	t.pass(time.Hour)
	t.table.Advance(t.now)
	t.observe("a", Down, 0)
	t.want("say a down 0 down")
	t.observe("a", Up, 0)
	t.want("say a up 0 up")
}

func TestPresenceDownAtRelease(tt *testing.T) {
	t := newTest(tt, nil)
	t.observe("a", Up, 0)
	t.want("say a up 0 first")
	for range 4 {
		t.observe("a", Down, 0)
		t.observe("a", Up, 0)
	}
	t.want("say a down 0 down suppressed")
	t.observe("a", Down, 0)
	t.want("hold a down 0 none below-threshold")
	t.pass(3 * time.Hour)
	t.Log("# long after the release it comes back: that is no reuse")
	t.observe("a", Up, 0)
	t.want("say a up 0 up")
}

func TestPresenceCeiling(tt *testing.T) {
	t := newTest(tt, nil)
	for range 1000 {
		t.observe("a", Up, 0)
		t.observe("a", Down, 0)
	}
	t.want("hold a down 0 none below-threshold")
	t.observe("a", Up, 0)
	t.want("hold a up 0 first suppressed 1h0m0s")
}

func TestRemoveAndReturn(tt *testing.T) {
	t := newTest(tt, nil)
	t.observe("a", Up, 0)
	t.want("say a up 0 first")
	t.table.Remove(t.now, "a")
	t.table.Remove(t.now, "a")
	t.want("say a down 0 removed")
	if _, ok := t.table.Status("a"); ok || len(t.table.Keys()) != 0 {
		t.Fatal("still known")
	}
	t.Log("# the same name does not come back with a clean slate")
	t.pass(time.Minute)
	t.observe("a", Up, 0)
	t.want("say a up 0 first")
	if s, _ := t.table.Status("a"); s.Penalty < 1900 {
		t.Fatalf("penalty %v", s.Penalty)
	}
	t.Log("# and when the penalty is gone, nothing is left")
	t.table.Remove(t.now, "a")
	next := t.want("say a down 0 removed")
	t.now = next
	t.want()
	if s := t.table.Summary(); len(t.table.gates) != 0 || s.Remembered != 0 || s.Instances != 0 {
		t.Fatalf("%+v", s)
	}
	t.table.Remove(t.now, "never seen")
	t.table.Resay(t.now, "never seen")
	if next := t.want(); !next.IsZero() {
		t.Fatalf("an empty table wants to be called at %v", next)
	}
}

func TestResay(tt *testing.T) {
	t := newTest(tt, nil)
	t.observe("a", Up, 0.5)
	t.want("say a up 0.5 first")
	t.pass(400 * time.Millisecond)
	t.table.Resay(t.now, "a")
	t.want("hold a up 0.5 changed min-interval 600ms")
	t.pass(600 * time.Millisecond)
	t.want("say a up 0.5 changed")
	t.Log("# any other update says it too")
	t.table.Resay(t.now, "a")
	t.observe("a", Draining, 0.5)
	t.want("say a draining 0.5 drain")
	t.pass(2 * time.Second)
	t.want()
	t.Log("# a withdrawn instance is not said")
	t.observe("a", Down, 0)
	t.want("say a down 0.5 down")
	t.table.Resay(t.now, "a")
	t.want("hold a down 0.5 none below-threshold")
}

func TestBadLevels(tt *testing.T) {
	t := newTest(tt, nil)
	t.Log("# who never had a level is said with 0")
	t.observe("a", Up, math.NaN())
	t.want("say a up 0 first")
	t.pass(2 * time.Second)
	t.observe("a", Up, math.Inf(1))
	t.want("say a up 100 high")
	t.pass(2 * time.Second)
	t.observe("a", Up, math.NaN())
	t.want("hold a up 100 none below-threshold")
	t.observe("a", Up, -3)
	t.want("say a up 0 low")
	t.Log("# no such state: down")
	t.observe("a", 17, 0)
	t.want("say a down 0 down")
}

func TestSmoothing(tt *testing.T) {
	t := newTest(tt, func(p *Params) { p.Smoothing = 2 * time.Second })
	level := func(want float64) {
		t.Helper()
		if s, _ := t.table.Status("a"); math.Abs(s.Level-want) > 1e-9 {
			t.Fatalf("level %v, want %v", s.Level, want)
		}
	}
	t.observe("a", Up, 0.2)
	level(0.2)
	t.Log("# one time constant takes 63 % of a step, in one sample or in many")
	t.pass(2 * time.Second)
	t.observe("a", Up, 1)
	level(1 - 0.8/math.E)
	for range 20 {
		t.pass(100 * time.Millisecond)
		t.observe("a", Up, 1)
	}
	level(1 - 0.8/math.E/math.E)
	t.Log("# it arrives, and so crosses a threshold that the samples stand on")
	for range 10 {
		t.pass(time.Second)
		t.observe("a", Up, 0.9)
	}
	level(0.9)
	t.Log("# who comes back starts anew")
	t.observe("a", Down, 7)
	t.observe("a", Up, 0.1)
	level(0.1)
}

func TestReload(tt *testing.T) {
	t := newTest(tt, nil)
	t.observe("a", Up, 0.5)
	t.want("say a up 0.5 first")
	t.pass(2 * time.Second)
	t.observe("a", Up, 0.56)
	t.want("hold a up 0.56 none below-threshold")

	t.Log("# a smaller delta applies to what was observed before")
	p := Domain()
	p.Delta = 0.05
	t.table.SetParams(t.now, p)
	t.want("say a up 0.56 delta")

	t.Log("# tokens taken stay taken: two of five; of ten, two")
	before, _ := t.table.Status("a")
	p.BucketBurst, p.BucketPerMinute = 10, 6
	t.table.SetParams(t.now, p)
	after, _ := t.table.Status("a")
	if got, want := after.Burst-after.Tokens, before.Burst-before.Tokens; math.Abs(got-want) > 1e-6 || want < 1 {
		t.Fatalf("%v tokens taken, before %v", got, want)
	}

	t.Log("# a held-down instance is let go by the new rules")
	for range 4 {
		t.observe("a", Down, 0)
		t.observe("a", Up, 0.5)
	}
	ds, _ := t.table.Advance(t.now)
	if len(ds) != 1 || ds[0].Reason != SaidDown || ds[0].Held != HeldSuppressed {
		t.Fatalf("%+v", ds)
	}
	p.PresenceHalfLife, p.PresenceMaxSuppress = time.Minute, 4*time.Minute
	t.table.SetParams(t.now, p)
	s, _ := t.table.Status("a")
	if got := s.ReuseAt.Sub(t.now); got < 3*time.Minute || got > 4*time.Minute {
		t.Fatalf("released in %v", got)
	}
}

// What was said with a short validity is repeated within it though the refresh
// in force has become longer.
func TestEnforcingKeepsOldPromises(tt *testing.T) {
	t := newTest(tt, nil)
	t.observe("a", Up, 0.5)
	t.want("say a up 0.5 first")
	t.table.SetBudgets(t.now, []RFDBudget{{Peer: "x", Mode: RFDEnforce, Suppress: 2000}})
	next := t.want()
	if d := next.Sub(t.now); d > 60*time.Second {
		t.Fatalf("refresh in %v, but it was said for 90s", d)
	}
	t.now = next
	t.want("say a up 0.5 refresh")
	if s, _ := t.table.Status("a"); s.Said.Expires.Sub(t.now) < 20*time.Minute {
		t.Fatalf("%+v", s.Said)
	}
	t.Log("# a peer keeps its estimate by name, whatever its place")
	t.table.SetBudgets(t.now, []RFDBudget{{Peer: "y", Mode: RFDWarn, Suppress: 3000}, {Peer: "off"}, {Peer: "x", Mode: RFDWarn, Suppress: 2000}})
	worst := t.table.RFD()
	if len(worst) != 2 || worst[0].Penalty != 0 || worst[1].Penalty != 500 || worst[1].Key != "a" {
		t.Fatalf("%+v", worst)
	}
}

func TestObserveOnlyToggled(tt *testing.T) {
	t := newTest(tt, nil)
	t.observe("a", Up, 0.5)
	t.want("say a up 0.5 first")
	t.observe("a", Up, 0.7)
	t.want("hold a up 0.7 delta min-interval 1s")
	p := Domain()
	p.Smoothing, p.ObserveOnly = 0, true
	t.Log("# what was held passes when the mode begins")
	t.table.SetParams(t.now, p)
	t.want("say a up 0.7 delta min-interval 1s")
	t.observe("a", Up, 0.8)
	t.want("say a up 0.8 delta min-interval 1s")
	t.Log("# and the rules start from what is out")
	p.ObserveOnly = false
	t.table.SetParams(t.now, p)
	t.pass(2 * time.Second)
	t.observe("a", Up, 0.75)
	t.want("hold a up 0.75 none below-threshold")
}

// In observe-only mode a creation may wait by the rules though it is out. When
// the rules come into force it exists, and waits for no quota.
func TestObserveOnlyCreation(tt *testing.T) {
	t := newTest(tt, func(p *Params) { p.CreatePerMinute, p.SessionPerSec = 1, 1; p.ObserveOnly = true })
	budget := []RFDBudget{{Peer: "x", Mode: RFDWarn, Suppress: 2000}}
	t.table.SetBudgets(t.now, budget)
	t.observe("a", Up, 0.5)
	t.observe("b", Up, 0.5)
	t.want("say a up 0.5 first", "say b up 0.5 first create-quota 1m0s")
	p := t.table.rules.Params
	p.ObserveOnly = false
	t.pass(1500 * time.Millisecond)
	t.observe("a", Up, 0.625)
	t.observe("b", Up, 0.75)
	t.table.SetParams(t.now, p)
	t.want("say b up 0.75 delta", "hold a up 0.625 delta session-budget 1s")

	t.Log("# what is out and what the rules would have said do not share an estimate")
	p.ObserveOnly = true
	t.table.SetParams(t.now, p)
	t.pass(10 * time.Second)
	t.want("say a up 0.625 delta")
	for range 3 {
		t.observe("b", Up, 0.75)
		t.want("say b up 0.75 none below-threshold")
	}
	g := t.table.gates["b"]
	if said, heard := g.said.rfd.penalty[0], g.heard.rfd.penalty[0]; said > 510 || heard < 1500 {
		t.Fatalf("said %v, heard %v", said, heard)
	}
}

func TestOrderWhenStarved(tt *testing.T) {
	t := newTest(tt, func(p *Params) { p.SessionPerSec = 1 })
	t.observe("a", Up, 0.5)
	t.want("say a up 0.5 first")
	t.pass(10 * time.Second)
	t.observe("a", Up, 0.9)
	t.observe("b", Up, 0.5)
	t.want("say b up 0.5 first", "hold a up 0.9 high session-budget 1s")
	t.Log("# a reload fills no bucket")
	t.table.SetParams(t.now, t.table.rules.Params)
	p := t.table.rules.Params
	p.SessionPerSec = 2
	t.table.SetParams(t.now, p)
	if tokens := t.table.Summary().SessionTokens; tokens != 1 {
		t.Fatalf("%v tokens", tokens)
	}
}

func TestOrder(tt *testing.T) {
	t := newTest(tt, nil)
	for _, key := range []string{"down", "drain", "big", "small", "high", "quiet"} {
		t.observe(key, Up, 0.5)
	}
	t.table.Advance(t.now)
	t.pass(5 * time.Second)
	t.observe("quiet", Up, 0.5)
	t.observe("small", Up, 0.625)
	t.observe("big", Up, 0.75)
	t.observe("high", Up, 0.9)
	t.observe("new", Up, 0.5)
	t.observe("drain", Draining, 0.5)
	t.observe("down", Down, 0)
	t.want("say down down 0.5 down", "say drain draining 0.5 drain", "say new up 0.5 first", "say high up 0.9 high",
		"say big up 0.75 delta", "say small up 0.625 delta", "hold quiet up 0.5 none below-threshold")
}

func TestStringsAreComplete(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range append(Reasons(), NoReason) {
		s := r.String()
		if s == "" || seen[s] || strings.ToLower(s) != s || strings.ContainsAny(s, " _(") {
			t.Errorf("reason %d is %q", uint8(r), s)
		}
		seen[s] = true
	}
	for got, want := range map[string]string{
		fmt.Sprint(SaidRemoved, HeldBelowThreshold, HeldRFDBudget, Reason(99)): "removed below-threshold rfd-budget reason(99)",
		fmt.Sprint(Down, Up, Draining, State(9)):                               "down up draining state(9)",
		fmt.Sprint(RFDOff, RFDWarn, RFDEnforce, RFDMode(9)):                    "off warn enforce rfd-mode(9)",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
