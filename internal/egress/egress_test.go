package egress

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/catsbgp/catsbgp/advert"
	"github.com/catsbgp/catsbgp/dampening"
	"github.com/catsbgp/catsbgp/internal/collect"
)

func TestUnknownSaysNothing(t *testing.T) {
	s := newScene(t, withChecks(perInstance(web, a1)))
	s.want("nothing was heard yet", "")
	s.load(web, a1, 0.3)
	s.want("a source alone decides nothing where there is a check", "")
	s.check(web, a1, true)
	s.want("up", "10.0.2.11: 203.0.113.10 10.0.2.11 30%; 203.0.113.10: anycast")
	s.wantNote("told", "service.up")
}

func TestDownAtOnce(t *testing.T) {
	s := newScene(t, withChecks(perInstance(web, a1, a2)))
	for _, id := range []string{a1, a2} {
		s.load(web, id, 0.3)
		s.check(web, id, true)
	}
	s.step()
	s.log = nil
	s.now = s.now.Add(10 * time.Millisecond)
	s.check(web, a1, false)
	s.wantLog("ten milliseconds after the last update", "-10.0.2.11")
	s.now = s.now.Add(10 * time.Millisecond)
	s.check(web, a2, false)
	s.wantLog("the last one takes the service with it", "-10.0.2.12", "-203.0.113.10")
	s.wantNote("told", "service.down", web)
}

// The anycast route never changes with load: it is put once, whatever the
// instances report.
func TestAnycastIsCalm(t *testing.T) {
	for _, form := range []string{"instances", "aggregate", "both"} {
		sv := perInstance(web, a1, a2, a3)
		sv.PerInstance, sv.Aggregate = form != "aggregate", form != "instances"
		s := newScene(t, sv)
		rng := rand.New(rand.NewPCG(1, 2))
		for range 500 {
			for _, id := range []string{a1, a2, a3} {
				s.values(web, id, map[string]float64{
					collect.ValueUtilisation: 1.5 * rng.Float64(), collect.ValueCapacity: 1000 * rng.Float64(),
					collect.ValueServiceTime: rng.Float64(), collect.ValueInFlight: 100 * rng.Float64(),
				})
			}
			s.pass(700 * time.Millisecond)
		}
		count := func(what string) (n int) {
			for _, l := range s.log {
				if l == what {
					n++
				}
			}
			return n
		}
		if n := count("+203.0.113.10/32"); n != 1 || count("-203.0.113.10/32") != 0 {
			t.Errorf("%s: the anycast route was put %d times", form, n)
		}
		if len(s.log) < 50 {
			t.Errorf("%s: %d announcements: nothing happened", form, len(s.log))
		}
	}
}

func TestMinInstances(t *testing.T) {
	sv := perInstance(web, a1, a2, a3)
	sv.MinInstances = 2
	s := newScene(t, sv)
	s.load(web, a1, 0.1)
	s.want("one of two needed", "10.0.2.11: 203.0.113.10 10.0.2.11 10%")
	s.load(web, a2, 0.1)
	s.want("two", "10.0.2.11: 203.0.113.10 10.0.2.11 10%; 10.0.2.12: 203.0.113.10 10.0.2.12 10%; 203.0.113.10: anycast")

	sv.PerInstance, sv.Aggregate = false, true
	s = newScene(t, sv)
	s.load(web, a1, 0.1)
	s.want("as a whole: one of two needed", "")
	s.load(web, a2, 0.3)
	s.want("two", "192.0.2.21: 203.0.113.10 site 20% aggregate; 203.0.113.10: anycast")
}

