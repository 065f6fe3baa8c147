package bgp

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/osrg/gobgp/v4/api"
	"github.com/osrg/gobgp/v4/pkg/apiutil"
	"github.com/osrg/gobgp/v4/pkg/metrics"
	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
	"github.com/osrg/gobgp/v4/pkg/server"
	"github.com/rs/zerolog"
)

// A plane is one GoBGP server and the peers it serves.
type plane struct {
	kind carriage
	code bgp.BGPAttrType // of the attribute we look for
	log  zerolog.Logger
	in   *inbox

	server  *server.BgpServer
	timings metrics.FSMTimingsCollector
	grpc    *grpcSocket // nil: none
	unwatch context.CancelFunc
	mute    atomic.Bool // GoBGP's log

	reflecting bool // owned by whoever holds Speaker.mu

	mu    sync.RWMutex
	peers map[netip.Addr]*heardPeer // by address
}

// startPlane starts a GoBGP server without peers. Only a listening one gets
// the listen addresses and the gRPC socket.
func startPlane(ctx context.Context, kind carriage, cfg *Config, listening bool, in *inbox, log zerolog.Logger) (*plane, error) {
	p := &plane{
		kind: kind, code: bgp.BGPAttrType(cfg.AttributeType), in: in,
		log:     log.With().Stringer("plane", kind).Logger(),
		timings: metrics.NewFSMTimingsCollector(),
		peers:   make(map[netip.Addr]*heardPeer),
	}
	if kind == carryEdge {
		p.code = EdgeMetadataType
	}
	opts := []server.ServerOption{
		server.LoggerOption(newLogger(p.log, &p.mute), nil),
		server.TimingHookOption(p.timings),
	}
	if listening && cfg.GRPCSocket != "" {
		sock, err := prepareGRPCSocket(cfg.GRPCSocket)
		if err != nil {
			return nil, err
		}
		p.grpc = sock
		opts = append(opts, sock.options()...)
	}
	p.server = server.NewBgpServer(opts...)
	go p.server.Serve()

	global := &api.Global{
		Asn: cfg.ASN, RouterId: cfg.RouterID.String(), ListenPort: -1,
	}
	if listening && len(cfg.Listen) > 0 {
		global.ListenPort = int32(cfg.Port)
		for _, a := range cfg.Listen {
			global.ListenAddresses = append(global.ListenAddresses, a.String())
		}
	}
	if err := p.start(ctx, global); err != nil {
		stop, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		return nil, errors.Join(err, p.stop(stop, false, nil))
	}
	return p, nil
}

func (p *plane) start(ctx context.Context, global *api.Global) error {
	start := func() error { return p.server.StartBgp(ctx, &api.StartBgpRequest{Global: global}) }
	if err := startAlone(p.server, start); err != nil {
		return fmt.Errorf("bgp: start %v plane: %w", p.kind, err)
	}
	if err := p.addLocalOnlyPolicy(ctx); err != nil {
		return fmt.Errorf("bgp: import policy of %v plane: %w", p.kind, err)
	}
	watch, unwatch := context.WithCancel(context.Background())
	p.unwatch = unwatch
	callbacks := server.WatchEventMessageCallbacks{OnPeerUpdate: p.onPeer}
	what := []server.WatchOption{server.WatchPeer()}
	if p.kind != carryBoundary {
		callbacks.OnPathUpdate = p.onPaths
		callbacks.OnPathEor = p.onEOR
		// The withdrawals that GoBGP makes itself, when a restart timer runs out,
		// are a stream of their own.
		what = append(what, server.WatchUpdate(false, "", ""), server.WatchAdjInWithdraw(), server.WatchEor(false))
	}
	if err := p.server.WatchEvent(watch, callbacks, what...); err != nil {
		return fmt.Errorf("bgp: watch %v plane: %w", p.kind, err)
	}
	if p.grpc != nil {
		if err := p.grpc.publish(ctx); err != nil {
			return err
		}
	}
	return nil
}

const localOnly = "catsbgp-local-only"

// addLocalOnlyPolicy keeps what peers say out of the table, which we do not
// need: we hear it from the Adj-RIB-In. The policy applies to our own routes
// too, so those are let in by name.
func (p *plane) addLocalOnlyPolicy(ctx context.Context) error {
	err := p.server.AddPolicy(ctx, &api.AddPolicyRequest{Policy: &api.Policy{
		Name: localOnly,
		Statements: []*api.Statement{{
			Name:       localOnly,
			Conditions: &api.Conditions{RouteType: api.Conditions_ROUTE_TYPE_LOCAL},
			Actions:    &api.Actions{RouteAction: api.RouteAction_ROUTE_ACTION_ACCEPT},
		}},
	}})
	if err != nil {
		return err
	}
	return p.setImport(ctx, api.RouteAction_ROUTE_ACTION_REJECT)
}

