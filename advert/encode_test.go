package advert

import (
	"bytes"
	"errors"
	"math"
	"net/netip"
	"testing"

	"pgregory.net/rapid"
)

// What could not be decoded again is refused, and dst comes back untouched.
func TestEncodeRefuses(t *testing.T) {
	service := must(ParseCSID("203.0.113.10"))
	metric := func(m Metric) Attribute { return Attribute{Instances: []Instance{{Metrics: []Metric{m}}}} }
	var many Attribute
	for range MaxAttributeLen/17 + 1 {
		many.Instances = append(many.Instances, Instance{})
	}
	var wide Instance
	for k := range 21 {
		wide.Metrics = append(wide.Metrics, Metric{Type: FirstPrivate + MetricType(k), Value: math.MaxUint64})
	}
	for _, tt := range []struct {
		name string
		in   Attribute
		want error
	}{
		{"reserved profile flag", Attribute{Profile: Profile{Flags: 1}}, ErrNotEncodable},
		{"locator unspecified", Attribute{Locator: netip.IPv4Unspecified()}, ErrNotEncodable},
		{"locator multicast", Attribute{Locator: netip.MustParseAddr("224.0.0.1")}, ErrNotEncodable},
		{"locator IPv4-mapped", Attribute{Locator: netip.MustParseAddr("::ffff:192.0.2.21")}, ErrNotEncodable},
		{"locator with zone", Attribute{Locator: netip.MustParseAddr("fe80::1%eth0")}, ErrNotEncodable},
		{"no service after one", Attribute{Instances: []Instance{{Service: service}, {}}}, ErrNotEncodable},
		{"bare service none", Attribute{BareServices: []CSID{{}}}, ErrNotEncodable},
		{"reserved instance flag", Attribute{Instances: []Instance{{Flags: 16}}}, ErrNotEncodable},
		{"unknown metric", metric(Metric{Type: 99}), ErrNotEncodable},
		{"level 3", metric(Metric{Type: NormFI, Level: 3}), ErrNotEncodable},
		{"statistic 4", metric(Metric{Type: NormFI, Statistic: 4}), ErrNotEncodable},
		{"reserved source", metric(Metric{Type: NormFI, Source: 32}), ErrNotEncodable},
		{"score of 11", metric(Metric{Type: NormFI, Value: 11}), ErrNotEncodable},
		{"score of 10.1", metric(Metric{Type: NormFI, Float: true, Value: math.Float64bits(10.1)}), ErrNotEncodable},
		{"negative delay", metric(Metric{Type: ServiceDelay, Float: true, Value: math.Float64bits(-1)}), ErrNotEncodable},
		{"not a number", metric(Metric{Type: FirstPrivate, Float: true, Value: math.Float64bits(math.NaN())}), ErrNotEncodable},
		{"utilisation beyond 16 bits", metric(Metric{Type: Utilisation, Value: 1 << 16}), ErrNotEncodable},
		{"delay beyond 32 bits", metric(Metric{Type: ServiceDelay, Value: 1 << 32}), ErrNotEncodable},
		{"metric twice", Attribute{Instances: []Instance{{Metrics: []Metric{{Type: NormFI}, {Type: NormFI}}}}}, ErrNotEncodable},
		{"availability above 100 %", Attribute{Site: Site{Availability: Availability{Set: true, Percent: 101}}}, ErrNotEncodable},
		{"availability not set", Attribute{Site: Site{Availability: Availability{SiteID: 9}}}, ErrNotEncodable},
		{"binding with percentage", Attribute{Site: Site{Availability: Availability{Set: true, Bind: true, Percent: 1}}}, ErrNotEncodable},
		{"delay without form", Attribute{Site: Site{Delay: DelayPrediction{Value: 1}}}, ErrNotEncodable},
		{"delay of form 5", Attribute{Site: Site{Delay: DelayPrediction{Form: 5}}}, ErrNotEncodable},
		{"relative delay above 100", Attribute{Site: Site{Delay: DelayPrediction{DelayRelative, 101}}}, ErrNotEncodable},
		{"delay beyond 32 bits", Attribute{Site: Site{Delay: DelayPrediction{DelayMilliseconds, 1 << 32}}}, ErrNotEncodable},
		{"capability of kind 16", Attribute{Site: Site{Capabilities: []Capability{{Kind: 16}}}}, ErrNotEncodable},
		{"capability twice", Attribute{Site: Site{Capabilities: []Capability{{}, {}}}}, ErrNotEncodable},
		{"resource of kind 16", Attribute{Site: Site{Resources: []Resource{{Kind: 16}}}}, ErrNotEncodable},
		{"resource twice", Attribute{Site: Site{Resources: []Resource{{}, {Percent: true}}}}, ErrNotEncodable},
		{"resource above 100 %", Attribute{Site: Site{Resources: []Resource{{Percent: true, Value: 101}}}}, ErrNotEncodable},
		{"instance longer than 255", Attribute{Instances: []Instance{wide}}, ErrTooLong},
		{"attribute longer than 3000", many, ErrTooLong},
	} {
		dst := []byte("before")
		got, err := AppendAttribute(dst, &tt.in)
		if !errors.Is(err, tt.want) || !bytes.Equal(got, dst) {
			t.Errorf("%s: %q, %v", tt.name, got, err)
		}
	}
}

