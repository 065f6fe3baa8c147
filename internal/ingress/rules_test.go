package ingress

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/catsbgp/catsbgp/advert"
	"github.com/catsbgp/catsbgp/selection"
)

// The receiver rules of CATS-BGP, one by one.

func TestRule1ForeignAttributesAreNotOurs(t *testing.T) {
	for _, tt := range []struct {
		name, fault, note string
		value             func(s *scene) []byte
	}{
		{"an attribute that does not begin with our profile", "not-cats=1", "heard.foreign",
			func(*scene) []byte { return []byte{0, 1, 5, 0, 0, 0, 0, 100} }},
		{"an empty attribute", "not-cats=1", "heard.foreign",
			func(*scene) []byte { return []byte{} }},
		{"another domain", "foreign-domain=1", "domain 65009, ours is 65001",
			func(s *scene) []byte {
				return encode(t, s.attribute(say{site: siteA, id: instA, seq: 1, domain: 65009}), instA+"/32", nil)
			}},
		{"scores that cannot be compared with ours", "foreign-profile=1", "normalization profile 7, ours is 1",
			func(s *scene) []byte {
				return encode(t, s.attribute(say{site: siteA, id: instA, seq: 1,
					mutate: func(a *advert.Attribute) { a.Profile.Normalization = 7 }}), instA+"/32", nil)
			}},
		{"meant for other ASes", "out-of-scope=1", "meant for AS [64496 64497]",
			func(s *scene) []byte {
				return encode(t, s.attribute(say{site: siteA, id: instA, seq: 1,
					mutate: func(a *advert.Attribute) { a.Site.ASScope = []uint32{64496, 64497} }}), instA+"/32", nil)
			}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newScene(t)
			s.hear("r1", instA+"/32", tt.value(s))
			s.want("no candidate", "no service")
			s.wantFaults("counted", "r1 "+tt.fault)
			s.wantNote("told", tt.note, instA, "r1")
			if got := s.c.Totals(); got != (Totals{}) {
				t.Errorf("something is kept: %+v", got)
			}
		})
	}
	t.Run("an attribute that is meant for us among others", func(t *testing.T) {
		s := newScene(t)
		s.says("r1", say{site: siteA, id: instA, seq: 1,
			mutate: func(a *advert.Attribute) { a.Site.ASScope = []uint32{64496, domain} }})
		s.want("a candidate", instA+"@"+siteA)
		s.wantQuiet("nothing to tell")
	})
}

func TestRule1IsToldAFewTimesAMinute(t *testing.T) {
	s := newScene(t)
	for i := range 1000 {
		s.says("r1", say{site: siteA, id: fmt.Sprintf("10.1.%d.%d", i/250, i%250), seq: 1, domain: 65009})
	}
	s.step()
	if len(s.notes) != toldCount {
		t.Errorf("%d notes, want %d", len(s.notes), toldCount)
	}
	s.wantFaults("all are counted", "r1 foreign-domain=1000")
	s.notes = nil
	for range 3 {
		s.now = s.now.Add(30 * time.Second)
		s.step()
	}
	s.says("r1", say{site: siteA, id: instA, seq: 1, domain: 65009})
	s.wantNote("a minute later the rest is summed up", "and 996 more such before")
}

func TestRule2MalformedIsWithdrawOfThatCandidateOnly(t *testing.T) {
	s := newScene(t)
	s.anycast("r1", siteA, nil)
	s.says("r1", say{site: siteA, id: instA, seq: 1, load: 0.2})
	s.says("r1", say{site: siteA, id: instB, seq: 1, load: 0.2})
	s.want("two instances, and the site itself",
		instA+"@"+siteA+", "+instB+"@"+siteA+", (site@"+siteA+" no-metrics)")

	broken := encode(t, s.attribute(say{site: siteA, id: instA, seq: 2}), instA+"/32", nil)
	s.hear("r1", instA+"/32", broken[:len(broken)-1])
	s.want("one is treated as withdrawn, the others stay", instB+"@"+siteA+", (site@"+siteA+" no-metrics)")
	s.wantNote("and the operator hears why", "heard.invalid", instA)

	s.withdraw("r1", instB+"/32")
	s.c.Measure(s.now, measured(siteA, 10*time.Millisecond))
	s.want("without instances the anycast route still leads to the site", "site@"+siteA)
	s.hear("r1", web, []byte(broken[:20]))
	s.want("unless its own attribute is malformed", "no service")
	s.wantFaults("both are counted", "r1 malformed=2")
}

