package bgp

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/catsbgp/catsbgp/internal/bgptest"
)

// reflector starts a route reflector at .1 and clients at .2 to .4.
func reflector(t *testing.T, edit ...func(*Peer)) (rr *runner, clients []*runner) {
	n := newNet()
	client := append([]func(*Peer){passive, func(p *Peer) { p.ReflectorFor = true }}, edit...)
	rr = start(t, n.config(1, 64500,
		n.peer("c2", 1, 2, 64500, client...), n.peer("c3", 1, 3, 64500, client...), n.peer("c4", 1, 4, 64500, client...)))
	for host := byte(2); host <= 4; host++ {
		clients = append(clients, start(t, n.config(host, 64500, n.peer("rr", host, 1, 64500, edit...))))
	}
	return rr, clients
}

func TestRouteReflector(t *testing.T) {
	t.Parallel()
	rr, c := reflector(t)
	c[0].Set([]Announcement{ann("192.0.2.2/32", []byte{2})})
	c[1].Set([]Announcement{ann("192.0.2.3/32", []byte{3})})
	rr.Set([]Announcement{ann("192.0.2.1/32", []byte{1})})
	c[2].waitRoute("rr", "192.0.2.2/32", []byte{2})
	c[2].waitRoute("rr", "192.0.2.3/32", []byte{3})
	c[2].waitRoute("rr", "192.0.2.1/32", []byte{1})
	c[0].waitRoute("rr", "192.0.2.3/32", []byte{3})
	if _, ok := c[0].view.route("rr", "192.0.2.2/32"); ok {
		t.Error("a client hears its own route back")
	}
	rr.waitRoute("c2", "192.0.2.2/32", []byte{2})

	t.Logf("# a client goes: its routes go everywhere")
	c[0].stop()
	c[2].waitGone("rr", "192.0.2.2/32")
	c[2].waitRoute("rr", "192.0.2.3/32", []byte{3})
}

// An agent between two others is no router: it does not pass on what it hears.
func TestNoTransit(t *testing.T) {
	t.Parallel()
	n := newNet()
	hub := start(t, n.config(1, 64500, n.peer("a", 1, 2, 64501, passive), n.peer("b", 1, 3, 64502, passive)))
	a := start(t, n.config(2, 64501, n.peer("hub", 2, 1, 64500)))
	b := start(t, n.config(3, 64502, n.peer("hub", 3, 1, 64500)))
	a.Put(ann("192.0.2.2/32", []byte{2}))
	hub.waitRoute("a", "192.0.2.2/32", []byte{2})
	hub.waitUp("b")
	hub.Put(ann("192.0.2.1/32", []byte{1}))
	b.waitRoute("hub", "192.0.2.1/32", []byte{1})
	if len(b.view.routes) != 1 {
		t.Errorf("routes %v, want only the hub's own", b.view.routes)
	}
}

// Two sites say the same prefix; with ADD-PATH the third hears both.
func TestAddPath(t *testing.T) {
	t.Parallel()
	_, c := reflector(t, func(p *Peer) { p.AddPath = true })
	c[0].Put(ann("192.0.2.1/32", []byte{2}))
	c[1].Put(ann("192.0.2.1/32", []byte{3}))
	values := func(v *view) (out []byte) {
		ids := map[uint32]bool{}
		for _, ev := range v.routes {
			out = append(out, ev.Attribute...)
			ids[ev.PathID] = true
		}
		if len(ids) != len(out) {
			t.Errorf("path ids are not distinct: %v", v.routes)
		}
		slices.Sort(out)
		return out
	}
	c[2].wait("both paths", func(v *view) bool { return bytes.Equal(values(v), []byte{2, 3}) })
	c[0].Put(ann("192.0.2.1/32", []byte{4}))
	c[2].wait("the change of one", func(v *view) bool { return bytes.Equal(values(v), []byte{3, 4}) })
	c[1].Remove(prefixes("192.0.2.1/32")...)
	c[2].wait("the withdrawal of the other", func(v *view) bool { return bytes.Equal(values(v), []byte{4}) })
}

