package lab_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/catsbgp/catsbgp/bgp"
	"github.com/catsbgp/catsbgp/internal/bgptest"
	"github.com/catsbgp/catsbgp/internal/events"
	"github.com/catsbgp/catsbgp/lab/netns"
)

// Peers outside the domain get plain anycast routes and nothing else.
func TestBoundary(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 2, netns.FRR, netns.BIRD)
	load := n.serveAll()["madrid"]
	at := n.spokes[atMadrid]
	n.Link(at, n.spokes[atWitness], "192.0.2.248/30", "2001:db8:f:ff::/64")
	routers := []plainRouter{
		startFRR(n.hubs[0], 64510, "192.0.2.1", neighbours(0, 65001, false, atMadrid)...),
		startBIRD(n.hubs[1], 64511, "192.0.2.65", neighbours(1, 65001, false, atMadrid)...),
	}
	a := startAgent(t, n.Lab, at, inBGP(siteConfig("madrid", madrid.locator, 65001,
		hubSessions(0, atMadrid, 64510, "domain = false"),
		hubSessions(1, atMadrid, 64511, "domain = false"),
		sessions(
			session{"outsider-v4", "192.0.2.250", 64512, "domain = false"},
			session{"outsider-v6", "2001:db8:f:ff::2", 64512, "domain = false"},
			session{"insider", gateLocator, 65001, "passive = true"}),
		madrid.servicesConfig()), "communities = true"))
	outsider, insider := newWitness(t), newWitness(t)
	id := bgptest.Identity{ASN: 64512, ID: netip.MustParseAddr("192.0.2.250"), HoldTime: 90, IPv4: true}
	outsider.accept(n.spokes[atWitness], "192.0.2.250", id)
	id.IPv4, id.IPv6 = false, true
	outsider.accept(n.spokes[atWitness], "2001:db8:f:ff::2", id)
	insider.dial(n.spokes[atGate], gateLocator, madrid.locator,
		bgptest.Identity{ASN: 65001, ID: netip.MustParseAddr(gateLocator), HoldTime: 90, IPv4: true})
	a.wantUp("hub0-v4", "hub0-v6", "hub1-v4", "hub1-v6", "outsider-v4", "outsider-v6", "insider")

	t.Log("# the anycast routes are usable on both routers, bare")
	before := map[string]plainRoute{}
	for i, r := range routers {
		for _, sv := range services {
			key := fmt.Sprint(i, sv.name)
			netns.Eventually(t, limit, "a route to "+sv.name, func() string {
				route, ok := r.route(t, prefix(sv.anycast))
				if !ok {
					return "none"
				}
				before[key] = route
				return ""
			})
			if u := before[key].unknown; u != "" {
				t.Errorf("router %d has attributes of %s that it should not: %s", i, sv.name, u)
			}
		}
	}

	t.Log("# while the domain hears of changing metrics, the outside hears nothing")
	for _, percent := range []int64{95, 10, 95, 10} {
		updates := insider.saw(prefix(madrid.instance4)).updates
		load.percent.Store(percent)
		netns.Eventually(t, limit, "the insider hears of it", func() string {
			sg := insider.saw(prefix(madrid.instance4))
			if sg.updates == updates || sg.value(bgp.DefaultAttributeType) == "" || sg.value(bgptest.LargeCommunity) == "" {
				return fmt.Sprintf("%d UPDATEs, attributes %v", sg.updates, sg.Attrs)
			}
			return ""
		})
	}
	for i, r := range routers {
		for _, sv := range services {
			if route, ok := r.route(t, prefix(sv.anycast)); !ok || !route.same(before[fmt.Sprint(i, sv.name)]) {
				t.Errorf("router %d's route to %s changed: %v, was %v", i, sv.name, route, before[fmt.Sprint(i, sv.name)])
			}
		}
		for _, v6 := range []bool{false, true} {
			if route, ok := r.route(t, prefix(madrid.instance(v6))); ok {
				t.Errorf("router %d has an instance route: %v", i, route)
			}
		}
	}
	seen := outsider.all()
	slices.Sort(seen)
	if want := []string{prefix(services[1].anycast), prefix(services[0].anycast)}; !slices.Equal(seen, want) {
		t.Errorf("the outsider heard of %v, not only of %v", seen, want)
	}
	for _, sv := range services {
		sg := outsider.saw(prefix(sv.anycast))
		if sg.updates != 1 || sg.withdrawals != 0 {
			t.Errorf("the outsider heard %d UPDATEs and %d withdrawals of %s", sg.updates, sg.withdrawals, sv.name)
		}
		for _, attr := range sg.Attrs {
			if !slices.Contains([]byte{bgptest.Origin, bgptest.ASPath, bgptest.NextHop, bgptest.MPReach}, attr.Type) {
				t.Errorf("the outsider got attribute %d with %s", attr.Type, sv.name)
			}
		}
	}

	t.Log("# a drain is told outside as well")
	if out, err := a.command("drain", "site"); err != nil {
		t.Fatalf("drain: %v: %s", err, out)
	}
	for i, r := range routers {
		for _, sv := range services {
			netns.Eventually(t, limit, fmt.Sprintf("GRACEFUL_SHUTDOWN of %s on router %d", sv.name, i), func() string {
				if route, ok := r.route(t, prefix(sv.anycast)); !ok || !route.shutdown {
					return route.String()
				}
				return ""
			})
		}
	}
}

