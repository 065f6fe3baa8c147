package demo

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/catsbgp/catsbgp/internal/api"
	"github.com/catsbgp/catsbgp/internal/events"
)

func seconds1(n int) time.Duration { return time.Duration(n) * time.Second }

func plan(t *testing.T, length int) Plan {
	t.Helper()
	p, err := NewPlan(seconds1(length))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A history in which everything went as promised: madrid is left 3 s after it
// became busy at 10 s, lyon's second instance flaps at 25 s and is held down
// from 27 s to 35 s, paris is drained at 40 s and back at 46 s, lyon's first
// instance dies at 50 s and is withdrawn half a second later. It ends at 60 s.
func good(t *testing.T) *History {
	p := plan(t, 60)
	h := &History{Plan: p, Late: &Lateness{}, Complete: true, Checked: true, End: 60 * time.Second, Tokens: 5, Flaps: 6, Running: 2 * time.Second}
	at := func(n float64) *time.Duration { return new(time.Duration(n * float64(time.Second))) }
	h.Marks = [marks]*time.Duration{FlapBegan: at(25), FlapEnded: at(30), DrainAsked: at(40), UndrainAsked: at(46), KillDone: at(50)}
	for c, from := range [chapters]float64{0, 10, 20, 25, 40, 46, 50} {
		to := [chapters]float64{10, 20, 25, 40, 46, 50, 60}[c]
		h.Chapters[c] = &Span{*at(from), *at(to)}
	}
	for now := time.Duration(0); now <= h.End; now += sampleEvery {
		s := Sample{At: now}
		between := func(from, to float64) bool { return now >= *at(from) && now < *at(to) }
		for i := range p.Instances() {
			in := InstanceSample{State: "up", Target: true, Share: 1.0 / 6, Samples: 100, Sent: api.Counts{"first": 1, "delta": 5}}
			switch {
			case i < 2 && between(13, 22):
				in.Share = 0.01
			case i == flapper && between(27, 35):
				in.Suppressed, in.Target, in.Share, in.Penalty = true, false, 0, 3100
			case (i == 2 || i == 3) && between(40, 46):
				in.Target, in.Share = false, 0
			case i == victim && now >= *at(50.6):
				in.Target, in.Share = false, 0
			}
			if i == flapper && now >= *at(35) {
				in.Sent = api.Counts{"first": 1, "delta": 5, "reuse": 1}
			}
			s.Instances = append(s.Instances, in)
		}
		h.Samples = append(h.Samples, s)
	}
	for i := range 590 {
		now := time.Duration(i) * 100 * time.Millisecond
		instance := i % 2 // madrid's can always be used
		h.Requests = append(h.Requests, Request{At: now + ms, Done: now + 111*ms, Instance: instance})
	}
	h.Requests = append(h.Requests, Request{At: *at(50.1), Done: *at(50.2), Instance: victim, Failure: "connection reset"})
	for _, a := range []string{"gate", "madrid"} {
		h.Sessions = append(h.Sessions, Session{Agent: a, Peer: "x", Up: true, Uptime: 61 * time.Second})
	}
	h.Events = []Happening{{At: *at(50.5), Agent: "lyon", Event: events.Event{Name: events.RouteWithdrawn, Instance: p.Instances()[victim].ID.String()}}}
	return h
}

// Each promise is judged kept by the good history, and not by one in which it
// is broken, while the others still are.
func TestJudge(t *testing.T) {
	sec := func(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }
	request := func(at float64, instance int, failure string) func(*History) {
		return func(h *History) {
			h.Requests = append(h.Requests, Request{At: sec(at), Done: sec(at + 0.1), Instance: instance, Failure: failure})
		}
	}
	samples := func(f func(*Sample)) func(*History) {
		return func(h *History) {
			for i := range h.Samples {
				f(&h.Samples[i])
			}
		}
	}
	cut := func(at float64) func(*History) {
		return func(h *History) { interrupt(h, sec(at)) }
	}
	for _, tc := range []struct {
		name   string
		change func(*History)
		broken string // name of the invariant, empty: none
		says   string // part of what was measured
	}{
		{"all is well", func(*History) {}, "", ""},
		{"one update too many", func(h *History) {
			h.Samples[len(h.Samples)-1].Instances[3].Sent = api.Counts{"delta": 18}
		}, "updates within budget", "18 by paris .122 of 17"},
		{"down and drain do not count", func(h *History) {
			h.Samples[len(h.Samples)-1].Instances[3].Sent = api.Counts{"delta": 17, "down": 9, "drain": 2}
		}, "", ""},
		{"madrid is never left", samples(func(s *Sample) {
			s.Instances[0].Share, s.Instances[1].Share = 0.2, 0.2
		}), "overloaded site is left", "not in 10.0 s"},
		{"madrid is left too late", samples(func(s *Sample) {
			if s.At >= sec(13) && s.At < sec(19) {
				s.Instances[0].Share, s.Instances[1].Share = 0.15, 0.15
			}
		}), "overloaded site is left", "9.0 s"},
		{"late, but the machine was as well", func(h *History) {
			samples(func(s *Sample) {
				if s.At >= sec(13) && s.At < sec(19) {
					s.Instances[0].Share, s.Instances[1].Share = 0.15, 0.15
				}
			})(h)
			h.Late.add(sec(12), 300*ms)
		}, "", "allowing 2.6 s"},
		{"late, but there were no tokens", func(h *History) {
			samples(func(s *Sample) {
				if s.At >= sec(13) && s.At < sec(19) {
					s.Instances[0].Share, s.Instances[1].Share = 0.15, 0.15
				}
			})(h)
			h.Tokens = 2
		}, "", "5.0 s more for the update budget"},
		{"never suppressed", samples(func(s *Sample) { s.Instances[flapper].Suppressed = false }), "flapping instance is suppressed, then reused", "not suppressed"},
		{"never offered again", samples(func(s *Sample) {
			if s.At > sec(27) {
				s.Instances[flapper].Suppressed, s.Instances[flapper].Target = true, false
			}
		}), "flapping instance is suppressed, then reused", "not offered again"},
		{"a flow to the suppressed", request(30, flapper, ""), "flapping instance is suppressed, then reused", "1 new flows meanwhile"},
		{"a flow as it comes back, between two samples", request(34.95, flapper, ""), "", ""},
		{"a flow to the drained, at once", request(40.05, 2, ""), "", ""},
		{"a flow to the drained, late", request(44, 2, ""), "drained site gets no new flows", "4.0 s"},
		{"a flow to the undrained", request(46.5, 2, ""), "", ""},
		{"a local user of a drained site", func(h *History) {
			h.Requests = append(h.Requests, Request{At: sec(44), Done: sec(44.1), Instance: 2, Local: true})
		}, "", ""},
		{"the dead are not withdrawn", func(h *History) { h.Events = nil }, "dead instance is withdrawn", "not withdrawn"},
		{"the dead are withdrawn late", func(h *History) { h.Events[0].At = sec(52) }, "dead instance is withdrawn", "withdrawn after 2.0 s"},
		{"a flow to the dead, who are known to be", request(55, victim, ""), "dead instance is withdrawn", "1 new flows"},
		{"a request fails before", request(5, 0, "timeout"), "requests fail only around the death", "1 × timeout"},
		{"a request fails after", request(57, 0, "timeout"), "requests fail only around the death", "1 × timeout"},
		{"a request fails while the machine stands still", func(h *History) {
			request(57, 0, "timeout")(h)
			h.Late.add(sec(56), 800*ms)
		}, "", "1 while this machine stood still"},
		{"a local request fails", func(h *History) {
			h.Requests = append(h.Requests, Request{At: sec(5), Done: sec(6), Local: true, Failure: "timeout"})
		}, "requests fail only around the death", "timeout"},
		{"a session was reset", func(h *History) { h.Sessions[1].Flaps = 1 }, "BGP sessions stay up", "madrid to x"},
		{"a session is young", func(h *History) { h.Sessions[1].Uptime = 3 * time.Second }, "BGP sessions stay up", "madrid to x"},
		{"a session went down", func(h *History) {
			h.Events = append(h.Events, Happening{At: sec(41), Agent: "gate", Event: events.Event{Name: events.PeerDown, Peer: "paris"}})
		}, "BGP sessions stay up", "gate lost paris at 0:41.0"},
		{"something is left", func(h *History) { h.Left = []string{"2 sockets"} }, "nothing is left behind", "2 sockets"},

		{"interrupted in the first chapter", cut(5), "", ""},
		{"interrupted just after the crowd came", cut(11), "", ""},
		{"interrupted while flapping", cut(26), "", ""},
		{"interrupted while held down", cut(33), "", ""},
		{"interrupted just after the drain", cut(41), "", ""},
		{"interrupted just after the death", cut(50.1), "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := good(t)
			tc.change(h)
			all := ""
			for _, v := range Judge(h) {
				all += fmt.Sprintf("%s: %s: %s\n", v.Name, v.Verdict, v.Measured)
				if (v.Verdict == Broken) != (v.Name == tc.broken) {
					t.Errorf("%s: %s: %s", v.Name, v.Verdict, v.Measured)
				}
				if v.Verdict == NotReached && h.Complete {
					t.Errorf("%s: not judged", v.Name)
				}
			}
			if !strings.Contains(all, tc.says) {
				t.Errorf("%q is not in\n%s", tc.says, all)
			}
		})
	}
}

