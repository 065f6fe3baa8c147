package demo

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/catsbgp/catsbgp/internal/api"
)

// KindDemo is the kind of a demo's document.
const KindDemo api.Kind = "Demo"

// A Report is what a demo showed. Its JSON is a catsbgp/v1 item.
type Report struct {
	OK       bool    `json:"ok"`       // complete, and every promise was kept
	Complete bool    `json:"complete"` // false: it was interrupted
	Length   float64 `json:"seconds"`  // of the script

	Service    string                   `json:"service"`
	CSID       string                   `json:"cs_id"`
	Ingress    string                   `json:"ingress"`
	Sites      api.List[ReportSite]     `json:"sites"`
	Totals     Totals                   `json:"totals"`
	Chapters   api.List[ChapterSummary] `json:"chapters"`
	Invariants api.List[Invariant]      `json:"invariants"`

	// WorstLateness is by how much this machine ran late what was due.
	WorstLateness float64 `json:"worst_lateness_seconds"`
	Kept          string  `json:"kept_in,omitempty"` // directory of configurations and logs
}

// A ReportSite is a site of the demo.
type ReportSite struct {
	Name       string           `json:"name"`
	Locator    string           `json:"locator"`
	RTTSeconds float64          `json:"rtt_seconds"` // as the relays make it
	Instances  api.List[string] `json:"instances"`
}

// Totals are the sums of a demo.
type Totals struct {
	Samples  uint64     `json:"samples_total"`
	Updates  uint64     `json:"updates_total"`
	ByReason api.Counts `json:"updates_by_reason"`
	Held     uint64     `json:"held_total"`
	HeldBy   api.Counts `json:"held_by_reason"`
	Changes  uint64     `json:"selection_changes_total"`

	Requests      int     `json:"requests_total"` // by way of the ingress
	Failed        int     `json:"requests_failed"`
	LocalRequests int     `json:"local_requests_total"`
	LocalFailed   int     `json:"local_requests_failed"`
	Anycast       int     `json:"requests_by_plain_anycast"` // of all, when the ingress had no instance to offer
	P50Seconds    float64 `json:"p50_seconds"`
	P99Seconds    float64 `json:"p99_seconds"`
}

// A ChapterSummary is a part of a demo. Requests count where they ended.
type ChapterSummary struct {
	Name        string             `json:"name"`
	Title       string             `json:"title"`
	FromSeconds float64            `json:"from_seconds"`
	Seconds     float64            `json:"seconds"`
	Requests    int                `json:"requests_total"` // by way of the ingress
	Failed      int                `json:"requests_failed"`
	P50Seconds  float64            `json:"p50_seconds"`
	P99Seconds  float64            `json:"p99_seconds"`
	Shares      map[string]float64 `json:"shares"` // mean, by site
}

// NewReport sums a history up.
func NewReport(h *History) Report {
	p := h.Plan
	r := Report{
		Complete: h.Complete, Length: h.End.Seconds(), Service: serviceName, CSID: serviceID, Ingress: p.Gate.String(),
		Totals: totals(h), Invariants: Judge(h), WorstLateness: h.Late.Worst(0, h.End).Seconds(),
	}
	for _, s := range p.Sites {
		site := ReportSite{Name: s.Name, Locator: s.Locator.String(), RTTSeconds: s.RTT.Seconds()}
		for _, id := range s.Instances {
			site.Instances = append(site.Instances, id.String())
		}
		r.Sites = append(r.Sites, site)
	}
	for c, span := range h.Chapters[:chapters] {
		if span != nil {
			r.Chapters = append(r.Chapters, summarize(h, Chapter(c), *span))
		}
	}
	r.OK = r.Complete
	for _, v := range r.Invariants {
		r.OK = r.OK && v.Verdict == Kept
	}
	return r
}

// Failed reports whether a promise was broken.
func (r *Report) Failed() bool {
	return slices.ContainsFunc(r.Invariants, func(v Invariant) bool { return v.Verdict == Broken })
}

func totals(h *History) Totals {
	t := Totals{Anycast: h.Anycast, ByReason: api.Counts{}, HeldBy: api.Counts{}}
	if n := len(h.Samples); n > 0 {
		last := &h.Samples[n-1]
		t.Changes = last.Changes
		for i := range last.Instances {
			in := &last.Instances[i]
			t.Samples += in.Samples
			for reason, count := range in.Sent {
				t.ByReason[reason] += count
				t.Updates += count
			}
			for reason, count := range in.Held {
				t.HeldBy[reason] += count
				t.Held += count
			}
		}
	}
	var took []time.Duration
	for i := range h.Requests {
		q := &h.Requests[i]
		switch {
		case q.Local:
			t.LocalRequests++
			t.LocalFailed += boolInt(q.Failure != "")
		default:
			t.Requests++
			t.Failed += boolInt(q.Failure != "")
			if q.Failure == "" {
				took = append(took, q.Done-q.At)
			}
		}
	}
	slices.Sort(took)
	t.P50Seconds, t.P99Seconds = quantile(took, 0.5).Seconds(), quantile(took, 0.99).Seconds()
	return t
}

