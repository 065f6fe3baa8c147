package lab_test

import (
	"net"
	"strings"
	"testing"

	"github.com/catsbgp/catsbgp/bgp"
	"github.com/catsbgp/catsbgp/internal/bgptest"
	"github.com/catsbgp/catsbgp/lab/netns"
)

// A place for the router under test: between the sites and the ingress.
type place struct {
	start   func(n *netns.Node, asn int, id string, neighbours ...neighbour) plainRouter
	need    netns.Need
	asn     int // of the router
	siteASN int
	gateASN int
	extra   string // of the agents' [bgp]
}

func (p place) reflector() bool { return p.asn == p.siteASN }

func (p place) spokeASN(i int) int {
	if i == atGate || i == atWitness {
		return p.gateASN
	}
	return p.siteASN
}

// A scene is a network with a router in the middle, both sites, the ingress
// and a witness, with all sessions up.
type scene struct {
	*network
	place
	router        plainRouter
	madrid, paris *agent
	gate          *agent
	workloads     map[string]*workload
	witness       *witness
}

func (p place) set(t testing.TB) *scene {
	t.Helper()
	s := &scene{network: newNetwork(t, 1, p.need), place: p, witness: newWitness(t)}
	var ns []neighbour
	for i := range s.spokes {
		for _, v6 := range []bool{false, true} {
			ns = append(ns, neighbour{addr: spokeAddr(0, i, v6), asn: p.spokeASN(i), client: p.reflector()})
		}
	}
	s.router = p.start(s.hubs[0], p.asn, "192.0.2.1", ns...)
	s.witness.dialHub(s.network, uint32(p.gateASN))
	s.workloads = s.serveAll()
	s.madrid = startAgent(t, s.Lab, s.spokes[atMadrid], s.siteConfig(madrid, atMadrid))
	s.paris = startAgent(t, s.Lab, s.spokes[atParis], s.siteConfig(paris, atParis))
	s.gate = startAgent(t, s.Lab, s.spokes[atGate], inBGP(gateConfig(gateLocator, p.gateASN, hubSessions(0, atGate, p.asn)), p.extra))
	for _, a := range []*agent{s.madrid, s.paris, s.gate} {
		a.wantUp(hubName(0, false), hubName(0, true))
	}
	return s
}

func (s *scene) siteConfig(site site, i int, more ...string) string {
	text := siteConfig(site.name, site.locator, s.siteASN,
		append([]string{hubSessions(0, i, s.asn), site.servicesConfig()}, more...)...)
	return inBGP(text, s.extra)
}

// inBGP puts a line into the [bgp] part of a configuration.
func inBGP(text, line string) string {
	return strings.Replace(text, "[bgp]\n", "[bgp]\n"+line+"\n", 1)
}

// Beside real routers, in every place that they can have.
func TestBesidePlainRouters(t *testing.T) {
	for _, c := range []struct {
		name string
		place
	}{
		{"FRR reflects", place{startFRR, netns.FRR, 65001, 65001, 65001, ""}},
		{"BIRD reflects", place{startBIRD, netns.BIRD, 65001, 65001, 65001, "communities = true"}},
		{"FRR between ASes", place{startFRR, netns.FRR, 64501, 65001, 64502, "communities = true"}},
		{"BIRD between ASes", place{startBIRD, netns.BIRD, 64501, 65001, 64502, ""}},
		{"BIRD, other codepoint", place{startBIRD, netns.BIRD, 65001, 65001, 65001, "attribute_type = 200"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.set(t).play()
		})
	}
}

