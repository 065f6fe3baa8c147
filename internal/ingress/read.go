package ingress

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/catsbgp/catsbgp/advert"
)

// read takes in what a route says and returns what it gave. The rules are those
// of CATS-BGP for receivers; a fault costs the candidates of this route and no
// more.
func (c *Core) read(now time.Time, a *Announcement) gift {
	if a.Attribute == nil {
		return c.readCommunities(now, a)
	}
	att := &c.attribute
	if err := advert.DecodeAttribute(a.Attribute, att); err != nil {
		f := FaultMalformed
		if errors.Is(err, advert.ErrNotCATS) {
			f = FaultNotCATS
		}
		c.fault(a, f, "%v", err)
		return gift{}
	}
	locator := att.Locator
	if !locator.IsValid() {
		locator = a.NextHop.Unmap().WithZone("")
	}
	own := advert.ServicePrefix(a.Prefix) // if the route itself is the CS-ID
	switch {
	case att.Profile.Domain != c.opt.Domain:
		c.fault(a, FaultForeignDomain, "domain %d, ours is %d", att.Profile.Domain, c.opt.Domain)
		return gift{}
	case att.Profile.Normalization != c.opt.Normalization:
		c.fault(a, FaultForeignProfile, "normalization profile %d, ours is %d", att.Profile.Normalization, c.opt.Normalization)
		return gift{}
	case len(att.Site.ASScope) > 0 && !slices.Contains(att.Site.ASScope, c.opt.ASN):
		c.fault(a, FaultOutOfScope, "meant for AS %v", att.Site.ASScope)
		return gift{}
	case !locator.IsValid():
		c.fault(a, FaultNoLocator, "neither Egress-Locator nor next hop")
		return gift{}
	case !own.IsValid():
		c.fault(a, FaultMalformed, "not a prefix for a service or an instance")
		return gift{}
	}
	if i := &att.Ignored; i.OutOfRange.Count+i.Duplicate.Count+i.SiteValues > 0 {
		c.fault(a, FaultIgnoredValue, "%s", ignored{att})
	}
	var g gift
	if why := c.distrust(now, a); why != "" {
		g.standing = barred
		c.fault(a, FaultSignature, "%s", why)
	}
	if !slices.ContainsFunc(att.Instances, func(in advert.Instance) bool { return in.Service.IsValid() }) && len(att.BareServices) == 0 {
		// No CS-ID TLV: the route itself is the CS-ID, and leads to the site.
		if e := c.entry(now, a, own, advert.InstanceKey{Egress: locator}, max(g.standing, byAnycast)); e != nil {
			c.giveSite(now, &g, e)
		}
	}
	for i := range att.Instances {
		in := &att.Instances[i]
		id := in.Service
		if !id.IsValid() {
			id = own
		}
		e := c.entry(now, a, id, advert.InstanceKey{ID: in.ID, Egress: locator}, g.standing)
		if e != nil && (g.standing == barred || c.hearInstance(now, a, e, in)) {
			c.give(now, &g, e)
		}
	}
	return g
}

// ignored says what a decoder left out, if somebody wants to read it.
type ignored struct{ *advert.Attribute }

func (i ignored) String() string { return strings.Join(i.Describe().Ignored, "; ") }

// readCommunities takes in what paths through routers that drop unknown
// attributes leave us (C-mode).
func (c *Core) readCommunities(now time.Time, a *Announcement) gift {
	if len(a.Large) == 0 {
		return gift{}
	}
	instances, unusable := advert.DecodeCommunities(a.Large, c.opt.Domain, a.Prefix, c.byIndex)
	if unusable > 0 {
		c.fault(a, FaultMalformed, "%d unusable large communities", unusable)
	}
	locator := a.NextHop.Unmap().WithZone("")
	g := gift{standing: byCommunities}
	switch {
	case len(instances) == 0:
		return gift{}
	case !locator.IsValid():
		c.fault(a, FaultNoLocator, "large communities without a next hop")
		return gift{}
	case c.opt.RequireAuth:
		g.standing = barred
		c.fault(a, FaultSignature, "large communities cannot be signed")
	}
	for i := range instances {
		in := &instances[i]
		id := in.Service
		if !id.IsValid() && in.ID.Addr() != a.Prefix.Addr() {
			id = advert.ServicePrefix(a.Prefix) // the route itself is the CS-ID
		}
		if !id.IsValid() {
			continue
		}
		e := c.entry(now, a, id, advert.InstanceKey{ID: in.ID, Egress: locator}, g.standing)
		if e == nil {
			continue
		}
		if b := briefOf(in); g.standing == byCommunities && b != e.brief {
			e.brief = b
			e.untold = e.untold || e.rests == byCommunities
		}
		c.give(now, &g, e)
	}
	return g
}

