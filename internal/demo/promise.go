package demo

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/catsbgp/catsbgp/internal/events"
)

// Verdicts on a promise.
const (
	Kept       = "ok"
	Broken     = "failed"
	NotReached = "not reached" // the demo ended before
)

// An Invariant is a promise and how it was kept.
type Invariant struct {
	Name     string `json:"name"`
	Promise  string `json:"promise"`
	Verdict  string `json:"verdict"` // "ok", "failed", "not reached"
	Measured string `json:"measured"`
	// Figures behind Measured, where there is one that can be compared.
	Value *float64 `json:"value,omitempty"`
	Limit *float64 `json:"limit,omitempty"`         // with the slack
	Slack float64  `json:"slack_seconds,omitempty"` // for this machine's lateness
}

func (v *Invariant) is(ok bool, format string, args ...any) {
	v.Verdict = Broken
	if ok {
		v.Verdict = Kept
	}
	v.Measured = fmt.Sprintf(format, args...)
}

func (v *Invariant) within(took, limit, slack time.Duration) {
	v.Value, v.Limit, v.Slack = new(took.Seconds()), new((limit + slack).Seconds()), slack.Seconds()
}

// Judge holds a history against what was promised.
func Judge(h *History) []Invariant {
	all := []Invariant{
		judgeBudget(h), judgeOverload(h), judgeFlap(h), judgeDrain(h), judgeDeath(h),
		judgeFailures(h), judgeSessions(h), judgeLeaks(h),
	}
	for i := range all {
		if all[i].Verdict == "" {
			all[i].Verdict = NotReached
		}
	}
	return all
}

// unlimited are the reasons that no budget holds back: they take traffic away.
var unlimited = []string{"down", "drain", "removed"}

// judgeBudget: however noisy the load, the updates of an instance stay within
// its token bucket. Down and drain do not wait for it.
func judgeBudget(h *History) Invariant {
	v := Invariant{Name: "updates within budget",
		Promise: fmt.Sprintf("at most %g at once and %g a minute for each instance; only down and drain do not wait", h.Plan.BucketBurst, h.Plan.BucketPerMinute)}
	if len(h.Samples) == 0 {
		return v
	}
	last := h.Samples[len(h.Samples)-1]
	budget := math.Floor(h.Plan.BucketBurst + h.Plan.BucketPerMinute*(h.Running+last.At).Minutes())
	most, who, samples := -1.0, "", uint64(0)
	for i, in := range h.Plan.Instances() {
		s := last.Instances[i]
		samples += s.Samples
		n := 0.0
		for reason, count := range s.Sent {
			if !slices.Contains(unlimited, reason) {
				n += float64(count)
			}
		}
		if n > most {
			most, who = n, h.Plan.Label(in)
		}
	}
	v.Value, v.Limit = new(most), new(budget)
	v.is(most <= budget, "%.0f by %s of %.0f allowed (%d samples taken in all)", most, who, budget, samples)
	return v
}

// judgeOverload: a site that is busy by others is left by our flows.
func judgeOverload(h *History) Invariant {
	v := Invariant{Name: "overloaded site is left",
		Promise: fmt.Sprintf("madrid keeps less than a third of its share within %v of the crowd's coming", h.Plan.Promise())}
	busy := h.Chapters[Busy]
	if busy == nil {
		return v
	}
	before := h.share(madrid, h.during(busy.From-2*time.Second, busy.From))
	slack, wait := h.overloadSlack(busy.From)
	limit := h.Plan.Promise() + wait
	left, ok := h.first(busy.From, func(s *Sample) bool { return s.Share(h.Plan, madrid) < before/3 })
	switch {
	case ok && left < busy.To:
		took := left - busy.From
		after := h.share(madrid, h.during(left, busy.To))
		v.within(took, limit, slack)
		v.is(took <= limit+slack, "%s: from %s of the flows to %s, later %s%s%s", seconds(took), percent(before),
			percent(h.share(madrid, h.during(left, left+1))), percent(after), tokenWait(wait), allowed(slack))
	case h.Complete || busy.To-busy.From > limit+slack:
		v.within(busy.To-busy.From, limit, slack)
		v.is(false, "not in %s: it had %s of the flows, and %s in the end%s", seconds(busy.To-busy.From), percent(before),
			percent(h.share(madrid, h.during(busy.To-time.Second, busy.To))), allowed(slack))
	}
	return v
}

// overloadSlack is what to allow for beside the promise: lateness of the
// machine, and tokens that the budget lacked when it began.
func (h *History) overloadSlack(from time.Duration) (slack, wait time.Duration) {
	slack = h.Late.Slack(from, from+2*h.Plan.Promise())
	const needed = 3 // high, and twice more while it grows
	if h.Tokens < needed {
		wait = time.Duration((needed - h.Tokens) / h.Plan.BucketPerMinute * float64(time.Minute))
	}
	return slack, wait
}

