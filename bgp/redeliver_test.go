package bgp

import (
	"net/netip"
	"testing"
)

// A consumer that judges by new rules gets everything once more: the latest of
// each route, and nothing that was withdrawn or never concerned it.
func TestRedeliver(t *testing.T) {
	t.Parallel()
	a, b := pair(t, 64500, 64500)
	b.waitUp("a")
	a.Put(Announcement{Prefix: instance(1), Attribute: value(1)}, Announcement{Prefix: instance(2), Attribute: value(2)},
		Announcement{Prefix: netip.MustParsePrefix("2001:db8::1/128"), NextHop: netip.MustParseAddr("2001:db8::99"), Attribute: value(3)},
		Announcement{Prefix: instance(4)})
	b.wait("three routes", func(v *view) bool { return len(v.routes) == 3 })
	a.Put(Announcement{Prefix: instance(1), Attribute: value(11)})
	a.Remove(instance(2))
	b.waitRoute("a", instance(1).String(), value(11))
	b.wait("the withdrawal", func(v *view) bool { return len(v.routes) == 2 })

	b.Redeliver()
	heard := map[netip.Prefix]byte{}
	for _, ev := range b.Take(nil) {
		if r, ok := ev.(RouteEvent); ok {
			if r.Withdrawn {
				t.Errorf("%v was withdrawn again", r.Prefix)
				continue
			}
			heard[r.Prefix] = r.Attribute[3]
		}
	}
	if len(heard) != 2 || heard[instance(1)] != 11 || heard[netip.MustParsePrefix("2001:db8::1/128")] != 3 {
		t.Errorf("delivered again: %v", heard)
	}
}
