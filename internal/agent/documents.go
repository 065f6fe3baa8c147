package agent

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/catsbgp/catsbgp/advert"
	"github.com/catsbgp/catsbgp/bgp"
	"github.com/catsbgp/catsbgp/dampening"
	"github.com/catsbgp/catsbgp/internal/api"
	"github.com/catsbgp/catsbgp/internal/collect"
	"github.com/catsbgp/catsbgp/internal/config"
	"github.com/catsbgp/catsbgp/internal/egress"
	"github.com/catsbgp/catsbgp/internal/ingress"
	"github.com/catsbgp/catsbgp/selection"
)

// This file turns what the cores know into the documents of the API.

// known returns a pointer to v, nil if v is NaN.
func known(v float64) *float64 {
	if math.IsNaN(v) {
		return nil
	}
	return &v
}

func score(n int) *int {
	if n < 0 {
		return nil
	}
	return &n
}

func (b backend) Instances(ctx context.Context) ([]api.Instance, error) {
	return ask(ctx, b.a, func(now time.Time) ([]api.Instance, error) {
		if b.a.egress == nil {
			return nil, nil
		}
		var docs []api.Instance
		for _, v := range b.a.egress.Subjects() {
			d := instanceDoc(now, v)
			d.Since = b.a.since(v)
			for i, s := range d.Sources {
				if t := b.a.counters.samples[sampleKey{v.Key, s.Name, false}]; t != nil {
					d.Sources[i].Samples, d.Sources[i].Errors = t.good, t.bad
				}
			}
			docs = append(docs, d)
		}
		return docs, nil
	})
}

func instanceDoc(now time.Time, v egress.SubjectView) api.Instance {
	r := &v.Report
	d := api.Instance{
		Service: v.Service, CSID: v.Key.Service.String(), CSCIID: v.Key.ID.String(), Aggregate: v.Whole,
		State: subjectState(v), StateReason: r.Reason,
		Anomalous: r.Anomalous, Samples: v.Gate.Observations,
	}
	if r.Utilisation.Known() {
		d.Utilisation = known(r.Utilisation.Value)
	}
	if r.NormFI.Known {
		d.Score = score(int(r.NormFI.Octet))
	}
	d.Metrics = metricDocs(r, v.Said)
	if in := v.Said; in != nil {
		d.Said = &api.Said{At: v.Gate.Out.At, Why: v.Gate.Out.Reason.String(), Sequence: uint32(in.Sequence),
			ValidUntil: in.GeneratedAt().Add(time.Duration(in.Validity) * time.Second).UTC()}
		s, scored := in.ScoreNorm()
		if scored {
			d.Said.Score = score(int(s))
		}
		if _, ok := in.Value(advert.Utilisation); ok || scored {
			d.Said.Level = known(v.Gate.Out.Level)
		}
	}
	d.Held = heldDoc(v)
	for _, s := range r.Sources {
		d.Sources = append(d.Sources, sourceDoc(now, s, v.Config))
	}
	for _, c := range r.Checks {
		d.Checks = append(d.Checks, checkDoc(now, c, v.Config))
	}
	if v.Drain != nil {
		st := drainState(egress.DrainRecord{Target: egress.Target{Service: v.Key.Service, Instance: v.Key.ID, One: true}, Drain: *v.Drain})
		d.Drain = &st
	}
	return d
}

func subjectState(v egress.SubjectView) string {
	switch {
	case v.Drain != nil && v.Drain.Withdraw:
		return api.StateDrained
	case v.Report.State == collect.Unknown:
		return api.StateStarting
	case v.Report.State == collect.Down:
		return api.StateDown
	case v.Gate.Suppressed:
		return api.StateSuppressed
	case v.Drain != nil:
		return api.StateDraining
	case v.Gated && v.Said == nil:
		return api.StateHeld
	}
	return api.StateUp
}

// heldDoc is what is being held back; nil if nothing is.
func heldDoc(v egress.SubjectView) *api.Held {
	g := v.Gate
	if g.Held == dampening.NoReason || g.Held == dampening.HeldBelowThreshold {
		return nil
	}
	d := &api.Held{Why: g.Held.String(), Since: g.PendingSince, Until: g.Until}
	if measured(&v.Report) {
		d.Level = known(g.Level)
	}
	return d
}

