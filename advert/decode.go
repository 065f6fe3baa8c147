package advert

import (
	"encoding/binary"
	"math"
	"net/netip"
)

// DecodeAttribute reads an attribute value into into, whose memory it reuses:
// into a used Attribute it does not allocate. It keeps no reference to b.
//
// ErrNotCATS means that the attribute is not ours; a *FramingError, that it
// claims to be but its octets do not fit together. After an error into is
// empty. What is merely unknown, repeated or out of range is left out and
// noted in into.Ignored. A signature is not verified here.
//
// The longest value that decodes is 65535 octets, more than AppendAttribute
// produces; and since it writes integers in the width of their type, an
// Instance filled to the last octet with narrower ones may not fit any more.
func DecodeAttribute(b []byte, into *Attribute) error {
	into.Reset()
	if err := into.decode(b); err != nil {
		into.Reset()
		return err
	}
	return nil
}

// A reach is the CS-ID TLV in force, and whether an Instance has followed it.
type reach struct {
	service CSID
	used    bool
}

// seenTLVs remembers what may stand only once.
type seenTLVs struct {
	locator, preference, availability, delay bool
	capabilities, resources                  uint16 // by kind
}

func (a *Attribute) decode(b []byte) error {
	if err := a.decodeProfile(b); err != nil {
		return err
	}
	var r reach
	var seen seenTLVs
	for off := tlvHead + profileLen; off < len(b); {
		t, v, err := tlvAt(b, off)
		if err != nil {
			return err
		}
		if a.Auth.Present {
			return &FramingError{off, t, "stands after the Auth TLV"}
		}
		why := ""
		switch t {
		case TypeInstance:
			err = a.decodeInstance(v, off, &r)
		case TypeCSID:
			a.endReach(r)
			r = reach{}
			r.service, why = decodeCSID(v)
		case TypeLocator:
			why = a.decodeLocator(v, &seen)
		case TypePreference, TypeAvailability, TypeDelay, TypeCapability, TypeResource, TypeASScope:
			why = a.decodeSite(t, v, &seen)
		case TypeAuth:
			why = a.decodeAuth(v)
		case TypeProfile:
			why = "stands a second time"
		default:
			if a.Ignored.UnknownTLVs == 0 {
				a.Ignored.FirstUnknownTLV = t
			}
			a.Ignored.UnknownTLVs++
		}
		if why != "" {
			err = &FramingError{off, t, why}
		}
		if err != nil {
			return err
		}
		off += tlvHead + len(v)
	}
	a.endReach(r)
	return nil
}

// endReach notes a CS-ID that no Instance followed.
func (a *Attribute) endReach(r reach) {
	if r.service.IsValid() && !r.used {
		a.BareServices = append(a.BareServices, r.service)
	}
}

// decodeProfile tells foreign attributes from broken ones: up to magic and
// version it is not ours, after that it has to be right.
func (a *Attribute) decodeProfile(b []byte) error {
	const versionAt = tlvHead + len(magic)
	if len(b) <= versionAt || binary.BigEndian.Uint16(b) != TypeProfile || string(b[tlvHead:versionAt]) != magic {
		return ErrNotCATS
	}
	if b[versionAt] != Version {
		return ErrVersion
	}
	_, v, err := tlvAt(b, 0)
	if err != nil {
		return err
	}
	if len(v) != profileLen {
		return &FramingError{0, TypeProfile, "length is not 12"}
	}
	a.Profile = Profile{
		Flags:         ProfileFlags(v[5]) & (CompleteList | AggregatedOnly),
		Normalization: binary.BigEndian.Uint16(v[6:]),
		Domain:        binary.BigEndian.Uint32(v[8:]),
	}
	return nil
}

func (a *Attribute) decodeLocator(v []byte, seen *seenTLVs) (why string) {
	if seen.locator {
		return "stands a second time"
	}
	seen.locator = true
	switch {
	case len(v) == 5 && v[0] == afIPv4:
		a.Locator = netip.AddrFrom4([4]byte(v[1:]))
	case len(v) == 17 && v[0] == afIPv6:
		a.Locator = netip.AddrFrom16([16]byte(v[1:])).Unmap()
	default:
		return "length does not suit the address family"
	}
	if !usableLocator(a.Locator) {
		return "not a unicast address"
	}
	return ""
}