func (p *plane) setImport(ctx context.Context, others api.RouteAction) error {
	return p.server.SetPolicyAssignment(ctx, &api.SetPolicyAssignmentRequest{Assignment: &api.PolicyAssignment{
		Name:          "global",
		Direction:     api.PolicyDirection_POLICY_DIRECTION_IMPORT,
		Policies:      []*api.Policy{{Name: localOnly}},
		DefaultAction: others,
	}})
}

// setReflecting lets what peers say into the table, from which GoBGP reflects
// it, or keeps it out. Sessions stay up.
func (p *plane) setReflecting(ctx context.Context, on bool) error {
	if on == p.reflecting {
		return nil
	}
	action := api.RouteAction_ROUTE_ACTION_REJECT
	if on {
		action = api.RouteAction_ROUTE_ACTION_ACCEPT
	}
	if err := p.setImport(ctx, action); err != nil {
		return fmt.Errorf("bgp: import policy: %w", err)
	}
	p.reflecting = on
	err := p.server.ResetPeer(ctx, &api.ResetPeerRequest{
		Address: "all", Soft: true, Direction: api.ResetPeerRequest_DIRECTION_IN,
	})
	if err != nil {
		return fmt.Errorf("bgp: apply the import policy again: %w", err)
	}
	return nil
}

func (p *plane) addPeer(ctx context.Context, peer *Peer) error {
	h := p.in.newPeer(peer.Name, time.Now())
	p.mu.Lock()
	p.peers[peer.Address] = h
	p.mu.Unlock()
	if err := p.server.AddPeer(ctx, &api.AddPeerRequest{Peer: toPeer(peer)}); err != nil {
		p.mu.Lock()
		delete(p.peers, peer.Address)
		p.mu.Unlock()
		return fmt.Errorf("bgp: add peer %q: %w", peer.Name, err)
	}
	return nil
}

// removePeer ends a session with a CEASE. With a password it takes two steps:
// DeletePeer alone leaves the key on the listening socket, which from then on
// would drop unsigned connections of that address.
func (p *plane) removePeer(ctx context.Context, peer *Peer, reason string) error {
	if peer.Password != "" {
		open := *peer
		open.Password, open.Passive = "", true
		if _, err := p.server.UpdatePeer(ctx, &api.UpdatePeerRequest{Peer: toPeer(&open)}); err != nil {
			p.log.Warn().Err(err).Str("peer", peer.Name).Msg("bgp: password not removed from the listening socket")
		}
	}
	err := p.server.DeletePeer(ctx, &api.DeletePeerRequest{Address: peer.Address.String()})
	p.mu.Lock()
	h := p.peers[peer.Address]
	delete(p.peers, peer.Address)
	p.mu.Unlock()
	if h != nil {
		p.in.remove(h, reason, time.Now())
	}
	if err != nil {
		return fmt.Errorf("bgp: remove peer %q: %w", peer.Name, err)
	}
	return nil
}

func (p *plane) heard(addr netip.Addr) *heardPeer {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.peers[addr.Unmap()]
}

// onPaths, onEOR and onPeer are called by GoBGP, one at a time, in the order
// in which things happened.

func (p *plane) onPaths(paths []*apiutil.Path, at time.Time) {
	defer p.mute.CompareAndSwap(false, false) // see newLogger
	for _, path := range paths {
		prefix, ok := unicast(path)
		if !ok {
			continue
		}
		h := p.heard(path.PeerAddress)
		switch {
		case h == nil:
		case path.Withdrawal:
			p.in.withdraw(h, prefix, path.RemoteID, at)
		case carriesCATS(path, p.code):
			p.in.announce(h, fromPath(path, prefix, p.code, h.name, at))
		default:
			p.in.plainRoute(h, prefix, path.RemoteID, at)
		}
	}
}

// redeliver hands over again what GoBGP holds of every peer.
func (p *plane) redeliver() {
	now := time.Now()
	for addr := range p.livePeers() {
		h := p.heard(addr)
		if h == nil {
			continue
		}
		for _, f := range []bgp.Family{bgp.RF_IPv4_UC, bgp.RF_IPv6_UC} {
			// An error says that the family is not configured.
			_ = p.server.ListPath(apiutil.ListPathRequest{TableType: api.TableType_TABLE_TYPE_ADJ_IN, Name: addr.String(), Family: f},
				func(_ bgp.NLRI, paths []*apiutil.Path) {
					for _, path := range paths {
						if prefix, ok := unicast(path); ok && carriesCATS(path, p.code) {
							p.in.again(h, fromPath(path, prefix, p.code, h.name, now))
						}
					}
				})
		}
	}
}

