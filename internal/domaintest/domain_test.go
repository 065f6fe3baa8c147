package domaintest

import (
	"cmp"
	"container/heap"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/catsbgp/catsbgp/advert"
	"github.com/catsbgp/catsbgp/dampening"
	"github.com/catsbgp/catsbgp/internal/collect"
	"github.com/catsbgp/catsbgp/internal/egress"
	"github.com/catsbgp/catsbgp/internal/ingress"
	"github.com/catsbgp/catsbgp/internal/netmetric"
	"github.com/catsbgp/catsbgp/selection"
)

var epoch = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// asn is the CATS domain.
const asn = 65001

// A domain is sites and ingresses, and the time that passes for all of them.
type domain struct {
	out       io.Writer
	now       time.Time
	sites     map[string]*site
	ingresses map[string]*entrance
	peers     []string // reflectors between them
	delay     map[string]time.Duration
	under     deliveries // way
	sent      int
	sampled   time.Time // when the sources last answered

	said map[string]int // by who and what, for "count"
}

// A site is an egress core and what it announces.
type site struct {
	name    string
	core    *egress.Core
	opt     egress.Options
	clock   time.Duration // ahead of the true time
	next    time.Time
	rib     map[netip.Prefix]egress.Route
	load    map[collect.Key]float64
	check   map[collect.Key]bool
	blocked map[string]bool // announcements over this reflector get stuck, BGP stays up
	dead    bool
	starts  uint64
}

// An entrance is an ingress core and its last splits.
type entrance struct {
	name  string
	core  *ingress.Core
	opt   ingress.Options
	clock time.Duration
	next  time.Time
	split map[advert.CSID]*selection.Split
	rtt   map[netip.Addr]netmetric.Measurement
}

func newDomain() *domain {
	return &domain{
		now: epoch, sampled: epoch, sites: map[string]*site{}, ingresses: map[string]*entrance{}, peers: []string{"r1"},
		delay: map[string]time.Duration{}, said: map[string]int{},
	}
}

// A delivery is an announcement on its way.
type delivery struct {
	at time.Time
	n  int // keeps the order of a session
	to string
	an ingress.Announcement
}

type deliveries []delivery

func (d deliveries) Len() int { return len(d) }
func (d deliveries) Less(i, j int) bool {
	return cmp.Or(d[i].at.Compare(d[j].at), cmp.Compare(d[i].n, d[j].n)) < 0
}
func (d deliveries) Swap(i, j int) { d[i], d[j] = d[j], d[i] }
func (d *deliveries) Push(x any)   { *d = append(*d, x.(delivery)) }
func (d *deliveries) Pop() any {
	last := (*d)[len(*d)-1]
	*d = (*d)[:len(*d)-1]
	return last
}

// tell prints one line, with the time since the beginning.
func (d *domain) tell(who, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	d.said[who+" "+strings.Fields(text)[0]]++
	fmt.Fprintf(d.out, "%7.1fs  %-3s %s\n", d.now.Sub(epoch).Seconds(), who, text)
}

// send has every ingress hear something from a site over the reflectors.
func (d *domain) send(s *site, an ingress.Announcement, peers ...string) {
	for _, peer := range peers {
		if s.blocked[peer] {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(d.ingresses)) {
			an.Peer = peer
			d.sent++
			heap.Push(&d.under, delivery{d.now.Add(10*time.Millisecond + d.delay[peer]), d.sent, name, an})
		}
	}
}

func (s *site) announcement(r egress.Route) ingress.Announcement {
	// Path ids, as with ADD-PATH: the anycast routes of all sites survive.
	return ingress.Announcement{
		Prefix: r.Prefix, PathID: uint32(s.opt.Locator.As4()[3]), Attribute: r.Attribute, Large: r.Large, NextHop: s.opt.Locator,
	}
}

// session announces all that a site says, or withdraws it, over some
// reflectors: a session comes up or goes down.
func (d *domain) session(s *site, up bool, peers ...string) {
	for _, p := range slices.SortedFunc(maps.Keys(s.rib), func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) }) {
		an := s.announcement(s.rib[p])
		an.Withdrawn = !up
		d.send(s, an, peers...)
	}
}

