package demo

import (
	"fmt"
	"time"
)

// draw draws the domain as it is.
func (s *stage) draw(last *Sample) {
	now := s.r.now()
	took, failed := s.r.latencies(now - 5*time.Second)
	head, foot := frame(s.d.plan, Chapter(s.chapter.Load()), last, now, view{
		verdict: s.verdict, ask: s.ask, answered: len(took), failed: failed,
		p50: quantile(took, 0.5), p99: quantile(took, 0.99),
	}, s.t.style)
	s.t.draw(head, foot)
}

// A view is what a frame shows beside the sample.
type view struct {
	verdict, ask     string
	answered, failed int // requests of the last 5 s
	p50, p99         time.Duration
}

// frame is the screen without the lines that go by.
func frame(p Plan, c Chapter, s *Sample, now time.Duration, v view, st style) (head, foot []string) {
	clockText := fmt.Sprintf("%s of %s, ^C ends", clock(now), clock(p.Length))
	title := fmt.Sprintf("%d/%d %s", c+1, chapters, c.Title())
	head = append(head,
		st.bold("catsbgp demo")+"  "+pad(title, 39)+left(st.dim(clockText), 25),
		st.dim(comments(p)[c]), "",
		st.dim(tableHead))
	head = append(head, tableRows(p, s, now, st)...)
	lost := st.green("none failed")
	if v.failed > 0 {
		lost = st.red(fmt.Sprintf("%d failed", v.failed))
	}
	head = append(head,
		fmt.Sprintf("requests, last 5 s: %d answered, %s, p50 %d ms, p99 %d ms", v.answered, lost, v.p50.Milliseconds(), v.p99.Milliseconds()),
		"")
	// Two lines, whatever there is to say: what is below must not jump.
	why := append(wrap("why: "+v.verdict, 78), "", "")
	head = append(head[:len(head)-1], why[0], why[1], "")
	foot = []string{"", st.dim("ask it, in another terminal:"), "  " + st.cyan(v.ask)}
	return head, foot
}
