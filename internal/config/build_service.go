package config

import (
	"errors"
	"math"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/catsbgp/catsbgp/advert"
	"github.com/catsbgp/catsbgp/dampening"
	"github.com/catsbgp/catsbgp/internal/collect"
	"github.com/catsbgp/catsbgp/selection"
)

// maxAggregates is how many services one CSCI-ID can stand for: their
// aggregates share one route, whose attribute must stay below 4096 octets
// (RFC 4271 section 4.3) with a CS-ID TLV and an Instance TLV for each.
const maxAggregates = 40

func (b *builder) services(c *Config) []Service {
	var services []Service
	names, wholes := register[string]{}, map[netip.Addr]int{}
	for i := range b.raw.Services {
		at := elementPath("service", i)
		r := &b.raw.Services[i]
		b.word(at+".name", r.Name)
		if b.good(at + ".name") {
			names.add(b, at+".name", "name", r.Name)
		}
		if !r.AggregateID.IsValid() && b.good(at+".aggregate_id") {
			r.AggregateID = address{c.Agent.Locator}
		}
		s := Service{
			Name: r.Name, ID: r.ID.CSID, Announce: Announce(r.Announce), AggregateID: advert.InstanceAddr(r.AggregateID.Addr),
			MinInstances: r.MinInstances, Policy: b.policy(at, r, c), Normalization: b.normalization(at+".normalization", &r.Normalization),
		}
		s.Instances = b.instances(at, r, s)
		b.membership(at, r, s, c)
		if s.Announce.Whole() && r.AggregateID.IsValid() {
			if wholes[r.AggregateID.Addr]++; wholes[r.AggregateID.Addr] == maxAggregates+1 {
				b.conflict([]string{at + ".aggregate_id", at + ".announce"}, "give the services aggregate_id of their own",
					"more than %d services are announced as a whole on %s: they no longer fit in one BGP message", maxAggregates, r.AggregateID)
			}
		}
		services = append(services, s)
	}
	b.overlaps(services)
	return services
}

// overlaps finds CS-IDs that share addresses.
func (b *builder) overlaps(services []Service) {
	for i, s := range services {
		for k, o := range services[:i] {
			if !s.ID.IsValid() || !o.ID.IsValid() || !s.ID.Prefix().Overlaps(o.ID.Prefix()) {
				continue
			}
			at, first := elementPath("service", i)+".cs_id", elementPath("service", k)+".cs_id"
			how := "overlaps"
			if s.ID == o.ID {
				how = "is the same as"
			}
			b.fail(at, "", "%s %s %s of service %q on line %d", s.ID, how, o.ID, o.Name, b.value(first).line)
			break
		}
	}
}

// membership checks the service against its instances and the site.
func (b *builder) membership(at string, r *rawService, s Service, c *Config) {
	if !s.ID.IsValid() {
		return
	}
	if loc := c.Agent.Locator; loc.IsValid() && s.ID.Prefix().Contains(loc) {
		b.fail(at+".cs_id", "", "contains agent.locator %s: tunnels to it would end in the anycast service", loc)
	}
	if r.AggregateID.IsValid() && r.AggregateID.Addr != c.Agent.Locator && s.ID.Prefix().Contains(r.AggregateID.Addr) {
		b.fail(at+".aggregate_id", "", "%s is within the anycast prefix %s; it must be an address of this site alone", r.AggregateID, s.ID)
	}
	if n := len(s.Instances); n > 0 && s.MinInstances > n && b.good(at+".min_instances") {
		b.fail(at+".min_instances", "", "is %d, but there are only %d instances: the service would never be announced", s.MinInstances, n)
	}
	if n := len(s.Instances); n > c.BGP.MaxInstancesPerService {
		b.fail(at+".instance", "announce an aggregate, or raise the limit in the whole domain", "%d instances are more than bgp.max_instances_per_service (%d)", n, c.BGP.MaxInstancesPerService)
	}
	if w := s.Policy.Warning(); w != "" {
		b.warn(at+".policy", "", "%s", w)
	}
	if len(s.Instances) == 0 {
		return
	}
	v4, v6 := len(c.BGP.Peers) == 0, len(c.BGP.Peers) == 0
	for _, p := range c.BGP.Peers {
		v4, v6 = v4 || p.IPv4, v6 || p.IPv6
	}
	if is4 := s.ID.Prefix().Addr().Is4(); is4 && !v4 || !is4 && !v6 {
		b.warn(at+".cs_id", "", "no peer has the family of %s: nobody will hear of it", s.ID)
	}
}

