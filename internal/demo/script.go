package demo

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/catsbgp/catsbgp/internal/events"
)

type addrPort = netip.AddrPort

func addrPortFrom(a netip.Addr, port uint16) addrPort { return netip.AddrPortFrom(a, port) }

func isCheckEvent(e Happening) bool {
	return e.Name == events.CheckDown || e.Name == events.CheckUp
}

// comments say what to look for in each chapter.
func comments(p Plan) [chapters]string {
	return [chapters]string{
		Calm:      fmt.Sprintf("%.0f requests/s come in at the gate. Near is good, as long as near is not full.", clientRate),
		Busy:      fmt.Sprintf("%.0f requests/s of madrid's own users, not by the gate; the site serves %.0f.", busyRate, 2*capacity),
		Relief:    fmt.Sprintf("Back to %.0f requests/s. Once the queue is gone, madrid is near and free again.", quietRate),
		Flapping:  "Its health check fails, works, fails … Users must not be sent to and fro.",
		Draining:  "Asked by the API. Open requests go on, new ones go elsewhere, BGP stays up.",
		Undrained: "Maintenance is over.",
		Killed:    "Its server is gone, without a word. Requests fail until the check finds out.",
	}
}

// script plays the chapters. It returns early when ctx ends, with its error.
func (s *stage) script(ctx context.Context) error {
	for c, play := range [chapters]func(context.Context, time.Duration) error{
		Calm: s.calm, Busy: s.busy, Relief: s.relief, Flapping: s.flap, Draining: s.draining, Undrained: s.undrain, Killed: s.kill,
	} {
		now := s.r.now()
		s.chapter.Store(int32(c))
		s.r.update(func(h *History) { h.Chapters[c] = &Span{now, now + time.Hour} })
		st := s.t.style
		title := fmt.Sprintf("%d. %s", c+1, Chapter(c).Title())
		s.t.print("", st.bold(title)+" "+st.dim(strings.Repeat("─", 60-len(title))), "         "+comments(s.d.plan)[c])
		if err := play(ctx, now+s.d.plan.Duration(Chapter(c))); err != nil {
			return err
		}
		end := s.r.now()
		s.r.update(func(h *History) { h.Chapters[c] = &Span{now, end} })
		if last, ok := s.r.last(); ok && s.t.size == nil {
			s.t.print("", "         "+st.dim(tableHead))
			for _, row := range tableRows(s.d.plan, &last, s.r.now(), st) {
				s.t.print("         " + row)
			}
			for i, line := range wrap("why: "+s.why(ctx), 70) {
				s.t.print("         " + strings.Repeat(" ", 5*min(i, 1)) + line)
			}
		}
	}
	return nil
}

func (s *stage) mark(m Mark) time.Duration {
	now := s.r.now()
	s.r.update(func(h *History) { h.Marks[m] = &now })
	return now
}

// wait waits until a time, and then on until ok, but not longer than until the
// deadline.
func (s *stage) wait(ctx context.Context, until, deadline time.Duration, ok func(*Sample) bool) error {
	for {
		now := s.r.now()
		if now >= until {
			last, _ := s.r.last()
			if ok == nil || now >= deadline || len(last.Instances) > 0 && ok(&last) {
				return nil
			}
			until = now + sampleEvery/2
		}
		if !pause(ctx, until-now) {
			return ctx.Err()
		}
	}
}

func (s *stage) calm(ctx context.Context, end time.Duration) error {
	return s.wait(ctx, end, end, nil)
}

func (s *stage) busy(ctx context.Context, end time.Duration) error {
	began := s.r.now()
	last, _ := s.r.last()
	tokens := min(last.Instances[0].Tokens, last.Instances[1].Tokens)
	var before float64
	s.r.update(func(h *History) {
		h.Tokens = tokens
		before = h.share(madrid, h.during(began-2*time.Second, began))
	})
	s.local.set(busyRate)
	s.t.tell(began, note{text: fmt.Sprintf("the crowd is there; promised: madrid is left within %s", seconds(s.d.plan.Promise()))})
	h := History{Plan: s.d.plan, Late: s.late, Tokens: tokens}
	slack, wait := h.overloadSlack(began)
	return s.wait(ctx, end, max(end, began+s.d.plan.Promise()+wait+slack+time.Second), func(x *Sample) bool {
		return x.Share(s.d.plan, madrid) < before/3
	})
}

func (s *stage) relief(ctx context.Context, end time.Duration) error {
	s.local.set(quietRate)
	return s.wait(ctx, end, end, nil)
}

// flap makes the flapper's health come and go, as fast as its site notices,
// until it is held down, and once more.
func (s *stage) flap(ctx context.Context, end time.Duration) error {
	began := s.mark(FlapBegan)
	w := s.d.loads[flapper]
	deadline := max(end, began+10*time.Second+s.late.Slack(0, began))
	pace := s.d.plan.Length / 100
	defer w.sick.Store(false)
	for more := 2; ; {
		last, _ := s.r.last()
		now := s.r.now()
		if last.Instances[flapper].Suppressed {
			more--
		}
		if !w.sick.Load() && (more < 0 || now >= deadline) {
			s.mark(FlapEnded)
			return s.wait(ctx, end, end, nil)
		}
		seen := s.noticed.Load()
		w.sick.Store(!w.sick.Load())
		s.r.update(func(h *History) { h.Flaps++ })
		noticed := func(*Sample) bool { return s.noticed.Load() > seen }
		if err := s.wait(ctx, now+pace, now+3*time.Second, noticed); err != nil {
			return err
		}
	}
}

func (s *stage) draining(ctx context.Context, end time.Duration) error {
	asked := s.mark(DrainAsked)
	s.t.tell(asked, note{text: "$ catsbgp drain site     (at paris)"})
	if err := s.drain(ctx, paris, false); err != nil {
		return err
	}
	least := asked + drainPromise + s.late.Slack(asked, s.r.now()) + 300*time.Millisecond
	return s.wait(ctx, max(end, least), 0, nil)
}

func (s *stage) undrain(ctx context.Context, end time.Duration) error {
	now := s.mark(UndrainAsked)
	s.t.tell(now, note{text: "$ catsbgp undrain site   (at paris)"})
	if err := s.drain(ctx, paris, true); err != nil {
		return err
	}
	// The flapper comes back when its penalty has decayed and there is a token.
	p := s.d.plan
	token := time.Duration(float64(time.Minute) / p.BucketPerMinute)
	deadline := now + p.MaxSuppress + token + s.late.Slack(0, now) + 2*time.Second
	return s.wait(ctx, end, max(end, deadline), func(x *Sample) bool {
		in := &x.Instances[flapper]
		return !in.Suppressed && in.Target
	})
}

func (s *stage) kill(ctx context.Context, end time.Duration) error {
	now := s.mark(KillDone)
	s.d.loads[victim].Kill()
	s.t.tell(now, note{text: fmt.Sprintf("the server of %s is gone", s.d.plan.Label(s.d.instances[victim]))})
	return s.wait(ctx, end, max(end, now+s.d.plan.NoticeDeath()+s.late.Slack(0, now)+time.Second), func(x *Sample) bool {
		return !x.Instances[victim].Target
	})
}