func TestRule3ValuesOutOfRangeAreIgnored(t *testing.T) {
	s := newScene(t)
	value := encode(t, s.attribute(say{site: siteA, id: instA, seq: 1, noMetrics: true,
		mutate: func(a *advert.Attribute) {
			a.Instances[0].SetScore(advert.NormFI, 10, advert.StatMean, advert.SourceMeasured)
			a.Instances[0].SetCapacityFlows(50, advert.StatMean, advert.SourceMeasured)
		}}), instA+"/32", nil)
	i := strings.Index(string(value), "\x01\x84") // norm_fi, level 2
	if i < 0 {
		t.Fatal("no norm_fi in the attribute")
	}
	value[i+4] = 11
	s.hear("r1", instA+"/32", value)
	v := s.c.Sites(s.now)[0].Instances[0]
	if v.Score != -1 || v.Capacity != 50 {
		t.Errorf("score %d, want unknown; capacity %v, want 50", v.Score, v.Capacity)
	}
	s.wantFaults("counted", "r1 ignored-value=1")
	s.wantNote("told", "heard.invalid", "norm_fi")
}

func TestRule4ReplaysAreDropped(t *testing.T) {
	s := newScene(t)
	old := encode(t, s.attribute(say{site: siteA, id: instA, seq: 10, load: 0.1}), instA+"/32", nil)
	s.hear("r1", instA+"/32", old)
	s.pass(35 * time.Second)
	s.says("r1", say{site: siteA, id: instA, seq: 11, load: 0.8})
	s.wantQuiet("all is well")

	t.Log("# somebody plays the old one")
	s.hear("r2", instA+"/32", old)
	load := func() float64 { return s.c.Sites(s.now)[0].Instances[0].Utilisation }
	if !almost(load(), 0.8) {
		t.Errorf("load %v: the replay counts", load())
	}
	s.wantFaults("counted", "r2 replay=1")
	s.wantNote("told", "heard.replay", "sequence 10, have 11")

	t.Log("# the instance is withdrawn: the replay does not keep it")
	s.withdraw("r1", instA+"/32")
	s.want("gone", "no service")
	t.Log("# it is played again, and again")
	for range 3 {
		s.hear("r2", instA+"/32", old)
		s.want("a replay cannot bring it back", "no service")
	}
	s.wantFaults("counted", "r2 replay=4")

	t.Log("# the very route that was withdrawn may come back: a session that was reset")
	s.says("r1", say{site: siteA, id: instA, seq: 11, at: s.now.Add(-5 * time.Second), load: 0.8})
	s.want("not that either, since the generation time differs", "no service")
	s.says("r1", say{site: siteA, id: instA, seq: 12, load: 0.8})
	s.want("a newer one may", instA+"@"+siteA)
}

func TestRule4TheSameRouteComesBackAfterASessionReset(t *testing.T) {
	s := newScene(t)
	value := encode(t, s.attribute(say{site: siteA, id: instA, seq: 10, load: 0.1}), instA+"/32", nil)
	s.hear("r1", instA+"/32", value)
	s.step()
	s.withdraw("r1", instA+"/32")
	s.pass(10 * time.Second)
	s.hear("r1", instA+"/32", value)
	s.want("the session was reset, nothing changed", instA+"@"+siteA)
	s.wantFaults("no replay", "")
}

func TestRule4ASiteThatRestartedWithAnEarlierClockIsNotLockedOut(t *testing.T) {
	s := newScene(t)
	said := func(seq uint32, ahead time.Duration) {
		s.says("r1", say{site: siteA, id: instA, seq: seq, load: 0.2, at: s.now.Add(ahead)})
	}
	said(1000, 0)
	t.Log("# the route stays up by graceful restart; the new agent counts from lower")
	for seq := uint32(500); seq < 509; seq++ {
		s.pass(30 * time.Second)
		said(seq, 0)
	}
	s.pass(20 * time.Second)
	s.want("after four and a half minutes it is out", "("+instA+"@"+siteA+" stale)")
	s.pass(10 * time.Second)
	said(509, 0)
	s.want("but after five the old sequence counts no more", instA+"@"+siteA)
}

func TestRule4AnOldReplayIsStaleEvenWhenSequencesAreForgotten(t *testing.T) {
	s := newScene(t)
	old := encode(t, s.attribute(say{site: siteA, id: instA, seq: 1}), instA+"/32", nil)
	s.now = s.now.Add(time.Hour)
	s.says("r1", say{site: siteA, id: instA, seq: 100})
	s.pass(10 * time.Minute)
	for range 3 {
		s.hear("r1", instA+"/32", old)
		s.want("an hour old", "("+instA+"@"+siteA+" stale)")
		s.pass(30 * time.Second)
	}
}