func (b *builder) policy(at string, r *rawService, c *Config) selection.Policy {
	p := c.Selection
	p.Kind = selection.Kind(r.Policy)
	p.MaxDelay, p.MinScore = r.MaxDelay.d(), r.MinScore
	for i, name := range r.Sites {
		path := elementPath(at+".sites", i)
		if _, err := netip.ParseAddr(name); err == nil {
			p.Sites = append(p.Sites, name)
			continue
		}
		var known []string
		for _, s := range c.Sites {
			known = append(known, s.Name)
		}
		if !slices.Contains(known, name) {
			hint := didYouMean(name, known)
			if hint == "" {
				hint = "name it in [[selection.site]], or write its locator"
			}
			b.fail(path, hint, "unknown site %q", name)
		}
		p.Sites = append(p.Sites, name)
	}
	return p
}

func (b *builder) selection() selection.Policy {
	r := &b.raw.Selection
	p := selection.Default()
	p.Tick, p.Gain, p.Omega, p.Penalty, p.Eta = r.Tick.d(), r.Gain, r.Omega, r.Penalty, float64(r.Eta)
	p.Draws, p.MinShare, p.RateWindow = r.Draws, r.MinShare, r.RateWindow.d()
	p.NewInstanceHold, p.DefaultSlots, p.DefaultServiceTime = r.NewInstanceHold.d(), r.DefaultSlots, r.DefaultServiceTime.d()
	p.StaleAfter, p.OutAfter = r.StaleAfter.d(), r.OutAfter.d()
	if p.Tick > 0 && p.Tick < 100*time.Millisecond && b.good("selection.tick") {
		b.fail("selection.tick", "", "must be 0s or at least 100ms, found %s", r.Tick)
	}
	if p.StaleAfter > 0 && p.OutAfter > 0 && p.OutAfter < p.StaleAfter {
		b.fail("selection.out_after", "", "must not be shorter than stale_after (%s)", r.StaleAfter)
	}
	return p
}

func (b *builder) sites() []Site {
	var sites []Site
	names, locators := register[string]{}, register[netip.Addr]{}
	for i, r := range b.raw.Selection.Sites {
		at := elementPath("selection.site", i)
		b.word(at+".name", r.Name)
		if b.good(at + ".name") {
			names.add(b, at+".name", "name", r.Name)
		}
		if r.Locator.IsValid() {
			locators.add(b, at+".locator", "locator", r.Locator.Addr)
		}
		sites = append(sites, Site{Locator: r.Locator.Addr, Name: r.Name, Weight: r.Weight, Preference: r.Preference})
	}
	return sites
}

func (b *builder) normalization(at string, r *rawNormalization) collect.Normalization {
	n := collect.Normalization{
		Window: r.Window.d(), Sigmoid: r.Function == "sigmoid", Aggregation: collect.Aggregation(r.Aggregation),
		Computing: r.Weights.Computing, Communication: r.Weights.Communication, Service: r.Weights.Service,
	}
	if r.Window.d()%(100*time.Millisecond) != 0 {
		b.fail(at+".window", "", "must be a multiple of 100ms, the unit on the wire; found %s", r.Window)
	}
	if n.Computing+n.Communication+n.Service == 0 {
		b.fail(at+".weights", "", "one of the weights must be more than 0")
	}
	type use struct{ metric, category string }
	uses := register[use]{}
	for i, in := range r.Inputs {
		path := elementPath(at+".input", i)
		if b.good(path+".metric", path+".category") {
			if first, again := uses[use{in.Metric, in.Category}]; again {
				b.fail(path+".metric", "", "%q already counts towards %s on line %d", in.Metric, in.Category, b.value(first).line)
			}
			uses[use{in.Metric, in.Category}] = path + ".metric"
		}
		if in.Best == in.Worst && b.good(path+".best", path+".worst") {
			b.fail(path+".worst", "", "best and worst are both %s: no value could be told from another", number(in.Best))
		}
		n.Inputs = append(n.Inputs, collect.Input{
			Metric: in.Metric, Category: collect.Category(in.Category), Best: in.Best, Worst: in.Worst, Weight: in.Weight,
		})
	}
	return n
}

