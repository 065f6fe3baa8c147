package ingress

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/catsbgp/catsbgp/advert"
	"github.com/catsbgp/catsbgp/internal/events"
	"github.com/catsbgp/catsbgp/selection"
)

// read takes in what a route says and returns what it gave, nil for nothing.
// The rules are those of CATS-BGP for receivers; a fault costs the candidates
// of this route and no more.
func (c *Core) read(now time.Time, a Announcement) *heard {
	if a.Attribute == nil {
		return c.readCommunities(now, a)
	}
	att := &c.attribute
	if err := advert.DecodeAttribute(a.Attribute, att); err != nil {
		if errors.Is(err, advert.ErrNotCATS) {
			c.fault(&a, FaultNotCATS, events.HeardForeign, "%s: not a CATS attribute", a.Prefix)
		} else {
			c.fault(&a, FaultMalformed, events.HeardInvalid, "%s: %v", a.Prefix, err)
		}
		return nil
	}
	if att.Profile.Domain != c.opt.Domain {
		c.fault(&a, FaultForeignDomain, events.HeardForeign, "%s: domain %d, ours is %d", a.Prefix, att.Profile.Domain, c.opt.Domain)
		return nil
	}
	if att.Profile.Normalization != c.opt.Normalization {
		c.fault(&a, FaultForeignProfile, events.HeardForeign, "%s: normalization profile %d, ours is %d", a.Prefix, att.Profile.Normalization, c.opt.Normalization)
		return nil
	}
	if len(att.Site.ASScope) > 0 && !slices.Contains(att.Site.ASScope, c.opt.ASN) {
		c.fault(&a, FaultOutOfScope, events.HeardForeign, "%s: meant for AS %v", a.Prefix, att.Site.ASScope)
		return nil
	}
	if i := &att.Ignored; i.OutOfRange.Count+i.Duplicate.Count+i.SiteValues > 0 {
		c.fault(&a, FaultIgnoredValue, events.HeardInvalid, "%s: %s", a.Prefix, strings.Join(att.Describe().Ignored, "; "))
	}
	locator := att.Locator
	if !locator.IsValid() {
		locator = a.NextHop
	}
	if !locator.IsValid() {
		c.fault(&a, FaultNoLocator, events.HeardInvalid, "%s: neither Egress-Locator nor next hop", a.Prefix)
		return nil
	}
	barred := c.authenticate(now, &a)

	h := &heard{}
	if len(att.BareServices) == 0 && !slices.ContainsFunc(att.Instances, func(in advert.Instance) bool { return in.Service.IsValid() }) {
		// No CS-ID TLV: the route itself is the CS-ID, and leads to the site.
		h.bare = c.touchBare(now, &a, advert.ServicePrefix(a.Prefix), locator, barred)
	}
	for i := range att.Instances {
		in := &att.Instances[i]
		id := in.Service
		if !id.IsValid() {
			id = advert.ServicePrefix(a.Prefix)
		}
		if e := c.touch(now, &a, id, locator, in, barred); e != nil && !slices.Contains(h.entries, e) {
			e.metrics++
			h.entries = append(h.entries, e)
		}
	}
	if h.bare == nil && len(h.entries) == 0 {
		return nil
	}
	return h
}

// readCommunities takes in what paths through routers that drop unknown
// attributes leave us (C-mode).
func (c *Core) readCommunities(now time.Time, a Announcement) *heard {
	if len(a.Large) == 0 || !a.NextHop.IsValid() {
		return nil
	}
	instances, unusable := advert.DecodeCommunities(a.Large, c.opt.Domain, a.Prefix, c.byIndex)
	if unusable > 0 {
		c.fault(&a, FaultMalformed, events.HeardInvalid, "%s: %d unusable large communities", a.Prefix, unusable)
	}
	if len(instances) == 0 {
		return nil
	}
	barred := ""
	if c.opt.RequireAuth {
		barred = "communities cannot be signed"
		c.fault(&a, FaultSignature, events.HeardUnsigned, "%s: %s", a.Prefix, barred)
	}
	h := &heard{}
	for i := range instances {
		in := &instances[i]
		if !in.Service.IsValid() {
			continue
		}
		if e := c.touch(now, &a, in.Service, a.NextHop, in, barred); e != nil && !slices.Contains(h.entries, e) {
			e.metrics++
			h.entries = append(h.entries, e)
		}
	}
	if len(h.entries) == 0 {
		return nil
	}
	return h
}

