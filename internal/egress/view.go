package egress

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/catsbgp/catsbgp/advert"
	"github.com/catsbgp/catsbgp/dampening"
	"github.com/catsbgp/catsbgp/internal/collect"
)

// A SubjectView is an instance of this site, or a service's aggregate, with
// what is known, said and held back of it.
type SubjectView struct {
	Service string
	Key     collect.Key
	Whole   bool // the aggregate
	Report  collect.Report
	Gate    dampening.Status // zero if instances of the service are not announced
	Gated   bool
	Said    *advert.Instance // nil: nothing is said
	Drain   *Drain           // nil: none
	Config  collect.Instance // of an instance
}

// Subjects returns all subjects, by service and CSCI-ID, aggregates last.
func (c *Core) Subjects() []SubjectView {
	views, _ := c.SubjectsFrom(0, len(c.subjects))
	return views
}

// SubjectsFrom returns up to n subjects from position i in the order of
// Subjects, and the position after them: 0 at the end. So a site with thousands
// of instances can be looked at a few at a time. Configure changes positions.
func (c *Core) SubjectsFrom(i, n int) (views []SubjectView, next int) {
	all := c.ordered()
	i = min(i, len(all))
	end := min(i+n, len(all))
	views = make([]SubjectView, 0, end-i)
	for _, sub := range all[i:end] {
		if sub.gone {
			continue
		}
		v := SubjectView{
			Service: sub.service.Name, Key: collect.Key{Service: sub.service.ID, ID: sub.id}, Whole: sub.acc == nil,
			Report: sub.report, Said: sub.said, Drain: c.drainOf(sub), Config: sub.config,
		}
		v.Gate, v.Gated = c.table.Status(sub.key)
		views = append(views, v)
	}
	if end == len(all) {
		end = 0
	}
	return views, end
}

// Instances yields what is known of each instance, in the order of Subjects.
// The report is only good during the call.
func (c *Core) Instances(yield func(service string, key collect.Key, r *collect.Report) bool) {
	for _, sub := range c.ordered() {
		if !sub.gone && sub.acc != nil && !yield(sub.service.Name, collect.Key{Service: sub.service.ID, ID: sub.id}, &sub.report) {
			return
		}
	}
}

// Len returns how many subjects there are.
func (c *Core) Len() int { return len(c.subjects) }

// ordered returns the subjects in the order in which they are shown.
func (c *Core) ordered() []*subject {
	if len(c.order) == 0 && len(c.subjects) > 0 {
		c.order = slices.SortedFunc(maps.Values(c.subjects), func(a, b *subject) int {
			return cmp.Or(a.service.ID.Compare(b.service.ID), cmp.Compare(a.rank(), b.rank()), a.id.Compare(b.id))
		})
	}
	return c.order
}

// rank puts aggregates behind instances.
func (sub *subject) rank() int {
	if sub.acc == nil {
		return 1
	}
	return 0
}

// A ServiceView is a service of this site.
type ServiceView struct {
	ID        advert.CSID
	Name      string
	Announced bool // the anycast route
	Up, Total int  // instances
}

// Services returns the services of this site, by CS-ID.
func (c *Core) Services() []ServiceView {
	var views []ServiceView
	for _, id := range slices.SortedFunc(maps.Keys(c.services), advert.CSID.Compare) {
		s := c.services[id]
		v := ServiceView{ID: id, Name: s.Name, Announced: s.anycast != nil, Total: len(s.members)}
		for _, m := range s.members {
			if m.state == collect.Up {
				v.Up++
			}
		}
		views = append(views, v)
	}
	return views
}

// Dampening returns the figures of the site's gates as a whole, and how long
// values are good for.
func (c *Core) Dampening() (dampening.Summary, time.Duration) {
	_, validity := c.table.Validity()
	return c.table.Summary(), validity
}
