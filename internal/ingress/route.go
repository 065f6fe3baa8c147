package ingress

import (
	"net/netip"
	"slices"
	"time"
)

// A routeKey names a heard route. It holds no pointers: there may be half a
// million of them, twice over with two reflectors.
type routeKey struct {
	addr       [16]byte
	peer, path uint32
	bits       uint8
	four       bool
}

func routeKeyOf(p netip.Prefix, peer, path uint32) routeKey {
	return routeKey{p.Addr().As16(), peer, path, uint8(p.Bits()), p.Addr().Is4()}
}

func (k *routeKey) prefix() netip.Prefix {
	a := netip.AddrFrom16(k.addr)
	if k.four {
		a = a.Unmap()
	}
	return netip.PrefixFrom(a, int(k.bits))
}

// A gift is what a route gave us: entries that rest on it, all in the same way
// since it is the route that is signed or not. Nearly all give a single one.
type gift struct {
	first    *entry // nil: none
	more     *more  // nil: no more
	standing standing
}

// more is the rest of a gift.
type more struct {
	entries []*entry // after the first, ordered as in the attribute
	site    *entry   // of an anycast route: the site itself
}

func (g *gift) empty() bool { return g.first == nil && g.more == nil }

// entries yields what rests on the route as such, without the site.
func (g *gift) entries(yield func(*entry) bool) {
	if g.first == nil || !yield(g.first) || g.more == nil {
		return
	}
	for _, e := range g.more.entries {
		if !yield(e) {
			return
		}
	}
}

func (g *gift) holds(e *entry) bool {
	return g.first == e || g.more != nil && slices.Contains(g.more.entries, e)
}

// site returns the site that an anycast route leads to, nil for others.
func (g *gift) site() *entry {
	if g.more == nil {
		return nil
	}
	return g.more.site
}

// give makes an entry rest on a route. An entry that is named twice counts
// once, as first said.
func (c *Core) give(now time.Time, g *gift, e *entry) {
	if !g.holds(e) {
		e.routes[g.standing]++
		switch {
		case g.first == nil:
			g.first = e
		default:
			if g.more == nil {
				g.more = &more{}
			}
			g.more.entries = append(g.more.entries, e)
		}
	}
	c.settle(now, e)
}

// giveSite makes the entry of a site rest on its anycast route.
func (c *Core) giveSite(now time.Time, g *gift, e *entry) {
	e.routes[max(g.standing, byAnycast)]++
	g.more = &more{site: e}
	c.settle(now, e)
}

// takeBack undoes a gift.
func (c *Core) takeBack(now time.Time, g *gift) {
	for e := range g.entries {
		e.routes[g.standing]--
		c.settle(now, e)
	}
	if e := g.site(); e != nil {
		e.routes[max(g.standing, byAnycast)]--
		c.settle(now, e)
	}
}
