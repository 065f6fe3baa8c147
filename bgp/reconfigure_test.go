package bgp

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestReconfigure(t *testing.T) {
	t.Parallel()
	n := newNet()
	hub := start(t, n.config(1, 64500,
		n.peer("stays", 1, 2, 64500, passive), n.peer("changes", 1, 3, 64500, passive), n.peer("goes", 1, 4, 64500, passive)))
	far := map[byte]*runner{}
	for host, prefix := range map[byte]string{2: "192.0.2.2/32", 3: "192.0.2.3/32", 4: "192.0.2.4/32"} {
		far[host] = start(t, n.config(host, 64500, n.peer("hub", host, 1, 64500)))
		far[host].Put(ann(prefix, []byte{host}))
	}
	hub.Put(ann("192.0.2.1/32", []byte{1}))
	hub.wait("three routes", func(v *view) bool { return len(v.routes) == 3 })
	before := hub.status("stays")

	t.Logf("# one goes, one changes, one comes, which is outside the domain")
	cfg := hub.cfg
	cfg.MaxRoutesPerPeer = 1000
	cfg.Peers = []Peer{
		n.peer("stays", 1, 2, 64500, passive),
		n.peer("changes", 1, 3, 64500, passive, func(p *Peer) { p.HoldTime = 60 * time.Second }),
		n.peer("comes", 1, 5, 64501, func(p *Peer) { p.InDomain = false }),
	}
	outside := start(t, n.config(5, 64501, n.peer("hub", 5, 1, 64500)))
	got, err := hub.Reconfigure(cfg)
	want := Changes{Added: []string{"comes"}, Removed: []string{"goes"}, Reset: []string{"changes"}}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Fatal(d, err)
	}
	hub.waitGone("goes", "192.0.2.4/32")
	hub.waitUp("changes", "comes")
	hub.waitRoute("changes", "192.0.2.3/32", []byte{3})
	boundary := ann("203.0.113.1/32", []byte{1})
	boundary.Boundary = true
	hub.Put(boundary)
	far[2].waitRoute("hub", "203.0.113.1/32", []byte{1})
	outside.waitUp("hub")
	until(t, "the bare route is outside", func() bool { return outside.status("hub").Received == 1 })

	st := hub.status("stays")
	if !st.Up || st.Flaps != 0 || !st.Since.Equal(before.Since) {
		t.Errorf("a session that did not change was touched: %+v, was %+v", st, before)
	}
	if _, ok := hub.view.route("stays", "192.0.2.2/32"); !ok {
		t.Error("its route was lost")
	}
	if names := peerNames(hub.Peers()); !slices.Equal(names, []string{"changes", "comes", "stays"}) {
		t.Errorf("peers %v", names)
	}

	t.Logf("# the peer outside goes, and its plane with it")
	cfg.Peers = cfg.Peers[:2]
	if got, err := hub.Reconfigure(cfg); err != nil || !slices.Equal(got.Removed, []string{"comes"}) {
		t.Errorf("%+v %v", got, err)
	}
	outside.wait("the loss", func(v *view) bool { return !v.up["hub"] })
	if hub.planes[carryBoundary] != nil {
		t.Error("the boundary plane still runs")
	}

	t.Logf("# the same again changes nothing")
	if got, err := hub.Reconfigure(cfg); err != nil || cmp.Diff(got, Changes{}) != "" {
		t.Errorf("%+v %v", got, err)
	}
}

func TestReconfigureReflecting(t *testing.T) {
	t.Parallel()
	n := newNet()
	peers := func(edit ...func(*Peer)) []Peer {
		edit = append(edit, passive)
		return []Peer{n.peer("c2", 1, 2, 64500, passive), n.peer("c3", 1, 3, 64500, edit...)}
	}
	rr := start(t, n.config(1, 64500, peers()...))
	c2 := start(t, n.config(2, 64500, n.peer("rr", 2, 1, 64500)))
	c3 := start(t, n.config(3, 64500, n.peer("rr", 3, 1, 64500)))
	c2.Put(ann("192.0.2.2/32", []byte{2}))
	rr.waitRoute("c2", "192.0.2.2/32", []byte{2})
	rr.waitUp("c3")
	if c3.view.fold(c3.Take(nil)); len(c3.view.routes) > 0 {
		t.Fatal("reflected without being told to")
	}
	cfg := rr.cfg
	cfg.Peers = peers(func(p *Peer) { p.ReflectorFor = true })
	if _, err := rr.Reconfigure(cfg); err != nil {
		t.Fatal(err)
	}
	c3.waitRoute("rr", "192.0.2.2/32", []byte{2})
	if st := rr.status("c2"); !st.Up || st.Flaps != 0 {
		t.Errorf("c2 was touched: %+v", st)
	}
}

func TestReconfigureRefused(t *testing.T) {
	t.Parallel()
	n := newNet()
	s := start(t, n.config(1, 64500, n.peer("a", 1, 2, 64500)))
	tests := []struct {
		name string
		edit func(*Config)
	}{
		{"asn", func(c *Config) { c.ASN = 64999 }},
		{"router id", func(c *Config) { c.RouterID = netip.MustParseAddr("192.0.2.99") }},
		{"listen", func(c *Config) { c.Listen = nil }},
		{"port", func(c *Config) { c.Port++ }},
		{"attribute type", func(c *Config) { c.AttributeType = 200 }},
		{"gRPC socket", func(c *Config) { c.GRPCSocket = "/run/catsbgp/gobgp.sock" }},
		{"peers (the boundary table would have to listen instead of the domain table)", func(c *Config) {
			c.Peers = []Peer{n.peer("a", 1, 2, 64501, func(p *Peer) { p.InDomain = false })}
		}},
	}
	for _, tt := range tests {
		cfg := s.cfg
		tt.edit(&cfg)
		cfg.Peers = append(slices.Clone(cfg.Peers), n.peer("new", 1, 7, 64500))
		if tt.name == tests[len(tests)-1].name {
			cfg.Peers = cfg.Peers[:1]
		}
		_, err := s.Reconfigure(cfg)
		var restart *RestartError
		if !errors.As(err, &restart) || !slices.Equal(restart.Settings, []string{tt.name}) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if got := peerNames(s.Peers()); !slices.Equal(got, []string{"a"}) {
			t.Errorf("%s: half applied: %v", tt.name, got)
		}
	}
	bad := s.cfg
	bad.Peers = []Peer{{Name: "x"}}
	if _, err := s.Reconfigure(bad); err == nil {
		t.Error("an invalid configuration was taken")
	}
}

func peerNames(peers []PeerStatus) (out []string) {
	for _, p := range peers {
		out = append(out, p.Name)
	}
	return out
}
