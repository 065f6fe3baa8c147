package egress

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/catsbgp/catsbgp/advert"
)

// A fact is what was last reported of an instance.
type fact struct {
	load  float64 // < 0: nothing
	check int     // -1 down, 0 not decided, 1 up
}

// TestReachesWhatAFreshCoreWouldSay does everything at random (load, checks,
// drains, reloads between several configurations, time) and applies the output
// to a RIB. Some calm later the RIB must be what a new core says that is told
// the same facts, but for sequences and times. Nothing may be left behind.
func TestReachesWhatAFreshCoreWouldSay(t *testing.T) {
	sign, err := advert.NewHMACKey(7, []byte("0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	both := perInstance(shop, a3, a1)
	both.Aggregate, both.MinInstances = true, 2
	renamed := aggregated(web, a1, a2)
	renamed.AggregateID = csci("10.0.2.1")
	moved, signed := options(perInstance(web, a1, "#7"), both), options(perInstance(web, a1, a2))
	moved.Locator = netip.MustParseAddr("192.0.2.99")
	signed.Sign, signed.Communities = sign, true
	configs := []Options{
		options(perInstance(web, a1, a2), perInstance(shop, a3)),
		options(withChecks(perInstance(web, a1, a2))),
		options(aggregated(web, a1, a2), both),
		options(renamed),
		options(perInstance(shop, a1, a3, "#7"), perInstance(web, "#7")),
		moved, signed,
	}
	targets := []Target{
		{}, {Service: csid(web)}, {Service: csid(shop)}, {Service: csid(web), Instance: csci(a1), One: true},
		{Service: csid(shop), Instance: csci(a3), One: true},
	}
	for seed := range uint64(400) {
		rng := rand.New(rand.NewPCG(seed, 1))
		config := configs[rng.IntN(len(configs))]
		s := newSceneWith(t, config)
		facts := map[string]*fact{}
		limbo := map[string]*fact{} // of instances that were configured away since the last step
		configure := func(opt Options) {
			kept := map[string]*fact{}
			for _, sv := range opt.Services {
				for _, in := range sv.Instances {
					k := in.Key.String()
					kept[k] = cmp.Or(facts[k], limbo[k], &fact{load: -1})
					if len(in.Checks) == 0 {
						kept[k].check = 0
					}
				}
			}
			maps.Copy(limbo, facts)
			config, facts = opt, kept
		}
		configure(config)
		report := func(s *scene, service advert.CSID, id advert.CSCIID, f *fact) {
			if f.load >= 0 {
				s.load(service.String(), id.String(), f.load)
			}
			if f.check != 0 {
				s.check(service.String(), id.String(), f.check > 0)
			}
		}
		for range 60 {
			switch rng.IntN(10) {
			case 0, 1, 2, 3:
				sv := config.Services[rng.IntN(len(config.Services))]
				in := sv.Instances[rng.IntN(len(sv.Instances))]
				f := facts[in.Key.String()]
				f.load = float64(rng.IntN(12)) / 10
				if len(in.Checks) > 0 && rng.IntN(3) == 0 {
					f.check = 2*rng.IntN(2) - 1
				}
				report(s, sv.ID, in.ID, f)
			case 4:
				d := Drain{Since: s.now, Withdraw: rng.IntN(3) == 0}
				if rng.IntN(2) == 0 {
					d.Deadline = s.now.Add(time.Duration(rng.IntN(60)) * time.Second)
				}
				_ = s.c.Drain(targets[rng.IntN(len(targets))], d) // some are not there
			case 5, 6:
				_, _ = s.c.Undrain(targets[rng.IntN(len(targets))])
			case 7:
				configure(configs[rng.IntN(len(configs))])
				s.c.Configure(s.now, config)
			default:
				s.pass(time.Duration(rng.IntN(5000)) * time.Millisecond)
				clear(limbo)
			}
			if rng.IntN(2) == 0 {
				s.step()
				clear(limbo)
			}
		}
		s.pass(3 * time.Hour) // penalties of presence decay as well

		fresh := newSceneWith(t, config)
		fresh.now = s.now
		fresh.c = New(fresh.now, config, 9)
		for _, sv := range config.Services {
			for _, in := range sv.Instances {
				report(fresh, sv.ID, in.ID, facts[in.Key.String()])
			}
		}
		for _, d := range s.c.Drains() {
			_ = fresh.c.Drain(d.Target, d.Drain) // not those that are not configured now
		}
		fresh.pass(time.Minute)
		if got, want := s.describe(), fresh.describe(); got != want {
			t.Fatalf("seed %d:\n got %s\nwant %s", seed, got, want)
		}
		if n, m := len(s.c.routes), len(fresh.c.routes); n != m || len(s.c.subjects) != len(fresh.c.subjects) ||
			len(s.c.services) != len(fresh.c.services) || len(s.c.handovers) != 0 {
			t.Fatalf("seed %d: left behind: %d routes for %d, %d subjects for %d, %d handovers", seed, n, m,
				len(s.c.subjects), len(fresh.c.subjects), len(s.c.handovers))
		}
	}
}

// describe is the RIB but for sequences and times.
func (s *scene) describe() string {
	text := s.says()
	for p, r := range s.rib {
		var a advert.Attribute
		if err := advert.DecodeAttribute(r.Attribute, &a); err != nil {
			s.t.Fatal(err)
		}
		if r.Anycast {
			continue
		}
		for _, in := range a.Instances {
			if in.Validity != 90 || in.Window != 100 {
				s.t.Errorf("%s: %+v", p, in)
			}
		}
	}
	if len(s.rib) > 0 {
		for _, sv := range s.c.Services() {
			if r, ok := s.rib[sv.ID.Prefix()]; ok != sv.Announced {
				s.t.Errorf("%s: announced %v, in the RIB %v", sv.ID, sv.Announced, ok)
			} else if ok {
				text += fmt.Sprintf("; %s %x", sv.ID, r.Attribute)
			}
		}
	}
	return text
}