func (b *builder) instances(at string, r *rawService, s Service) []collect.Instance {
	var instances []collect.Instance
	ids := register[netip.Addr]{}
	for i := range r.Instances {
		path := elementPath(at+".instance", i)
		in := &r.Instances[i]
		id := in.ID.Addr
		if id.IsValid() {
			ids.add(b, path+".id", "id", id)
		}
		switch {
		case !id.IsValid():
		case id.IsUnspecified() || id.IsLoopback() && b.raw.Agent.Locator.IsValid() && !b.raw.Agent.Locator.IsLoopback():
			b.fail(path+".id", "", "%s is no address that others can send to", id)
		case s.ID.IsValid() && s.ID.Prefix().Contains(id):
			b.fail(path+".id", "use the unicast address of the instance", "%s is within the anycast prefix %s: its host route would draw the service's clients", id, s.ID)
		case s.Announce == Both && s.AggregateID.Addr() == id:
			b.fail(path+".id", "set aggregate_id", "%s also stands for the site as a whole", id)
		}
		if loc := b.raw.Agent.Locator; id.IsValid() && loc.IsValid() && id.Is4() != loc.Is4() {
			b.warn(path+".id", "", "%s and agent.locator %s are of different families: the tunnel must carry one in the other", id, loc)
		}
		out := collect.Instance{
			Key:  collect.Key{Service: s.ID, ID: advert.InstanceAddr(id)},
			Name: s.Name, Capacity: in.Capacity, Slots: in.Slots, ServiceTime: in.ServiceTime.d(), Normalization: s.Normalization,
		}
		sources, checks := register[string]{}, register[string]{}
		for k := range in.Sources {
			p := elementPath(path+".source", k)
			if b.good(p + ".name") {
				sources.add(b, p+".name", "name", in.Sources[k].Name)
			}
			out.Sources = append(out.Sources, b.source(p, &in.Sources[k]))
		}
		for k := range in.Checks {
			p := elementPath(path+".check", k)
			ch := &in.Checks[k]
			if ch.Name == "" {
				ch.Name = ch.Type + "-" + strconv.Itoa(k+1)
			}
			if b.good(p+".name", p+".type") {
				checks.add(b, p+".name", "name", ch.Name)
			}
			out.Checks = append(out.Checks, b.check(p, ch, s.ID))
		}
		if len(in.Sources)+len(in.Checks) == 0 && b.good(path+".source", path+".check") {
			b.warn(path+".id", "add a [[service.instance.check]]", "has neither a source nor a check: it is taken to be there for ever")
		}
		b.delivered(at, path, r, in)
		instances = append(instances, out)
	}
	return instances
}

// delivered warns of values that count but that no source of the instance
// delivers, and of names close to one with a meaning. Sources without a list
// of values may deliver anything.
func (b *builder) delivered(service, instance string, r *rawService, in *rawInstance) {
	meanings := []string{
		collect.ValueUtilisation, collect.ValueInFlight, collect.ValueCapacity, collect.ValueSlots,
		collect.ValueServiceTime, collect.ValueDelay, collect.ValueFlowRate,
	}
	wanted := slices.Clone(meanings)
	for _, input := range r.Normalization.Inputs {
		wanted = append(wanted, input.Metric)
	}
	var names []string
	open := len(in.Sources) == 0
	for k, s := range in.Sources {
		open = open || len(s.Values) == 0
		for name := range s.Values {
			names = append(names, name)
			if !slices.Contains(wanted, name) {
				if near := suggest(name, meanings); near != "" {
					path := joinPath(elementPath(instance+".source", k)+".values", name)
					b.report(b.key(path), Warning, path, didYouMean(name, meanings), "has no meaning of its own and no normalization.input uses it")
				}
			}
		}
	}
	if open {
		return
	}
	for i, input := range r.Normalization.Inputs {
		// What has a meaning may also follow from other values.
		if path := elementPath(service+".normalization.input", i) + ".metric"; b.good(path) && !slices.Contains(meanings, input.Metric) && !slices.Contains(names, input.Metric) {
			b.warn(path, didYouMean(input.Metric, names), "no source of instance %s delivers %q", in.ID, input.Metric)
		}
	}
}

// ceiling is the highest penalty that RFC 2439 keeps (section 4.2).
func ceiling(p dampening.Params) float64 {
	return p.PresenceReuse * math.Exp2(p.PresenceMaxSuppress.Seconds()/p.PresenceHalfLife.Seconds())
}

// hostPort splits "host:port", with a port of 1 to 65535.
func hostPort(s string) (host string, port uint16, err error) {
	host, p, err := net.SplitHostPort(s)
	if err != nil {
		return "", 0, err
	}
	n, err := strconv.ParseUint(p, 10, 16)
	if err != nil || n == 0 {
		return "", 0, errors.New("port is not within 1 to 65535")
	}
	return host, uint16(n), nil
}

func (d duration) d() time.Duration { return time.Duration(d) }
