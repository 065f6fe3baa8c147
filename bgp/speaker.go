package bgp

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

const (
	// batchMax is the number of changes handed to GoBGP at once. GoBGP holds its
	// global lock for as long (about 25 µs each), and nothing is received then.
	batchMax = 64

	stopTimeout = 5 * time.Second
)

// A Speaker is the BGP of one agent. Its methods may be called at any time from
// any goroutine, before, during and after Run.
type Speaker struct {
	log  zerolog.Logger
	in   *inbox
	want *wanted

	sendHold time.Duration

	ready chan struct{} // closed when every plane runs

	mu      sync.RWMutex
	cfg     Config
	running bool
	ran     bool
	planes  [numCarriages]*plane // nil: none
	listen  carriage             // the plane that listens
}

// New checks cfg and returns a Speaker that does nothing yet. The error names
// everything that is wrong. If cfg has EdgeMetadata peers, no other Speaker of
// the process may run, unless one with such peers was made before: GoBGP learns
// the attribute for the whole process.
func New(cfg Config, log zerolog.Logger) (*Speaker, error) {
	cfg, err := cfg.normalize()
	if err != nil {
		return nil, err
	}
	need, _ := cfg.planes()
	if need.has(carryEdge) {
		if err := world.enableEdgeMetadata(); err != nil {
			return nil, err
		}
	}
	return &Speaker{
		log: log, cfg: cfg,
		in: newInbox(cfg.MaxRoutesPerPeer), want: newWanted(),
		sendHold: sendHoldTime, ready: make(chan struct{}),
	}, nil
}

func (s *Speaker) String() string { return "bgp" }

// Ready is closed once the speaker listens and connects.
func (s *Speaker) Ready() <-chan struct{} { return s.ready }

// Run speaks BGP until ctx is done, then closes all sessions in order and
// returns nil, within 5 seconds. It returns an error if it could not start. A
// Speaker runs once.
func (s *Speaker) Run(ctx context.Context) (err error) {
	if err := s.start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	close(s.ready)
	s.announce(ctx)
	return nil
}

func (s *Speaker) start(ctx context.Context) error {
	s.mu.Lock()
	if s.ran {
		s.mu.Unlock()
		return errors.New("bgp: a Speaker runs only once")
	}
	s.ran, s.running = true, true
	speakerRuns(+1)
	err := s.open(ctx)
	s.mu.Unlock()
	if err != nil {
		return errors.Join(err, s.stop())
	}
	return nil
}