// metricDocs lists the metrics of an instance, L2 first, on their way from raw
// to announced.
func metricDocs(r *collect.Report, said *advert.Instance) []api.Metric {
	var ms []api.Metric
	told := func(t advert.MetricType, perUnit float64) *float64 {
		if said == nil {
			return nil
		}
		if v, ok := said.Value(t); ok {
			return known(float64(v) / perUnit)
		}
		return nil
	}
	l2 := func(name string, t advert.MetricType, level int, category string, s collect.Score) {
		if s.Known {
			ms = append(ms, api.Metric{Name: name, Level: level, Category: category, Unit: "score", Normalized: known(s.Value), Said: told(t, 1)})
		}
	}
	l2("norm_fi", advert.NormFI, 2, "", r.NormFI)
	l2("computing_comb", advert.ComputingComb, 1, "computing", r.Computing)
	l2("communication_comb", advert.CommunicationComb, 1, "communication", r.Communication)
	l2("service_comb", advert.ServiceComb, 1, "service", r.Service)
	l0 := func(name, unit string, t advert.MetricType, perUnit float64, v collect.Value) {
		if v.Known() {
			ms = append(ms, api.Metric{Name: name, Unit: unit, Raw: known(v.Value), Said: told(t, perUnit)})
		}
	}
	l0(collect.ValueUtilisation, "ratio", advert.Utilisation, 1e4, r.Utilisation)
	l0(collect.ValueInFlight, "", advert.InFlight, 1, r.InFlight)
	l0(collect.ValueCapacity, "flows/s", advert.Capacity, 100, r.Capacity)
	l0(collect.ValueSlots, "", advert.Slots, 1, r.Slots)
	l0(collect.ValueServiceTime, "s", advert.ServiceTime, 1e6, r.ServiceTime)
	l0(collect.ValueDelay, "s", advert.ServiceDelay, 1e6, r.Delay)
	for _, name := range slices.Sorted(maps.Keys(r.Raw)) {
		if !slices.ContainsFunc(ms, func(m api.Metric) bool { return m.Name == name }) {
			ms = append(ms, api.Metric{Name: name, Raw: known(r.Raw[name])})
		}
	}
	return ms
}

func sourceDoc(now time.Time, s collect.SourceStatus, in collect.Instance) api.Source {
	d := api.Source{Name: s.Name, Type: string(s.Type), Up: s.Err == "" && s.Answered, Stale: s.Stale, Error: s.Err}
	if s.Answered {
		d.AgeSeconds = known(s.Age.Seconds())
		d.LastGoodAt = now.Add(-s.Age)
	}
	for _, c := range in.Sources {
		if c.Name == s.Name {
			d.IntervalSeconds, d.StalePolicy = c.Interval.Seconds(), string(c.Stale)
			d.Target = SourceTarget(c)
		}
	}
	return d
}

// SourceTarget is where a source looks, as it may be shown: arguments of a
// command and parts of a URL may be secrets.
func SourceTarget(c collect.Source) string {
	switch {
	case c.URL != "":
		return config.RedactURL(c.URL)
	case len(c.Command) > 0:
		return c.Command[0]
	}
	return c.CGroup
}

func checkDoc(now time.Time, s collect.CheckStatus, in collect.Instance) api.Check {
	d := api.Check{Name: s.Name, Type: string(s.Type)}
	if s.Known {
		d.Up, d.LastAt = &s.Up, now.Add(-s.Age)
		if s.Latency > 0 {
			d.LatencySeconds = known(s.Latency.Seconds())
		}
		if !s.Up {
			d.Error = s.Detail
		}
	}
	for _, c := range in.Checks {
		if c.Name == s.Name {
			d.Target, d.Needed = c.Target, c.Rise
			if s.Up {
				d.Needed = c.Fall
			}
		}
	}
	return d
}

func drainState(r egress.DrainRecord) api.DrainState {
	d := api.DrainState{Target: r.Target.String(), Scope: "instance", State: api.StateDraining, Since: r.Since, DeadlineAt: r.Deadline, Withdraw: r.Withdraw, Reason: r.Reason}
	switch {
	case !r.Target.Service.IsValid():
		d.Scope = "site"
	case !r.Target.One:
		d.Scope = "service"
	}
	if r.Withdraw {
		d.State = "withdrawn"
	}
	return d
}

