package ingress

import (
	"cmp"
	"fmt"
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
	sites    map[netip.Addr]Site // configured, by locator
	peers    map[string]uint32   // interned names
	routes   map[routeKey]*heard
	services map[advert.CSID]*service
	egresses map[netip.Addr]*egress
	graves   graveyard
	curves   *selection.Curves

	dirty     map[*service]bool
	timers    timers.Heap[*service]
	moved     bool // the set of egresses changed
	faults    map[faultKey]uint64
	notes     []Note
	attribute advert.Attribute // decoded into, again and again
}

type routeKey struct {
	prefix netip.Prefix
	peer   uint32
	path   uint32
}

type faultKey struct {
	Peer  string
	Fault Fault
}

// heard is a route that gave us something, and what.
type heard struct {
	entries []*entry // with metrics, ordered as in the attribute
	bare    *entry   // the site itself, from an anycast route
}

// An entry is one way to serve one service: an instance, or a site.
type entry struct {
	service *service
	key     advert.InstanceKey

	metrics int // routes that carry its metrics
	bare    int // anycast routes that lead to its site

	sequence  advert.Sequence
	generated uint32
	heard     time.Time
	age       time.Duration // on arrival
	validity  time.Duration
	known     bool // sequence and what follows are set
	trusted   bool // the last accepted update was signed, or need not be
	late      bool // the last update was older than its validity on arrival
	buried    bool // sequence and generated are of a withdrawn predecessor
	aggregate bool
	said      numbers
}

type service struct {
	id       advert.CSID
	name     string
	selector *selection.Service
	entries  map[advert.InstanceKey]*entry
	split    *selection.Split
	timer    timers.Item[*service]
}

// An egress is a site as this ingress sees it.
type egress struct {
	locator netip.Addr
	name    string
	uses    map[*service]int // services, with the number of ways to serve that lead there
	path    netmetric.Measurement
	passed  selection.Path // what the services were told last
	skew    time.Duration  // its clock behind ours, once proven
	heard   time.Time
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
		routes:   map[routeKey]*heard{},
		services: map[advert.CSID]*service{},
		egresses: map[netip.Addr]*egress{},
		dirty:    map[*service]bool{},
		faults:   map[faultKey]uint64{},
		curves:   selection.NewCurves(),
	}
	c.Configure(time.Time{}, opt)
	return c
}

// Configure replaces the configuration. Names, weights and policies apply at
// once; what was refused under other keys or another domain is looked at again
// when it is next announced.
func (c *Core) Configure(now time.Time, opt Options) {
	c.opt = opt
	c.sites = map[netip.Addr]Site{}
	for _, s := range opt.Sites {
		c.sites[s.Locator] = s
	}
	for loc, e := range c.egresses {
		e.name = c.siteName(loc)
	}
	for id, s := range c.services {
		s.name = c.serviceName(id)
		s.selector.SetPolicy(now, c.policy(id))
		c.dirty[s] = true
	}
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
	return cmp.Or(c.sites[locator].Name, locator.String())
}

// Hear takes in a route or its withdrawal.
func (c *Core) Hear(now time.Time, a Announcement) {
	key := routeKey{a.Prefix, c.peer(a.Peer), a.PathID}
	old := c.routes[key]
	var fresh *heard
	if !a.Withdrawn {
		fresh = c.read(now, a)
	}
	if fresh == nil {
		delete(c.routes, key)
	} else {
		c.routes[key] = fresh
	}
	if old != nil {
		c.drop(now, old)
	}
}

func (c *Core) peer(name string) uint32 {
	id, ok := c.peers[name]
	if !ok {
		id = uint32(len(c.peers))
		c.peers[name] = id
	}
	return id
}

// drop takes back what a route gave.
func (c *Core) drop(now time.Time, h *heard) {
	for _, e := range h.entries {
		e.metrics--
		c.settle(now, e)
	}
	if h.bare != nil {
		h.bare.bare--
		c.settle(now, h.bare)
	}
}

// settle brings the selection up to date after an entry lost a route.
func (c *Core) settle(now time.Time, e *entry) {
	switch s := e.service; {
	case e.metrics > 0:
	case e.bare > 0:
		// The site is still there by its anycast route, without metrics.
		e.known = false
		s.selector.Hear(now, c.bareCandidate(now, e))
		c.dirty[s] = true
	default:
		s.selector.Forget(now, e.key)
		delete(s.entries, e.key)
		c.dirty[s] = true
		c.graves.bury(now, e)
		c.leave(s, e.key.Egress)
	}
}

func (c *Core) leave(s *service, locator netip.Addr) {
	e := c.egresses[locator]
	if e == nil {
		return
	}
	if e.uses[s]--; e.uses[s] == 0 {
		delete(e.uses, s)
	}
	if len(e.uses) == 0 {
		delete(c.egresses, locator)
		c.moved = true
	}
}

// entry returns the entry of a way to serve, a new one if need be; nil when
// the service has too many.
func (c *Core) entry(id advert.CSID, key advert.InstanceKey) *entry {
	s := c.services[id]
	if s == nil {
		s = &service{
			id: id, name: c.serviceName(id), entries: map[advert.InstanceKey]*entry{},
			selector: selection.NewShared(id, c.policy(id), c.seed^hash(id), c.curves),
		}
		s.timer.Owner = s
		c.services[id] = s
	}
	e := s.entries[key]
	if e == nil {
		if c.opt.MaxInstances > 0 && len(s.entries) >= c.opt.MaxInstances {
			return nil
		}
		e = &entry{service: s, key: key}
		c.graves.recall(id, e)
		s.entries[key] = e
		eg := c.egresses[key.Egress]
		if eg == nil {
			eg = &egress{locator: key.Egress, name: c.siteName(key.Egress), uses: map[*service]int{}}
			c.egresses[key.Egress] = eg
			c.moved = true
		}
		eg.uses[s]++
		if eg.uses[s] == 1 && !eg.path.At.IsZero() {
			s.selector.Measure(eg.path.At, key.Egress, eg.passed)
		}
	}
	return e
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
	e := c.egresses[m.Egress]
	if e == nil {
		return
	}
	first, was := e.path.At.IsZero(), e.passed
	e.path = m
	path := selection.Path{RTT: m.RTT, Known: m.Known, Reachable: m.Reachable, Loss: m.Loss}
	if !first && !news(was, path) {
		return
	}
	e.passed = path
	if m.Reachable != was.Reachable || first {
		c.reachability(e, was, path)
	}
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
	var out Output
	c.graves.sweep(now)
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
		s.split = s.selector.Decide(now)
		out.Splits = append(out.Splits, s.split)
		c.timers.Set(&s.timer, s.selector.Due())
	}
	clear(c.dirty)
	if c.moved {
		c.moved = false
		out.Measure = true
		out.Egresses = slices.SortedFunc(maps.Keys(c.egresses), netip.Addr.Compare)
	}
	out.Notes, c.notes = c.notes, nil
	out.Next = c.timers.Next()
	return out
}

func (c *Core) note(name events.Name, a *Announcement, format string, args ...any) {
	// A flood of faulty routes must not grow this without end between two steps.
	if len(c.notes) < 256 {
		c.notes = append(c.notes, Note{Name: name, Peer: a.Peer, Text: fmt.Sprintf(format, args...)})
	}
}
