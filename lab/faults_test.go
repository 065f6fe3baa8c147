package lab_test

import (
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/catsbgp/catsbgp/internal/api"
	"github.com/catsbgp/catsbgp/internal/events"
	"github.com/catsbgp/catsbgp/lab/netns"
)

// A duo is two sites and an ingress that are each other's BGP peers, between
// their loopback addresses, over a router that only forwards.
type duo struct {
	*network
	loads         map[string]*workload
	madrid, paris *agent
	gate          *agent
}

// newDuo starts them. More is added to the ingress's configuration, every to
// that of all sessions.
func newDuo(t testing.TB, more, every string, needs ...netns.Need) *duo {
	t.Helper()
	d := &duo{network: newNetwork(t, 1, needs...)}
	d.loads = d.serveAll()
	// The ingress connects and the sites wait: were both to connect, some
	// sessions would collide, and GoBGP then rests for 5 s.
	session := func(from, to int) string {
		return sessions(session{spokes[to].name, spokes[to].locator, 65001,
			fmt.Sprintf("local_address = %q\npassive = %v\n%s", spokes[from].locator, to == atGate, every)})
	}
	// IPv4 only: IPv6 would say nothing new here.
	video := func(s site) string { return serviceConfig(services[0].name, services[0].anycast, s.instance4) }
	d.madrid = startAgent(t, d.Lab, d.spokes[atMadrid], siteConfig("madrid", madrid.locator, 65001, session(atMadrid, atGate), video(madrid)))
	d.paris = startAgent(t, d.Lab, d.spokes[atParis], siteConfig("paris", paris.locator, 65001, session(atParis, atGate), video(paris)))
	d.gate = startAgent(t, d.Lab, d.spokes[atGate], gateConfig(gateLocator, 65001, session(atGate, atMadrid), session(atGate, atParis), more))
	d.gate.wantUp("madrid", "paris")
	d.wantSteering()
	return d
}

const video = "video4"

// wantSteering makes madrid idle and paris busy, and waits until the ingress
// goes by it.
func (d *duo) wantSteering() {
	d.t.Helper()
	d.loads["madrid"].percent.Store(10)
	d.loads["paris"].percent.Store(97)
	d.gate.eventually("madrid and paris are candidates", func() string {
		for _, s := range sites {
			if _, ok := d.heard(s.name, s.instance4); !ok {
				return "without " + s.name
			}
		}
		return ""
	})
	d.gate.wantShare(video, "madrid", 0.8, 1)
}