func TestRule4StaleOnArrival(t *testing.T) {
	s := newScene(t)
	s.says("r1", say{site: siteA, id: instA, seq: 1, load: 0.2, at: s.now.Add(-2 * time.Minute)})
	s.want("past its validity it is discounted", instA+"@"+siteA+" aged")
	s.says("r1", say{site: siteA, id: instB, seq: 1, load: 0.2, at: s.now.Add(-4 * time.Minute)})
	s.want("past twice that, it is out", instA+"@"+siteA+" aged, ("+instB+"@"+siteA+" stale)")
	s.wantNote("told", "heard.stale", "said 2m0s ago, good for 1m30s")
	s.wantFaults("counted", "r1 stale=2")
}

func TestRule4StaleInPlace(t *testing.T) {
	s := newScene(t)
	s.says("r1", say{site: siteA, id: instA, seq: 1, load: 0.2})
	s.pass(89 * time.Second)
	s.want("in its validity", instA+"@"+siteA)
	s.pass(time.Second)
	s.want("at its end it is discounted", instA+"@"+siteA+" aged")
	s.pass(90 * time.Second)
	s.want("after twice that, out", "("+instA+"@"+siteA+" stale)")
	s.says("r1", say{site: siteA, id: instA, seq: 2, load: 0.2})
	s.want("until it is said again", instA+"@"+siteA)
}

func TestRule5DuplicateMetricFirstWins(t *testing.T) {
	s := newScene(t)
	a := s.attribute(say{site: siteA, id: instA, seq: 1, load: 0.3})
	a.Instances[0].Metrics = a.Instances[0].Metrics[:1] // utilisation
	value := encode(t, a, instA+"/32", nil)
	// Say the utilisation again, with another value: metrics are the end of the
	// Instance, which is the end of the attribute.
	again := append([]byte(nil), value[len(value)-6:]...)
	binary.BigEndian.PutUint16(again[4:], 9000)
	value = append(value, again...)
	length := strings.Index(string(value), "\xca\x01") + 2
	value[length] += byte(len(again))
	s.hear("r1", instA+"/32", value)
	if v := s.c.Sites(s.now)[0].Instances[0]; !almost(v.Utilisation, 0.3) {
		t.Errorf("utilisation %v, want the first, 0.3", v.Utilisation)
	}
	s.wantFaults("counted", "r1 ignored-value=1")
}

