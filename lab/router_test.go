package lab_test

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/catsbgp/catsbgp/lab/netns"
)

// A plainRouter is a router that knows nothing of CATS.
type plainRouter interface {
	// route returns the best route to a prefix, false if there is none that is
	// usable.
	route(t testing.TB, prefix string) (plainRoute, bool)
	// session returns the state of the session with an address.
	session(t testing.TB, addr string) plainSession
	// Crash ends it as kill -9 does.
	Crash()
}

type plainRoute struct {
	from     string // the neighbour
	nextHop  string
	shutdown bool   // carries GRACEFUL_SHUTDOWN
	unknown  string // attributes that the router does not understand, as far as it shows them
	since    time.Time
}

type plainSession struct {
	up     bool
	resets int // where the router counts them
	since  time.Time
}

func (r plainRoute) String() string {
	return fmt.Sprintf("from %s, next hop %s, graceful shutdown %v, since %s %s", r.from, r.nextHop, r.shutdown, r.since.Format(time.TimeOnly), r.unknown)
}

func (s plainSession) String() string {
	return fmt.Sprintf("up %v, since %s, %d resets", s.up, s.since.Format(time.TimeOnly), s.resets)
}

// same reports whether nothing happened to the route. Routers reckon their
// times back from what a monotonic clock says, so the last digits vary.
func (r plainRoute) same(o plainRoute) bool {
	near := sameTime(r.since, o.since)
	r.since = o.since
	return near && r == o
}

func (s plainSession) same(o plainSession) bool {
	near := sameTime(s.since, o.since)
	s.since = o.since
	return near && s == o
}

func sameTime(a, b time.Time) bool { return a.Sub(b).Abs() < 1500*time.Millisecond }

// A neighbour is a router's side of a session.
type neighbour struct {
	addr   string
	asn    int
	client bool   // route-reflector client
	local  string // address, if the kernel's choice will not do
	timers string // "keepalive hold"
}

func (n neighbour) v6() bool { return netip.MustParseAddr(n.addr).Is6() }

type frr struct{ *netns.Router }

func startFRR(n *netns.Node, asn int, id string, neighbours ...neighbour) plainRouter {
	var b strings.Builder
	fmt.Fprintf(&b, "frr defaults traditional\nrouter bgp %d\n bgp router-id %s\n no bgp ebgp-requires-policy\n no bgp default ipv4-unicast\n", asn, id)
	activate := map[bool]string{}
	for _, p := range neighbours {
		timers := p.timers
		if timers == "" {
			timers = "30 90"
		}
		fmt.Fprintf(&b, " neighbor %s remote-as %d\n neighbor %[1]s timers %[3]s\n neighbor %[1]s timers connect 1\n", p.addr, p.asn, timers)
		fmt.Fprintf(&b, " neighbor %s advertisement-interval 0\n", p.addr)
		if p.local != "" {
			fmt.Fprintf(&b, " neighbor %s update-source %s\n", p.addr, p.local)
		}
		activate[p.v6()] += fmt.Sprintf("  neighbor %s activate\n", p.addr)
		if p.client {
			activate[p.v6()] += fmt.Sprintf("  neighbor %s route-reflector-client\n", p.addr)
		}
	}
	fmt.Fprintf(&b, " address-family ipv4 unicast\n%s exit-address-family\n", activate[false])
	fmt.Fprintf(&b, " address-family ipv6 unicast\n%s exit-address-family\n", activate[true])
	return frr{n.FRR(b.String())}
}

func (r frr) route(t testing.TB, prefix string) (plainRoute, bool) {
	t.Helper()
	var doc struct {
		Paths []struct {
			Valid    bool
			BestPath struct{ Overall bool }
			Peer     struct{ PeerID string }
			Nexthops []struct {
				IP         string
				Accessible bool
				Used       bool
			}
			Community  struct{ String string }
			LastUpdate struct{ Epoch int64 }
		}
	}
	if err := r.JSON("show bgp "+family(prefix)+" unicast "+prefix+" json", &doc); err != nil {
		t.Fatal(err)
	}
	for _, p := range doc.Paths {
		for _, h := range p.Nexthops {
			if p.Valid && p.BestPath.Overall && h.Accessible {
				return plainRoute{
					from: p.Peer.PeerID, nextHop: h.IP,
					shutdown: strings.Contains(p.Community.String, "graceful-shutdown") || strings.Contains(p.Community.String, "gracefulShutdown"),
					since:    time.Unix(p.LastUpdate.Epoch, 0),
				}, true
			}
		}
	}
	return plainRoute{}, false
}