func TestAggregateAndBoth(t *testing.T) {
	sv := aggregated(web, a1, a2)
	s := newScene(t, sv)
	s.load(web, a1, 0.2)
	s.load(web, a2, 0.6)
	s.want("the mean, on the locator's route", "192.0.2.21: 203.0.113.10 site 40% aggregate; 203.0.113.10: anycast")
	var a advert.Attribute
	if err := advert.DecodeAttribute(s.rib[netip.MustParsePrefix("203.0.113.10/32")].Attribute, &a); err != nil || a.Profile.Flags&advert.AggregatedOnly == 0 {
		t.Errorf("flags %x, %v: want aggregated only", a.Profile.Flags, err)
	}
	if err := advert.DecodeAttribute(s.rib[netip.MustParsePrefix("192.0.2.21/32")].Attribute, &a); err != nil {
		t.Fatal(err)
	}
	if c, _ := a.Instances[0].CapacityFlows(); c != 200 {
		t.Errorf("capacity %v, want the sum, 200", c)
	}

	sv.PerInstance, sv.AggregateID = true, csci("10.0.2.1")
	s = newScene(t, sv)
	s.load(web, a1, 0.2)
	s.load(web, a2, 0.6)
	s.want("both", "10.0.2.1: 203.0.113.10 10.0.2.1 40% aggregate; 10.0.2.11: 203.0.113.10 10.0.2.11 20%; "+
		"10.0.2.12: 203.0.113.10 10.0.2.12 60%; 203.0.113.10: anycast")
}

func TestSeveralServicesOnOneHost(t *testing.T) {
	s := newScene(t, perInstance(web, a1), perInstance(shop, a1))
	s.load(web, a1, 0.2)
	s.load(shop, a1, 0.6)
	s.want("one route names both", "10.0.2.11: 203.0.113.10 10.0.2.11 20%, 203.0.113.20 10.0.2.11 60%; 203.0.113.10: anycast; 203.0.113.20: anycast")
	s.log = nil
	s.pass(2 * time.Second)
	s.load(shop, a1, 0.9)
	s.wantLog("one changes: one update", "+10.0.2.11")
}

func TestNumericIdentifiersRideOnTheLocator(t *testing.T) {
	s := newScene(t, perInstance(web, "#1", "#2"), aggregated(shop, a1))
	s.load(web, "#1", 0.1)
	s.load(web, "#2", 0.2)
	s.load(shop, a1, 0.3)
	s.want("one route", "192.0.2.21: 203.0.113.10 #1 10%, 203.0.113.10 #2 20%, 203.0.113.20 site 30% aggregate; 203.0.113.10: anycast; 203.0.113.20: anycast")
}