// An ingress that hears everything twice counts it once, and losing one of two
// reflectors is not worth a change.
func TestDualHomed(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 2, netns.FRR, netns.BIRD)
	loads := n.serveAll()
	routers := []plainRouter{
		startFRR(n.hubs[0], 65001, "192.0.2.1", neighbours(0, 65001, true, atMadrid, atParis, atGate)...),
		startBIRD(n.hubs[1], 65001, "192.0.2.65", neighbours(1, 65001, true, atMadrid, atParis, atGate)...),
	}
	for i, s := range sites {
		a := startAgent(t, n.Lab, n.spokes[i], siteConfig(s.name, s.locator, 65001,
			hubSessions(0, i, 65001), hubSessions(1, i, 65001), s.servicesConfig()))
		a.wantUp("hub0-v4", "hub0-v6", "hub1-v4", "hub1-v6")
	}
	gate := startAgent(t, n.Lab, n.spokes[atGate], gateConfig(gateLocator, 65001, hubSessions(0, atGate, 65001), hubSessions(1, atGate, 65001)))
	gate.wantUp("hub0-v4", "hub0-v6", "hub1-v4", "hub1-v6")

	follow := func(madrid, paris int64) {
		t.Helper()
		loads["madrid"].percent.Store(madrid)
		loads["paris"].percent.Store(paris)
		busy, idle := "madrid", "paris"
		if madrid < paris {
			busy, idle = idle, busy
		}
		for _, sv := range services {
			gate.wantShare(sv.name, busy, 0, 0.2)
			gate.wantShare(sv.name, idle, 0.8, 1)
		}
	}
	heardBy := func(prefix string) (peers []string) {
		doc, err := gate.Heard(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range doc.Items {
			if r.Prefix == prefix {
				peers = append(peers, r.Peer)
			}
		}
		slices.Sort(peers)
		return peers
	}
	targets := func(service string) int {
		doc, err := gate.Services(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range doc.Items {
			if s.Name == service {
				return len(s.Targets)
			}
		}
		return 0
	}

	t.Log("# heard twice, counted once")
	for _, v6 := range []bool{false, true} {
		p, want := prefix(madrid.instance(v6)), []string{hubName(0, v6), hubName(1, v6)}
		gate.eventually(p+" is heard of both reflectors", func() string {
			if got := heardBy(p); !slices.Equal(got, want) {
				return fmt.Sprint(got)
			}
			return ""
		})
	}
	follow(97, 10)
	for _, sv := range services {
		if k := targets(sv.name); k != 2 {
			t.Errorf("%s has %d targets, there are 2 instances", sv.name, k)
		}
	}
	if p := gate.peer(hubName(1, false)); p.DecodeErrors["replay"] != 0 {
		t.Errorf("the copy is taken for a replay: %v", p.DecodeErrors)
	}

	t.Log("# one reflector dies: nothing changes, and the split still follows")
	empty := gate.last(events.SelectionEmpty)
	routers[1].Crash()
	gate.eventually("the loss is noticed", func() string {
		if gate.peer(hubName(1, false)).Up || gate.peer(hubName(1, true)).Up {
			return "session up"
		}
		return ""
	})
	for _, sv := range services {
		if k, s := targets(sv.name), gate.share(sv.name, "paris"); k != 2 || s < 0.8 {
			t.Errorf("%s: %d targets, %.0f %% to paris", sv.name, k, s*100)
		}
	}
	follow(10, 97)
	if gate.last(events.SelectionEmpty) != empty {
		t.Errorf("there was a moment without targets: %v", gate.events(events.SelectionEmpty))
	}

	t.Log("# the other dies too: nobody announces the services any more")
	routers[0].Crash()
	gate.eventually("no service is left", func() string {
		if k := targets(services[0].name) + targets(services[1].name); k != 0 {
			return fmt.Sprintf("%d targets", k)
		}
		return ""
	})
}

// Our own agent is a reflector as good as others.
func TestAgentReflects(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	loads := n.serveAll()
	clients := ""
	for i := range n.spokes {
		for _, v6 := range []bool{false, true} {
			clients += sessions(session{fmt.Sprintf("%s-%v", spokes[i].name, v6), spokeAddr(0, i, v6), 65001, "route_reflector_client = true"})
		}
	}
	rr := startAgent(t, n.Lab, n.hubs[0], strings.Replace(gateConfig("192.0.2.1", 65001, clients), `"gate"`, `"reflector"`, 1))
	w := newWitness(t)
	w.dialHub(n, 65001)
	var at []*agent
	for i, s := range sites {
		at = append(at, startAgent(t, n.Lab, n.spokes[i], siteConfig(s.name, s.locator, 65001, hubSessions(0, i, 65001), s.servicesConfig())))
	}
	gate := startAgent(t, n.Lab, n.spokes[atGate], gateConfig(gateLocator, 65001, hubSessions(0, atGate, 65001)))
	gate.wantUp(hubName(0, false), hubName(0, true))

	for i, a := range at {
		for _, v6 := range []bool{false, true} {
			w.wantIntact(bgp.DefaultAttributeType, prefix(sites[i].instance(v6)), a)
		}
	}
	for _, sv := range services {
		w.wantIntact(bgp.DefaultAttributeType, prefix(sv.anycast), at...)
	}
	loads["madrid"].percent.Store(97)
	loads["paris"].percent.Store(10)
	for _, sv := range services {
		gate.wantShare(sv.name, "madrid", 0, 0.2)
		gate.wantShare(sv.name, "paris", 0.8, 1)
		rr.wantShare(sv.name, "paris", 0.8, 1)
	}
}

// Where routers drop attributes that they do not know, large communities steer.
func TestCommunitiesAlone(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	loads := n.serveAll()
	hub := n.hubs[0]
	id := bgptest.Identity{ASN: 65001, ID: netip.MustParseAddr("192.0.2.1"), HoldTime: 90, IPv4: true}
	for i, s := range sites {
		startAgent(t, n.Lab, n.spokes[i], inBGP(siteConfig(s.name, s.locator, 65001, hubSessions(0, i, 65001), s.servicesConfig()), "communities = true"))
	}
	gate := startAgent(t, n.Lab, n.spokes[atGate], gateConfig(gateLocator, 65001, hubSessions(0, atGate, 65001)))

	// The hub is a router that drops what it does not know. None of FRR 8.4 and
	// BIRD 2.0 can be made to, so this one is made of two bare sessions.
	strip := &stripper{t: t}
	to := strip.accept(hub, hubAddr(0, atGate, false), id)
	go strip.swallow(to)
	for i := range sites {
		go strip.relay(strip.accept(hub, hubAddr(0, i, false), id), to)
	}

	video := services[0].name
	loads["madrid"].percent.Store(97)
	loads["paris"].percent.Store(10)
	gate.wantShare(video, "madrid", 0, 0.2)
	gate.wantShare(video, "paris", 0.8, 1)
	loads["madrid"].percent.Store(10)
	loads["paris"].percent.Store(97)
	gate.wantShare(video, "madrid", 0.8, 1)
	if strip.dropped.Load() == 0 {
		t.Error("no attribute was dropped, so this proves nothing")
	}
}
