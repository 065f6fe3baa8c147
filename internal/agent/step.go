package agent

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/catsbgp/catsbgp/advert"
	"github.com/catsbgp/catsbgp/bgp"
	"github.com/catsbgp/catsbgp/dampening"
	"github.com/catsbgp/catsbgp/internal/collect"
	"github.com/catsbgp/catsbgp/internal/egress"
	"github.com/catsbgp/catsbgp/internal/events"
	"github.com/catsbgp/catsbgp/internal/ingress"
	"github.com/catsbgp/catsbgp/internal/netmetric"
	"github.com/catsbgp/catsbgp/selection"
)

// collected takes in a result of a source or a check.
func (a *Agent) collected(now time.Time, ev collect.Event) {
	switch ev := ev.(type) {
	case collect.SourceEvent:
		a.sourceChange(ev)
	case collect.CheckEvent:
		if ev.Changed {
			name := events.CheckDown
			if ev.Up {
				name = events.CheckUp
			}
			a.event(events.Event{Name: name, Service: a.serviceName(ev.Key.Service), Instance: ev.Key.ID.String(),
				Message: ev.Check + ": " + ev.Detail})
		}
	}
	if a.egress != nil {
		a.egress.Observe(now, ev)
	}
}

// sourceChange tells when a source starts or stops answering.
func (a *Agent) sourceChange(ev collect.SourceEvent) {
	if !a.counters.sample(sampleKey{ev.Key, ev.Source, false}, ev.Err == nil) {
		return
	}
	e := events.Event{Name: events.SourceUp, Service: a.serviceName(ev.Key.Service), Instance: ev.Key.ID.String(), Message: ev.Source}
	if ev.Err != nil {
		e.Name, e.Message = events.SourceDown, fmt.Sprintf("%s: %v", ev.Source, ev.Err)
	}
	a.event(e)
}

// hear takes in what BGP has to say.
func (a *Agent) hear(now time.Time, ev bgp.Event) {
	switch ev := ev.(type) {
	case bgp.RouteEvent:
		if a.ingress != nil {
			a.ingress.Hear(now, ingress.Announcement{
				Peer: ev.Peer, Prefix: ev.Prefix, PathID: ev.PathID, Withdrawn: ev.Withdrawn,
				Attribute: ev.Attribute, Large: large(ev.LargeCommunities), NextHop: ev.NextHop,
			})
		}
	case bgp.PeerEvent:
		a.peerEvent(ev)
	case bgp.EndOfRIBEvent:
	default:
		panic(fmt.Sprintf("BUG: agent: unknown BGP event %T", ev))
	}
}

func (a *Agent) peerEvent(ev bgp.PeerEvent) {
	was := a.peers[ev.Peer]
	a.peers[ev.Peer] = ev
	if ev.State == "removed" {
		delete(a.peers, ev.Peer)
	}
	switch {
	case ev.Up && ev.Reason != "":
		a.event(events.Event{Name: events.PeerOverflow, Peer: ev.Peer, Message: ev.Reason})
	case ev.Up:
		a.event(events.Event{Name: events.PeerUp, Peer: ev.Peer, Message: "session established"})
	case was.Up:
		a.event(events.Event{Name: events.PeerDown, Peer: ev.Peer, Message: ev.Reason})
	}
}

func large(cs []bgp.LargeCommunity) []advert.LargeCommunity {
	if len(cs) == 0 {
		return nil
	}
	out := make([]advert.LargeCommunity, len(cs))
	for i, c := range cs {
		out[i] = advert.LargeCommunity(c)
	}
	return out
}

