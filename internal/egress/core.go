package egress

import (
	"cmp"
	"fmt"
	"iter"
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
	order    []*subject          // of them, as shown; nil: to be sorted again
	drains   map[Target]Drain
	timers   timers.Heap[*subject]

	dirty    map[*subject]bool       // observe before the next Advance
	reassess map[*service]bool       // membership or a said state changed
	routes   map[netip.Prefix]*route // instance routes
	moved    map[netip.Prefix]bool   // instance routes to compose again

	handovers map[*service]bool // with somebody leaving
	gone      []*subject        // configured away, until the next Step

	// Sequences of subjects that were configured away, by key, where they are
	// ahead of the clock.
	retired map[string]advert.Sequence
}

// A service is one configured service with what this site says of it.
type service struct {
	Service
	gone    bool       // configured away
	members []*subject // its instances, by CSCI-ID
	whole   *subject   // its aggregate, nil if not said
	leaving []*subject // said, though no longer configured to be: until others are
	anycast *Route     // as last put out, nil: withdrawn
	problem string     // as last told
}

// A subject is what the site says something about: an instance, or all
// instances of a service as one.
type subject struct {
	key     string
	service *service
	id      advert.CSCIID
	prefix  netip.Prefix         // the route it rides on
	acc     *collect.Accumulator // nil for an aggregate
	config  collect.Instance     // likewise
	speaks  bool                 // configured to be said
	leaving bool                 // in service.leaving
	gone    bool                 // configured away; until the next Step

	report collect.Report
	state  collect.State // that counts: for a while, Unknown does not end Up
	unsure time.Time     // until when; zero: it is known
	// Of measured values that are said beside the load.
	capacity, serviceTime average

	last     dampening.Decision
	said     *advert.Instance // nil: nothing is said
	sequence advert.Sequence  // last used
	timer    timers.Item[*subject]
}

// A route is an instance route and who rides on it.
type route struct {
	riders  []*subject // ordered by service, CSCI-ID
	out     *Route     // as last put out, nil: withdrawn
	problem string     // as last told
}

// Output is what a Step wants done and has to tell.
//
// Announce first, then withdraw: then nothing is lost where one route takes
// over from another.
type Output struct {
	Put      []Route        // announce, or announce anew: instance routes by prefix, then anycast routes by CS-ID
	Withdraw []netip.Prefix // likewise
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

	// Repeated: the same is held back by the same guard as in the last verdict
	// about this subject. It counts, but is no news.
	Repeated bool
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
		reassess: map[*service]bool{},
		routes:   map[netip.Prefix]*route{},
		moved:    map[netip.Prefix]bool{},

		handovers: map[*service]bool{},
		retired:   map[string]advert.Sequence{},
	}
	c.Configure(now, opt)
	return c
}

// Configure replaces the configuration. Instances that are in both keep their
// history, penalties and sequence; what is gone is withdrawn at the next Step.
// Where a service is to be said in another form (as a whole instead of by
// instances, or under another CSCI-ID), the old one stays until the new one is
// said.
func (c *Core) Configure(now time.Time, opt Options) {
	c.order = nil
	c.opt = opt
	c.table.SetParams(now, opt.Dampening)
	c.table.SetBudgets(now, opt.Budgets)

	kept := map[*subject]bool{}
	spoke := map[*subject]bool{}
	for _, sub := range c.subjects {
		spoke[sub] = sub.speaks || sub.leaving
		sub.speaks, sub.leaving = false, false
	}
	for _, s := range c.services {
		s.gone, s.members, s.whole, s.leaving = true, nil, nil, nil
		c.reassess[s] = true
	}
	for _, sv := range opt.Services {
		s := c.services[sv.ID]
		if s == nil {
			s = &service{}
			c.services[sv.ID] = s
		}
		s.Service, s.gone = sv, false
		c.reassess[s] = true
		for _, in := range sv.Instances {
			sub := c.subject(s, subjectKey(sv.ID, in.ID, false), in.ID)
			if sub.acc == nil {
				sub.acc = collect.NewAccumulator(in)
			} else {
				sub.acc.SetInstance(now, in)
			}
			sub.config, sub.speaks = in, sv.PerInstance
			s.members = append(s.members, sub)
			kept[sub] = true
		}
		slices.SortFunc(s.members, func(a, b *subject) int { return a.id.Compare(b.id) })
		if sv.Aggregate {
			s.whole = c.subject(s, subjectKey(sv.ID, sv.AggregateID, true), sv.AggregateID)
			s.whole.speaks = true
			kept[s.whole] = true
		}
	}
	for _, sub := range sortedSubjects(maps.Values(c.subjects)) {
		instance, s := sub.acc != nil, sub.service
		switch {
		case sub.speaks:
		case s.gone, instance && !kept[sub]:
			// There is nothing to take over from it: it is no more.
			c.leave(now, sub)
		case spoke[sub]:
			sub.leaving = true
			s.leaving = append(s.leaving, sub)
			c.handovers[s] = true
		}
	}
	for p := range c.routes {
		c.moved[p] = true // only what comes out different is announced
	}
	for key, last := range c.retired {
		if clockSequence(now).Newer(last) {
			delete(c.retired, key)
		}
	}
}

