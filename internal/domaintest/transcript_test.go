package domaintest

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/catsbgp/catsbgp/advert"
	"github.com/catsbgp/catsbgp/dampening"
	"github.com/catsbgp/catsbgp/internal/collect"
	"github.com/catsbgp/catsbgp/internal/egress"
	"github.com/catsbgp/catsbgp/internal/ingress"
	"github.com/catsbgp/catsbgp/internal/netmetric"
	"github.com/catsbgp/catsbgp/selection"
)

var update = flag.Bool("update", false, "rewrite the results in testdata/*.txt")

// TestStories runs testdata/*.txt. A file is blocks separated by empty lines:
// commands, a line "----", and what is seen. Lines that start with "#" are
// prose.
//
//	reflectors PEER...                 between all sites and all ingresses; default r1
//	ingress NAME [LOCATOR=RTT...]      an ingress, with the distance of each site
//	site NAME LOCATOR                  a site; the ingresses come first
//	service SITE CS-ID FORM ID...      FORM: instances, aggregate or both; a reload of the site
//	load SITE ID LEVEL                 what its source reports from now on, every second
//	check SITE ID up|down              likewise its health check
//	flap SITE ID EVERY N               the check goes down and up again, N times
//	drain SITE [ID] [DEADLINE], undrain SITE [ID]
//	delay PEER DURATION                everything over a reflector is late
//	block SITE PEER..., unblock        announcements get stuck, BGP stays up
//	down SITE PEER..., up              the session is down: routes are withdrawn
//	kill SITE                          power is cut: sessions are down, probes lost
//	start SITE                         an agent without memory
//	unreachable SITE, reachable        probes are lost, or answered again
//	clock NAME DURATION                a site's or ingress's clock jumps
//	run DURATION                       what is said and decided is printed, but for refreshes
//	count DURATION, count COMMAND...   only how much was said is printed
//	split INGRESS                      the split in force
func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { runStory(t, file) })
	}
}

func runStory(t *testing.T, file string) {
	have, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	d := newDomain()
	for i, block := range strings.Split(strings.TrimRight(string(have), "\n"), "\n\n") {
		if i > 0 {
			got.WriteString("\n")
		}
		commands, _, isCommand := strings.Cut(block+"\n", "----\n")
		got.WriteString(commands)
		if !isCommand {
			continue
		}
		got.WriteString("----\n")
		d.out = &got
		for line := range strings.Lines(commands) {
			if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
				continue
			}
			if err := d.do(strings.Fields(line)); err != nil {
				t.Fatalf("%s: %q: %v", file, line, err)
			}
		}
	}
	if *update {
		if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, lines := strings.Split(string(have), "\n"), strings.Split(got.String(), "\n")
	for i := range max(len(want), len(lines)) {
		at := func(s []string) string {
			if i < len(s) {
				return s[i]
			}
			return "(end)"
		}
		if at(want) != at(lines) {
			t.Fatalf("%s:%d:\n got %s\nwant %s", file, i+1, at(lines), at(want))
		}
	}
}

func (d *domain) do(words []string) (err error) {
	defer func() {
		if r := recover(); r != nil { // too few words, or a name that is not there
			err = fmt.Errorf("%v", r)
		}
	}()
	name, rest := words[1], words[2:]
	s, e := d.sites[name], d.ingresses[name]
	switch words[0] {
	case "reflectors":
		d.peers = words[1:]
	case "ingress":
		return d.ingress(name, rest)
	case "site":
		locator := netip.MustParseAddr(rest[0])
		d.sites[name] = &site{
			name: name, rib: map[netip.Prefix]egress.Route{}, load: map[collect.Key]float64{}, check: map[collect.Key]bool{}, blocked: map[string]bool{},
			opt: egress.Options{Profile: advert.Profile{Normalization: 1, Domain: asn}, Locator: locator, Dampening: dampening.Domain()},
		}
		d.start(d.sites[name])
		for _, e := range d.ingresses {
			e.opt.Sites = append(e.opt.Sites, ingress.Site{Locator: locator, Name: name, Weight: 1})
			e.core.Configure(d.now.Add(e.clock), e.opt)
		}
	case "service":
		return d.service(s, rest)
	case "load":
		level, err := strconv.ParseFloat(rest[1], 64)
		for _, k := range s.keys(rest[0]) {
			s.load[k] = level
		}
		return err
	case "check":
		for _, k := range s.keys(rest[0]) {
			s.check[k] = rest[1] == "up"
		}
	case "flap":
		every, n := duration(rest[1]), 0
		if n, err = strconv.Atoi(rest[2]); err != nil {
			return err
		}
		for i := range 2 * n {
			for _, k := range s.keys(rest[0]) {
				s.check[k] = i%2 == 1
			}
			d.run(every / 2)
		}
	case "drain", "undrain":
		return d.drain(s, words[0] == "undrain", rest)
	case "delay":
		d.delay[name] = duration(rest[0])
	case "block", "unblock":
		for _, p := range rest {
			s.blocked[p] = words[0] == "block"
		}
		if words[0] == "unblock" {
			d.session(s, true, rest...)
		}
	case "down", "up":
		d.session(s, words[0] == "up", rest...)
		for _, p := range rest {
			s.blocked[p] = words[0] == "down"
		}
	case "kill":
		d.session(s, false, d.peers...)
		s.dead, s.rib = true, map[netip.Prefix]egress.Route{}
		d.measure(s, false)
	case "start":
		d.start(s)
		d.measure(s, true)
	case "unreachable", "reachable":
		d.measure(s, words[0] == "reachable")
	case "clock":
		if s != nil {
			s.clock += duration(rest[0])
		} else {
			e.clock += duration(rest[0])
		}
	case "run":
		d.run(duration(name))
	case "count":
		out := d.out
		d.out, d.said = io.Discard, map[string]int{}
		if span, notSpan := time.ParseDuration(name); notSpan == nil {
			d.run(span)
		} else if err = d.do(words[1:]); err != nil {
			return err
		}
		d.out = out
		for _, what := range slices.Sorted(maps.Keys(d.said)) {
			fmt.Fprintf(d.out, "%5d × %s\n", d.said[what], what)
		}
	case "split":
		d.printSplits(e)
	default:
		return fmt.Errorf("no such command")
	}
	return nil
}