// stepEgress lets the egress core decide and announces what it wants.
func (a *Agent) stepEgress(now time.Time) time.Time {
	out := a.egress.Step(now)
	for _, v := range out.Verdicts {
		a.verdict(v)
	}
	for _, n := range out.Notes {
		a.event(events.Event{Name: n.Name, Service: n.Service, Instance: instanceName(n.Key), Message: n.Text})
	}
	if len(out.Put) > 0 {
		put := make([]bgp.Announcement, len(out.Put))
		for i, r := range out.Put {
			put[i] = a.announcement(r)
			if _, known := a.intended[r.Prefix]; !known {
				a.event(events.Event{Name: events.RouteAnnounced, Service: a.routeService(r), Message: r.Prefix.String()})
			}
			a.intended[r.Prefix] = intention{r, now}
			a.echo(now, ingress.Announcement{Prefix: r.Prefix, Attribute: r.Attribute})
		}
		a.speaker.Put(put...)
	}
	if len(out.Withdraw) > 0 {
		a.speaker.Remove(out.Withdraw...)
		for _, p := range out.Withdraw {
			delete(a.intended, p)
			a.echo(now, ingress.Announcement{Prefix: p, Withdrawn: true})
		}
	}
	return out.Next
}

// localPeer is the name under which an agent that is egress and ingress hears
// itself: its own site is a candidate like any other.
const localPeer = "local"

func (a *Agent) echo(now time.Time, an ingress.Announcement) {
	if a.ingress == nil {
		return
	}
	an.Peer = localPeer
	a.ingress.Hear(now, an)
	a.ingress.Measure(now, netmetric.Measurement{Egress: a.cfg.Agent.Locator, At: now, Reachable: true, Known: true})
}

// announcement is how a route of the egress core is said in BGP.
func (a *Agent) announcement(r egress.Route) bgp.Announcement {
	an := bgp.Announcement{Prefix: r.Prefix, Attribute: r.Attribute, Boundary: r.Anycast}
	an.NextHop = a.cfg.BGP.NextHop4
	if r.Prefix.Addr().Is6() {
		an.NextHop = a.cfg.BGP.NextHop6
	}
	if locator := a.cfg.Agent.Locator; !an.NextHop.IsValid() && locator.Is4() == r.Prefix.Addr().Is4() && !onLink(&a.cfg.BGP.Config) {
		an.NextHop = locator
	}
	if r.Shutdown {
		an.Communities = append(an.Communities, bgp.GracefulShutdown)
	}
	for _, c := range r.Large {
		an.LargeCommunities = append(an.LargeCommunities, bgp.LargeCommunity(c))
	}
	return an
}

// onLink reports whether there is a directly connected external peer. Such a
// peer takes only next hops on the link (RFC 4271 section 5.1.3), so routes
// must name the address of the session and not the locator.
func onLink(cfg *bgp.Config) bool {
	return slices.ContainsFunc(cfg.Peers, func(p bgp.Peer) bool { return p.ASN != cfg.ASN && p.MultihopTTL <= 1 })
}

