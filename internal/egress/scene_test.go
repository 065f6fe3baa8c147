package egress

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/catsbgp/catsbgp/advert"
	"github.com/catsbgp/catsbgp/dampening"
	"github.com/catsbgp/catsbgp/internal/collect"
)

const (
	locator = "192.0.2.21"
	web     = "203.0.113.10"
	shop    = "203.0.113.20"
	a1      = "10.0.2.11"
	a2      = "10.0.2.12"
	a3      = "10.0.2.13"
)

var epoch = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func csid(s string) advert.CSID {
	id, err := advert.ParseCSID(s)
	if err != nil {
		panic(err)
	}
	return id
}

func csci(s string) advert.CSCIID {
	id, err := advert.ParseCSCIID(s)
	if err != nil {
		panic(err)
	}
	return id
}

func key(service, instance string) collect.Key {
	return collect.Key{Service: csid(service), ID: csci(instance)}
}

// perInstance is a service that is said by instances, each with one source.
func perInstance(service string, instances ...string) Service {
	s := Service{ID: csid(service), Name: service, PerInstance: true, MinInstances: 1}
	for _, id := range instances {
		s.Instances = append(s.Instances, collect.Instance{
			Key: key(service, id), Name: service, Capacity: 100, Slots: 8, ServiceTime: 20 * time.Millisecond,
			Sources: []collect.Source{{Name: "load", Type: collect.Push, StaleAfter: 24 * time.Hour}},
		})
	}
	return s
}

// aggregated is one that is said as a whole.
func aggregated(service string, instances ...string) Service {
	s := perInstance(service, instances...)
	s.PerInstance, s.Aggregate = false, true
	return s
}

func options(services ...Service) Options {
	d := dampening.Domain()
	d.Smoothing = 0
	return Options{
		Profile: advert.Profile{Normalization: 1, Domain: 65001}, Locator: netip.MustParseAddr(locator),
		Site: advert.Site{Preference: 100}, Dampening: d, Services: services,
	}
}

// A scene is an egress core in a test, and the RIB that its output makes.
type scene struct {
	t     *testing.T
	c     *Core
	now   time.Time
	rib   map[netip.Prefix]Route
	log   []string // what was put and withdrawn since the last look
	notes []Note
	seen  map[string]advert.Sequence // newest sequence put out, by service and CSCI-ID
}

func newScene(t *testing.T, services ...Service) *scene { return newSceneWith(t, options(services...)) }

func newSceneWith(t *testing.T, opt Options) *scene {
	return &scene{t: t, c: New(epoch, opt, 1), now: epoch, rib: map[netip.Prefix]Route{}, seen: map[string]advert.Sequence{}}
}

// load reports the load of an instance, which makes it up.
func (s *scene) load(service, instance string, load float64) {
	s.values(service, instance, map[string]float64{collect.ValueUtilisation: load})
}

func (s *scene) values(service, instance string, values map[string]float64) {
	s.c.Observe(s.now, collect.SourceEvent{Key: key(service, instance), Source: "load", At: s.now, Values: values})
}

func (s *scene) check(service, instance string, up bool) {
	s.c.Observe(s.now, collect.CheckEvent{Key: key(service, instance), Check: "http", At: s.now, Up: up, Changed: true, Detail: "says so"})
}

// withChecks gives every instance a health check as well.
func withChecks(sv Service) Service {
	sv.Instances = slices.Clone(sv.Instances)
	for i := range sv.Instances {
		sv.Instances[i].Checks = []collect.Check{{Name: "http", Type: collect.CheckHTTP}}
	}
	return sv
}

func (s *scene) step() time.Time {
	out := s.c.Step(s.now)
	for _, r := range out.Put {
		s.put(r)
	}
	for _, p := range out.Withdraw {
		if _, ok := s.rib[p]; !ok {
			s.t.Errorf("withdraws %s, which is not there", p)
		}
		if slices.ContainsFunc(out.Put, func(r Route) bool { return r.Prefix == p }) {
			s.t.Errorf("puts and withdraws %s", p)
		}
		delete(s.rib, p)
		s.log = append(s.log, "-"+p.String())
	}
	s.notes = append(s.notes, out.Notes...)
	return out.Next
}