func (b backend) Dampening(ctx context.Context) ([]api.Dampening, error) {
	return ask(ctx, b.a, func(time.Time) ([]api.Dampening, error) {
		if b.a.egress == nil {
			return nil, nil
		}
		var docs []api.Dampening
		for _, v := range b.a.egress.Subjects() {
			if v.Gated {
				docs = append(docs, b.a.dampeningDoc(v))
			}
		}
		return docs, nil
	})
}

func (a *Agent) dampeningDoc(v egress.SubjectView) api.Dampening {
	p, g := a.cfg.Dampening, v.Gate
	profile := "domain"
	if p.MinInterval >= dampening.Conservative().MinInterval {
		profile = "conservative"
	}
	d := api.Dampening{
		Service: v.Service, CSID: v.Key.Service.String(), CSCIID: v.Key.ID.String(), Profile: profile, Observe: p.ObserveOnly,
		Delta: p.Delta, Held: heldDoc(v), NextAt: g.Until,
		Penalty: g.Penalty, PenaltySuppress: p.PresenceSuppress, PenaltyReuse: p.PresenceReuse,
		Suppressed: g.Suppressed, ReuseAt: g.ReuseAt,
		BucketTokens: g.Tokens, BucketBurst: g.Burst, BucketPerMinute: p.BucketPerMinute,
		Samples: g.Observations, Sent: api.Counts{}, SuppressedByReason: api.Counts{},
	}
	if measured(&v.Report) {
		d.Level = known(g.Level)
		if v.Said != nil {
			d.Said = known(g.Out.Level)
		}
	}
	for _, r := range dampening.Reasons() {
		switch n := g.Counts[r]; {
		case n == 0:
		case r.Held():
			d.SuppressedByReason[r.String()] = n
		default:
			d.Sent[r.String()] = n
		}
	}
	for _, e := range g.RFD {
		d.RFD = append(d.RFD, api.RFDEstimate{Peer: e.Peer, Mode: e.Mode.String(), Penalty: e.Penalty, Suppress: e.Suppress})
	}
	return d
}

func (b backend) Sites(ctx context.Context) ([]api.Site, error) {
	return ask(ctx, b.a, func(now time.Time) ([]api.Site, error) {
		if b.a.ingress == nil {
			return nil, nil
		}
		var docs []api.Site
		for _, v := range b.a.ingress.Sites(now) {
			docs = append(docs, b.a.siteDoc(v))
		}
		return docs, nil
	})
}

func (a *Agent) siteDoc(v ingress.SiteView) api.Site {
	d := api.Site{Locator: v.Locator.String(), Name: v.Name, Local: v.Locator == a.cfg.Agent.Locator, LastHeardAt: v.Heard}
	if p := v.Path; !p.At.IsZero() && !d.Local {
		d.Reachable = &p.Reachable
		d.Sent, d.Received = p.Sent, p.Received
		if p.Known {
			d.RTT = &api.RTT{EstimateSeconds: p.RTT.Seconds(), MinSeconds: p.Min.Seconds(), MeanSeconds: p.Mean.Seconds(),
				MaxSeconds: p.Max.Seconds(), VariationSeconds: p.Variation.Seconds(), Loss: p.Loss}
		}
		if !p.Reachable {
			d.Reason = "no answer to probes"
		}
	}
	if v.ClockSkew != 0 {
		d.Reason = strings.TrimPrefix(d.Reason+fmt.Sprintf("; clock off by %s", v.ClockSkew.Round(time.Second)), "; ")
	}
	for _, in := range v.Instances {
		d.Instances = append(d.Instances, heardInstanceDoc(in))
	}
	return d
}

func heardInstanceDoc(in ingress.InstanceView) api.HeardInstance {
	d := api.HeardInstance{
		Service: in.Name, CSID: in.Service.String(), CSCIID: in.Key.ID.String(), Flags: flagNames(in.Flags),
		Sequence: uint32(in.Sequence), GeneratedAt: in.Generated.UTC(), AgeSeconds: in.Age.Seconds(), ValiditySeconds: in.Validity.Seconds(),
		Stale: in.Validity > 0 && in.Age > in.Validity, Score: score(in.Score),
		Utilisation: known(in.Utilisation), Capacity: known(in.Capacity), InFlight: known(in.InFlight), Slots: known(in.Slots),
		ServiceSeconds: known(in.ServiceTime), DelaySeconds: known(in.Delay), Eligible: in.Trusted && !in.Bare,
	}
	switch {
	case in.Bare:
		d.Why = "anycast route only, no metrics"
	case !in.Trusted:
		d.Why = "signature"
	}
	return d
}

