package demo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/catsbgp/catsbgp/internal/api"
	"github.com/catsbgp/catsbgp/internal/metrics"
)

// Options are what a demo needs to know.
type Options struct {
	Length time.Duration // MinLength to MaxLength
	Keep   string        // directory for the agents' configurations and logs; "": kept nowhere
	Build  metrics.Build

	Out   io.Writer // for people
	Color bool
	// Screen returns the size of the terminal that Out is. Nil: Out is no
	// terminal, or is not to be drawn on; then the story is told line by line.
	Screen func() (width, height int)
	// Program is how to run catsbgp in another terminal. "": "catsbgp".
	Program string
}

// Run plays the demo. The report is of what was played, also beside an error
// and when ctx ended first. Everything it started has ended when it returns, or
// is named in the report.
func Run(ctx context.Context, opt Options) (Report, error) {
	p, err := NewPlan(opt.Length)
	if err != nil {
		return Report{}, err
	}
	before := countResources()
	dir, remove, err := workDir(opt.Keep)
	if err != nil {
		return Report{}, err
	}
	defer remove()

	t := &teller{style: style(opt.Color), size: opt.Screen, out: opt.Out}
	born := time.Now()
	d, err := start(p, dir, opt.Build)
	began := time.Now()
	late := &Lateness{}
	r := newRecorder(p, began, late)
	if err == nil {
		ask := fmt.Sprintf("%s --socket %s explain %s", cmp.Or(opt.Program, "catsbgp"), filepath.Join(d.dir, gateName+".sock"), serviceName)
		t.intro(d, ask)
		if err = d.ready(ctx); err == nil {
			began = time.Now()
			r = newRecorder(p, began, late)
			r.history.Running = began.Sub(born)
			err = (&stage{d: d, r: r, t: t, late: late, ask: ask, narrator: newNarrator(p)}).play(ctx)
		}
	}
	r.update(func(h *History) { h.End = r.now() })
	t.leave()
	left := d.stop()
	interrupted := errors.Is(err, context.Canceled) && ctx.Err() != nil
	if interrupted {
		err = nil
	}
	h := r.snapshot()
	h.Checked, h.Left = true, append(left, before.gone()...)
	report := NewReport(&h)
	if opt.Keep != "" {
		report.Kept = dir
	}
	if err != nil {
		return report, d.explain(err)
	}
	t.print(report.lines(t.style)...)
	t.print(next(report, dir)...)
	return report, nil
}

// intro says what is there, while it starts.
func (t *teller) intro(d *domain, ask string) {
	p, st := d.plan, t.style
	lines := []string{
		st.bold("catsbgp demo") + " — computing-aware traffic steering (RFC 10053) on one machine",
		fmt.Sprintf("  gate    %-12s an ingress: users come in here and want %q, %s", p.Gate, serviceName, serviceID),
	}
	for _, s := range p.Sites {
		lines = append(lines, fmt.Sprintf("  %-7s %-12s a site %v away: two HTTP servers, %.0f requests/s each", s.Name, s.Locator, s.RTT, capacity))
	}
	lines = append(lines,
		"  Each is a full agent with its own BGP speaker, TCP sessions, probes, scrapes.",
		"  Made up: distances (relays delay what passes), work (a request sleeps in its",
		fmt.Sprintf("  worker), patience (half-life of the flap penalty %v instead of 15 min).", p.HalfLife),
		"  Ask it, in another terminal:",
		"    "+st.cyan(ask),
		"")
	t.print(lines...)
	t.draw(lines, []string{st.dim("starting …")})
}

// next says where to go from here.
func next(r Report, dir string) []string {
	lines := []string{"", "Next", "  catsbgp explain video        why traffic goes where it goes",
		"  config.toml                  every key, with its default and unit",
		"  README.md                    how to put an agent in front of your own routers"}
	if r.Kept != "" {
		return append(lines, fmt.Sprintf("  %-28s the configurations and logs of this run", dir))
	}
	return append(lines, "  catsbgp demo --keep DIR      keep the configurations and logs, to look at")
}

// explain adds what the logs say to an error.
func (d *domain) explain(err error) error {
	for _, name := range []string{gateName, "madrid", "paris", "lyon"} {
		b, rerr := os.ReadFile(filepath.Join(d.dir, name+".log"))
		if rerr != nil {
			continue
		}
		for line := range strings.Lines(string(b)) {
			if strings.Contains(line, `"level":"error"`) {
				err = fmt.Errorf("%w\n  %s: %s", err, name, strings.TrimSpace(line))
			}
		}
	}
	return err
}

// A stage is a demo that is being played.
type stage struct {
	d        *domain
	r        *recorder
	t        *teller
	late     *Lateness
	narrator *narrator // owned by watch
	local    *crowd

	chapter atomic.Int32
	noticed atomic.Int64 // times that the flapper's check changed its mind
	verdict string       // of explain; owned by watch
	ask     string       // how to ask the ingress in another terminal
}