func (d *domain) stepSite(s *site) {
	if s.dead {
		s.next = time.Time{}
		return
	}
	out := s.core.Step(d.now.Add(s.clock))
	for _, v := range out.Verdicts {
		what := "refreshes"
		switch {
		case !v.Say && (v.Repeated || v.Held == dampening.HeldBelowThreshold):
			continue
		case !v.Say:
			d.tell(s.name, "holds %s at %.0f %% (%s, %s)", v.Key, 100*v.Level, v.Reason, v.Held)
			continue
		case v.State == dampening.Down:
			d.tell(s.name, "withdraws %s (%s)", v.Key, cmp.Or(v.Report.Reason, v.Reason.String()))
			continue
		case v.Reason != dampening.SaidRefresh:
			what = "says"
		default:
			d.said[s.name+" refreshes"]++
			continue
		}
		drain := ""
		if v.State == dampening.Draining {
			drain = ", draining"
		}
		d.tell(s.name, "%s %s at %.0f %%%s (%s)", what, v.Key, 100*v.Level, drain, v.Reason)
	}
	for _, n := range out.Notes {
		d.tell(s.name, "%s %s", n.Name, n.Text)
	}
	for _, r := range out.Put {
		s.rib[r.Prefix] = r
		d.send(s, s.announcement(r), d.peers...)
	}
	for _, p := range out.Withdraw {
		delete(s.rib, p)
		d.send(s, ingress.Announcement{Prefix: p, PathID: uint32(s.opt.Locator.As4()[3]), Withdrawn: true}, d.peers...)
	}
	s.next = time.Time{}
	if !out.Next.IsZero() {
		s.next = out.Next.Add(-s.clock)
	}
}

func (d *domain) stepIngress(e *entrance) {
	now := d.now.Add(e.clock)
	out := e.core.Step(now)
	for _, sp := range out.Splits {
		e.split[sp.Service] = sp
		for _, ch := range sp.Changes {
			d.tell(e.name, "%s: %s", sp.Service, ch)
		}
	}
	for _, id := range out.Gone {
		delete(e.split, id)
		d.tell(e.name, "%s: nobody announces it any more", id)
	}
	for _, n := range out.Notes {
		who := strings.TrimSpace(n.Peer + " " + n.Site)
		d.tell(e.name, "%s %s: %s", n.Name, who, n.Text)
	}
	if out.Measure {
		for _, eg := range out.Egresses {
			if m, ok := e.rtt[eg]; ok {
				e.core.Measure(now, m)
				out.Next = now
			}
		}
	}
	e.next = time.Time{}
	if !out.Next.IsZero() {
		e.next = out.Next.Add(-e.clock)
	}
}

// sample has all sources and checks report, as they do every second.
func (d *domain) sample() {
	for _, name := range slices.Sorted(maps.Keys(d.sites)) {
		s := d.sites[name]
		if s.dead {
			continue
		}
		now := d.now.Add(s.clock)
		for _, sv := range s.opt.Services {
			for _, in := range sv.Instances {
				if load, ok := s.load[in.Key]; ok {
					s.core.Observe(now, collect.SourceEvent{Key: in.Key, Source: "load", At: now,
						Values: map[string]float64{collect.ValueUtilisation: load}})
				}
				if up, ok := s.check[in.Key]; ok {
					s.core.Observe(now, collect.CheckEvent{Key: in.Key, Check: "http", At: now, Up: up, Detail: "no answer"})
				}
			}
		}
		s.next = d.now
	}
}

// run lets time pass.
func (d *domain) run(span time.Duration) {
	end := d.now.Add(span)
	for {
		next := end
		earlier := func(t time.Time) {
			if !t.IsZero() && t.Before(next) {
				next = t
			}
		}
		earlier(d.sampled.Add(time.Second))
		for _, s := range d.sites {
			earlier(s.next)
		}
		for _, e := range d.ingresses {
			earlier(e.next)
		}
		if len(d.under) > 0 {
			earlier(d.under[0].at)
		}
		if next.After(d.now) {
			d.now = next
		}
		if !d.sampled.Add(time.Second).After(d.now) {
			d.sampled = d.now
			d.sample()
		}
		for _, name := range slices.Sorted(maps.Keys(d.sites)) {
			if s := d.sites[name]; !s.next.IsZero() && !s.next.After(d.now) {
				d.stepSite(s)
			}
		}
		for len(d.under) > 0 && !d.under[0].at.After(d.now) {
			dl := heap.Pop(&d.under).(delivery)
			e := d.ingresses[dl.to]
			e.core.Hear(d.now.Add(e.clock), dl.an)
			e.next = d.now
		}
		for _, name := range slices.Sorted(maps.Keys(d.ingresses)) {
			if e := d.ingresses[name]; !e.next.IsZero() && !e.next.After(d.now) {
				d.stepIngress(e)
			}
		}
		if !d.now.Before(end) {
			return
		}
	}
}
