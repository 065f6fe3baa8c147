package egress

import (
	"bytes"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/catsbgp/catsbgp/advert"
	"github.com/catsbgp/catsbgp/dampening"
	"github.com/catsbgp/catsbgp/internal/collect"
)

// instance writes what is now said of a subject.
func (sub *subject) instance(now time.Time, d dampening.Decision, validity time.Duration) *advert.Instance {
	r := &sub.report
	in := &advert.Instance{
		Service: sub.service.ID, ID: sub.id, Sequence: sub.sequence,
		Generated: uint32(now.Unix()),
		Validity:  uint16(min(validity/time.Second, math.MaxUint16)),
		Window:    uint16(min(sub.service.window()/(100*time.Millisecond), math.MaxUint16)),
	}
	if sub.acc == nil {
		in.Flags |= advert.Aggregate
	}
	if d.State == dampening.Draining {
		in.Flags |= advert.Drain
	}
	if slices.ContainsFunc(r.Sources, func(s collect.SourceStatus) bool { return s.Stale }) {
		in.Flags |= advert.Damped
	}
	if r.Anomalous {
		in.Flags |= advert.Anomalous
	}
	setMetrics(in, r, d.Level)
	return in
}

func (s *service) window() time.Duration {
	if s.Normalization.Window > 0 {
		return s.Normalization.Window
	}
	return 10 * time.Second
}

// setMetrics says what a report knows, in the order of the wire: L2, L1, L0.
// The utilisation is the smoothed one that the decision was about.
func setMetrics(in *advert.Instance, r *collect.Report, smoothed float64) {
	from := advert.Source(0)
	if in.Flags&advert.Aggregate != 0 {
		from = advert.SourceAggregation
	}
	score := func(t advert.MetricType, v collect.Score) {
		if v.Known {
			in.SetScore(t, float64(v.Octet), advert.StatMean, from|advert.SourceNormalization)
		}
	}
	score(advert.NormFI, r.NormFI)
	score(advert.ComputingComb, r.Computing)
	score(advert.CommunicationComb, r.Communication)
	score(advert.ServiceComb, r.Service)
	if v := r.Delay; v.Known() {
		in.SetServiceDelayDur(seconds(v.Value), advert.StatCurrent, from|v.Source)
	}
	if v := r.Utilisation; v.Known() {
		in.SetUtilisation(smoothed, advert.StatCurrent, from|v.Source)
	}
	if v := r.InFlight; v.Known() {
		in.SetInFlightN(uint32(min(v.Value, math.MaxUint32)), advert.StatCurrent, from|v.Source)
	}
	if v := r.Capacity; v.Known() {
		in.SetCapacityFlows(v.Value, advert.StatCurrent, from|v.Source)
	}
	if v := r.Slots; v.Known() {
		in.SetSlotsN(uint32(min(v.Value, math.MaxUint32)), advert.StatCurrent, from|v.Source)
	}
	if v := r.ServiceTime; v.Known() {
		in.SetServiceTimeDur(seconds(v.Value), advert.StatCurrent, from|v.Source)
	}
}

// seconds is a duration of v seconds, at most a day: sources may say anything.
func seconds(v float64) time.Duration {
	return time.Duration(min(v, 86400) * float64(time.Second))
}

// instanceRoute writes the route that carries what is said of its riders, and
// reports false if nothing is.
func (c *Core) instanceRoute(p netip.Prefix, r *route) (Route, bool, error) {
	a := advert.Attribute{Profile: c.opt.Profile, Locator: c.opt.Locator}
	out := Route{Prefix: p, Shutdown: true}
	for _, sub := range r.riders {
		if sub.said == nil {
			continue
		}
		a.Instances = append(a.Instances, *sub.said)
		if sub.said.Flags&advert.Drain == 0 {
			out.Shutdown = false
		}
	}
	if len(a.Instances) == 0 {
		return Route{}, false, nil
	}
	for n := len(a.Instances); advert.AttributeLen(&a) > advert.MaxAttributeLen; n-- {
		// Routers drop longer ones (and the route with it): say what fits.
		a.Instances = a.Instances[:n-1]
	}
	var err error
	if out.Attribute, err = c.seal(&a, p); err != nil {
		return Route{}, false, err
	}
	if c.opt.Communities {
		for i := range a.Instances {
			in := &a.Instances[i]
			out.Large, err = advert.AppendCommunities(out.Large, c.opt.Profile.Domain, in, advert.CommunityIndex{Service: in.Service.Index()})
			if err != nil {
				return out, true, err // the attribute says it all the same
			}
		}
	}
	return out, true, nil
}

// anycastRoute writes the CS-ID route of a service, and reports false if it is
// not to be announced. Nothing volatile is in it.
func (c *Core) anycastRoute(s *service) (Route, bool, error) {
	said, draining := 0, 0
	count := func(sub *subject) {
		if sub.said != nil {
			said++
			if sub.said.Flags&advert.Drain != 0 {
				draining++
			}
		}
	}
	least := max(s.MinInstances, 1)
	if s.PerInstance {
		for _, m := range s.members {
			count(m)
		}
	} else if s.whole != nil {
		count(s.whole)
		least = 1 // the aggregate is only said while enough instances are up
	}
	if said < least {
		return Route{}, false, nil
	}
	profile := c.opt.Profile
	if !s.PerInstance {
		profile.Flags |= advert.AggregatedOnly
	}
	a := advert.Attribute{Profile: profile, Locator: c.opt.Locator, Site: c.opt.Site}
	r := Route{Prefix: s.ID.Prefix(), Anycast: true, Shutdown: draining == said}
	var err error
	if r.Attribute, err = c.seal(&a, r.Prefix); err != nil {
		return Route{}, false, fmt.Errorf("anycast route: %w", err)
	}
	return r, true, nil
}

// seal encodes an attribute, signed if the site signs.
func (c *Core) seal(a *advert.Attribute, p netip.Prefix) ([]byte, error) {
	b, err := advert.AppendAttribute(nil, a)
	if err != nil || c.opt.Sign == nil {
		return b, err
	}
	return c.opt.Sign.Sign(b, p)
}

func equalRoute(a, b Route) bool {
	return a.Prefix == b.Prefix && bytes.Equal(a.Attribute, b.Attribute) && slices.Equal(a.Large, b.Large) &&
		a.Shutdown == b.Shutdown && a.Anycast == b.Anycast
}
