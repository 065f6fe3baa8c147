package ingress

import (
	"net/netip"
	"testing"
	"time"

	"github.com/catsbgp/catsbgp/advert"
	"github.com/catsbgp/catsbgp/selection"
)

// A table that is loaded does not make a service decide for each route, and
// the last decision counts all of them.
func TestFloodIsDecidedTogether(t *testing.T) {
	now := time.Unix(1_790_000_000, 0)
	c := New(Options{Domain: 65001, Normalization: 1, Default: selection.Default()}, 1)
	service, _ := advert.ParseCSID("203.0.113.10")
	decided, last, next := 0, 0, time.Time{}
	step := func() {
		out := c.Step(now)
		for _, sp := range out.Splits {
			decided++
			last = len(sp.Targets)
		}
		next = out.Next
	}
	const n = 200
	for i := range n {
		id := netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})
		in := advert.Instance{Service: service, ID: advert.InstanceAddr(id), Sequence: 1, Generated: uint32(now.Unix()), Validity: 90}
		in.SetUtilisation(0.5, advert.StatCurrent, advert.SourceMeasured)
		value, err := advert.AppendAttribute(nil, &advert.Attribute{
			Profile: advert.Profile{Normalization: 1, Domain: 65001}, Locator: netip.MustParseAddr("192.0.2.21"), Instances: []advert.Instance{in},
		})
		if err != nil {
			t.Fatal(err)
		}
		c.Hear(now, Announcement{Peer: "p", Prefix: netip.PrefixFrom(id, 32), Attribute: value})
		now = now.Add(10 * time.Microsecond)
		step()
	}
	if decided > decideCheap+2*decideBurst {
		t.Errorf("decided %d times for %d routes within 2 ms", decided, n)
	}
	if wait := next.Sub(now); wait > decideEvery {
		t.Errorf("wants to be called only in %v", wait)
	}
	now = next
	step()
	if last != n {
		t.Errorf("the last split has %d targets, want %d", last, n)
	}
}
