package egress

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/catsbgp/catsbgp/advert"
	"github.com/catsbgp/catsbgp/internal/collect"
	"github.com/catsbgp/catsbgp/internal/events"
	"github.com/catsbgp/catsbgp/internal/timers"
)

// A Target names what an operator drains: the whole site (zero), a service
// (Service), or one instance of it (Service and Instance).
type Target struct {
	Service  advert.CSID
	Instance advert.CSCIID
	One      bool // an instance, not the service
}

// String returns "site", the CS-ID, or "CS-ID CSCI-ID".
func (t Target) String() string {
	switch {
	case !t.Service.IsValid():
		return "site"
	case !t.One:
		return t.Service.String()
	}
	return t.Service.String() + " " + t.Instance.String()
}

func compareTarget(a, b Target) int {
	one := func(t Target) int {
		if t.One {
			return 1
		}
		return 0
	}
	return cmp.Or(a.Service.Compare(b.Service), cmp.Compare(one(a), one(b)), a.Instance.Compare(b.Instance))
}

// A Drain is an operator's wish to empty a target. It outlives a reload that
// takes its target away for a while. While it drains, its routes
// stay up, flagged, with GRACEFUL_SHUTDOWN (RFC 8326); then it is withdrawn.
// The BGP session is never touched.
type Drain struct {
	Since    time.Time
	Deadline time.Time // withdraw then; zero: only when told
	Withdraw bool      // the drain is over: say nothing
	Reason   string
}

// Drain starts, changes or (Withdraw set) ends in withdrawal the drain of a
// target. It is an error if the site has no such target.
func (c *Core) Drain(t Target, d Drain) error {
	if err := c.known(t); err != nil {
		return err
	}
	if old, ok := c.drains[t]; ok && !old.Since.IsZero() {
		d.Since = old.Since
	}
	c.drains[t] = d
	c.touch(t)
	return nil
}

// Undrain takes back a drain or a withdrawal, at any moment, even if its target
// is not configured at present. It reports whether there was one.
func (c *Core) Undrain(t Target) (bool, error) {
	_, was := c.drains[t]
	if err := c.known(t); err != nil && !was {
		return false, err
	}
	delete(c.drains, t)
	c.touch(t)
	return was, nil
}

// A DrainRecord is a drain with its target.
type DrainRecord struct {
	Target Target
	Drain
}

// Drains lists the drains in force.
func (c *Core) Drains() []DrainRecord {
	var rs []DrainRecord
	for _, t := range slices.SortedFunc(maps.Keys(c.drains), compareTarget) {
		rs = append(rs, DrainRecord{t, c.drains[t]})
	}
	return rs
}

func (c *Core) known(t Target) error {
	if !t.Service.IsValid() {
		return nil
	}
	s := c.services[t.Service]
	if s == nil {
		return fmt.Errorf("egress: no service %s at this site", t.Service)
	}
	if t.One && !slices.ContainsFunc(s.members, func(m *subject) bool { return m.id == t.Instance }) {
		return fmt.Errorf("egress: service %s has no instance %s at this site", s.Name, t.Instance)
	}
	return nil
}

// touch marks all that a drain may concern for a new look.
func (c *Core) touch(t Target) {
	for _, sub := range c.subjects {
		if !t.Service.IsValid() || sub.service.ID == t.Service {
			c.dirty[sub] = true
			c.reassess[sub.service] = true
		}
	}
}

// drainOf returns the drain that concerns a subject, the most severe if there
// are several, nil if none. An aggregate drains with its service, its site, or
// when every member that is up drains.
func (c *Core) drainOf(sub *subject) *Drain {
	if len(c.drains) == 0 {
		return nil
	}
	var worst *Drain
	for _, t := range []Target{{}, {Service: sub.service.ID}, {Service: sub.service.ID, Instance: sub.id, One: true}} {
		if t.One && sub.acc == nil {
			continue
		}
		if d, ok := c.drains[t]; ok && (worst == nil || d.Withdraw && !worst.Withdraw) {
			worst = &d
		}
	}
	if worst != nil || sub.acc != nil {
		return worst
	}
	for _, m := range sub.service.members {
		if m.state == collect.Up {
			d := c.drainOf(m)
			if d == nil {
				return nil
			}
			if worst == nil || worst.Withdraw && !d.Withdraw {
				worst = d
			}
		}
	}
	return worst
}

// expireDrains turns drains whose deadline has come into withdrawals.
func (c *Core) expireDrains(now time.Time, out *Output) {
	for _, r := range c.Drains() {
		if r.Withdraw || r.Deadline.IsZero() || now.Before(r.Deadline) {
			continue
		}
		r.Withdraw = true
		c.drains[r.Target] = r.Drain
		c.touch(r.Target)
		n := Note{Name: events.DrainFinished, Text: fmt.Sprintf("%s: deadline passed, withdrawing", r.Target)}
		if s := c.services[r.Target.Service]; s != nil {
			n.Service = s.Name
			if r.Target.One {
				n.Key = collect.Key{Service: s.ID, ID: r.Target.Instance}
			}
		}
		out.Notes = append(out.Notes, n)
	}
}

func (c *Core) nextDeadline() (next time.Time) {
	for _, d := range c.drains {
		if !d.Withdraw {
			next = timers.Earliest(next, d.Deadline)
		}
	}
	return next
}
