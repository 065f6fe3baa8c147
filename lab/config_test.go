package lab_test

import (
	"fmt"
	"net/netip"
	"strings"
)

// A session is a BGP session of an agent, or of a router.
type session struct {
	name  string // of the peer
	addr  string
	asn   int
	extra string // further lines
}

// sessions returns the agent's side of them in TOML. Every session carries the
// family that it runs over.
func sessions(all ...session) string {
	var b strings.Builder
	for _, s := range all {
		family := "ipv4"
		if netip.MustParseAddr(s.addr).Is6() {
			family = "ipv6"
		}
		fmt.Fprintf(&b, "[[bgp.peer]]\nname = %q\naddress = %q\nasn = %d\nfamilies = [%q]\nconnect_retry = \"1s\"\n%s\n",
			s.name, s.addr, s.asn, family, s.extra)
	}
	return b.String()
}

// siteConfig is an agent at a service site. More are sessions and services.
func siteConfig(name, locator string, asn int, more ...string) string {
	return fmt.Sprintf(`
[agent]
name = %q
roles = ["egress"]
locator = %q
domain = 65001
state_dir = ""
[log]
level = "debug"
format = "console"
[api]
socket = "SOCKET"
[bgp]
asn = %d
router_id = %q
[dampening]
smoothing = "100ms"
min_interval = "100ms"
bucket_per_minute = 600
bucket_burst = 20
refresh = "1s"
[netmetric]
reflector = ":862"
`, name, locator, asn, locator) + strings.Join(more, "\n")
}

// gateConfig is an ingress agent that knows the sites by name.
func gateConfig(locator string, asn int, more ...string) string {
	text := fmt.Sprintf(`
[agent]
name = "gate"
roles = ["ingress"]
locator = %q
domain = 65001
state_dir = ""
[log]
level = "debug"
format = "console"
[api]
socket = "SOCKET"
[bgp]
asn = %d
router_id = %q
[netmetric]
reflector = ""
interval = "200ms"
`, locator, asn, locator) + strings.Join(more, "\n")
	for _, s := range sites {
		text += fmt.Sprintf("\n[[selection.site]]\nlocator = %q\nname = %q\n", s.locator, s.name)
	}
	for _, s := range services {
		text += fmt.Sprintf("\n[[service]]\nname = %q\ncs_id = %q\n", s.name, s.anycast)
	}
	return text
}

// A service is an anycast address of either family.
type service struct{ name, anycast string }

var services = []service{
	{"video4", "203.0.113.10"},
	{"video6", "2001:db8:cafe::10"},
}

// A site is a place with an instance of both services.
type site struct {
	name, locator        string
	instance4, instance6 string
}

var sites = []site{
	{"madrid", "198.51.100.11", "198.51.100.111", "2001:db8:a::111"},
	{"paris", "198.51.100.12", "198.51.100.112", "2001:db8:b::112"},
}

var (
	madrid = sites[0]
	paris  = sites[1]
)

func (s site) instance(v6 bool) string {
	if v6 {
		return s.instance6
	}
	return s.instance4
}

// prefix is the host route of an address.
func prefix(addr string) string {
	a := netip.MustParseAddr(addr)
	return netip.PrefixFrom(a, a.BitLen()).String()
}

// serviceConfig is one service with one instance, whose source and check are
// at the instance's own address.
func serviceConfig(name, anycast, instance string, more ...string) string {
	host := netip.AddrPortFrom(netip.MustParseAddr(instance), 8080)
	return fmt.Sprintf(`
[[service]]
name = %q
cs_id = %q
[[service.instance]]
id = %q
capacity = 100.0
slots = 8
[[service.instance.source]]
name = "prom"
type = "prometheus"
url = "http://%s/metrics"
interval = "200ms"
timeout = "150ms"
%s
[service.instance.source.values]
utilisation = { metric = "load_ratio" }
in_flight = { metric = "inflight" }
[[service.instance.check]]
type = "tcp"
target = "%[4]s"
interval = "500ms"
fast_interval = "200ms"
timeout = "200ms"
fall = 2
rise = 1
`, name, anycast, instance, host, strings.Join(more, "\n"))
}

// servicesConfig are both services as a site has them.
func (s site) servicesConfig(more ...string) string {
	return serviceConfig(services[0].name, services[0].anycast, s.instance4, more...) +
		serviceConfig(services[1].name, services[1].anycast, s.instance6, more...)
}