func TestRule6Signatures(t *testing.T) {
	key := func(id uint32, secret string) *advert.Key {
		k, err := advert.NewHMACKey(id, []byte(strings.Repeat(secret, 16)))
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	good, other, forged := key(1, "a"), key(2, "b"), key(1, "x")
	expired := key(3, "c")
	expired.NotAfter = epoch.Add(-time.Hour)
	ring, err := advert.NewKeyring(good, expired)
	if err != nil {
		t.Fatal(err)
	}
	required := func(o *Options) { o.Keys, o.RequireAuth = ring, true }
	checked := func(o *Options) { o.Keys = ring }
	in, out := instA+"@"+siteA, "("+instA+"@"+siteA+" signature)"
	for _, tt := range []struct {
		name   string
		set    func(*Options)
		key    *advert.Key
		want   string
		faults string
		note   string
	}{
		{"good, required", required, good, in, "", ""},
		{"missing, required", required, nil, out, "r1 signature=1", "not signed"},
		{"unknown key, required", required, other, out, "r1 signature=1", "key 2"},
		{"expired key, required", required, expired, out, "r1 signature=1", "key 3"},
		{"forged, required", required, forged, out, "r1 signature=1", "bad signature: key 1"},
		{"missing, not required", checked, nil, in, "", ""},
		{"unknown key, not required", checked, other, in, "", ""},
		{"forged, not required: somebody changed it", checked, forged, out, "r1 signature=1", "key 1"},
		{"required, but no keys", func(o *Options) { o.RequireAuth = true }, good, out, "r1 signature=1", "key 1"},
		{"signatures not looked at", func(*Options) {}, forged, in, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newScene(t, tt.set)
			s.says("r1", say{site: siteA, id: instA, seq: 1, signed: tt.key})
			s.want("candidate", tt.want)
			s.wantFaults("faults", tt.faults)
			if tt.note != "" {
				s.wantNote("key id", "heard.unsigned", tt.note)
			}
			if v := s.c.Sites(s.now)[0].Instances[0]; v.Trusted != (tt.faults == "") {
				t.Errorf("trusted %v", v.Trusted)
			}
		})
	}
	t.Run("a signature is bound to its prefix", func(t *testing.T) {
		s := newScene(t, required)
		value := encode(t, s.attribute(say{site: siteA, id: instA, seq: 1}), instA+"/32", good)
		s.hear("r1", instB+"/32", value)
		s.want("copied to another route it is worthless", out)
	})
	t.Run("a forged update cannot push out a good one heard by another path", func(t *testing.T) {
		for _, set := range []func(*Options){required, checked} {
			for _, seq := range []uint32{1, 5, 9} { // older, the same, newer
				for _, first := range []string{"good", "forged"} {
					s := newScene(t, set)
					good := say{site: siteA, id: instA, seq: 5, load: 0.3, signed: good}
					bad := say{site: siteA, id: instA, seq: seq, load: 0.9, signed: forged}
					if first == "good" {
						s.says("r1", good)
						s.says("r2", bad)
					} else {
						s.says("r2", bad)
						s.says("r1", good)
					}
					s.want("the good one counts, "+first+" first", in)
					if v := s.c.Sites(s.now)[0].Instances[0]; !almost(v.Utilisation, 0.3) || v.Sequence != 5 {
						t.Errorf("%s first: %+v", first, v)
					}
					s.withdraw("r1", instA+"/32")
					s.want("nor keep it alive when it is withdrawn", out)
					s.says("r1", say{site: siteA, id: instA, seq: 6, load: 0.4, signed: good.signed})
					s.want("nor keep it from coming back", in)
				}
			}
		}
	})
	t.Run("a forged anycast route neither", func(t *testing.T) {
		for _, first := range []string{"good", "forged"} {
			s := newScene(t, required)
			if first == "good" {
				s.anycast("r1", siteA, good)
				s.anycast("r2", siteA, nil)
			} else {
				s.anycast("r2", siteA, nil)
				s.anycast("r1", siteA, good)
			}
			s.c.Measure(s.now, measured(siteA, 10*time.Millisecond))
			s.want(first+" first", "site@"+siteA)
			s.withdraw("r1", web)
			s.want("withdrawn", "(site@"+siteA+" signature)")
		}
	})
	t.Run("forged routes do not take the place of good ones", func(t *testing.T) {
		s := newScene(t, required, func(o *Options) { o.MaxInstances = 2 })
		for i := range 1000 {
			s.says("r2", say{site: siteB, id: fmt.Sprintf("10.1.%d.%d", i/250, i%250), seq: 1, signed: forged})
		}
		s.says("r1", say{site: siteA, id: instA, seq: 1, signed: good})
		s.says("r1", say{site: siteA, id: instB, seq: 1, signed: good})
		got := s.targets()
		if !strings.HasPrefix(got, instA+"@"+siteA+", "+instB+"@"+siteA) {
			t.Errorf("targets %.100s", got)
		}
		if n := s.c.Totals().Candidates; n != 2+maxBarred {
			t.Errorf("%d candidates, want %d", n, 2+maxBarred)
		}
		s.wantFaults("counted", "r2 signature=1000")
	})
	t.Run("nor do they get in by being believed later", func(t *testing.T) {
		s := newScene(t, required, func(o *Options) { o.MaxInstances = 1 })
		s.says("r1", say{site: siteA, id: instB, seq: 1, signed: forged})
		s.says("r1", say{site: siteA, id: instA, seq: 1, signed: good})
		s.says("r1", say{site: siteA, id: instB, seq: 1, signed: good})
		s.want("one is the limit", in)
		s.wantFaults("counted", "r1 over-limit=1 signature=1")
	})
	t.Run("new keys", func(t *testing.T) {
		s := newScene(t, required)
		s.says("r1", say{site: siteA, id: instA, seq: 1, signed: other})
		s.want("unknown key", out)
		opt := s.c.opt
		opt.Keys, err = advert.NewKeyring(good, other)
		if err != nil {
			t.Fatal(err)
		}
		if !s.c.Configure(s.now, opt) {
			t.Error("Configure does not ask to hear the routes again")
		}
		if s.c.Configure(s.now, opt) {
			t.Error("Configure asks to hear the routes again though nothing changed")
		}
		s.says("r1", say{site: siteA, id: instA, seq: 1, signed: other})
		s.want("known key, the same route", in)
	})
}

func TestNoLocator(t *testing.T) {
	s := newScene(t)
	a := s.attribute(say{site: siteA, id: instA, seq: 1})
	a.Locator = netip.Addr{}
	value := encode(t, a, instA+"/32", nil)
	s.hear("r1", instA+"/32", value)
	s.want("the next hop has to do", instA+"@198.51.100.1")
	s.c.Hear(s.now, Announcement{Peer: "r1", Prefix: netip.MustParsePrefix(instA + "/32"), Attribute: value})
	s.want("without one there is no way to it", "no service")
	s.wantFaults("counted", "r1 no-locator=1")
}

