package bgp

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var t0 = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// An inboxTest drives one inbox with two peers.
type inboxTest struct {
	t    *testing.T
	in   *inbox
	a, b *heardPeer
}

func newInboxTest(t *testing.T, limit int) *inboxTest {
	in := newInbox(limit)
	return &inboxTest{t: t, in: in, a: in.newPeer("a", t0), b: in.newPeer("b", t0)}
}

func (x *inboxTest) say(p *heardPeer, prefix string, value byte) {
	x.in.announce(p, RouteEvent{Peer: p.name, Prefix: netip.MustParsePrefix(prefix), Attribute: []byte{value}, At: t0})
}

func (x *inboxTest) unsay(p *heardPeer, prefix string) {
	x.in.withdraw(p, netip.MustParsePrefix(prefix), 0, t0)
}

// want takes and compares, in short form: "a up", "a down reason", "a
// 192.0.2.1/32=1", "a -192.0.2.1/32", "a eor4".
func (x *inboxTest) want(why string, want ...string) {
	x.t.Helper()
	got := short(x.in.take(nil))
	if !slices.Equal(got, want) {
		x.t.Errorf("%s:\n got %q\nwant %q", why, got, want)
	}
}

func short(events []Event) (out []string) {
	for _, ev := range events {
		switch ev := ev.(type) {
		case PeerEvent:
			out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %s", ev.Peer, map[bool]string{true: "up", false: "down"}[ev.Up], ev.Reason)))
		case RouteEvent:
			if ev.Withdrawn {
				out = append(out, fmt.Sprintf("%s -%v", ev.Peer, ev.Prefix))
			} else {
				out = append(out, fmt.Sprintf("%s %v=%d", ev.Peer, ev.Prefix, ev.Attribute[0]))
			}
		case EndOfRIBEvent:
			out = append(out, ev.Peer+map[bool]string{false: " eor4", true: " eor6"}[ev.IPv6])
		}
	}
	return out
}

func TestInboxConflates(t *testing.T) {
	x := newInboxTest(t, 0)
	x.in.up(x.a, [2]bool{}, t0)
	x.in.up(x.b, [2]bool{}, t0)
	x.say(x.a, "192.0.2.1/32", 1)
	x.say(x.a, "192.0.2.2/32", 1)
	x.say(x.b, "192.0.2.1/32", 5)
	x.say(x.a, "192.0.2.1/32", 2)
	x.in.endOfRIB(x.a, false, t0)
	x.say(x.a, "192.0.2.2/32", 3)
	x.want("the latest value of each, peers apart, ends of RIB behind what they end",
		"a up", "b up", "a 192.0.2.1/32=2", "a 192.0.2.2/32=3", "b 192.0.2.1/32=5", "a eor4")
	x.want("nothing twice")

	x.unsay(x.a, "192.0.2.1/32")
	x.say(x.a, "192.0.2.1/32", 4)
	x.want("withdrawn and said again is a change", "a 192.0.2.1/32=4")
	x.unsay(x.a, "192.0.2.1/32")
	x.unsay(x.a, "192.0.2.1/32")
	x.want("withdrawn once", "a -192.0.2.1/32")
	x.say(x.a, "192.0.2.9/32", 1)
	x.unsay(x.a, "192.0.2.9/32")
	x.unsay(x.a, "192.0.2.10/32")
	x.want("what was never told need not be taken back")
}

func TestInboxLoss(t *testing.T) {
	x := newInboxTest(t, 0)
	x.say(x.a, "192.0.2.1/32", 1)
	x.want("a session that is not up says nothing")
	x.in.up(x.a, [2]bool{}, t0)
	x.say(x.a, "192.0.2.1/32", 1)
	x.want("up", "a up", "a 192.0.2.1/32=1")
	x.say(x.a, "192.0.2.2/32", 1)
	x.in.endOfRIB(x.a, false, t0)
	x.in.down(x.a, "idle", "crash", false, t0)
	x.want("lost: its end of RIB means nothing any more", "a down crash", "a -192.0.2.1/32")

	for range 5 {
		x.in.up(x.a, [2]bool{}, t0)
		x.say(x.a, "192.0.2.3/32", 3)
		x.in.down(x.a, "idle", "flap", false, t0)
	}
	x.in.up(x.a, [2]bool{}, t0)
	x.say(x.a, "192.0.2.3/32", 7)
	x.want("of many flaps the last", "a down flap", "a up", "a 192.0.2.3/32=7")
	if x.a.flaps != 6 {
		t.Errorf("%d flaps, want 6", x.a.flaps)
	}
	x.in.remove(x.a, "removed", t0)
	x.say(x.a, "192.0.2.4/32", 1)
	x.want("removed: what still arrives is dropped", "a down removed", "a -192.0.2.3/32")
}