func TestDrains(t *testing.T) {
	one := Target{Service: csid(web), Instance: csci(a1), One: true}
	service, site := Target{Service: csid(web)}, Target{}
	start := func(sv Service) *scene {
		s := newScene(t, sv, perInstance(shop, a3))
		s.load(web, a1, 0.1)
		s.load(web, a2, 0.1)
		s.load(shop, a3, 0.1)
		s.pass(2 * time.Second)
		s.log, s.notes = nil, nil
		return s
	}
	drain := func(s *scene, target Target, d Drain) {
		t.Helper()
		d.Since = s.now
		if err := s.c.Drain(target, d); err != nil {
			t.Fatal(err)
		}
	}
	undrain := func(s *scene, target Target) {
		t.Helper()
		if was, err := s.c.Undrain(target); !was || err != nil {
			t.Fatalf("undrain: %v, %v", was, err)
		}
	}
	const (
		up1, up2 = "10.0.2.11: 203.0.113.10 10.0.2.11 10%", "10.0.2.12: 203.0.113.10 10.0.2.12 10%"
		other    = "10.0.2.13: 203.0.113.20 10.0.2.13 10%"
		any1     = "203.0.113.10: anycast"
		any2     = "203.0.113.20: anycast"
		dr1, dr2 = up1 + " drain, (shutdown)", up2 + " drain, (shutdown)"
		drOther  = other + " drain, (shutdown)"
	)
	all := strings.Join([]string{up1, up2, other, any1, any2}, "; ")
	j := func(words ...string) string { return strings.Join(words, "; ") }

	t.Run("an instance", func(t *testing.T) {
		s := start(perInstance(web, a1, a2))
		drain(s, one, Drain{Deadline: s.now.Add(time.Minute)})
		s.want("flagged, at once", j(dr1, up2, other, any1, any2))
		s.wantLog("and nothing else", "+10.0.2.11")
		s.pass(59 * time.Second)
		s.want("up to the deadline", j(dr1, up2, other, any1, any2))
		s.pass(time.Second)
		s.want("then withdrawn", j(up2, other, any1, any2))
		s.wantNote("told", "drain.finished", web, a1)
		undrain(s, one)
		s.pass(10 * time.Second)
		s.want("and back", all)
	})
	t.Run("a service", func(t *testing.T) {
		s := start(perInstance(web, a1, a2))
		drain(s, service, Drain{})
		s.want("its anycast route asks for no more flows, too", j(dr1, dr2, other, any1+", (shutdown)", any2))
		s.pass(time.Hour)
		s.want("without a deadline, for ever", j(dr1, dr2, other, any1+", (shutdown)", any2))
		drain(s, service, Drain{Withdraw: true})
		s.want("until told", j(other, any2))
		if d := s.c.Drains(); len(d) != 1 || !d[0].Since.Equal(epoch.Add(2*time.Second)) {
			t.Errorf("drains %v: want the time of the first", d)
		}
		undrain(s, service)
		s.pass(10 * time.Second)
		s.want("and back", all)
	})
	t.Run("the site", func(t *testing.T) {
		s := start(perInstance(web, a1, a2))
		drain(s, site, Drain{Deadline: s.now.Add(time.Minute)})
		s.want("everything", j(dr1, dr2, drOther, any1+", (shutdown)", any2+", (shutdown)"))
		undrain(s, site)
		s.pass(10 * time.Second)
		s.want("undrained in the middle", all)
		s.pass(2 * time.Minute)
		s.want("the deadline is gone as well", all)
	})
	t.Run("an aggregate", func(t *testing.T) {
		s := start(aggregated(web, a1, a2))
		const whole = "192.0.2.21: 203.0.113.10 site 10% aggregate"
		s.want("up", j(other, whole, any1, any2))
		drain(s, one, Drain{})
		s.pass(10 * time.Second)
		s.want("one drains: the aggregate is the other", j(other, whole, any1, any2))
		drain(s, Target{Service: csid(web), Instance: csci(a2), One: true}, Drain{})
		s.want("both drain: it drains", j(other, whole[:len(whole)-len("aggregate")]+"drain aggregate, (shutdown)", any1+", (shutdown)", any2))
		drain(s, one, Drain{Withdraw: true})
		s.pass(10 * time.Second)
		if got := s.says(); !strings.Contains(got, "site 10% drain aggregate") {
			t.Errorf("one is withdrawn, the other drains: %s", got)
		}
		drain(s, Target{Service: csid(web), Instance: csci(a2), One: true}, Drain{Withdraw: true})
		s.want("both withdrawn", j(other, any2))
	})
	t.Run("what is withdrawn does not count for an aggregate", func(t *testing.T) {
		sv := aggregated(web, a1, a2)
		sv.MinInstances = 2
		s := start(sv)
		drain(s, one, Drain{})
		s.pass(10 * time.Second)
		if got := s.says(); !strings.Contains(got, "203.0.113.10 site 10% aggregate") {
			t.Errorf("one of two drains, and two are needed: %s", got)
		}
		drain(s, one, Drain{Withdraw: true})
		s.want("one is left", j(other, any2))
	})
	t.Run("what is not there", func(t *testing.T) {
		s := start(perInstance(web, a1, a2))
		for _, target := range []Target{
			{Service: csid("203.0.113.99")},
			{Service: csid(web), Instance: csci(a3), One: true},
		} {
			if err := s.c.Drain(target, Drain{}); err == nil {
				t.Errorf("drains %s", target)
			}
			if was, err := s.c.Undrain(target); was || err == nil {
				t.Errorf("undrains %s", target)
			}
		}
		if was, err := s.c.Undrain(service); was || err != nil {
			t.Errorf("undrain of what does not drain: %v, %v", was, err)
		}
	})
	t.Run("through a reload that takes its target away", func(t *testing.T) {
		s := start(perInstance(web, a1, a2))
		drain(s, one, Drain{})
		s.c.Configure(s.now, options(perInstance(web, a2), perInstance(shop, a3)))
		s.want("away", j(up2, other, any1, any2))
		s.c.Configure(s.now, options(perInstance(web, a1, a2), perInstance(shop, a3)))
		s.load(web, a1, 0.1)
		s.pass(10 * time.Second)
		s.want("it comes back draining", j(dr1, up2, other, any1, any2))
		s.c.Configure(s.now, options(perInstance(web, a2), perInstance(shop, a3)))
		undrain(s, one)
	})
	t.Run("the most severe of several counts", func(t *testing.T) {
		s := start(perInstance(web, a1, a2))
		drain(s, one, Drain{Withdraw: true})
		drain(s, site, Drain{})
		s.want("withdrawn", j(dr2, drOther, any1+", (shutdown)", any2+", (shutdown)"))
		undrain(s, one)
		s.pass(10 * time.Second)
		s.want("draining", j(dr1, dr2, drOther, any1+", (shutdown)", any2+", (shutdown)"))
	})
}