func TestTwoReflectors(t *testing.T) {
	s := newScene(t)
	s.says("r1", say{site: siteA, id: instA, seq: 1, load: 0.2})
	s.says("r2", say{site: siteA, id: instA, seq: 1, load: 0.2})
	s.want("one candidate", instA+"@"+siteA)
	version := s.last[webID].Version
	s.withdraw("r1", instA+"/32")
	s.want("one goes, nothing changes", instA+"@"+siteA)
	if v := s.last[webID].Version; v != version {
		t.Errorf("a new split, %d after %d", v, version)
	}

	t.Log("# one lags behind")
	s.now = s.now.Add(20 * time.Second)
	s.says("r1", say{site: siteA, id: instA, seq: 3, load: 0.5})
	s.says("r2", say{site: siteA, id: instA, seq: 2, load: 0.4, at: s.now.Add(-10 * time.Second)})
	s.wantFaults("no fault", "")
	s.withdraw("r1", instA+"/32")
	s.want("what was said last stands, whoever still has the route", instA+"@"+siteA)
	if v := s.c.Sites(s.now)[0].Instances[0]; !almost(v.Utilisation, 0.5) || v.Routes != 1 {
		t.Errorf("got %+v", v)
	}
	s.withdraw("r2", instA+"/32")
	s.want("no route, no candidate", "no service")
}

func TestPathIDsAreRoutesOfTheirOwn(t *testing.T) {
	s := newScene(t)
	prefix := netip.MustParsePrefix(web)
	for i, site := range []string{siteA, siteB} {
		a := advert.Attribute{Profile: advert.Profile{Normalization: 1, Domain: domain}, Locator: netip.MustParseAddr(site)}
		s.c.Hear(s.now, Announcement{Peer: "r1", Prefix: prefix, PathID: uint32(i + 1), Attribute: encode(t, a, web, nil)})
	}
	s.c.Measure(s.now, measured(siteA, 10*time.Millisecond))
	s.c.Measure(s.now, measured(siteB, 20*time.Millisecond))
	s.want("the nearest of two bare sites", "site@"+siteA+", (site@"+siteB+" farther)")
	s.c.Hear(s.now, Announcement{Peer: "r1", Prefix: prefix, PathID: 1, Withdrawn: true})
	s.want("the other", "site@"+siteB)
}

func TestInstancesOnTheServicesOwnRoute(t *testing.T) {
	s := newScene(t)
	a := s.attribute(say{site: siteA, id: instA, seq: 1})
	a.Instances[0].Service = advert.CSID{}
	s.hear("r1", web, encode(t, a, web, nil))
	s.want("the route is the CS-ID: its instances and the site", instA+"@"+siteA+", (site@"+siteA+" no-metrics)")
	s.withdraw("r1", web)
	s.want("all gone", "no service")
}

func TestAggregateMergesWithTheBareSite(t *testing.T) {
	s := newScene(t)
	s.anycast("r1", siteA, nil)
	s.c.Measure(s.now, measured(siteA, 10*time.Millisecond))
	s.want("bare", "site@"+siteA)
	a := s.attribute(say{site: siteA, id: "site", seq: 1, load: 0.3, flags: advert.Aggregate})
	s.hear("r1", siteA+"/32", encode(t, a, siteA+"/32", nil))
	s.want("the same candidate, with metrics", "site@"+siteA)
	if tg := s.last[webID].Targets[0]; tg.Level != selection.LevelAggregate || s.last[webID].Rung != selection.RungAggregates {
		t.Errorf("level %s, rung %s", tg.Level, s.last[webID].Rung)
	}
	if n := s.c.Totals(); n.Candidates != 1 || n.Routes != 2 {
		t.Errorf("%+v", n)
	}
	s.withdraw("r1", siteA+"/32")
	s.want("bare again", "site@"+siteA)
	if s.last[webID].Rung != selection.RungMeasured {
		t.Errorf("rung %s", s.last[webID].Rung)
	}
	s.hear("r1", siteA+"/32", encode(t, a, siteA+"/32", nil))
	if s.targets(); s.last[webID].Rung != selection.RungAggregates {
		t.Errorf("the same aggregate does not come back: rung %s", s.last[webID].Rung)
	}
	a.Instances[0].Sequence = 0xffffffff // older than 1
	s.withdraw("r1", siteA+"/32")
	s.hear("r1", siteA+"/32", encode(t, a, siteA+"/32", nil))
	if s.targets(); s.last[webID].Rung != selection.RungMeasured {
		t.Errorf("an aggregate is replayed beside the bare site: rung %s", s.last[webID].Rung)
	}
	s.withdraw("r1", web)
	s.want("gone", "no service")
}