func TestInboxGracefulRestart(t *testing.T) {
	x := newInboxTest(t, 0)
	both := [2]bool{true, true}
	x.in.up(x.a, both, t0)
	x.say(x.a, "192.0.2.1/32", 1)
	x.say(x.a, "192.0.2.2/32", 1)
	x.say(x.a, "2001:db8::1/128", 1)
	x.in.take(nil)
	x.in.down(x.a, "idle", "restart", true, t0)
	x.want("routes stay", "a down restart")
	x.in.up(x.a, both, t0)
	x.say(x.a, "192.0.2.1/32", 2)
	x.want("back", "a up", "a 192.0.2.1/32=2")
	x.in.endOfRIB(x.a, false, t0)
	x.want("IPv4 is complete, IPv6 is not", "a -192.0.2.2/32", "a eor4")
	x.in.endOfRIB(x.a, true, t0)
	x.want("now it is", "a -2001:db8::1/128", "a eor6")

	x.in.down(x.a, "idle", "restart", true, t0)
	x.in.take(nil)
	x.unsay(x.a, "192.0.2.1/32")
	x.want("GoBGP's timer while the peer is away", "a -192.0.2.1/32")
}

func TestInboxLimit(t *testing.T) {
	x := newInboxTest(t, 2)
	x.in.up(x.a, [2]bool{}, t0)
	for i := range 5 {
		x.say(x.a, instance(i).String(), 1)
	}
	x.want("two, and one notice", "a up", "a up more than 2 routes: the others are ignored", "a 10.0.0.0/32=1", "a 10.0.0.1/32=1")
	x.unsay(x.a, "10.0.0.0/32")
	x.say(x.a, "10.0.0.9/32", 9)
	x.want("room again", "a -10.0.0.0/32", "a 10.0.0.9/32=9")
	x.in.setLimit(0)
	x.say(x.a, "10.0.0.10/32", 10)
	x.want("no limit", "a 10.0.0.10/32=10")
	if x.a.ignored != 3 {
		t.Errorf("%d ignored, want 3", x.a.ignored)
	}
}

// Ever new prefixes that are withdrawn at once must not fill the queue.
func TestInboxChurnIsBounded(t *testing.T) {
	x := newInboxTest(t, 0)
	x.in.up(x.a, [2]bool{}, t0)
	for i := range 20 * takeMax {
		x.say(x.a, instance(i).String(), 1)
		x.unsay(x.a, instance(i).String())
		x.in.endOfRIB(x.a, false, t0)
	}
	if n := len(x.in.queue); n > 3*takeMax {
		t.Errorf("%d slots are kept for nothing", n)
	}
	if len(x.a.routes) != 0 {
		t.Errorf("%d routes are kept for nothing", len(x.a.routes))
	}
	x.want("one end of RIB", "a up", "a eor4")
}

func TestInboxTakesInPortions(t *testing.T) {
	x := newInboxTest(t, 0)
	x.in.up(x.a, [2]bool{}, t0)
	const n = 2*takeMax + 10
	for i := range n {
		x.say(x.a, instance(i).String(), 1)
	}
	total, takes := 0, 0
	for {
		select {
		case <-x.in.wake:
			total += len(x.in.take(nil))
			takes++
			continue
		default:
		}
		break
	}
	if total != n+1 || takes != 3 {
		t.Errorf("%d events in %d takes, want %d in 3", total, takes, n+1)
	}
}