func TestReload(t *testing.T) {
	start := func(services ...Service) *scene {
		s := newScene(t, services...)
		for _, sv := range services {
			for _, in := range sv.Instances {
				s.load(sv.ID.String(), in.ID.String(), 0.1)
			}
		}
		s.pass(2 * time.Second)
		s.log, s.notes = nil, nil
		return s
	}
	const (
		up1, up2 = "10.0.2.11: 203.0.113.10 10.0.2.11 10%", "10.0.2.12: 203.0.113.10 10.0.2.12 10%"
		any1     = "203.0.113.10: anycast"
		whole    = "192.0.2.21: 203.0.113.10 site 10% aggregate"
	)
	t.Run("the same again", func(t *testing.T) {
		s := start(perInstance(web, a1, a2))
		s.c.Configure(s.now, options(perInstance(web, a1, a2)))
		s.wantLog("says nothing")
		if len(s.notes) != 0 {
			t.Errorf("tells %v", s.notes)
		}
	})
	t.Run("one more instance", func(t *testing.T) {
		s := start(perInstance(web, a1))
		s.c.Configure(s.now, options(perInstance(web, a1, a2)))
		s.wantLog("nothing is known of it")
		s.load(web, a2, 0.1)
		s.wantLog("then it is said", "+10.0.2.12")
	})
	t.Run("one instance less", func(t *testing.T) {
		s := start(perInstance(web, a1, a2))
		s.c.Configure(s.now, options(perInstance(web, a1)))
		s.load(web, a2, 0.9) // a late event of it changes nothing
		s.wantLog("its route goes, nothing else", "-10.0.2.12")
	})
	t.Run("away and back before anybody looked", func(t *testing.T) {
		s := start(perInstance(web, a1, a2))
		s.c.Configure(s.now, options(perInstance(web, a1)))
		s.c.Configure(s.now, options(perInstance(web, a1, a2)))
		s.want("nothing is lost", up1+"; "+up2+"; "+any1)
		s.wantLog("nor said")
	})
	t.Run("away and back", func(t *testing.T) {
		s := start(perInstance(web, a1, a2))
		s.c.Configure(s.now, options(perInstance(web, a1)))
		s.step()
		s.now = s.now.Add(-time.Hour) // put checks that sequences go up all the same
		s.c.Configure(s.now, options(perInstance(web, a1, a2)))
		s.load(web, a2, 0.1)
		s.pass(10 * time.Second)
		s.want("said again", up1+"; "+up2+"; "+any1)
	})
	t.Run("a service less, and another", func(t *testing.T) {
		s := start(perInstance(web, a1), perInstance(shop, a2))
		s.c.Configure(s.now, options(perInstance(shop, a2)))
		s.wantLog("its routes go", "-10.0.2.11", "-203.0.113.10")
		s.c.Configure(s.now, options(perInstance(web, a1), perInstance(shop, a2)))
		s.load(web, a1, 0.1)
		s.pass(10 * time.Second)
		s.wantLog("and come back", "+10.0.2.11", "+203.0.113.10")
	})
	t.Run("a service less while everything changes", func(t *testing.T) {
		s := start(perInstance(web, a1), perInstance(shop, a2))
		opt := options(perInstance(shop, a2))
		opt.Locator = netip.MustParseAddr("192.0.2.99")
		s.c.Configure(s.now, opt)
		s.want("nothing is left behind", "10.0.2.12: 203.0.113.20 10.0.2.12 10%; 203.0.113.20: anycast")
	})
	t.Run("instances become an aggregate", func(t *testing.T) {
		s := start(perInstance(web, a1, a2))
		opt := options(aggregated(web, a1, a2))
		opt.Dampening.CreatePerMinute = 1 // the aggregate has to wait for its turn
		s.c.Configure(s.now, opt)
		s.c.table.Observe(s.now, "0", dampening.Observation{State: dampening.Up})
		s.want("nothing is lost in between", up1+"; "+up2+"; "+any1)
		s.pass(time.Minute)
		s.want("handed over", whole+"; "+any1)
		for _, l := range s.log {
			if l == "-203.0.113.10/32" {
				t.Error("the anycast route was withdrawn")
			}
		}
	})
	t.Run("an aggregate becomes instances", func(t *testing.T) {
		s := start(aggregated(web, a1, a2))
		s.c.Configure(s.now, options(perInstance(web, a1, a2)))
		s.want("handed over", up1+"; "+up2+"; "+any1)
		s.wantLog("in one step, and the new ones first", "+10.0.2.11", "+10.0.2.12", "+203.0.113.10", "-192.0.2.21")
	})
	t.Run("an aggregate gets another name", func(t *testing.T) {
		s := start(aggregated(web, a1, a2))
		sv := aggregated(web, a1, a2)
		sv.AggregateID = csci("10.0.2.1")
		s.c.Configure(s.now, options(sv))
		s.want("handed over", "10.0.2.1: 203.0.113.10 10.0.2.1 10% aggregate; "+any1)
		s.wantLog("in one step", "+10.0.2.1", "-192.0.2.21")
	})
	t.Run("a form that cannot be said takes over as well", func(t *testing.T) {
		s := start(perInstance(web, a1, a2))
		sv := aggregated(web, a1, a2)
		sv.MinInstances = 3
		s.c.Configure(s.now, options(sv))
		s.want("there are not enough for an aggregate: nothing", "")
	})
	t.Run("and what is leaving still goes down at once", func(t *testing.T) {
		s := newScene(t, withChecks(perInstance(web, a1, a2)))
		for _, id := range []string{a1, a2} {
			s.load(web, id, 0.1)
			s.check(web, id, true)
		}
		s.pass(2 * time.Second)
		opt := options(withChecks(aggregated(web, a1, a2)))
		opt.Dampening.SessionPerSec = 0.1 // nothing but safety gets through for a while
		s.c.Configure(s.now, opt)
		s.check(web, a1, false)
		if s.step(); strings.Contains(s.says(), a1) {
			t.Errorf("still said: %s", s.says())
		}
	})
	t.Run("another locator", func(t *testing.T) {
		s := start(perInstance(web, a1, "#7"))
		opt := options(perInstance(web, a1, "#7"))
		opt.Locator = netip.MustParseAddr("192.0.2.99")
		s.c.Configure(s.now, opt)
		s.wantLog("every route names it", "+10.0.2.11", "+192.0.2.99", "+203.0.113.10", "-192.0.2.21")
		var a advert.Attribute
		if err := advert.DecodeAttribute(s.rib[netip.MustParsePrefix("10.0.2.11/32")].Attribute, &a); err != nil || a.Locator != opt.Locator {
			t.Errorf("locator %s, %v", a.Locator, err)
		}
	})
	t.Run("another site preference", func(t *testing.T) {
		s := start(perInstance(web, a1))
		opt := options(perInstance(web, a1))
		opt.Site.Preference = 7
		s.c.Configure(s.now, opt)
		s.wantLog("is on the anycast route", "+203.0.113.10")
		if len(s.notes) != 0 {
			t.Errorf("tells %v", s.notes)
		}
	})
	t.Run("a new check", func(t *testing.T) {
		s := start(perInstance(web, a1))
		s.c.Configure(s.now, options(withChecks(perInstance(web, a1))))
		s.wantLog("has not decided yet: no reason to withdraw")
		s.wantNote("but told", "agent.warning", "has not decided")
		s.pass(5 * time.Second)
		s.load(web, a1, 0.5)
		s.pass(5 * time.Second)
		s.check(web, a1, true)
		s.want("up", "10.0.2.11: 203.0.113.10 10.0.2.11 50%; "+any1)
		s.check(web, a1, false)
		s.want("down", "")
	})
	t.Run("a new check that never decides", func(t *testing.T) {
		s := start(perInstance(web, a1))
		s.c.Configure(s.now, options(withChecks(perInstance(web, a1))))
		s.pass(89 * time.Second)
		s.want("for as long as values are good", up1+"; "+any1)
		s.pass(time.Second)
		s.want("no longer", "")
	})
	t.Run("another source, which is silent", func(t *testing.T) {
		s := start(perInstance(web, a1))
		sv := perInstance(web, a1)
		sv.Instances[0].Sources[0].Name = "other"
		s.c.Configure(s.now, options(sv))
		s.pass(80 * time.Second)
		s.want("the last value stands", up1+"; "+any1)
		s.pass(10 * time.Second)
		s.want("not for ever", "")
	})
	t.Run("more capacity", func(t *testing.T) {
		s := start(perInstance(web, a1))
		sv := perInstance(web, a1)
		sv.Instances[0].Capacity = 105
		s.c.Configure(s.now, options(sv))
		s.wantLog("a little can wait for the refresh")
		sv.Instances[0].Capacity = 200
		s.c.Configure(s.now, options(sv))
		s.wantLog("the double cannot: load is a share of it", "+10.0.2.11")
	})
}

