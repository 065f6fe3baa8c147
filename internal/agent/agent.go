package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/catsbgp/catsbgp/advert"
	"github.com/catsbgp/catsbgp/bgp"
	"github.com/catsbgp/catsbgp/internal/api"
	"github.com/catsbgp/catsbgp/internal/classifier"
	"github.com/catsbgp/catsbgp/internal/collect"
	"github.com/catsbgp/catsbgp/internal/config"
	"github.com/catsbgp/catsbgp/internal/egress"
	"github.com/catsbgp/catsbgp/internal/events"
	"github.com/catsbgp/catsbgp/internal/ingress"
	"github.com/catsbgp/catsbgp/internal/metrics"
	"github.com/catsbgp/catsbgp/internal/netmetric"
	"github.com/catsbgp/catsbgp/internal/timers"
	"github.com/catsbgp/catsbgp/selection"
)

// Options are what an agent needs besides its configuration.
type Options struct {
	Log   zerolog.Logger
	Build metrics.Build
	// Load reads the configuration again, for Reload. Nil: no reload.
	Load func() (*config.Config, error)
	File string // that Load reads, for display
	// Reloaded is called in the loop after a new configuration is in force, for
	// what lies outside the agent (the log's level).
	Reloaded func(*config.Config)
	// Split is called in the loop with every new split, once it is in force. It
	// must not block. Nil: nobody asks.
	Split func(*selection.Split)
	// NoAPI leaves out the API server (an agent inside another program).
	NoAPI bool
}

// An Agent is one catsbgp agent: egress, ingress or both.
type Agent struct {
	opt     Options
	log     zerolog.Logger
	started time.Time
	ring    *events.Ring
	flows   *classifier.Table
	metrics *metrics.Metrics
	ready   chan struct{} // closed once everything runs

	speaker   *bgp.Speaker
	runner    *collect.Runner
	prober    *netmetric.Prober    // nil: no ingress
	reflector *netmetric.Reflector // nil: off

	samples  *mailbox[sampleKey, collect.Event]
	measured *mailbox[netip.Addr, netmetric.Measurement]
	calls    chan func(now time.Time)
	again    chan struct{} // one slot: BGP shall deliver all routes once more
	// reloading holds one token while a reload is under way.
	reloading chan struct{}
	beat      atomic.Int64 // Unix ns of the loop's last turn

	// Owned by the loop (Run).
	cfg      *config.Config
	keys     *keys
	egress   *egress.Core  // nil without the role
	ingress  *ingress.Core // nil without the role
	loaded   time.Time
	reload   *api.Reload
	intended map[netip.Prefix]intention
	peers    map[string]bgp.PeerEvent
	served   map[advert.CSID]*serving // by the last split
	watch    watch
	counters counters
	counted  time.Time          // when our own flows were last counted
	counts   []classifier.Count // reused
	heard    []bgp.Event        // reused
	taken    []collect.Event    // reused
	paths    []netmetric.Measurement
}

// An intention is a route as the egress core last wanted it.
type intention struct {
	route egress.Route
	since time.Time
}

// A sampleKey tells sources and checks apart, so that of each the newest
// result waits for the loop.
type sampleKey struct {
	key   collect.Key
	name  string
	check bool
}