func decodeCSID(v []byte) (c CSID, why string) {
	if len(v) < 2 {
		return CSID{}, "shorter than its head"
	}
	af, bits, v := v[0], int(v[1]), v[2:]
	if len(v) != (bits+7)/8 {
		return CSID{}, "length does not suit the prefix length"
	}
	var a netip.Addr
	switch {
	case af == afIPv4 && bits <= 32:
		var o [4]byte
		copy(o[:], v)
		a = netip.AddrFrom4(o)
	case af == afIPv6 && bits <= 128:
		var o [16]byte
		copy(o[:], v)
		a = netip.AddrFrom16(o)
	default:
		return CSID{}, "unknown address family or too long a prefix"
	}
	c = ServicePrefix(netip.PrefixFrom(a, bits).Masked())
	if !c.IsValid() {
		return CSID{}, "IPv4-mapped prefix"
	}
	return c, ""
}

func (a *Attribute) decodeAuth(v []byte) (why string) {
	if len(v) < authHead {
		return "shorter than its head"
	}
	a.Auth = Auth{true, Algorithm(v[0]), binary.BigEndian.Uint32(v[1:])}
	if n := a.Auth.Algorithm.signatureLen(); n != 0 && len(v) != authHead+n {
		return "length does not suit the algorithm"
	}
	return ""
}

func (a *Attribute) decodeInstance(v []byte, off int, r *reach) error {
	malformed := func(why string) error { return &FramingError{off, TypeInstance, why} }
	if len(v) < 2 {
		return malformed("shorter than its head")
	}
	kind, n := IDKind(v[0]>>4), int(v[1])
	if len(v) < instanceHead+n {
		return malformed("shorter than its identifier and head")
	}
	i := Instance{Service: r.service, Flags: InstanceFlags(v[0]) & allFlags}
	id, rest := v[2:2+n], v[2+n:]
	switch {
	case kind > IDNumber: // of a later version; its length let us skip it
		a.Ignored.UnknownInstances++
		return nil
	case kind == IDSite && n == 0:
	case kind == IDIPv4 && n == 4:
		i.ID = InstanceAddr(netip.AddrFrom4([4]byte(id)))
	case kind == IDIPv6 && n == 16:
		i.ID = InstanceAddr(netip.AddrFrom16([16]byte(id)))
	case kind == IDNumber && n == 4:
		i.ID = InstanceNumber(binary.BigEndian.Uint32(id))
	default:
		return malformed("length of the identifier does not suit its kind")
	}
	i.Sequence = Sequence(binary.BigEndian.Uint32(rest))
	i.Generated = binary.BigEndian.Uint32(rest[4:])
	i.Validity = binary.BigEndian.Uint16(rest[8:])
	i.Window = binary.BigEndian.Uint16(rest[10:])

	metrics := rest[instanceHead-2:]
	first := len(a.arena)
	if why := a.decodeMetrics(metrics); why != "" {
		return malformed(why)
	}
	// The capacity ends where the next instance's metrics begin, so that an
	// append to i.Metrics moves them away instead of overwriting those. Should
	// the arena itself move later, i.Metrics stays valid where it is.
	i.Metrics = a.arena[first:len(a.arena):len(a.arena)]
	a.Instances = append(a.Instances, i)
	r.used = true
	return nil
}

func (a *Attribute) decodeMetrics(v []byte) (why string) {
	var seen MetricSet
	for len(v) > 0 {
		if len(v) < metricHead {
			return "cut off in the head of a metric"
		}
		n := int(v[3])
		if len(v) < metricHead+n {
			return "a metric is longer than what is left"
		}
		head, value := [3]byte(v), v[metricHead:metricHead+n]
		v = v[metricHead+n:]

		m := Metric{
			Type:      MetricType(head[0]),
			Level:     Level(head[1] >> 6),
			Statistic: Statistic(head[1] >> 2 & 3),
			Source:    Source(head[2]) & allSources,
		}
		k, known := m.Type.kind()
		format := head[1] >> 4 & 3
		if !known || format > formatFloat || m.Level > L2 {
			a.Ignored.Unknown.add(m.Type)
			continue
		}
		m.Float = format == formatFloat
		ok := false
		if m.Value, ok = decodeNumber(value, m.Float); !ok {
			return "length of a metric does not suit its format"
		}
		if seen.Has(m.Type) {
			a.Ignored.Duplicate.add(m.Type)
			continue
		}
		seen.add(m.Type)
		if !m.inRange(k.max) {
			a.Ignored.OutOfRange.add(m.Type)
			continue
		}
		a.arena = append(a.arena, m)
	}
	return ""
}