func TestSequences(t *testing.T) {
	t.Run("after a restart without memory", func(t *testing.T) {
		s := newScene(t, perInstance(web, a1))
		for i := range 100 {
			s.load(web, a1, float64(i%2))
			s.pass(1100 * time.Millisecond)
		}
		// put compares with what the predecessor said last.
		s.now = s.now.Add(time.Second)
		s.c = New(s.now, options(perInstance(web, a1)), 2)
		s.rib = map[netip.Prefix]Route{}
		s.load(web, a1, 0.5)
		s.want("said", "10.0.2.11: 203.0.113.10 10.0.2.11 50%; 203.0.113.10: anycast")
	})
	t.Run("with a clock that goes back", func(t *testing.T) {
		s := newScene(t, perInstance(web, a1))
		s.load(web, a1, 0.5)
		s.step()
		s.now = s.now.Add(-time.Hour)
		s.load(web, a1, 0.9)
		s.pass(10 * time.Second)
		s.want("said", "10.0.2.11: 203.0.113.10 10.0.2.11 90%; 203.0.113.10: anycast")
	})
	for _, tt := range []struct {
		last advert.Sequence
		unix int64
		want advert.Sequence
	}{
		{0, 100, 800},
		{800, 100, 801},
		{801, 101, 808},
		{0xffffffff, 0, 1},       // 0 stands for none
		{0xfffffff0, 1 << 29, 1}, // the clock is at 2^32, which is 0 and newer
	} {
		if got := nextSequence(tt.last, time.Unix(tt.unix, 0)); got != tt.want {
			t.Errorf("after %#x at %d: %#x, want %#x", tt.last, tt.unix, got, tt.want)
		}
	}
}

