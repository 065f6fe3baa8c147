package dampening

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A referee drives a table with a random history and calls Advance whenever
// the table asks for it. It keeps its own, simple-minded books of what was
// said and checks each decision against the rules as they are written.
type referee struct {
	t       *rapid.T
	p       Params
	budgets []RFDBudget
	table   *Table
	now     time.Time
	next    time.Time
	keys    map[string]*record
	said    []time.Time // all that may be held, over all instances
	created []time.Time
	flaps   bool // presence flaps occur
}

// A record is one instance as the referee sees it.
type record struct {
	state    State
	level    float64
	levelAt  time.Time
	warm     bool
	present  State // as last said
	saidAt   time.Time
	valid    time.Duration
	spent    []time.Time // updates that may be held
	rfd      []change
	everSaid bool
}

type change struct {
	at   time.Time
	cost float64
}

func newReferee(t *rapid.T, p Params, budgets []RFDBudget) *referee {
	r := &referee{t: t, p: p, budgets: budgets, table: NewTable(p, 7), now: epoch, keys: map[string]*record{}}
	r.table.SetBudgets(r.now, budgets)
	return r
}

func (r *referee) observe(key string, o Observation) {
	k := r.keys[key]
	if k == nil {
		k = &record{}
		r.keys[key] = k
	}
	if o.State == Down {
		k.warm = false
	} else {
		weight := 1.0
		if k.warm && r.p.Smoothing > 0 {
			weight = 1 - math.Exp(-r.now.Sub(k.levelAt).Seconds()/r.p.Smoothing.Seconds())
		}
		k.level = (1-weight)*k.level + weight*o.Level
		if weight > 0 && math.Abs(k.level-o.Level) < 0.005 {
			k.level = o.Level // it has arrived
		}
		k.levelAt, k.warm = r.now, true
	}
	k.state = o.State
	r.table.Observe(r.now, key, o)
}

func (r *referee) advance() {
	ds, next := r.table.Advance(r.now)
	if !next.IsZero() && !next.After(r.now) {
		r.t.Fatalf("at %v: next is %v", r.now, next)
	}
	seen := map[string]bool{}
	held := false
	for _, d := range ds {
		if seen[d.Key] {
			r.t.Fatalf("two decisions for %s: %+v", d.Key, ds)
		}
		seen[d.Key] = true
		if d.Say && held {
			r.t.Fatalf("said after held: %+v", ds)
		}
		held = !d.Say
		if d.Say {
			r.check(d)
		}
	}
	r.next = next
	for key := range r.keys {
		r.checkQuiet(key)
	}
}

// check judges one thing said.
func (r *referee) check(d Decision) {
	k := r.keys[d.Key]
	if d.State != Down && (d.State != k.state || math.Abs(d.Level-k.level) > 1e-6) {
		r.t.Fatalf("%s: said %v %v, is %v %v", d.Key, d.State, d.Level, k.state, k.level)
	}
	if !d.Reason.safe() {
		k.spent = append(k.spent, r.now)
		r.said = append(r.said, r.now)
		r.checkRate(d, k.spent, r.p.BucketPerMinute/60, r.p.BucketBurst)
		r.checkRate(d, r.said, r.p.SessionPerSec, max(1, r.p.SessionPerSec))
	}
	if d.Reason == SaidFirst {
		r.created = append(r.created, r.now)
		r.checkRate(d, r.created, r.p.CreatePerMinute/60, max(1, r.p.CreatePerMinute))
	}
	if d.Reason.metric() {
		if gap := r.now.Sub(k.saidAt); gap < r.p.MinInterval {
			r.t.Fatalf("%s: %v %v after the last update", d.Key, d.Reason, gap)
		}
		r.checkRFD(d, k)
	}
	switch {
	case d.State == Down, k.everSaid && k.present == Down:
		k.rfd = append(k.rfd, change{r.now, 1000})
	case k.present != Down:
		k.rfd = append(k.rfd, change{r.now, 500})
	}
	_, k.valid = r.table.Validity()
	k.present, k.saidAt, k.everSaid = d.State, r.now, true
}

// checkRate counts every window that ends now.
func (r *referee) checkRate(d Decision, times []time.Time, perSecond, burst float64) {
	for i, at := range times {
		n := float64(len(times) - i)
		if allowed := burst + r.now.Sub(at).Seconds()*perSecond; n > allowed+1e-6 {
			r.t.Fatalf("%s %v: %v updates in %v, allowed %v", d.Key, d.Reason, n, r.now.Sub(at), allowed)
		}
	}
}