// What leaves the domain is looked at octet by octet.
func TestBoundary(t *testing.T) {
	t.Parallel()
	n := newNet()
	raw := acceptRaw(t, n, n.identity(9, 64511))
	s := start(t, n.config(1, 64500,
		n.peer("raw", 1, 9, 64511, func(p *Peer) { p.InDomain = false }),
		n.peer("inside", 1, 2, 64500, passive)))
	inside := start(t, n.config(2, 64500, n.peer("s", 2, 1, 64500)))

	anycast := ann("203.0.113.10/32", []byte{0xca})
	anycast.Boundary = true
	anycast.Communities = []uint32{GracefulShutdown}
	anycast.LargeCommunities = []LargeCommunity{{64500, 0xca000000, 1}}
	instance := ann("192.0.2.11/32", []byte{1})
	s.Set([]Announcement{anycast, instance})

	ctx := testContext(t)
	p, ok := <-raw
	if !ok {
		t.Fatal("no session")
	}
	r, err := p.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Reached) != 1 || r.Reached[0] != anycast.Prefix {
		t.Fatalf("reached %v", r.Reached)
	}
	for _, a := range r.Attrs {
		if !slices.Contains([]byte{bgptest.Origin, bgptest.ASPath, bgptest.NextHop, bgptest.Communities}, a.Type) {
			t.Errorf("attribute %d crossed the boundary: % x", a.Type, a.Value)
		}
	}
	if c, ok := r.Attr(bgptest.Communities); !ok || !bytes.Equal(c.Value, []byte{0xff, 0xff, 0, 0}) {
		t.Errorf("communities % x", c.Value)
	}

	t.Logf("# volatile changes inside are not even an UPDATE outside")
	for i := range byte(10) {
		anycast.Attribute, instance.Attribute = []byte{0xca, i}, []byte{i}
		s.Put(anycast, instance)
	}
	inside.waitRoute("s", "192.0.2.11/32", []byte{9})
	inside.waitRoute("s", "203.0.113.10/32", []byte{0xca, 9})
	t.Logf("# what a peer outside says about CATS is not heard, nor passed on")
	say(t, p, []byte{6, 6, 6}, "192.0.2.66/32")
	anycast.Communities = nil
	s.Put(anycast)
	if r, err = p.Next(ctx); err != nil {
		t.Fatal(err)
	}
	if _, has := r.Attr(bgptest.Communities); has || len(r.Reached) != 1 || r.Reached[0] != anycast.Prefix {
		t.Errorf("next UPDATE %+v", r)
	}
	until(t, "the route from outside has arrived", func() bool { return s.status("raw").Received == 1 })
	s.Put(ann("192.0.2.12/32", []byte{12}))
	inside.waitRoute("s", "192.0.2.12/32", []byte{12})
	if _, ok := inside.view.route("s", "192.0.2.66/32"); ok {
		t.Error("a route from outside went through")
	}
	s.view.fold(s.Take(nil))
	if _, ok := s.view.route("raw", "192.0.2.66/32"); ok {
		t.Error("a route from outside was heard")
	}
	if st := s.status("raw"); st.Carriage != "boundary" || st.Intended != 1 || st.Sent != 1 {
		t.Errorf("status %+v", st)
	}

	t.Logf("# withdrawn inside, withdrawn outside; an instance that becomes a boundary route appears")
	s.Remove(anycast.Prefix)
	if r, err = p.Next(ctx); err != nil || len(r.Withdrawn) != 1 || r.Withdrawn[0] != anycast.Prefix {
		t.Errorf("%+v %v", r, err)
	}
	instance.Boundary = true
	s.Put(instance)
	if r, err = p.Next(ctx); err != nil || len(r.Reached) != 1 {
		t.Errorf("%+v %v", r, err)
	}
	instance.Boundary = false
	s.Put(instance)
	if r, err = p.Next(ctx); err != nil || len(r.Withdrawn) != 1 {
		t.Errorf("%+v %v", r, err)
	}
}