func TestWhatIsSaidBesideLoad(t *testing.T) {
	opt := options(perInstance(web, a1))
	opt.Dampening.Smoothing = 2 * time.Second
	s := newSceneWith(t, opt)
	said := func() *advert.Instance {
		for _, v := range s.c.Subjects() {
			return v.Said
		}
		return nil
	}
	capacity := func(c float64, d time.Duration) {
		for ; d > 0; d -= 100 * time.Millisecond {
			s.values(web, a1, map[string]float64{collect.ValueUtilisation: 0.3, collect.ValueCapacity: c})
			s.pass(100 * time.Millisecond)
		}
	}
	capacity(50, 5*time.Second)
	if c, _ := said().CapacityFlows(); c != 50 {
		t.Errorf("capacity %v, want 50", c)
	}
	s.log = nil
	capacity(25, 100*time.Millisecond)
	s.wantLog("one odd sample is no news")
	capacity(25, 900*time.Millisecond)
	s.wantLog("half the capacity is, at the same load", "+10.0.2.11")
	capacity(80, 300*time.Millisecond)
	s.wantLog("but never faster than a minimum interval")
	capacity(80, time.Second)
	s.wantLog("after which it is", "+10.0.2.11")
	s.pass(5 * time.Second)
	s.log = nil
	s.values(web, a1, map[string]float64{collect.ValueUtilisation: -1})
	s.wantLog("a lie is flagged", "+10.0.2.11")
	if said().Flags&advert.Anomalous == 0 {
		t.Errorf("flags %v", said().Flags.Words())
	}
	s.pass(3 * time.Second)
	s.values(web, a1, map[string]float64{collect.ValueUtilisation: 0.3, collect.ValueServiceTime: 1e6})
	s.pass(3 * time.Second)
	s.log = nil
	for range 20 {
		s.values(web, a1, map[string]float64{collect.ValueUtilisation: 0.3, collect.ValueServiceTime: 1e6})
		s.pass(time.Second)
	}
	s.wantLog("what does not fit on the wire is said once")
}

