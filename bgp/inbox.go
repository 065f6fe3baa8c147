package bgp

import (
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// takeMax bounds what one Take returns, and so how long it holds the lock that
// GoBGP's callbacks need.
const takeMax = 4096

// An inbox keeps what peers said until the agent takes it. It holds one entry
// for a route, however often the route changes, so a consumer that never comes
// costs no more than the routes themselves. Methods never block for long: they
// are called from GoBGP's delivery goroutine, whose queue has no bound.
//
// It is also the memory of what the agent has been told, because GoBGP is
// silent in three cases: it does not say which routes a graceful restart left
// behind (RFC 4724 section 4.2), a removed peer's last update may still be on
// its way, and a route that loses its CATS information is just another route.
type inbox struct {
	wake chan struct{} // one slot

	mu    sync.Mutex
	limit int // routes of one peer; 0: none
	peers []PeerEvent
	queue []slot // routes and ends of RIB, in order of their first pending change
	head  int    // queue[:head] is taken
	dead  int    // slots of queue[head:] with nothing in them any more
}

// A slot of the queue holds a route or an end of RIB.
type slot struct {
	route *heardRoute
	eor   *heardEOR
}

func (s slot) live() bool {
	return s.route != nil && s.route.pending != nil || s.eor != nil && !s.eor.done
}

// A heardEOR is an end of RIB, done when it was taken or has become meaningless.
type heardEOR struct {
	EndOfRIBEvent
	done bool
}

// heardPeer is one session of one configuration of a peer. Fields are guarded
// by inbox.mu.
type heardPeer struct {
	name    string
	removed bool
	up      bool
	since   time.Time // of up or down
	reason  string    // of the last loss
	flaps   uint64    // times it was lost
	session uint32    // counts the times it came up
	full    bool      // the limit has been reported

	routes  map[routeKey]*heardRoute
	current int // routes that are not withdrawn
	eor     [2]*heardEOR

	updates, withdrawals, plain, ignored uint64
}

type routeKey struct {
	prefix netip.Prefix
	id     uint32
}

// A heardRoute is a route that is said now, or of whose withdrawal the agent
// has not yet been told.
type heardRoute struct {
	peer      *heardPeer
	key       routeKey
	pending   Event  // a RouteEvent to be taken; nil: nothing new
	session   uint32 // that said it last
	withdrawn bool
	delivered bool // the agent knows of it
}

func newInbox(limit int) *inbox {
	return &inbox{wake: make(chan struct{}, 1), limit: limit}
}

func (in *inbox) setLimit(n int) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.limit = n
}

func (in *inbox) newPeer(name string, now time.Time) *heardPeer {
	return &heardPeer{name: name, since: now, routes: make(map[routeKey]*heardRoute)}
}

// up says that a session was established. restarts are the families for which
// the peer announced graceful restart: only there does an end of RIB follow
// that ends the stay of what the previous session had said.
func (in *inbox) up(p *heardPeer, restarts [2]bool, now time.Time) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if p.removed || p.up {
		return
	}
	p.up, p.since, p.full = true, now, false
	p.session++
	for v6 := range 2 {
		if !restarts[v6] {
			in.sweep(p, now, func(r *heardRoute) bool { return family(r.key.prefix) == v6 })
		}
	}
	in.peerEvent(PeerEvent{Peer: p.name, Up: true, State: "established", At: now})
}

// down says that a session was lost. Everything it had said is withdrawn,
// except after a graceful restart: then GoBGP withdraws what times out.
func (in *inbox) down(p *heardPeer, state, reason string, graceful bool, now time.Time) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if p.removed || !p.up {
		return
	}
	p.up, p.since, p.reason = false, now, reason
	p.flaps++
	for i := range p.eor {
		in.dropEOR(p, i)
	}
	if !graceful {
		in.sweep(p, now, func(*heardRoute) bool { return true })
	}
	in.peerEvent(PeerEvent{Peer: p.name, State: state, Reason: reason, At: now})
}

// refused says why a session did not even come up.
func (in *inbox) refused(p *heardPeer, reason string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if !p.up {
		p.reason = reason
	}
}

// remove forgets a peer: all it said is withdrawn, and what still arrives of it
// is dropped.
func (in *inbox) remove(p *heardPeer, reason string, now time.Time) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if p.removed {
		return
	}
	for i := range p.eor {
		in.dropEOR(p, i)
	}
	in.sweep(p, now, func(*heardRoute) bool { return true })
	if p.up {
		p.up = false
		in.peerEvent(PeerEvent{Peer: p.name, State: "removed", Reason: reason, At: now})
	}
	p.removed = true
}

// announce takes in a route that carries CATS information.
func (in *inbox) announce(p *heardPeer, ev RouteEvent) {
	in.mu.Lock()
	defer in.mu.Unlock()
	p.updates++
	// A session that is not up says nothing. What arrives all the same is the
	// last update of a session that was removed at that moment.
	if p.removed || !p.up {
		return
	}
	key := routeKey{ev.Prefix, ev.PathID}
	r := p.routes[key]
	if r == nil || r.withdrawn {
		if in.limit > 0 && p.current >= in.limit {
			p.ignored++
			in.reportFull(p, ev.At)
			return
		}
		p.current++
		if r == nil {
			r = &heardRoute{peer: p, key: key}
			p.routes[key] = r
		}
	}
	r.withdrawn, r.session = false, p.session
	in.pend(r, ev)
}

// again delivers a route once more, unless something newer is on its way or
// it is not said any more.
func (in *inbox) again(p *heardPeer, ev RouteEvent) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if r := p.routes[routeKey{ev.Prefix, ev.PathID}]; r != nil && !r.withdrawn && r.pending == nil {
		in.pend(r, ev)
	}
}

