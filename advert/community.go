package advert

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
)

// A LargeCommunity is an RFC 8092 large community.
type LargeCommunity struct {
	Global uint32 // Global Administrator: an ASN
	Local1 uint32
	Local2 uint32
}

// String returns the canonical form of RFC 8092 section 5.
func (c LargeCommunity) String() string {
	return fmt.Sprintf("%d:%d:%d", c.Global, c.Local1, c.Local2)
}

// First octets of Local1 in C-mode.
//
// RFC 8092 communities are a set: routers sort them and drop repetitions. So
// nothing can depend on their order, and what belongs together says so:
//
//	0xCA | kind of CSCI-ID and flags (as in the Instance TLV) | score | load : CSCI-ID
//	0xCB | flags, score (4 bits each) | load | prefix length : IPv4 address of the CS-ID
//	0xCC | flags, score (4 bits each) | load | 0             : index of the CS-ID
//
// The last two repeat what the first says of the instance, and belong to the
// instance that says the same. The score is norm_fi, 0..10; the load is
// utilisation in percent, 254 being 254 or more.
const (
	communityInstance = 0xCA
	communityService4 = 0xCB
	communityServiceN = 0xCC

	loadUnknown   = 255
	scoreUnknown  = 255
	score4Unknown = 15
)

// CommunityIndex holds the numbers that stand in 32 bits for what does not fit
// there. The whole domain must give them alike; 0 is none.
type CommunityIndex struct {
	Instance uint32 // for an IPv6 CSCI-ID on a route that is not its own host route
	Service  uint32 // for an IPv6 CS-ID, e.g. its CSID.Index
}

// ErrNoIndex says that something needs a CommunityIndex and has none.
var ErrNoIndex = errors.New("advert: no community index")

// AppendCommunities appends the one or two large communities that say, under
// the domain's ASN, the little about i that fits (C-mode): flags, norm_fi and
// utilisation. What dst has already is not repeated. There is no sequence, time or validity: what they say holds
// until the route is withdrawn.
//
// One route can carry several services of one CSCI-ID, or several CSCI-IDs of
// one service, namely the route's own: then Service is zero. Not both.
func AppendCommunities(dst []LargeCommunity, asn uint32, i *Instance, index CommunityIndex) ([]LargeCommunity, error) {
	if asn == 0 || asn == math.MaxUint16 || asn == math.MaxUint32 { // RFC 8092 section 4
		return dst, notEncodable("large community of reserved AS %d", asn)
	}
	if i.Flags&^allFlags != 0 {
		return dst, notEncodable("instance %s: flags %#02x", i.ID, uint8(i.Flags))
	}
	s := summaryOf(i)
	inst := LargeCommunity{Global: asn, Local1: communityInstance<<24 | uint32(i.ID.kind)<<20 | s.local1()}
	switch i.ID.kind {
	case IDIPv4:
		inst.Local2 = uint32From(i.ID.addr)
	case IDIPv6:
		inst.Local2 = index.Instance
	case IDNumber:
		inst.Local2 = i.ID.number
	}
	service := LargeCommunity{Global: asn}
	switch p := i.Service.prefix; {
	case !p.IsValid():
		return appendNew(dst, inst), nil
	case p.Addr().Is4():
		service.Local1 = communityService4<<24 | s.link()<<8 | uint32(p.Bits())
		service.Local2 = uint32From(p.Addr())
	case index.Service == 0:
		return dst, fmt.Errorf("%w for service %s", ErrNoIndex, i.Service)
	default:
		service.Local1 = communityServiceN<<24 | s.link()<<8
		service.Local2 = index.Service
	}
	return appendNew(appendNew(dst, inst), service), nil
}

// appendNew appends what is not there yet: repetitions must not be sent
// (RFC 8092 section 3).
func appendNew(dst []LargeCommunity, c LargeCommunity) []LargeCommunity {
	if slices.Contains(dst, c) {
		return dst
	}
	return append(dst, c)
}