func TestSignedAttributesVerify(t *testing.T) {
	sign, err := advert.NewHMACKey(7, []byte("0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	ring, err := advert.NewKeyring(sign)
	if err != nil {
		t.Fatal(err)
	}
	opt := options(perInstance(web, a1, "#1"))
	opt.Sign = sign
	s := newSceneWith(t, opt)
	s.load(web, a1, 0.3)
	s.load(web, "#1", 0.3)
	s.step()
	if len(s.rib) != 3 {
		t.Errorf("%d routes, want 3", len(s.rib))
	}
	for p, r := range s.rib {
		if id, err := ring.Verify(r.Attribute, p, s.now); err != nil || id != 7 {
			t.Errorf("%s: key %d: %v", p, id, err)
		}
	}
	t.Log("# another key: everything anew, with the same sequences")
	other, err := advert.NewHMACKey(8, []byte("0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	s.log = nil
	opt.Sign = other
	s.c.Configure(s.now, opt)
	s.wantLog("signed anew", "+10.0.2.11", "+192.0.2.21", "+203.0.113.10")
	t.Log("# the same key, read again from the file: nothing")
	if opt.Sign, err = advert.NewHMACKey(8, []byte("0123456789abcdef")); err != nil {
		t.Fatal(err)
	}
	s.c.Configure(s.now, opt)
	s.wantLog("the same octets")
	t.Log("# a key that cannot sign: refused, once, and loud")
	public, err := advert.NewEd25519PublicKey(9, make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	opt.Sign = public
	s.c.Configure(s.now, opt)
	s.wantNote("told", "route.refused", "only verify")
	s.load(web, a1, 0.9)
	s.pass(10 * time.Second)
	if len(s.notes) != 0 {
		t.Errorf("told again: %v", s.notes)
	}
}

func TestTooManyForOneRoute(t *testing.T) {
	for _, signed := range []bool{false, true} {
		var ids []string
		for i := range 120 {
			ids = append(ids, fmt.Sprintf("#%d", i))
		}
		opt := options(perInstance(web, ids...))
		opt.Dampening.CreatePerMinute, opt.Dampening.SessionPerSec = 1e4, 1e4
		if signed {
			var err error
			if opt.Sign, err = advert.NewEd25519Key(1, make([]byte, 32)); err != nil {
				t.Fatal(err)
			}
		}
		s := newSceneWith(t, opt)
		for _, id := range ids {
			s.load(web, id, 0.3)
		}
		s.step() // put checks the length
		if _, ok := s.rib[netip.MustParsePrefix("192.0.2.21/32")]; !ok {
			t.Fatalf("signed %v: no route at all", signed)
		}
		s.wantNote("told", "route.refused", "of 120 instances fit")
		s.pass(2 * time.Second)
		s.load(web, "#0", 0.9)
		s.step()
		if len(s.notes) != 0 {
			t.Errorf("told again: %v", s.notes)
		}
	}
}

func TestCommunities(t *testing.T) {
	opt := options(perInstance(web, a1), perInstance("2001:db8:53::1", "2001:db8:2::11"))
	opt.Communities = true
	s := newSceneWith(t, opt)
	s.load(web, a1, 0.3)
	s.load("2001:db8:53::1", "2001:db8:2::11", 0.4)
	s.step()
	six := csid("2001:db8:53::1")
	for p, r := range s.rib {
		if r.Anycast != (len(r.Large) == 0) {
			t.Errorf("%s: large communities %v", p, r.Large)
		}
		if r.Anycast {
			continue
		}
		found, bad := advert.DecodeCommunities(r.Large, 65001, p, func(i uint32) (advert.CSID, bool) { return six, i == six.Index() })
		if bad != 0 || len(found) != 1 || found[0].ID.Addr() != p.Addr() || !found[0].Service.IsValid() {
			t.Errorf("%s: %v, %d unusable", p, found, bad)
		}
	}
	opt.Profile.Domain = 0
	s.c.Configure(s.now, opt)
	s.wantNote("a domain that is no AS is told", "route.refused", "reserved AS 0")
	if len(s.rib) != 4 {
		t.Errorf("%d routes: the attributes say it all the same", len(s.rib))
	}
}

func TestEvery(t *testing.T) {
	s := newScene(t, aggregated(web, a1, a2))
	s.load(web, a1, 0.3)
	s.step()
	views := s.c.Subjects()
	if len(views) != 3 || !views[2].Whole || views[2].Said == nil || !views[2].Gated || views[0].Gated || views[0].Config.Capacity != 100 {
		t.Errorf("subjects %+v", views)
	}
	if v := s.c.Services(); len(v) != 1 || !v[0].Announced || v[0].Up != 1 || v[0].Total != 2 {
		t.Errorf("services %+v", v)
	}
	if _, validity := s.c.Dampening(); validity != 90*time.Second {
		t.Errorf("validity %s", validity)
	}
	if !slices.IsSortedFunc(views, func(a, b SubjectView) int { return a.Key.ID.Compare(b.Key.ID) }) && !views[2].Whole {
		t.Error("out of order")
	}
}
