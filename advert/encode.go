package advert

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"
)

// AppendAttribute appends the attribute value that says a: Profile, Locator,
// CS-IDs and Instances, bare CS-IDs, site sub-TLVs. It has no Auth TLV; that is
// Key.Sign's.
//
// The error is ErrTooLong or ErrNotEncodable, and dst comes back as it was:
// whatever is appended decodes to an Attribute Equal to a.
func AppendAttribute(dst []byte, a *Attribute) ([]byte, error) {
	out, err := appendAttribute(dst, a)
	if err != nil {
		return dst, err
	}
	if n := len(out) - len(dst); n > MaxAttributeLen {
		return dst, fmt.Errorf("%w: attribute of %d octets, limit %d", ErrTooLong, n, MaxAttributeLen)
	}
	return out, nil
}

// AttributeLen returns how many octets AppendAttribute appends for an encodable a.
func AttributeLen(a *Attribute) int {
	n := tlvHead + profileLen
	if a.Locator.IsValid() {
		n += tlvHead + 1 + a.Locator.BitLen()/8
	}
	var service CSID
	for k := range a.Instances {
		i := &a.Instances[k]
		if i.Service != service {
			service = i.Service
			n += csidLen(service)
		}
		n += InstanceLen(i)
	}
	for _, c := range a.BareServices {
		n += csidLen(c)
	}
	return n + siteSubTLVs(&a.Site)
}

// InstanceLen returns the octets of the Instance TLV with its head, at most
// MaxInstanceLen for an encodable i. The CS-ID TLV is not part of it.
func InstanceLen(i *Instance) int {
	n := tlvHead + instanceHead + i.ID.octets()
	for _, m := range i.Metrics {
		n += metricHead + m.octets()
	}
	return n
}

func csidLen(c CSID) int { return tlvHead + 2 + (c.prefix.Bits()+7)/8 }

func siteSubTLVs(s *Site) int {
	n := len(s.Capabilities) + len(s.Resources) + len(s.ASScope)
	if s.Preference != 0 {
		n++
	}
	if s.Availability.Set {
		n++
	}
	n *= tlvHead + siteLen
	switch s.Delay.Form {
	case DelayNone:
		return n
	case DelayNTP:
		return n + tlvHead + 9
	}
	return n + tlvHead + siteLen
}

func appendAttribute(b []byte, a *Attribute) ([]byte, error) {
	if a.Profile.Flags&^(CompleteList|AggregatedOnly) != 0 {
		return nil, notEncodable("reserved profile flags %#02x", uint8(a.Profile.Flags))
	}
	b = appendHead(b, TypeProfile, profileLen)
	b = append(b, magic...)
	b = append(b, Version, byte(a.Profile.Flags))
	b = binary.BigEndian.AppendUint16(b, a.Profile.Normalization)
	b = binary.BigEndian.AppendUint32(b, a.Profile.Domain)

	b, err := appendLocator(b, a.Locator)
	if err != nil {
		return nil, err
	}

	var service CSID
	for k := range a.Instances {
		i := &a.Instances[k]
		if i.Service != service {
			if !i.Service.IsValid() {
				return nil, notEncodable("instance %s without service after one of service %s", i.ID, service)
			}
			service = i.Service
			b = appendCSID(b, service)
		}
		if b, err = appendInstance(b, i); err != nil {
			return nil, err
		}
	}
	for _, c := range a.BareServices {
		if !c.IsValid() {
			return nil, notEncodable("bare service is none")
		}
		b = appendCSID(b, c)
	}
	return appendSite(b, &a.Site)
}

func appendLocator(b []byte, l netip.Addr) ([]byte, error) {
	switch {
	case l == netip.Addr{}:
		return b, nil
	case !usableLocator(l):
		return nil, notEncodable("locator %s is not a plain unicast address", l)
	case l.Is4():
		b = append(appendHead(b, TypeLocator, 5), afIPv4)
	default:
		b = append(appendHead(b, TypeLocator, 17), afIPv6)
	}
	return appendAddr(b, l), nil
}

// usableLocator reports whether packets can be tunnelled to l.
func usableLocator(l netip.Addr) bool {
	return !l.Is4In6() && l.Zone() == "" && !l.IsUnspecified() && !l.IsMulticast()
}

func appendAddr(b []byte, a netip.Addr) []byte {
	if a.Is4() {
		o := a.As4()
		return append(b, o[:]...)
	}
	o := a.As16()
	return append(b, o[:]...)
}

func appendCSID(b []byte, c CSID) []byte {
	n := (c.prefix.Bits() + 7) / 8
	af := byte(afIPv4)
	if c.prefix.Addr().Is6() {
		af = afIPv6
	}
	b = append(appendHead(b, TypeCSID, 2+n), af, byte(c.prefix.Bits()))
	full := len(b) + n
	return appendAddr(b, c.prefix.Addr())[:full]
}

