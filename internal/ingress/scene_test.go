package ingress

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/catsbgp/catsbgp/advert"
	"github.com/catsbgp/catsbgp/internal/netmetric"
	"github.com/catsbgp/catsbgp/selection"
)

const (
	domain = 65001
	siteA  = "192.0.2.21"
	siteB  = "192.0.2.22"
	instA  = "10.0.2.11"
	instB  = "10.0.2.12"
	web    = "203.0.113.10/32"
)

var (
	epoch = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	webID = advert.ServicePrefix(netip.MustParsePrefix(web))
)

// A scene is an ingress core in a test, with what it told so far.
type scene struct {
	t     *testing.T
	c     *Core
	now   time.Time
	last  map[advert.CSID]*selection.Split
	gone  []advert.CSID
	notes []Note
}

func newScene(t *testing.T, set ...func(*Options)) *scene {
	opt := Options{
		Domain: domain, Normalization: 1, ASN: domain, Default: selection.Default(),
		Names: map[advert.CSID]string{webID: "web"},
		Sites: []Site{{Locator: netip.MustParseAddr(siteA), Name: "a", Weight: 1}},
	}
	for _, f := range set {
		f(&opt)
	}
	return &scene{t: t, c: New(opt, 1), now: epoch, last: map[advert.CSID]*selection.Split{}}
}

// A say is what an instance route of the service web says.
type say struct {
	site, id  string
	seq       uint32
	at        time.Time // zero: now
	load      float64
	validity  uint16 // 0: 90
	flags     advert.InstanceFlags
	signed    *advert.Key
	domain    uint32
	service   string // "": web
	mutate    func(*advert.Attribute)
	noMetrics bool
}

func (s *scene) attribute(y say) advert.Attribute {
	at, service := y.at, web
	if at.IsZero() {
		at = s.now
	}
	if y.service != "" {
		service = y.service
	}
	id, err := advert.ParseCSCIID(y.id)
	if err != nil {
		s.t.Fatal(err)
	}
	in := advert.Instance{
		Service: advert.ServicePrefix(netip.MustParsePrefix(service)), ID: id, Sequence: advert.Sequence(y.seq),
		Generated: uint32(at.Unix()), Validity: 90, Window: 100, Flags: y.flags,
	}
	if y.validity != 0 {
		in.Validity = y.validity
	}
	if !y.noMetrics {
		in.SetUtilisation(y.load, advert.StatCurrent, advert.SourceMeasured)
		in.SetCapacityFlows(100, advert.StatCurrent, advert.SourceNominal)
	}
	a := advert.Attribute{
		Profile: advert.Profile{Normalization: 1, Domain: domain}, Locator: netip.MustParseAddr(y.site),
		Instances: []advert.Instance{in},
	}
	if y.domain != 0 {
		a.Profile.Domain = y.domain
	}
	if y.mutate != nil {
		y.mutate(&a)
	}
	return a
}

func encode(t testing.TB, a advert.Attribute, prefix string, key *advert.Key) []byte {
	t.Helper()
	b, err := advert.AppendAttribute(nil, &a)
	if err == nil && key != nil {
		b, err = key.Sign(b, netip.MustParsePrefix(prefix))
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// says announces an instance route over a peer.
func (s *scene) says(peer string, y say) {
	s.t.Helper()
	s.hear(peer, y.id+"/32", encode(s.t, s.attribute(y), y.id+"/32", y.signed))
}

// anycast announces the service's own route, which leads to a site.
func (s *scene) anycast(peer, site string, key *advert.Key) {
	s.t.Helper()
	a := advert.Attribute{Profile: advert.Profile{Normalization: 1, Domain: domain}, Locator: netip.MustParseAddr(site)}
	s.hear(peer, web, encode(s.t, a, web, key))
}

func (s *scene) hear(peer, prefix string, value []byte) {
	s.c.Hear(s.now, Announcement{Peer: peer, Prefix: netip.MustParsePrefix(prefix), Attribute: value, NextHop: netip.MustParseAddr("198.51.100.1")})
	s.check()
}

func (s *scene) withdraw(peer, prefix string) {
	s.c.Hear(s.now, Announcement{Peer: peer, Prefix: netip.MustParsePrefix(prefix), Withdrawn: true})
	s.check()
}

// pass lets time go by with the agent calling as asked.
func (s *scene) pass(d time.Duration) {
	end := s.now.Add(d)
	for {
		next := s.step()
		if next.IsZero() || next.After(end) {
			break
		}
		if next.After(s.now) {
			s.now = next
		} else {
			s.now = s.now.Add(time.Millisecond)
		}
	}
	s.now = end
	s.step()
}

func (s *scene) step() time.Time {
	out := s.c.Step(s.now)
	for _, sp := range out.Splits {
		s.last[sp.Service] = sp
	}
	for _, id := range out.Gone {
		delete(s.last, id)
	}
	s.gone = append(s.gone, out.Gone...)
	s.notes = append(s.notes, out.Notes...)
	s.check()
	return out.Next
}

// targets describes the last split of the service web.
func (s *scene) targets() string {
	s.step()
	sp := s.last[webID]
	if sp == nil {
		return "no service"
	}
	var words []string
	for _, t := range sp.Targets {
		w := t.Key.String()
		if t.Aged {
			w += " aged"
		}
		words = append(words, w)
	}
	for _, x := range sp.Excluded {
		words = append(words, fmt.Sprintf("(%s %s)", x.Key, x.Reason))
	}
	return strings.Join(words, ", ")
}

func (s *scene) want(why, targets string) {
	s.t.Helper()
	if got := s.targets(); got != targets {
		s.t.Errorf("%s:\n got %s\nwant %s", why, got, targets)
	}
}

func (s *scene) wantFaults(why string, want string) {
	s.t.Helper()
	var words []string
	for peer, f := range s.faults() {
		words = append(words, fmt.Sprintf("%s %s", peer, f))
	}
	slices.Sort(words)
	if got := strings.Join(words, ", "); got != want {
		s.t.Errorf("%s: faults\n got %s\nwant %s", why, got, want)
	}
}

func (s *scene) faults() map[string]string {
	m := map[string]string{}
	s.c.Faults(func(peer string, f Fault, n uint64) {
		m[peer] = strings.TrimPrefix(fmt.Sprintf("%s %s=%d", m[peer], f, n), " ")
	})
	return m
}

// wantNote asserts that something was told that has all words, and forgets
// what was told so far.
func (s *scene) wantNote(why string, words ...string) {
	s.t.Helper()
	s.step()
	defer func() { s.notes = nil }()
	for _, n := range s.notes {
		text := fmt.Sprint(n.Name, " ", n.Peer, " ", n.Site, " ", n.Text)
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(text, w) }) {
			return
		}
	}
	s.t.Errorf("%s: nothing told with %q, but\n%v", why, words, s.notes)
}