func TestEncodeLimits(t *testing.T) {
	t.Log("# an instance of exactly 255 octets")
	i := Instance{}
	for k := range 20 { // 20 × 12 + 14 = 254
		i.Set(Metric{Type: FirstPrivate + MetricType(k), Value: math.MaxUint64})
	}
	i.Metrics[0].Value = 1 // 247
	i.Metrics[0].Float = false
	i.Set(Metric{Type: 200, Value: 1 << 16}) // 255
	a := &Attribute{Instances: []Instance{i}}
	if n := InstanceLen(&i); n != MaxInstanceLen {
		t.Fatalf("InstanceLen %d", n)
	}
	if !mustDecode(t, must(AppendAttribute(nil, a))).Equal(a) {
		t.Error("came back different")
	}

	t.Log("# an attribute of exactly 3000 octets, also after something else")
	a = &Attribute{Site: Site{Delay: DelayPrediction{DelayNTP, 1}}} // 15 + 12
	for AttributeLen(a) < 2900 {
		a.Instances = append(a.Instances, Instance{}) // 17 each
	}
	for AttributeLen(a) < MaxAttributeLen-8 {
		a.Site.ASScope = append(a.Site.ASScope, 65001) // 8 each
	}
	bits := MaxAttributeLen - AttributeLen(a) // up to 8 are left: a CS-ID has 5 to 9
	if bits < 5 {
		a.Site.ASScope = a.Site.ASScope[1:]
		bits += 8
	}
	for bits > 9 {
		a.BareServices = append(a.BareServices, ServicePrefix(netip.MustParsePrefix("0.0.0.0/0")))
		bits -= 5
	}
	if bits >= 5 {
		a.BareServices = append(a.BareServices, ServicePrefix(netip.PrefixFrom(netip.MustParseAddr("203.0.113.10"), 8*(bits-5))))
	}
	if n := AttributeLen(a); n != MaxAttributeLen {
		t.Fatalf("the test's attribute has %d octets", n)
	}
	b := must(AppendAttribute(make([]byte, 1000), a))
	if !mustDecode(t, b[1000:]).Equal(a) {
		t.Error("came back different")
	}
}

// Decode(Append(x)) is x, for whatever can be said.
func TestRoundTrip(t *testing.T) {
	reused := new(Attribute)
	rapid.Check(t, func(t *rapid.T) {
		a := drawAttribute(t)
		b, err := AppendAttribute(nil, a)
		if err != nil {
			t.Fatalf("append: %v", err)
		}
		if n := AttributeLen(a); n != len(b) {
			t.Errorf("AttributeLen %d, appended %d", n, len(b))
		}
		if err := DecodeAttribute(b, reused); err != nil {
			t.Fatalf("decode %x: %v", b, err)
		}
		if !reused.Equal(a) || reused.Ignored.Any() {
			t.Errorf("got\n%s\nwant\n%s", reused.Describe(), a.Describe())
		}
		if again, err := AppendAttribute(nil, reused); err != nil || !bytes.Equal(again, b) {
			t.Errorf("again: %v\n%x\n%x", err, again, b)
		}
	})
}