// play runs the script with users and observers around it. It returns when all
// of these have ended.
func (s *stage) play(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var group sync.WaitGroup
	defer group.Wait()
	defer cancel(nil) // before waiting
	stopped := make(chan struct{})
	defer close(stopped)
	go func() {
		select {
		case err := <-s.d.failed:
			cancel(err)
		case <-stopped:
		}
	}()
	group.Go(func() { s.late.Run(ctx, s.r.start) })
	users, local := s.users()
	s.local = local
	group.Go(func() { users.Run(ctx) })
	group.Go(func() { local.Run(ctx) })
	group.Go(func() { s.watch(ctx) })
	s.t.tell(s.r.now(), note{text: fmt.Sprintf("3 BGP sessions are up and all instances known, %s after the start", seconds(s.r.history.Running))})
	err := s.script(ctx)
	if err == nil {
		err = s.finish(ctx)
	}
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	s.r.update(func(h *History) {
		if span := h.Chapters[s.chapter.Load()]; span != nil {
			span.To = s.r.now()
		}
	})
	return err
}

// users are those of the ingress, and madrid's own.
func (s *stage) users() (steered, local *crowd) {
	index := map[string]int{}
	for i, in := range s.d.instances {
		index[in.ID.String()] = i
	}
	flows := s.d.gate.Flows()
	var nearest atomic.Uint64
	steered = newCrowd(clientRate, 1)
	steered.since, steered.record = s.r.since, s.r.request
	steered.choose = func() (to addrPort, instance int, done func()) {
		if f := flows.Open(s.d.service); f != nil {
			id := f.Target.Key.ID.Addr()
			if i, ok := index[id.String()]; ok {
				return addrPortFrom(id, s.d.ports.Web), i, f.Close
			}
			f.Close()
		}
		// Nothing to choose from: plain anycast routing leads to the nearest site.
		i := int(nearest.Add(1) % 2)
		return addrPortFrom(s.d.instances[i].ID, s.d.ports.Web), i, func() { s.r.update(func(h *History) { h.Anycast++ }) }
	}
	local = newCrowd(quietRate, 2)
	local.since = s.r.since
	local.record = func(q Request) { q.Local = true; s.r.request(q) }
	turn := 0 // owned by the crowd's loop only if choose is called there
	var mu sync.Mutex
	local.choose = func() (to addrPort, instance int, done func()) {
		mu.Lock()
		defer mu.Unlock()
		i := turn % len(s.d.plan.Sites[madrid].Instances)
		turn++
		return addrPortFrom(s.d.instances[i].ID, s.d.ports.Serve), i, func() {}
	}
	return steered, local
}

// finish takes the last look.
func (s *stage) finish(ctx context.Context) error {
	sessions, err := s.d.sessions(ctx)
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	s.d.sample(ctx, s.r)
	s.r.update(func(h *History) { h.Sessions, h.Complete, h.End = sessions, true, s.r.now() })
	return nil
}

// watch samples, tells and draws until ctx ends.
func (s *stage) watch(ctx context.Context) {
	seen := map[string]uint64{}
	flapping := s.d.instances[flapper].ID.String()
	for turn := 0; ; turn++ {
		due := time.Now().Add(sampleEvery)
		for _, e := range s.d.follow(s.r, seen) {
			if e.Instance == flapping && isCheckEvent(e) {
				s.noticed.Add(1)
			}
			if n, ok := s.narrator.event(e); ok {
				s.t.tell(e.At, n)
			}
		}
		s.d.sample(ctx, s.r)
		last, _ := s.r.last()
		for _, n := range s.narrator.sample(&last) {
			s.t.tell(last.At, n)
		}
		if s.t.size != nil {
			if turn%5 == 0 {
				s.verdict = s.why(ctx)
			}
			if turn%2 == 0 {
				s.draw(&last)
			}
		}
		if !pause(ctx, max(time.Until(due), 5*time.Millisecond)) {
			return
		}
	}
}

// why asks the ingress for its own words.
func (s *stage) why(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	ex, err := s.d.gate.Backend().Explain(ctx, serviceName)
	if err != nil {
		return "the ingress does not answer: " + err.Error()
	}
	return s.narrator.shorter.Replace(ex.Verdict)
}

// drain asks a site, by its API, for what an operator would.
func (s *stage) drain(ctx context.Context, site int, undo bool) error {
	c, err := api.NewClient(filepath.Join(s.d.dir, s.d.plan.Sites[site].Name+".sock"), "", 10*time.Second)
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	defer c.Close()
	if _, err = c.Drain(ctx, api.DrainRequest{Target: "site", Undo: undo, Reason: "demo"}); err != nil {
		return fmt.Errorf("demo: drain: %w", err)
	}
	return nil
}
