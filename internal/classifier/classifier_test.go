package classifier

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/catsbgp/catsbgp/advert"
	"github.com/catsbgp/catsbgp/selection"
)

var (
	web  = advert.ServicePrefix(netip.MustParsePrefix("203.0.113.10/32"))
	shop = advert.ServicePrefix(netip.MustParsePrefix("203.0.113.20/32"))
)

// split gives the instances 10.0.2.11, 12, … shares.
func split(service advert.CSID, version uint64, at time.Time, shares ...float64) *selection.Split {
	sp := &selection.Split{Service: service, Version: version, At: at, Draws: 1}
	for i, share := range shares {
		if share < 0 {
			continue // not among the targets
		}
		sp.Targets = append(sp.Targets, selection.Target{Share: share, Capacity: 100, Key: advert.InstanceKey{
			ID: advert.InstanceAddr(netip.AddrFrom4([4]byte{10, 0, 2, byte(11 + i)})), Egress: netip.MustParseAddr("192.0.2.21"),
		}})
	}
	return sp
}

func counts(t *Table, now time.Time) string {
	var words []string
	for _, c := range t.Counts(now, nil) {
		words = append(words, fmt.Sprintf("%s %s %d/%d", c.Service, c.Key.ID, c.Open, c.Started))
	}
	slices.Sort(words)
	return strings.Join(words, ", ")
}

func TestNoTarget(t *testing.T) {
	var table Table
	if f := table.Open(web); f != nil {
		t.Error("a flow of an unknown service")
	}
	table.Set(split(web, 1, time.Now()))
	if f := table.Open(web); f != nil {
		t.Error("a flow without targets")
	}
	if got := counts(&table, time.Now()); got != "" {
		t.Errorf("counts %s", got)
	}
}

func TestFlowsFollowTheSplit(t *testing.T) {
	var table Table
	table.Set(split(web, 7, time.Now(), 0.7, 0.3, 0))
	n := map[advert.CSCIID]int{}
	const flows = 20000
	for range flows {
		f := table.Open(web)
		if f.Version != 7 {
			t.Fatalf("version %d", f.Version)
		}
		n[f.Target.Key.ID]++
		f.Close()
	}
	for i, want := range []float64{0.7, 0.3, 0} {
		id := advert.InstanceAddr(netip.AddrFrom4([4]byte{10, 0, 2, byte(11 + i)}))
		// Five standard deviations: one run in a million is off by more.
		if got := float64(n[id]) / flows; math.Abs(got-want) > 5*math.Sqrt(want*(1-want)/flows) {
			t.Errorf("%s got %.3f of the flows, want %.3f", id, got, want)
		}
	}
}

func TestCounts(t *testing.T) {
	now := time.Now()
	var table Table
	table.Set(split(web, 1, now, 1, 0))
	table.Set(split(shop, 1, now, 1))
	a, b := table.Open(web), table.Open(web)
	want := func(why, counted string) {
		t.Helper()
		if got := counts(&table, now); got != counted {
			t.Errorf("%s: %s, want %s", why, got, counted)
		}
	}
	want("two flows; what never had any is not told", "203.0.113.10 10.0.2.11 2/2")
	a.Close()
	a.Close()
	want("closed twice counts once", "203.0.113.10 10.0.2.11 1/2")

	t.Log("# the target leaves the split")
	table.Set(split(web, 2, now, -1, 1))
	want("its flow stays", "203.0.113.10 10.0.2.11 1/2")
	c := table.Open(web)
	if c.Target.Key.ID.String() != "10.0.2.12" || c.Version != 2 {
		t.Errorf("a new flow goes to %s, version %d", c.Target.Key, c.Version)
	}
	b.Close()
	table.Set(split(web, 3, now, -1, 1))
	want("that it ended must be told", "203.0.113.10 10.0.2.11 0/2, 203.0.113.10 10.0.2.12 1/1")

	t.Log("# a minute later")
	now = now.Add(idle + time.Second)
	want("only what is open", "203.0.113.10 10.0.2.12 1/1")
	table.Set(split(web, 4, now, -1, 1))
	if n := len(table.services[web].all); n != 1 {
		t.Errorf("%d counters are kept, want 1", n)
	}
	table.Set(split(web, 5, now, 1, 1))
	table.Open(web)

	t.Log("# the service is withdrawn")
	table.Drop(web)
	want("nothing", "")
	c.Close()
	if f := table.Open(web); f != nil {
		t.Error("a flow of a service that is gone")
	}
}

// TestOwnFlowsDecide: of several draws the target with the least open flows for
// its share is taken.
func TestOwnFlowsDecide(t *testing.T) {
	var table Table
	sp := split(web, 1, time.Now(), 0.5, 0.5)
	sp.Draws = 8
	table.Set(sp)
	n := map[advert.CSCIID]int{}
	for range 200 {
		n[table.Open(web).Target.Key.ID]++
	}
	for id, open := range n {
		if open < 95 || open > 105 {
			t.Errorf("%s has %d of 200 open flows", id, open)
		}
	}
}

func TestConcurrently(t *testing.T) {
	var table Table
	now := time.Now()
	table.Set(split(web, 1, now, 0.5, 0.5))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 2000 {
				if f := table.Open(web); f != nil {
					f.Close()
				}
			}
		})
	}
	for v := range uint64(200) {
		table.Set(split(web, v+2, now, 0.5, float64(v%2)-0.5, 0.5))
		table.Set(split(shop, v+2, now, 1))
		table.Counts(now, nil)
		table.Drop(shop)
	}
	wg.Wait()
	started := uint64(0)
	for _, c := range table.Counts(now, nil) {
		started += c.Started
		if c.Open != 0 {
			t.Errorf("%s: %d flows open at the end", c.Key, c.Open)
		}
	}
	if started != 8000 {
		t.Errorf("%d flows were started, want 8000", started)
	}
}
