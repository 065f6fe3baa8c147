package agent

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/catsbgp/catsbgp/advert"
	"github.com/catsbgp/catsbgp/internal/api"
	"github.com/catsbgp/catsbgp/internal/collect"
	"github.com/catsbgp/catsbgp/internal/egress"
	"github.com/catsbgp/catsbgp/internal/events"
)

// A backend answers the API. Everything that the loop owns is read in the
// loop, in one go, so that a document never mixes two moments.
type backend struct{ a *Agent }

// Backend is the agent as the API server, the metrics and embedding programs
// see it.
func (a *Agent) Backend() api.Backend { return backend{a} }

// ask runs f in the loop and returns what it returns.
func ask[T any](ctx context.Context, a *Agent, f func(now time.Time) (T, error)) (v T, err error) {
	if derr := a.do(ctx, func(now time.Time) { v, err = f(now) }); derr != nil {
		return v, api.Unavailable("the agent is busy or not running yet: %v", derr)
	}
	return v, err
}

func (b backend) Events() *events.Ring { return b.a.ring }

// Live reports whether the loop turned lately.
func (b backend) Live() bool {
	beat := b.a.beat.Load()
	return beat != 0 && time.Since(time.Unix(0, beat)) < 10*time.Second
}

// Ready reports whether the agent does its work.
func (b backend) Ready(ctx context.Context) (bool, []string) {
	select {
	case <-b.a.ready:
	default:
		return false, []string{"starting"}
	}
	missing, err := ask(ctx, b.a, func(time.Time) ([]string, error) { return b.a.notReady(), nil })
	if err != nil {
		missing = []string{err.Error()}
	}
	return len(missing) == 0, missing
}

// pending reports whether an instance may still be heard of for the first time.
// One whose sources have had their time, such as one that nobody ever pushes
// to, is not what the agent waits for.
func pending(r *collect.Report) bool {
	return r.State == collect.Unknown && (slices.ContainsFunc(r.Checks, func(c collect.CheckStatus) bool { return !c.Known }) ||
		slices.ContainsFunc(r.Sources, func(s collect.SourceStatus) bool { return !s.Stale && !s.Answered }))
}

// mostMissing bounds that list: a site that starts may wait for thousands.
const mostMissing = 10

// notReady lists what keeps the agent from doing its work.
func (a *Agent) notReady() (missing []string) {
	up := 0
	for _, p := range a.peers {
		if p.Up {
			up++
		}
	}
	if len(a.cfg.BGP.Peers) > 0 && up == 0 {
		missing = append(missing, "no BGP session is established")
	}
	if a.egress != nil {
		more := 0
		a.egress.Instances(func(service string, key collect.Key, r *collect.Report) bool {
			switch {
			case !pending(r):
			case len(missing) < mostMissing:
				missing = append(missing, fmt.Sprintf("%s %s: nothing collected yet", service, key.ID))
			default:
				more++
			}
			return true
		})
		if more > 0 {
			missing = append(missing, fmt.Sprintf("%d more", more))
		}
	}
	return missing
}

func (b backend) Status(ctx context.Context) (api.Status, error) {
	return ask(ctx, b.a, func(now time.Time) (api.Status, error) { return b.a.status(now), nil })
}