func (r *referee) checkRFD(d Decision, k *record) {
	for _, b := range r.budgets {
		if b.Mode != RFDEnforce {
			continue
		}
		lastCall := d.Reason == SaidRefresh && r.now.Sub(k.saidAt) >= k.valid/2
		if e := r.estimate(k, b) + 500; e >= b.Suppress && !(lastCall && r.flaps) {
			r.t.Fatalf("%s %v: estimate at %s becomes %v of %v", d.Key, d.Reason, b.Peer, e, b.Suppress)
		}
	}
}

func (r *referee) estimate(k *record, b RFDBudget) float64 {
	halfLife := b.HalfLife
	if halfLife == 0 {
		halfLife = 15 * time.Minute
	}
	var sum float64
	for _, c := range k.rfd {
		sum += c.cost * math.Exp2(-r.now.Sub(c.at).Seconds()/halfLife.Seconds())
	}
	return sum
}

// checkQuiet judges what was not said.
func (r *referee) checkQuiet(key string) {
	k := r.keys[key]
	s, ok := r.table.Status(key)
	if !ok {
		r.t.Fatalf("%s is unknown", key)
	}
	if math.Abs(s.Level-k.level) > 1e-6 {
		r.t.Fatalf("%s: level %v, want %v", key, s.Level, k.level)
	}
	switch {
	case k.state == Down && k.present != Down, k.state == Draining && k.present == Up:
		r.t.Fatalf("%s is %v and %v is still said", key, k.state, k.present)
	case s.Held == NoReason:
		r.t.Fatalf("%s: nothing holds %v", key, s.Pending)
	case !s.Until.IsZero() && !s.Until.After(r.now):
		r.t.Fatalf("%s: held by %v until %v, now is %v", key, s.Held, s.Until, r.now)
	case s.Held != HeldBelowThreshold:
		return
	case k.state != k.present:
		r.t.Fatalf("%s: is %v, said %v, and nothing guards it", key, k.state, k.present)
	case k.state != Down && math.Abs(s.Level-s.Said.Level) > r.p.Delta:
		r.t.Fatalf("%s: level %v, said %v, and nothing guards it", key, s.Level, s.Said.Level)
	case k.state != Down && r.now.Sub(k.saidAt) >= k.valid:
		r.t.Fatalf("%s: said %v ago, valid %v", key, r.now.Sub(k.saidAt), k.valid)
	}
}

// pass lets time pass and advances whenever it is due.
func (r *referee) pass(d time.Duration) {
	end := r.now.Add(d)
	for n := 0; !r.next.IsZero() && !r.next.After(end); n++ {
		if n > 100_000 {
			r.t.Fatalf("the table does not come to rest: %v, next %v", r.now, r.next)
		}
		r.now = r.next
		r.advance()
	}
	r.now = end
}

func drawParams(t *rapid.T) Params {
	p := Domain()
	p.Delta = rapid.SampledFrom([]float64{0.02, 0.1, 0.3}).Draw(t, "delta")
	p.Smoothing = rapid.SampledFrom([]time.Duration{0, time.Second, 5 * time.Second}).Draw(t, "smoothing")
	p.MinInterval = rapid.SampledFrom([]time.Duration{0, time.Second, 10 * time.Second}).Draw(t, "min_interval")
	p.BucketPerMinute = rapid.SampledFrom([]float64{3, 12, 60}).Draw(t, "bucket")
	p.BucketBurst = rapid.SampledFrom([]float64{1, 2.5, 5}).Draw(t, "burst")
	p.SessionPerSec = rapid.SampledFrom([]float64{0.7, 2, 50}).Draw(t, "session")
	p.CreatePerMinute = rapid.SampledFrom([]float64{2, 60}).Draw(t, "create")
	p.PresenceSuppress = rapid.SampledFrom([]float64{2000, 6000}).Draw(t, "suppress")
	return p
}

func drawBudgets(t *rapid.T) []RFDBudget {
	return rapid.SampledFrom([][]RFDBudget{
		nil,
		{{Peer: "a", Mode: RFDEnforce, Suppress: 2000}},
		{{Peer: "a", Mode: RFDWarn, Suppress: 2000}, {Peer: "b", Mode: RFDEnforce, Suppress: 6000, HalfLife: time.Minute}},
	}).Draw(t, "budgets")
}

