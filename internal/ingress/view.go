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

// reachability tells of a site that answers probes again, or no more, and of
// claims that the way to it contradicts: the second validation of RFC 10054
// R20. What an unreachable site says of itself is not believed.
func (c *Core) reachability(e *egress, was, is selection.Path) {
	doubt := netmetric.Distrust(netmetric.Claim{Score: 10}, e.path)
	if doubt != "" { // the best claim there could be; is there such a one?
		doubt = netmetric.Distrust(netmetric.Claim{Score: e.bestClaim()}, e.path)
	}
	fresh := doubt != "" && e.doubted == ""
	e.doubted = doubt
	switch {
	case is.Reachable && !was.Reachable:
		text := "answers probes"
		if is.Known {
			text += fmt.Sprintf(", %s away", is.RTT.Round(10*time.Microsecond))
		}
		c.note(Note{Name: events.SiteReachable, Site: e.name, Text: text})
	case !is.Reachable && was.Reachable:
		text := "no answer to probes"
		if doubt != "" {
			text += "; not believed: " + doubt
		}
		c.note(Note{Name: events.SiteUnreachable, Site: e.name, Text: text})
		return
	}
	if fresh {
		c.note(Note{Name: events.AgentWarning, Site: e.name, Text: doubt})
	}
}

// bestClaim is the best score that an entry of a site claims, or what stands
// for it where only load is advertised; -1 if nothing is.
func (e *egress) bestClaim() (best int) {
	best = -1
	for s := range e.uses {
		for _, en := range s.entries {
			if en.egress != e || en.rests == barred {
				continue
			}
			n := en.numbers()
			best = max(best, int(n.score))
			if n.score < 0 && n.utilisation >= 0 {
				best = max(best, int(10*(1-min(n.utilisation, 1))))
			}
		}
	}
	return best
}

// wide shows a number as it was said, without the digits that a float32 adds:
// all are of six decimals at most.
func wide(x float32) float64 { return math.Round(float64(x)*1e6) / 1e6 }

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
	Bare        bool // no metrics: a site known by its anycast route
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
				if en.egress == e {
					v.Instances = append(v.Instances, c.viewEntry(now, en))
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

func (c *Core) viewEntry(now time.Time, e *entry) InstanceView {
	n := e.numbers()
	v := InstanceView{
		Service: e.service.id, Name: e.service.name, Key: e.key(), Flags: n.flags,
		Bare: e.rests == byAnycast, Trusted: e.rests != barred,
		Age:   c.upAt(now) - e.heard + e.age(),
		Score: int(n.score), Utilisation: wide(n.utilisation), Capacity: wide(n.capacity),
		InFlight: wide(n.inFlight), Slots: wide(n.slots), ServiceTime: wide(n.service), Delay: wide(n.delayed),
	}
	for _, n := range e.routes {
		v.Routes += int(n)
	}
	if e.rests == byAttribute {
		v.Sequence, v.Validity = e.sequence, time.Duration(n.validity)*time.Second
		if e.generated != 0 {
			v.Generated = time.Unix(int64(e.generated), 0)
		}
	}
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

// Find returns the service of a CS-ID or a configured name; the first by CS-ID
// if several have it.
func (c *Core) Find(name string) (advert.CSID, bool) {
	if id, err := advert.ParseCSID(name); err == nil {
		_, ok := c.services[id]
		return id, ok
	}
	var found advert.CSID
	for id, s := range c.services {
		if s.name == name && (!found.IsValid() || id.Compare(found) < 0) {
			found = id
		}
	}
	return found, found.IsValid()
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
	for k, g := range c.routes {
		v := RouteView{Peer: names[k.peer], Prefix: k.prefix(), PathID: k.path}
		if site := g.site(); site != nil {
			v.Anycast = site.service.id
		}
		for e := range g.entries {
			v.Gave = append(v.Gave, c.viewEntry(now, e))
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
