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
	"github.com/catsbgp/catsbgp/selection"
)

// numbers are an entry's advertised metrics, kept small: there may be half a
// million entries. NaN is unknown.
type numbers struct {
	flags                             advert.InstanceFlags
	score                             int8 // -1: unknown
	utilisation, capacity             float32
	inFlight, slots, service, delayed float32 // requests, parallel, s, s
}

func numbersOf(in *advert.Instance) numbers {
	n := numbers{flags: in.Flags, score: -1}
	if v, ok := in.ScoreNorm(); ok {
		n.score = int8(v)
	}
	get := func(v float64, ok bool) float32 {
		if !ok {
			return float32(math.NaN())
		}
		return float32(v)
	}
	n.utilisation = get(in.Utilisation())
	n.capacity = get(in.CapacityFlows())
	count := func(v uint32, ok bool) float32 { return get(float64(v), ok) }
	n.inFlight = count(in.InFlightN())
	n.slots = count(in.SlotsN())
	span := func(d time.Duration, ok bool) float32 { return get(d.Seconds(), ok) }
	n.service = span(in.ServiceTimeDur())
	n.delayed = span(in.ServiceDelayDur())
	return n
}

// excellent reports whether an entry claims to be a good choice: a score in
// the high class, or load below a half.
func (e *entry) excellent() bool {
	return e.metrics > 0 && (e.said.score >= 8 || e.said.utilisation < 0.5)
}

// reachability tells of a site that answers probes again, or no more. What an
// unreachable site says of itself is not believed, and excellent values are
// named: that is the second validation of RFC 10054 R20.
func (c *Core) reachability(e *egress, was, is selection.Path) {
	switch {
	case is.Reachable && !was.Reachable:
		text := "answers probes"
		if is.Known {
			text += fmt.Sprintf(", %s away", is.RTT.Round(10*time.Microsecond))
		}
		c.notes = append(c.notes, Note{Name: events.SiteReachable, Site: e.name, Text: text})
	case !is.Reachable && was.Reachable:
		text, claims := "no answer to probes", 0
		for s := range e.uses {
			for _, en := range s.entries {
				if en.key.Egress == e.locator && en.excellent() {
					claims++
				}
			}
		}
		if claims > 0 {
			text += fmt.Sprintf("; %d of its instances claim to do well: not believed", claims)
		}
		c.notes = append(c.notes, Note{Name: events.SiteUnreachable, Site: e.name, Text: text})
	}
}

// A SiteView is an egress as this ingress sees it.
type SiteView struct {
	Locator   netip.Addr
	Name      string
	Path      netmetric.Measurement // At zero: not measured
	Heard     time.Time             // newest announcement with metrics; zero: none
	ClockSkew time.Duration         // allowed for
	Instances []InstanceView
}

// An InstanceView is a heard instance, or a site known by its anycast route
// only.
type InstanceView struct {
	Service     advert.CSID
	Name        string // of the service
	Key         advert.InstanceKey
	Flags       advert.InstanceFlags
	Bare        bool // no metrics
	Trusted     bool // signed well, or signatures are not required
	Sequence    advert.Sequence
	Generated   time.Time // zero: not said
	Age         time.Duration
	Validity    time.Duration // 0: until withdrawn
	Routes      int           // that carry it
	Score       int           // -1: unknown
	Utilisation float64       // NaN: unknown, as for all below
	Capacity    float64       // flows/s
	InFlight    float64
	Slots       float64
	ServiceTime float64 // s
	Delay       float64 // s
}

// Sites returns all egresses, by locator, with what they announce.
func (c *Core) Sites(now time.Time) []SiteView {
	views := make([]SiteView, 0, len(c.egresses))
	for _, loc := range slices.SortedFunc(maps.Keys(c.egresses), netip.Addr.Compare) {
		e := c.egresses[loc]
		v := SiteView{Locator: loc, Name: e.name, Path: e.path, Heard: e.heard, ClockSkew: e.skew}
		for s := range e.uses {
			for _, en := range s.entries {
				if en.key.Egress == loc {
					v.Instances = append(v.Instances, en.view(now))
				}
			}
		}
		slices.SortFunc(v.Instances, func(a, b InstanceView) int {
			return cmp.Or(a.Service.Compare(b.Service), a.Key.Compare(b.Key))
		})
		views = append(views, v)
	}
	return views
}