func flagNames(f advert.InstanceFlags) (names []string) {
	for _, x := range [...]struct {
		flag advert.InstanceFlags
		name string
	}{{advert.Aggregate, "aggregate"}, {advert.Drain, "drain"}, {advert.Damped, "damped"}, {advert.Anomalous, "anomalous"}} {
		if f&x.flag != 0 {
			names = append(names, x.name)
		}
	}
	return names
}

func (b backend) Services(ctx context.Context) ([]api.Service, error) {
	return ask(ctx, b.a, func(now time.Time) ([]api.Service, error) {
		if b.a.ingress == nil {
			return nil, nil
		}
		var docs []api.Service
		for _, v := range b.a.ingress.Services() {
			docs = append(docs, b.a.serviceDoc(now, v))
		}
		return docs, nil
	})
}

func (a *Agent) serviceDoc(now time.Time, v ingress.ServiceView) api.Service {
	d := api.Service{CSID: v.ID.String(), Name: v.Name, Policy: string(v.Policy.Kind), PolicyWarning: v.Policy.Warning(), Changes: a.counters.changes[v.Name]}
	if !v.Due.IsZero() {
		d.NextTickSeconds = known(max(v.Due.Sub(now), 0).Seconds())
	}
	sp := v.Split
	if sp == nil {
		return d
	}
	d.Rung, d.RungReason, d.Version, d.Since, d.FlowRate = sp.Rung.String(), sp.Rung.Explain(), sp.Version, sp.At, sp.OwnRate
	for _, t := range sp.Targets {
		d.OpenFlows += float64(t.Terms.Open)
		d.Targets = append(d.Targets, targetDoc(t))
	}
	for _, x := range sp.Excluded {
		d.Excluded = append(d.Excluded, api.Excluded{CSCIID: x.Key.ID.String(), Egress: x.Key.Egress.String(), Site: x.Site, Reason: string(x.Reason), Detail: x.Detail})
	}
	return d
}

func targetDoc(t selection.Target) api.Target {
	d := api.Target{
		CSCIID: t.Key.ID.String(), Egress: t.Key.Egress.String(), Site: t.Site, Share: t.Share, Open: float64(t.Terms.Open),
		Capacity: known(t.Capacity), Utilisation: known(t.Terms.Utilisation), Terms: termsDoc(t.Terms), Stale: t.Aged, Reason: string(t.Reason),
	}
	if t.Quota > 0 {
		d.Quota = known(t.Quota)
	}
	return d
}

func termsDoc(t selection.Terms) api.Terms {
	return api.Terms{
		CostSeconds: t.Cost.Seconds(), RTTSeconds: t.RTT.Seconds(), ServiceSeconds: t.Service.Seconds(),
		WaitSeconds: t.Wait.Seconds(), PenaltySeconds: t.Penalty.Seconds(),
	}
}

func (b backend) Peers(ctx context.Context) ([]api.Peer, error) {
	type own struct {
		faults map[string]api.Counts
		cfg    bgp.Config
	}
	o, err := ask(ctx, b.a, func(time.Time) (own, error) {
		o := own{map[string]api.Counts{}, b.a.cfg.BGP.Config}
		if b.a.ingress != nil {
			b.a.ingress.Faults(func(peer string, f ingress.Fault, n uint64) {
				if o.faults[peer] == nil {
					o.faults[peer] = api.Counts{}
				}
				o.faults[peer][string(f)] = n
			})
		}
		return o, nil
	})
	if err != nil {
		return nil, err
	}
	var docs []api.Peer
	for _, p := range b.a.speaker.Peers() {
		d := api.Peer{
			Name: p.Name, Address: p.Address.String(), ASN: p.ASN, Type: "ebgp", State: p.State, Up: p.Up, Since: p.Since,
			Domain: p.Carriage != "boundary", RoutesReceived: p.Received, RoutesIgnored: p.Ignored,
			RoutesAdvertised: uint64(p.Sent), Flaps: p.Flaps, LastError: p.LastError, DecodeErrors: o.faults[p.Name],
			GracefulRestart: p.GracefulRestart != "off",
		}
		switch p.Carriage {
		case "domain":
			d.Carrier = "attribute"
		case "edge":
			d.Carrier = "edge-metadata"
		}
		if p.ASN == o.cfg.ASN {
			d.Type = "ibgp"
		}
		if p.Up {
			d.UptimeSeconds = known(p.Uptime.Seconds())
		} else {
			d.LastDownAt = p.Since
		}
		if p.IPv4 {
			d.Families = append(d.Families, "ipv4")
		}
		if p.IPv6 {
			d.Families = append(d.Families, "ipv6")
		}
		docs = append(docs, d)
	}
	return docs, nil
}

