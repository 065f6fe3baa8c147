package egress

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/catsbgp/catsbgp/advert"
	"github.com/catsbgp/catsbgp/dampening"
	"github.com/catsbgp/catsbgp/internal/collect"
	"github.com/catsbgp/catsbgp/internal/events"
	"github.com/catsbgp/catsbgp/internal/timers"
)

// A Core is the egress side of an agent without its clock, sockets and
// goroutines. It is not safe for concurrent use. Equal inputs give equal
// outputs.
type Core struct {
	opt      Options
	table    *dampening.Table
	services map[advert.CSID]*service
	subjects map[string]*subject // by key
	drains   map[Target]Drain
	timers   timers.Heap[*subject]

	dirty  map[*subject]bool       // observe before the next Advance
	routes map[netip.Prefix]*route // instance routes
	moved  map[netip.Prefix]bool   // instance routes to compose again
}

// A service is one configured service with what this site says of it.
type service struct {
	Service
	members  []*subject // its instances, by CSCI-ID
	whole    *subject   // its aggregate, nil if not said
	anycast  *Route     // as last put out, nil: withdrawn
	reassess bool       // membership or a said state changed
}

// A subject is what the site says something about: an instance, or all
// instances of a service as one.
type subject struct {
	key     string
	service *service
	id      advert.CSCIID
	prefix  netip.Prefix         // the route it rides on
	acc     *collect.Accumulator // nil for an aggregate
	report  collect.Report

	said     *advert.Instance // nil: nothing is said
	sequence advert.Sequence  // last used
	last     dampening.Decision
	lastAt   time.Time
	timer    timers.Item[*subject]
}

// A route is an instance route and who rides on it.
type route struct {
	riders []*subject // ordered by service, CSCI-ID
	out    bool       // put out and not withdrawn
}

// Output is what a Step wants done and has to tell.
type Output struct {
	Put      []Route        // announce, or announce anew; by prefix
	Withdraw []netip.Prefix // by prefix
	Verdicts []Verdict      // what was said and what was held back, in order
	Notes    []Note
	Next     time.Time // call Step again then, if nothing happens; zero: never
}

// A Verdict is a decision of the dampening table about a subject.
type Verdict struct {
	Service string
	Key     collect.Key
	Whole   bool // the site's aggregate
	dampening.Decision
	Report collect.Report // that it was made on
}

// A Note is something an operator should hear about once.
type Note struct {
	Name    events.Name
	Service string
	Key     collect.Key
	Text    string
}

// New returns the core of a site that has said nothing yet. The seed only
// spreads refreshes.
func New(now time.Time, opt Options, seed uint64) *Core {
	c := &Core{
		table:    dampening.NewTable(opt.Dampening, seed),
		services: map[advert.CSID]*service{},
		subjects: map[string]*subject{},
		drains:   map[Target]Drain{},
		dirty:    map[*subject]bool{},
		routes:   map[netip.Prefix]*route{},
		moved:    map[netip.Prefix]bool{},
	}
	c.Configure(now, opt)
	return c
}

// Configure replaces the configuration. Instances that are in both keep their
// history, penalties and sequence; what is gone is withdrawn at the next Step.
func (c *Core) Configure(now time.Time, opt Options) {
	everything := opt.Profile != c.opt.Profile || opt.Locator != c.opt.Locator ||
		opt.Communities != c.opt.Communities || opt.Sign != c.opt.Sign || !opt.Site.Equal(&c.opt.Site)
	c.opt = opt
	c.table.SetParams(now, opt.Dampening)
	c.table.SetBudgets(now, opt.Budgets)

	wanted := map[string]bool{}
	for _, sv := range opt.Services {
		s := c.services[sv.ID]
		if s == nil {
			s = &service{}
			c.services[sv.ID] = s
		}
		s.Service, s.members, s.whole, s.reassess = sv, nil, nil, true
		for _, in := range sv.Instances {
			sub := c.subject(now, s, subjectKey(sv.ID, in.ID, false), in.ID)
			if sub.acc == nil {
				sub.acc = collect.NewAccumulator(in)
			} else {
				sub.acc.SetInstance(now, in)
			}
			if !sv.PerInstance {
				c.table.Remove(now, sub.key)
			}
			s.members = append(s.members, sub)
			wanted[sub.key] = true
		}
		slices.SortFunc(s.members, func(a, b *subject) int { return a.id.Compare(b.id) })
		if sv.Aggregate {
			s.whole = c.subject(now, s, subjectKey(sv.ID, sv.AggregateID, true), sv.AggregateID)
			wanted[s.whole.key] = true
		}
	}
	for key, sub := range c.subjects {
		if !wanted[key] {
			delete(c.subjects, key)
			delete(c.dirty, sub)
			c.timers.Remove(&sub.timer)
			c.unride(sub)
			c.table.Remove(now, key)
		}
	}
	for id, s := range c.services {
		if !slices.ContainsFunc(opt.Services, func(sv Service) bool { return sv.ID == id }) {
			s.members, s.whole, s.reassess = nil, nil, true
		}
	}
	if everything {
		for p := range c.routes {
			c.moved[p] = true
		}
		for _, s := range c.services {
			s.anycast, s.reassess = nil, true
		}
	}
}

