package ingress

import (
	"cmp"
	"maps"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/catsbgp/catsbgp/advert"
	"github.com/catsbgp/catsbgp/internal/events"
	"github.com/catsbgp/catsbgp/internal/netmetric"
	"github.com/catsbgp/catsbgp/internal/timers"
	"github.com/catsbgp/catsbgp/selection"
)

// A Core is the ingress side of an agent without its clock, sockets and
// goroutines. It is not safe for concurrent use. Equal inputs give equal
// outputs.
type Core struct {
	opt      Options
	seed     uint64
	sites    map[netip.Addr]Site    // configured, by locator
	indices  map[uint32]advert.CSID // configured, by CSID.Index; zero: two have the same
	peers    map[string]uint32      // interned names
	routes   map[routeKey]gift
	services map[advert.CSID]*service
	egresses map[netip.Addr]*egress
	graves   graveyard
	curves   *selection.Curves

	last      time.Time // latest time given
	up        uptime    // at last
	dirty     map[*service]bool
	timers    timers.Heap[*service]
	moved     bool // the set of egresses changed
	faults    map[faultKey]*tally
	notes     []Note
	unsaid    uint64           // notes left out
	attribute advert.Attribute // decoded into, again and again
	replaced  gift             // of the route that is being heard, before
}

type service struct {
	id       advert.CSID
	name     string
	selector *selection.Service
	entries  []*entry // by key
	barred   int      // of them that nothing is believed of
	split    *selection.Split
	timer    timers.Item[*service]

	// How often it was decided since.
	decided int
	since   time.Time
}

// A flood of announcements for one service, say a table that is loaded, does
// not make it decide for each: after a few at once, every hundredth of a second
// will do. With few candidates there is nothing to save.
const (
	decideBurst = 4
	decideEvery = 10 * time.Millisecond
	decideCheap = 16 // candidates
)

// mayDecide reports whether a service may decide now, and otherwise when.
func (s *service) mayDecide(now time.Time) (bool, time.Time) {
	if d := now.Sub(s.since); d < 0 || d >= decideEvery {
		s.since, s.decided = now, 0
	}
	s.decided++
	return s.decided <= decideBurst || len(s.entries) <= decideCheap, s.since.Add(decideEvery)
}

func (s *service) find(key advert.InstanceKey) (int, bool) {
	return slices.BinarySearchFunc(s.entries, key, func(e *entry, k advert.InstanceKey) int {
		return e.key().Compare(k)
	})
}

// An egress is a site as this ingress sees it.
type egress struct {
	locator netip.Addr
	name    string
	uses    map[*service]int // services, with the number of entries that lead there
	path    netmetric.Measurement
	passed  selection.Path // what the services were told last
	doubted string         // why what it claims cannot be true, as last told
	skew    time.Duration  // its clock behind ours, if that is off by more than a validity
	heard   time.Time      // newest statement with metrics
}

// Output is what a Step wants done and has to tell.
type Output struct {
	Splits   []*selection.Split // that changed, by CS-ID
	Gone     []advert.CSID      // services nobody announces any more
	Egresses []netip.Addr       // to measure, if Measure is set; sorted
	Measure  bool               // Egresses changed
	Notes    []Note
	Next     time.Time // call Step again then, if nothing happens; zero: never
}

// A Note is something an operator should hear about.
type Note struct {
	Name    events.Name
	Peer    string
	Service advert.CSID
	Key     advert.InstanceKey
	Site    string
	Text    string
}

// New returns the core of an ingress that has heard nothing yet. The seed
// spreads control ticks.
func New(opt Options, seed uint64) *Core {
	c := &Core{
		seed:     seed,
		peers:    map[string]uint32{},
		routes:   map[routeKey]gift{},
		services: map[advert.CSID]*service{},
		egresses: map[netip.Addr]*egress{},
		dirty:    map[*service]bool{},
		faults:   map[faultKey]*tally{},
		curves:   selection.NewCurves(),
	}
	c.Configure(time.Time{}, opt)
	return c
}

