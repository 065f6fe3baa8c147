package lab_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/catsbgp/catsbgp/internal/bgptest"
	"github.com/catsbgp/catsbgp/lab/netns"
)

// A network is a star, or two with the same points: every spoke has a link to
// every hub.
//
//	madrid ──┐         ┌── gate
//	         ├── hub ──┤
//	paris ───┘         └── witness
type network struct {
	*netns.Lab
	t      testing.TB
	hubs   []*netns.Node
	spokes []*netns.Node
}

// Spokes of every network.
const (
	atMadrid = iota
	atParis
	atGate
	atWitness
)

var spokes = [...]struct {
	name, locator string
	addrs         []string
}{
	{madrid.name, madrid.locator, []string{madrid.instance4, madrid.instance6, services[0].anycast, services[1].anycast}},
	{paris.name, paris.locator, []string{paris.instance4, paris.instance6, services[0].anycast, services[1].anycast}},
	{"gate", gateLocator, nil},
	{"witness", "198.51.100.2", nil},
}

const gateLocator = "198.51.100.1"

func newNetwork(t testing.TB, hubs int, needs ...netns.Need) *network {
	t.Helper()
	n := &network{Lab: netns.New(t, needs...), t: t}
	for h := range hubs {
		n.hubs = append(n.hubs, n.Node(fmt.Sprintf("hub%d", h)))
		n.hubs[h].Forward()
	}
	for i, s := range spokes {
		node := n.Node(s.name)
		n.spokes = append(n.spokes, node)
		node.Loopback(append([]string{s.locator}, s.addrs...)...)
		for h, hub := range n.hubs {
			n.Link(hub, node, fmt.Sprintf("192.0.2.%d/30", 64*h+4*i), fmt.Sprintf("2001:db8:f:%x::/64", 16*h+i+1))
			hub.Route(prefix(s.locator), spokeAddr(h, i, false))
			if h == 0 {
				node.Route("default", hubAddr(h, i, false))
				node.Route("default", hubAddr(h, i, true))
			}
		}
	}
	return n
}

// serveAll starts the services at both sites.
func (n *network) serveAll() map[string]*workload {
	n.t.Helper()
	all := map[string]*workload{}
	for i, site := range sites {
		all[site.name] = serve(n.t, n.spokes[i], site.instance4, site.instance6, services[0].anycast, services[1].anycast)
	}
	return all
}

// neighbours are a hub's sessions with spokes of one AS, as its clients if it
// reflects.
func neighbours(h, asn int, client bool, spokes ...int) (all []neighbour) {
	for _, i := range spokes {
		for _, v6 := range []bool{false, true} {
			all = append(all, neighbour{addr: spokeAddr(h, i, v6), asn: asn, client: client})
		}
	}
	return all
}

// hubAddr and spokeAddr are the two ends of the link between hub h and spoke i.
func hubAddr(h, i int, v6 bool) string {
	if v6 {
		return fmt.Sprintf("2001:db8:f:%x::1", 16*h+i+1)
	}
	return fmt.Sprintf("192.0.2.%d", 64*h+4*i+1)
}

func spokeAddr(h, i int, v6 bool) string {
	if v6 {
		return fmt.Sprintf("2001:db8:f:%x::2", 16*h+i+1)
	}
	return fmt.Sprintf("192.0.2.%d", 64*h+4*i+2)
}

// hubName is what agents call the session with a hub.
func hubName(h int, v6 bool) string {
	if v6 {
		return fmt.Sprintf("hub%d-v6", h)
	}
	return fmt.Sprintf("hub%d-v4", h)
}

// hubSessions are a spoke's sessions with the hub, one for each family.
func hubSessions(h, i, asn int, extra ...string) string {
	more := ""
	for _, e := range extra {
		more += e + "\n"
	}
	return sessions(
		session{hubName(h, false), hubAddr(h, i, false), asn, more},
		session{hubName(h, true), hubAddr(h, i, true), asn, more})
}

// A witness is a BGP speaker that only writes down what it hears.
type witness struct {
	t testing.TB

	mu   sync.Mutex
	seen map[netip.Prefix]sighting
	over int // sessions that ended
}

// A sighting is what was heard of a prefix.
type sighting struct {
	updates     int // that announced it
	withdrawals int
	here        bool
	bgptest.Routes
}

// value returns a path attribute in hexadecimal, "" if it is absent.
func (s sighting) value(typ byte) string {
	a, _ := s.Attr(typ)
	return hex.EncodeToString(a.Value)
}