func tokenWait(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return ", " + seconds(d) + " more for the update budget"
}

func allowed(slack time.Duration) string {
	return " (allowing " + seconds(slack) + " for this machine)"
}

// judgeFlap: an instance that comes and goes is held down, and let in again
// when it has been calm; in between it gets no flows.
func judgeFlap(h *History) Invariant {
	v := Invariant{Name: "flapping instance is suppressed, then reused",
		Promise: fmt.Sprintf("held down at a penalty of %g, offered again below %g", h.Plan.Suppress, h.Plan.Reuse)}
	began := h.Marks[FlapBegan]
	if began == nil {
		return v
	}
	from, ok := h.first(*began, func(s *Sample) bool { return s.Instances[flapper].Suppressed })
	if !ok {
		if ended := h.Marks[FlapEnded]; ended != nil {
			v.is(false, "not suppressed after %d changes", h.Flaps)
		}
		return v
	}
	penalty := 0.0
	for _, s := range h.Samples {
		penalty = max(penalty, s.Instances[flapper].Penalty)
	}
	back, again := h.first(from, func(s *Sample) bool {
		in := &s.Instances[flapper]
		return !in.Suppressed && in.Sent["reuse"] > 0 && in.Target
	})
	if !again {
		if h.Complete {
			v.is(false, "suppressed at %s (penalty %.0f), not offered again until %s", clock(from), penalty, clock(h.End))
		}
		return v
	}
	flows := h.flowsAfterGone(flapper, from, back)
	v.is(flows == 0, "suppressed after %d changes (penalty up to %.0f), offered again %s later; %d new flows meanwhile", h.Flaps, penalty, seconds(back-from), flows)
	return v
}

// flowsAfterGone counts new flows to an instance in a span, from when the
// ingress was first seen not to offer it, until it was seen to offer it again.
// A flow counts from before it was given its instance, so that there is no
// doubt about any.
func (h *History) flowsAfterGone(instance int, from, to time.Duration) int {
	gone, ok := h.first(from, func(s *Sample) bool { return !s.Instances[instance].Target })
	if !ok {
		return 0
	}
	// It may be offered since just after the last sample without it.
	until := gone
	for _, s := range h.during(gone, to) {
		if s.Instances[instance].Target {
			break
		}
		until = s.At
	}
	n := 0
	for _, r := range h.Requests {
		if !r.Local && r.Instance == instance && r.At > gone && r.At < until {
			n++
		}
	}
	return n
}

// judgeDrain: a drained site gets no new flows, soon.
func judgeDrain(h *History) Invariant {
	v := Invariant{Name: "drained site gets no new flows", Promise: fmt.Sprintf("none from %v after the request on", drainPromise)}
	asked := h.Marks[DrainAsked]
	if asked == nil {
		return v
	}
	slack := h.Late.Slack(*asked, *asked+drainPromise)
	limit, until := *asked+drainPromise+slack, h.End
	if undone := h.Marks[UndrainAsked]; undone != nil {
		until = *undone
	} else if until < limit {
		return v
	}
	late, last, before := 0, *asked, 0
	for _, r := range h.Requests {
		switch {
		case r.Local || r.Instance < 0 || h.Plan.Instances()[r.Instance].Site != paris || r.At <= *asked || r.At >= until:
			continue
		case r.At > limit:
			late++
		default:
			before++
		}
		last = max(last, r.At)
	}
	v.within(last-*asked, drainPromise, slack)
	if before+late == 0 {
		v.is(true, "none at all after the request")
		return v
	}
	v.is(late == 0, "the last of %d came %s after the request%s", before+late, seconds(last-*asked), allowed(slack))
	return v
}

// judgeDeath: a dead instance is withdrawn, and then gets nothing.
func judgeDeath(h *History) Invariant {
	v := Invariant{Name: "dead instance is withdrawn", Promise: fmt.Sprintf("within %v, and no new flow once the ingress knows", h.Plan.NoticeDeath())}
	killed := h.Marks[KillDone]
	if killed == nil {
		return v
	}
	withdrawn, ok := h.withdrawn(*killed)
	slack := h.Late.Slack(*killed, *killed+2*h.Plan.NoticeDeath())
	gone, known := h.first(*killed, func(s *Sample) bool { return !s.Instances[victim].Target })
	if !ok || !known {
		if h.Complete || h.End > *killed+h.Plan.NoticeDeath()+slack {
			v.is(false, "not withdrawn %s after its death", seconds(h.End-*killed))
		}
		return v
	}
	flows := h.flowsAfterGone(victim, *killed, h.End+time.Second)
	took := withdrawn - *killed
	v.within(took, h.Plan.NoticeDeath(), slack)
	v.is(took <= h.Plan.NoticeDeath()+slack && flows == 0, "withdrawn after %s, the ingress knew within %s; %d new flows after that%s",
		seconds(took), seconds(gone-*killed), flows, allowed(slack))
	return v
}

