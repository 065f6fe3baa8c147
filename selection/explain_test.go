package selection

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestExplain(t *testing.T) {
	sc := newScene(t, Default())
	sc.rtt("a", 5*ms)
	sc.rtt("b", 12*ms)
	sc.rtt("c", 40*ms)
	sc.hear("a1", 0.6)
	sc.hear("b1", 0.62)
	sc.hear("c1", 0.7)
	sc.hear("c2", 0.5, drain)
	sc.run(5 * time.Second)
	// Advertisements again, so that what this ingress sends is part of them.
	sc.hear("a1", 0.9)
	sc.hear("b1", 0.7)
	sc.hear("c1", 0.5)
	sc.run(30 * time.Second)

	ex := sc.s.Explain(sc.now)
	if len(ex.Candidates) != 4 || ex.Winner != 0 || ex.RunnerUp != 1 {
		t.Fatalf("%d candidates, winner %d, runner-up %d", len(ex.Candidates), ex.Winner, ex.RunnerUp)
	}
	for i, c := range ex.Candidates {
		t.Logf("%s wanted %.3f share %.3f: %s %s", nameOf(c.Key), c.Wanted, c.Share, c.Reason, c.WhyNot)
		for _, tip := range c.Tips {
			t.Logf("    %s", tip)
		}
		if i > 0 && c.Wanted > ex.Candidates[i-1].Wanted {
			t.Errorf("candidates are not the best first")
		}
	}
	t.Log(ex.Verdict)
	last := ex.Candidates[3]
	if nameOf(last.Key) != "c2" || last.Eligible || last.Reason != Draining || !strings.Contains(last.WhyNot, "draining") {
		t.Errorf("last is %s: %s, %q", nameOf(last.Key), last.Reason, last.WhyNot)
	}
	if ex.MarginShare <= 0 || ex.MarginShare != ex.Candidates[0].Wanted-ex.Candidates[1].Wanted {
		t.Errorf("margin %v", ex.MarginShare)
	}
	tips := append(ex.Candidates[1].Tips, ex.Candidates[2].Tips...)
	if len(tips) < 2 || len(ex.Tips) == 0 {
		t.Fatalf("%d tips, %d of them for the winner", len(tips), len(ex.Tips))
	}
	for _, tip := range tips {
		holds(t, sc, tip)
	}
}

// holds checks a tip on the service itself: true a little beyond it, not true a
// little before.
func holds(t *testing.T, sc *scene, tip Tip) {
	t.Helper()
	try := func(v float64) string {
		w := newWhatIf(sc.s, sc.now)
		st := w.state(tip.Of)
		switch tip.Quantity {
		case TipUtilisation:
			c := st.Candidate
			c.Utilisation, c.Heard = v, sc.now
			w.s.Hear(sc.now, c)
		case TipRoundTrip:
			w.s.Measure(sc.now, tip.Of.Egress, Path{RTT: seconds(v), Known: true, Reachable: true})
		case TipScore:
			c := st.Candidate
			c.Score, c.Heard = int(v), sc.now
			w.s.Hear(sc.now, c)
		case TipWeight:
			c := st.Candidate
			c.Weight = v
			w.s.Hear(sc.now, c)
		}
		w.draft()
		return nameOf(w.largest().Key)
	}
	step := 1e-3 * math.Copysign(max(math.Abs(tip.To-tip.From), 1e-3), tip.To-tip.From)
	beyond, before := tip.To+step, tip.To-step
	if tip.Quantity == TipScore {
		beyond, before = tip.To, tip.To+math.Copysign(1, tip.From-tip.To)
	}
	if got := try(beyond); got != nameOf(tip.Winner) {
		t.Errorf("%s: at %v it is %s", tip, beyond, got)
	}
	if got := try(before); got == nameOf(tip.Winner) {
		t.Errorf("%s: it is already at %v", tip, before)
	}
}

func TestExplainEveryPolicy(t *testing.T) {
	for _, k := range []Kind{Balanced, Nearest, LeastCost, Weighted, Lexicographic, Static} {
		t.Run(string(k), func(t *testing.T) {
			p := Default()
			p.Kind = k
			sc := newScene(t, p)
			sc.rtt("a", 5*ms)
			sc.rtt("b", 12*ms)
			sc.hear("a1", 0.6, func(c *Candidate) { c.Score, c.Weight = 9, 2 })
			sc.hear("b1", 0.5, func(c *Candidate) { c.Score = 8 })
			sc.run(30 * time.Second)
			ex := sc.s.Explain(sc.now)
			t.Log(ex.Verdict)
			if nameOf(ex.Candidates[ex.Winner].Key) != nameOf(sc.sp.Targets[sc.sp.Largest()].Key) {
				t.Errorf("the winner explained is not the one decided")
			}
			if len(ex.Candidates[1].Tips) == 0 {
				t.Errorf("nothing would give b1 the first place")
			}
			for _, tip := range ex.Candidates[1].Tips {
				t.Log(tip)
				holds(t, sc, tip)
			}
			if ex.Candidates[1].WhyNot == "" || !strings.Contains(ex.Verdict, "#1 at a") {
				t.Errorf("why not: %q; verdict: %q", ex.Candidates[1].WhyNot, ex.Verdict)
			}
		})
	}
}

func TestExplainNothing(t *testing.T) {
	sc := newScene(t, Default())
	if ex := sc.s.Explain(sc.now); ex.Winner != -1 || ex.Rung != RungAnycast || ex.Verdict == "" {
		t.Errorf("%+v", ex)
	}
	sc.hear("a1", 0.5, drain)
	if ex := sc.s.Explain(sc.now); ex.Winner != -1 || !strings.Contains(ex.Verdict, "none of 1") {
		t.Errorf("%+v", ex)
	}
	sc.hear("a1", 0.5)
	if ex := sc.s.Explain(sc.now); ex.Winner != 0 || ex.RunnerUp != -1 || !strings.Contains(ex.Verdict, "only usable") {
		t.Errorf("%+v", ex)
	}
}