// decodeNumber reads an integer of any width we know, or a float, which it
// widens.
func decodeNumber(v []byte, float bool) (uint64, bool) {
	switch {
	case len(v) == 4 && float:
		return math.Float64bits(float64(math.Float32frombits(binary.BigEndian.Uint32(v)))), true
	case len(v) == 8:
		return binary.BigEndian.Uint64(v), true
	case float:
		return 0, false
	case len(v) == 1:
		return uint64(v[0]), true
	case len(v) == 2:
		return uint64(binary.BigEndian.Uint16(v)), true
	case len(v) == 4:
		return uint64(binary.BigEndian.Uint32(v)), true
	}
	return 0, false
}

func (a *Attribute) decodeSite(t uint16, v []byte, seen *seenTLVs) (why string) {
	// The text of the draft gives AS-Scope 6 octets, its figure 5; the delay
	// has 9 as an NTP timestamp.
	if n := len(v); n != siteLen && !(t == TypeDelay && n == 9) && !(t == TypeASScope && n == 6) {
		return "wrong length"
	}
	flags, value := v[0], binary.BigEndian.Uint32(v[1:])
	s := &a.Site
	switch t {
	case TypePreference:
		if a.first(&seen.preference) {
			s.Preference = value
		}
	case TypeAvailability:
		if a.first(&seen.availability) {
			a.decodeAvailability(flags, value)
		}
	case TypeDelay:
		if a.first(&seen.delay) {
			a.decodeDelay(flags, v[1:])
		}
	case TypeCapability:
		if kind := flags & 15; a.firstKind(&seen.capabilities, kind) {
			s.Capabilities = append(s.Capabilities, Capability{kind, value})
		}
	case TypeResource:
		r := Resource{flags & 15, flags&resourcePercent != 0, value}
		switch {
		case !a.firstKind(&seen.resources, r.Kind):
		case r.Percent && value > 100:
			a.Ignored.SiteValues++
		default:
			s.Resources = append(s.Resources, r)
		}
	case TypeASScope:
		s.ASScope = append(s.ASScope, value)
	}
	return ""
}

func (a *Attribute) decodeAvailability(flags byte, value uint32) {
	v := Availability{Set: true, Bind: flags&availabilityBind != 0, SiteID: uint16(value >> 16), Percent: uint16(value)}
	if v.Bind {
		v.Percent = 0 // has no meaning then
	}
	if v.Percent > 100 {
		a.Ignored.SiteValues++
		return
	}
	a.Site.Availability = v
}

func (a *Attribute) decodeDelay(flags byte, v []byte) {
	var d DelayPrediction
	switch {
	case len(v) == 8 && flags&(delayRelative|delayMilliseconds) == 0:
		d = DelayPrediction{DelayNTP, binary.BigEndian.Uint64(v)}
	case len(v) == 8: // no draft gives these 64 bits
	case flags&delayRelative != 0:
		d = DelayPrediction{DelayRelative, uint64(binary.BigEndian.Uint32(v))}
	case flags&delayMilliseconds != 0:
		d = DelayPrediction{DelayMilliseconds, uint64(binary.BigEndian.Uint32(v))}
	default:
		d = DelayPrediction{DelayNTPShort, uint64(binary.BigEndian.Uint32(v))}
	}
	if d.Form == DelayNone || d.Value > d.Form.maxValue() {
		a.Ignored.SiteValues++
		return
	}
	a.Site.Delay = d
}

// first reports, once, that a sub-TLV is the first of its type, and counts the
// others.
func (a *Attribute) first(seen *bool) bool {
	if *seen {
		a.Ignored.DuplicateTLVs++
		return false
	}
	*seen = true
	return true
}

func (a *Attribute) firstKind(seen *uint16, kind byte) bool {
	if *seen&(1<<kind) != 0 {
		a.Ignored.DuplicateTLVs++
		return false
	}
	*seen |= 1 << kind
	return true
}
