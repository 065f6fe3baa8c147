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
		Validity:  uint16(min((validity+time.Second-1)/time.Second, math.MaxUint16)), // 0 would be for ever
		Window:    uint16(min(sub.service.window()/(100*time.Millisecond), math.MaxUint16)),
	}
	if sub.acc == nil {
		in.Flags |= advert.Aggregate
	}
	if d.State == dampening.Draining {
		in.Flags |= advert.Drain
	}
	in.Flags |= doubts(r)
	setMetrics(in, r, d.Level)
	return in
}

// doubts are the flags for values that are not what they seem.
func doubts(r *collect.Report) (flags advert.InstanceFlags) {
	if r.Degraded || slices.ContainsFunc(r.Sources, func(s collect.SourceStatus) bool { return s.Stale }) {
		flags |= advert.Damped
	}
	if r.Anomalous {
		flags |= advert.Anomalous
	}
	return flags
}

// differs reports whether what is known of a subject differs from what is said
// by so much that it should be said again although the load, which the table
// watches, is the same: a tenth of what the load is a share of, or how far it is
// to be trusted. Scores beside a load can wait for the refresh: they follow it.
func (c *Core) differs(sub *subject) bool {
	r, said := &sub.report, sub.said
	far := func(v collect.Value, limit, said float64, known bool) bool {
		x := min(v.Value, limit) // more does not fit on the wire
		return v.Known() != known || known && math.Abs(x-said) >= max(c.opt.Dampening.Delta, 0.01)*max(x, said, 1e-2)
	}
	capacity, knownCapacity := said.CapacityFlows()
	slots, knownSlots := said.SlotsN()
	service, knownService := said.ServiceTimeDur()
	_, knownScore := said.ScoreNorm()
	const allDoubts = advert.Damped | advert.Anomalous
	return said.Flags&allDoubts != doubts(r) ||
		far(r.Capacity, math.MaxUint32/100, capacity, knownCapacity) || far(r.Slots, math.MaxUint32, float64(slots), knownSlots) ||
		far(r.ServiceTime, math.MaxUint32/1e6, service.Seconds(), knownService) ||
		r.NormFI.Known != knownScore
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

// instanceRoute writes the route that carries what is said of its riders; nil
// if nothing is. The problem is what cannot be said, "" for none.
func (c *Core) instanceRoute(p netip.Prefix, r *route) (out *Route, problem string) {
	a := advert.Attribute{Profile: c.opt.Profile, Locator: c.opt.Locator}
	out = &Route{Prefix: p, Shutdown: true}
	for _, sub := range r.riders {
		if sub.said == nil || sub.gone {
			continue
		}
		a.Instances = append(a.Instances, *sub.said)
		if sub.said.Flags&advert.Drain == 0 {
			out.Shutdown = false
		}
	}
	all := len(a.Instances)
	if all == 0 {
		return nil, ""
	}
	room := advert.MaxAttributeLen
	if c.opt.Sign != nil {
		room -= c.opt.Sign.AuthLen()
	}
	for advert.AttributeLen(&a) > room {
		// Routers drop longer ones, and the route with it: say what fits.
		a.Instances = a.Instances[:len(a.Instances)-1]
	}
	if n := len(a.Instances); n < all {
		problem = fmt.Sprintf("%d of %d instances fit; let the others have addresses of their own, or announce the service as a whole", n, all)
	}
	var err error
	if out.Attribute, err = c.seal(&a, p); err != nil {
		return nil, err.Error()
	}
	if c.opt.Communities {
		for i := range a.Instances {
			in := &a.Instances[i]
			out.Large, err = advert.AppendCommunities(out.Large, c.opt.Profile.Domain, in, advert.CommunityIndex{Service: in.Service.Index()})
			if err != nil {
				problem = err.Error() // the attribute says it all the same
			}
		}
	}
	return out, problem
}

// anycastRoute writes the CS-ID route of a service, nil if it is not to be
// announced. Nothing volatile is in it.
func (c *Core) anycastRoute(s *service) (*Route, string) {
	if s.gone || !s.taken() && len(s.leaving) == 0 {
		return nil, ""
	}
	draining := true
	for _, sub := range slices.Concat(s.forms(), s.leaving) {
		if sub.said != nil && sub.said.Flags&advert.Drain == 0 {
			draining = false
		}
	}
	profile := c.opt.Profile
	if !s.PerInstance {
		profile.Flags |= advert.AggregatedOnly
	}
	a := advert.Attribute{Profile: profile, Locator: c.opt.Locator, Site: c.opt.Site}
	r := &Route{Prefix: s.ID.Prefix(), Anycast: true, Shutdown: draining}
	var err error
	if r.Attribute, err = c.seal(&a, r.Prefix); err != nil {
		return nil, fmt.Sprintf("anycast route: %v", err)
	}
	return r, ""
}

// seal encodes an attribute, signed if the site signs.
func (c *Core) seal(a *advert.Attribute, p netip.Prefix) ([]byte, error) {
	size := advert.AttributeLen(a)
	if c.opt.Sign != nil {
		size += c.opt.Sign.AuthLen()
	}
	b, err := advert.AppendAttribute(make([]byte, 0, size), a) // kept for long: no spare room
	if err != nil || c.opt.Sign == nil {
		return b, err
	}
	return c.opt.Sign.Sign(b, p)
}

func equalRoute(a, b Route) bool {
	return a.Prefix == b.Prefix && bytes.Equal(a.Attribute, b.Attribute) && slices.Equal(a.Large, b.Large) &&
		a.Shutdown == b.Shutdown && a.Anycast == b.Anycast
}