func TestCommunities(t *testing.T) {
	six := advert.ServicePrefix(netip.MustParsePrefix("2001:db8:53::1/128"))
	s := newScene(t, func(o *Options) { o.Names[six] = "six" })
	hear := func(peer, prefix, id string, service advert.CSID, score float64) {
		t.Helper()
		csci, err := advert.ParseCSCIID(id)
		if err != nil {
			t.Fatal(err)
		}
		in := advert.Instance{Service: service, ID: csci}
		in.SetScore(advert.NormFI, score, advert.StatMean, advert.SourceNormalization)
		in.SetUtilisation(1-score/10, advert.StatCurrent, advert.SourceMeasured)
		large, err := advert.AppendCommunities(nil, domain, &in, advert.CommunityIndex{Service: service.Index()})
		if err != nil {
			t.Fatal(err)
		}
		s.c.Hear(s.now, Announcement{Peer: peer, Prefix: netip.MustParsePrefix(prefix), Large: large, NextHop: netip.MustParseAddr(siteA)})
		s.check()
	}
	load := func(id advert.CSID) float64 {
		for _, v := range s.c.Sites(s.now)[0].Instances {
			if v.Service == id {
				return v.Utilisation
			}
		}
		return -1
	}
	hear("r1", instA+"/32", instA, webID, 8)
	s.want("IPv4: the service is named by its address", instA+"@"+siteA)
	hear("r1", instA+"/32", instA, webID, 6)
	if !almost(load(webID), 0.4) {
		t.Errorf("load %v, want the newer, 0.4", load(webID))
	}
	hear("r1", "2001:db8:2::11/128", "2001:db8:2::11", six, 7)
	s.step()
	if sp := s.last[six]; sp == nil || len(sp.Targets) != 1 || !almost(load(six), 0.3) {
		t.Errorf("IPv6: the service is named by its index: %+v", sp)
	}
	hear("r1", "2001:db8:2::12/128", "2001:db8:2::12", advert.ServicePrefix(netip.MustParsePrefix("2001:db8:53::2/128")), 7)
	s.wantFaults("an index that nobody has here", "r1 malformed=1")

	t.Log("# another path has kept the attribute: that is better")
	s.says("r2", say{site: siteA, id: instA, seq: 7, load: 0.25})
	if !almost(load(webID), 0.25) {
		t.Errorf("load %v, want that of the attribute, 0.25", load(webID))
	}
	hear("r1", instA+"/32", instA, webID, 5)
	if !almost(load(webID), 0.25) {
		t.Errorf("load %v, want that of the attribute, 0.25", load(webID))
	}
	s.says("r2", say{site: siteA, id: instA, seq: 6, load: 0.9})
	if !almost(load(webID), 0.25) {
		t.Errorf("load %v: communities let a replay in", load(webID))
	}
	s.withdraw("r2", instA+"/32")
	if !almost(load(webID), 0.5) {
		t.Errorf("load %v, want what communities said last, 0.5", load(webID))
	}
	s.withdraw("r1", instA+"/32")
	s.withdraw("r1", "2001:db8:2::11/128")
	s.step()
	if n := s.c.Totals(); n != (Totals{}) {
		t.Errorf("left over: %+v", n)
	}
}

func TestCommunitiesCannotBeSigned(t *testing.T) {
	s := newScene(t, func(o *Options) { o.RequireAuth = true })
	in := advert.Instance{Service: webID, ID: advert.InstanceAddr(netip.MustParseAddr(instA))}
	large, err := advert.AppendCommunities(nil, domain, &in, advert.CommunityIndex{})
	if err != nil {
		t.Fatal(err)
	}
	s.c.Hear(s.now, Announcement{Peer: "r1", Prefix: netip.MustParsePrefix(instA + "/32"), Large: large, NextHop: netip.MustParseAddr(siteA)})
	s.want("barred", "("+instA+"@"+siteA+" signature)")
	s.wantFaults("counted", "r1 signature=1")
}

func TestMaxInstances(t *testing.T) {
	s := newScene(t, func(o *Options) { o.MaxInstances = 100 })
	s.says("r1", say{site: siteA, id: instA, seq: 1})
	a := s.attribute(say{site: siteB, id: instA, seq: 1})
	for i := range 100_000 {
		addr := netip.AddrFrom4([4]byte{10, 8 + byte(i>>16), byte(i >> 8), byte(i)})
		a.Instances[0].ID = advert.InstanceAddr(addr)
		value, err := advert.AppendAttribute(nil, &a)
		if err != nil {
			t.Fatal(err)
		}
		s.c.Hear(s.now, Announcement{Peer: "evil", Prefix: netip.PrefixFrom(addr, 32), Attribute: value})
	}
	s.check()
	if n := s.c.Totals(); n.Candidates != 100 || n.Routes != 100 || n.Sites != 2 {
		t.Errorf("kept %+v, want 100 candidates on 100 routes", n)
	}
	s.wantFaults("counted", "evil over-limit=99901")
	s.step()
	if len(s.notes) != toldCount {
		t.Errorf("%d notes, want %d", len(s.notes), toldCount)
	}
	s.says("r1", say{site: siteA, id: instA, seq: 2, load: 0.1})
	s.wantFaults("those that are in go on", "evil over-limit=99901")
}