var (
	drawKey   = rapid.SampledFrom([]string{"a", "b", "c", "d", "e"})
	drawState = rapid.SampledFrom([]State{Up, Up, Up, Up, Up, Up, Draining, Down})
	drawLevel = rapid.Float64Range(0, 1.2)
	drawPause = rapid.SampledFrom([]time.Duration{
		0, 100 * time.Millisecond, 100 * time.Millisecond, time.Second, time.Second, 3 * time.Second, 20 * time.Second, time.Minute, 10 * time.Minute})
)

func TestPropertyRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newReferee(t, drawParams(t), drawBudgets(t))
		r.flaps = rapid.Bool().Draw(t, "flaps")
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			key := drawKey.Draw(t, "key")
			o := Observation{State: Up, Level: drawLevel.Draw(t, "level")}
			if r.flaps {
				o.State = drawState.Draw(t, "state")
			}
			r.observe(key, o)
			r.advance()
			if rapid.IntRange(0, 9).Draw(t, "resay") == 0 {
				r.table.Resay(r.now, key)
				r.advance()
			}
			r.pass(drawPause.Draw(t, "pause"))
		}
	})
}

// An instance that is up is repeated before its validity ends, whatever the
// others do, as long as the session budget allows.
func TestPropertyRefreshed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawParams(t)
		p.SessionPerSec, p.CreatePerMinute = 50, 600
		r := newReferee(t, p, drawBudgets(t))
		r.flaps = true
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			r.observe(drawKey.Draw(t, "key"), Observation{State: drawState.Draw(t, "state"), Level: drawLevel.Draw(t, "level")})
			r.advance()
			end := r.now.Add(drawPause.Draw(t, "pause"))
			for !r.next.IsZero() && !r.next.After(end) {
				r.now = r.next
				for key, k := range r.keys {
					if k.present != Down && r.now.Sub(k.saidAt) > k.valid {
						t.Fatalf("%s: said %v ago, valid %v", key, r.now.Sub(k.saidAt), k.valid)
					}
				}
				r.advance()
			}
			r.now = end
		}
	})
}

// The order in which keys appear, and are observed in between two Advances,
// does not matter.
func TestPropertyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, budgets := drawParams(t), drawBudgets(t)
		one, other := NewTable(p, 3), NewTable(p, 3)
		one.SetBudgets(epoch, budgets)
		other.SetBudgets(epoch, budgets)
		now := epoch
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			batch := rapid.SliceOfNDistinct(rapid.IntRange(0, 19), 1, 12, rapid.ID[int]).Draw(t, "batch")
			os := make([]Observation, len(batch))
			for i := range os {
				os[i] = Observation{State: drawState.Draw(t, "state"), Level: drawLevel.Draw(t, "level")}
			}
			for i := range batch {
				one.Observe(now, fmt.Sprint(batch[i]), os[i])
				j := len(batch) - 1 - i
				other.Observe(now, fmt.Sprint(batch[j]), os[j])
			}
			a, nextA := one.Advance(now)
			b, nextB := other.Advance(now)
			if !slices.Equal(a, b) || !nextA.Equal(nextB) {
				t.Fatalf("at %v:\n%+v %v\n%+v %v", now, a, nextA, b, nextB)
			}
			now = now.Add(drawPause.Draw(t, "pause"))
		}
		if !slices.Equal(one.Keys(), other.Keys()) {
			t.Fatalf("keys %v, %v", one.Keys(), other.Keys())
		}
	})
}

// In observe-only mode the books are those of a table whose rules are in
// force, and whatever is observed passes.
func TestPropertyObserveOnly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, budgets := drawParams(t), drawBudgets(t)
		strict, open := NewTable(p, 3), NewTable(p, 3)
		p.ObserveOnly = true
		open.SetParams(epoch, p)
		strict.SetBudgets(epoch, budgets)
		open.SetBudgets(epoch, budgets)
		now := epoch
		advance := func() (passed []Decision, next time.Time) {
			_, a := strict.Advance(now)
			ds, b := open.Advance(now)
			if a.IsZero() || !b.IsZero() && b.Before(a) {
				a = b
			}
			return ds, a
		}
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			key, o := drawKey.Draw(t, "key"), Observation{State: drawState.Draw(t, "state"), Level: drawLevel.Draw(t, "level")}
			before, _ := open.Status(key)
			strict.Observe(now, key, o)
			open.Observe(now, key, o)
			ds, next := advance()
			after, _ := open.Status(key)
			if i := slices.IndexFunc(ds, func(d Decision) bool { return d.Key == key && d.Say && d.State == o.State }); i < 0 &&
				!(o.State == Down && before.Out.State == Down) {
				t.Fatalf("%s %+v did not pass: %+v", key, o, ds)
			}
			if after.Out.State != o.State {
				t.Fatalf("%s is %v, out is %v", key, o.State, after.Out.State)
			}
			end := now.Add(drawPause.Draw(t, "pause"))
			for !next.IsZero() && !next.After(end) {
				now = next
				_, next = advance()
			}
			now = end
			for _, key := range open.Keys() {
				a, _ := strict.Status(key)
				b, _ := open.Status(key)
				a.Out, b.Out, a.RFD, b.RFD = Said{}, Said{}, nil, nil
				for r := range numReasons { // a guard may be told of more often
					if r.Held() {
						a.Counts[r], b.Counts[r] = 0, 0
					}
				}
				if fmt.Sprint(a) != fmt.Sprint(b) {
					t.Fatalf("%s:\nstrict %+v\nopen   %+v", key, a, b)
				}
			}
		}
	})
}