// DecodeCommunities returns what the large communities of a route say about
// instances, in order of service and CSCI-ID, and how many of the communities
// that look like ours could not be used. Those of another ASN, and those that
// begin differently, are somebody else's.
//
// The CSCI-ID of an IPv6 instance is the route's prefix if that is a host
// route, else the number of its CommunityIndex. The function services gives
// the CS-ID of an index; nil if there is none.
//
// The Instances have Validity 0 and Window 0, and at most the metrics NormFI and
// Utilisation.
func DecodeCommunities(cs []LargeCommunity, asn uint32, route netip.Prefix, services func(index uint32) (CSID, bool)) (found []Instance, unusable int) {
	var instances []heard
	seen := map[heard]bool{}
	named := false
	for _, c := range cs {
		if c.Global != asn {
			continue
		}
		switch c.Local1 >> 24 {
		case communityInstance:
			id, ok := communityID(c, route)
			if !ok {
				unusable++
				continue
			}
			if h := (heard{id, summaryFrom(c.Local1)}); !seen[h] {
				seen[h] = true
				instances = append(instances, h)
			}
		case communityService4, communityServiceN:
			named = true
		}
	}
	if !named {
		for _, h := range instances {
			found = append(found, h.instance(CSID{}))
		}
	}
	for _, c := range cs {
		first := c.Local1 >> 24
		if c.Global != asn || first != communityService4 && first != communityServiceN {
			continue
		}
		// The instance that says the same. If there are two, nobody knows which
		// was meant; the sender must not have done that.
		matches, at := 0, 0
		for k := range instances {
			if instances[k].link() == c.Local1>>8&0xffff {
				matches++
				at = k
			}
		}
		service, ok := communityService(c, services)
		if matches != 1 || !ok {
			unusable++
			continue
		}
		found = append(found, instances[at].instance(service))
	}
	slices.SortFunc(found, func(x, y Instance) int {
		return cmp.Or(x.Service.Compare(y.Service), x.ID.Compare(y.ID),
			cmp.Compare(summaryOf(&x).local1(), summaryOf(&y).local1()))
	})
	found = slices.CompactFunc(found, func(x, y Instance) bool { return x.Equal(&y) })
	return found, unusable
}

func communityID(c LargeCommunity, route netip.Prefix) (CSCIID, bool) {
	switch IDKind(c.Local1 >> 20 & 15) {
	case IDSite:
		return CSCIID{}, true
	case IDIPv4:
		return InstanceAddr(addr4(c.Local2)), true
	case IDIPv6:
		if a := route.Addr(); a.Is6() && !a.Is4In6() && route.IsSingleIP() {
			return InstanceAddr(a), true
		}
		return InstanceNumber(c.Local2), c.Local2 != 0
	case IDNumber:
		return InstanceNumber(c.Local2), true
	}
	return CSCIID{}, false
}

func communityService(c LargeCommunity, services func(uint32) (CSID, bool)) (CSID, bool) {
	if c.Local1>>24 == communityService4 {
		s := ServicePrefix(netip.PrefixFrom(addr4(c.Local2), int(c.Local1&0xff)))
		return s, s.IsValid()
	}
	if services == nil || c.Local2 == 0 {
		return CSID{}, false
	}
	s, ok := services(c.Local2)
	return s, ok && s.IsValid()
}

// A summary is what C-mode says about an instance.
type summary struct {
	flags InstanceFlags
	score uint8 // 0..10 or scoreUnknown
	load  uint8 // percent, or loadUnknown
}

func summaryOf(i *Instance) summary {
	s := summary{i.Flags, scoreUnknown, loadUnknown}
	if v, ok := i.Value(NormFI); ok && v <= 10 {
		s.score = uint8(v)
	}
	if v, ok := i.Value(Utilisation); ok {
		s.load = uint8(min((v+50)/100, loadUnknown-1))
	}
	return s
}

func summaryFrom(local1 uint32) summary {
	s := summary{InstanceFlags(local1>>16) & allFlags, uint8(local1 >> 8), uint8(local1)}
	if s.score > 10 {
		s.score = scoreUnknown
	}
	return s
}

// A heard is an instance as C-mode names it.
type heard struct {
	id CSCIID
	summary
}

// local1 is the lower part of the Local1 of an instance.
func (s summary) local1() uint32 {
	return uint32(s.flags)<<16 | uint32(s.score)<<8 | uint32(s.load)
}

// link is what a service repeats of its instance, 16 bits.
func (s summary) link() uint32 {
	return uint32(s.flags)<<12 | uint32(min(s.score, score4Unknown))<<8 | uint32(s.load)
}

func (s heard) instance(service CSID) Instance {
	i := Instance{Service: service, ID: s.id, Flags: s.flags}
	if s.score != scoreUnknown {
		i.SetUint(NormFI, L2, StatCurrent, 0, uint64(s.score))
	}
	if s.load != loadUnknown {
		i.SetUint(Utilisation, L0, StatCurrent, 0, uint64(s.load)*100)
	}
	return i
}

func uint32From(a netip.Addr) uint32 {
	o := a.As4()
	return uint32(o[0])<<24 | uint32(o[1])<<16 | uint32(o[2])<<8 | uint32(o[3])
}

func addr4(n uint32) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}