// New builds an agent. It opens nothing and starts nothing yet.
func New(cfg *config.Config, opt Options) (*Agent, error) {
	a := &Agent{
		opt: opt, log: opt.Log, cfg: cfg,
		ring: events.NewRing(cfg.API.Events), flows: &classifier.Table{},
		ready:     make(chan struct{}),
		samples:   newMailbox[sampleKey](mergeSamples),
		measured:  newMailbox[netip.Addr, netmetric.Measurement](nil),
		calls:     make(chan func(time.Time)),
		again:     make(chan struct{}, 1),
		reloading: make(chan struct{}, 1),
		intended:  map[netip.Prefix]intention{},
		peers:     map[string]bgp.PeerEvent{},
		served:    map[advert.CSID]*serving{},
		watch:     newWatch(),
		counters:  newCounters(),
	}
	a.metrics = metrics.New(a.Backend(), opt.Build)
	var err error
	if a.keys, err = newKeys(cfg.Auth); err != nil {
		return nil, err
	}
	if a.speaker, err = bgp.New(cfg.BGP.Config, opt.Log.With().Str("part", "bgp").Logger()); err != nil {
		return nil, err
	}
	a.metrics.Registry().MustRegister(a.speaker.Collector())
	a.runner = collect.NewRunner(opt.Log.With().Str("part", "collect").Logger(), a.sample)
	if cfg.Agent.Ingress {
		a.prober, err = netmetric.NewProber(cfg.NetMetric, part(opt.Log, "netmetric"),
			func(m netmetric.Measurement) { a.measured.put(m.Egress, m) })
		if err != nil {
			return nil, err
		}
	}
	if cfg.NetMetric.Reflector != "" {
		if a.reflector, err = netmetric.NewReflector(cfg.NetMetric, part(opt.Log, "reflector")); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// part is the log of a part that speaks slog.
func part(log zerolog.Logger, name string) *slog.Logger {
	return slog.New(zerolog.NewSlogHandler(log.With().Str("part", name).Logger()))
}

func (a *Agent) sample(ev collect.Event) {
	switch ev := ev.(type) {
	case collect.SourceEvent:
		a.samples.put(sampleKey{ev.Key, ev.Source, false}, ev)
	case collect.CheckEvent:
		a.samples.put(sampleKey{ev.Key, ev.Check, true}, ev)
	}
}

// mergeSamples keeps what a newer result of the same source or check does not
// repeat: that a check changed its mind, and values that were pushed before
// others.
func mergeSamples(old, newer collect.Event) collect.Event {
	switch newer := newer.(type) {
	case collect.CheckEvent:
		newer.Changed = newer.Changed || old.(collect.CheckEvent).Changed
		return newer
	case collect.SourceEvent:
		was := old.(collect.SourceEvent).Values
		if newer.Err != nil || len(was) == 0 {
			return newer
		}
		all := maps.Clone(was)
		maps.Copy(all, newer.Values)
		newer.Values = all
		return newer
	}
	panic(fmt.Sprintf("BUG: agent: unknown sample %T", newer))
}

// Ready is closed once the agent has started all its parts.
func (a *Agent) Ready() <-chan struct{} { return a.ready }

// Flows is the classifier that the agent's splits are in force in.
func (a *Agent) Flows() *classifier.Table { return a.flows }

// Events is the agent's ring of events.
func (a *Agent) Events() *events.Ring { return a.ring }

// Run runs the agent until ctx ends or a part fails. It returns nil after an
// orderly stop: BGP sessions are closed with a CEASE, or kept by the peers if
// graceful restart is configured.
func (a *Agent) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)

	now := time.Now()
	a.started, a.loaded = now, now
	seed := rand.Uint64()
	if a.cfg.Agent.Egress {
		a.egress = egress.New(now, egressOptions(a.cfg, a.keys), seed)
		a.restoreDrains()
	}
	if a.cfg.Agent.Ingress {
		a.ingress = ingress.New(ingressOptions(a.cfg, a.keys), seed)
	}
	if !a.opt.NoAPI && (a.cfg.API.Socket != "" || a.cfg.API.Listen.IsValid()) {
		server := api.NewServer(a.Backend(), a.apiConfig())
		g.Go(func() error { return ended(server.Run(ctx)) })
	}
	g.Go(func() error { return ended(a.speaker.Run(ctx)) })
	g.Go(func() error { return ended(a.runner.Run(ctx)) })
	g.Go(func() error { a.redeliver(ctx); return nil })
	if a.reflector != nil {
		g.Go(func() error { return ended(a.reflector.Run(ctx)) })
	}
	if a.prober != nil {
		g.Go(func() error { return ended(a.prober.Run(ctx)) })
	}
	a.event(events.Event{Name: events.AgentStarted, Message: fmt.Sprintf("%s, version %s", a.cfg.Agent.Name, a.opt.Build.Version)})
	a.configWarnings()
	g.Go(func() error {
		// BGP must run before the first route is handed over.
		select {
		case <-a.speaker.Ready():
		case <-ctx.Done():
			return nil
		}
		a.runner.Set(a.instances())
		close(a.ready)
		a.loop(ctx)
		return nil
	})
	err := g.Wait()
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	e := events.Event{Name: events.AgentStopped, Message: "bye"}
	if err != nil {
		e.Level, e.Message = events.Error, err.Error()
	}
	a.event(e)
	return err
}

// apiConfig is where the API listens. The token is the one in force.
func (a *Agent) apiConfig() api.Config {
	cfg := api.Config{Socket: a.cfg.API.Socket, SocketMode: a.cfg.API.SocketMode, Metrics: a.metrics.Handler(), Log: a.log.With().Str("part", "api").Logger()}
	if a.cfg.API.Listen.IsValid() {
		cfg.Listen = a.cfg.API.Listen.String()
		if token := a.cfg.API.Token; !token.IsZero() {
			cfg.Token = func() (string, error) { return string(token.Reveal()), nil }
		}
	}
	return cfg
}

// ended is the error of a part that came to its end; that it was told to is
// none.
func ended(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// loop is the agent. It owns the cores: no other goroutine reads or writes
// them. It reads the clock once a turn, and nothing below it does.
func (a *Agent) loop(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case call := <-a.calls:
			call(time.Now())
		case <-a.samples.wake:
		case <-a.measured.wake:
		case <-a.speaker.Wake():
		case <-timer.C:
		}
		now := time.Now()
		a.beat.Store(now.UnixNano())
		next := a.turn(now)
		// Look around at least once a second, to beat and to see own flows.
		wait := time.Second
		if !next.IsZero() {
			wait = min(max(next.Sub(now), time.Millisecond), wait)
		}
		timer.Reset(wait)
	}
}

// turn takes in all that waits, lets the cores decide and carries out what
// they want. It returns when it wants to be called again.
func (a *Agent) turn(now time.Time) (next time.Time) {
	a.taken = a.samples.take(a.taken[:0])
	a.heard = a.speaker.Take(a.heard[:0])
	a.paths = a.measured.take(a.paths[:0])
	for _, ev := range a.taken {
		a.collected(now, ev)
	}
	for _, ev := range a.heard {
		a.hear(now, ev)
	}
	for _, m := range a.paths {
		if a.ingress != nil {
			a.ingress.Measure(now, m)
		}
	}
	clear(a.taken)
	clear(a.heard)
	a.ring.Flush(now)

	if a.egress != nil {
		next = a.stepEgress(now)
	}
	if a.ingress != nil {
		next = timers.Earliest(next, a.stepIngress(now))
	}
	a.look(now)
	return next
}

// do runs f in the loop and waits for it. It fails when ctx ends first or the
// agent is not running.
func (a *Agent) do(ctx context.Context, f func(now time.Time)) error {
	done := make(chan struct{})
	select {
	case a.calls <- func(now time.Time) { defer close(done); f(now) }:
	case <-ctx.Done():
		return fmt.Errorf("agent: busy: %w", ctx.Err())
	}
	<-done // f is short, and the loop has taken it
	return nil
}
