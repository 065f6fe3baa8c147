package bgp

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

const (
	testPort    = 11790 // needs no privilege
	testTimeout = 20 * time.Second
)

var nextNet atomic.Uint32

// A testNet is a loopback network of a test's own.
type testNet struct{ n byte }

func newNet() testNet { return testNet{n: byte(nextNet.Add(1))} }

func (n testNet) addr(host byte) netip.Addr { return netip.AddrFrom4([4]byte{127, 2, n.n, host}) }

// config is a speaker at host, in AS as, that listens.
func (n testNet) config(host byte, as uint32, peers ...Peer) Config {
	return Config{
		ASN: as, RouterID: netip.AddrFrom4([4]byte{192, 0, 2, host}),
		Listen: []netip.Addr{n.addr(host)}, Port: testPort, Peers: peers,
	}
}

// peer is the session that local has with remote.
func (n testNet) peer(name string, local, remote byte, as uint32, edit ...func(*Peer)) Peer {
	p := Peer{
		Name: name, Address: n.addr(remote), LocalAddress: n.addr(local), ASN: as, Port: testPort,
		HoldTime: 30 * time.Second, ConnectRetry: time.Second,
		IPv4: true, IPv6: true, InDomain: true,
	}
	for _, e := range edit {
		e(&p)
	}
	return p
}

func passive(p *Peer) { p.Passive = true }

func testLog(t testing.TB) zerolog.Logger {
	if os.Getenv("CATSBGP_TEST_LOG") == "" {
		return zerolog.Nop()
	}
	return zerolog.New(zerolog.TestWriter{T: t}).Level(zerolog.DebugLevel)
}

// A runner is a Speaker that runs.
type runner struct {
	*Speaker
	t      testing.TB
	cancel context.CancelFunc
	done   chan error
	view   *view
}

// start runs a Speaker until the test ends or stop is called.
func start(t testing.TB, cfg Config, edit ...func(*Speaker)) *runner {
	t.Helper()
	s, err := New(cfg, testLog(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range edit {
		e(s)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &runner{Speaker: s, t: t, cancel: cancel, done: make(chan error, 1), view: newView()}
	go func() { r.done <- s.Run(ctx) }()
	select {
	case <-s.Ready():
	case err := <-r.done:
		t.Fatal("Run ended at once:", err)
	}
	t.Cleanup(r.stop)
	return r
}

func (r *runner) stop() {
	r.cancel()
	if r.done == nil {
		return
	}
	select {
	case err := <-r.done:
		if err != nil {
			r.t.Error("Run:", err)
		}
	case <-time.After(stopTimeout + 2*time.Second):
		r.t.Error("Run does not end")
	}
	r.done = nil
}

// A view is what events say, folded.
type view struct {
	routes map[string]RouteEvent // by peer, prefix and path id
	up     map[string]bool
	eor    map[string]int
	log    []Event
}

func newView() *view {
	return &view{routes: map[string]RouteEvent{}, up: map[string]bool{}, eor: map[string]int{}}
}

func routeName(peer string, p netip.Prefix, id uint32) string {
	return fmt.Sprintf("%s %v %d", peer, p, id)
}

func (v *view) fold(events []Event) {
	v.log = append(v.log, events...)
	for _, ev := range events {
		switch ev := ev.(type) {
		case RouteEvent:
			name := routeName(ev.Peer, ev.Prefix, ev.PathID)
			if ev.Withdrawn {
				delete(v.routes, name)
			} else {
				v.routes[name] = ev
			}
		case PeerEvent:
			v.up[ev.Peer] = ev.Up
		case EndOfRIBEvent:
			v.eor[ev.Peer]++
		}
	}
}

// route returns the only route for a prefix that peer says.
func (v *view) route(peer, prefix string) (RouteEvent, bool) {
	for _, ev := range v.routes {
		if ev.Peer == peer && ev.Prefix == netip.MustParsePrefix(prefix) {
			return ev, true
		}
	}
	return RouteEvent{}, false
}

// wait takes events until ok is true.
func (r *runner) wait(what string, ok func(v *view) bool) {
	r.t.Helper()
	deadline := time.After(testTimeout)
	for {
		r.view.fold(r.Take(nil))
		if ok(r.view) {
			return
		}
		select {
		case <-r.Wake():
		case <-deadline:
			r.t.Fatalf("not in time: %s\nroutes %v\nup %v\npeers %+v", what, r.view.routes, r.view.up, r.Peers())
		}
	}
}

func (r *runner) waitUp(peers ...string) {
	r.t.Helper()
	for _, p := range peers {
		r.wait(p+" is up", func(v *view) bool { return v.up[p] })
	}
}

func (r *runner) waitRoute(peer, prefix string, attribute []byte) RouteEvent {
	r.t.Helper()
	r.wait(fmt.Sprintf("%s from %s with % x", prefix, peer, attribute), func(v *view) bool {
		ev, ok := v.route(peer, prefix)
		return ok && bytes.Equal(ev.Attribute, attribute)
	})
	ev, _ := r.view.route(peer, prefix)
	return ev
}

func (r *runner) waitGone(peer, prefix string) {
	r.t.Helper()
	r.wait(prefix+" from "+peer+" is gone", func(v *view) bool {
		_, ok := v.route(peer, prefix)
		return !ok
	})
}

func (r *runner) status(peer string) PeerStatus {
	r.t.Helper()
	for _, p := range r.Peers() {
		if p.Name == peer {
			return p
		}
	}
	r.t.Fatalf("no peer %q", peer)
	return PeerStatus{}
}

// until polls for what no event tells.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(testTimeout)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatal("not in time: " + what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func ann(prefix string, attribute []byte) Announcement {
	return Announcement{Prefix: netip.MustParsePrefix(prefix), Attribute: attribute}
}

func prefixes(ss ...string) (out []netip.Prefix) {
	for _, s := range ss {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}