// TestNothingIsLeftOfSitesThatComeAndGo has a peer invent a new site for every
// announcement, while the service goes on.
func TestNothingIsLeftOfSitesThatComeAndGo(t *testing.T) {
	s := newScene(t)
	s.says("r1", say{site: siteA, id: instA, seq: 1})
	a := s.attribute(say{site: siteB, id: instB, seq: 1})
	prefix := netip.MustParsePrefix(instB + "/32")
	invent := func(n int) {
		for i := range n {
			a.Locator = netip.AddrFrom4([4]byte{10, 8 + byte(i>>16), byte(i >> 8), byte(i)})
			value, err := advert.AppendAttribute(nil, &a)
			if err != nil {
				t.Fatal(err)
			}
			s.c.Hear(s.now, Announcement{Peer: "evil", Prefix: prefix, Attribute: value})
			if i%100 == 0 {
				s.c.Step(s.now)
			}
		}
		s.c.Hear(s.now, Announcement{Peer: "evil", Prefix: prefix, Withdrawn: true})
		for range 10 { // until the graves are gone
			s.now = s.now.Add(50 * time.Second)
			s.c.Step(s.now)
		}
	}
	invent(1000)
	before := heap()
	const more = 20000
	invent(more)
	after := heap()
	if grown := int64(after) - int64(before); grown > more*20 {
		t.Errorf("%d octets are left of each site", grown/more)
	}
	runtime.KeepAlive(s)
}

func TestNotesAreBounded(t *testing.T) {
	s := newScene(t)
	for i := range 300 {
		s.says(fmt.Sprintf("r%d", i), say{site: siteA, id: instA, seq: 1, domain: 65009})
	}
	s.wantNote("the rest is counted", "44 more notes")
}

func TestReloadAppliesAtOnce(t *testing.T) {
	s := newScene(t, func(o *Options) {
		o.Default.Kind = selection.Weighted
		o.Sites = append(o.Sites, Site{Locator: netip.MustParseAddr(siteB), Name: "b"})
	})
	s.says("r1", say{site: siteA, id: instA, seq: 1, load: 0.2})
	s.says("r1", say{site: siteB, id: instB, seq: 1, load: 0.2})
	s.want("b has no weight", instA+"@"+siteA+", ("+instB+"@"+siteB+" no-weight)")
	opt := s.c.opt
	opt.Sites = []Site{{Locator: netip.MustParseAddr(siteB), Name: "bb", Weight: 1}}
	opt.Names = map[advert.CSID]string{webID: "shop"}
	s.c.Configure(s.now, opt)
	s.want("after a reload a has none", instB+"@"+siteB+", ("+instA+"@"+siteA+" no-weight)")
	if n := s.last[webID].Targets[0].Site; n != "bb" {
		t.Errorf("site is called %q", n)
	}
	if _, ok := s.c.Find("shop"); !ok {
		t.Error("the new name is not found")
	}
	if _, ok := s.c.Find("web"); ok {
		t.Error("the old name is found")
	}
	if _, ok := s.c.Find("203.0.113.10"); !ok {
		t.Error("the CS-ID is not found")
	}
}

func TestMeasurements(t *testing.T) {
	s := newScene(t)
	s.says("r1", say{site: siteA, id: instA, seq: 1, load: 0.2})
	out := s.c.Step(s.now)
	if !out.Measure || len(out.Egresses) != 1 || out.Egresses[0].String() != siteA {
		t.Errorf("egresses to measure: %v %v", out.Measure, out.Egresses)
	}
	version := func() uint64 { s.step(); return s.last[webID].Version }
	s.c.Measure(s.now, measured(siteA, 10*time.Millisecond))
	s.want("measured", instA+"@"+siteA)
	s.wantNote("told", "site.reachable", "a", "10ms away")
	v := version()
	for _, rtt := range []time.Duration{10900 * time.Microsecond, 9100 * time.Microsecond} {
		s.c.Measure(s.now, measured(siteA, rtt))
		if version() != v {
			t.Errorf("%s after 10 ms is taken for news", rtt)
		}
	}
	s.c.Measure(s.now, measured(siteA, 12*time.Millisecond))
	if version() == v {
		t.Error("12 ms after 10 ms is no news")
	}
	s.wantQuiet("but not worth telling")

	t.Log("# a site that claims to do well and does not answer")
	s.c.Measure(s.now, unreachable(siteA))
	s.want("unreachable", "("+instA+"@"+siteA+" unreachable)")
	s.wantNote("the claim is named", "site.unreachable", "not believed", "score 8", "unreachable")
	s.c.Measure(s.now, measured(siteA, 12*time.Millisecond))
	s.wantNote("told", "site.reachable")
	half := measured(siteA, 12*time.Millisecond)
	half.Loss = 0.6
	s.c.Measure(s.now, half)
	s.wantNote("60 % loss and a score of 8 do not go together", "agent.warning", "60 %")
	half.Loss = 0.7
	s.c.Measure(s.now, half)
	s.wantQuiet("told once")
	s.says("r1", say{site: siteA, id: instA, seq: 2, load: 0.7})
	s.c.Measure(s.now, unreachable(siteA))
	s.step()
	for _, n := range s.notes {
		if strings.Contains(n.Text, "believed") {
			t.Errorf("a modest claim is not believed: %s", n.Text)
		}
	}

	t.Log("# somebody else's measurement, and a site that went")
	s.c.Measure(s.now, measured(siteB, time.Millisecond))
	s.withdraw("r1", instA+"/32")
	out = s.c.Step(s.now)
	if !out.Measure || len(out.Egresses) != 0 || len(out.Gone) != 1 {
		t.Errorf("after the last route: %+v", out)
	}
	s.c.Measure(s.now, measured(siteA, time.Millisecond))
	if n := s.c.Totals(); n != (Totals{}) {
		t.Errorf("left over: %+v", n)
	}
}

