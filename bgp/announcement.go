package bgp

import (
	"bytes"
	"net/netip"
	"slices"
)

// Well-known communities that announcements may carry.
const (
	GracefulShutdown uint32 = 0xffff0000 // RFC 8326
	NoExport         uint32 = 0xffffff01 // RFC 1997
	NoAdvertise      uint32 = 0xffffff02 // RFC 1997
)

// A LargeCommunity is one value of RFC 8092.
type LargeCommunity struct{ Global, Local1, Local2 uint32 }

// IsCATS reports whether the community carries CATS information: the high
// octet of Local1 is 0xCA to 0xCC.
func (c LargeCommunity) IsCATS() bool {
	kind := c.Local1 >> 24
	return kind >= 0xca && kind <= 0xcc
}

// An Optional is a number that may be absent. The zero value is absent.
type Optional struct {
	Value   uint32
	Present bool
}

// Some returns the Optional that is present and v.
func Some(v uint32) Optional { return Optional{Value: v, Present: true} }

// An Announcement is one route we want our peers to know. There is at most one
// for a prefix. The slices belong to the Speaker once handed over: whoever made
// them must not write to them again.
type Announcement struct {
	Prefix netip.Prefix // IPv4 or IPv6 unicast; host bits are cleared

	// NextHop is of the same family as Prefix. The zero value stands for our own
	// address of each session. Set it for IPv6 routes that go over IPv4 sessions:
	// GoBGP would say the IPv4 address in its IPv4-mapped form (::ffff:192.0.2.1),
	// which not every router takes for a next hop.
	NextHop netip.Addr

	Attribute     []byte // value of the CATS attribute; nil: none
	EdgeAttribute []byte // for EdgeMetadata peers; nil: the same as Attribute

	Communities      []uint32
	LargeCommunities []LargeCommunity
	MED              Optional
	LocalPref        Optional // iBGP only; absent: 100

	// Boundary routes also go to peers outside the domain, there without the
	// attribute and without large communities. All other routes stay inside.
	Boundary bool
}

// equal reports whether both say the same to every peer.
func (a *Announcement) equal(b *Announcement) bool {
	return a.Prefix == b.Prefix && a.NextHop == b.NextHop && a.Boundary == b.Boundary &&
		a.MED == b.MED && a.LocalPref == b.LocalPref &&
		bytes.Equal(a.Attribute, b.Attribute) && bytes.Equal(a.EdgeAttribute, b.EdgeAttribute) &&
		slices.Equal(a.Communities, b.Communities) && slices.Equal(a.LargeCommunities, b.LargeCommunities)
}

// check returns a with its prefix in canonical form, or why it cannot be said.
func (a Announcement) check() (Announcement, string) {
	switch {
	case !a.Prefix.IsValid():
		return a, "invalid prefix"
	case a.Prefix.Addr().Is4In6():
		return a, "IPv4-mapped prefix"
	case a.NextHop.IsValid():
		a.NextHop = a.NextHop.Unmap().WithZone("")
		if a.NextHop.Is4() != a.Prefix.Addr().Is4() {
			return a, "next hop of another address family"
		}
	}
	a.Prefix = a.Prefix.Masked()
	return a, ""
}
