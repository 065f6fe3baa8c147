package bgp

import (
	"context"
	"net/netip"
	"time"

	"github.com/osrg/gobgp/v4/api"
)

// GoBGP queues what it is given for each peer without a bound. What it has
// written to a peer can be seen in its message counters, which is enough to
// notice a peer that does not read: changes for it were handed over, and no
// message left. While there is such a peer, changes are handed over at a low
// rate: all other peers still get the latest values, only later, and the queue
// grows by no more than that. A peer that sends keepalives but reads nothing
// would stay so for ever; GoBGP has no send hold timer (RFC 9687), so it is here.
const (
	paceInterval = time.Second // between looks at the counters
	outstanding  = 1 << 16     // changes without a message that make a peer a slow one
	slowWait     = 50 * time.Millisecond

	sendHoldTime = 8 * time.Minute // RFC 9687; at least twice the hold time
)

// A pacer is owned by the goroutine that hands over.
type pacer struct {
	sendHold time.Duration
	looked   time.Time
	since    [numCarriages][2]int // changes handed over since then, by family
	slow     bool
	peers    map[netip.Addr]*sentPeer
}

type sentPeer struct {
	messages uint64    // sent
	moved    time.Time // when that number was last seen to move
	behind   int       // changes handed over since
}

// A sentCount is what GoBGP counts for a peer.
type sentCount struct {
	addr        netip.Addr
	established bool
	messages    uint64        // sent
	hold        time.Duration // negotiated; 0: no keepalives
	families    [2]bool       // configured
}

func newPacer(sendHold time.Duration) *pacer {
	return &pacer{sendHold: sendHold, peers: make(map[netip.Addr]*sentPeer)}
}

// handed notes that changes were handed over.
func (c *pacer) handed(on carriage, n [2]int) {
	for f := range n {
		c.since[on][f] += n[f]
	}
}

// wait returns how long to wait before more is handed over.
func (c *pacer) wait(now time.Time, planes []*plane) time.Duration {
	if now.Sub(c.looked) >= paceInterval {
		c.slow = false
		for on, p := range planes {
			if p == nil || c.since[on] == [2]int{} {
				continue
			}
			for _, n := range p.sent() {
				if c.look(now, carriage(on), n) {
					p.resetStuck(n.addr)
				}
			}
			c.since[on] = [2]int{}
		}
		c.looked = now
	}
	if c.slow {
		return slowWait
	}
	return 0
}

// look notes what was sent to a peer. It returns true if the peer has taken
// nothing for so long that the session must end.
func (c *pacer) look(now time.Time, on carriage, n sentCount) (stuck bool) {
	p := c.peers[n.addr]
	if p == nil {
		p = &sentPeer{}
		c.peers[n.addr] = p
	}
	if !n.established || n.messages != p.messages || p.moved.IsZero() {
		*p = sentPeer{messages: n.messages, moved: now}
		return false
	}
	for f, speaks := range n.families {
		if speaks {
			p.behind += c.since[on][f]
		}
	}
	c.slow = c.slow || p.behind > outstanding
	return p.behind > 0 && n.hold > 0 && now.Sub(p.moved) > max(c.sendHold, 2*n.hold)
}

func (p *plane) sent() (out []sentCount) {
	for addr, peer := range p.livePeers() {
		st := peer.GetState()
		n := sentCount{
			addr:        addr,
			established: st.GetSessionState() == api.PeerState_SESSION_STATE_ESTABLISHED,
			messages:    st.GetMessages().GetSent().GetTotal(),
			hold:        time.Duration(peer.GetTimers().GetState().GetNegotiatedHoldTime()) * time.Second,
		}
		for _, f := range peer.GetAfiSafis() {
			if f.GetConfig().GetFamily().GetAfi() == api.Family_AFI_IP6 {
				n.families[1] = true
			} else {
				n.families[0] = true
			}
		}
		out = append(out, n)
	}
	return out
}

// resetStuck ends a session whose peer reads nothing. GoBGP cannot send error
// code 8 of RFC 9687, which would hardly arrive anyway.
func (p *plane) resetStuck(addr netip.Addr) {
	p.log.Warn().Stringer("address", addr).Msg("bgp: the peer takes no messages: session reset (RFC 9687)")
	err := p.server.ResetPeer(context.Background(), &api.ResetPeerRequest{
		Address: addr.String(), Communication: "send hold timer expired",
	})
	if err != nil {
		p.log.Warn().Err(err).Msg("bgp: reset")
	}
}