func summarize(h *History, c Chapter, span Span) ChapterSummary {
	s := ChapterSummary{
		Name: c.String(), Title: c.Title(), FromSeconds: span.From.Seconds(), Seconds: (span.To - span.From).Seconds(),
		Shares: map[string]float64{},
	}
	var took []time.Duration
	for i := range h.Requests {
		q := &h.Requests[i]
		if q.Local || q.Done < span.From || q.Done >= span.To {
			continue
		}
		s.Requests++
		if q.Failure != "" {
			s.Failed++
			continue
		}
		took = append(took, q.Done-q.At)
	}
	slices.Sort(took)
	s.P50Seconds, s.P99Seconds = quantile(took, 0.5).Seconds(), quantile(took, 0.99).Seconds()
	for i, site := range h.Plan.Sites {
		if v := h.share(i, h.during(span.From, span.To)); !math.IsNaN(v) {
			s.Shares[site.Name] = v
		}
	}
	return s
}

// lines are the report in words.
func (r *Report) lines(st style) []string {
	t := r.Totals
	title := fmt.Sprintf("Summary of %.0f s", r.Length)
	if !r.Complete {
		title += ", interrupted"
	}
	out := []string{"", st.bold(title),
		fmt.Sprintf("  %6d samples taken of 6 instances", t.Samples),
		fmt.Sprintf("  %6d updates said       %s", t.Updates, st.dim(counts(t.ByReason, 4))),
		fmt.Sprintf("  %6d samples held back  %s", t.Held, st.dim(counts(t.HeldBy, 3))),
		fmt.Sprintf("  %6d times the split of new flows changed noticeably", t.Changes),
		fmt.Sprintf("  %6d requests by way of the ingress, %d failed; p50 %s, p99 %s", t.Requests, t.Failed, milliseconds(t.P50Seconds), milliseconds(t.P99Seconds)),
		fmt.Sprintf("  %6d requests by madrid's local users, %d failed", t.LocalRequests, t.LocalFailed),
		"",
	}
	head := "  CHAPTER     FROM  REQUESTS  FAILED      P50      P99"
	for _, s := range r.Sites {
		head += left(strings.ToUpper(s.Name), 8)
	}
	out = append(out, st.dim(head))
	for _, c := range r.Chapters {
		line := fmt.Sprintf("  %-9s %6s  %8d  %6d %s %s", c.Name, clock(time.Duration(c.FromSeconds*1e9)), c.Requests, c.Failed,
			left(milliseconds(c.P50Seconds), 8), left(milliseconds(c.P99Seconds), 8))
		for _, s := range r.Sites {
			line += left(percent(c.Shares[s.Name]), 8)
		}
		out = append(out, line)
	}
	out = append(out, "", st.bold("Promises"))
	for _, v := range r.Invariants {
		verdict := st.green("ok    ")
		switch v.Verdict {
		case Broken:
			verdict = st.red("FAILED")
		case NotReached:
			verdict = st.dim("-     ")
		}
		out = append(out, fmt.Sprintf("  %s  %s", verdict, v.Name))
		for _, line := range wrap(v.Promise, 69) {
			out = append(out, "          "+st.dim(line))
		}
		for _, line := range wrap(v.Measured, 69) {
			out = append(out, "          "+line)
		}
	}
	out = append(out, fmt.Sprintf("  This machine was up to %s late.", seconds(time.Duration(r.WorstLateness*1e9))))
	return out
}

// counts lists the n largest of counters.
func counts(c api.Counts, n int) string {
	names := slices.SortedFunc(maps.Keys(c), func(a, b string) int {
		if c[a] != c[b] {
			return int(int64(c[b]) - int64(c[a]))
		}
		return strings.Compare(a, b)
	})
	for i, name := range names {
		names[i] = fmt.Sprintf("%s %d", name, c[name])
	}
	if len(names) > n {
		names = append(names[:n], "…")
	}
	return strings.Join(names, ", ")
}

func milliseconds(s float64) string {
	if s == 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f ms", s*1000)
}