func family(prefix string) string {
	if strings.Contains(prefix, ":") {
		return "ipv6"
	}
	return "ipv4"
}

func (r frr) session(t testing.TB, addr string) plainSession {
	t.Helper()
	doc := map[string]struct {
		BgpState                   string
		BgpTimerUpEstablishedEpoch int64
		ConnectionsDropped         int
	}{}
	if err := r.JSON("show bgp neighbors "+addr+" json", &doc); err != nil {
		t.Fatal(err)
	}
	s := doc[addr]
	return plainSession{s.BgpState == "Established", s.ConnectionsDropped, time.Unix(s.BgpTimerUpEstablishedEpoch, 0)}
}

type bird struct{ *netns.Router }

func startBIRD(n *netns.Node, asn int, id string, neighbours ...neighbour) plainRouter {
	var b strings.Builder
	fmt.Fprintf(&b, `log stderr all;
router id %s;
timeformat protocol iso long us;
timeformat route iso long us;
protocol device {}
protocol direct { ipv4; ipv6; }
protocol kernel { ipv4 { import all; export all; }; learn; persist off; scan time 1; }
protocol kernel { ipv6 { import all; export all; }; learn; persist off; scan time 1; }
`, id)
	for _, p := range neighbours {
		client := ""
		if p.client {
			client = "rr client;"
		}
		hold := "hold time 90;"
		if f := strings.Fields(p.timers); len(f) == 2 {
			hold = fmt.Sprintf("keepalive time %s; hold time %s;", f[0], f[1])
		}
		fmt.Fprintf(&b, "protocol bgp %s {\n local%s as %d; neighbor %s as %d; %s %s connect retry time 1; connect delay time 1; error wait time 1,2;\n %s { import all; export where source = RTS_BGP; };\n}\n",
			birdName(p.addr), local(p.local), asn, p.addr, p.asn, client, hold, family(p.addr))
	}
	return bird{n.BIRD(b.String())}
}

func local(addr string) string {
	if addr == "" {
		return ""
	}
	return " " + addr
}

// birdName is the name of the protocol of a neighbour.
func birdName(addr string) string {
	return "n_" + strings.NewReplacer(".", "_", ":", "_").Replace(addr)
}

var (
	birdAge     = regexp.MustCompile(`\[(\S+) (\S+ \S+?)( from \S+)?\] \* \(`)
	birdNextHop = regexp.MustCompile(`BGP\.next_hop: (\S+)`)
	birdUnknown = regexp.MustCompile(`BGP\.[0-9a-f]{2}[: ].*`)
	birdSince   = regexp.MustCompile(`(?m)^\S+\s+BGP\s+\S+\s+(\S+)\s+(\S+ \S+)`)
)

func (r bird) route(t testing.TB, prefix string) (plainRoute, bool) {
	t.Helper()
	out, err := r.Ask("show route primary all for " + prefix)
	if err != nil {
		return plainRoute{}, false // birdc's answer for "no such route" is a failure
	}
	if !strings.Contains(out, prefix) || strings.Contains(out, "unreachable") {
		return plainRoute{}, false
	}
	m := birdAge.FindStringSubmatch(out)
	if m == nil {
		return plainRoute{}, false
	}
	rt := plainRoute{from: m[1], since: birdTime(t, m[2]), shutdown: strings.Contains(out, "(65535,0)")}
	if h := birdNextHop.FindStringSubmatch(out); h != nil {
		rt.nextHop = h[1]
	}
	rt.unknown = strings.Join(birdUnknown.FindAllString(out, -1), "; ")
	return rt, true
}

func (r bird) session(t testing.TB, addr string) plainSession {
	t.Helper()
	out, err := r.Ask("show protocols " + birdName(addr))
	if err != nil {
		t.Fatal(err)
	}
	m := birdSince.FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("no session with %s: %s", addr, out)
	}
	return plainSession{up: m[1] == "up" && strings.Contains(out, "Established"), since: birdTime(t, m[2])}
}

func birdTime(t testing.TB, s string) time.Time {
	t.Helper()
	at, err := time.Parse("2006-01-02 15:04:05", s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}