// Configure replaces the configuration. Names, weights and policies apply at
// once. What was refused or accepted under other keys or another domain is
// looked at again when it is next announced, which an anycast route hardly ever
// is: Configure reports whether all routes should be heard again.
func (c *Core) Configure(now time.Time, opt Options) (again bool) {
	old := c.opt
	again = old.Domain != opt.Domain || old.Normalization != opt.Normalization || old.ASN != opt.ASN ||
		old.RequireAuth != opt.RequireAuth || old.Keys != opt.Keys || old.MaxInstances < opt.MaxInstances
	c.opt = opt
	c.sites = map[netip.Addr]Site{}
	for _, s := range opt.Sites {
		c.sites[s.Locator] = s
	}
	c.indices = map[uint32]advert.CSID{}
	for id := range opt.Names {
		i := id.Index()
		if _, taken := c.indices[i]; taken {
			id = advert.CSID{}
		}
		c.indices[i] = id
	}
	if len(c.egresses) == 0 {
		return again
	}
	c.tick(now)
	for loc, e := range c.egresses {
		e.name = c.siteName(loc)
	}
	for id, s := range c.services {
		s.name = c.serviceName(id)
		s.selector.SetPolicy(now, c.policy(id))
		for _, e := range s.entries {
			s.selector.Hear(now, c.candidate(now, e))
		}
		c.dirty[s] = true
	}
	return again
}

func (c *Core) policy(id advert.CSID) selection.Policy {
	if p, ok := c.opt.Policies[id]; ok {
		return p
	}
	return c.opt.Default
}

func (c *Core) serviceName(id advert.CSID) string {
	return cmp.Or(c.opt.Names[id], id.String())
}

func (c *Core) siteName(locator netip.Addr) string {
	if name := c.sites[locator].Name; name != "" {
		return name
	}
	return locator.String()
}

// Hear takes in a route or its withdrawal.
func (c *Core) Hear(now time.Time, a Announcement) {
	if !a.Prefix.IsValid() {
		return
	}
	c.tick(now)
	key := routeKeyOf(a.Prefix, c.peer(a.Peer), a.PathID)
	old := c.routes[key]
	c.replaced = old
	var fresh gift
	if !a.Withdrawn {
		fresh = c.read(now, &a)
	}
	if fresh.empty() {
		delete(c.routes, key)
	} else {
		c.routes[key] = fresh
	}
	// Only now: what the route says again must not vanish in between.
	c.takeBack(now, &old)
	c.replaced = gift{}
}

func (c *Core) peer(name string) uint32 {
	id, ok := c.peers[name]
	if !ok {
		id = uint32(len(c.peers))
		c.peers[name] = id
	}
	return id
}

// settle brings an entry and the selection up to date after its routes or what
// they say changed.
func (c *Core) settle(now time.Time, e *entry) {
	s, was := e.service, e.rests
	e.rests = e.best()
	if e.rests == was && !e.untold && was != nothing {
		return
	}
	e.untold = false
	if e.rests != byAttribute {
		if e.known {
			c.graves.bury(c.up, e)
			e.known = false
		}
		e.heard, e.ageMillis = c.up, 0
	}
	if was == barred {
		s.barred--
	}
	c.dirty[s] = true
	if e.rests == nothing {
		c.removeEntry(now, e)
		return
	}
	if e.rests == barred {
		s.barred++
	}
	s.selector.Hear(now, c.candidate(now, e))
}

func (c *Core) newService(id advert.CSID) *service {
	s := &service{
		id: id, name: c.serviceName(id),
		selector: selection.NewShared(id, c.policy(id), c.seed^hash(id), c.curves),
	}
	s.timer.Owner = s
	c.services[id] = s
	return s
}

// newEntry adds an entry that no route rests on yet at place i of its service.
func (c *Core) newEntry(now time.Time, s *service, i int, key advert.InstanceKey) *entry {
	eg := c.egresses[key.Egress]
	if eg == nil {
		eg = &egress{locator: key.Egress, name: c.siteName(key.Egress), uses: map[*service]int{}}
		c.egresses[key.Egress] = eg
		c.moved = true
	}
	if eg.uses[s]++; eg.uses[s] == 1 && !eg.path.At.IsZero() {
		s.selector.Measure(now, key.Egress, eg.passed)
	}
	e := &entry{service: s, egress: eg, id: key.ID, rests: nothing}
	s.entries = slices.Insert(s.entries, i, e)
	return e
}

