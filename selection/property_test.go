package selection

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/catsbgp/catsbgp/advert"
	"pgregory.net/rapid"
)

var wild = []float64{math.NaN(), math.Inf(1), math.Inf(-1), 1e308, -1e308, -1, 0, 1e-308, 1e-9, 0.1, 0.5, 0.9, 0.97, 1, 1.5, 20, 1e6, 1e15}

var wildSpans = []time.Duration{math.MinInt64, -time.Hour, -1, 0, 1, time.Microsecond, time.Millisecond, 40 * time.Millisecond, time.Second, 90 * time.Second, 1000 * time.Hour, math.MaxInt64}

func drawPolicy(t *rapid.T) Policy {
	p := Default()
	p.Kind = rapid.SampledFrom([]Kind{Balanced, Balanced, Balanced, Nearest, LeastCost, Weighted, Lexicographic, Static, ""}).Draw(t, "kind")
	if rapid.Bool().Draw(t, "odd policy") {
		f := func(name string) float64 { return rapid.SampledFrom(wild).Draw(t, name) }
		d := func(name string) time.Duration { return rapid.SampledFrom(wildSpans).Draw(t, name) }
		p.Gain, p.Omega, p.Penalty, p.Eta, p.MinShare = f("gain"), f("omega"), f("penalty"), f("eta"), f("min share")
		p.MaxDelay, p.Tick, p.NewInstanceHold, p.StaleAfter, p.OutAfter = d("max delay"), d("tick"), d("hold"), d("stale"), d("out")
		p.RateWindow, p.DefaultServiceTime = d("rate window"), d("service")
		p.DefaultSlots = rapid.SampledFrom([]int{-1, 0, 1, 8, math.MaxInt}).Draw(t, "slots")
		p.MinScore = rapid.IntRange(-1, 11).Draw(t, "min score")
		p.Draws = rapid.IntRange(-1, 12).Draw(t, "draws")
		if rapid.Bool().Draw(t, "some sites") {
			p.Sites = []string{"a", "b", "192.0.2.99"}
		}
	}
	return p
}

func drawCandidate(t *rapid.T, now time.Time) Candidate {
	c := candidate(rapid.SampledFrom([]string{"a1", "a2", "a", "b1", "b2", "b", "c1", "c", "d1", "e1"}).Draw(t, "name"), 0)
	if c.Key.ID.Kind() == advert.IDSite {
		c.Level = rapid.SampledFrom([]Level{LevelAggregate, LevelSite}).Draw(t, "level")
	}
	f := func(name string) float64 {
		if rapid.IntRange(0, 3).Draw(t, "sane "+name) > 0 {
			return rapid.Float64Range(0, 1.2).Draw(t, name)
		}
		return rapid.SampledFrom(wild).Draw(t, name)
	}
	c.Utilisation = f("u")
	c.Score = rapid.IntRange(-1, 11).Draw(t, "score")
	if rapid.Bool().Draw(t, "odd") {
		c.Capacity = rapid.SampledFrom(wild).Draw(t, "capacity")
		c.Slots = rapid.SampledFrom([]int{math.MinInt, -1, 0, 1, 3, 100, math.MaxInt}).Draw(t, "slots")
		c.ServiceTime = rapid.SampledFrom(wildSpans).Draw(t, "service")
		c.Age = rapid.SampledFrom(wildSpans).Draw(t, "age")
		c.Validity = rapid.SampledFrom(wildSpans).Draw(t, "validity")
		c.Window = rapid.SampledFrom(wildSpans).Draw(t, "window")
		c.Weight = rapid.SampledFrom(wild).Draw(t, "weight")
		c.Preference = rapid.IntRange(-1, 1).Draw(t, "preference")
		c.Flags = advert.InstanceFlags(rapid.SampledFrom([]int{0, 0, 0, 1, 2, 4, 8, 255}).Draw(t, "flags"))
		c.Ineligible = rapid.SampledFrom([]string{"", "", "", "signature", "odd"}).Draw(t, "ineligible")
		c.Heard = now.Add(rapid.SampledFrom(wildSpans).Draw(t, "heard"))
	}
	return c
}

// step does something at random to a service.
func drawStep(t *rapid.T, s *Service, now *time.Time) {
	switch rapid.IntRange(0, 9).Draw(t, "step") {
	case 0, 1, 2:
		s.Hear(*now, drawCandidate(t, *now))
	case 3:
		s.Forget(*now, keyOf(rapid.SampledFrom([]string{"a1", "b1", "c", "zz"}).Draw(t, "forget")))
	case 4:
		s.Measure(*now, siteAddr(rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "egress")), Path{
			RTT:   rapid.SampledFrom(wildSpans).Draw(t, "rtt"),
			Known: rapid.Bool().Draw(t, "known"), Reachable: rapid.IntRange(0, 3).Draw(t, "reachable") > 0,
			Loss: rapid.SampledFrom(wild).Draw(t, "loss"),
		})
	case 5:
		s.Own(*now, keyOf(rapid.SampledFrom([]string{"a1", "a2", "b1", "c1"}).Draw(t, "own")),
			rapid.SampledFrom([]int{math.MinInt, -1, 0, 1, 50, math.MaxInt}).Draw(t, "open"),
			rapid.SampledFrom([]uint64{0, 1, 1000, math.MaxUint64}).Draw(t, "started"))
	case 6:
		s.SetPolicy(*now, drawPolicy(t))
	case 7:
		*now = now.Add(rapid.SampledFrom([]time.Duration{-time.Hour, -1, 0, 1, time.Second, time.Second, 45 * time.Second, 1000 * time.Hour}).Draw(t, "jump"))
	default:
		*now = now.Add(time.Duration(rapid.IntRange(0, 3000).Draw(t, "ms")) * time.Millisecond)
	}
}