func sortedSubjects(subs iter.Seq[*subject]) []*subject {
	return slices.SortedFunc(subs, func(a, b *subject) int { return cmp.Compare(a.key, b.key) })
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
func (c *Core) subject(s *service, key string, id advert.CSCIID) *subject {
	sub := c.subjects[key]
	if sub == nil {
		sub = &subject{key: key, id: id, sequence: c.retired[key]}
		sub.timer.Owner = sub
		c.subjects[key] = sub
		c.order = nil
		delete(c.retired, key)
	}
	sub.service, sub.gone = s, false
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
	if sub == nil || sub.gone {
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
	next := c.decide(now, &out)
	if c.relieve(now) {
		next = c.decide(now, &out)
	}
	c.retire()
	c.compose(&out)
	c.anycast(&out)
	out.Next = timers.Earliest(next, c.timers.Next(), c.nextDeadline())
	return out
}

// assess condenses what was observed and shows it to the dampening table:
// first the instances, then the aggregates of services that one of them
// belongs to.
func (c *Core) assess(now time.Time, out *Output) {
	subs := sortedSubjects(maps.Keys(c.dirty))
	clear(c.dirty)
	wholes := map[*subject]bool{}
	for _, sub := range subs {
		switch {
		case sub.gone:
			continue
		case sub.acc == nil:
			wholes[sub] = true
			continue
		}
		c.look(now, sub, out)
		c.observe(now, sub)
		if w := sub.service.whole; w != nil {
			wholes[w] = true
		}
		for _, w := range sub.service.leaving {
			if w.acc == nil {
				wholes[w] = true
			}
		}
	}
	for _, sub := range sortedSubjects(maps.Keys(wholes)) {
		sub.report = c.aggregate(sub.service)
		sub.state = sub.report.State
		c.observe(now, sub)
	}
}

// look brings up to date what is known of an instance.
func (c *Core) look(now time.Time, sub *subject, out *Output) {
	before := sub.report
	sub.report = sub.acc.Report(now)
	sub.capacity.smooth(now, &sub.report.Capacity, c.opt.Dampening.Smoothing)
	sub.serviceTime.smooth(now, &sub.report.ServiceTime, c.opt.Dampening.Smoothing)
	if sub.report.State != before.State {
		out.Notes = append(out.Notes, stateNote(sub, before.State))
	}
	switch {
	case sub.report.State != collect.Unknown || sub.state != collect.Up:
		sub.state, sub.unsure = sub.report.State, time.Time{}
	case sub.unsure.IsZero():
		// A reload brought a check that has not run yet, or another source. That
		// is no reason to withdraw what serves.
		_, validity := c.table.Validity()
		sub.unsure = now.Add(validity)
		fallthrough
	case now.Before(sub.unsure):
		sub.report.L0, sub.report.L1, sub.report.NormFI = before.L0, before.L1, before.NormFI
	default:
		sub.state, sub.unsure = collect.Unknown, time.Time{}
	}
	c.timers.Set(&sub.timer, timers.Earliest(sub.acc.Due(now), sub.unsure))
}

// observe shows a subject to the table, if it is said at all.
func (c *Core) observe(now time.Time, sub *subject) {
	if !sub.speaks && !sub.leaving {
		return
	}
	c.table.Observe(now, sub.key, c.observation(sub))
	if sub.said != nil && c.differs(sub) {
		c.table.Resay(now, sub.key)
	}
}

// aggregate condenses the members that may take flows.
func (c *Core) aggregate(s *service) collect.Report {
	serving, all := 0, make([]collect.Report, 0, len(s.members)) // those that serve come first
	for _, m := range s.members {
		d := c.drainOf(m)
		if m.state != collect.Up || d != nil && d.Withdraw {
			continue
		}
		all = append(all, m.report)
		last := len(all) - 1
		all[last].State = collect.Up
		if d == nil {
			all[serving], all[last] = all[last], all[serving]
			serving++
		}
	}
	least := s.least()
	switch {
	case serving >= least:
		return collect.AggregateReports(all[:serving], s.Normalization)
	case len(all) >= least:
		// If all of them are draining, the aggregate is there and drains.
		return collect.AggregateReports(all, s.Normalization)
	}
	return collect.Report{State: collect.Down, Reason: fmt.Sprintf("%d of at least %d instances up", len(all), least)}
}

// least is how many instances must be there for the service to be.
func (s *service) least() int { return max(s.MinInstances, 1) }

// observation is what the dampening table gets to see of a subject.
func (c *Core) observation(sub *subject) dampening.Observation {
	o := dampening.Observation{State: dampening.Down, Level: level(&sub.report), Decided: sub.report.Degraded}
	if sub.state == collect.Up {
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

// decide lets the table decide, and carries it out.
func (c *Core) decide(now time.Time, out *Output) (next time.Time) {
	decisions, next := c.table.Advance(now)
	for _, d := range decisions {
		c.apply(now, d, out)
	}
	return next
}

// apply carries out one decision of the table.
func (c *Core) apply(now time.Time, d dampening.Decision, out *Output) {
	sub := c.subjects[d.Key]
	if sub == nil {
		return // the guards of what was configured away still decay
	}
	out.Verdicts = append(out.Verdicts, Verdict{
		Service: sub.service.Name, Key: collect.Key{Service: sub.service.ID, ID: sub.id}, Whole: sub.acc == nil,
		Decision: d, Report: sub.report,
		Repeated: !d.Say && !sub.last.Say && d.Reason == sub.last.Reason && d.Held == sub.last.Held && d.State == sub.last.State,
	})
	sub.last = d
	if !d.Say {
		return
	}
	c.moved[sub.prefix] = true
	c.reassess[sub.service] = true
	if d.State == dampening.Down {
		sub.said = nil
		return
	}
	sub.sequence = nextSequence(sub.sequence, now)
	_, validity := c.table.Validity()
	sub.said = sub.instance(now, d, validity)
}

// relieve takes those who are leaving out of the table where others have taken
// over, or cannot. It reports whether there were any.
func (c *Core) relieve(now time.Time) (some bool) {
	for _, s := range slices.SortedFunc(maps.Keys(c.handovers), func(a, b *service) int { return a.ID.Compare(b.ID) }) {
		relieved := s.taken() || !s.willing()
		s.leaving = slices.DeleteFunc(s.leaving, func(sub *subject) bool {
			if !relieved && sub.said != nil {
				return false
			}
			sub.leaving = false
			if sub.acc == nil {
				c.leave(now, sub)
			} else {
				c.table.Remove(now, sub.key) // it counts in the aggregate
			}
			some = true
			return true
		})
		c.reassess[s] = true
		if len(s.leaving) == 0 {
			delete(c.handovers, s)
		}
	}
	return some
}

// leave has a subject withdrawn for good.
func (c *Core) leave(now time.Time, sub *subject) {
	if !sub.gone {
		sub.gone = true
		c.gone = append(c.gone, sub)
	}
	c.timers.Remove(&sub.timer)
	c.table.Remove(now, sub.key)
}

// forms yields the subjects that a service is said by, as configured.
func (s *service) forms() []*subject {
	switch {
	case s.PerInstance:
		return s.members // the aggregate beside them is an addition
	case s.whole != nil:
		return []*subject{s.whole}
	}
	return nil
}

// taken reports whether enough is said of a service, in the configured form,
// to announce it.
func (s *service) taken() bool {
	least, said := s.least(), 0
	if !s.PerInstance {
		least = 1 // the aggregate is only said while enough instances are up
	}
	for _, sub := range s.forms() {
		if sub.said != nil {
			said++
		}
	}
	return said >= least
}

// willing reports whether there is anything to be said in the configured form,
// or will be.
func (s *service) willing() bool {
	return slices.ContainsFunc(s.forms(), func(sub *subject) bool { return sub.said != nil || sub.state != collect.Down })
}

// retire forgets what was configured away; the table has said so.
func (c *Core) retire() {
	for _, sub := range c.gone {
		if !sub.gone {
			continue // came back in time
		}
		c.unride(sub)
		delete(c.subjects, sub.key)
		c.order = nil
		delete(c.dirty, sub)
		if sub.sequence != 0 {
			c.retired[sub.key] = sub.sequence
		}
	}
	c.gone = c.gone[:0]
}

// compose writes the instance routes whose riders changed.
func (c *Core) compose(out *Output) {
	for _, p := range slices.SortedFunc(maps.Keys(c.moved), comparePrefix) {
		r := c.routes[p]
		if r == nil {
			continue
		}
		wanted, problem := c.instanceRoute(p, r)
		if problem != r.problem && problem != "" {
			out.Notes = append(out.Notes, Note{Name: events.RouteRefused, Text: fmt.Sprintf("%s: %s", p, problem)})
		}
		r.problem = problem
		switch {
		case wanted != nil && (r.out == nil || !equalRoute(*r.out, *wanted)):
			out.Put = append(out.Put, *wanted)
		case wanted == nil && r.out != nil:
			out.Withdraw = append(out.Withdraw, p)
		}
		r.out = wanted
		if len(r.riders) == 0 {
			delete(c.routes, p)
		}
	}
	clear(c.moved)
}

// anycast announces and withdraws the CS-ID routes. They change when
// instances come and go, or the operator drains, never with load.
func (c *Core) anycast(out *Output) {
	for _, s := range slices.SortedFunc(maps.Keys(c.reassess), func(a, b *service) int { return a.ID.Compare(b.ID) }) {
		wanted, problem := c.anycastRoute(s)
		note := func(name events.Name, text string) {
			out.Notes = append(out.Notes, Note{Name: name, Service: s.Name, Text: text})
		}
		if problem != s.problem && problem != "" {
			note(events.RouteRefused, problem)
		}
		s.problem = problem
		switch {
		case wanted != nil && s.anycast == nil:
			note(events.ServiceUp, s.ID.String())
			out.Put = append(out.Put, *wanted)
		case wanted != nil && !equalRoute(*s.anycast, *wanted):
			out.Put = append(out.Put, *wanted)
		case wanted == nil && s.anycast != nil:
			note(events.ServiceDown, s.ID.String())
			out.Withdraw = append(out.Withdraw, s.anycast.Prefix)
		}
		s.anycast = wanted
		if s.gone {
			delete(c.services, s.ID)
		}
	}
	clear(c.reassess)
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
// 0 is not used: it stands for none.
func nextSequence(last advert.Sequence, now time.Time) advert.Sequence {
	next := last + 1
	if clock := clockSequence(now); last == 0 || clock.Newer(next) {
		next = clock
	}
	return max(next, 1)
}

func clockSequence(now time.Time) advert.Sequence { return advert.Sequence(now.UnixMilli() / 125) }