func (e *entry) view(now time.Time) InstanceView {
	v := InstanceView{
		Service: e.service.id, Name: e.service.name, Key: e.key, Bare: e.metrics == 0, Routes: e.metrics + e.bare, Trusted: e.trusted,
		Score: -1, Utilisation: math.NaN(), Capacity: math.NaN(), InFlight: math.NaN(),
		Slots: math.NaN(), ServiceTime: math.NaN(), Delay: math.NaN(),
	}
	if v.Bare {
		return v
	}
	n := &e.said
	v.Flags, v.Sequence, v.Validity = n.flags, e.sequence, e.validity
	if e.generated != 0 {
		v.Generated = time.Unix(int64(e.generated), 0)
	}
	v.Age = max(now.Sub(e.heard), 0) + e.age
	v.Score = int(n.score)
	v.Utilisation, v.Capacity = float64(n.utilisation), float64(n.capacity)
	v.InFlight, v.Slots = float64(n.inFlight), float64(n.slots)
	v.ServiceTime, v.Delay = float64(n.service), float64(n.delayed)
	return v
}

// A ServiceView is a service and the split in force.
type ServiceView struct {
	ID         advert.CSID
	Name       string
	Policy     selection.Policy
	Split      *selection.Split // nil: not decided yet
	Candidates int
	Due        time.Time // next control tick; zero: none
}

// Services returns all services, by CS-ID.
func (c *Core) Services() []ServiceView {
	views := make([]ServiceView, 0, len(c.services))
	for _, id := range slices.SortedFunc(maps.Keys(c.services), advert.CSID.Compare) {
		views = append(views, c.services[id].view(c.policy(id)))
	}
	return views
}

func (s *service) view(p selection.Policy) ServiceView {
	return ServiceView{ID: s.id, Name: s.name, Policy: p, Split: s.split, Candidates: len(s.entries), Due: s.selector.Due()}
}

// Explain explains the split of a service; false if it is not known.
func (c *Core) Explain(now time.Time, id advert.CSID) (ServiceView, selection.Explanation, bool) {
	s := c.services[id]
	if s == nil {
		return ServiceView{}, selection.Explanation{}, false
	}
	return s.view(c.policy(id)), s.selector.Explain(now), true
}

// Find returns the service of a CS-ID or a configured name.
func (c *Core) Find(name string) (advert.CSID, bool) {
	if id, err := advert.ParseCSID(name); err == nil {
		_, ok := c.services[id]
		return id, ok
	}
	for id, s := range c.services {
		if s.name == name {
			return id, true
		}
	}
	return advert.CSID{}, false
}

// A RouteView is a heard route and what it gave.
type RouteView struct {
	Peer    string
	Prefix  netip.Prefix
	PathID  uint32
	Anycast advert.CSID // valid if the route is a CS-ID
	Gave    []InstanceView
}

// Routes returns the heard routes that gave something, by prefix, peer, path.
func (c *Core) Routes(now time.Time) []RouteView {
	names := make([]string, len(c.peers))
	for name, id := range c.peers {
		names[id] = name
	}
	views := make([]RouteView, 0, len(c.routes))
	for k, h := range c.routes {
		v := RouteView{Peer: names[k.peer], Prefix: k.prefix, PathID: k.path}
		if h.bare != nil {
			v.Anycast = h.bare.service.id
		}
		for _, e := range h.entries {
			v.Gave = append(v.Gave, e.view(now))
		}
		views = append(views, v)
	}
	slices.SortFunc(views, func(a, b RouteView) int {
		return cmp.Or(a.Prefix.Addr().Compare(b.Prefix.Addr()), cmp.Compare(a.Prefix.Bits(), b.Prefix.Bits()),
			cmp.Compare(a.Peer, b.Peer), cmp.Compare(a.PathID, b.PathID))
	})
	return views
}

// Totals are the sizes of the core's tables.
type Totals struct{ Services, Candidates, Sites, Routes int }

// Totals returns the sizes of the core's tables.
func (c *Core) Totals() Totals {
	t := Totals{Services: len(c.services), Sites: len(c.egresses), Routes: len(c.routes)}
	for _, s := range c.services {
		t.Candidates += len(s.entries)
	}
	return t
}