func (s *scene) play() {
	t := s.t
	code := byte(bgp.DefaultAttributeType)
	if strings.Contains(s.extra, "attribute_type") {
		code = 200
	}
	t.Log("# plain routers have a usable route to every service, and clients reach it")
	for _, sv := range services {
		netns.Eventually(t, limit, "the router's route to "+sv.name, func() string {
			if _, ok := s.router.route(t, prefix(sv.anycast)); !ok {
				return "none"
			}
			return ""
		})
		netns.Eventually(t, limit, sv.name+" answers a client of the router", func() string {
			_, err := get(s.spokes[atGate], "http://"+net.JoinHostPort(sv.anycast, "8080")+"/")
			return text(err)
		})
	}

	t.Log("# what the sites say arrives as it was said, octet for octet")
	for i, a := range []*agent{s.madrid, s.paris} {
		for _, v6 := range []bool{false, true} {
			s.witness.wantIntact(code, prefix(sites[i].instance(v6)), a)
		}
	}
	for _, sv := range services {
		s.witness.wantIntact(code, prefix(sv.anycast), s.madrid, s.paris)
	}
	if strings.Contains(s.extra, "communities") {
		if sg := s.witness.saw(prefix(madrid.instance4)); sg.value(bgptest.LargeCommunity) == "" {
			t.Error("no large communities arrived")
		}
	}

	t.Log("# the split follows the load, and the anycast routes do not notice")
	before := s.calm()
	for _, load := range []struct{ madrid, paris int64 }{{97, 10}, {10, 97}, {97, 10}} {
		s.workloads["madrid"].percent.Store(load.madrid)
		s.workloads["paris"].percent.Store(load.paris)
		busy, idle := "madrid", "paris"
		if load.madrid < load.paris {
			busy, idle = idle, busy
		}
		for _, sv := range services {
			s.gate.wantShare(sv.name, busy, 0, 0.2)
			s.gate.wantShare(sv.name, idle, 0.8, 1)
		}
	}
	for _, v6 := range []bool{false, true} {
		if sg := s.witness.saw(prefix(madrid.instance(v6))); sg.updates < 4 {
			t.Errorf("%s: %d UPDATEs only, so the calm of the anycast routes proves nothing", madrid.instance(v6), sg.updates)
		}
	}
	s.wantCalm(before)

	t.Log("# a drain shows on the router, moves the flows, and leaves the sessions alone")
	if out, err := s.paris.command("drain", "site", "--reason", "test"); err != nil {
		t.Fatalf("drain: %v: %s", err, out)
	}
	for _, sv := range services {
		s.gate.wantShare(sv.name, "paris", 0, 0)
		s.gate.wantShare(sv.name, "madrid", 1, 1)
	}
	for _, v6 := range []bool{false, true} {
		netns.Eventually(t, limit, "GRACEFUL_SHUTDOWN on the router", func() string {
			if r, ok := s.router.route(t, prefix(paris.instance(v6))); !ok || !r.shutdown {
				return r.String()
			}
			return ""
		})
	}
	if out, err := s.paris.command("undrain", "site"); err != nil {
		t.Fatalf("undrain: %v: %s", err, out)
	}
	for _, sv := range services {
		s.gate.wantShare(sv.name, "paris", 0.8, 1)
	}
	s.wantSessions(before)

	t.Log("# a reload that adds a service and a peer leaves the other sessions alone")
	s.spokes[atMadrid].Loopback("203.0.113.20")
	s.madrid.reload(s.siteConfig(madrid, atMadrid,
		serviceConfig("maps", "203.0.113.20", madrid.instance4),
		sessions(session{"nobody", "192.0.2.250", 64999, "multihop_ttl = 4"})))
	netns.Eventually(t, limit, "the router's route to the new service", func() string {
		if _, ok := s.router.route(t, "203.0.113.20/32"); !ok {
			return "none"
		}
		return ""
	})
	s.gate.wantShare("203.0.113.20", "madrid", 1, 1)
	s.wantSessions(before)
}

// A state of calm: what must not change.
type calm struct {
	routes   map[string]plainRoute // on the router
	updates  map[string]int        // at the witness
	sessions map[string]plainSession
}

func (s *scene) calm() calm {
	s.t.Helper()
	c := calm{map[string]plainRoute{}, map[string]int{}, map[string]plainSession{}}
	for _, sv := range services {
		p := prefix(sv.anycast)
		c.routes[p], _ = s.router.route(s.t, p)
		c.updates[p] = s.witness.saw(p).updates
	}
	for i := range s.spokes {
		for _, v6 := range []bool{false, true} {
			a := spokeAddr(0, i, v6)
			c.sessions[a] = s.router.session(s.t, a)
		}
	}
	return c
}

// wantCalm fails if an anycast route or a session is not what it was.
func (s *scene) wantCalm(before calm) {
	s.t.Helper()
	now := s.calm()
	for p, was := range before.routes {
		if is := now.routes[p]; !is.same(was) {
			s.t.Errorf("the router's route to %s changed: %v, was %v", p, is, was)
		}
		if n := now.updates[p] - before.updates[p]; n != 0 || s.witness.saw(p).withdrawals != 0 {
			s.t.Errorf("%d UPDATEs of %s", n, p)
		}
	}
	s.wantSessions(before)
}

// wantSessions fails if a session is not the one it was.
func (s *scene) wantSessions(before calm) {
	s.t.Helper()
	for addr, is := range s.calm().sessions {
		if was := before.sessions[addr]; !is.same(was) || !is.up {
			s.t.Errorf("the router's session with %s: %v, was %v", addr, is, was)
		}
	}
}