func appendInstance(b []byte, i *Instance) ([]byte, error) {
	n := InstanceLen(i) - tlvHead
	if n > MaxInstanceLen-tlvHead {
		return nil, fmt.Errorf("%w: instance %s of %d octets, limit %d", ErrTooLong, i.ID, n, MaxInstanceLen-tlvHead)
	}
	if i.Flags&^allFlags != 0 {
		return nil, notEncodable("instance %s: flags %#02x", i.ID, uint8(i.Flags))
	}
	b = appendHead(b, TypeInstance, n)
	b = append(b, byte(i.ID.kind)<<4|byte(i.Flags), byte(i.ID.octets()))
	switch i.ID.kind {
	case IDIPv4, IDIPv6:
		b = appendAddr(b, i.ID.addr)
	case IDNumber:
		b = binary.BigEndian.AppendUint32(b, i.ID.number)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(i.Sequence))
	b = binary.BigEndian.AppendUint32(b, i.Generated)
	b = binary.BigEndian.AppendUint16(b, i.Validity)
	b = binary.BigEndian.AppendUint16(b, i.Window)

	var seen MetricSet
	for _, m := range i.Metrics {
		k, known := m.Type.kind()
		switch {
		case !known:
			return nil, notEncodable("instance %s: unknown metric type %d", i.ID, m.Type)
		case seen.Has(m.Type):
			return nil, notEncodable("instance %s: %s twice", i.ID, m.Type)
		case m.Level > L2, m.Statistic > StatMin, m.Source&^allSources != 0:
			return nil, notEncodable("instance %s: %s: level %d, statistic %d, source %#02x", i.ID, m.Type, m.Level, m.Statistic, uint8(m.Source))
		case !m.inRange(k.max):
			return nil, notEncodable("instance %s: %s of %v", i.ID, m.Type, m.Number())
		}
		seen.add(m.Type)
		b = appendMetric(b, m)
	}
	return b, nil
}

// octets is the length of the identifier on the wire.
func (c CSCIID) octets() int {
	switch c.kind {
	case IDIPv4, IDNumber:
		return 4
	case IDIPv6:
		return 16
	}
	return 0
}

const formatFloat = 1

func appendMetric(b []byte, m Metric) []byte {
	desc := byte(m.Level)<<6 | byte(m.Statistic)<<2
	if m.Float {
		desc |= formatFloat << 4
	}
	n := m.octets()
	b = append(b, byte(m.Type), desc, byte(m.Source), byte(n))
	v := m.Value
	if m.Float && n == 4 {
		v = uint64(math.Float32bits(float32(math.Float64frombits(v))))
	}
	switch n {
	case 1:
		return append(b, byte(v))
	case 2:
		return binary.BigEndian.AppendUint16(b, uint16(v))
	case 4:
		return binary.BigEndian.AppendUint32(b, uint32(v))
	}
	return binary.BigEndian.AppendUint64(b, v)
}

// octets is the length of the value on the wire: the width of its type, and as
// few as hold it for floats and private types.
func (m Metric) octets() int {
	if m.Float {
		if v := math.Float64frombits(m.Value); float64(float32(v)) == v {
			return 4
		}
		return 8
	}
	k, _ := m.Type.kind()
	switch {
	case k.octets != 0:
		return k.octets
	case m.Value <= math.MaxUint8:
		return 1
	case m.Value <= math.MaxUint16:
		return 2
	case m.Value <= math.MaxUint32:
		return 4
	}
	return 8
}

func appendSite(b []byte, s *Site) ([]byte, error) {
	if s.Preference != 0 {
		b = appendStandard(b, TypePreference, 0, s.Preference)
	}
	if v := s.Availability; v.Set {
		flags := byte(0)
		switch {
		case v.Bind && v.Percent != 0:
			return nil, notEncodable("availability that binds has %d %%", v.Percent)
		case v.Percent > 100:
			return nil, notEncodable("availability of %d %%", v.Percent)
		case v.Bind:
			flags = availabilityBind
		}
		b = appendStandard(b, TypeAvailability, flags, uint32(v.SiteID)<<16|uint32(v.Percent))
	} else if v != (Availability{}) {
		return nil, notEncodable("availability has values but is not set")
	}
	b, err := appendDelay(b, s.Delay)
	if err != nil {
		return nil, err
	}
	var seen uint16
	for _, c := range s.Capabilities {
		if c.Kind > 15 || seen&(1<<c.Kind) != 0 {
			return nil, notEncodable("capability of kind %d", c.Kind)
		}
		seen |= 1 << c.Kind
		b = appendStandard(b, TypeCapability, c.Kind, c.Value)
	}
	seen = 0
	for _, r := range s.Resources {
		flags := r.Kind
		if r.Percent {
			flags |= resourcePercent
		}
		if r.Kind > 15 || seen&(1<<r.Kind) != 0 || r.Percent && r.Value > 100 {
			return nil, notEncodable("resource of kind %d, value %d", r.Kind, r.Value)
		}
		seen |= 1 << r.Kind
		b = appendStandard(b, TypeResource, flags, r.Value)
	}
	for _, as := range s.ASScope {
		b = appendStandard(b, TypeASScope, 0, as)
	}
	return b, nil
}

// Flags in the first octet of the standard sub-TLVs.
const (
	availabilityBind  = 0x80 // I
	delayRelative     = 0x80 // F
	delayMilliseconds = 0x40 // L
	resourcePercent   = 0x80 // P
)

func appendStandard(b []byte, t uint16, flags byte, value uint32) []byte {
	return binary.BigEndian.AppendUint32(append(appendHead(b, t, siteLen), flags), value)
}

func appendDelay(b []byte, d DelayPrediction) ([]byte, error) {
	if d.Form > DelayNTPShort || d.Value > d.Form.maxValue() {
		return nil, notEncodable("delay prediction of form %d, value %d", d.Form, d.Value)
	}
	switch d.Form {
	case DelayRelative:
		return appendStandard(b, TypeDelay, delayRelative, uint32(d.Value)), nil
	case DelayMilliseconds:
		return appendStandard(b, TypeDelay, delayMilliseconds, uint32(d.Value)), nil
	case DelayNTPShort:
		return appendStandard(b, TypeDelay, 0, uint32(d.Value)), nil
	case DelayNTP:
		b = append(appendHead(b, TypeDelay, 9), 0)
		return binary.BigEndian.AppendUint64(b, d.Value), nil
	}
	return b, nil
}