func TestAnySequenceGivesASplit(t *testing.T) {
	id := advert.ServicePrefix(netip.MustParsePrefix("2001:db8::10/128"))
	cv := NewCurves()
	rapid.Check(t, func(t *rapid.T) {
		s := NewShared(id, drawPolicy(t), 3, cv)
		now := time.Unix(1_700_000_000, 0)
		rng := rand.New(rand.NewPCG(1, 1))
		version := uint64(0)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			drawStep(t, s, &now)
			if !rapid.Bool().Draw(t, "decide") {
				continue
			}
			sp := s.Decide(now)
			checkSplit(t, s, sp)
			if sp.Version < version {
				t.Fatalf("version %d after %d", sp.Version, version)
			}
			version = sp.Version
			if due := s.Due(); s.Len() > 0 && (due.IsZero() || due.Sub(now) > maxSpan) {
				t.Fatalf("due in %v", due.Sub(now))
			}
			if _, err := json.Marshal(sp); err != nil {
				t.Fatal(err)
			}
			k := NewPicker(sp)
			open := make([]int32, len(sp.Targets))
			for range 10 {
				i := k.PickCounts(rng, open)
				if (i < 0) != (len(sp.Targets) == 0) || i >= len(sp.Targets) {
					t.Fatalf("picked %d of %d", i, len(sp.Targets))
				}
				if i >= 0 {
					open[i]++
				}
			}
		}
	})
}

func TestExplainAnything(t *testing.T) {
	id := advert.ServicePrefix(netip.MustParsePrefix("203.0.113.10/32"))
	cv := NewCurves()
	rapid.Check(t, func(t *rapid.T) {
		s := NewShared(id, drawPolicy(t), 3, cv)
		now := time.Unix(1_700_000_000, 0)
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			drawStep(t, s, &now)
			s.Decide(now)
		}
		now = now.Add(time.Second)
		before := snapshot(s)
		ex := s.Explain(now)
		if after := snapshot(s); !reflect.DeepEqual(before, after) {
			t.Fatalf("Explain changed the service")
		}
		if len(ex.Candidates) != s.Len() || ex.Verdict == "" {
			t.Fatalf("%d of %d candidates, verdict %q", len(ex.Candidates), s.Len(), ex.Verdict)
		}
		for i, c := range ex.Candidates {
			if c.Reason == "" || i != ex.Winner && ex.Winner >= 0 && c.WhyNot == "" {
				t.Fatalf("candidate %d: reason %q, why not %q", i, c.Reason, c.WhyNot)
			}
		}
		if _, err := json.Marshal(ex); err != nil {
			t.Fatal(err)
		}
	})
}

// snapshot returns what a later decision depends on, comparable.
func snapshot(s *Service) any {
	var out []any
	for _, st := range s.list {
		c := *st
		c.Utilisation, c.Capacity = 0, 0 // may be NaN
		c.path, c.curve = nil, nil
		out = append(out, c, st.path.RTT, st.path.Known, st.path.Reachable)
	}
	return append(out, s.incumbent, s.since, s.price, s.nextTick, s.urgent, s.dirty, s.version)
}

func TestOrderDoesNotMatter(t *testing.T) {
	id := advert.ServicePrefix(netip.MustParsePrefix("203.0.113.10/32"))
	cv := NewCurves()
	rapid.Check(t, func(t *rapid.T) {
		p := drawPolicy(t)
		a, b := NewShared(id, p, 5, cv), NewShared(id, p, 5, cv)
		now := time.Unix(1_700_000_000, 0)
		for range rapid.IntRange(1, 5).Draw(t, "rounds") {
			now = now.Add(time.Duration(rapid.IntRange(0, 30000).Draw(t, "ms")) * time.Millisecond)
			// One piece of news per candidate and path; any two orders.
			var news []func(*Service)
			seen := map[advert.InstanceKey]bool{}
			for range rapid.IntRange(0, 10).Draw(t, "news") {
				c := drawCandidate(t, now)
				if seen[c.Key] {
					continue
				}
				seen[c.Key] = true
				news = append(news, func(s *Service) { s.Hear(now, c) })
			}
			for _, site := range []string{"a", "b", "c"} {
				m := Path{RTT: rapid.SampledFrom(wildSpans).Draw(t, "rtt"), Known: true, Reachable: true}
				news = append(news, func(s *Service) { s.Measure(now, siteAddr(site), m) })
			}
			for _, f := range news {
				f(a)
			}
			for _, i := range rapid.Permutation(indexes(len(news))).Draw(t, "order") {
				news[i](b)
			}
			x, y := a.Decide(now), b.Decide(now)
			if !reflect.DeepEqual(x, y) {
				t.Fatalf("another order, another split:\n%+v\n%+v", x, y)
			}
		}
	})
}

func indexes(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

func FuzzSequence(f *testing.F) {
	// A seed that is too short for what it draws would only be skipped.
	for seed := range byte(4) {
		long := make([]byte, 1<<16)
		_, _ = rand.NewChaCha8([32]byte{seed}).Read(long) // never fails
		f.Add(long)
	}
	id := advert.ServicePrefix(netip.MustParsePrefix("203.0.113.10/32"))
	f.Fuzz(rapid.MakeFuzz(func(t *rapid.T) {
		s := New(id, drawPolicy(t), 3)
		now := time.Unix(1_700_000_000, 0)
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			drawStep(t, s, &now)
			checkSplit(t, s, s.Decide(now))
		}
	}))
}