// verdict counts and tells what was said or held back of an instance. What is
// below the threshold is only counted: that is most of all samples.
func (a *Agent) verdict(v egress.Verdict) {
	a.quota(v)
	if v.Say {
		a.metrics.UpdateSent(v.Service, v.Reason.String())
	} else {
		a.metrics.UpdateSuppressed(v.Service, v.Held.String())
	}
	e := events.Event{Service: v.Service, Instance: instanceName(v.Key), Fields: events.Fields{{Key: "state", Value: v.State.String()}}}
	if measured(&v.Report) {
		e.Fields = append(e.Fields, events.Field{Key: "level", Value: round(v.Level)})
	}
	if v.Reason != dampening.NoReason {
		e.Fields = append(e.Fields, events.Field{Key: "reason", Value: v.Reason.String()})
	}
	if v.Held != dampening.NoReason {
		e.Fields = append(e.Fields, events.Field{Key: "held", Value: v.Held.String()})
	}
	if v.Whole {
		e.Fields = append(e.Fields, events.Field{Key: "aggregate", Value: true})
	}
	switch {
	case v.Say && v.State == dampening.Down && v.Held == dampening.HeldSuppressed:
		e.Name, e.Message = events.InstanceSuppressed, "comes and goes too often: withdrawn until it is calm"
	case v.Say && v.State == dampening.Down:
		e.Name, e.Message = events.RouteWithdrawn, join(v.Reason.String(), v.Report.Reason)
	case v.Say && v.Reason == dampening.SaidReuse:
		e.Name, e.Message = events.InstanceReused, "offered again at "+loadText(v)
	case v.Say:
		e.Name, e.Message = events.MetricSaid, fmt.Sprintf("said %s (%s)", loadText(v), v.Reason)
	case v.Held == dampening.HeldBelowThreshold, v.Repeated:
		return
	case v.Held == dampening.HeldSuppressed && v.State == dampening.Up:
		e.Name, e.Message = events.InstanceSuppressed, "came and went too often: not offered until it is calm"
	case v.Held == dampening.HeldRFDBudget:
		e.Name, e.Message = events.RFDBudget, fmt.Sprintf("%s held at %s", v.Reason, loadText(v))
	case v.Held == dampening.HeldCreateQuota:
		e.Name, e.Message = events.InstanceHeld, "waits for the create quota"
	default:
		e.Name, e.Message = events.MetricHeld, fmt.Sprintf("%s held at %s (%s)", v.Reason, loadText(v), v.Held)
	}
	a.event(e)
}

// measured reports whether anything is known that the watched level can stand
// for. An instance of which there are only signs of life has none.
func measured(r *collect.Report) bool { return r.Utilisation.Known() || r.NormFI.Known }

// loadText is the level of a verdict for people.
func loadText(v egress.Verdict) string {
	if !measured(&v.Report) {
		return "unknown load"
	}
	return fmt.Sprintf("%.0f %%", v.Level*100)
}

// routeService names the service of an anycast route; an instance route may
// carry several.
func (a *Agent) routeService(r egress.Route) string {
	if !r.Anycast {
		return ""
	}
	return a.serviceName(advert.ServicePrefix(r.Prefix))
}

func join(a, b string) string {
	if b == "" {
		return a
	}
	return a + ": " + b
}

// countEvery is how often the cores hear of our own flows. The classifier's
// choice for each flow goes by its own counters, which are never late.
const countEvery = 250 * time.Millisecond

// stepIngress lets the ingress core decide and puts its splits in force.
func (a *Agent) stepIngress(now time.Time) time.Time {
	if d := now.Sub(a.counted); d >= countEvery || d < 0 {
		a.counted = now
		a.counts = a.flows.Counts(now, a.counts[:0])
		for _, c := range a.counts {
			a.ingress.Own(now, c.Service, c.Key, c.Open, c.Started)
		}
	}
	out := a.ingress.Step(now)
	for _, sp := range out.Splits {
		a.flows.Set(sp)
		if a.opt.Split != nil {
			a.opt.Split(sp)
		}
		a.splitEvents(now, sp)
	}
	for _, id := range out.Gone {
		a.flows.Drop(id)
		delete(a.served, id)
		a.event(events.Event{Name: events.SelectionEmpty, Service: a.serviceName(id), Message: "no site announces it any more"})
	}
	if out.Measure && a.prober != nil {
		a.prober.SetTargets(a.targets(out.Egresses))
	}
	for _, n := range out.Notes {
		if n.Name == events.SiteReachable && n.Site == a.cfg.Agent.Name {
			continue // that is us
		}
		e := events.Event{Name: n.Name, Peer: n.Peer, Message: n.Text, Site: n.Site}
		if n.Service.IsValid() {
			e.Service = a.serviceName(n.Service)
		}
		a.event(e)
	}
	return out.Next
}

// targets are the egresses to probe: all but ourselves.
func (a *Agent) targets(all []netip.Addr) []netip.Addr {
	var ts []netip.Addr
	for _, t := range all {
		if t != a.cfg.Agent.Locator {
			ts = append(ts, t)
		}
	}
	return ts
}

