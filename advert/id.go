package advert

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
)

// A CSID is a CATS Service ID (RFC 10053 section 3.2): the anycast prefix
// under which clients reach a service, at whichever site. The zero value is
// "none". It is comparable and usable as a map key.
type CSID struct{ prefix netip.Prefix }

// ServicePrefix returns the CS-ID of a prefix. Host bits are cleared. An
// invalid or IPv4-mapped prefix gives the zero CSID.
func ServicePrefix(p netip.Prefix) CSID {
	if !p.IsValid() || p.Addr().Is4In6() {
		return CSID{}
	}
	return CSID{p.Masked()}
}

// ParseCSID reads "203.0.113.10", "203.0.113.0/28" or the IPv6 likewise. A
// bare address is a host prefix. Host bits that are set are an error, since
// the writer most likely mistook the length.
func ParseCSID(s string) (CSID, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		a, aerr := netip.ParseAddr(s)
		if aerr != nil || a.Zone() != "" {
			return CSID{}, fmt.Errorf("advert: CS-ID %q: neither an address nor a prefix", s)
		}
		p = netip.PrefixFrom(a, a.BitLen())
	}
	if p.Addr().Is4In6() {
		return CSID{}, fmt.Errorf("advert: CS-ID %q: IPv4-mapped addresses are not usable", s)
	}
	if p != p.Masked() {
		return CSID{}, fmt.Errorf("advert: CS-ID %q: has host bits set, meant %s?", s, p.Masked())
	}
	return CSID{p}, nil
}

// Prefix returns the prefix, invalid for the zero CSID.
func (c CSID) Prefix() netip.Prefix { return c.prefix }

// IsValid reports whether c is not the zero CSID.
func (c CSID) IsValid() bool { return c.prefix.IsValid() }

// String returns the prefix, or just the address of a host prefix.
func (c CSID) String() string {
	switch {
	case !c.IsValid():
		return "none"
	case c.prefix.IsSingleIP():
		return c.prefix.Addr().String()
	}
	return c.prefix.String()
}

// Compare orders CS-IDs by address, then length.
func (c CSID) Compare(o CSID) int {
	if r := c.prefix.Addr().Compare(o.prefix.Addr()); r != 0 {
		return r
	}
	return cmp.Compare(c.prefix.Bits(), o.prefix.Bits())
}

// MarshalText implements encoding.TextMarshaler.
func (c CSID) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler as ParseCSID.
func (c *CSID) UnmarshalText(b []byte) (err error) {
	*c, err = ParseCSID(string(b))
	return err
}

// An IDKind says what a CSCI-ID consists of.
type IDKind uint8

const (
	IDSite   IDKind = 0 // no identifier: the site as a whole
	IDIPv4   IDKind = 1 // the instance's unicast IPv4 address
	IDIPv6   IDKind = 2 // the instance's unicast IPv6 address
	IDNumber IDKind = 3 // an opaque 32-bit number
)

// A CSCIID is a CATS Service Contact Instance ID (RFC 10053 section 3.2),
// unique within the egress that announces it. The zero value names the site as
// a whole (aggregates only). It is comparable and usable as a map key.
type CSCIID struct {
	addr   netip.Addr
	number uint32
	kind   IDKind
}

// InstanceAddr returns the CSCI-ID that is a unicast address. An IPv4-mapped
// address counts as IPv4; an invalid one gives the zero CSCIID.
func InstanceAddr(a netip.Addr) CSCIID {
	a = a.Unmap().WithZone("")
	switch {
	case a.Is4():
		return CSCIID{addr: a, kind: IDIPv4}
	case a.Is6():
		return CSCIID{addr: a, kind: IDIPv6}
	}
	return CSCIID{}
}

// InstanceNumber returns the CSCI-ID that is a number.
func InstanceNumber(n uint32) CSCIID { return CSCIID{number: n, kind: IDNumber} }

// ParseCSCIID reads an address, "#17" for a number, or "site".
func ParseCSCIID(s string) (CSCIID, error) {
	if s == "site" {
		return CSCIID{}, nil
	}
	if len(s) > 1 && s[0] == '#' {
		n, err := strconv.ParseUint(s[1:], 10, 32)
		if err != nil {
			return CSCIID{}, fmt.Errorf("advert: CSCI-ID %q: %w", s, errors.Unwrap(err))
		}
		return InstanceNumber(uint32(n)), nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return CSCIID{}, fmt.Errorf("advert: CSCI-ID %q: neither an address, a #number nor \"site\"", s)
	}
	return InstanceAddr(a), nil
}

// Kind says what the CSCI-ID consists of.
func (c CSCIID) Kind() IDKind { return c.kind }

// Addr returns the address, invalid for other kinds.
func (c CSCIID) Addr() netip.Addr { return c.addr }

// Number returns the number, 0 for other kinds.
func (c CSCIID) Number() uint32 { return c.number }

// String is the inverse of ParseCSCIID.
func (c CSCIID) String() string {
	switch c.kind {
	case IDSite:
		return "site"
	case IDNumber:
		return "#" + strconv.FormatUint(uint64(c.number), 10)
	}
	return c.addr.String()
}

// Compare orders CSCI-IDs by kind, address, number.
func (c CSCIID) Compare(o CSCIID) int {
	return cmp.Or(cmp.Compare(c.kind, o.kind), c.addr.Compare(o.addr), cmp.Compare(c.number, o.number))
}

// MarshalText implements encoding.TextMarshaler.
func (c CSCIID) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler as ParseCSCIID.
func (c *CSCIID) UnmarshalText(b []byte) (err error) {
	*c, err = ParseCSCIID(string(b))
	return err
}

// An InstanceKey names one selectable instance in the whole domain: the same
// CSCI-ID behind two egresses is two ways to reach it.
type InstanceKey struct {
	ID     CSCIID
	Egress netip.Addr // Egress-Locator: the tunnel end point
}

// String returns "CSCI-ID@egress".
func (k InstanceKey) String() string { return k.ID.String() + "@" + k.Egress.String() }

// Compare orders keys by egress, then CSCI-ID.
func (k InstanceKey) Compare(o InstanceKey) int {
	return cmp.Or(k.Egress.Compare(o.Egress), k.ID.Compare(o.ID))
}
