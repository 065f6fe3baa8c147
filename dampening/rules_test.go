package dampening

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestValidate(t *testing.T) {
	for _, p := range []Params{Domain(), Conservative()} {
		if err := p.Validate(); err != nil {
			t.Error(err)
		}
	}
	for _, test := range []struct {
		edit func(*Params)
		want string
	}{
		{func(p *Params) { *p = Params{} }, "dampening: refresh 0s must be positive"},
		{func(p *Params) { p.Smoothing = -1 }, "dampening: smoothing -1ns must be positive"},
		{func(p *Params) { p.MinInterval = 25 * time.Hour }, "dampening: min_interval 25h0m0s must be at most 24h0m0s"},
		{func(p *Params) { p.Validity = 0 }, "dampening: validity 0s must be positive"},
		{func(p *Params) { p.Delta = 0 }, "dampening: delta 0.00 must be above 0 and at most 100"},
		{func(p *Params) { p.Delta = math.NaN() }, "dampening: delta NaN must be above 0 and at most 100"},
		{func(p *Params) { p.Low = 0.95 }, "dampening: low 0.95 must be below high 0.90"},
		{func(p *Params) { p.Low = 0 }, "dampening: low 0.00 must be above 0"},
		{func(p *Params) { p.High = math.Inf(1) }, "dampening: high +Inf must be at most 100"},
		{func(p *Params) { p.MinInterval = 31 * time.Second }, "dampening: min_interval 31s must be at most refresh 30s"},
		{func(p *Params) { p.Validity = 59 * time.Second }, "dampening: validity 59s must be at least twice refresh 30s"},
		{func(p *Params) { p.BucketPerMinute = 1 }, "dampening: bucket_per_minute 1 is one token each 1m0s, slower than refresh 30s"},
		{func(p *Params) { p.BucketPerMinute = 0 }, "dampening: bucket_per_minute 0 must be positive, at least 0"},
		{func(p *Params) { p.BucketBurst = 0.5 }, "dampening: bucket_burst 0.5 must be positive, at least 1"},
		{func(p *Params) { p.SessionPerSec = math.Inf(1) }, "dampening: session_budget_per_second +Inf must be positive, at least 0"},
		{func(p *Params) { p.CreatePerMinute = -1 }, "dampening: create_quota_per_minute -1 must be positive, at least 0"},
		{func(p *Params) { p.PresencePenalty = -1 }, "dampening: presence_penalty -1 must be positive, or 0 for none"},
		{func(p *Params) { p.PresenceReuse = 0 }, "dampening: presence_reuse 0 must be positive"},
		{func(p *Params) { p.PresenceReuse = 6000 }, "dampening: presence_suppress 6000 must be above presence_reuse 6000"},
		{func(p *Params) { p.PresenceHalfLife = 0 }, "dampening: presence_half_life 0s must be positive"},
		{func(p *Params) { p.PresenceSuppress = 12001 },
			"dampening: presence_suppress 12001 is never reached: presence_max_suppress 1h0m0s at presence_half_life 15m0s keeps the penalty below 12000"},
	} {
		p := Domain()
		test.edit(&p)
		if err := p.Validate(); err == nil || err.Error() != test.want {
			t.Errorf("got %v, want %s", err, test.want)
		}
	}
}

func TestValidateRFDBudget(t *testing.T) {
	for _, test := range []struct {
		b    RFDBudget
		want string
	}{
		{RFDBudget{Peer: "x"}, ""},
		{RFDBudget{Peer: "x", Mode: RFDEnforce, Suppress: 2000}, ""},
		{RFDBudget{}, "dampening: rfd budget without a peer"},
		{RFDBudget{Peer: "x", Mode: 3}, `dampening: peer "x": rfd_budget rfd-mode(3) is unknown`},
		{RFDBudget{Peer: "x", Mode: RFDWarn, Suppress: 500}, `dampening: peer "x": rfd_suppress 500 must be 1000 to 50000`},
		{RFDBudget{Peer: "x", Mode: RFDWarn, Suppress: 2000, HalfLife: -1}, `dampening: peer "x": rfd half-life -1ns must be 0s (15m) to 24h0m0s`},
	} {
		if err := test.b.Validate(); err == nil && test.want != "" || err != nil && err.Error() != test.want {
			t.Errorf("%+v: got %v, want %s", test.b, err, test.want)
		}
	}
}