func (p *plane) onEOR(path *apiutil.Path, _ time.Time) {
	if h := p.heard(path.PeerAddress); h != nil {
		p.in.endOfRIB(h, path.Family == bgp.RF_IPv6_UC, time.Now())
	}
}

func (p *plane) onPeer(ev *apiutil.WatchEventMessage_PeerEvent, at time.Time) {
	if ev.Type != apiutil.PEER_EVENT_STATE {
		return
	}
	st := &ev.Peer.State
	h := p.heard(st.NeighborAddress)
	if h == nil {
		return
	}
	if st.SessionState == bgp.BGP_FSM_ESTABLISHED {
		p.in.up(h, restartFamilies(st.RemoteCap), at)
		return
	}
	reason := disconnectReason(st.DisconnectReason, st.DisconnectMessage)
	graceful := st.DisconnectReason == api.PeerState_DISCONNECT_REASON_GRACEFUL_RESTART
	p.in.down(h, sessionState(st.SessionState), reason, graceful, at)
	switch st.DisconnectReason {
	case api.PeerState_DISCONNECT_REASON_BAD_PEER_AS, api.PeerState_DISCONNECT_REASON_INVALID_MSG,
		api.PeerState_DISCONNECT_REASON_NOTIFICATION_RECEIVED, api.PeerState_DISCONNECT_REASON_NOTIFICATION_SENT:
		p.in.refused(h, reason)
	}
}

// apply hands changes to GoBGP and returns how many there were, by family. jobs
// is not kept.
func (p *plane) apply(jobs []job, now time.Time) (n [2]int) {
	var tell, take []*apiutil.Path
	for i := range jobs {
		switch j := &jobs[i]; {
		case j.tell.has(p.kind):
			tell = append(tell, toPath(&j.ann, p.kind, uint8(p.code), now))
		case j.take.has(p.kind):
			take = append(take, toWithdrawal(j.ann.Prefix))
		default:
			continue
		}
		n[family(jobs[i].ann.Prefix)]++
	}
	if len(take) > 0 {
		if err := p.server.DeletePath(apiutil.DeletePathRequest{Paths: take}); err != nil {
			p.log.Error().Err(err).Int("routes", len(take)).Msg("bgp: withdraw")
		}
	}
	if len(tell) > 0 {
		if _, err := p.server.AddPath(apiutil.AddPathRequest{Paths: tell}); err != nil {
			p.log.Error().Err(err).Int("routes", len(tell)).Msg("bgp: announce")
		}
	}
	return n
}

// shutdownNote is what peers are told when we stop (RFC 9003).
const shutdownNote = "catsbgp stops"

// stop ends the server. Peers with graceful restart are left without a word if
// graceful is true, so that they keep our routes; the others are told. It
// returns when all is over or ctx is.
func (p *plane) stop(ctx context.Context, graceful bool, peers []Peer) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.sayGoodbye(ctx, graceful, peers)
		if p.unwatch != nil {
			p.unwatch()
		}
		err := p.server.StopBgp(context.Background(), &api.StopBgpRequest{AllowGracefulRestart: graceful})
		if err != nil {
			p.log.Warn().Err(err).Msg("bgp: stop")
		}
		p.mute.Store(true) // Stop would complain that it has stopped
		p.server.Stop()    // what StopBgp leaves: BFD and gRPC
		stopped(p.server)
	}()
	defer func() {
		if p.grpc != nil {
			p.grpc.remove()
		}
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return errors.New("bgp: " + p.kind.String() + " plane did not stop in time")
	}
}

// sayGoodbye closes sessions with a shutdown communication, which StopBgp
// cannot send, and waits a little until they are closed.
func (p *plane) sayGoodbye(ctx context.Context, graceful bool, peers []Peer) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	told := make(map[string]bool)
	for _, peer := range peers {
		if peer.carriage() != p.kind || graceful && peer.GracefulRestart > 0 {
			continue
		}
		addr := peer.Address.String()
		if p.server.DisablePeer(ctx, &api.DisablePeerRequest{Address: addr, Communication: shutdownNote}) == nil {
			told[addr] = true
		}
	}
	for open := len(told) > 0; open && ctx.Err() == nil; {
		open = false
		_ = p.server.ListPeer(ctx, &api.ListPeerRequest{}, func(peer *api.Peer) {
			st := peer.GetState()
			if told[peer.GetConf().GetNeighborAddress()] && st.GetSessionState() == api.PeerState_SESSION_STATE_ESTABLISHED {
				open = true
			}
		})
		if open {
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// forgetPeers withdraws all that was heard, when the server is gone.
func (p *plane) forgetPeers(reason string) {
	p.mu.Lock()
	peers := p.peers
	p.peers = make(map[netip.Addr]*heardPeer)
	p.mu.Unlock()
	for _, h := range peers {
		p.in.remove(h, reason, time.Now())
	}
}
