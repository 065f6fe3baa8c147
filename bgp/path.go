package bgp

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/osrg/gobgp/v4/pkg/apiutil"
	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

// knownAttributes are the path attributes that GoBGP knows by itself, as
// opposed to what enableEdgeMetadata teaches it.
var knownAttributes = maps.Clone(bgp.PathAttrFlags)

const (
	flagsDomain = bgp.BGP_ATTR_FLAG_OPTIONAL | bgp.BGP_ATTR_FLAG_TRANSITIVE
	flagsEdge   = bgp.BGP_ATTR_FLAG_OPTIONAL
)

// toPath is the route a as GoBGP takes it on a plane. GoBGP's tables keep the
// attributes as they are, so every call makes new ones. Only the value of the
// CATS attribute is shared, which nobody writes to.
func toPath(a *Announcement, on carriage, attributeType uint8, now time.Time) *apiutil.Path {
	fam := bgp.RF_IPv4_UC
	if a.Prefix.Addr().Is6() {
		fam = bgp.RF_IPv6_UC
	}
	nlri := must(bgp.NewIPAddrPrefix(a.Prefix))
	attrs := make([]bgp.PathAttributeInterface, 0, 7)
	attrs = append(attrs, bgp.NewPathAttributeOrigin(bgp.BGP_ORIGIN_ATTR_TYPE_IGP))

	nextHop := a.NextHop
	if !nextHop.IsValid() {
		// Unspecified: GoBGP puts in the local address of each session.
		nextHop = netip.IPv4Unspecified()
		if fam == bgp.RF_IPv6_UC {
			nextHop = netip.IPv6Unspecified()
		}
	}
	if fam == bgp.RF_IPv4_UC {
		attrs = append(attrs, must(bgp.NewPathAttributeNextHop(nextHop)))
	} else {
		attrs = append(attrs, must(bgp.NewPathAttributeMpReachNLRI(fam, []bgp.PathNLRI{{NLRI: nlri}}, nextHop)))
	}
	if a.MED.Present {
		attrs = append(attrs, bgp.NewPathAttributeMultiExitDisc(a.MED.Value))
	}
	if a.LocalPref.Present {
		attrs = append(attrs, bgp.NewPathAttributeLocalPref(a.LocalPref.Value))
	}
	if len(a.Communities) > 0 {
		attrs = append(attrs, bgp.NewPathAttributeCommunities(slices.Clone(a.Communities)))
	}
	if on == carryBoundary {
		return &apiutil.Path{Family: fam, Nlri: nlri, Age: now.Unix(), Attrs: attrs}
	}

	if len(a.LargeCommunities) > 0 {
		lc := make([]*bgp.LargeCommunity, len(a.LargeCommunities))
		for i, c := range a.LargeCommunities {
			lc[i] = bgp.NewLargeCommunity(c.Global, c.Local1, c.Local2)
		}
		attrs = append(attrs, bgp.NewPathAttributeLargeCommunities(lc))
	}
	flags, code, value := flagsDomain, bgp.BGPAttrType(attributeType), a.Attribute
	if on == carryEdge {
		flags, code = flagsEdge, EdgeMetadataType
		if a.EdgeAttribute != nil {
			value = a.EdgeAttribute
		}
	}
	if value != nil {
		attrs = append(attrs, bgp.NewPathAttributeUnknown(flags, code, value))
	}
	return &apiutil.Path{Family: fam, Nlri: nlri, Age: now.Unix(), Attrs: attrs}
}

// toWithdrawal is the withdrawal of what toPath announced.
func toWithdrawal(prefix netip.Prefix) *apiutil.Path {
	fam := bgp.RF_IPv4_UC
	if prefix.Addr().Is6() {
		fam = bgp.RF_IPv6_UC
	}
	return &apiutil.Path{
		Family: fam, Nlri: must(bgp.NewIPAddrPrefix(prefix)), Withdrawal: true,
		Attrs: []bgp.PathAttributeInterface{bgp.NewPathAttributeOrigin(bgp.BGP_ORIGIN_ATTR_TYPE_IGP)},
	}
}

// must is for constructors that only fail on values an Announcement that was
// checked cannot have.
func must[T any](v T, err error) T {
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return v
}

// unicast returns the prefix of p, or false if p is of another family.
func unicast(p *apiutil.Path) (netip.Prefix, bool) {
	if p.Family != bgp.RF_IPv4_UC && p.Family != bgp.RF_IPv6_UC {
		return netip.Prefix{}, false
	}
	n, ok := p.Nlri.(*bgp.IPAddrPrefix)
	if !ok {
		return netip.Prefix{}, false
	}
	return n.Prefix, true
}

// carriesCATS reports whether the route has CATS information: the attribute of
// type code, or one of our large communities.
func carriesCATS(p *apiutil.Path, code bgp.BGPAttrType) bool {
	for _, a := range p.Attrs {
		switch a := a.(type) {
		case *bgp.PathAttributeUnknown:
			if a.Type == code {
				return true
			}
		case *bgp.PathAttributeLargeCommunities:
			for _, c := range a.Values {
				if (LargeCommunity{c.ASN, c.LocalData1, c.LocalData2}).IsCATS() {
					return true
				}
			}
		}
	}
	return false
}

// fromPath is the received route p in our terms. It copies what it keeps:
// GoBGP's attributes are its tables' memory.
func fromPath(p *apiutil.Path, prefix netip.Prefix, code bgp.BGPAttrType, peer string, at time.Time) RouteEvent {
	ev := RouteEvent{Peer: peer, Prefix: prefix, PathID: p.RemoteID, At: at}
	for _, a := range p.Attrs {
		switch a := a.(type) {
		case *bgp.PathAttributeUnknown:
			if a.Type == code && ev.Attribute == nil {
				ev.Attribute = append(make([]byte, 0, len(a.Value)), a.Value...)
				ev.Edge = code == EdgeMetadataType
			}
		case *bgp.PathAttributeNextHop:
			ev.NextHop = a.Value
		case *bgp.PathAttributeMpReachNLRI:
			ev.NextHop = a.Nexthop
		case *bgp.PathAttributeCommunities:
			ev.Communities = slices.Clone(a.Value)
		case *bgp.PathAttributeLargeCommunities:
			ev.LargeCommunities = make([]LargeCommunity, len(a.Values))
			for i, c := range a.Values {
				ev.LargeCommunities[i] = LargeCommunity{c.ASN, c.LocalData1, c.LocalData2}
			}
		case *bgp.PathAttributeAsPath:
			for _, s := range a.Value {
				ev.ASPath = append(ev.ASPath, s.GetAS()...)
			}
		}
	}
	return ev
}