// byIndex finds the service that large communities name by a number: one that
// is configured here, or announced by its anycast route.
func (c *Core) byIndex(index uint32) (found advert.CSID, ok bool) {
	match := func(id advert.CSID) {
		if id.Index() == index && id != found {
			found, ok = id, !found.IsValid() // two of them: neither
		}
	}
	for id := range c.opt.Names {
		match(id)
	}
	for id := range c.services {
		match(id)
	}
	return found, ok
}

// authenticate returns why the instances of an announcement are barred, ""
// if they are not (rule 6). What is signed wrongly is barred even where no
// signature is required: somebody changed it.
func (c *Core) authenticate(now time.Time, a *Announcement) string {
	if c.opt.Keys == nil && !c.opt.RequireAuth {
		return ""
	}
	key, err := c.opt.Keys.Verify(a.Attribute, a.Prefix, now)
	switch {
	case err == nil:
		return ""
	case !c.opt.RequireAuth && !errors.Is(err, advert.ErrBadSignature):
		return ""
	}
	why := err.Error()
	if key != 0 {
		why = fmt.Sprintf("%s (key %d)", why, key)
	}
	c.fault(a, FaultSignature, events.HeardUnsigned, "%s: %s", a.Prefix, why)
	return why
}

// touchBare notes that an anycast route leads to a site.
func (c *Core) touchBare(now time.Time, a *Announcement, id advert.CSID, locator netip.Addr, barred string) *entry {
	e := c.entry(id, advert.InstanceKey{Egress: locator})
	if e == nil {
		c.fault(a, FaultOverLimit, events.PeerOverflow, "%s: more than %d instances", id, c.opt.MaxInstances)
		return nil
	}
	e.bare++
	if e.metrics == 0 {
		cand := c.bareCandidate(now, e)
		cand.Ineligible = barred
		e.service.selector.Hear(now, cand)
		c.dirty[e.service] = true
	}
	return e
}

// touch takes in one instance and returns its entry, nil if it must not count.
func (c *Core) touch(now time.Time, a *Announcement, id advert.CSID, locator netip.Addr, in *advert.Instance, barred string) *entry {
	e := c.entry(id, advert.InstanceKey{ID: in.ID, Egress: locator})
	if e == nil {
		c.fault(a, FaultOverLimit, events.PeerOverflow, "%s: more than %d instances", id, c.opt.MaxInstances)
		return nil
	}
	fromCommunities := in.Generated == 0
	switch {
	case e.known && e.metrics > 0 && e.trusted && barred != "":
		// A forged announcement must not push out a good one.
		return nil
	case e.known && !fromCommunities && in.Sequence == e.sequence && in.Generated == e.generated:
		if e.metrics > 0 {
			return e // the same, by another path
		}
	case (e.known || e.buried) && !fromCommunities && !in.Sequence.Newer(e.sequence):
		if e.buried && in.Sequence == e.sequence && in.Generated == e.generated {
			break // the very route that was withdrawn comes back
		}
		c.fault(a, FaultReplay, events.HeardReplay, "%s %s: sequence %d, have %d", id, in.ID, in.Sequence, e.sequence)
		if e.metrics == 0 {
			c.settle(now, e)
			return nil
		}
		return e
	}
	c.accept(now, e, in, barred)
	return e
}

