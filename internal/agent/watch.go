package agent

import (
	"fmt"
	"time"

	"github.com/catsbgp/catsbgp/dampening"
	"github.com/catsbgp/catsbgp/internal/collect"
	"github.com/catsbgp/catsbgp/internal/egress"
	"github.com/catsbgp/catsbgp/internal/events"
	"github.com/catsbgp/catsbgp/selection"
)

// lookEvery is how long the agent takes to look at itself once. What it finds
// are states that last, so a moment later is soon enough; and thousands of
// instances are looked at a few at a time, so that no sample waits for it.
const lookEvery = time.Second

// A watch is what the agent has seen and told of itself. Owned by the loop.
type watch struct {
	at      time.Time // of the last look
	next    int       // instance to look at next
	ready   bool
	waiting map[subjectID]bool // for the create quota
	seen    map[subjectID]*sighting
}

// A subjectID names an instance of this site, or a service's aggregate.
type subjectID struct {
	key   collect.Key
	whole bool
}

// A sighting is how an instance was when last looked at.
type sighting struct {
	state     string
	since     time.Time
	stale     map[string]bool // its sources
	anomalous bool
	damped    map[string]bool // by peer: its estimate is near
	here      bool            // still configured
}

func newWatch() watch {
	return watch{waiting: map[subjectID]bool{}, seen: map[subjectID]*sighting{}}
}

// look tells what changed about this agent as a whole and its instances.
func (a *Agent) look(now time.Time) {
	since := now.Sub(a.watch.at)
	if since >= 0 && since < lookEvery/100 {
		return
	}
	a.watch.at = now
	if a.egress != nil {
		if since < 0 || since > lookEvery {
			since = lookEvery
		}
		few := 1 + int(int64(a.egress.Len())*int64(since)/int64(lookEvery))
		views, next := a.egress.SubjectsFrom(a.watch.next, few)
		for _, v := range views {
			a.sight(now, v)
		}
		if a.watch.next = next; next != 0 {
			return
		}
		for id, s := range a.watch.seen {
			if !s.here {
				delete(a.watch.seen, id)
				delete(a.watch.waiting, id)
			}
			s.here = false
		}
	}
	a.lookServed(now)
	a.lookReady()
}

// sight looks at one instance.
func (a *Agent) sight(now time.Time, v egress.SubjectView) {
	id := subjectID{v.Key, v.Whole}
	s := a.watch.seen[id]
	if s == nil {
		s = &sighting{since: now, stale: map[string]bool{}, damped: map[string]bool{}}
		a.watch.seen[id] = s
	}
	s.here = true
	if state := subjectState(v); state != s.state {
		s.state, s.since = state, now
	}
	for _, src := range v.Report.Sources {
		if src.Stale && !s.stale[src.Name] {
			a.event(events.Event{Name: events.SourceStale, Service: v.Service, Instance: v.Key.ID.String(),
				Message: fmt.Sprintf("%s: no good sample for %s", src.Name, src.Age.Round(100*time.Millisecond)) + because(src.Err),
				Fields:  events.Fields{{Key: "policy", Value: stalePolicy(v.Config, src.Name)}}})
		}
		s.stale[src.Name] = src.Stale
	}
	for _, e := range v.Gate.RFD {
		near := nearSuppress(e)
		if near && !s.damped[e.Peer] {
			a.event(events.Event{Name: events.RFDBudget, Service: v.Service, Instance: v.Key.ID.String(), Peer: e.Peer, Message: rfdText(e)})
		}
		s.damped[e.Peer] = near
	}
	if v.Report.Anomalous && !s.anomalous {
		a.event(events.Event{Name: events.InstanceAnomalous, Service: v.Service, Instance: v.Key.ID.String(), Message: v.Report.Reason})
	}
	s.anomalous = v.Report.Anomalous
}

// nearSuppress reports whether a router's route-flap damping may be about to
// suppress a prefix of ours.
func nearSuppress(e dampening.RFDEstimate) bool { return e.Penalty > 0.7*e.Suppress }

func rfdText(e dampening.RFDEstimate) string {
	return fmt.Sprintf("the route-flap damping of %s is estimated at %.0f of %.0f", e.Peer, e.Penalty, e.Suppress)
}

func stalePolicy(in collect.Instance, source string) string {
	for _, s := range in.Sources {
		if s.Name == source {
			return string(s.Stale)
		}
	}
	return ""
}

// lookReady tells when the agent begins and ceases to do its work.
func (a *Agent) lookReady() {
	missing := a.notReady()
	ready := len(missing) == 0
	switch {
	case ready && !a.watch.ready:
		a.event(events.Event{Name: events.AgentReady, Message: "BGP is up, and every source has been asked"})
	case !ready && a.watch.ready:
		a.event(events.Event{Name: events.AgentUnready, Message: some(missing)})
	}
	a.watch.ready = ready
}

// some are the first few of what may be thousands.
func some(all []string) string {
	const most = 3
	text := ""
	for i, s := range all {
		if i == most {
			return text + fmt.Sprintf("; %d more", len(all)-most)
		}
		if i > 0 {
			text += "; "
		}
		text += s
	}
	return text
}

// since is from when on an instance has been in its present state; zero if
// that is not known yet.
func (a *Agent) since(v egress.SubjectView) time.Time {
	if s := a.watch.seen[subjectID{v.Key, v.Whole}]; s != nil && s.state == subjectState(v) {
		return s.since
	}
	return time.Time{}
}

// quota tells when an instance that waited for the create quota got through.
func (a *Agent) quota(v egress.Verdict) {
	id := subjectID{v.Key, v.Whole}
	switch {
	case v.Held == dampening.HeldCreateQuota && !v.Say:
		a.watch.waiting[id] = true
	case a.watch.waiting[id]:
		delete(a.watch.waiting, id)
		if v.Say {
			a.event(events.Event{Name: events.InstanceReleased, Service: v.Service, Instance: instanceName(v.Key), Message: "the create quota lets it through"})
		}
	}
}

// emptyGrace is how long a service that has never had a target may go without
// one before it is told: an ingress that starts hears the routes of a site
// before its first probe comes back.
const emptyGrace = 5 * time.Second

// A serving is whether a service has a target.
type serving struct {
	target bool
	empty  time.Time // since when there is none
	told   bool      // that there is none
	why    string
}

// serve notes what a split means for a service, and tells when the last target
// of one that had some goes.
func (a *Agent) serve(now time.Time, sp *selection.Split) {
	s := a.served[sp.Service]
	if s == nil {
		s = &serving{}
		a.served[sp.Service] = s
	}
	if len(sp.Targets) > 0 {
		*s = serving{target: true}
		return
	}
	s.why = excluded(sp)
	switch {
	case s.target:
		*s = serving{empty: now, told: true, why: s.why}
		a.event(events.Event{Name: events.SelectionEmpty, Service: a.serviceName(sp.Service), Message: s.why})
	case s.empty.IsZero():
		s.empty = now
	}
}

// lookServed tells of services that still have no target.
func (a *Agent) lookServed(now time.Time) {
	for id, s := range a.served {
		if !s.target && !s.told && now.Sub(s.empty) >= emptyGrace {
			s.told = true
			a.event(events.Event{Name: events.SelectionEmpty, Service: a.serviceName(id), Message: s.why})
		}
	}
}