func subjectKey(cs advert.CSID, id advert.CSCIID, whole bool) string {
	k := collect.Key{Service: cs, ID: id}.String()
	if whole {
		k += " aggregate"
	}
	return k
}

// subject returns the subject of a key, a new one if need be, riding on the
// right route.
func (c *Core) subject(now time.Time, s *service, key string, id advert.CSCIID) *subject {
	sub := c.subjects[key]
	if sub == nil {
		sub = &subject{key: key, id: id}
		sub.timer.Owner = sub
		c.subjects[key] = sub
	}
	sub.service = s
	prefix := c.carrier(id)
	if sub.prefix != prefix {
		c.unride(sub)
		sub.prefix = prefix
		r := c.routes[prefix]
		if r == nil {
			r = &route{}
			c.routes[prefix] = r
		}
		r.riders = append(r.riders, sub)
		slices.SortFunc(r.riders, func(a, b *subject) int {
			return cmp.Or(a.service.ID.Compare(b.service.ID), a.id.Compare(b.id), cmp.Compare(a.key, b.key))
		})
		c.moved[prefix] = true
	}
	c.dirty[sub] = true
	return sub
}

// carrier is the instance route of a CSCI-ID: its host route, or the
// locator's for an identifier that is not an address.
func (c *Core) carrier(id advert.CSCIID) netip.Prefix {
	a := id.Addr()
	if !a.IsValid() {
		a = c.opt.Locator
	}
	return netip.PrefixFrom(a, a.BitLen())
}

func (c *Core) unride(sub *subject) {
	r := c.routes[sub.prefix]
	if r == nil {
		return
	}
	r.riders = slices.DeleteFunc(r.riders, func(o *subject) bool { return o == sub })
	c.moved[sub.prefix] = true
}

// Observe takes in what a source or a check reported. Events of instances that
// are not configured (any more) are ignored.
func (c *Core) Observe(now time.Time, ev collect.Event) {
	var key collect.Key
	switch ev := ev.(type) {
	case collect.SourceEvent:
		key = ev.Key
	case collect.CheckEvent:
		key = ev.Key
	default:
		panic(fmt.Sprintf("BUG: egress: unknown event %T", ev))
	}
	sub := c.subjects[subjectKey(key.Service, key.ID, false)]
	if sub == nil || sub.acc == nil {
		return
	}
	sub.acc.Observe(now, ev)
	c.dirty[sub] = true
}

// Step decides what to say at time now.
func (c *Core) Step(now time.Time) Output {
	var out Output
	c.expireDrains(now, &out)
	for _, sub := range c.timers.Due(now) {
		c.dirty[sub] = true
	}
	c.assess(now, &out)
	decisions, next := c.table.Advance(now)
	for _, d := range decisions {
		c.apply(now, d, &out)
	}
	c.compose(&out)
	c.anycast(&out)
	out.Next = timers.Earliest(next, c.timers.Next(), c.nextDeadline())
	return out
}

// assess condenses what was observed and shows it to the dampening table:
// first the instances, then the aggregates of services that one of them
// belongs to.
func (c *Core) assess(now time.Time, out *Output) {
	subs := slices.SortedFunc(maps.Keys(c.dirty), func(a, b *subject) int { return cmp.Compare(a.key, b.key) })
	clear(c.dirty)
	whole := map[*subject]bool{}
	for _, sub := range subs {
		if sub.acc == nil {
			whole[sub] = true
			continue
		}
		before := sub.report.State
		sub.report = sub.acc.Report(now)
		if sub.report.State != before {
			out.Notes = append(out.Notes, stateNote(sub, before))
		}
		c.timers.Set(&sub.timer, sub.acc.Due(now))
		if sub.service.PerInstance {
			c.table.Observe(now, sub.key, c.observation(sub))
		}
		if w := sub.service.whole; w != nil {
			whole[w] = true
		} else if !sub.service.PerInstance {
			sub.service.reassess = true
		}
	}
	for _, sub := range slices.SortedFunc(maps.Keys(whole), func(a, b *subject) int { return cmp.Compare(a.key, b.key) }) {
		sub.report = c.aggregate(sub.service)
		c.table.Observe(now, sub.key, c.observation(sub))
	}
}

// aggregate condenses the members that may take flows.
func (c *Core) aggregate(s *service) collect.Report {
	var up []collect.Report
	for _, m := range s.members {
		if m.report.State == collect.Up && c.drainOf(m) == nil {
			up = append(up, m.report)
		}
	}
	if len(up) < s.MinInstances {
		// All of them may be draining: then the aggregate is there and drains.
		up = up[:0]
		for _, m := range s.members {
			if m.report.State == collect.Up {
				up = append(up, m.report)
			}
		}
	}
	if len(up) < s.MinInstances || len(up) == 0 {
		return collect.Report{State: collect.Down, Reason: fmt.Sprintf("%d of at least %d instances up", len(up), s.MinInstances)}
	}
	return collect.AggregateReports(up, s.Normalization)
}