func TestANewServiceKnowsTheWay(t *testing.T) {
	s := newScene(t)
	s.says("r1", say{site: siteA, id: instA, seq: 1})
	s.c.Measure(s.now, measured(siteA, 10*time.Millisecond))
	s.step()
	s.says("r1", say{site: siteA, id: instB, seq: 1, service: "203.0.113.20/32"})
	s.step()
	sp := s.last[advert.ServicePrefix(netip.MustParsePrefix("203.0.113.20/32"))]
	if tg := sp.Targets[0]; !tg.Terms.RTTKnown || tg.Terms.RTT != 10*time.Millisecond {
		t.Errorf("terms %+v", tg.Terms)
	}
}

func TestASiteThatComesBackIsMeasuredAnew(t *testing.T) {
	s := newScene(t)
	s.says("r1", say{site: siteA, id: instA, seq: 1})
	s.says("r1", say{site: siteB, id: instB, seq: 1})
	s.c.Measure(s.now, measured(siteA, 10*time.Millisecond))
	s.step()
	s.withdraw("r1", instA+"/32")
	s.step()
	s.says("r1", say{site: siteA, id: instA, seq: 2})
	s.step()
	for _, tg := range s.last[webID].Targets {
		if tg.Terms.RTTKnown {
			t.Errorf("%s: the old round trip is still used", tg.Key)
		}
	}
}

func TestOddPrefixes(t *testing.T) {
	s := newScene(t)
	value := encode(t, s.attribute(say{site: siteA, id: instA, seq: 1,
		mutate: func(a *advert.Attribute) { a.Instances[0].Service = advert.CSID{} }}), instA+"/32", nil)
	s.c.Hear(s.now, Announcement{Peer: "r1", Attribute: value})
	s.hear("r1", "::ffff:10.0.0.1/128", value)
	s.want("nothing", "no service")
	s.wantFaults("no service can be at an IPv4-mapped prefix", "r1 malformed=1")
}

func TestViews(t *testing.T) {
	s := newScene(t)
	s.anycast("r1", siteA, nil)
	s.says("r1", say{site: siteA, id: instA, seq: 1, load: 0.3})
	s.c.Measure(s.now, measured(siteA, 10*time.Millisecond))
	s.pass(7 * time.Second)
	routes := s.c.Routes(s.now)
	if len(routes) != 2 || routes[0].Prefix.String() != instA+"/32" || len(routes[0].Gave) != 1 || routes[0].Peer != "r1" ||
		routes[1].Prefix.String() != web || routes[1].Anycast != webID {
		t.Errorf("routes %+v", routes)
	}
	v := routes[0].Gave[0]
	if v.Age != 7*time.Second || v.Validity != 90*time.Second || v.Sequence != 1 || !v.Generated.Equal(epoch) || v.Name != "web" {
		t.Errorf("instance %+v", v)
	}
	sites := s.c.Sites(s.now)
	if len(sites) != 1 || sites[0].Name != "a" || len(sites[0].Instances) != 2 || !sites[0].Instances[0].Bare ||
		sites[0].Path.RTT != 10*time.Millisecond || !sites[0].Heard.Equal(epoch) {
		t.Errorf("sites %+v", sites)
	}
	services := s.c.Services()
	if len(services) != 1 || services[0].Candidates != 2 || services[0].Split == nil || services[0].Due.IsZero() {
		t.Errorf("services %+v", services)
	}
	if _, ex, ok := s.c.Explain(s.now, webID); !ok || ex.Verdict == "" {
		t.Error("no explanation")
	}
	if _, _, ok := s.c.Explain(s.now, advert.CSID{}); ok {
		t.Error("an explanation of nothing")
	}
}