// heard returns what the ingress knows of an instance.
func (d *duo) heard(site, instance string) (api.HeardInstance, bool) {
	d.t.Helper()
	doc, err := d.gate.Sites(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	for _, s := range doc.Items {
		for _, in := range s.Instances {
			if s.Name == site && in.CSCIID == instance {
				return in, true
			}
		}
	}
	return api.HeardInstance{}, false
}

// wantNoFaults fails if the ingress found fault with what a site said.
func (d *duo) wantNoFaults(peer string) {
	d.t.Helper()
	if f := d.gate.peer(peer).DecodeErrors; len(f) != 0 {
		d.t.Errorf("faults of %s: %v", peer, f)
	}
}

func TestSiteDies(t *testing.T) {
	t.Parallel()
	d := newDuo(t, "", "")
	before, _ := d.heard("madrid", madrid.instance4)

	t.Log("# it is left at once")
	d.madrid.Kill()
	d.gate.wantShare(video, "madrid", 0, 0)
	d.gate.wantShare(video, "paris", 1, 1)
	if _, ok := d.heard("madrid", madrid.instance4); ok {
		t.Error("the dead site's instance is still known")
	}
	if len(d.gate.events(events.PeerDown)) == 0 {
		t.Error("no event says so")
	}

	t.Log("# it comes back without memory, and is believed")
	d.madrid.start()
	d.wantSteering()
	after, _ := d.heard("madrid", madrid.instance4)
	if int32(after.Sequence-before.Sequence) <= 0 {
		t.Errorf("sequence %d after the restart, %d before", after.Sequence, before.Sequence)
	}
	d.wantNoFaults("madrid")

	t.Log("# an orderly stop says goodbye")
	if err := d.madrid.Stop(); err != nil {
		t.Errorf("it ended by %v", err)
	}
	d.gate.wantShare(video, "madrid", 0, 0)
	if p := d.gate.peer("madrid"); !strings.Contains(p.LastError, "administrative shutdown") {
		t.Errorf("the ingress was told %q", p.LastError)
	}
}

func TestIngressDies(t *testing.T) {
	t.Parallel()
	d := newDuo(t, "", "")
	d.gate.Kill()
	for _, a := range []*agent{d.madrid, d.paris} {
		a.eventually("the loss is noticed", func() string {
			if a.peer("gate").Up {
				return "session up"
			}
			return ""
		})
	}
	d.gate.start()
	d.gate.wantUp("madrid", "paris")
	d.wantSteering()
	for _, peer := range []string{"madrid", "paris"} {
		d.wantNoFaults(peer)
	}
	for _, a := range []*agent{d.madrid, d.paris} {
		if f := a.peer("gate").Flaps; f != 1 {
			t.Errorf("%s: %d losses, there was 1", a.node.Name, f)
		}
	}
}

// A session that is only dead, not closed, ends with the hold timer.
func TestSilentSession(t *testing.T) {
	t.Parallel()
	d := newDuo(t, "", `hold_time = "6s"`, netns.NFT)
	d.spokes[atMadrid].Block("tcp dport 179", "tcp sport 179")
	d.gate.wantShare(video, "madrid", 0, 0)
	p := d.gate.peer("madrid")
	if p.Up || !strings.Contains(strings.ToLower(p.LastError), "hold") {
		t.Errorf("the session ended by %q, up: %v", p.LastError, p.Up)
	}
	d.madrid.eventually("it notices too", func() string {
		if d.madrid.peer("gate").Up {
			return "session up"
		}
		return ""
	})
	if p := d.gate.peer("paris"); !p.Up || p.Flaps != 0 {
		t.Errorf("the other session suffered: %+v", p)
	}

	d.spokes[atMadrid].Unblock()
	d.wantSteering()
	d.wantNoFaults("madrid")
}

// A site that cannot be reached takes no flows, whatever BGP still believes.
func TestSilentSite(t *testing.T) {
	t.Parallel()
	d := newDuo(t, "", "", netns.NFT)
	d.spokes[atMadrid].Block("")
	d.gate.wantShare(video, "madrid", 0, 0)
	d.gate.wantShare(video, "paris", 1, 1)
	if p := d.gate.peer("madrid"); !p.Up || p.Flaps != 0 {
		t.Errorf("this was to be known before the hold timer expires: %+v", p)
	}
	if len(d.gate.events(events.SiteUnreachable)) == 0 {
		t.Error("no event says so")
	}
	d.spokes[atMadrid].Unblock()
	d.wantSteering()
	if p := d.gate.peer("madrid"); !p.Up || p.Flaps != 0 {
		t.Errorf("the session did not survive: %+v", p)
	}
}

// Whatever a source answers: the site goes on, says nothing absurd, keeps its
// anycast route, and believes the source again when it makes sense.
func TestLyingSources(t *testing.T) {
	t.Parallel()
	d := newDuo(t, "", "")
	load := d.loads["madrid"]
	honest := *load.handler.Load()
	value := func(v string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, "load_ratio %s\ninflight %[1]s\n", v) }
	}
	source := func() api.Source {
		doc, err := d.madrid.Instances(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return doc.Items[0].Sources[0]
	}
	lies := []struct {
		name string
		say  http.HandlerFunc
		fail bool // must be taken for a failure of the source
	}{
		{"nothing at all", func(w http.ResponseWriter, _ *http.Request) {}, true},
		{"negative", value("-5"), false},
		{"not a number", value("NaN"), false},
		{"infinite", value("+Inf"), false},
		{"enormous", value("1e308"), false},
		{"garbage", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("\x00\xff{}[]\n= = =\n")) }, true},
		{"an error", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusInternalServerError) }, true},
		{"silence", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, true},
		{"100 MB", func(w http.ResponseWriter, _ *http.Request) {
			line := []byte(strings.Repeat("load_ratio{x=\"y\"} 0.1\n", 4096))
			for n := 0; n < 100<<20; n += len(line) {
				if _, err := w.Write(line); err != nil {
					return
				}
			}
		}, true},
		{"one endless line", func(w http.ResponseWriter, _ *http.Request) {
			block := []byte(strings.Repeat("x", 1<<16))
			for {
				if _, err := w.Write(block); err != nil {
					return
				}
			}
		}, true},
	}
	rss := d.madrid.RSS()
	for _, lie := range lies {
		t.Log("# " + lie.name)
		was := source()
		load.say(lie.say)
		d.madrid.eventually("the answers are taken in", func() string {
			now := source()
			if now.Samples+now.Errors < was.Samples+was.Errors+3 || lie.fail && now.Errors < was.Errors+3 {
				return fmt.Sprintf("%d samples, %d errors", now.Samples-was.Samples, now.Errors-was.Errors)
			}
			return ""
		})
		st, err := d.madrid.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if a := st.Items[0].Services[0].Announced; a == nil || !*a {
			t.Errorf("the anycast route is gone: %+v", st.Items[0].Services)
		}
		in, ok := d.heard("madrid", madrid.instance4)
		if !ok {
			t.Errorf("the instance is gone")
		} else if u := in.Utilisation; u != nil && !(*u >= 0 && *u <= math.MaxUint16/1e4) {
			t.Errorf("the site says %v", *u)
		}
		now := source()
		t.Logf("%+v; said %v", now.Error, deref(in.Utilisation))
		load.say(honest)
		d.madrid.eventually("the source is believed again", func() string {
			if s := source(); !s.Up || s.Stale {
				return s.Error
			}
			return ""
		})
		d.gate.eventually("the honest value is heard", func() string {
			if in, ok := d.heard("madrid", madrid.instance4); !ok || in.Utilisation == nil || math.Abs(*in.Utilisation-0.1) > 0.05 {
				return fmt.Sprint(deref(in.Utilisation))
			}
			return ""
		})
	}
	if grown := int64(d.madrid.RSS()) - int64(rss); grown > 100<<20 {
		t.Errorf("the agent grew by %d MB", grown>>20)
	}
	d.wantSteering()
	d.wantNoFaults("madrid")
	if p := d.gate.peer("madrid"); p.Flaps != 0 {
		t.Errorf("the session was lost %d times", p.Flaps)
	}
}