func duration(s string) time.Duration {
	v, err := time.ParseDuration(s)
	if err != nil {
		panic(err)
	}
	return v
}

func (d *domain) ingress(name string, distances []string) error {
	e := &entrance{
		name: name, split: map[advert.CSID]*selection.Split{}, rtt: map[netip.Addr]netmetric.Measurement{},
		opt: ingress.Options{Domain: asn, Normalization: 1, ASN: asn, Default: selection.Default()},
	}
	e.core = ingress.New(e.opt, uint64(len(d.ingresses)+1))
	for _, dist := range distances {
		locator, rtt, _ := strings.Cut(dist, "=")
		a := netip.MustParseAddr(locator)
		e.rtt[a] = measurement(a, duration(rtt))
	}
	d.ingresses[name] = e
	return nil
}

func measurement(a netip.Addr, rtt time.Duration) netmetric.Measurement {
	return netmetric.Measurement{Egress: a, At: epoch, Decided: true, Reachable: true, Known: true, RTT: rtt, Min: rtt, Sent: 20, Received: 20}
}

// start gives a site a new agent.
func (d *domain) start(s *site) {
	s.starts++
	s.dead, s.rib = false, map[netip.Prefix]egress.Route{}
	s.core = egress.New(d.now.Add(s.clock), s.opt, uint64(s.opt.Locator.As4()[3])+s.starts)
	s.next = d.now
}

func (d *domain) service(s *site, words []string) error {
	id, err := advert.ParseCSID(words[0])
	if err != nil {
		return err
	}
	sv := egress.Service{ID: id, Name: id.String(), PerInstance: words[1] != "aggregate", Aggregate: words[1] != "instances", MinInstances: 1}
	for _, w := range words[2:] {
		in, err := advert.ParseCSCIID(w)
		if err != nil {
			return err
		}
		sv.Instances = append(sv.Instances, collect.Instance{
			Key: collect.Key{Service: id, ID: in}, Name: sv.Name, Capacity: 100, Slots: 8, ServiceTime: 20 * time.Millisecond,
			Sources: []collect.Source{{Name: "load", Type: collect.Push, StaleAfter: 5 * time.Second}},
			Checks:  []collect.Check{{Name: "http", Type: collect.CheckHTTP}},
		})
		if _, ok := s.check[sv.Instances[len(sv.Instances)-1].Key]; !ok {
			s.check[sv.Instances[len(sv.Instances)-1].Key] = true
		}
	}
	s.opt.Services = slices.DeleteFunc(slices.Clone(s.opt.Services), func(o egress.Service) bool { return o.ID == id })
	s.opt.Services = append(s.opt.Services, sv)
	s.core.Configure(d.now.Add(s.clock), s.opt)
	s.next = d.now
	return nil
}

// keys are the instances of a site with a CSCI-ID, or "all".
func (s *site) keys(id string) (keys []collect.Key) {
	for _, sv := range s.opt.Services {
		for _, in := range sv.Instances {
			if id == "all" || in.ID.String() == id {
				keys = append(keys, in.Key)
			}
		}
	}
	if len(keys) == 0 {
		panic("no instance " + id)
	}
	return keys
}

func (d *domain) drain(s *site, undo bool, words []string) error {
	var t egress.Target
	dr := egress.Drain{Since: d.now.Add(s.clock)}
	for _, w := range words {
		if span, err := time.ParseDuration(w); err == nil {
			dr.Deadline = d.now.Add(s.clock).Add(span)
			continue
		}
		k := s.keys(w)[0]
		t = egress.Target{Service: k.Service, Instance: k.ID, One: true}
	}
	s.next = d.now
	if undo {
		_, err := s.core.Undrain(t)
		return err
	}
	return s.core.Drain(t, dr)
}

// measure has every ingress lose its probes to a site, or hear of it again.
func (d *domain) measure(s *site, reachable bool) {
	for _, e := range d.ingresses {
		m, ok := e.rtt[s.opt.Locator]
		if !ok {
			continue
		}
		m.Reachable, m.Known, m.Loss, m.LostInRow = reachable, reachable, 0, 0
		if !reachable {
			m.Loss, m.LostInRow = 1, 5
		}
		e.rtt[s.opt.Locator] = m
		e.core.Measure(d.now.Add(e.clock), m)
		e.next = d.now
	}
}

func (d *domain) printSplits(e *entrance) {
	for _, id := range slices.SortedFunc(maps.Keys(e.split), advert.CSID.Compare) {
		sp := e.split[id]
		fmt.Fprintf(d.out, "%s by %s metrics\n", id, sp.Rung)
		for _, t := range sp.Targets {
			aged := ""
			if t.Aged {
				aged = ", aged"
			}
			fmt.Fprintf(d.out, "  %5.1f %%  %s at %s (%s, rtt %s, load %.0f %%%s)\n", 100*t.Share, t.Key.ID, t.Site, t.Reason,
				t.Terms.RTT.Round(time.Millisecond), 100*t.Terms.Utilisation, aged)
		}
		for _, x := range sp.Excluded {
			fmt.Fprintf(d.out, "       –   %s at %s (%s: %s)\n", x.Key.ID, x.Site, x.Reason, x.Detail)
		}
	}
}