func (a *Agent) status(now time.Time) api.Status {
	st := api.Status{
		Agent: a.cfg.Agent.Name, Version: a.opt.Build.Version, PID: os.Getpid(),
		StartedAt: a.started, UptimeSeconds: now.Sub(a.started).Seconds(),
		ASN: a.cfg.BGP.ASN, RouterID: a.cfg.BGP.RouterID.String(), Locator: a.cfg.Agent.Locator.String(),
		Domain: a.cfg.Agent.Domain, Profile: a.cfg.Agent.NormalizationProfile,
		NotReady:   a.notReady(),
		PeersTotal: len(a.cfg.BGP.Peers),
		Config:     api.ConfigStatus{File: a.opt.File, LoadedAt: a.loaded, LastReload: a.reload},
	}
	st.Ready = len(st.NotReady) == 0
	for _, p := range a.cfg.BGP.Peers {
		ev := a.peers[p.Name]
		if ev.Up {
			st.PeersUp++
			continue
		}
		st.Warnings = append(st.Warnings, api.Warning{Code: "peer_down", Severity: api.SeverityWarning, Peer: p.Name, Since: ev.At,
			Message: fmt.Sprintf("BGP session to %s is down", p.Name) + because(ev.Reason)})
	}
	if st.PeersTotal > 0 && st.PeersUp == 0 {
		st.Warnings = append(st.Warnings, api.Warning{Code: "no_peers", Severity: api.SeverityCritical, Message: "no BGP session is established"})
	}
	for _, w := range a.cfg.Warnings {
		st.Warnings = append(st.Warnings, api.Warning{Code: "config", Severity: api.SeverityWarning, Message: fmt.Sprintf("%s:%d: %s: %s", w.File, w.Line, w.Key, w.Message), Since: a.loaded})
	}
	if r := a.reload; r != nil && !r.OK {
		// What was in force before still is: nothing is broken yet.
		st.Warnings = append(st.Warnings, api.Warning{Code: "reload_failed", Severity: api.SeverityWarning, Message: "the last reload was not accepted: " + r.Message, Since: r.At})
	}
	if a.egress != nil {
		st.Roles = append(st.Roles, "egress")
		a.egressStatus(&st)
	}
	if a.ingress != nil {
		st.Roles = append(st.Roles, "ingress")
		a.ingressStatus(now, &st)
	}
	return st
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

func (a *Agent) egressStatus(st *api.Status) {
	for _, s := range a.egress.Services() {
		announced := s.Announced
		st.Services = append(st.Services, api.ServiceStatus{CSID: s.ID.String(), Name: s.Name, Announced: &announced, InstancesUp: s.Up, InstancesTotal: s.Total})
		st.InstancesUp += s.Up
		st.InstancesTotal += s.Total
		if !announced && !a.emptied(s.ID) {
			st.Warnings = append(st.Warnings, api.Warning{Code: "not_announced", Severity: api.SeverityCritical, Service: s.Name,
				Message: fmt.Sprintf("the anycast route of %s is not announced here: %d of %d instances up", s.Name, s.Up, s.Total)})
		}
	}
	for _, v := range a.egress.Subjects() {
		for _, src := range v.Report.Sources {
			if src.Stale {
				st.Warnings = append(st.Warnings, api.Warning{Code: "source_stale", Severity: api.SeverityWarning, Service: v.Service, Instance: v.Key.ID.String(),
					Message: fmt.Sprintf("source %s is stale", src.Name) + because(src.Err)})
			}
		}
		for _, e := range v.Gate.RFD {
			if nearSuppress(e) {
				st.Warnings = append(st.Warnings, api.Warning{Code: "rfd_budget", Severity: api.SeverityWarning, Service: v.Service, Instance: v.Key.ID.String(), Peer: e.Peer, Message: rfdText(e)})
			}
		}
		if v.Gate.Suppressed {
			st.Warnings = append(st.Warnings, api.Warning{Code: "suppressed", Severity: api.SeverityWarning, Service: v.Service, Instance: v.Key.ID.String(),
				Message: "comes and goes too often; held down until " + v.Gate.ReuseAt.Format(time.TimeOnly)})
		}
	}
	for _, r := range a.egress.Drains() {
		st.Drains = append(st.Drains, drainState(r))
	}
}

func (a *Agent) ingressStatus(now time.Time, st *api.Status) {
	byID := map[string]int{}
	for i, s := range st.Services {
		byID[s.CSID] = i
	}
	for _, s := range a.ingress.Services() {
		i, ok := byID[s.ID.String()]
		if !ok {
			i = len(st.Services)
			st.Services = append(st.Services, api.ServiceStatus{CSID: s.ID.String(), Name: s.Name})
		}
		line := &st.Services[i]
		line.Candidates = s.Candidates
		if s.Split != nil {
			line.Rung, line.Eligible = s.Split.Rung.String(), len(s.Split.Targets)
			if len(s.Split.Targets) == 0 {
				line.Note = excluded(s.Split)
				st.Warnings = append(st.Warnings, api.Warning{Code: "no_target", Severity: api.SeverityCritical, Service: s.Name,
					Message: fmt.Sprintf("no site can take flows of %s: %s", s.Name, line.Note)})
			}
		}
		if w := s.Policy.Warning(); w != "" {
			st.Warnings = append(st.Warnings, api.Warning{Code: "policy", Severity: api.SeverityWarning, Service: s.Name, Message: w})
		}
	}
	for _, s := range a.ingress.Sites(now) {
		st.SitesTotal++
		if s.Path.At.IsZero() || s.Path.Reachable {
			st.SitesUp++
			continue
		}
		st.Warnings = append(st.Warnings, api.Warning{Code: "site_unreachable", Severity: api.SeverityWarning, Site: s.Name,
			Message: fmt.Sprintf("site %s gives no answer to probes", s.Name)})
	}
}

// emptied reports whether an operator withdrew all there is of a service here.
func (a *Agent) emptied(id advert.CSID) bool {
	withdrawn := false
	for _, v := range a.egress.Subjects() {
		if v.Key.Service == id && !v.Whole && v.Report.State == collect.Up {
			if v.Drain == nil || !v.Drain.Withdraw {
				return false
			}
			withdrawn = true
		}
	}
	return withdrawn
}

func (b backend) Drain(ctx context.Context, r api.DrainRequest) (api.DrainResult, error) {
	return ask(ctx, b.a, func(now time.Time) (api.DrainResult, error) { return b.a.drain(now, r) })
}

// drain carries out an operator's request. Order of a drain: the flag and
// GRACEFUL_SHUTDOWN first, so that new flows go elsewhere; at the deadline the
// routes; the BGP session never.
func (a *Agent) drain(now time.Time, r api.DrainRequest) (api.DrainResult, error) {
	if a.egress == nil {
		return api.DrainResult{}, api.NotFound("this agent has no egress role: nothing to drain")
	}
	t, scope, err := a.drainTarget(r.Target)
	if err != nil {
		return api.DrainResult{}, err
	}
	res := api.DrainResult{Target: t.String(), Scope: scope, Action: "drain"}
	switch {
	case r.Undo:
		res.Action = "undo"
		if res.Changed, err = a.egress.Undrain(t); err != nil {
			return res, api.NotFound("%v", err)
		}
		if res.Changed {
			a.event(events.Event{Name: events.DrainUndone, Message: t.String()})
		} else {
			res.Note = "it was not drained"
		}
	default:
		if !r.Withdraw && a.withdrawn(t) {
			// A drain offers the routes again, flagged. Nobody asks for that here.
			res.Note = "it is withdrawn already; undrain offers it again"
			break
		}
		d := egress.Drain{Since: now, Withdraw: r.Withdraw, Reason: r.Reason}
		if r.Withdraw {
			res.Action = "withdraw"
		}
		if r.Deadline > 0 {
			d.Deadline = now.Add(r.Deadline)
			res.DeadlineAt = d.Deadline
		}
		if service, left := a.leaves(t); !left && !r.Force {
			a.event(events.Event{Name: events.DrainRefused, Message: fmt.Sprintf("%s: no other instance of %s is known", t, service)})
			return res, api.Refused("no other instance of %s is known to this agent, in this site or another; use --force to do it anyway", service)
		}
		if err := a.egress.Drain(t, d); err != nil {
			return res, api.NotFound("%v", err)
		}
		res.Changed = true
		a.event(events.Event{Name: events.DrainStarted, Message: fmt.Sprintf("%s %s", res.Action, t) + because(r.Reason)})
	}
	a.saveDrains()
	for _, v := range a.egress.Subjects() {
		if !t.Service.IsValid() || v.Key.Service == t.Service && (!t.One || v.Key.ID == t.Instance) {
			if !v.Whole {
				res.Affected = append(res.Affected, api.DrainAffected{Service: v.Service, CSID: v.Key.Service.String(), CSCIID: v.Key.ID.String(), State: subjectState(v)})
			}
		}
	}
	return res, nil
}

// withdrawn reports whether an operator, or a deadline, withdrew this target.
func (a *Agent) withdrawn(t egress.Target) bool {
	return slices.ContainsFunc(a.egress.Drains(), func(r egress.DrainRecord) bool { return r.Target == t && r.Withdraw })
}

// leaves reports whether, as far as this agent knows, something of every
// service that a drain concerns would be left: another instance here, or
// another site. An agent without the ingress role hears of no other site, and
// gives the benefit of the doubt.
func (a *Agent) leaves(t egress.Target) (service string, left bool) {
	for _, s := range a.egress.Services() {
		if t.Service.IsValid() && t.Service != s.ID {
			continue
		}
		if a.ingress == nil {
			continue
		}
		others := 0
		for _, site := range a.ingress.Sites(time.Time{}) {
			for _, in := range site.Instances {
				here := site.Locator == a.cfg.Agent.Locator
				if in.Service == s.ID && in.Flags&advert.Drain == 0 && (!here || t.One && in.Key.ID != t.Instance && !in.Bare) {
					others++
				}
			}
		}
		if others == 0 {
			return s.Name, false
		}
	}
	return "", true
}

// drainTarget understands "site", a service by name or CS-ID, "SERVICE
// INSTANCE", and an instance's CSCI-ID if it is unambiguous.
func (a *Agent) drainTarget(text string) (egress.Target, string, error) {
	words := strings.Fields(text)
	switch len(words) {
	case 1:
		if words[0] == "site" {
			return egress.Target{}, "site", nil
		}
		if id, ok := a.localService(words[0]); ok {
			return egress.Target{Service: id}, "service", nil
		}
		if id, err := advert.ParseCSCIID(words[0]); err == nil {
			var found []egress.Target
			for _, v := range a.egress.Subjects() {
				if !v.Whole && v.Key.ID == id {
					found = append(found, egress.Target{Service: v.Key.Service, Instance: id, One: true})
				}
			}
			switch len(found) {
			case 1:
				return found[0], "instance", nil
			case 0:
			default:
				return egress.Target{}, "", api.Invalid("instance %s serves %d services: name one, \"SERVICE %s\"", id, len(found), id)
			}
		}
	case 2:
		id, ok := a.localService(words[0])
		in, err := advert.ParseCSCIID(words[1])
		if ok && err == nil {
			return egress.Target{Service: id, Instance: in, One: true}, "instance", nil
		}
	}
	return egress.Target{}, "", api.NotFound("nothing here is called %q: give a service, a CS-ID, \"SERVICE INSTANCE\", an instance or \"site\"", text)
}

func (a *Agent) localService(name string) (advert.CSID, bool) {
	id, err := advert.ParseCSID(name)
	for _, s := range a.egress.Services() {
		if s.Name == name || err == nil && s.ID == id {
			return s.ID, true
		}
	}
	return advert.CSID{}, false
}

func (b backend) Push(ctx context.Context, r api.PushRequest) error {
	_, err := ask(ctx, b.a, func(now time.Time) (struct{}, error) { return struct{}{}, b.a.push(now, r) })
	return err
}

// push hands pushed values to the source they are for.
func (a *Agent) push(now time.Time, r api.PushRequest) error {
	if a.egress == nil {
		return api.NotFound("this agent has no egress role")
	}
	service, ok := a.localService(r.Service)
	if !ok {
		return api.NotFound("no service %q at this site", r.Service)
	}
	id, err := advert.ParseCSCIID(r.Instance)
	if err != nil {
		return api.Invalid("%v", err)
	}
	key := collect.Key{Service: service, ID: id}
	source := r.Source
	for _, in := range a.instances() {
		if in.Key != key || source != "" {
			continue
		}
		for _, s := range in.Sources {
			if s.Type == collect.Push {
				if source != "" {
					return api.Invalid("%s has several push sources: name one", key)
				}
				source = s.Name
			}
		}
	}
	if source == "" {
		return api.NotFound("%s has no source of type push", key)
	}
	if err := a.runner.Push(key, source, r.Values, time.Duration(r.TTLSeconds*float64(time.Second)), now); err != nil {
		return api.Invalid("%v", err)
	}
	return nil
}
