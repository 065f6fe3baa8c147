package bgp

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/catsbgp/catsbgp/internal/bgptest"
)

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	t.Cleanup(cancel)
	return ctx
}

func (n testNet) identity(host byte, as uint32) bgptest.Identity {
	return bgptest.Identity{ASN: as, ID: netip.AddrFrom4([4]byte{192, 0, 2, host}), HoldTime: 30, IPv4: true, IPv6: true}
}

// dialRaw opens a session from .9 to the speaker at .1, which has it as the
// passive peer "raw".
func dialRaw(t testing.TB, n testNet, id bgptest.Identity) *bgptest.Peer {
	t.Helper()
	p, err := bgptest.Dial(testContext(t), n.addr(9), netip.AddrPortFrom(n.addr(1), testPort), id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// acceptRaw waits at .9 for the speaker to connect.
func acceptRaw(t testing.TB, n testNet, id bgptest.Identity) <-chan *bgptest.Peer {
	t.Helper()
	l, err := net.Listen("tcp4", net.JoinHostPort(n.addr(9).String(), strconv.Itoa(testPort)))
	if err != nil {
		t.Fatal(err)
	}
	out := make(chan *bgptest.Peer, 1)
	ctx := testContext(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(out)
		defer l.Close()
		if p, err := bgptest.Accept(ctx, l, id); err == nil {
			out <- p
			t.Cleanup(p.Close)
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return out
}

// say sends routes with the CATS attribute.
func say(t testing.TB, p *bgptest.Peer, value []byte, to ...string) {
	t.Helper()
	attrs := bgptest.Join(
		bgptest.Mandatory(netip.MustParseAddr("127.0.0.9")),
		bgptest.Attr(bgptest.Transitive, bgptest.LocalPref, []byte{0, 0, 0, 100}),
		bgptest.Attr(bgptest.Optional|bgptest.Transitive|bgptest.Partial, DefaultAttributeType, value),
	)
	if err := p.Send(bgptest.UpdateFrame(nil, attrs, bgptest.NLRI(prefixes(to...)...))); err != nil {
		t.Fatal(err)
	}
}

func endOfRIB(t testing.TB, p *bgptest.Peer) {
	t.Helper()
	if err := p.Send(bgptest.UpdateFrame(nil, nil, nil)); err != nil {
		t.Fatal(err)
	}
}

func TestPeerCrash(t *testing.T) {
	t.Parallel()
	n := newNet()
	s := start(t, n.config(1, 64500, n.peer("raw", 1, 9, 64500, passive)))
	p := dialRaw(t, n, n.identity(9, 64500))
	s.waitUp("raw")
	say(t, p, []byte{1}, "192.0.2.1/32", "192.0.2.2/32")
	endOfRIB(t, p)
	s.waitRoute("raw", "192.0.2.1/32", []byte{1})
	s.wait("end of RIB", func(v *view) bool { return v.eor["raw"] == 1 })

	t.Logf("# the connection breaks without a word")
	p.Close()
	s.wait("all routes are gone", func(v *view) bool { return !v.up["raw"] && len(v.routes) == 0 })
}

func TestGracefulRestart(t *testing.T) {
	t.Parallel()
	restarts := func(p *Peer) { passive(p); p.GracefulRestart = 30 * time.Second }
	setup := func(t *testing.T, restart uint16) (*runner, *bgptest.Peer, testNet, bgptest.Identity) {
		n := newNet()
		s := start(t, n.config(1, 64500, n.peer("raw", 1, 9, 64500, restarts)))
		id := n.identity(9, 64500)
		id.Restart = restart
		p := dialRaw(t, n, id)
		say(t, p, []byte{1}, "192.0.2.1/32", "192.0.2.2/32", "192.0.2.3/32")
		endOfRIB(t, p)
		s.wait("routes", func(v *view) bool { return len(v.routes) == 3 && v.eor["raw"] == 1 })
		p.Close()
		s.wait("the loss", func(v *view) bool { return !v.up["raw"] })
		if len(s.view.routes) != 3 {
			t.Fatalf("a graceful restart lost routes: %v", s.view.routes)
		}
		return s, p, n, id
	}
	t.Run("comes back", func(t *testing.T) {
		t.Parallel()
		s, _, n, id := setup(t, 20)
		if st := s.status("raw"); st.GracefulRestart != "restarting" || st.Accepted != 3 {
			t.Errorf("status %+v", st)
		}
		p := dialRaw(t, n, id)
		s.waitUp("raw")
		say(t, p, []byte{2}, "192.0.2.1/32")
		s.waitRoute("raw", "192.0.2.1/32", []byte{2})
		if len(s.view.routes) != 3 {
			t.Errorf("stale routes left before the end of RIB: %v", s.view.routes)
		}

		t.Logf("# what was not said again is gone at the end of RIB, which comes last")
		endOfRIB(t, p)
		s.wait("end of RIB", func(v *view) bool { return v.eor["raw"] == 2 })
		if _, ok := s.view.route("raw", "192.0.2.1/32"); !ok || len(s.view.routes) != 1 {
			t.Errorf("routes %v", s.view.routes)
		}
	})
	t.Run("comes back without graceful restart", func(t *testing.T) {
		t.Parallel()
		s, _, n, id := setup(t, 20)
		id.Restart = 0
		dialRaw(t, n, id)
		s.wait("old routes are gone at once", func(v *view) bool { return v.up["raw"] && len(v.routes) == 0 })
	})
	t.Run("does not come back", func(t *testing.T) {
		t.Parallel()
		s, _, _, _ := setup(t, 1)
		s.wait("routes time out", func(v *view) bool { return len(v.routes) == 0 })
	})
}

func TestLongLivedGracefulRestart(t *testing.T) {
	t.Parallel()
	n := newNet()
	s := start(t, n.config(1, 64500, n.peer("raw", 1, 9, 64500, func(p *Peer) {
		passive(p)
		p.GracefulRestart, p.LongLivedGracefulRestart = time.Second, time.Second
	})))
	id := n.identity(9, 64500)
	id.Restart, id.IPv6 = 1, false
	id.Extra = []byte{71, 7, 0, 1, 1, 0x80, 0, 0, 1} // RFC 9494: IPv4 unicast, stale time 1 s
	p := dialRaw(t, n, id)
	say(t, p, []byte{1}, "192.0.2.1/32")
	endOfRIB(t, p)
	s.waitRoute("raw", "192.0.2.1/32", []byte{1})
	p.Close()
	lost := time.Now()
	s.waitGone("raw", "192.0.2.1/32")
	if kept := time.Since(lost); kept < 1500*time.Millisecond {
		t.Errorf("kept for %v, want restart time and stale time", kept)
	}
}

func TestStopWithGracefulRestart(t *testing.T) {
	t.Parallel()
	a, b := pair(t, 64500, 64500, func(p *Peer) { p.GracefulRestart = 20 * time.Second })
	a.Set([]Announcement{ann("192.0.2.1/32", []byte{1})})
	b.waitRoute("a", "192.0.2.1/32", []byte{1})
	a.stop()
	b.wait("the loss", func(v *view) bool { return !v.up["a"] })
	if _, ok := b.view.route("a", "192.0.2.1/32"); !ok {
		t.Error("the route did not outlive an orderly stop")
	}
}

func TestMaxRoutes(t *testing.T) {
	t.Parallel()
	n := newNet()
	cfg := n.config(1, 64500, n.peer("raw", 1, 9, 64500, passive))
	cfg.MaxRoutesPerPeer = 2
	s := start(t, cfg)
	p := dialRaw(t, n, n.identity(9, 64500))
	s.waitUp("raw")
	say(t, p, []byte{1}, "192.0.2.1/32", "192.0.2.2/32", "192.0.2.3/32", "192.0.2.4/32")
	s.wait("the notice", func(v *view) bool {
		for _, ev := range v.log {
			if ev, ok := ev.(PeerEvent); ok && ev.Up && ev.Reason != "" {
				return true
			}
		}
		return false
	})
	s.wait("two routes", func(v *view) bool { return len(v.routes) == 2 })
	until(t, "two ignored", func() bool { return s.status("raw").Ignored == 2 })

	t.Logf("# an accepted route still changes; a withdrawal makes room")
	say(t, p, []byte{2}, "192.0.2.1/32")
	s.waitRoute("raw", "192.0.2.1/32", []byte{2})
	if err := p.Send(bgptest.UpdateFrame(bgptest.NLRI(prefixes("192.0.2.1/32")...), nil, nil)); err != nil {
		t.Fatal(err)
	}
	s.waitGone("raw", "192.0.2.1/32")
	say(t, p, []byte{3}, "192.0.2.4/32")
	s.waitRoute("raw", "192.0.2.4/32", []byte{3})
}

// Routes without CATS information cost nothing, and end what had some.
func TestPlainRoutes(t *testing.T) {
	t.Parallel()
	n := newNet()
	s := start(t, n.config(1, 64500, n.peer("raw", 1, 9, 64500, passive)))
	p := dialRaw(t, n, n.identity(9, 64500))
	s.waitUp("raw")
	send := func(attrs []byte, to string) {
		t.Helper()
		attrs = bgptest.Join(bgptest.Mandatory(netip.MustParseAddr("127.0.0.9")),
			bgptest.Attr(bgptest.Transitive, bgptest.LocalPref, []byte{0, 0, 0, 100}), attrs)
		if err := p.Send(bgptest.UpdateFrame(nil, attrs, bgptest.NLRI(prefixes(to)...))); err != nil {
			t.Fatal(err)
		}
	}
	large := func(local1 byte) []byte {
		return bgptest.Attr(bgptest.Optional|bgptest.Transitive, bgptest.LargeCommunity,
			[]byte{0, 0, 0xfb, 0xf4, local1, 0, 0, 1, 10, 0, 0, 1})
	}
	send(nil, "192.0.2.1/32")
	send(large(0xc9), "192.0.2.2/32")
	send(large(0xca), "192.0.2.3/32")
	ev := s.waitRoute("raw", "192.0.2.3/32", nil)
	if want := (LargeCommunity{64500, 0xca000001, 0x0a000001}); len(ev.LargeCommunities) != 1 || ev.LargeCommunities[0] != want {
		t.Errorf("large communities %v", ev.LargeCommunities)
	}
	say(t, p, []byte{1}, "192.0.2.4/32")
	s.waitRoute("raw", "192.0.2.4/32", []byte{1})
	send(nil, "192.0.2.4/32")
	s.waitGone("raw", "192.0.2.4/32")
	if st := s.status("raw"); st.Plain != 3 || st.Accepted != 1 || st.Received != 4 || len(s.view.routes) != 1 {
		t.Errorf("routes %v, status %+v", s.view.routes, st)
	}
}

// GoBGP says nothing of a route that replaces another and has our own AS in its
// path. If this test fails, GoBGP has improved, and the package comment must too.
func TestLoopIsSilent(t *testing.T) {
	t.Parallel()
	n := newNet()
	s := start(t, n.config(1, 64500, n.peer("raw", 1, 9, 64501, passive)))
	p := dialRaw(t, n, n.identity(9, 64501))
	s.waitUp("raw")
	send := func(value byte, to string, path ...uint32) {
		t.Helper()
		attrs := bgptest.Join(bgptest.Mandatory(netip.MustParseAddr("127.0.0.9"), path...),
			bgptest.Attr(bgptest.Optional|bgptest.Transitive, DefaultAttributeType, []byte{value}))
		if err := p.Send(bgptest.UpdateFrame(nil, attrs, bgptest.NLRI(prefixes(to)...))); err != nil {
			t.Fatal(err)
		}
	}
	send(1, "192.0.2.1/32", 64501)
	s.waitRoute("raw", "192.0.2.1/32", []byte{1})
	send(2, "192.0.2.1/32", 64501, 64500)
	send(3, "192.0.2.2/32", 64501)
	s.waitRoute("raw", "192.0.2.2/32", []byte{3})
	if ev, ok := s.view.route("raw", "192.0.2.1/32"); !ok || ev.Attribute[0] != 1 {
		t.Errorf("now %+v", ev)
	}
}

// TestMalformed sends what RFC 7606 is about. The session must stay, the other
// routes too, and the process of course.
func TestMalformed(t *testing.T) {
	t.Parallel()
	n := newNet()
	s := start(t, n.config(1, 64500, n.peer("raw", 1, 9, 64500, passive)))
	p := dialRaw(t, n, n.identity(9, 64500))
	s.waitUp("raw")
	say(t, p, []byte{1}, "192.0.2.200/32")
	s.waitRoute("raw", "192.0.2.200/32", []byte{1})

	const ot = bgptest.Optional | bgptest.Transitive
	nh := netip.MustParseAddr("127.0.0.9")
	pref := bgptest.Attr(bgptest.Transitive, bgptest.LocalPref, []byte{0, 0, 0, 100})
	cats := bgptest.Attr(ot, DefaultAttributeType, []byte{7})
	good := bgptest.Join(bgptest.Mandatory(nh), pref, cats)
	without := func(parts ...[]byte) []byte { return bgptest.Join(append(parts, cats)...) }
	tests := []struct {
		name  string
		attrs []byte
		want  string // "withdrawn", "kept" (with the old value), "new"
	}{
		{"bad ORIGIN", without(bgptest.Attr(bgptest.Transitive, bgptest.Origin, []byte{9}), bgptest.PathAttr(), bgptest.Attr(bgptest.Transitive, bgptest.NextHop, nh.AsSlice()), pref), "withdrawn"},
		{"AS_PATH of a half ASN", without(bgptest.Attr(bgptest.Transitive, bgptest.Origin, []byte{0}), bgptest.Attr(bgptest.Transitive, bgptest.ASPath, []byte{2, 1, 0}), bgptest.Attr(bgptest.Transitive, bgptest.NextHop, nh.AsSlice()), pref), "withdrawn"},
		{"NEXT_HOP of three octets", without(bgptest.Attr(bgptest.Transitive, bgptest.Origin, []byte{0}), bgptest.PathAttr(), bgptest.Attr(bgptest.Transitive, bgptest.NextHop, []byte{127, 0, 0}), pref), "withdrawn"},
		{"LOCAL_PREF of three octets", without(bgptest.Mandatory(nh), bgptest.Attr(bgptest.Transitive, bgptest.LocalPref, []byte{0, 0, 1})), "withdrawn"},
		{"large community of 11 octets", bgptest.Join(good, bgptest.Attr(ot, bgptest.LargeCommunity, make([]byte, 11))), "withdrawn"},
		{"communities of 3 octets", bgptest.Join(good, bgptest.Attr(ot, bgptest.Communities, make([]byte, 3))), "withdrawn"},
		{"our attribute twice: the first counts", bgptest.Join(good, bgptest.Attr(ot, DefaultAttributeType, []byte{8})), "new"},
		{"truncated SRv6 Prefix-SID", bgptest.Join(good, bgptest.Attr(ot, 40, []byte{5, 0, 34, 0, 1})), "new"},
		{"tunnel encapsulation of junk", bgptest.Join(good, bgptest.Attr(ot, 23, []byte{0xff, 0, 1})), "new"},
		{"an attribute longer than the rest", bgptest.Join(good, []byte{ot, 99, 200, 1, 2, 3}), "kept"},
		{"no NEXT_HOP", without(bgptest.Attr(bgptest.Transitive, bgptest.Origin, []byte{0}), bgptest.PathAttr(), pref), "withdrawn"},
	}
	for _, tt := range tests {
		const prefix = "192.0.2.1/32"
		say(t, p, []byte{1}, prefix)
		s.waitRoute("raw", prefix, []byte{1})
		if err := p.Send(bgptest.UpdateFrame(nil, tt.attrs, bgptest.NLRI(prefixes(prefix)...))); err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		say(t, p, []byte{1}, "192.0.2.2/32") // a fence behind it
		s.waitRoute("raw", "192.0.2.2/32", []byte{1})
		if err := p.Send(bgptest.UpdateFrame(bgptest.NLRI(prefixes("192.0.2.2/32")...), nil, nil)); err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		s.waitGone("raw", "192.0.2.2/32")
		got := "withdrawn"
		if ev, ok := s.view.route("raw", prefix); ok {
			got = "kept"
			if ev.Attribute[0] == 7 {
				got = "new"
			}
		}
		if got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
		if st := s.status("raw"); !st.Up || st.Flaps != 0 {
			t.Fatalf("%s: the session did not survive: %+v", tt.name, st)
		}
	}
	s.waitRoute("raw", "192.0.2.200/32", []byte{1})

	t.Logf("# an unknown attribute that claims to be well-known resets the session: RFC 4271 section 6.3")
	bad := bgptest.Join(bgptest.Mandatory(nh), pref, bgptest.Attr(bgptest.Transitive, DefaultAttributeType, []byte{7}))
	if err := p.Send(bgptest.UpdateFrame(nil, bad, bgptest.NLRI(prefixes("192.0.2.1/32")...))); err != nil {
		t.Fatal(err)
	}
	s.wait("the reset", func(v *view) bool { return !v.up["raw"] && len(v.routes) == 0 })
	if got := s.status("raw").LastError; !strings.Contains(got, "unrecognized well known attribute") {
		t.Errorf("last error %q", got)
	}
}

// A peer that keeps the session alive but reads nothing must not keep the others
// from the latest values, and is thrown out in the end (RFC 9687).
func TestStuckPeer(t *testing.T) {
	t.Parallel()
	n := newNet()
	short := func(p *Peer) { passive(p); p.HoldTime = 3 * time.Second }
	s := start(t, n.config(1, 64500, n.peer("raw", 1, 9, 64500, short), n.peer("b", 1, 2, 64500, passive)), func(s *Speaker) {
		s.sendHold = time.Second // twice the hold time counts
	})
	b := start(t, n.config(2, 64500, n.peer("s", 2, 1, 64500)))
	p := dialRaw(t, n, n.identity(9, 64500))
	s.waitUp("raw", "b")
	var wg sync.WaitGroup
	quit := make(chan struct{})
	wg.Go(func() {
		for {
			select {
			case <-quit:
				return
			case <-time.After(500 * time.Millisecond):
				_ = p.Send(bgptest.Frame(bgptest.Keepalive))
			}
		}
	})
	defer wg.Wait()
	defer close(quit)

	big := func(round uint32, i int) []byte {
		return append(value(round<<16|uint32(i)), make([]byte, 3900)...)
	}
	// The kernel takes megabytes before it takes nothing more, which a slow
	// machine needs its time to produce.
	for round, end := uint32(0), time.Now().Add(3*time.Minute); s.status("raw").Up && time.Now().Before(end); round++ {
		for i := range 1000 {
			s.Put(Announcement{Prefix: instance(i), Attribute: big(round, i)})
		}
		b.waitRoute("s", instance(999).String(), big(round, 999))
		s.view.fold(s.Take(nil))
		time.Sleep(100 * time.Millisecond)
	}
	s.wait("the reset", func(v *view) bool { return !v.up["raw"] })
	if got := s.status("raw").LastError; !strings.Contains(got, "administrative reset") {
		t.Errorf("last error %q", got)
	}
	if st := s.status("b"); !st.Up || st.Flaps != 0 {
		t.Errorf("the other session: %+v", st)
	}
}
