package demo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"github.com/catsbgp/catsbgp/advert"
	"github.com/catsbgp/catsbgp/internal/agent"
	"github.com/catsbgp/catsbgp/internal/config"
	"github.com/catsbgp/catsbgp/internal/metrics"
)

// A domain is the four agents, the instances and the relays between them.
type domain struct {
	plan      Plan
	instances []Instance
	ports     ports
	dir       string // of configurations, sockets and logs
	service   advert.CSID

	gate  *agent.Agent
	sites []*agent.Agent
	loads []*workload // as instances

	cancelAgents, cancelWorld context.CancelFunc
	agents, world             sync.WaitGroup
	failed                    chan error // an agent or instance that stopped by itself
}

// all are the agents by name, the gate first.
func (d *domain) all() (agents []*agent.Agent, names []string) {
	names = []string{gateName}
	for _, s := range d.plan.Sites {
		names = append(names, s.Name)
	}
	return append([]*agent.Agent{d.gate}, d.sites...), names
}

const gateName = "gate"

// choosePorts finds ports that are free on every address of the demo.
func choosePorts(p Plan) (ports, error) {
	var err error
	for k := range uint16(64) {
		at := ports{BGP: 1790 + k, STAMP: 1862 + k, Reflect: 2862 + k, Web: 8080 + k, Serve: 8180 + k}
		if err = at.free(p); err == nil {
			return at, nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	if errors.Is(err, syscall.EADDRNOTAVAIL) {
		err = fmt.Errorf("%w: the demo needs a system where all of 127.0.0.0/8 is this machine, such as Linux or WSL", err)
	}
	return ports{}, fmt.Errorf("demo: %w", err)
}

// free tries to bind all that the demo will.
func (at ports) free(p Plan) error {
	var errs error
	tcp := func(a netip.Addr, port uint16) {
		l, err := net.Listen("tcp", netip.AddrPortFrom(a, port).String())
		if err == nil {
			err = l.Close()
		}
		errs = errors.Join(errs, err)
	}
	udp := func(a netip.Addr, port uint16) {
		c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, port)))
		if err == nil {
			err = c.Close()
		}
		errs = errors.Join(errs, err)
	}
	tcp(p.Gate, at.BGP)
	for _, s := range p.Sites {
		tcp(s.Locator, at.BGP)
		udp(s.Locator, at.STAMP)
		udp(s.Locator, at.Reflect)
		for _, id := range s.Instances {
			tcp(id, at.Web)
			tcp(id, at.Serve)
		}
	}
	return errs
}

// start starts the domain. What it returns must be stopped, also beside an
// error.
func start(p Plan, dir string, build metrics.Build) (*domain, error) {
	d := &domain{plan: p, instances: p.Instances(), dir: dir, failed: make(chan error, 16)}
	var worldCtx, agentsCtx context.Context
	worldCtx, d.cancelWorld = context.WithCancel(context.Background())
	agentsCtx, d.cancelAgents = context.WithCancel(context.Background())
	var err error
	if d.service, err = advert.ParseCSID(serviceID); err != nil {
		return d, fmt.Errorf("demo: %w", err)
	}
	if d.ports, err = choosePorts(p); err != nil {
		return d, err
	}
	if err := d.startWorld(worldCtx); err != nil {
		return d, err
	}
	for i := range p.Sites {
		a, err := d.startAgent(agentsCtx, i, build)
		if err != nil {
			return d, err
		}
		d.sites = append(d.sites, a)
	}
	d.gate, err = d.startAgent(agentsCtx, none, build)
	return d, err
}

// startWorld starts what is there without CATS: instances and the network.
func (d *domain) startWorld(ctx context.Context) error {
	for i, in := range d.instances {
		rtt := d.plan.Sites[in.Site].RTT
		serve := netip.AddrPortFrom(in.ID, d.ports.Serve)
		w, err := newWorkload(serve, uint64(i))
		if err != nil {
			return err
		}
		d.loads = append(d.loads, w)
		d.world.Go(func() {
			if err := w.Run(ctx); err != nil {
				d.fail(err)
			}
		})
		r, err := newTCPRelay(netip.AddrPortFrom(in.ID, d.ports.Web), serve, rtt)
		if err != nil {
			return err
		}
		d.world.Go(func() { r.Run(ctx) })
	}
	for _, s := range d.plan.Sites {
		r, err := newUDPRelay(netip.AddrPortFrom(s.Locator, d.ports.STAMP), netip.AddrPortFrom(s.Locator, d.ports.Reflect), s.RTT)
		if err != nil {
			return err
		}
		d.world.Go(func() { r.Run(ctx) })
	}
	return nil
}

