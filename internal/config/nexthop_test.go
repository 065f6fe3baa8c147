package config

import (
	"fmt"
	"strings"
	"testing"
)

func TestNextHops(t *testing.T) {
	parse := func(nextHop, locator, peer, cs, instance string) (*Config, error) {
		return Parse("a.toml", fmt.Appendf(nil, `
[agent]
name = "a"
roles = ["egress"]
locator = %q
[bgp]
asn = 65001
router_id = "192.0.2.21"
next_hop = %s
[[bgp.peer]]
name = "p"
address = %q
asn = 65001
[[service]]
name = "video"
cs_id = %q
[[service.instance]]
id = %q
`, locator, nextHop, peer, cs, instance), nil)
	}
	const v4, v6 = "192.0.2.21", "2001:db8::21"
	for _, tt := range []struct {
		why, nextHop, locator, peer, cs, instance string
		warned                                    bool
	}{
		{"one family throughout", `[]`, v4, "192.0.2.1", "203.0.113.10", "10.0.0.1", false},
		{"an IPv6 service on an IPv4 session", `[]`, v4, "192.0.2.1", "2001:db8:1::10", "2001:db8:2::1", true},
		{"with a next hop", `["2001:db8::99"]`, v4, "192.0.2.1", "2001:db8:1::10", "2001:db8:2::1", false},
		{"with one of the other family", `["192.0.2.99"]`, v4, "192.0.2.1", "2001:db8:1::10", "2001:db8:2::1", true},
		{"with an IPv6 locator", `[]`, v6, "192.0.2.1", "2001:db8:1::10", "2001:db8:2::1", false},
		{"an IPv4 service on an IPv6 session", `[]`, v6, "2001:db8::1", "203.0.113.10", "10.0.0.1", true},
	} {
		c, err := parse(tt.nextHop, tt.locator, tt.peer, tt.cs, tt.instance)
		if err != nil {
			t.Fatalf("%s: %v", tt.why, err)
		}
		if got := strings.Contains(c.Warnings.Error(), "have no next hop on this"); got != tt.warned {
			t.Errorf("%s: warned %v, want %v: %v", tt.why, got, tt.warned, c.Warnings)
		}
	}
	for _, bad := range []string{`["192.0.2.9", "192.0.2.10"]`, `["0.0.0.0"]`, `["ff02::1"]`} {
		if _, err := parse(bad, v4, "192.0.2.1", "203.0.113.10", "10.0.0.1"); err == nil {
			t.Errorf("next_hop = %s is taken", bad)
		}
	}
}
