package config

import "net/netip"

// nextHops warns of routes that routers will hear and not use: those of one
// family on a session of the other have no next hop of their own.
func (b *builder) nextHops(c *Config) {
	announced := func(v6 bool) bool {
		is := func(a netip.Addr) bool { return a.IsValid() && a.Is6() == v6 }
		for _, s := range c.Services {
			if len(s.Instances) > 0 && is(s.ID.Prefix().Addr()) {
				return true
			}
			for _, in := range s.Instances {
				if is(in.ID.Addr()) {
					return true
				}
			}
		}
		return false
	}
	for i, p := range c.BGP.Peers {
		over6 := p.Address.Is6()
		other, has := c.BGP.NextHop4, p.IPv4
		if !over6 {
			other, has = c.BGP.NextHop6, p.IPv6
		}
		if !p.Address.IsValid() || !has || other.IsValid() || c.Agent.Locator.IsValid() && c.Agent.Locator.Is6() != over6 || !announced(!over6) {
			continue
		}
		mine, its := "IPv6", "IPv4"
		if over6 {
			mine, its = its, mine
		}
		b.warn(elementPath("bgp.peer", i)+".families", "set bgp.next_hop, or use a session of each family",
			"%s routes have no next hop on this %s session: routers will not use them", mine, its)
	}
}