// interrupt makes a history one that was cut off.
func interrupt(h *History, at time.Duration) {
	h.Complete, h.End, h.Sessions = false, at, nil
	for m, when := range h.Marks {
		if when != nil && *when > at {
			h.Marks[m] = nil
		}
	}
	for c, span := range h.Chapters {
		switch {
		case span == nil:
		case span.From > at:
			h.Chapters[c] = nil
		case span.To > at:
			h.Chapters[c] = &Span{span.From, at}
		}
	}
	h.Samples = h.during(0, at)
	var requests []Request
	for _, r := range h.Requests {
		if r.Done <= at {
			requests = append(requests, r)
		}
	}
	h.Requests = requests
	if len(h.Events) > 0 && h.Events[0].At > at {
		h.Events = nil
	}
}

func TestReport(t *testing.T) {
	h := good(t)
	r := NewReport(h)
	if !r.OK || r.Failed() {
		t.Errorf("%+v", r.Invariants)
	}
	if r.Totals.Requests != 591 || r.Totals.Failed != 1 || r.Totals.Updates != 37 || r.Totals.Samples != 600 {
		t.Errorf("totals %+v", r.Totals)
	}
	if len(r.Chapters) != int(chapters) || r.Chapters[Busy].Shares["madrid"] > 0.2 || r.Chapters[Killed].Failed != 1 {
		t.Errorf("chapters %+v", r.Chapters)
	}
	if p50 := r.Totals.P50Seconds; p50 < 0.109 || p50 > 0.111 {
		t.Errorf("p50 %v", p50)
	}
	for _, line := range r.lines(false) {
		if width(line) > 79 || strings.Contains(line, "\x1b") {
			t.Errorf("%d cells: %s", width(line), line)
		}
	}

	interrupt(h, 5*time.Second)
	if r := NewReport(h); r.OK || r.Failed() {
		t.Error("an interrupted demo proves nothing, but breaks nothing")
	}
	empty := History{Plan: h.Plan, Late: &Lateness{}}
	if r := NewReport(&empty); r.OK || len(r.lines(true)) == 0 {
		t.Error("a demo that never began is not ok")
	}
}

func TestQuantile(t *testing.T) {
	var ds []time.Duration
	if quantile(ds, 0.5) != 0 {
		t.Error("of nothing")
	}
	for i := 1; i <= 100; i++ {
		ds = append(ds, time.Duration(i))
	}
	for q, want := range map[float64]time.Duration{0.01: 1, 0.5: 50, 0.99: 99, 1: 100, 0: 1} {
		if got := quantile(ds, q); got != want {
			t.Errorf("quantile %v is %d, want %d", q, got, want)
		}
	}
}

func TestLateness(t *testing.T) {
	var l Lateness
	l.add(1050*ms, 30*ms)
	l.add(5000*ms, 900*ms) // late from 4.1 s on
	for _, tc := range []struct{ from, to, want time.Duration }{
		{0, 900 * ms, 0}, {0, 1100 * ms, 30 * ms}, {2 * time.Second, 4 * time.Second, 0},
		{4200 * ms, 4300 * ms, 900 * ms}, {0, time.Hour, 900 * ms}, {10 * time.Second, time.Hour, 0},
	} {
		if got := l.Worst(tc.from, tc.to); got != tc.want {
			t.Errorf("between %v and %v: %v, want %v", tc.from, tc.to, got, tc.want)
		}
	}
}