func (s *scene) wantQuiet(why string) {
	s.t.Helper()
	s.step()
	if len(s.notes) > 0 {
		s.t.Errorf("%s: told %v", why, s.notes)
	}
	s.notes = nil
}

// check recounts everything that is counted.
func (s *scene) check() {
	s.t.Helper()
	if err := s.c.recount(); err != nil {
		s.t.Fatal(err)
	}
}

// recount compares all reference counts with the routes they come from.
func (c *Core) recount() error {
	routes := map[*entry][standings]uint32{}
	for _, g := range c.routes {
		if g.empty() {
			return fmt.Errorf("an empty gift is kept")
		}
		add := func(e *entry, st standing) {
			n := routes[e]
			n[st]++
			routes[e] = n
		}
		for e := range g.entries {
			add(e, g.standing)
		}
		if e := g.site(); e != nil {
			add(e, max(g.standing, byAnycast))
		}
	}
	entries := 0
	uses := map[*egress]map[*service]int{}
	for id, s := range c.services {
		if s.id != id {
			return fmt.Errorf("service %s under the key %s", s.id, id)
		}
		barredOnes := 0
		for i, e := range s.entries {
			entries++
			switch {
			case i > 0 && s.entries[i-1].key().Compare(e.key()) >= 0:
				return fmt.Errorf("%s: entries out of order", id)
			case e.service != s, c.egresses[e.egress.locator] != e.egress:
				return fmt.Errorf("%s %s: dangling", id, e.key())
			case e.routes != routes[e]:
				return fmt.Errorf("%s %s: counts %v, has %v", id, e.key(), e.routes, routes[e])
			case e.rests != e.best() || e.rests == nothing || e.untold:
				return fmt.Errorf("%s %s: rests on %d, best is %d, untold %v", id, e.key(), e.rests, e.best(), e.untold)
			case e.known != (e.rests == byAttribute):
				return fmt.Errorf("%s %s: known %v, rests on %d", id, e.key(), e.known, e.rests)
			}
			if e.rests == barred {
				barredOnes++
			}
			if uses[e.egress] == nil {
				uses[e.egress] = map[*service]int{}
			}
			uses[e.egress][s]++
		}
		if barredOnes != s.barred {
			return fmt.Errorf("%s: %d barred, counts %d", id, barredOnes, s.barred)
		}
		if s.selector.Len() != len(s.entries) {
			return fmt.Errorf("%s: %d entries, %d candidates", id, len(s.entries), s.selector.Len())
		}
		if len(s.entries) == 0 && !c.dirty[s] {
			return fmt.Errorf("%s: empty and forgotten", id)
		}
	}
	if len(routes) != entries {
		return fmt.Errorf("%d entries with routes, %d entries", len(routes), entries)
	}
	if len(uses) != len(c.egresses) {
		return fmt.Errorf("%d egresses in use, %d kept", len(uses), len(c.egresses))
	}
	for eg, want := range uses {
		if fmt.Sprint(len(eg.uses)) != fmt.Sprint(len(want)) {
			return fmt.Errorf("egress %s: %d services, counts %d", eg.locator, len(want), len(eg.uses))
		}
		for s, n := range want {
			if eg.uses[s] != n {
				return fmt.Errorf("egress %s: %d entries of %s, counts %d", eg.locator, n, s.id, eg.uses[s])
			}
		}
	}
	return nil
}

func measured(site string, rtt time.Duration) netmetric.Measurement {
	return netmetric.Measurement{
		Egress: netip.MustParseAddr(site), At: epoch, Decided: true, Reachable: true, Known: true,
		RTT: rtt, Min: rtt, Mean: rtt, Max: rtt, Sent: 20, Received: 20,
	}
}

func unreachable(site string) netmetric.Measurement {
	return netmetric.Measurement{Egress: netip.MustParseAddr(site), At: epoch, Decided: true, Loss: 1, LostInRow: 5, Sent: 20, Received: 15}
}

func almost(a, b float64) bool { return math.Abs(a-b) < 1e-6 }