func drawAttribute(t *rapid.T) *Attribute {
	u16, u32 := rapid.Uint16(), rapid.Uint32()
	a := &Attribute{
		Profile: Profile{
			Flags:         ProfileFlags(rapid.IntRange(0, 3).Draw(t, "profile flags") << 6),
			Normalization: u16.Draw(t, "normalization"),
			Domain:        u32.Draw(t, "domain"),
		},
	}
	if rapid.Bool().Draw(t, "has locator") {
		a.Locator = drawAddr(t)
		if !usableLocator(a.Locator) {
			a.Locator = netip.Addr{}
		}
	}
	var service CSID
	for range rapid.IntRange(0, 8).Draw(t, "instances") {
		if rapid.Bool().Draw(t, "new service") {
			if c := drawService(t); c.IsValid() {
				service = c
			}
		}
		a.Instances = append(a.Instances, drawInstance(t, service))
	}
	for range rapid.IntRange(0, 3).Draw(t, "bare services") {
		if c := drawService(t); c.IsValid() {
			a.BareServices = append(a.BareServices, c)
		}
	}
	s := &a.Site
	s.Preference = u32.Draw(t, "preference")
	if rapid.Bool().Draw(t, "has availability") {
		s.Availability = Availability{Set: true, Bind: rapid.Bool().Draw(t, "bind"), SiteID: u16.Draw(t, "site id")}
		if !s.Availability.Bind {
			s.Availability.Percent = rapid.Uint16Range(0, 100).Draw(t, "available")
		}
	}
	s.Delay.Form = DelayForm(rapid.IntRange(0, 4).Draw(t, "delay form"))
	s.Delay.Value = rapid.Uint64Range(0, s.Delay.Form.maxValue()).Draw(t, "delay")
	for k := range uint8(rapid.IntRange(0, 16).Draw(t, "capabilities")) {
		s.Capabilities = append(s.Capabilities, Capability{15 - k, u32.Draw(t, "capability")})
	}
	for k := range uint8(rapid.IntRange(0, 16).Draw(t, "resources")) {
		s.Resources = append(s.Resources, Resource{k, true, rapid.Uint32Range(0, 100).Draw(t, "percent")})
		if rapid.Bool().Draw(t, "abstract") {
			s.Resources[k] = Resource{k, false, u32.Draw(t, "resource")}
		}
	}
	s.ASScope = rapid.SliceOfN(u32, 0, 4).Draw(t, "scope")
	return a
}

func drawAddr(t *rapid.T) netip.Addr {
	n := 4
	if rapid.Bool().Draw(t, "IPv6") {
		n = 16
	}
	a, _ := netip.AddrFromSlice(rapid.SliceOfN(rapid.Byte(), n, n).Draw(t, "address"))
	return a
}

func drawService(t *rapid.T) CSID {
	a := drawAddr(t)
	return ServicePrefix(netip.PrefixFrom(a, rapid.IntRange(0, a.BitLen()).Draw(t, "bits")))
}

func drawInstance(t *rapid.T, service CSID) Instance {
	i := Instance{
		Service:   service,
		Flags:     InstanceFlags(rapid.IntRange(0, 15).Draw(t, "flags")),
		Sequence:  Sequence(rapid.Uint32().Draw(t, "sequence")),
		Generated: rapid.Uint32().Draw(t, "generated"),
		Validity:  rapid.Uint16().Draw(t, "validity"),
		Window:    rapid.Uint16().Draw(t, "window"),
	}
	switch rapid.IntRange(0, 2).Draw(t, "kind") {
	case 1:
		i.ID = InstanceAddr(drawAddr(t))
	case 2:
		i.ID = InstanceNumber(rapid.Uint32().Draw(t, "number"))
	}
	types := rapid.SliceOfNDistinct(rapid.OneOf(
		rapid.SampledFrom([]MetricType{NormFI, ComputingComb, CommunicationComb, ServiceComb, ComposedComb, ServiceDelay,
			Utilisation, InFlight, Capacity, FreeSlots, Slots, ServiceTime}),
		rapid.Map(rapid.IntRange(128, 255), func(n int) MetricType { return MetricType(n) }),
	), 0, 12, func(t MetricType) MetricType { return t })
	for _, typ := range types.Draw(t, "types") {
		m := Metric{
			Type:      typ,
			Level:     Level(rapid.IntRange(0, 2).Draw(t, "level")),
			Float:     rapid.Bool().Draw(t, "float"),
			Statistic: Statistic(rapid.IntRange(0, 3).Draw(t, "statistic")),
			Source:    Source(rapid.IntRange(0, 31).Draw(t, "source")),
		}
		k, _ := typ.kind()
		switch {
		case m.Float && typ >= FirstPrivate:
			m.Value = math.Float64bits(rapid.Float64().Draw(t, "private float"))
		case m.Float:
			m.Value = math.Float64bits(rapid.Float64Range(0, k.max).Draw(t, "float"))
		case typ >= FirstPrivate:
			m.Value = rapid.Uint64().Draw(t, "private")
		default:
			m.Value = rapid.Uint64Range(0, uint64(k.max)).Draw(t, "value")
		}
		i.Metrics = append(i.Metrics, m)
	}
	return i
}