// observation is what the dampening table gets to see of a subject.
func (c *Core) observation(sub *subject) dampening.Observation {
	o := dampening.Observation{State: dampening.Down, Level: level(&sub.report)}
	if sub.report.State == collect.Up {
		o.State = dampening.Up
		if d := c.drainOf(sub); d != nil {
			o.State = dampening.Draining
			if d.Withdraw {
				o.State = dampening.Down
			}
		}
	}
	return o
}

// level is the watched quantity: the utilisation, or what stands for it where
// a site only knows a score.
func level(r *collect.Report) float64 {
	switch {
	case r.Utilisation.Known():
		return r.Utilisation.Value
	case r.NormFI.Known:
		return 1 - r.NormFI.Value/10
	}
	return 0
}

// apply carries out one decision of the table.
func (c *Core) apply(now time.Time, d dampening.Decision, out *Output) {
	sub := c.subjects[d.Key]
	if sub == nil {
		return // configured away: its route was composed without it
	}
	out.Verdicts = append(out.Verdicts, Verdict{
		Service: sub.service.Name, Key: collect.Key{Service: sub.service.ID, ID: sub.id}, Whole: sub.acc == nil,
		Decision: d, Report: sub.report,
	})
	sub.last, sub.lastAt = d, now
	if !d.Say {
		return
	}
	c.moved[sub.prefix] = true
	sub.service.reassess = true
	if d.State == dampening.Down {
		sub.said = nil
		return
	}
	sub.sequence = nextSequence(sub.sequence, now)
	_, validity := c.table.Validity()
	sub.said = sub.instance(now, d, validity)
}

// compose writes the instance routes whose riders changed.
func (c *Core) compose(out *Output) {
	for _, p := range slices.SortedFunc(maps.Keys(c.moved), comparePrefix) {
		r := c.routes[p]
		if r == nil {
			continue
		}
		wanted, ok, err := c.instanceRoute(p, r)
		if err != nil {
			out.Notes = append(out.Notes, Note{Name: events.RouteRefused, Text: fmt.Sprintf("%s: %v", p, err)})
		}
		switch {
		case ok:
			out.Put = append(out.Put, wanted)
			r.out = true
		case r.out:
			out.Withdraw = append(out.Withdraw, p)
			r.out = false
		}
		if len(r.riders) == 0 {
			delete(c.routes, p)
		}
	}
	clear(c.moved)
}

// anycast announces and withdraws the CS-ID routes. They change when
// instances come and go, or the operator drains, never with load.
func (c *Core) anycast(out *Output) {
	for _, id := range slices.SortedFunc(maps.Keys(c.services), advert.CSID.Compare) {
		s := c.services[id]
		if !s.reassess {
			continue
		}
		s.reassess = false
		wanted, ok, err := c.anycastRoute(s)
		if err != nil {
			out.Notes = append(out.Notes, Note{Name: events.RouteRefused, Service: s.Name, Text: err.Error()})
		}
		switch {
		case ok && (s.anycast == nil || !equalRoute(*s.anycast, wanted)):
			if s.anycast == nil {
				out.Notes = append(out.Notes, Note{Name: events.ServiceUp, Service: s.Name, Text: id.String()})
			}
			out.Put = append(out.Put, wanted)
			s.anycast = &wanted
		case !ok && s.anycast != nil:
			out.Notes = append(out.Notes, Note{Name: events.ServiceDown, Service: s.Name, Text: id.String()})
			out.Withdraw = append(out.Withdraw, s.anycast.Prefix)
			s.anycast = nil
		}
		if len(s.members) == 0 {
			delete(c.services, id)
		}
	}
}

func stateNote(sub *subject, before collect.State) Note {
	n := Note{Service: sub.service.Name, Key: collect.Key{Service: sub.service.ID, ID: sub.id}, Text: sub.report.Reason}
	switch sub.report.State {
	case collect.Up:
		n.Name = events.InstanceUp
	case collect.Down:
		n.Name = events.InstanceDown
	default:
		n.Name = events.AgentWarning
	}
	if n.Text == "" {
		n.Text = fmt.Sprintf("was %s", before)
	}
	return n
}

func comparePrefix(a, b netip.Prefix) int {
	return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
}

// nextSequence follows the clock where it can, so that an agent that restarts
// without memory does not fall behind what it said before: eight numbers a
// second leave room for bursts, and half the range (RFC 1982) lasts 8 years.
func nextSequence(last advert.Sequence, now time.Time) advert.Sequence {
	next := last + 1
	if byClock := advert.Sequence(now.Unix() * 8); last == 0 || byClock.Newer(next) {
		next = byClock
	}
	return next
}