// byIndex finds the configured service that large communities name by a
// number. Where two have the same, neither is meant.
func (c *Core) byIndex(index uint32) (advert.CSID, bool) {
	id := c.indices[index]
	return id, id.IsValid()
}

// distrust returns why what an announcement says is not to be believed, "" if
// it is (rule 6). What is signed wrongly is not even where no signature is
// required: somebody changed it.
func (c *Core) distrust(now time.Time, a *Announcement) string {
	if c.opt.Keys == nil && !c.opt.RequireAuth {
		return ""
	}
	key, err := c.opt.Keys.Verify(a.Attribute, a.Prefix, now)
	switch {
	case err == nil:
		return ""
	case !c.opt.RequireAuth && !errors.Is(err, advert.ErrBadSignature):
		return ""
	case key != 0 && errors.Is(err, advert.ErrUnsigned):
		return fmt.Sprintf("%v (key %d)", err, key)
	}
	return err.Error() // names the key
}

// mayLag is by how many seconds a path may lag behind another before what comes
// over it is taken for a replay.
const mayLag = 30

// hearInstance takes in a believable statement about an entry. It reports
// whether the route counts for the entry.
func (c *Core) hearInstance(now time.Time, a *Announcement, e *entry, in *advert.Instance) bool {
	have, generated, remembered := e.sequence, e.generated, e.known
	if e.known {
		remembered = c.up-e.heard < sequenceTime(e.said.validity)
	} else if gr, ok := c.graves.last(c.up, e); ok {
		have, generated, remembered = gr.sequence, gr.generated, true
	}
	same := in.Sequence == have && in.Generated == generated
	switch {
	case e.known && same:
		return true // by another path, or once more
	case !remembered, in.Sequence.Newer(have):
	case same: // the very route that was withdrawn comes back
	case e.known && in.Generated <= generated && generated-in.Generated <= mayLag:
		return true // a path that lags behind leads there all the same
	default:
		c.fault(a, FaultReplay, "%s %s: sequence %d, have %d", e.service.id, in.ID, in.Sequence, have)
		c.settle(now, e)
		// What we have stands as long as it would have without this, which only
		// counts for it if it comes in place of a route that did.
		return e.known && c.replaced.standing == byAttribute && c.replaced.holds(e)
	}
	age := c.ageOf(now, e, in)
	e.setAge(age)
	if age > maxAge(in) {
		c.fault(a, FaultStale, "%s %s: said %s ago, good for %s", e.service.id, in.ID, age.Round(time.Second), maxAge(in))
	}
	c.graves.dig(e)
	e.known, e.sequence, e.generated, e.heard = true, in.Sequence, in.Generated, c.up
	e.said = numbersOf(in)
	e.egress.heard = now
	e.untold = true
	return true
}

// entry returns the entry of a way to serve, a new one if need be; nil if a
// route of that standing must not make one, since there are too many.
func (c *Core) entry(now time.Time, a *Announcement, id advert.CSID, key advert.InstanceKey, st standing) *entry {
	s := c.services[id]
	if s == nil {
		if len(c.services) >= maxServices {
			c.fault(a, FaultOverLimit, "%s: more than %d services", id, maxServices)
			return nil
		}
		s = c.newService(id)
	}
	i, known := s.find(key)
	if known && (st == barred || s.entries[i].best() < barred) {
		return s.entries[i] // counts already
	}
	if limit := s.limit(st, c.opt.MaxInstances); limit >= 0 && s.count(st) >= limit {
		if st != barred {
			c.fault(a, FaultOverLimit, "%s: more than %d instances", id, limit)
		}
		return nil
	}
	if known {
		return s.entries[i]
	}
	return c.newEntry(now, s, i, key)
}

// maxServices bounds what peers can make us remember, whatever they send.
const maxServices = 1 << 16

// maxBarred is how many entries of a service that nothing is believed of are
// kept, for display. They must not take the place of others.
const maxBarred = 64

// limit is how many entries of a service may rest on a standing: on barred, or
// on any other together. Negative: no limit.
func (s *service) limit(st standing, instances int) int {
	switch {
	case st == barred:
		return maxBarred
	case instances > 0:
		return instances
	}
	return -1
}

func (s *service) count(st standing) int {
	if st == barred {
		return s.barred
	}
	return len(s.entries) - s.barred
}
