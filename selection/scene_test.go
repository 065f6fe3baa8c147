package selection

import (
	"fmt"
	"math"
	"net/netip"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/catsbgp/catsbgp/advert"
)

// A scene drives one service through a story. Candidates are named "a1": site
// "a", instance 1; "a" is the site as a whole.
type scene struct {
	t       *testing.T
	s       *Service
	now     time.Time
	sp      *Split
	changes []Change // of all splits since it was last emptied
	flows   map[string]uint64
}

func newScene(t *testing.T, p Policy) *scene {
	id := advert.ServicePrefix(netip.MustParsePrefix("203.0.113.10/32"))
	return &scene{t: t, s: New(id, p, 1), now: time.Unix(1_700_000_000, 0), flows: map[string]uint64{}}
}

func siteAddr(site string) netip.Addr {
	return netip.AddrFrom4([4]byte{192, 0, 2, site[0]})
}

func keyOf(name string) advert.InstanceKey {
	k := advert.InstanceKey{Egress: siteAddr(name)}
	if len(name) > 1 {
		var n uint32
		fmt.Sscan(name[1:], &n)
		k.ID = advert.InstanceNumber(n)
	}
	return k
}

func nameOf(k advert.InstanceKey) string {
	b := k.Egress.As4()
	if k.ID.Kind() == advert.IDSite {
		return string(rune(b[3]))
	}
	return fmt.Sprintf("%c%d", b[3], k.ID.Number())
}

// candidate is 8 slots of 40 ms: 200 flows/s.
func candidate(name string, u float64) Candidate {
	return Candidate{
		Key: keyOf(name), Site: name[:1], Utilisation: u, Capacity: 200, Slots: 8, Score: -1,
		ServiceTime: 40 * time.Millisecond, Validity: 90 * time.Second, Window: 2 * time.Second, Weight: 1,
	}
}

func (sc *scene) say(format string, args ...any) {
	sc.t.Helper()
	sc.t.Logf("# "+format, args...)
}

func (sc *scene) advance(d time.Duration) { sc.now = sc.now.Add(d) }

func (sc *scene) hear(name string, u float64, edit ...func(*Candidate)) {
	c := candidate(name, u)
	for _, e := range edit {
		e(&c)
	}
	sc.s.Hear(sc.now, c)
}

func (sc *scene) rtt(site string, d time.Duration) {
	sc.s.Measure(sc.now, siteAddr(site), Path{RTT: d, Known: true, Reachable: true})
}

func (sc *scene) decide() *Split {
	sc.t.Helper()
	sc.sp = sc.s.Decide(sc.now)
	checkSplit(sc.t, sc.s, sc.sp)
	sc.changes = append(sc.changes, sc.sp.Changes...)
	return sc.sp
}

// run decides at every time that is due, for so long.
func (sc *scene) run(d time.Duration) {
	sc.t.Helper()
	end := sc.now.Add(d)
	for n := 0; ; n++ {
		due := sc.s.Due()
		if due.IsZero() || due.After(end) {
			break
		}
		if due.After(sc.now) {
			sc.now = due
		}
		sc.decide()
		if n > 10000 {
			sc.t.Fatal("Due does not move on")
		}
	}
	sc.now = end
	sc.decide()
}

func (sc *scene) share(name string) float64 {
	for _, t := range sc.sp.Targets {
		if nameOf(t.Key) == name {
			return t.Share
		}
	}
	return 0
}

func (sc *scene) target(name string) *Target {
	sc.t.Helper()
	for i := range sc.sp.Targets {
		if nameOf(sc.sp.Targets[i].Key) == name {
			return &sc.sp.Targets[i]
		}
	}
	sc.t.Fatalf("%s is no target", name)
	return nil
}

func (sc *scene) reason(name string) Reason {
	for _, e := range sc.sp.Excluded {
		if nameOf(e.Key) == name {
			return e.Reason
		}
	}
	return ""
}