// put checks what every announcement must be, and keeps it.
func (s *scene) put(r Route) {
	s.t.Helper()
	if have, ok := s.rib[r.Prefix]; ok && equalRoute(have, r) {
		s.t.Errorf("puts %s again, unchanged", r.Prefix)
	}
	var a advert.Attribute
	if err := advert.DecodeAttribute(r.Attribute, &a); err != nil {
		s.t.Fatalf("%s: %v", r.Prefix, err)
	}
	if len(r.Attribute) > advert.MaxAttributeLen {
		s.t.Errorf("%s: %d octets", r.Prefix, len(r.Attribute))
	}
	if r.Anycast && len(a.Instances) > 0 {
		s.t.Errorf("%s: the anycast route has instances", r.Prefix)
	}
	for _, in := range a.Instances {
		name := in.Service.String() + " " + in.ID.String()
		if last, ok := s.seen[name]; ok && !in.Sequence.Newer(last) && !s.repeated(r.Prefix, in) {
			s.t.Errorf("%s: sequence %d after %d", name, in.Sequence, last)
		}
		s.seen[name] = in.Sequence
	}
	s.rib[r.Prefix] = r
	s.log = append(s.log, "+"+r.Prefix.String())
}

// repeated reports whether an instance is in the route that is replaced, or in
// another one that it moves from, as it was.
func (s *scene) repeated(_ netip.Prefix, in advert.Instance) bool {
	for _, r := range s.rib {
		var a advert.Attribute
		if advert.DecodeAttribute(r.Attribute, &a) == nil &&
			slices.ContainsFunc(a.Instances, func(o advert.Instance) bool { return o.Equal(&in) }) {
			return true
		}
	}
	return false
}

// pass lets time go by with the agent calling as asked.
func (s *scene) pass(d time.Duration) {
	end := s.now.Add(d)
	for {
		next := s.step()
		if next.IsZero() || next.After(end) {
			break
		}
		if s.now = next; next.Before(s.now) {
			s.t.Fatalf("asks to be called at %s, now is %s", next, s.now)
		}
	}
	s.now = end
	s.step()
}

// says describes the RIB: "10.0.2.11: web 10.0.2.11 30%; 203.0.113.10: anycast".
func (s *scene) says() string {
	var lines []string
	for _, p := range slices.SortedFunc(maps.Keys(s.rib), comparePrefix) {
		r := s.rib[p]
		var a advert.Attribute
		if err := advert.DecodeAttribute(r.Attribute, &a); err != nil {
			s.t.Fatal(err)
		}
		var words []string
		if r.Anycast {
			words = append(words, "anycast")
		}
		for _, in := range a.Instances {
			w := in.Service.String() + " " + in.ID.String()
			if u, ok := in.Utilisation(); ok {
				w += fmt.Sprintf(" %.0f%%", 100*u)
			}
			if in.Flags != 0 {
				w += " " + strings.Join(in.Flags.Words(), " ")
			}
			words = append(words, w)
		}
		if r.Shutdown {
			words = append(words, "(shutdown)")
		}
		lines = append(lines, strings.TrimSuffix(p.String(), "/32")+": "+strings.Join(words, ", "))
	}
	return strings.Join(lines, "; ")
}

func (s *scene) want(why, says string) {
	s.t.Helper()
	s.step()
	if got := s.says(); got != says {
		s.t.Errorf("%s:\n got %s\nwant %s", why, got, says)
	}
}

// wantLog asserts what was put and withdrawn since the last time.
func (s *scene) wantLog(why string, log ...string) {
	s.t.Helper()
	s.step()
	if got, want := strings.ReplaceAll(strings.Join(s.log, " "), "/32", ""), strings.Join(log, " "); got != want {
		s.t.Errorf("%s:\n got %s\nwant %s", why, got, want)
	}
	s.log = nil
}

func (s *scene) wantNote(why string, words ...string) {
	s.t.Helper()
	s.step()
	defer func() { s.notes = nil }()
	for _, n := range s.notes {
		text := fmt.Sprint(n.Name, " ", n.Service, " ", n.Key.ID, " ", n.Text)
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(text, w) }) {
			return
		}
	}
	s.t.Errorf("%s: nothing told with %q, but\n%v", why, words, s.notes)
}