// accept makes an instance's announcement the one in force.
func (c *Core) accept(now time.Time, e *entry, in *advert.Instance, barred string) {
	e.age = c.ageOf(now, e, in)
	e.sequence, e.generated = in.Sequence, in.Generated
	e.heard, e.validity = now, time.Duration(in.Validity)*time.Second
	e.known, e.buried = true, false
	e.trusted = barred == ""
	e.aggregate = in.Flags&advert.Aggregate != 0
	e.said = numbersOf(in)
	if eg := c.egresses[e.key.Egress]; eg != nil {
		eg.heard = now
	}
	cand := c.candidate(e, in)
	cand.Ineligible = barred
	e.service.selector.Hear(now, cand)
	c.dirty[e.service] = true
}

// ageOf is how old an announcement is on arrival. The generation time is by
// the site's clock, which may be off: a site whose live, ever newer updates
// all seem too old has a wrong clock (or we have), and that much is allowed
// for from then on.
func (c *Core) ageOf(now time.Time, e *entry, in *advert.Instance) time.Duration {
	if in.Generated == 0 {
		return 0
	}
	eg := c.egresses[e.key.Egress]
	behind := now.Sub(in.GeneratedAt())
	if eg.skew != 0 && behind < maxAge(in) && behind > -maxAge(in) {
		eg.skew = 0 // the clocks agree again
	}
	age := behind - eg.skew
	tooOld := age > maxAge(in)
	if tooOld && e.known && e.late && e.metrics > 0 {
		c.notes = append(c.notes, Note{Name: events.AgentWarning, Service: e.service.id, Key: e.key,
			Text: fmt.Sprintf("clock of %s or ours is off by %s", eg.name, behind.Round(time.Second))})
		eg.skew, age, tooOld = behind, 0, false
	}
	e.late = tooOld
	return max(age, 0)
}

func maxAge(in *advert.Instance) time.Duration {
	if in.Validity == 0 {
		return 90 * time.Second
	}
	return time.Duration(in.Validity) * time.Second
}

func (c *Core) bareCandidate(now time.Time, e *entry) selection.Candidate {
	site := c.sites[e.key.Egress]
	return selection.Candidate{
		Key: e.key, Site: c.siteName(e.key.Egress), Level: selection.LevelSite,
		Utilisation: math.NaN(), Score: -1, Heard: now,
		Weight: site.Weight, Preference: site.Preference,
	}
}

func (c *Core) candidate(e *entry, in *advert.Instance) selection.Candidate {
	site := c.sites[e.key.Egress]
	cand := selection.Candidate{
		Key: e.key, Site: c.siteName(e.key.Egress), Level: selection.LevelInstance,
		Utilisation: math.NaN(), Score: -1, Flags: in.Flags,
		Heard: e.heard, Age: e.age, Validity: e.validity,
		Weight: site.Weight, Preference: site.Preference,
	}
	if e.aggregate {
		cand.Level = selection.LevelAggregate
	}
	if v, ok := in.Utilisation(); ok {
		cand.Utilisation = v
	}
	if m, ok := in.Metric(advert.Utilisation); !ok || m.Statistic != advert.StatCurrent {
		// A score, or a utilisation that says so, is over the window. A current
		// utilisation is only smoothed a little.
		cand.Window = time.Duration(in.Window) * 100 * time.Millisecond
	}
	if v, ok := in.CapacityFlows(); ok {
		cand.Capacity = v
	}
	if v, ok := in.Value(advert.Slots); ok {
		cand.Slots = int(min(v, 1<<20))
	}
	if v, ok := in.Value(advert.ServiceTime); ok {
		cand.ServiceTime = time.Duration(v) * time.Microsecond
	}
	if v, ok := in.Value(advert.NormFI); ok {
		cand.Score = int(v)
	}
	return cand
}

func (c *Core) fault(a *Announcement, f Fault, name events.Name, format string, args ...any) {
	c.faults[faultKey{a.Peer, f}]++
	c.note(name, a, format, args...)
}

// Faults returns how often each peer's announcements had each fault, for every
// pair that ever occurred.
func (c *Core) Faults(yield func(peer string, f Fault, n uint64)) {
	for k, n := range c.faults {
		yield(k.Peer, k.Fault, n)
	}
}