func (h *History) withdrawn(from time.Duration) (time.Duration, bool) {
	id := h.Plan.Instances()[victim].ID.String()
	for _, e := range h.Events {
		if e.At >= from && e.Name == events.RouteWithdrawn && e.Instance == id {
			return e.At, true
		}
	}
	return 0, false
}

// judgeFailures: users only notice the death, and only until it is known.
func judgeFailures(h *History) Invariant {
	v := Invariant{Name: "requests fail only around the death", Promise: "none fail before, nor once the ingress has heard the withdrawal"}
	if len(h.Requests) == 0 {
		return v
	}
	from, to := h.End+time.Hour, h.End+time.Hour
	if killed := h.Marks[KillDone]; killed != nil {
		from = *killed
		if gone, ok := h.first(from, func(s *Sample) bool { return !s.Instances[victim].Target }); ok {
			// Flows of before may end a little later.
			to = gone + h.Late.Slack(from, gone+time.Second)
		}
	}
	excused, still, others := 0, 0, map[string]int{}
	for _, r := range h.Requests {
		switch {
		case r.Failure == "":
		case r.Done >= from && r.Done <= to:
			excused++
		case h.Late.Worst(r.At-5*time.Second, r.Done) > h.Plan.CheckTimeout:
			still++ // no check, no probe and no request got its turn in time
		default:
			others[r.Failure]++
		}
	}
	if len(others) == 0 {
		v.is(true, "%d of %d requests failed around the death", excused, len(h.Requests))
		if still > 0 {
			v.Measured += fmt.Sprintf(", %d while this machine stood still", still)
		}
		return v
	}
	n := 0
	var why []string
	for text, count := range others {
		n += count
		why = append(why, fmt.Sprintf("%d × %s", count, text))
	}
	slices.Sort(why)
	if len(why) > 3 {
		why = append(why[:3], "…")
	}
	v.is(false, "%d of %d failed at other times: %s", n, len(h.Requests), strings.Join(why, "; "))
	return v
}

// judgeSessions: neither drains nor deaths reset a BGP session.
func judgeSessions(h *History) Invariant {
	v := Invariant{Name: "BGP sessions stay up", Promise: "no session is reset by anything that happened"}
	if len(h.Sessions) == 0 {
		return v
	}
	var bad []string
	least := time.Duration(math.MaxInt64)
	for _, s := range h.Sessions {
		least = min(least, s.Uptime)
		if !s.Up || s.Flaps > 0 || s.Uptime < h.End {
			bad = append(bad, fmt.Sprintf("%s to %s (up %v, %s, %d flaps)", s.Agent, s.Peer, s.Up, seconds(s.Uptime), s.Flaps))
		}
	}
	for _, e := range h.Events {
		if e.Name == events.PeerDown {
			bad = append(bad, fmt.Sprintf("%s lost %s at %s", e.Agent, e.Peer, clock(e.At)))
		}
	}
	v.is(len(bad) == 0, "%d of %d ends up without a break, for %s at least", len(h.Sessions)-len(bad), len(h.Sessions), seconds(least))
	if len(bad) > 0 {
		v.Measured = strings.Join(bad, "; ")
	}
	return v
}

// judgeLeaks: what was started is gone.
func judgeLeaks(h *History) Invariant {
	v := Invariant{Name: "nothing is left behind", Promise: "goroutines (but idle ones of GoBGP) and sockets are gone"}
	if h.Checked {
		v.is(len(h.Left) == 0, "all gone")
		if len(h.Left) > 0 {
			v.Measured = strings.Join(h.Left, "; ")
		}
	}
	return v
}

func percent(f float64) string {
	if math.IsNaN(f) {
		return "-"
	}
	return fmt.Sprintf("%.0f %%", f*100)
}

// seconds writes a duration as people say it.
func seconds(d time.Duration) string {
	switch {
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d)/1e6)
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// clock writes a time since the start: 0:23.4.
func clock(d time.Duration) string {
	sign := ""
	if d < 0 {
		sign, d = "-", -d
	}
	return fmt.Sprintf("%s%d:%04.1f", sign, int(d.Minutes()), (d % time.Minute).Truncate(100*time.Millisecond).Seconds())
}
