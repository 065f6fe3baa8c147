package bgptest

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/osrg/gobgp/v4/api"
	"github.com/osrg/gobgp/v4/pkg/apiutil"
	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
	"github.com/osrg/gobgp/v4/pkg/server"
)

// A Bare is two GoBGP servers with a session between them, used as simply as
// can be: what anything built on GoBGP is measured against.
type Bare struct {
	from, to *server.BgpServer
}

// BareAttribute is the path attribute that a Bare carries values in.
const BareAttribute bgp.BGPAttrType = 255

// NewBare opens an iBGP session between two addresses of this host and calls
// heard, from a goroutine of GoBGP's, with every route that arrives. It returns
// once the session is up.
func NewBare(ctx context.Context, from, to netip.Addr, port uint16, heard func(netip.Prefix, []byte)) (*Bare, error) {
	b := &Bare{}
	up := make(chan struct{}, 16)
	open := func(own, far netip.Addr, passive bool, watch server.WatchEventMessageCallbacks, opts ...server.WatchOption) (*server.BgpServer, error) {
		s := server.NewBgpServer()
		go s.Serve()
		return s, errors.Join(
			s.StartBgp(ctx, &api.StartBgpRequest{Global: &api.Global{
				Asn: 64500, RouterId: own.String(), ListenPort: int32(port), ListenAddresses: []string{own.String()},
			}}),
			s.WatchEvent(ctx, watch, opts...),
			s.AddPeer(ctx, &api.AddPeerRequest{Peer: &api.Peer{
				Conf:      &api.PeerConf{NeighborAddress: far.String(), PeerAsn: 64500},
				Transport: &api.Transport{LocalAddress: own.String(), RemotePort: uint32(port), PassiveMode: passive},
				Timers:    &api.Timers{Config: &api.TimersConfig{ConnectRetry: 1, IdleHoldTimeAfterReset: 1}},
				AfiSafis:  []*api.AfiSafi{{Config: &api.AfiSafiConfig{Family: &api.Family{Afi: api.Family_AFI_IP, Safi: api.Family_SAFI_UNICAST}, Enabled: true}}},
			}}),
		)
	}
	var err error
	b.to, err = open(to, from, true, server.WatchEventMessageCallbacks{OnPathUpdate: func(paths []*apiutil.Path, _ time.Time) {
		for _, p := range paths {
			n, ok := p.Nlri.(*bgp.IPAddrPrefix)
			for _, a := range p.Attrs {
				if u, is := a.(*bgp.PathAttributeUnknown); ok && is && u.Type == BareAttribute {
					heard(n.Prefix, u.Value)
				}
			}
		}
	}}, server.WatchUpdate(false, "", ""), server.WatchAdjInWithdraw())
	if err == nil {
		b.from, err = open(from, to, false, server.WatchEventMessageCallbacks{OnPeerUpdate: func(ev *apiutil.WatchEventMessage_PeerEvent, _ time.Time) {
			if ev.Peer.State.SessionState == bgp.BGP_FSM_ESTABLISHED {
				up <- struct{}{}
			}
		}}, server.WatchPeer())
	}
	if err == nil {
		select {
		case <-up:
			return b, nil
		case <-time.After(30 * time.Second):
			err = errors.New("no session within 30 s")
		}
	}
	b.Close()
	return nil, fmt.Errorf("bgptest: bare GoBGP: %w", err)
}

// A BareRoute is a prefix and a value.
type BareRoute struct {
	Prefix netip.Prefix
	Value  []byte
}

// Announce hands routes to GoBGP, in one call.
func (b *Bare) Announce(routes ...BareRoute) error {
	paths := make([]*apiutil.Path, len(routes))
	for i, r := range routes {
		n, err := bgp.NewIPAddrPrefix(r.Prefix)
		if err != nil {
			return fmt.Errorf("bgptest: %w", err)
		}
		hop, err := bgp.NewPathAttributeNextHop(netip.IPv4Unspecified())
		if err != nil {
			return fmt.Errorf("bgptest: %w", err)
		}
		paths[i] = &apiutil.Path{Family: bgp.RF_IPv4_UC, Nlri: n, Age: time.Now().Unix(), Attrs: []bgp.PathAttributeInterface{
			bgp.NewPathAttributeOrigin(0), hop, bgp.NewPathAttributeUnknown(bgp.BGP_ATTR_FLAG_OPTIONAL|bgp.BGP_ATTR_FLAG_TRANSITIVE, BareAttribute, r.Value),
		}}
	}
	_, err := b.from.AddPath(apiutil.AddPathRequest{Paths: paths})
	return err
}

// Close stops both servers.
func (b *Bare) Close() {
	for _, s := range []*server.BgpServer{b.from, b.to} {
		if s != nil {
			s.Stop()
		}
	}
}