// The interval against the steady state it is the solution of, and against the
// figures for an interval without margin: 6.2 min at 2000, 3.9 at 3000, 1.9 at
// 6000, 0.9 at 12000.
func TestRFDInterval(t *testing.T) {
	for _, test := range []struct {
		suppress float64
		minutes  float64 // without margin
	}{{2000, 6.23}, {3000, 3.95}, {6000, 1.88}, {12000, 0.92}} {
		bare := decayTime(test.suppress, test.suppress-rfdAttributeChange, rfdHalfLife)
		if got := bare.Minutes(); math.Abs(got-test.minutes) > 0.01 {
			t.Errorf("suppress %v: %v min, want %v", test.suppress, got, test.minutes)
		}
		b := RFDBudget{Peer: "x", Mode: RFDEnforce, Suppress: test.suppress}.normalize()
		T := b.interval()
		if T <= bare {
			t.Errorf("suppress %v: no margin: %v", test.suppress, T)
		}
		steady := rfdAttributeChange / (1 - math.Exp2(-float64(T)/float64(b.HalfLife)))
		if math.Abs(steady-b.limit()) > 0.01 {
			t.Errorf("suppress %v: settles at %v, want %v", test.suppress, steady, b.limit())
		}
		refresh, validity := inForce(30*time.Second, 90*time.Second, []RFDBudget{b})
		if early := time.Duration(0.9 * float64(refresh)); early < T-time.Millisecond || validity != 3*refresh {
			t.Errorf("suppress %v: refresh %v, validity %v, interval %v", test.suppress, refresh, validity, T)
		}
	}
	if r, v := inForce(time.Second, 3*time.Second, []RFDBudget{{Mode: RFDWarn, Suppress: 2000}}); r != time.Second || v != 3*time.Second {
		t.Errorf("warn changes refresh to %v, %v", r, v)
	}
}

// A bucket kept as a time against one kept as a count.
func TestPropertyBucket(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		burst := float64(rapid.IntRange(1, 5).Draw(t, "burst"))
		every := time.Duration(rapid.IntRange(1, 10).Draw(t, "every")) * time.Second
		r := newRate(1, every, burst)
		var b bucket
		tokens, now := burst, instant(0)
		for range 50 {
			pass := time.Duration(rapid.IntRange(0, 15).Draw(t, "pass")) * time.Second
			now += pass
			tokens = min(burst, tokens+float64(pass)/float64(every))
			if got := b.tokens(now, r); math.Abs(got-tokens) > 1e-6 {
				t.Fatalf("%v tokens, want %v", got, tokens)
			}
			if ready, want := b.ready(r) <= now, tokens >= 1-1e-9; ready != want {
				t.Fatalf("ready %v with %v tokens", ready, tokens)
			}
			b.take(now, r) // also when there is none: what may not wait
			tokens = max(0, tokens-1)
		}
	})
}

// A queue against sorting.
func TestPropertyQueue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := queue{less: dueFirst, place: func(g *gate) *int { return &g.inTimers }}
		gates := make([]*gate, 20)
		for i := range gates {
			gates[i] = &gate{}
		}
		in := map[*gate]bool{}
		for range 100 {
			g := gates[rapid.IntRange(0, len(gates)-1).Draw(t, "gate")]
			if rapid.Bool().Draw(t, "remove") {
				q.remove(g)
				delete(in, g)
			} else {
				g.due = instant(rapid.IntRange(0, 9).Draw(t, "due"))
				q.put(g)
				in[g] = true
			}
			first := never
			for g := range in {
				first = min(first, g.due)
			}
			if top := q.top(); q.len() != len(in) || (top == nil) != (len(in) == 0) || top != nil && top.due != first {
				t.Fatalf("%d gates, top %+v; want %d, %v", q.len(), top, len(in), first)
			}
			for i, g := range q.gates {
				if g.inTimers != i+1 || !in[g] {
					t.Fatalf("gate at %d believes it is at %d", i, g.inTimers-1)
				}
			}
		}
	})
}

func TestClock(t *testing.T) {
	var c clock
	now := epoch
	for _, step := range []struct {
		jump, want time.Duration
		why        string
	}{
		{0, 0, "starts"},
		{time.Second, time.Second, "time passes"},
		{-time.Second, time.Second, "overtaken: waits"},
		{500 * time.Millisecond, time.Second, "still behind"},
		{time.Second, 1500 * time.Millisecond, "caught up: only what is new counts"},
		{-time.Hour, 1500 * time.Millisecond, "set back: no time passed"},
		{time.Second, 2500 * time.Millisecond, "and goes on from there"},
		{10 * 365 * 24 * time.Hour, 2500*time.Millisecond + maxStep, "a step is bounded"},
	} {
		now = now.Add(step.jump)
		c.tick(now)
		if c.now != step.want {
			t.Fatalf("%s: %v, want %v", step.why, c.now, step.want)
		}
		if got := c.time(c.now); !got.Equal(c.mark) {
			t.Fatalf("%s: now is %v, want %v", step.why, got, c.mark)
		}
	}
}

// The jitter fills ±10 % evenly and differs by key and by time.
func TestJitter(t *testing.T) {
	var all []float64
	for _, key := range []string{"a", "b", "c", "d"} {
		g := &gate{hash: hashKey(1, key)}
		for range 1000 {
			all = append(all, g.drawJitter())
		}
	}
	lo, hi := slices.Min(all), slices.Max(all)
	if lo < 0.9 || lo > 0.901 || hi > 1.1 || hi < 1.099 {
		t.Errorf("from %v to %v", lo, hi)
	}
	slices.Sort(all)
	if median := all[len(all)/2]; math.Abs(median-1) > 0.01 {
		t.Errorf("median %v", median)
	}
	if n := len(slices.Compact(all)); n < 3999 {
		t.Errorf("%d different of 4000", n)
	}
}