// newWitness returns a witness without a session.
func newWitness(t testing.TB) *witness { return &witness{t: t, seen: map[netip.Prefix]sighting{}} }

// dialHub opens the sessions of the spoke called witness, one for each family.
func (w *witness) dialHub(n *network, asn uint32) {
	w.t.Helper()
	id := bgptest.Identity{ASN: asn, ID: netip.MustParseAddr("198.51.100.2"), HoldTime: 90}
	for _, v6 := range []bool{false, true} {
		id.IPv4, id.IPv6 = !v6, v6
		w.dial(n.spokes[atWitness], spokeAddr(0, atWitness, v6), hubAddr(0, atWitness, v6), id)
	}
}

// dialFrom opens a session from the spoke called witness to another one's
// locator, for IPv4.
func (w *witness) dialFrom(n *network, spoke int) *bgptest.Peer {
	w.t.Helper()
	local := spokes[atWitness].locator
	return w.dial(n.spokes[atWitness], local, spokes[spoke].locator,
		bgptest.Identity{ASN: 65001, ID: netip.MustParseAddr(local), HoldTime: 90, IPv4: true})
}

// dial opens a session from a node and writes down what it brings.
func (w *witness) dial(n *netns.Node, local, remote string, id bgptest.Identity) *bgptest.Peer {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), limit)
	defer cancel()
	var peer *bgptest.Peer
	err := n.Do(func() (err error) {
		peer, err = bgptest.Dial(ctx, netip.MustParseAddr(local), netip.AddrPortFrom(netip.MustParseAddr(remote), 179), id)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(peer.Close)
	go w.watch(peer)
	return peer
}

// accept waits for one session on a node and writes down what it brings.
func (w *witness) accept(n *netns.Node, local string, id bgptest.Identity) *bgptest.Peer {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), limit)
	defer cancel()
	l := n.Listen("tcp", net.JoinHostPort(local, "179"))
	defer l.Close()
	peer, err := bgptest.Accept(ctx, l, id)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(peer.Close)
	go w.watch(peer)
	return peer
}

// wantIntact waits until the witness has heard of a prefix exactly what one of
// the agents says.
func (w *witness) wantIntact(code byte, prefix string, from ...*agent) {
	w.t.Helper()
	netns.Eventually(w.t, limit, "the attribute of "+prefix+" arrives", func() string {
		sg := w.saw(prefix)
		a, ok := sg.Attr(code)
		if !ok {
			return fmt.Sprintf("there is none: %+v", sg)
		}
		if a.Flags&(bgptest.Optional|bgptest.Transitive) != bgptest.Optional|bgptest.Transitive {
			w.t.Fatalf("%s: flags %02x", prefix, a.Flags)
		}
		said := ""
		for _, x := range from {
			if said = x.attribute(prefix); said == sg.value(code) {
				return ""
			}
		}
		return fmt.Sprintf("said %s, heard %s", said, sg.value(code))
	})
}

func (w *witness) watch(peer *bgptest.Peer) {
	for m := range peer.Messages() {
		if m.Type != bgptest.Update {
			continue
		}
		r, err := bgptest.ParseUpdate(m.Body)
		if err != nil {
			w.t.Errorf("the witness cannot read an UPDATE: %v: %v", err, m)
			continue
		}
		w.mu.Lock()
		for _, p := range r.Reached {
			s := w.seen[p]
			w.seen[p] = sighting{s.updates + 1, s.withdrawals, true, r}
		}
		for _, p := range r.Withdrawn {
			s := w.seen[p]
			s.withdrawals++
			s.here = false
			w.seen[p] = s
		}
		w.mu.Unlock()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over++
}

func (w *witness) saw(prefix string) sighting {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen[netip.MustParsePrefix(prefix)]
}

// all returns every prefix that was ever heard of.
func (w *witness) all() (out []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for p := range w.seen {
		out = append(out, p.String())
	}
	return out
}

// get asks a web server as a client at a node does.
func get(n *netns.Node, url string) (string, error) {
	var body string
	client := &http.Client{
		Timeout: 2 * time.Second,
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, network, addr string) (c net.Conn, err error) {
				derr := n.Do(func() error { c, err = (&net.Dialer{}).DialContext(ctx, network, addr); return err })
				return c, derr
			},
		},
	}
	resp, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b := make([]byte, 256)
	k, _ := resp.Body.Read(b)
	body = string(b[:k])
	return body, nil
}
