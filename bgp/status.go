package bgp

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/osrg/gobgp/v4/api"
)

// A PeerStatus is one session as it is now.
type PeerStatus struct {
	Name     string
	Address  netip.Addr
	ASN      uint32
	Carriage string // "domain", "boundary", "edge"

	State     string        // "established", "active", "idle", …; "stopped" if the speaker does not run
	Up        bool          // established
	Since     time.Time     // it has been up or down since then
	Uptime    time.Duration // 0 if down
	Flaps     uint64        // times it was lost since it was configured
	LastError string        // why it was last lost or refused; "" if never

	Received    uint64 // routes the peer says now, of all kinds
	Accepted    int    // of these: with CATS information, within the limit
	Ignored     uint64 // announcements beyond the limit, in total
	Plain       uint64 // announcements without CATS information, in total
	Updates     uint64 // announced routes, in total
	Withdrawals uint64 // withdrawn routes, in total

	Intended int // routes the peer should know
	Sent     int // of these: handed to GoBGP, with some value

	MessagesIn, MessagesOut uint64

	HoldTime   time.Duration // negotiated; 0: none or not established
	RouterID   netip.Addr    // of the peer; zero: not known yet
	IPv4, IPv6 bool          // configured families

	GracefulRestart string // "off", "on", "restarting" (stale routes are kept)
}

// Peers returns the state of all sessions, sorted by name.
func (s *Speaker) Peers() []PeerStatus {
	s.mu.RLock()
	cfg, planes := s.cfg, s.planes
	s.mu.RUnlock()

	now := time.Now()
	var live [numCarriages]map[netip.Addr]*api.Peer
	for c, p := range planes {
		if p != nil {
			live[c] = p.livePeers()
		}
	}
	out := make([]PeerStatus, 0, len(cfg.Peers))
	for i := range cfg.Peers {
		p := &cfg.Peers[i]
		c := p.carriage()
		st := PeerStatus{
			Name: p.Name, Address: p.Address, ASN: p.ASN, Carriage: c.String(),
			State: "stopped", IPv4: p.IPv4, IPv6: p.IPv6, GracefulRestart: "off",
		}
		if p.GracefulRestart > 0 {
			st.GracefulRestart = "on"
		}
		n := s.want.counts(c)
		st.Intended, st.Sent = n.intended, n.handed
		if live[c] != nil {
			st.fill(live[c][p.Address])
			if h := planes[c].heard(p.Address); h != nil {
				s.in.fill(&st, h, now)
			}
		}
		out = append(out, st)
	}
	slices.SortFunc(out, func(a, b PeerStatus) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// livePeers asks GoBGP. It does not count advertised routes, for which GoBGP
// would run every route through the policies under its global lock.
func (p *plane) livePeers() map[netip.Addr]*api.Peer {
	out := make(map[netip.Addr]*api.Peer)
	_ = p.server.ListPeer(context.Background(), &api.ListPeerRequest{}, func(peer *api.Peer) {
		if a, err := netip.ParseAddr(peer.GetState().GetNeighborAddress()); err == nil {
			out[a] = peer
		}
	})
	return out
}

func (st *PeerStatus) fill(p *api.Peer) {
	if p == nil {
		return
	}
	s := p.GetState()
	st.State = strings.ToLower(strings.TrimPrefix(s.GetSessionState().String(), "SESSION_STATE_"))
	st.MessagesIn = s.GetMessages().GetReceived().GetTotal()
	st.MessagesOut = s.GetMessages().GetSent().GetTotal()
	st.RouterID, _ = netip.ParseAddr(s.GetRouterId())
	for _, f := range p.GetAfiSafis() {
		st.Received += f.GetState().GetReceived()
	}
	if s.GetSessionState() == api.PeerState_SESSION_STATE_ESTABLISHED {
		st.HoldTime = time.Duration(p.GetTimers().GetState().GetNegotiatedHoldTime()) * time.Second
	}
	if p.GetGracefulRestart().GetPeerRestarting() {
		st.GracefulRestart = "restarting"
	}
}

func (in *inbox) fill(st *PeerStatus, h *heardPeer, now time.Time) {
	in.mu.Lock()
	defer in.mu.Unlock()
	st.Up, st.Since, st.Flaps, st.LastError = h.up, h.since, h.flaps, h.reason
	if h.up {
		st.Uptime = now.Sub(h.since)
	}
	st.Accepted, st.Ignored, st.Plain = h.current, h.ignored, h.plain
	st.Updates, st.Withdrawals = h.updates, h.withdrawals
}