func TestEdgeMetadata(t *testing.T) {
	t.Parallel()
	n := newNet()
	edge := func(p *Peer) { p.EdgeMetadata = true }
	a := ann("192.0.2.11/32", []byte{1, 2})
	a.EdgeAttribute = []byte{3, 4, 5}
	same := ann("192.0.2.12/32", []byte{6})

	raw := acceptRaw(t, n, n.identity(9, 64501))
	s := start(t, n.config(1, 64500, n.peer("raw", 1, 9, 64501, edge), n.peer("other", 1, 2, 64500, edge, passive)))
	o := start(t, n.config(2, 64500, n.peer("s", 2, 1, 64500, edge)))
	s.Set([]Announcement{a, same})
	p, ok := <-raw
	if !ok {
		t.Fatal("no session")
	}
	for range 2 {
		r, err := p.Next(testContext(t))
		if err != nil {
			t.Fatal(err)
		}
		at, ok := r.Attr(EdgeMetadataType)
		want := map[netip.Prefix][]byte{a.Prefix: a.EdgeAttribute, same.Prefix: same.Attribute}[r.Reached[0]]
		if !ok || at.Flags != bgptest.Optional || !bytes.Equal(at.Value, want) {
			t.Errorf("%v: attribute %+v, want flags 80, value % x", r.Reached, at, want)
		}
		if _, ok := r.Attr(DefaultAttributeType); ok {
			t.Error("the domain's attribute is there too")
		}
	}
	if ev := o.waitRoute("s", "192.0.2.11/32", a.EdgeAttribute); !ev.Edge {
		t.Error("not marked as edge metadata")
	}
}

func TestMD5(t *testing.T) {
	t.Parallel()
	secret := func(s string) func(*Peer) { return func(p *Peer) { p.Password = s } }
	n := newNet()
	b := start(t, n.config(2, 64500,
		n.peer("right", 2, 1, 64500, passive, secret("rosebud")),
		n.peer("wrong", 2, 3, 64500, passive, secret("rosebud"))))
	start(t, n.config(1, 64500, n.peer("b", 1, 2, 64500, secret("rosebud"))))
	bad := start(t, n.config(3, 64500, n.peer("b", 3, 2, 64500, secret("ROSEBUD"))))
	b.waitUp("right")
	if b.status("wrong").Up || bad.status("b").Up {
		t.Error("a session is up with the wrong password")
	}

	t.Logf("# the password is removed on both sides: unsigned connections are accepted again")
	cfg := b.cfg
	cfg.Peers = []Peer{n.peer("right", 2, 1, 64500, passive, secret("rosebud")), n.peer("wrong", 2, 3, 64500, passive)}
	if c, err := b.Reconfigure(cfg); err != nil || !slices.Equal(c.Reset, []string{"wrong"}) {
		t.Fatalf("%+v %v", c, err)
	}
	cfg = bad.cfg
	cfg.Peers = []Peer{n.peer("b", 3, 2, 64500)}
	if _, err := bad.Reconfigure(cfg); err != nil {
		t.Fatal(err)
	}
	b.waitUp("wrong")
	if st := b.status("right"); !st.Up || st.Flaps != 0 {
		t.Errorf("the other session was touched: %+v", st)
	}
}

func TestSessionOptions(t *testing.T) {
	for name, edit := range map[string]func(*Peer){
		"GTSM":     func(p *Peer) { p.TTLSecurity = true },
		"BFD":      func(p *Peer) { p.BFD = true }, // that of the peer never comes up on loopback
		"multihop": func(p *Peer) { p.MultihopTTL = 8 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := pair(t, 64500, 64501, edit)
			a.Put(ann("192.0.2.1/32", []byte{1}))
			b.waitRoute("a", "192.0.2.1/32", []byte{1})
		})
	}
}

func TestHoldTimeZero(t *testing.T) {
	t.Parallel()
	n := newNet()
	s := start(t, n.config(1, 64500, n.peer("raw", 1, 9, 64500, passive, func(p *Peer) { p.HoldTime = 0 })))
	id := n.identity(9, 64500)
	id.HoldTime = 0
	p := dialRaw(t, n, id)
	s.waitUp("raw")
	if st := s.status("raw"); st.HoldTime != 0 {
		t.Errorf("hold time %v", st.HoldTime)
	}
	if offered := time.Duration(int(p.RemoteOpen[3])<<8|int(p.RemoteOpen[4])) * time.Second; offered != longestHoldTime {
		t.Errorf("hold time offered: %v", offered)
	}
}

// An IPv6 route over an IPv4 session without a next hop of its own.
func TestIPv6NextHopOverIPv4(t *testing.T) {
	t.Parallel()
	n := newNet()
	s := start(t, n.config(1, 64500, n.peer("raw", 1, 9, 64500, passive)))
	p := dialRaw(t, n, n.identity(9, 64500))
	s.Put(ann("2001:db8::1/128", []byte{1}))
	r, err := p.Next(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	mapped := netip.AddrFrom16(n.addr(1).As16())
	if got, _ := netip.AddrFromSlice(r.NextHop); got != mapped {
		t.Errorf("next hop on the wire %v, want %v", got, mapped)
	}
}