func (sc *scene) wantShares(want map[string]float64) {
	sc.t.Helper()
	for name, w := range want {
		if got := sc.share(name); math.Abs(got-w) > 0.006 {
			sc.t.Errorf("%s has %.4f of the flows, want %.3f; all: %s", name, got, w, describe(sc.sp))
		}
	}
}

func (sc *scene) wantRung(want Rung) {
	sc.t.Helper()
	if sc.sp.Rung != want {
		sc.t.Errorf("rung %s, want %s; %s", sc.sp.Rung, want, describe(sc.sp))
	}
}

func (sc *scene) wantReason(name string, want Reason) {
	sc.t.Helper()
	if got := sc.reason(name); got != want {
		sc.t.Errorf("%s excluded as %q, want %q; %s", name, got, want, describe(sc.sp))
	}
}

// describe shows a split in a line.
func describe(sp *Split) string {
	var parts []string
	for _, t := range sp.Targets {
		parts = append(parts, fmt.Sprintf("%s %.1f%%", nameOf(t.Key), 100*t.Share))
	}
	for _, e := range sp.Excluded {
		parts = append(parts, fmt.Sprintf("%s %s", nameOf(e.Key), e.Reason))
	}
	sort.Strings(parts)
	return fmt.Sprintf("%s: %s", sp.Rung, strings.Join(parts, ", "))
}

type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// checkSplit checks what every split must hold.
func checkSplit(t failer, s *Service, sp *Split) {
	t.Helper()
	sum := 0.0
	finite := func(what string, v float64) {
		t.Helper()
		if math.IsNaN(v) || math.IsInf(v, 0) {
			t.Fatalf("%s is %v", what, v)
		}
	}
	for i, tg := range sp.Targets {
		if i > 0 && sp.Targets[i-1].Key.Compare(tg.Key) >= 0 {
			t.Fatalf("targets out of order at %d", i)
		}
		if !(tg.Share >= 0 && tg.Share <= 1+1e-9) || !(tg.Wanted >= 0 && tg.Wanted <= 1+1e-9) {
			t.Fatalf("share %v, wanted %v", tg.Share, tg.Wanted)
		}
		if tg.Quota != 0 && !(tg.Quota >= 1) {
			t.Fatalf("quota %v", tg.Quota)
		}
		if tg.Reason == "" {
			t.Fatalf("%v has a share without a reason", tg.Key)
		}
		if !(tg.Capacity > 0) {
			t.Fatalf("capacity %v", tg.Capacity)
		}
		for _, v := range []float64{tg.Quota, tg.Capacity, tg.Terms.Utilisation, tg.Terms.Anticipated, tg.Terms.Pref, tg.Terms.Slope, tg.Terms.Rate, tg.Terms.Loss} {
			finite("a term", v)
		}
		sum += tg.Share
	}
	if len(sp.Targets) > 0 && math.Abs(sum-1) > 1e-9 {
		t.Fatalf("shares sum to %v", sum)
	}
	if (len(sp.Targets) == 0) != (sp.Rung == RungAnycast) {
		t.Fatalf("%d targets on rung %s", len(sp.Targets), sp.Rung)
	}
	for i, e := range sp.Excluded {
		if i > 0 && sp.Excluded[i-1].Key.Compare(e.Key) >= 0 {
			t.Fatalf("exclusions out of order at %d", i)
		}
		if e.Reason == "" {
			t.Fatalf("%v is excluded without a reason", e.Key)
		}
	}
	if len(sp.Targets)+len(sp.Excluded) != s.Len() {
		t.Fatalf("%d targets and %d excluded of %d", len(sp.Targets), len(sp.Excluded), s.Len())
	}
	finite("Λ", sp.Demand)
	finite("own rate", sp.OwnRate)
	finite("stretch", sp.Stretch)
	if !(sp.Moved >= 0 && sp.Moved <= 1) {
		t.Fatalf("moved %v", sp.Moved)
	}
}