func deref(p *float64) any {
	if p == nil {
		return "nothing"
	}
	return *p
}

// A value that changes all the time costs no more UPDATEs than the budget.
func TestRestlessSource(t *testing.T) {
	looks := 0
	restless := func() (utilisation float64) {
		looks++
		return []float64{0.05, 0.97}[looks%2]
	}
	for _, c := range []struct {
		name    string
		samples uint64 // at least, in all
		source  string
		feed    func(t testing.TB, a *agent, w *workload)
	}{
		{"scraped 100 times a second", 200, `
type = "prometheus"
url = "http://198.51.100.111:8080/metrics"
interval = "10ms"
timeout = "10ms"
[service.instance.source.values]
utilisation = { metric = "load_ratio" }
`, nil},
		{"pushed 1000 times a second", 2000, `
type = "push"
`, func(t testing.TB, a *agent, _ *workload) {
			tick := time.NewTicker(time.Millisecond)
			defer tick.Stop()
			for range tick.C {
				err := a.Push(t.Context(), api.PushRequest{Service: video, Instance: madrid.instance4, Values: map[string]float64{"utilisation": restless()}})
				if err != nil {
					return // the test is over
				}
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newNetwork(t, 1)
			load := n.serveAll()["madrid"]
			load.say(func(w http.ResponseWriter, _ *http.Request) {
				fmt.Fprintf(w, "load_ratio %g\n", restless()) // one scraper, one connection at a time
			})
			// The dampening of the reference configuration, without the smoothing
			// that would hide the changes.
			a := startAgent(t, n.Lab, n.spokes[atMadrid], fmt.Sprintf(`
[agent]
name = "madrid"
roles = ["egress"]
locator = "198.51.100.11"
state_dir = ""
[api]
socket = "SOCKET"
[bgp]
asn = 65001
router_id = "198.51.100.11"
[[bgp.peer]]
name = "witness"
address = "198.51.100.2"
asn = 65001
families = ["ipv4"]
passive = true
[dampening]
smoothing = "0s"
[[service]]
name = "video4"
cs_id = "203.0.113.10"
[[service.instance]]
id = "198.51.100.111"
[[service.instance.source]]
name = "restless"
%s`, c.source))
			w := newWitness(t)
			w.dialFrom(n, atMadrid)
			a.wantUp("witness")
			if c.feed != nil {
				go c.feed(t, a, load)
			}

			p := prefix(madrid.instance4)
			start := time.Now()
			time.Sleep(6 * time.Second) // what is tested is a rate
			updates, took := w.saw(p).updates, time.Since(start)
			doc, err := a.Dampening(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			g := doc.Items[0]
			inst, err := a.Instances(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			samples := inst.Items[0].Sources[0].Samples
			// bucket_burst and bucket_per_minute, the first announcement, one refresh.
			budget := 5 + 12*took.Minutes() + 2
			t.Logf("%d samples, %d seen, %d UPDATEs in %v, budget %.1f; held back: %v", samples, g.Samples, updates, took.Round(time.Millisecond), budget, g.SuppressedByReason)
			if samples < c.samples {
				t.Errorf("%d samples only", samples)
			}
			if updates == 0 || float64(updates) > budget {
				t.Errorf("%d UPDATEs in %v, the budget is %.1f", updates, took, budget)
			}
			if n := w.saw(prefix(services[0].anycast)).updates; n != 1 {
				t.Errorf("%d UPDATEs of the anycast route", n)
			}
		})
	}
}