// open starts what cfg says. mu is held.
func (s *Speaker) open(ctx context.Context) error {
	var need carriers
	need, s.listen = s.cfg.planes()
	for c := range numCarriages {
		if need.has(c) {
			if err := s.openPlane(ctx, c); err != nil {
				return err
			}
		}
	}
	for i := range s.cfg.Peers {
		p := &s.cfg.Peers[i]
		if err := s.planes[p.carriage()].addPeer(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// openPlane starts a plane without peers. mu is held.
func (s *Speaker) openPlane(ctx context.Context, c carriage) error {
	p, err := startPlane(ctx, c, &s.cfg, c == s.listen, s.in, s.log)
	if err != nil {
		return err
	}
	s.planes[c] = p
	s.want.open(c)
	return p.setReflecting(ctx, s.cfg.reflects(c))
}

// reflects reports whether a plane has route-reflector clients.
func (cfg *Config) reflects(c carriage) bool {
	return slices.ContainsFunc(cfg.Peers, func(p Peer) bool { return p.ReflectorFor && p.carriage() == c })
}

// restartsGracefully reports whether peers may keep our routes while we are
// gone.
func (cfg *Config) restartsGracefully() bool {
	return slices.ContainsFunc(cfg.Peers, func(p Peer) bool { return p.GracefulRestart > 0 })
}

func (s *Speaker) stop() error {
	s.mu.Lock()
	planes, cfg := s.planes, s.cfg
	s.planes, s.running = [numCarriages]*plane{}, false
	s.mu.Unlock()
	return s.closePlanes(planes, &cfg, cfg.restartsGracefully())
}

// closePlanes ends planes, all at once, and with them the life of the Speaker.
func (s *Speaker) closePlanes(planes [numCarriages]*plane, cfg *Config, graceful bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	var wg sync.WaitGroup
	var errs [numCarriages]error
	for c, p := range planes {
		if p != nil {
			wg.Go(func() { errs[c] = p.stop(ctx, graceful, cfg.Peers) })
		}
	}
	wg.Wait()
	for c, p := range planes {
		if p != nil {
			p.forgetPeers("stopped")
			s.want.close(carriage(c))
		}
	}
	speakerRuns(-1)
	return errors.Join(errs[:]...)
}

// Redeliver delivers every route that is said now once more, for a consumer
// that judges by other rules than before. A value that changes at this very
// moment may be followed by the one before it: the consumer must be able to
// tell which is newer. It takes time in proportion to the tables.
func (s *Speaker) Redeliver() {
	s.mu.RLock()
	planes := s.planes
	s.mu.RUnlock()
	for c, p := range planes {
		if p != nil && carriage(c) != carryBoundary {
			p.redeliver()
		}
	}
}

// Set makes all the whole set of what we announce; what is not in it is
// withdrawn. It costs time in proportion to both sets, but GoBGP and the peers
// only see the differences. It does not wait for them.
func (s *Speaker) Set(all []Announcement) { s.want.replace(s.checked(all)) }

// Put adds or changes announcements, by prefix. It costs time in proportion to
// the changes only, and does not wait for GoBGP or for peers: of several values
// in quick succession the peers may see only the last.
func (s *Speaker) Put(changed ...Announcement) { s.want.put(s.checked(changed)) }

// Remove withdraws announcements, by prefix.
func (s *Speaker) Remove(prefixes ...netip.Prefix) { s.want.remove(prefixes) }

// checked drops what cannot be announced, which is a fault of the caller.
func (s *Speaker) checked(anns []Announcement) []Announcement {
	out := make([]Announcement, 0, len(anns))
	for i := range anns {
		a, fault := anns[i].check()
		if fault != "" {
			s.log.Error().Stringer("prefix", anns[i].Prefix).Stringer("next_hop", anns[i].NextHop).
				Msg("bgp: not announced: " + fault)
			continue
		}
		out = append(out, a)
	}
	return out
}

// Wake receives when there is something to Take.
func (s *Speaker) Wake() <-chan struct{} { return s.in.wake }

// Take appends to buf what was heard since the last Take: first what happened
// to sessions, then routes, each with its latest value, and ends of RIB. Of a
// session it returns at most the last loss and the last coming up.
//
// A session that is lost has all its routes withdrawn, in the same Take or in
// later ones; with graceful restart they stay until the peer is back and has
// said them again or not, or until the restart time is over. One Take returns a
// few thousand events at most; Wake receives again if there are more.
func (s *Speaker) Take(buf []Event) []Event { return s.in.take(buf) }

// announce hands over changes until ctx is done.
func (s *Speaker) announce(ctx context.Context) {
	var jobs []job
	pace := newPacer(s.sendHold)
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.want.wake:
		}
		for ctx.Err() == nil {
			s.mu.RLock()
			jobs = s.want.next(jobs[:0], batchMax)
			now := time.Now()
			for c, p := range s.planes {
				if p != nil && len(jobs) > 0 {
					pace.handed(carriage(c), p.apply(jobs, now))
				}
			}
			wait := pace.wait(now, s.planes[:])
			s.mu.RUnlock()
			if len(jobs) == 0 {
				break
			}
			clear(jobs)
			if wait == 0 {
				runtime.Gosched()
				continue
			}
			select {
			case <-ctx.Done():
			case <-time.After(wait):
			}
		}
	}
}

// Changes says what Reconfigure did to sessions, by name, sorted.
type Changes struct {
	Added, Removed []string
	Reset          []string // configured differently: closed and opened again
}

// A RestartError says which settings cannot change while the Speaker runs.
type RestartError struct{ Settings []string }

func (e *RestartError) Error() string {
	return fmt.Sprintf("bgp: changes of %v take effect after a restart only", e.Settings)
}

// Reconfigure makes cfg the configuration. Sessions whose configuration is the
// same are not touched. If cfg is invalid, or needs a restart (RestartError),
// nothing changes.
func (s *Speaker) Reconfigure(cfg Config) (Changes, error) {
	cfg, err := cfg.normalize()
	if err != nil {
		return Changes{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	need, listen := cfg.planes()
	if s.running {
		if err := s.restartNeeded(&cfg, listen); err != nil {
			return Changes{}, err
		}
	}
	if need.has(carryEdge) {
		if err := world.enableEdgeMetadata(); err != nil {
			return Changes{}, &RestartError{Settings: []string{"edge metadata"}}
		}
	}
	d := diffPeers(s.cfg.Peers, cfg.Peers)
	old := s.cfg
	s.cfg = cfg
	s.in.setLimit(cfg.MaxRoutesPerPeer)
	if !s.running {
		return d.changes(), nil
	}
	return d.changes(), s.carryOut(&old, need, d)
}

func (s *Speaker) restartNeeded(cfg *Config, listen carriage) error {
	var settings []string
	differs := func(name string, same bool) {
		if !same {
			settings = append(settings, name)
		}
	}
	differs("asn", cfg.ASN == s.cfg.ASN)
	differs("router id", cfg.RouterID == s.cfg.RouterID)
	differs("listen", slices.Equal(cfg.Listen, s.cfg.Listen))
	differs("port", cfg.Port == s.cfg.Port)
	differs("attribute type", cfg.AttributeType == s.cfg.AttributeType)
	differs("gRPC socket", cfg.GRPCSocket == s.cfg.GRPCSocket)
	if listen != s.listen && (len(cfg.Listen) > 0 || cfg.GRPCSocket != "") {
		settings = append(settings, fmt.Sprintf("peers (the %v table would have to listen instead of the %v table)", listen, s.listen))
	}
	if settings != nil {
		return &RestartError{Settings: settings}
	}
	return nil
}

// carryOut brings the planes from old to s.cfg. mu is held.
func (s *Speaker) carryOut(old *Config, need carriers, d peerDiff) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	var errs []error
	for _, p := range slices.Concat(d.removed, d.before) {
		reason := "removed from the configuration"
		if slices.ContainsFunc(d.after, func(q Peer) bool { return q.Name == p.Name }) {
			reason = "configured differently"
		}
		errs = append(errs, s.planes[p.carriage()].removePeer(ctx, &p, reason))
	}
	for c, p := range s.planes {
		if c := carriage(c); p != nil && !need.has(c) && c != s.listen {
			errs = append(errs, p.stop(ctx, false, nil))
			s.want.close(c)
			s.planes[c] = nil
		}
	}
	for c := range numCarriages {
		var err error
		switch {
		case !need.has(c):
		case s.planes[c] == nil:
			err = s.openPlane(ctx, c)
		default:
			err = s.planes[c].setReflecting(ctx, s.cfg.reflects(c))
		}
		errs = append(errs, err)
	}
	for _, p := range slices.Concat(d.after, d.added) {
		if plane := s.planes[p.carriage()]; plane != nil {
			errs = append(errs, plane.addPeer(ctx, &p))
		}
	}
	return errors.Join(errs...)
}