// No clock can panic a table, lock a gate, or let out more than the buckets
// hold in one call.
func TestPropertyClock(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawParams(t)
		table := NewTable(p, 3)
		table.SetBudgets(epoch, drawBudgets(t))
		now := epoch
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			for range rapid.IntRange(0, 5).Draw(t, "observations") {
				table.Observe(now, drawKey.Draw(t, "key"), Observation{State: drawState.Draw(t, "state"), Level: drawLevel.Draw(t, "level")})
			}
			ds, _ := table.Advance(now)
			burst := 0
			for _, d := range ds {
				if d.Say && !d.Reason.safe() {
					burst++
				}
			}
			if allowed := max(1, p.SessionPerSec); float64(burst) > allowed {
				t.Fatalf("%d at once, allowed %v", burst, allowed)
			}
			now = now.Add(rapid.SampledFrom([]time.Duration{
				0, time.Millisecond, time.Second, time.Minute, -time.Millisecond, -time.Second, -time.Hour, -365 * 24 * time.Hour,
				365 * 24 * time.Hour, math.MinInt64, math.MaxInt64,
			}).Draw(t, "jump"))
		}
		// Whatever happened, within the longest time anything can be held
		// everything that is up has been said.
		for _, key := range table.Keys() {
			table.Observe(now, key, Observation{State: Up, Level: 0.5})
		}
		for end := now.Add(3 * time.Hour); ; {
			_, next := table.Advance(now)
			if next.IsZero() || next.After(end) {
				break
			}
			now = later(now.Add(time.Millisecond), next)
		}
		for _, key := range table.Keys() {
			if s, _ := table.Status(key); s.Said.State != Up {
				t.Fatalf("%s is locked: %+v", key, s)
			}
		}
	})
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Nothing a caller can pass makes a table panic or spin.
func TestPropertyGarbage(t *testing.T) {
	garbage := rapid.SampledFrom([]float64{0, -1, 1e-300, 0.5, 1, 1e300, math.NaN(), math.Inf(1), math.Inf(-1)})
	spans := rapid.SampledFrom([]time.Duration{0, -1, 1, time.Second, math.MaxInt64, math.MinInt64})
	rapid.Check(t, func(t *rapid.T) {
		f := func(name string) float64 { return garbage.Draw(t, name) }
		d := func(name string) time.Duration { return spans.Draw(t, name) }
		p := Params{
			rapid.Bool().Draw(t, "observe"), f("delta"), f("high"), f("low"), d("smoothing"), d("interval"), d("refresh"), d("validity"),
			f("bucket"), f("burst"), f("session"), f("penalty"), f("suppress"), f("reuse"), d("half-life"), d("max"), f("create")}
		table := NewTable(p, 0)
		table.SetBudgets(epoch, []RFDBudget{{"x", RFDEnforce, f("rfd"), d("rfd half-life")}, {"x", 77, f("rfd"), d("rfd half-life")}})
		now := epoch
		for range 30 {
			table.Observe(now, drawKey.Draw(t, "key"), Observation{State: State(rapid.IntRange(0, 4).Draw(t, "state")), Level: f("level")})
			table.Resay(now, "a")
			ds, next := table.Advance(now)
			for _, d := range ds {
				if !(d.Level >= 0 && d.Level <= MaxLevel) {
					t.Fatalf("level %v", d.Level)
				}
			}
			if !next.IsZero() && !next.After(now) {
				t.Fatalf("now %v, next %v", now, next)
			}
			table.Remove(now, "b")
			now = now.Add(rapid.SampledFrom([]time.Duration{0, time.Second, time.Hour}).Draw(t, "pause"))
		}
	})
}
