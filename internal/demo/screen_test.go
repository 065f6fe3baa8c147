package demo

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/catsbgp/catsbgp/internal/api"
	"github.com/catsbgp/catsbgp/internal/events"
)

// Whatever the values, a frame fits into 80 × 24.
func TestFrameFits(t *testing.T) {
	p := plan(t, 600)
	for _, st := range []style{false, true} {
		for c := range chapters {
			s := Sample{}
			for i := range p.Instances() {
				s.Instances = append(s.Instances, [...]InstanceSample{
					{State: "up", Measured: 0.5, Said: 0.45, SaidWhy: "session", SaidAt: time.Second, Held: api.Counts{"below-threshold": 99999}, Target: true, Share: 1, Open: 9999},
					{State: "up", Measured: 99.99, Said: 99.99, SaidWhy: "changed", Target: true, Share: 0.00001},
					{State: "down", Measured: math.NaN(), Said: math.NaN()},
					{State: "starting", Measured: math.NaN(), Said: math.NaN(), SaidWhy: "first"},
					{State: "suppressed", Measured: 0, Suppressed: true, Penalty: 12000},
					{State: "draining", Measured: 0.1, Said: 0.2, SaidWhy: "drain", Drained: true},
				}[i])
			}
			v := view{verdict: strings.Repeat("a long explanation ", 20), ask: "catsbgp explain video", answered: 99999, failed: 99999, p50: 15 * time.Second, p99: 15 * time.Second}
			head, foot := frame(p, c, &s, 599*time.Second, v, st)
			if n := len(head) + len(foot); n > screenLines-4 {
				t.Errorf("%v: %d lines leave no room for what goes by", c, n)
			}
			for _, line := range append(head, foot...) {
				if width(line) > 79 {
					t.Errorf("%v: %d cells: %s", c, width(line), line)
				}
				if !bool(st) && strings.Contains(line, "\x1b") {
					t.Errorf("colour: %q", line)
				}
			}
		}
	}
}

func TestTellerOnAScreen(t *testing.T) {
	var out bytes.Buffer
	w, h := 40, 10
	tl := &teller{out: &out, size: func() (int, int) { return w, h }}
	for i := range 20 {
		tl.tell(time.Duration(i)*time.Second, note{text: "something that is longer than the screen is wide"})
	}
	tl.print("nothing is printed on a screen")
	tl.draw([]string{"head"}, []string{"foot"})
	frame := out.String()
	if n := strings.Count(frame, "\n"); n != h-1 {
		t.Errorf("%d lines on a screen of %d", n, h)
	}
	if strings.Contains(frame, "printed") || !strings.Contains(frame, "head") || !strings.Contains(frame, "foot") || !strings.Contains(frame, "0:19.0") {
		t.Errorf("frame:\n%s", frame)
	}
	out.Reset()
	w, h = 40, 2 // nothing fits, and nothing breaks
	tl.draw([]string{"head"}, []string{"foot"})
	if !strings.HasPrefix(out.String(), "\x1b[?25l\r\x1b[9A") {
		t.Errorf("the next frame is not in place of the last: %q", out.String())
	}
	out.Reset()
	tl.leave()
	if !strings.Contains(out.String(), "\x1b[?25h") {
		t.Error("the cursor stays hidden")
	}
	tl.print("after the screen")
	if !strings.Contains(out.String(), "after the screen") {
		t.Error("nothing is printed after the screen")
	}
}

func TestTellerLineByLine(t *testing.T) {
	var out bytes.Buffer
	tl := &teller{out: &out}
	tl.tell(61500*ms, note{text: "important"})
	tl.tell(62*time.Second, note{text: "minor", minor: true})
	tl.draw([]string{"head"}, nil)
	tl.leave()
	if got := out.String(); got != " 1:01.5  important\n" {
		t.Errorf("got %q", got)
	}
}