// Whatever happens, a consumer that folds what it takes ends up with what the
// peers say, and never more entries wait than there are routes.
func TestInboxModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := newInbox(0)
		peers := []*heardPeer{in.newPeer("a", t0), in.newPeer("b", t0)}
		truth, told := map[string]byte{}, map[string]byte{}
		key := func(p *heardPeer, prefix netip.Prefix, id uint32) string { return routeName(p.name, prefix, id) }
		stale := map[string]bool{}
		forget := func(p *heardPeer, gone func(string) bool) {
			for k := range truth {
				if strings.HasPrefix(k, p.name) && gone(k) {
					delete(truth, k)
					delete(stale, k)
				}
			}
		}
		take := func() {
			for _, ev := range in.take(nil) {
				if ev, ok := ev.(RouteEvent); ok {
					k := routeName(ev.Peer, ev.Prefix, ev.PathID)
					if _, known := told[k]; ev.Withdrawn && !known {
						t.Fatalf("%s is taken back but was never told", k)
					}
					if ev.Withdrawn {
						delete(told, k)
					} else {
						told[k] = ev.Attribute[0]
					}
				}
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"announce": func(t *rapid.T) {
				p := rapid.SampledFrom(peers).Draw(t, "peer")
				prefix := instance(rapid.IntRange(0, 5).Draw(t, "route"))
				id := uint32(rapid.IntRange(0, 1).Draw(t, "id"))
				v := rapid.Byte().Draw(t, "value")
				in.announce(p, RouteEvent{Peer: p.name, Prefix: prefix, PathID: id, Attribute: []byte{v}, At: t0})
				if p.up {
					truth[key(p, prefix, id)] = v
					delete(stale, key(p, prefix, id))
				}
			},
			"withdraw": func(t *rapid.T) {
				p := rapid.SampledFrom(peers).Draw(t, "peer")
				prefix := instance(rapid.IntRange(0, 5).Draw(t, "route"))
				id := uint32(rapid.IntRange(0, 1).Draw(t, "id"))
				if rapid.Bool().Draw(t, "plain") {
					in.plainRoute(p, prefix, id, t0)
				} else {
					in.withdraw(p, prefix, id, t0)
				}
				delete(truth, key(p, prefix, id))
			},
			"session": func(t *rapid.T) {
				p := rapid.SampledFrom(peers).Draw(t, "peer")
				if !p.up {
					restarts := rapid.Bool().Draw(t, "restarts")
					in.up(p, [2]bool{restarts, restarts}, t0)
					if !restarts {
						forget(p, func(string) bool { return true })
					}
					return
				}
				graceful := rapid.Bool().Draw(t, "graceful")
				in.down(p, "idle", "x", graceful, t0)
				if !graceful {
					forget(p, func(string) bool { return true })
				}
				for k := range truth {
					if strings.HasPrefix(k, p.name) {
						stale[k] = true
					}
				}
			},
			"end of RIB": func(t *rapid.T) {
				p := rapid.SampledFrom(peers).Draw(t, "peer")
				in.endOfRIB(p, false, t0)
				if p.up {
					forget(p, func(k string) bool { return stale[k] })
				}
			},
			"take": func(*rapid.T) { take() },
			"": func(t *rapid.T) {
				live := 0
				for _, s := range in.queue[in.head:] {
					if s.live() {
						live++
					}
				}
				if have := len(in.queue) - in.head - live; have != in.dead {
					t.Fatalf("%d dead slots, counted %d", have, in.dead)
				}
				if kept := len(peers[0].routes) + len(peers[1].routes); kept > len(truth)+len(told) || live > kept+2 {
					t.Fatalf("%d routes kept and %d entries for %d true and %d told", kept, live, len(truth), len(told))
				}
				if n := peers[0].current + peers[1].current; n != len(truth) {
					t.Fatalf("%d routes counted, %d are true", n, len(truth))
				}
			},
		})
		take()
		if fmt.Sprint(truth) != fmt.Sprint(told) {
			t.Fatalf("told %v, true is %v", told, truth)
		}
	})
}
