package ingress

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp/cmpopts"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/catsbgp/catsbgp/advert"
	"github.com/catsbgp/catsbgp/selection"
)

// A world makes announcements at random, of few things, so that they meet.
type world struct {
	rng       *rand.Rand
	good, bad *advert.Key
}

func newWorld(t testing.TB, seed uint64) *world {
	w := &world{rng: rand.New(rand.NewPCG(seed, 0))}
	var err error
	if w.good, err = advert.NewHMACKey(1, []byte("0123456789abcdef")); err == nil {
		w.bad, err = advert.NewHMACKey(1, []byte("fedcba9876543210"))
	}
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// keyring is what the ingress believes.
func (w *world) keyring(t testing.TB) *advert.Keyring {
	ring, err := advert.NewKeyring(w.good)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// A rumour is an announcement, and what a dumb table knows about it.
type rumour struct {
	Announcement
	standing standing
	gives    []tableKey
	site     *tableKey // of an anycast route
	sequence advert.Sequence
	load     float64
	useless  bool
}

type tableKey struct {
	service advert.CSID
	key     advert.InstanceKey
}

func (k tableKey) compare(o tableKey) int {
	return cmp.Or(k.service.Compare(o.service), k.key.Compare(o.key))
}

func (k tableKey) String() string { return fmt.Sprintf("%s %s", k.service, k.key) }

const peers, sites, ids, servicesN = 3, 2, 3, 2

func (w *world) service() advert.CSID {
	return advert.ServicePrefix(netip.PrefixFrom(netip.AddrFrom4([4]byte{203, 0, 113, byte(10 + w.rng.IntN(servicesN))}), 32))
}

func (w *world) site() netip.Addr {
	return netip.AddrFrom4([4]byte{192, 0, 2, byte(21 + w.rng.IntN(sites))})
}

// rumour makes an announcement. What a site says with one sequence is always
// the same, as is what large communities say of an instance if steady is set.
func (w *world) rumour(t testing.TB, now time.Time, steady bool) rumour {
	site := w.site()
	r := rumour{Announcement: Announcement{
		Peer: fmt.Sprintf("r%d", w.rng.IntN(peers)), PathID: uint32(w.rng.IntN(2)), NextHop: site,
	}}
	a := advert.Attribute{Profile: advert.Profile{Normalization: 1, Domain: domain}, Locator: site}
	r.sequence = advert.Sequence(1 + w.rng.IntN(20))
	r.load = float64(r.sequence) / 100
	instance := func(service advert.CSID, id advert.CSCIID) advert.Instance {
		in := advert.Instance{
			Service: service, ID: id, Sequence: r.sequence, Validity: 90, Window: 100,
			Generated: uint32(now.Unix()) - uint32(20-r.sequence),
		}
		in.SetUtilisation(r.load, advert.StatCurrent, advert.SourceMeasured)
		return in
	}
	add := func(service advert.CSID, id advert.CSCIID) {
		a.Instances = append(a.Instances, instance(service, id))
		r.gives = append(r.gives, tableKey{service, advert.InstanceKey{ID: id, Egress: site}})
	}
	key := w.good
	if w.rng.IntN(4) == 0 {
		key, r.standing = w.bad, barred
	}
	addr := netip.AddrFrom4([4]byte{10, 0, 2, byte(11 + w.rng.IntN(ids))})
	id := advert.InstanceAddr(addr)
	switch kind := w.rng.IntN(10); {
	case kind < 4: // an instance route, of one or two services
		r.Prefix = netip.PrefixFrom(addr, 32)
		add(w.service(), id)
		if other := w.service(); w.rng.IntN(3) == 0 && other != r.gives[0].service {
			add(other, id)
		}
	case kind < 6: // an anycast route
		service := w.service()
		r.Prefix = service.Prefix()
		r.site = &tableKey{service, advert.InstanceKey{Egress: site}}
	case kind < 7: // an aggregate, on the locator's route
		r.Prefix = netip.PrefixFrom(site, 32)
		add(w.service(), advert.CSCIID{})
		a.Instances[0].Flags = advert.Aggregate
	case kind < 8: // an instance on the service's own route
		service := w.service()
		r.Prefix = service.Prefix()
		r.site = &tableKey{service, advert.InstanceKey{Egress: site}}
		add(service, id)
		a.Instances[0].Service = advert.CSID{}
	case kind < 9: // large communities
		service := w.service()
		r.Prefix, r.standing = netip.PrefixFrom(addr, 32), byCommunities
		if steady {
			r.load = 0.5
		}
		add(service, id)
		in := a.Instances[0]
		in.SetUtilisation(r.load, advert.StatCurrent, advert.SourceMeasured)
		var err error
		if r.Large, err = advert.AppendCommunities(nil, domain, &in, advert.CommunityIndex{}); err != nil {
			t.Fatal(err)
		}
		return r
	default: // nonsense
		r.Prefix = netip.PrefixFrom(addr, 32)
		r.useless, r.Attribute = true, []byte{0xca, 0, 12, 'C', 'A', 'T', 'S', 1, 0, 0, 1, 0, 0, 0xfd, 0xe9, 0xca, 1, 200}
		return r
	}
	r.Attribute = encode(t, a, r.Prefix.String(), key)
	return r
}

// A dumbTable does what the core's tables do, with nothing but the routes.
type dumbTable struct {
	routes map[string]rumour
	heard  map[tableKey]advert.Sequence // newest while it had a believable route
	graves map[tableKey]advert.Sequence
	brief  map[tableKey]float64
}

func routeName(a *Announcement) string { return fmt.Sprint(a.Peer, " ", a.Prefix, " ", a.PathID) }

func (d *dumbTable) hear(r rumour) {
	for i := 0; i < len(r.gives); i++ {
		k := r.gives[i]
		switch {
		case r.useless || r.standing == barred:
		case r.standing == byCommunities:
			d.brief[k] = r.load
		case d.count(k, byAttribute) > 0:
			d.heard[k] = max(d.heard[k], r.sequence)
		case r.sequence >= d.graves[k]:
			d.heard[k] = r.sequence
			delete(d.graves, k)
		default: // a replay
			r.gives = slices.Delete(slices.Clone(r.gives), i, i+1)
			i--
		}
	}
	name := routeName(&r.Announcement)
	d.routes[name] = r
	if r.Withdrawn || r.useless || len(r.gives) == 0 && r.site == nil {
		delete(d.routes, name)
	}
	for k, seq := range d.heard {
		if d.count(k, byAttribute) == 0 {
			d.graves[k] = seq
			delete(d.heard, k)
		}
	}
	for k := range d.brief {
		if !d.keys()[k] {
			delete(d.brief, k)
		}
	}
}

func (d *dumbTable) count(k tableKey, st standing) (n int) {
	for _, r := range d.routes {
		if r.standing == st && slices.Contains(r.gives, k) {
			n++
		}
		if r.site != nil && *r.site == k && max(r.standing, byAnycast) == st {
			n++
		}
	}
	return n
}

func (d *dumbTable) keys() map[tableKey]bool {
	keys := map[tableKey]bool{}
	for _, r := range d.routes {
		for _, k := range r.gives {
			keys[k] = true
		}
		if r.site != nil {
			keys[*r.site] = true
		}
	}
	return keys
}

func (d *dumbTable) String() string {
	var b strings.Builder
	for _, k := range slices.SortedFunc(maps.Keys(d.keys()), tableKey.compare) {
		routes := 0
		for st := byAttribute; st < nothing; st++ {
			routes += d.count(k, st)
		}
		switch {
		case d.count(k, byAttribute) > 0:
			fmt.Fprintf(&b, "%s routes %d load %.2f\n", k, routes, float64(d.heard[k])/100)
		case d.count(k, byCommunities) > 0:
			fmt.Fprintf(&b, "%s routes %d load %.2f\n", k, routes, d.brief[k])
		case d.count(k, byAnycast) > 0:
			fmt.Fprintf(&b, "%s routes %d bare\n", k, routes)
		default:
			fmt.Fprintf(&b, "%s routes %d barred\n", k, routes)
		}
	}
	return b.String()
}

func (c *Core) dump(now time.Time) string {
	var all []InstanceView
	for _, s := range c.Sites(now) {
		all = append(all, s.Instances...)
	}
	slices.SortFunc(all, func(a, b InstanceView) int {
		return tableKey{a.Service, a.Key}.compare(tableKey{b.Service, b.Key})
	})
	var b strings.Builder
	for _, v := range all {
		what := fmt.Sprintf("load %.2f", v.Utilisation)
		switch {
		case v.Bare:
			what = "bare"
		case !v.Trusted:
			what = "barred"
		}
		fmt.Fprintf(&b, "%s routes %d %s\n", tableKey{v.Service, v.Key}, v.Routes, what)
	}
	return b.String()
}

// TestAgainstADumbTable announces, replaces and withdraws at random, over
// several peers and path ids, and compares the core with a table that recounts
// everything from its routes after every step. At the end nothing is left.
func TestAgainstADumbTable(t *testing.T) {
	runs := uint64(120)
	if testing.Short() {
		runs = 30
	}
	for seed := range runs {
		w := newWorld(t, seed)
		s := newScene(t, func(o *Options) { o.Keys, o.RequireAuth = w.keyring(t), false })
		d := &dumbTable{map[string]rumour{}, map[tableKey]advert.Sequence{}, map[tableKey]advert.Sequence{}, map[tableKey]float64{}}
		var names []Announcement
		for i := range 100 {
			r := w.rumour(t, s.now, false)
			if len(names) > 0 && w.rng.IntN(3) == 0 {
				old := names[w.rng.IntN(len(names))]
				r = rumour{Announcement: Announcement{Peer: old.Peer, Prefix: old.Prefix, PathID: old.PathID, Withdrawn: true}}
			} else {
				names = append(names, r.Announcement)
			}
			s.c.Hear(s.now, r.Announcement)
			d.hear(r)
			if err := s.c.recount(); err != nil {
				t.Fatalf("seed %d, step %d: %v", seed, i, err)
			}
			if got, want := s.c.dump(s.now), d.String(); got != want {
				t.Fatalf("seed %d, step %d: after %s, standing %d, withdrawn %v:\n got\n%swant\n%s", seed, i,
					routeName(&r.Announcement), r.standing, r.Withdrawn, got, want)
			}
			if w.rng.IntN(4) == 0 {
				s.step()
			}
		}
		for _, a := range names {
			a.Withdrawn = true
			s.c.Hear(s.now, a)
		}
		s.step()
		if n := s.c.Totals(); n != (Totals{}) || len(s.c.dirty) != 0 || !s.c.timers.Next().IsZero() {
			t.Fatalf("seed %d: left over: %+v, %d dirty, next %s", seed, n, len(s.c.dirty), s.c.timers.Next())
		}
		s.now = s.now.Add(50 * time.Second)
		for range 10 { // the graves go as well, in time
			s.step()
			s.now = s.now.Add(50 * time.Second)
		}
		if len(s.c.graves.graves) != 0 || len(s.c.graves.order) != 0 {
			t.Fatalf("seed %d: %d graves left", seed, len(s.c.graves.graves))
		}
	}
}

// TestOrderDoesNotMatter hears the same routes in different orders.
func TestOrderDoesNotMatter(t *testing.T) {
	for seed := range uint64(50) {
		w := newWorld(t, seed)
		routes := map[string]rumour{}
		for range 25 {
			r := w.rumour(t, epoch, true)
			routes[routeName(&r.Announcement)] = r
		}
		order := slices.Sorted(maps.Keys(routes))
		type result struct {
			splits []*selection.Split
			sites  []SiteView
			routes []RouteView
		}
		hear := func() (res result) {
			s := newScene(t, func(o *Options) { o.Keys = w.keyring(t) })
			for _, name := range order {
				s.c.Hear(s.now, routes[name].Announcement)
			}
			for i := range sites {
				s.c.Measure(s.now, measured(fmt.Sprintf("192.0.2.%d", 21+i), time.Duration(10+i)*time.Millisecond))
			}
			res.splits = s.c.Step(s.now).Splits
			res.sites, res.routes = s.c.Sites(s.now), s.c.Routes(s.now)
			return res
		}
		want := hear()
		for range 5 {
			w.rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
			got := hear()
			if diff := gocmp.Diff(want, got, gocmp.AllowUnexported(result{}), cmpopts.EquateComparable(
				advert.CSID{}, advert.CSCIID{}, netip.Addr{}, netip.Prefix{}), cmpopts.EquateNaNs()); diff != "" {
				t.Fatalf("seed %d: the order matters:\n%s", seed, diff)
			}
		}
	}
}

// FuzzHear has a peer send arbitrary octets as attribute and communities, in
// some order with withdrawals, beside a site that behaves.
func FuzzHear(f *testing.F) {
	files, err := filepath.Glob("../../advert/testdata/*.hex")
	if err != nil || len(files) == 0 {
		f.Fatalf("no vectors: %v", err)
	}
	for _, file := range files {
		value, err := readVector(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(value, []byte{0, 0, 0xfd, 0xe9, 0xca, 0x10, 7, 30, 10, 0, 2, 11}, uint32(len(value)), false)
	}
	f.Add([]byte{}, []byte{}, uint32(0), true)
	f.Fuzz(func(t *testing.T, value, large []byte, dice uint32, auth bool) {
		w := newWorld(t, uint64(dice))
		s := newScene(t, func(o *Options) {
			o.Keys, o.RequireAuth, o.MaxInstances = w.keyring(t), auth, 20
		})
		s.says("r1", say{site: siteA, id: instA, seq: 100, signed: w.good})
		prefixes := []string{web, instA + "/32", "10.9.9.9/32", "2001:db8:2::11/128", "::ffff:10.0.0.1/128", "0.0.0.0/0"}
		for range 6 {
			a := Announcement{
				Peer: fmt.Sprintf("r%d", 2+w.rng.IntN(2)), Prefix: netip.MustParsePrefix(prefixes[w.rng.IntN(len(prefixes))]),
				Withdrawn: w.rng.IntN(4) == 0, NextHop: netip.MustParseAddr(siteB),
			}
			if w.rng.IntN(3) > 0 {
				a.Attribute = value
			}
			for rest := large; len(rest) >= 12; rest = rest[12:] {
				a.Large = append(a.Large, advert.LargeCommunity{
					Global: binary.BigEndian.Uint32(rest), Local1: binary.BigEndian.Uint32(rest[4:]), Local2: binary.BigEndian.Uint32(rest[8:]),
				})
			}
			s.c.Hear(s.now, a)
			s.check()
			if w.rng.IntN(2) == 0 {
				s.pass(time.Second)
			}
		}
		s.c.Sites(s.now)
		s.c.Routes(s.now)
		for _, v := range s.c.Services() {
			s.c.Explain(s.now, v.ID)
			if n := v.Candidates; n > 20+maxBarred {
				t.Fatalf("%d candidates", n)
			}
		}
		for _, p := range prefixes {
			for _, peer := range []string{"r1", "r2", "r3"} {
				s.withdraw(peer, p)
			}
		}
		s.step()
		if n := s.c.Totals(); n != (Totals{}) {
			t.Fatalf("left over: %+v", n)
		}
	})
}

// readVector reads a hex file of package advert and returns the attribute's
// value.
func readVector(file string) ([]byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var digits strings.Builder
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' || strings.Contains(line, ":") {
			continue
		}
		digits.WriteString(strings.Join(strings.Fields(line), ""))
	}
	var b []byte
	if _, err := fmt.Sscanf(digits.String(), "%x", &b); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	head := 3 // flags, type, length
	if b[0]&0x10 != 0 {
		head = 4
	}
	return b[head:], nil
}