func TestClipAndWrap(t *testing.T) {
	red := style(true).red
	for _, tc := range []struct {
		text string
		n    int
		want string
	}{
		{"abc", 3, "abc"}, {"abcd", 3, "ab…"}, {red("abcd") + "e", 3, "\x1b[31mab…\x1b[0m"}, {"äöü", 3, "äöü"}, {"", 0, ""}, {"x", 0, ""},
	} {
		if got := clip(tc.text, tc.n); got != tc.want {
			t.Errorf("clip(%q, %d) = %q, want %q", tc.text, tc.n, got, tc.want)
		}
	}
	if got := strings.Join(wrap("one two  three four", 9), "|"); got != "one two|three|four" {
		t.Errorf("wrap: %s", got)
	}
	if got := strings.Join(wrap("it takes 20 % of all", 11), "|"); got != "it takes|20\u00a0% of all" {
		t.Errorf("wrap: %s", got)
	}
	if wrap("", 9) != nil {
		t.Error("wrap of nothing")
	}
	for ratio, want := range map[float64]string{0: "    ", 0.5: "██  ", 1: "████", 7: "████", -1: "    ", 0.03: "▏   ", math.NaN(): "    "} {
		if got := bar(ratio, 4); got != want {
			t.Errorf("bar(%v) = %q, want %q", ratio, got, want)
		}
	}
}

func TestNarrator(t *testing.T) {
	p := plan(t, 60)
	n := newNarrator(p)
	id := p.Instances()[flapper].ID.String()
	said := func(reason string, level float64) Happening {
		return Happening{At: time.Second, Agent: "lyon", Event: events.Event{Name: events.MetricSaid, Instance: id,
			Fields: events.Fields{{Key: "level", Value: level}, {Key: "reason", Value: reason}}}}
	}
	for _, tc := range []struct {
		e           Happening
		want        string // "" is silence
		wantNotable bool
	}{
		{said("high", 1.04), "lyon .132 says 104 %: above 90 % is worth saying at once", true},
		{said("low", 0.7), "lyon .132 says 70 %: no longer crowded", true},
		{said("delta", 0.7), "lyon .132 says 70 %: changed by 20 % or more", false},
		{said("anything", 0.7), "lyon .132 says 70 %", false},
		{Happening{Event: events.Event{Name: events.RouteWithdrawn, Instance: id, Message: "down: check healthz: status 503"}}, "lyon .132 is withdrawn: check healthz: status 503", true},
		{Happening{At: -1, Agent: "gate", Event: events.Event{Name: events.PeerDown, Peer: "lyon"}}, "", false},
		{Happening{At: 1, Agent: "gate", Event: events.Event{Name: events.PeerDown, Peer: "lyon", Message: "why"}}, "gate: peer.down peer=lyon: why", true},
		{Happening{Event: events.Event{Name: "nobody.knows"}}, "", false},
	} {
		got, ok := n.event(tc.e)
		if ok != (tc.want != "") || !strings.HasPrefix(got.text, tc.want) || ok && got.minor == tc.wantNotable {
			t.Errorf("%v: %q, minor %v, %v", tc.e.Event, got.text, got.minor, ok)
		}
	}

	s := Sample{At: time.Minute, Instances: make([]InstanceSample, 6)}
	texts := func() (all []string) {
		for _, x := range n.sample(&s) {
			all = append(all, x.text)
		}
		return all
	}
	s.Instances[0].Share, s.Instances[5].Share = 0.6, 0.4
	if got := texts(); len(got) != 1 || !strings.HasSuffix(got[0], "madrid 60 %, paris 0 %, lyon 40 %") {
		t.Errorf("first split: %q", got)
	}
	s.Instances[0].Share, s.Instances[5].Share = 0.5, 0.5
	s.Instances[5].Suppressed = true
	if got := texts(); len(got) != 1 || !strings.Contains(got[0], "held down") {
		t.Errorf("a small move is not told, being held down is: %q", got)
	}
	if got := texts(); len(got) != 0 {
		t.Errorf("told twice: %q", got)
	}
	s.Instances[0].Share, s.Instances[5].Share = 0.4, 0.6
	if got := texts(); len(got) != 1 {
		t.Errorf("small moves add up: %q", got)
	}
}