// withdraw takes in a withdrawal.
func (in *inbox) withdraw(p *heardPeer, prefix netip.Prefix, id uint32, now time.Time) {
	in.mu.Lock()
	defer in.mu.Unlock()
	p.withdrawals++
	in.drop(p.routes[routeKey{prefix, id}], now)
}

// plainRoute takes in a route without CATS information. To us it is as good as
// withdrawn, and nothing about it is kept.
func (in *inbox) plainRoute(p *heardPeer, prefix netip.Prefix, id uint32, now time.Time) {
	in.mu.Lock()
	defer in.mu.Unlock()
	p.updates++
	p.plain++
	in.drop(p.routes[routeKey{prefix, id}], now)
}

// endOfRIB takes in an end of RIB: what was said before a graceful restart and
// not again since is gone (RFC 4724 section 4.2).
func (in *inbox) endOfRIB(p *heardPeer, v6 bool, now time.Time) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if p.removed || !p.up {
		return
	}
	f := 0
	if v6 {
		f = 1
	}
	in.sweep(p, now, func(r *heardRoute) bool { return r.session != p.session && family(r.key.prefix) == f })
	in.dropEOR(p, f)
	p.eor[f] = &heardEOR{EndOfRIBEvent: EndOfRIBEvent{Peer: p.name, IPv6: v6, At: now}}
	in.push(slot{eor: p.eor[f]})
}

// take appends to buf what is new, at most takeMax events besides those about
// peers, which come first.
func (in *inbox) take(buf []Event) []Event {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, ev := range in.peers {
		buf = append(buf, ev)
	}
	in.peers = in.peers[:0]
	for n := 0; in.head < len(in.queue) && n < takeMax; in.head++ {
		s := in.queue[in.head]
		in.queue[in.head] = slot{}
		switch {
		case !s.live():
			in.dead--
			continue
		case s.route != nil:
			buf = append(buf, s.route.pending)
			in.taken(s.route)
		default:
			buf = append(buf, s.eor.EndOfRIBEvent)
			s.eor.done = true
		}
		n++
	}
	if in.head < len(in.queue) {
		in.poke()
		return buf
	}
	in.queue, in.head, in.dead = in.queue[:0], 0, 0
	if cap(in.queue) > 16*takeMax {
		in.queue = nil
	}
	return buf
}

// taken is called when the agent has been told of r.
func (in *inbox) taken(r *heardRoute) {
	r.pending = nil
	r.delivered = !r.withdrawn
	if r.withdrawn {
		in.unlink(r)
	}
}

// drop withdraws r, which may be nil. A route of which the agent never heard
// leaves no trace: else a peer that announces and withdraws ever new prefixes
// could fill the queue.
func (in *inbox) drop(r *heardRoute, now time.Time) {
	if r == nil || r.withdrawn {
		return
	}
	r.peer.current--
	r.withdrawn = true
	if limit := in.limit; r.peer.full && r.peer.current < limit-limit/10 {
		r.peer.full = false
	}
	if !r.delivered {
		if r.pending != nil {
			r.pending = nil
			in.dead++
		}
		in.unlink(r)
		in.compact()
		return
	}
	in.pend(r, RouteEvent{Peer: r.peer.name, Prefix: r.key.prefix, PathID: r.key.id, Withdrawn: true, At: now})
}

func (in *inbox) unlink(r *heardRoute) {
	if r.peer.routes[r.key] == r {
		delete(r.peer.routes, r.key)
	}
}

// sweep withdraws every route of p for which gone is true.
func (in *inbox) sweep(p *heardPeer, now time.Time, gone func(*heardRoute) bool) {
	for _, r := range p.routes {
		if !r.withdrawn && gone(r) {
			in.drop(r, now)
		}
	}
}

func (in *inbox) pend(r *heardRoute, ev RouteEvent) {
	queued := r.pending != nil
	r.pending = ev
	if !queued {
		in.push(slot{route: r})
	}
}

func (in *inbox) push(s slot) {
	in.queue = append(in.queue, s)
	in.poke()
}

// compact removes dead slots when they are most of the queue.
func (in *inbox) compact() {
	if live := len(in.queue) - in.head; in.dead < takeMax || in.dead < live/2 {
		return
	}
	kept := in.queue[:0]
	for _, s := range in.queue[in.head:] {
		if s.live() {
			kept = append(kept, s)
		}
	}
	clear(in.queue[len(kept):])
	in.queue, in.head, in.dead = kept, 0, 0
}

func (in *inbox) dropEOR(p *heardPeer, f int) {
	if e := p.eor[f]; e != nil && !e.done {
		e.done = true
		in.dead++
	}
	p.eor[f] = nil
}

// peerEvent queues ev and drops an older one of the same kind, so that at most
// a loss, a coming up and a notice of each peer wait.
func (in *inbox) peerEvent(ev PeerEvent) {
	kept := in.peers[:0]
	for _, old := range in.peers {
		same := old.Peer == ev.Peer && old.Up == ev.Up && (old.Reason == "") == (ev.Reason == "")
		if !same {
			kept = append(kept, old)
		}
	}
	in.peers = append(kept, ev)
	in.poke()
}

func (in *inbox) reportFull(p *heardPeer, now time.Time) {
	if p.full {
		return
	}
	p.full = true
	in.peerEvent(PeerEvent{
		Peer: p.name, Up: true, State: "established", At: now,
		Reason: fmt.Sprintf("more than %d routes: the others are ignored", in.limit),
	})
}

func (in *inbox) poke() {
	select {
	case in.wake <- struct{}{}:
	default:
	}
}

// family is 0 for IPv4 and 1 for IPv6.
func family(p netip.Prefix) int {
	if p.Addr().Is4() {
		return 0
	}
	return 1
}