func (b backend) Routes(ctx context.Context) ([]api.Route, error) {
	docs, err := ask(ctx, b.a, func(time.Time) ([]api.Route, error) {
		var docs []api.Route
		for _, p := range slices.SortedFunc(maps.Keys(b.a.intended), func(x, y netip.Prefix) int {
			return cmp.Or(x.Addr().Compare(y.Addr()), cmp.Compare(x.Bits(), y.Bits()))
		}) {
			docs = append(docs, b.a.routeDoc(b.a.intended[p]))
		}
		return docs, nil
	})
	if err != nil {
		return nil, err
	}
	peers := b.a.speaker.Peers()
	for i := range docs {
		for _, p := range peers {
			rp := api.RoutePeer{Peer: p.Name, Sent: p.Up}
			switch {
			case p.Carriage == "boundary" && docs[i].Kind != "anycast":
				rp.Sent, rp.Why = false, "outside the domain"
			case !p.Up:
				rp.Why = "session is " + p.State
			}
			docs[i].Peers = append(docs[i].Peers, rp)
		}
	}
	return docs, nil
}

func (a *Agent) routeDoc(in intention) api.Route {
	r := in.route
	an := a.announcement(r)
	d := api.Route{Prefix: r.Prefix.String(), Kind: "instance", State: "announced", IntendedAt: in.since, NextHop: an.NextHop.String(),
		Attribute: decoded(r.Attribute), AttributeHex: hex.EncodeToString(r.Attribute)}
	if !an.NextHop.IsValid() {
		d.NextHop = "self"
	}
	if r.Anycast {
		d.Kind, d.Service = "anycast", a.serviceName(advert.ServicePrefix(r.Prefix))
	} else if d.Attribute != nil {
		var names []string
		for _, i := range d.Attribute.Instances {
			if cs, err := advert.ParseCSID(i.Service); err == nil {
				names = append(names, a.serviceName(cs))
			}
			d.CSCIID = i.CSCIID
		}
		d.Service = strings.Join(slices.Compact(names), ", ")
	}
	if r.Shutdown {
		d.Communities = append(d.Communities, "graceful-shutdown")
	}
	for _, c := range r.Large {
		d.Communities = append(d.Communities, c.String())
	}
	return d
}

// decoded is an attribute of ours in words; nil if it is not one.
func decoded(b []byte) *api.Decoded {
	d, err := api.DecodeValue(b)
	if err != nil {
		return nil
	}
	return &d
}

func (b backend) Heard(ctx context.Context) ([]api.HeardRoute, error) {
	return ask(ctx, b.a, func(now time.Time) ([]api.HeardRoute, error) {
		if b.a.ingress == nil {
			return nil, nil
		}
		var docs []api.HeardRoute
		for _, v := range b.a.ingress.Routes(now) {
			docs = append(docs, b.a.heardDoc(now, v))
		}
		return docs, nil
	})
}

func (a *Agent) heardDoc(now time.Time, v ingress.RouteView) api.HeardRoute {
	d := api.HeardRoute{Prefix: v.Prefix.String(), PathID: v.PathID, Peer: v.Peer, Kind: "instance", Used: true}
	var names []string
	for _, in := range v.Gave {
		h := heardInstanceDoc(in)
		d.Instances = append(d.Instances, h)
		names = append(names, in.Name)
		if at := now.Add(-in.Age); at.After(d.HeardAt) {
			d.HeardAt = at
		}
		d.Egress = in.Key.Egress.String()
		if !in.Trusted {
			d.Used, d.Why = false, h.Why
		}
		switch {
		case in.Bare, !in.Trusted: // what it came by is not known any more
		case in.Sequence != 0:
			d.Carrier = "attribute"
		case d.Carrier == "":
			d.Carrier = "communities"
		}
	}
	if v.Anycast.IsValid() {
		d.Kind, names = "anycast", []string{a.serviceName(v.Anycast)}
	}
	d.Service = strings.Join(slices.Compact(names), ", ")
	return d
}