// startAgent writes an agent's configuration, reads it back as any agent
// would, and runs the agent.
func (d *domain) startAgent(ctx context.Context, site int, build metrics.Build) (*agent.Agent, error) {
	name := gateName
	if site >= 0 {
		name = d.plan.Sites[site].Name
	}
	file := filepath.Join(d.dir, name+".toml")
	text := configText(d.plan, d.ports, site, filepath.Join(d.dir, name+".sock"))
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	cfg, err := config.Parse(file, []byte(text), func(string) ([]byte, fs.FileMode, error) { return nil, 0, fs.ErrNotExist })
	if err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	log, err := os.Create(filepath.Join(d.dir, name+".log"))
	if err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	a, err := agent.New(cfg, agent.Options{Log: zerolog.New(log).Level(zerolog.InfoLevel).With().Timestamp().Logger(), Build: build, File: file})
	if err != nil {
		log.Close()
		return nil, fmt.Errorf("demo: %s: %w", name, err)
	}
	d.agents.Go(func() {
		defer log.Close()
		switch err := a.Run(ctx); {
		case err != nil:
			d.fail(fmt.Errorf("demo: %s: %w", name, err))
		case ctx.Err() == nil:
			d.fail(fmt.Errorf("demo: %s stopped by itself", name))
		}
	})
	return a, nil
}

func (d *domain) fail(err error) {
	select {
	case d.failed <- err:
	default:
	}
}

const (
	startTimeout = 30 * time.Second
	stopTimeout  = 15 * time.Second
)

// ready waits until the ingress splits flows over all instances and knows how
// far they are.
func (d *domain) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, errTooLong)
	defer cancel()
	missing := "the ingress is starting"
	for {
		select {
		case err := <-d.failed:
			return err
		default:
		}
		// Before an agent runs, it does not answer: ask with little patience.
		asking, done := context.WithTimeout(ctx, time.Second)
		missing = d.missing(asking)
		done()
		if missing == "" {
			return nil
		}
		if !pause(ctx, 50*time.Millisecond) {
			if context.Cause(ctx) == errTooLong {
				return fmt.Errorf("demo: not up after %v: %s", startTimeout, missing)
			}
			return ctx.Err()
		}
	}
}

var errTooLong = errors.New("too long")

func (d *domain) missing(ctx context.Context) string {
	services, err := d.gate.Backend().Services(ctx)
	if err != nil {
		return err.Error()
	}
	targets := 0
	for _, s := range services {
		targets += len(s.Targets)
	}
	if targets < len(d.instances) {
		return fmt.Sprintf("the ingress has heard %d of %d instances", targets, len(d.instances))
	}
	sites, err := d.gate.Backend().Sites(ctx)
	if err != nil {
		return err.Error()
	}
	for _, s := range sites {
		if s.RTT == nil {
			return "the distance of " + s.Name + " is not measured"
		}
	}
	return ""
}

// stop stops everything: first the agents, while there is still a world for
// them to speak to, then the rest. It says what did not end in time.
func (d *domain) stop() (left []string) {
	d.cancelAgents()
	if !finished(&d.agents, stopTimeout) {
		left = append(left, fmt.Sprintf("agents did not stop in %v", stopTimeout))
	}
	d.cancelWorld()
	if !finished(&d.world, stopTimeout) {
		left = append(left, fmt.Sprintf("services did not stop in %v", stopTimeout))
	}
	return left
}

// finished waits for a group, but not for ever.
func finished(group *sync.WaitGroup, patience time.Duration) bool {
	done := make(chan struct{})
	go func() { group.Wait(); close(done) }()
	select {
	case <-done:
		return true
	case <-time.After(patience):
		return false
	}
}

// workDir makes the directory of a demo: the one to keep, or a temporary one.
// Paths of Unix sockets are short, so a long TMPDIR is not used.
func workDir(keep string) (dir string, remove func(), err error) {
	if keep != "" {
		if keep, err = filepath.Abs(keep); err != nil {
			return "", nil, fmt.Errorf("demo: %w", err)
		}
		if err := os.MkdirAll(keep, 0o755); err != nil {
			return "", nil, fmt.Errorf("demo: %w", err)
		}
		dir, remove = keep, func() {
			socks, _ := filepath.Glob(filepath.Join(dir, "*.sock"))
			for _, s := range socks {
				os.Remove(s)
			}
		}
	} else {
		base := os.TempDir()
		if len(base) > 60 {
			base = "/tmp"
		}
		// A short name, for it stands on the screen.
		dir = filepath.Join(base, fmt.Sprintf("catsbgp-demo-%d", os.Getpid()))
		if os.Mkdir(dir, 0o700) != nil {
			if dir, err = os.MkdirTemp(base, "catsbgp-demo-"); err != nil {
				return "", nil, fmt.Errorf("demo: %w", err)
			}
		}
		remove = func() { os.RemoveAll(dir) }
	}
	if longest := filepath.Join(dir, "madrid.sock"); len(longest) > 107 || strings.ContainsRune(dir, 0) {
		remove()
		return "", nil, fmt.Errorf("demo: %s: a socket in there would have too long a name (%d octets, at most 107)", dir, len(longest))
	}
	return dir, remove, nil
}