func (c *Core) removeEntry(now time.Time, e *entry) {
	s, eg := e.service, e.egress
	if i, ok := s.find(e.key()); ok {
		s.entries = slices.Delete(s.entries, i, i+1)
	}
	s.selector.Forget(now, e.key())
	if eg.uses[s]--; eg.uses[s] == 0 {
		delete(eg.uses, s)
		if eg.path.At.IsZero() {
			// The selection only lets go of a path that it was told something of.
			s.selector.Measure(now, eg.locator, selection.Path{Known: true, Reachable: true})
		}
		s.selector.Measure(now, eg.locator, selection.Path{}) // takes it back
	}
	if len(eg.uses) == 0 {
		delete(c.egresses, eg.locator)
		c.moved = true
	}
	if len(s.entries) == 0 && s.split == nil {
		// Nobody was told of it.
		delete(c.services, s.id)
		delete(c.dirty, s)
	}
}

func hash(id advert.CSID) uint64 {
	// FNV-1a; only to give services different ticks.
	h := uint64(14695981039346656037)
	b := id.Prefix().Addr().As16()
	for _, x := range b {
		h = (h ^ uint64(x)) * 1099511628211
	}
	return h
}

// Measure takes in a measurement of the path to an egress. Services hear of
// it when it says something new: every probe would have them all recompute.
func (c *Core) Measure(now time.Time, m netmetric.Measurement) {
	c.tick(now)
	e := c.egresses[m.Egress]
	if e == nil {
		return
	}
	first, was := e.path.At.IsZero(), e.passed
	e.path = m
	if m.At.IsZero() {
		e.path.At = now
	}
	path := selection.Path{RTT: m.RTT, Known: m.Known, Reachable: m.Reachable, Loss: m.Loss}
	if !first && !news(was, path) {
		return
	}
	e.passed = path
	c.reachability(e, was, path)
	for s := range e.uses {
		s.selector.Measure(now, m.Egress, path)
		c.dirty[s] = true
	}
}

// news reports whether b differs from a by what matters to a choice: a tenth
// of the round trip and a quarter of a millisecond, 2 % of loss.
func news(a, b selection.Path) bool {
	d := (a.RTT - b.RTT).Abs()
	return a.Known != b.Known || a.Reachable != b.Reachable ||
		d > a.RTT/10 && d > 250*time.Microsecond || math.Abs(a.Loss-b.Loss) > 0.02
}

// Own takes in the ingress's own flows to a target: open now, started ever.
func (c *Core) Own(now time.Time, id advert.CSID, key advert.InstanceKey, open int, started uint64) {
	if s := c.services[id]; s != nil {
		s.selector.Own(now, key, open, started)
	}
}

// Step decides at time now.
func (c *Core) Step(now time.Time) Output {
	c.tick(now)
	var out Output
	c.graves.sweep(c.up)
	for _, s := range c.timers.Due(now) {
		c.dirty[s] = true
	}
	for _, s := range slices.SortedFunc(maps.Keys(c.dirty), func(a, b *service) int { return a.id.Compare(b.id) }) {
		if len(s.entries) == 0 {
			c.timers.Remove(&s.timer)
			delete(c.services, s.id)
			out.Gone = append(out.Gone, s.id)
			continue
		}
		if ok, at := s.mayDecide(now); !ok {
			c.timers.Set(&s.timer, at)
			continue
		}
		sp := s.selector.Decide(now)
		s.split = sp.Settled()
		out.Splits = append(out.Splits, sp)
		c.timers.Set(&s.timer, s.selector.Due())
	}
	clear(c.dirty)
	if c.moved {
		c.moved = false
		out.Measure = true
		out.Egresses = slices.SortedFunc(maps.Keys(c.egresses), netip.Addr.Compare)
	}
	out.Notes = c.takeNotes()
	out.Next = c.timers.Next()
	return out
}