// splitEvents tells what a new split changed, if it is worth telling.
func (a *Agent) splitEvents(now time.Time, sp *selection.Split) {
	name := a.serviceName(sp.Service)
	a.counters.split(name, sp.Changes)
	const most = 4 // moves told one by one
	var moves []string
	moved := 0
	for _, ch := range sp.Changes {
		if ch.Kind != selection.RungChanged {
			if moved++; moved <= most {
				moves = append(moves, ch.String())
			}
			continue
		}
		e := events.Event{Name: events.SelectionRung, Service: name, Message: ch.String(), Level: events.Info}
		if ch.ToRung > ch.FromRung {
			e.Level = events.Warn
		}
		a.event(e)
	}
	if moved > 0 {
		if moved > most {
			moves = append(moves, fmt.Sprintf("%d more", moved-most))
		}
		a.event(events.Event{Name: events.SelectionChanged, Service: name, Message: strings.Join(moves, "; "),
			Fields: events.Fields{{Key: "version", Value: sp.Version}, {Key: "shares", Value: shares(sp)}}})
	}
	a.serve(now, sp)
}

// shares lists the targets of a split, the largest first.
func shares(sp *selection.Split) string {
	var top []int // indexes of the largest five
	for i := range sp.Targets {
		at := len(top)
		for at > 0 && sp.Targets[i].Share > sp.Targets[top[at-1]].Share {
			at--
		}
		if at < 5 {
			top = slices.Insert(top, at, i)
			top = top[:min(len(top), 5)]
		}
	}
	var b strings.Builder
	for n, i := range top {
		if n > 0 {
			b.WriteString(", ")
		}
		t := &sp.Targets[i]
		fmt.Fprintf(&b, "%s %s %.0f %%", t.Site, t.Key.ID, t.Share*100)
	}
	if n := len(sp.Targets) - len(top); n > 0 {
		fmt.Fprintf(&b, ", %d more", n)
	}
	return b.String()
}

func excluded(sp *selection.Split) string {
	if len(sp.Excluded) == 0 {
		return "no candidates"
	}
	var b strings.Builder
	for i, x := range sp.Excluded {
		if i == 5 {
			fmt.Fprintf(&b, ", %d more", len(sp.Excluded)-5)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s %s: %s", x.Site, x.Key.ID, x.Reason)
	}
	return b.String()
}

// event writes an event to the ring and the log.
func (a *Agent) event(e events.Event) {
	e.At = time.Now()
	if e.Level == "" {
		d, _ := events.Describe(e.Name)
		e.Level = d.Level
	}
	a.metrics.Event(string(e.Name), string(e.Level))
	if id, ok := a.ring.Append(e); ok {
		a.logEvent(id, e)
	}
}

// logEvent writes an event as one line, under the same name.
func (a *Agent) logEvent(id uint64, e events.Event) {
	l := a.log.WithLevel(logLevels[e.Level]).Uint64("id", id).Str("event", string(e.Name))
	for _, f := range [...]struct{ key, value string }{
		{"service", e.Service}, {"instance", e.Instance}, {"site", e.Site}, {"peer", e.Peer},
	} {
		if f.value != "" {
			l = l.Str(f.key, f.value)
		}
	}
	for _, f := range e.Fields {
		l = l.Any(f.Key, f.Value)
	}
	l.Msg(e.Message)
}

var logLevels = map[events.Level]zerolog.Level{
	events.Debug: zerolog.DebugLevel, events.Info: zerolog.InfoLevel, events.Warn: zerolog.WarnLevel, events.Error: zerolog.ErrorLevel,
}

func (a *Agent) serviceName(id advert.CSID) string {
	for _, s := range a.cfg.Services {
		if s.ID == id {
			return s.Name
		}
	}
	return id.String()
}

func instanceName(k collect.Key) string {
	if !k.Service.IsValid() {
		return ""
	}
	return k.ID.String()
}

func round(x float64) float64 { return float64(int(x*1e4+0.5)) / 1e4 }
