package netmetric

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// A Prober measures the round trip to a set of targets (Session-Sender, RFC
// 8762 section 4.2) with one socket per family.
//
// An answer counts if it comes from the target's address and the reflectors'
// port, and carries the sequence number and the timestamp of a probe that is
// out. Who is not on the path cannot know these: the numbers start at random,
// the source port is the kernel's random choice, the timestamp has nanoseconds.
// Against those on the path there is the key.
//
// T1 is taken in user space just before the packet is handed to the kernel, T4
// by the kernel where it does that (Linux), else when the answer is read.
type Prober struct {
	config Config
	log    *slog.Logger
	emit   func(Measurement)

	ready chan struct{}
	wake  chan struct{} // targets were set

	mu      sync.Mutex
	targets []netip.Addr // the latest wanted
	stats   ProberStats

	badMAC, foreign atomic.Uint64
}

// ProberStats describe a prober at its latest report.
type ProberStats struct {
	Targets   int
	Excess    int    // wanted targets beyond MaxTargets, not probed
	Sent      uint64 // probes
	Unsent    uint64 // of them, refused by the kernel; they count as lost
	Malformed uint64 // answers that were no STAMP packet, or whose HMAC was wrong
	Foreign   uint64 // answers from another port than the reflectors'
	Answers   EstimatorCounters
}

// NewProber returns a prober without targets. emit is called from Run, one
// call at a time: for each target every Interval once its reachability is
// decided, and at once when that is decided or changes. It must not block. A
// nil log is silent.
func NewProber(cfg Config, log *slog.Logger, emit func(Measurement)) (*Prober, error) {
	if err := cfg.validKey(); err != nil {
		return nil, fmt.Errorf("netmetric: prober: %w", err)
	}
	return &Prober{
		config: cfg.withDefaults(),
		log:    orSilent(log),
		emit:   emit,
		ready:  make(chan struct{}),
		wake:   make(chan struct{}, 1),
	}, nil
}

// String names the task.
func (p *Prober) String() string { return "stamp prober" }

// Ready is closed when the sockets are open.
func (p *Prober) Ready() <-chan struct{} { return p.ready }

// SetTargets replaces the whole set of targets; those that stay keep what is
// known of them. Addresses that cannot be probed are ignored. Of more than
// MaxTargets, the lowest addresses are probed, and the others are counted
// (ProberStats.Excess) and logged. It may be called at any time and does not
// block.
func (p *Prober) SetTargets(targets []netip.Addr) {
	chosen, excess := selectTargets(targets, p.config.MaxTargets)
	p.mu.Lock()
	before := p.stats.Excess
	p.targets, p.stats.Targets, p.stats.Excess = chosen, len(chosen), excess
	p.mu.Unlock()
	if excess > 0 && excess != before {
		p.log.Warn("more egresses than may be measured", "measured", len(chosen), "excess", excess)
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Stats returns the counts as of about an interval ago. It may be called at any
// time.
func (p *Prober) Stats() ProberStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.stats
	s.Malformed, s.Foreign = p.badMAC.Load(), p.foreign.Load()
	return s
}

// An inbound is an answer on its way from a reader to the loop.
type inbound struct {
	from netip.Addr
	Answer
}

// Run probes until ctx ends. It may be called once.
func (p *Prober) Run(ctx context.Context) error {
	sockets, err := p.open(ctx)
	if err != nil {
		return fmt.Errorf("netmetric: prober: %w", err)
	}
	close(p.ready)
	answers := make(chan inbound, 256)
	group, ctx := errgroup.WithContext(ctx)
	for _, s := range sockets {
		group.Go(func() error { p.read(ctx, s, answers); return nil })
		group.Go(func() error { <-ctx.Done(); return s.conn.Close() })
	}
	group.Go(func() error { p.loop(ctx, sockets, answers); return nil })
	if err := group.Wait(); err != nil {
		return fmt.Errorf("netmetric: prober: %w", err)
	}
	return nil
}

// open opens a socket per family. One of them may be missing on this host, but
// not that of Source; the targets of the other are then unreachable.
func (p *Prober) open(ctx context.Context) (sockets map[string]*socket, err error) {
	sockets = map[string]*socket{}
	source := p.config.Source.Unmap()
	for _, local := range []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
		name := network(local)
		named := source.IsValid() && network(source) == name
		if named {
			local = source
		}
		s, openErr := openSocket(ctx, name, netip.AddrPortFrom(local, 0))
		switch {
		case openErr == nil:
			sockets[name] = s
		case named:
			closeAll(sockets)
			return nil, openErr
		default:
			err = errors.Join(err, openErr)
		}
	}
	if len(sockets) == 0 {
		return nil, err
	}
	if err != nil {
		p.log.Warn("stamp prober has one family only", "error", err)
	}
	return sockets, nil
}

