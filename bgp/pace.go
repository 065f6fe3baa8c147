package bgp

import (
	"context"
	"net/netip"
	"time"

	"github.com/osrg/gobgp/v4/api"
)

// GoBGP queues what it is given for each peer without a bound. What it has
// written to a peer can be seen in its message counters, which is enough to
// notice a peer that does not read: changes were handed over for long, and no
// UPDATE left. While there is one, changes are handed over at a low rate: all
// other peers still get the latest values, only later, and the queue grows by
// no more than slowRate until the hold timer ends the session.
const (
	paceInterval = time.Second // between looks at the counters
	outstanding  = 1 << 16     // changes without an UPDATE that make a peer a slow one
	slowWait     = 50 * time.Millisecond
)

// A pacer is owned by the goroutine that hands over.
type pacer struct {
	looked time.Time
	since  int // changes handed over since then
	slow   bool
	peers  map[netip.Addr]*sentPeer
}

type sentPeer struct {
	updates uint64 // sent
	behind  int    // changes handed over since that number last moved
}

func newPacer() *pacer { return &pacer{peers: make(map[netip.Addr]*sentPeer)} }

// handed notes that n changes were handed over and returns how long to wait
// before the next.
func (c *pacer) handed(now time.Time, n int, planes []*plane) time.Duration {
	c.since += n
	if c.since > 0 && now.Sub(c.looked) >= paceInterval {
		c.slow = false
		for _, p := range planes {
			if p != nil {
				p.sent(func(addr netip.Addr, established bool, updates uint64) { c.look(addr, established, updates) })
			}
		}
		c.looked, c.since = now, 0
	}
	if c.slow {
		return slowWait
	}
	return 0
}

func (c *pacer) look(addr netip.Addr, established bool, updates uint64) {
	p := c.peers[addr]
	if p == nil {
		p = &sentPeer{}
		c.peers[addr] = p
	}
	if !established || updates != p.updates {
		*p = sentPeer{updates: updates}
		return
	}
	p.behind += c.since
	c.slow = c.slow || p.behind > outstanding
}

// sent reports how many UPDATEs were written to each peer.
func (p *plane) sent(fn func(addr netip.Addr, established bool, updates uint64)) {
	_ = p.server.ListPeer(context.Background(), &api.ListPeerRequest{}, func(peer *api.Peer) {
		st := peer.GetState()
		if addr, err := netip.ParseAddr(st.GetNeighborAddress()); err == nil {
			fn(addr, st.GetSessionState() == api.PeerState_SESSION_STATE_ESTABLISHED, st.GetMessages().GetSent().GetUpdate())
		}
	})
}