func closeAll(sockets map[string]*socket) {
	for _, s := range sockets {
		s.conn.Close()
	}
}

// read hands the answers of one socket to the loop.
func (p *Prober) read(ctx context.Context, s *socket, answers chan<- inbound) {
	buf, mac := make([]byte, maxDatagram), newMAC(p.config.Key)
	for {
		d, err := s.read(buf)
		if closed(err) {
			return
		}
		if err != nil {
			p.log.Warn("stamp prober cannot read", "error", err)
			time.Sleep(readPause)
			continue
		}
		if d.from.Port() != p.config.Port {
			p.foreign.Add(1)
			continue
		}
		a, err := decodeAnswer(d.data, mac)
		if err != nil {
			p.badMAC.Add(1)
			continue
		}
		in := inbound{d.from.Addr(), Answer{
			Seq:        a.Question.Seq,
			Stamp:      uint64(a.Question.Timestamp),
			At:         d.at,
			Processing: a.Timestamp.since(a.Received, a.Error.ptp()),
		}}
		select {
		case answers <- in:
		case <-ctx.Done():
			return
		}
	}
}

// loop owns the roster. It reads the clock once per event, but for the moment
// in which a probe leaves.
func (p *Prober) loop(ctx context.Context, sockets map[string]*socket, answers <-chan inbound) {
	var seed [32]byte
	crand.Read(seed[:])
	roster := newRoster(p.config, rand.New(rand.NewChaCha8(seed)), p.emit)
	sender := &sender{prober: p, sockets: sockets, mac: newMAC(p.config.Key), failing: map[netip.Addr]bool{}}
	timer := time.NewTimer(p.config.Interval)
	defer timer.Stop()
	published := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.wake:
			p.mu.Lock()
			targets := p.targets
			p.mu.Unlock()
			roster.set(time.Now(), targets)
			sender.forget(roster)
		case in := <-answers:
			roster.received(time.Now(), in.from, in.Answer)
			// What has come is heard before anything is given up; but a flood must
			// not keep us from sending.
			for range len(answers) {
				in := <-answers
				roster.received(time.Now(), in.from, in.Answer)
			}
		case <-timer.C:
		}
		now := time.Now()
		roster.due(now, sender.send)
		if now.Sub(published) >= p.config.Interval {
			published = now
			p.publish(roster, sender)
		}
		wait := p.config.Interval
		if next := roster.next(); !next.IsZero() {
			wait = min(wait, next.Sub(now))
		}
		timer.Reset(max(wait, 0))
	}
}

func (p *Prober) publish(r *roster, s *sender) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.Sent, p.stats.Unsent = s.sent, s.unsent
	p.stats.Answers = r.counters()
}

// A sender transmits probes. It is owned by the loop.
type sender struct {
	prober  *Prober
	sockets map[string]*socket
	mac     *mac
	buf     []byte
	failing map[netip.Addr]bool // logged
	sent    uint64
	unsent  uint64
}

func (s *sender) send(to netip.Addr, seq uint32) (time.Time, uint64) {
	now := time.Now()
	q := question{Seq: seq, Timestamp: ntpTime(now), Error: localClock}
	s.buf = appendQuestion(s.buf[:0], &q, s.mac)
	s.sent++
	err := errors.New("no socket of this family")
	if socket := s.sockets[network(to)]; socket != nil {
		if s.mac != nil {
			now = time.Now() // the HMAC took its time, which is not the network's
		}
		err = socket.write(s.buf, netip.AddrPortFrom(to, s.prober.config.Port), netip.Addr{})
	}
	if err != nil {
		s.unsent++
	}
	if failing := err != nil; failing != s.failing[to] {
		if failing {
			s.failing[to] = true
			s.prober.log.Warn("stamp probe not sent", "egress", to, "error", err)
		} else {
			delete(s.failing, to)
			s.prober.log.Info("stamp probes can be sent again", "egress", to)
		}
	}
	return now, uint64(q.Timestamp)
}

// forget drops what is remembered of former targets.
func (s *sender) forget(r *roster) {
	for a := range s.failing {
		if r.targets[a] == nil {
			delete(s.failing, a)
		}
	}
}
