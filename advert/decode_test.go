package advert

import (
	"bytes"
	"encoding/hex"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// Pieces of attribute values, as hex.
const (
	hexProfile  = "ca00 0c 43415453 01 00 0001 0000fde9 "
	hexLocator  = "ca02 05 01 c0000215 "
	hexService4 = "ca03 06 01 20 cb00710a " // 203.0.113.10/32
	hexTimes    = "0000002a 6ab13b80 005a 0064 "
	hexSite     = "ca01 0e 00 00 " + hexTimes // an instance without identifier and metrics
	hexHMAC     = "ca0f 15 01 00000007 00112233445566778899aabbccddeeff "
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return b
}

// hexInstance returns a site Instance with the metrics.
func hexInstance(t testing.TB, metrics string) string {
	n := 14 + len(unhex(t, metrics))
	return "ca01 " + hex.EncodeToString([]byte{byte(n)}) + " 00 00 " + hexTimes + metrics
}

func TestDecodeNotOurs(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     error
	}{
		{"nothing", "", ErrNotCATS},
		{"half a head", "ca00", ErrNotCATS},
		{"no profile", "0001 05 00 00000064", ErrNotCATS},
		{"a profile later", "0001 05 00 00000064" + hexProfile, ErrNotCATS},
		{"other magic", "ca00 0c 43415455 01 00 0001 0000fde9", ErrNotCATS},
		{"cut off in the magic", "ca00 0c 434154", ErrNotCATS},
		{"cut off before the version", "ca00 0c 43415453", ErrNotCATS},
		{"version 2, whatever follows", "ca00 ff 43415453 02", ErrVersion},
	} {
		a := mustDecode(t, vectorNamed(t, "t-mode").value)
		err := DecodeAttribute(unhex(t, tt.in), a)
		if !errors.Is(err, tt.want) || !errors.Is(err, ErrNotCATS) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
		if !a.Equal(new(Attribute)) {
			t.Errorf("%s: leaves %+v", tt.name, a)
		}
	}
}

// Rule 2: when the octets do not fit together nothing of it is believed.
func TestDecodeFraming(t *testing.T) {
	const afterProfile = 15
	for _, tt := range []struct {
		name, in string
		offset   int
		typ      uint16
		why      string
	}{
		{"profile too short", "ca00 0b 43415453 01 00 0001 0000fd", 0, TypeProfile, "length is not 12"},
		{"profile too long", "ca00 0d 43415453 01 00 0001 0000fde9 00", 0, TypeProfile, "length is not 12"},
		{"profile cut off", "ca00 0c 43415453 01 00 0001", 0, TypeProfile, "longer than what is left"},
		{"second profile", hexProfile + hexProfile, afterProfile, TypeProfile, "second time"},
		{"half a head", hexProfile + "ca02", afterProfile, 0, "cut off in the head"},
		{"TLV too long", hexProfile + "ca02 06 01 c0000215", afterProfile, TypeLocator, "longer than what is left"},
		{"unknown TLV too long", hexProfile + "beef 01", afterProfile, 0xbeef, "longer than what is left"},

		{"locator empty", hexProfile + "ca02 00", afterProfile, TypeLocator, "address family"},
		{"locator of family 3", hexProfile + "ca02 05 03 c0000215", afterProfile, TypeLocator, "address family"},
		{"locator IPv4 with 16 octets", hexProfile + "ca02 11 01 20010db8000000000000000000000001", afterProfile, TypeLocator, "address family"},
		{"locator IPv6 with 4 octets", hexProfile + "ca02 05 02 c0000215", afterProfile, TypeLocator, "address family"},
		{"locator unspecified", hexProfile + "ca02 05 01 00000000", afterProfile, TypeLocator, "not a unicast"},
		{"locator multicast", hexProfile + "ca02 11 02 ff020000000000000000000000000001", afterProfile, TypeLocator, "not a unicast"},
		{"second locator", hexProfile + hexLocator + hexLocator, afterProfile + 8, TypeLocator, "second time"},

		{"CS-ID empty", hexProfile + "ca03 00", afterProfile, TypeCSID, "shorter than its head"},
		{"CS-ID without length", hexProfile + "ca03 01 01", afterProfile, TypeCSID, "shorter than its head"},
		{"CS-ID with too few octets", hexProfile + "ca03 05 01 20 cb0071", afterProfile, TypeCSID, "prefix length"},
		{"CS-ID with too many octets", hexProfile + "ca03 06 01 18 cb007100", afterProfile, TypeCSID, "prefix length"},
		{"CS-ID of 33 bits", hexProfile + "ca03 07 01 21 cb00710a00", afterProfile, TypeCSID, "too long a prefix"},
		{"CS-ID of 129 bits", hexProfile + "ca03 13 02 81" + strings.Repeat("20", 17), afterProfile, TypeCSID, "too long a prefix"},
		{"CS-ID of family 0", hexProfile + "ca03 06 00 20 cb00710a", afterProfile, TypeCSID, "address family"},
		{"CS-ID IPv4-mapped", hexProfile + "ca03 12 02 80 00000000000000000000ffffcb00710a", afterProfile, TypeCSID, "IPv4-mapped"},

		{"instance empty", hexProfile + "ca01 00", afterProfile, TypeInstance, "shorter than its head"},
		{"instance cut off", hexProfile + "ca01 0d 00 00 0000002a 6ab13b80 005a 00", afterProfile, TypeInstance, "shorter than its identifier"},
		{"instance, identifier too long for it", hexProfile + "ca01 0e 10 04" + hexTimes, afterProfile, TypeInstance, "shorter than its identifier"},
		{"instance without kind but with identifier", hexProfile + "ca01 12 00 04 0a00020b" + hexTimes, afterProfile, TypeInstance, "does not suit its kind"},
		{"instance IPv4 without identifier", hexProfile + "ca01 0e 10 00" + hexTimes, afterProfile, TypeInstance, "does not suit its kind"},
		{"instance IPv6 with 4 octets", hexProfile + "ca01 12 20 04 0a00020b" + hexTimes, afterProfile, TypeInstance, "does not suit its kind"},
		{"instance number with 16 octets", hexProfile + "ca01 1e 30 10" + strings.Repeat("00", 16) + hexTimes, afterProfile, TypeInstance, "does not suit its kind"},
		{"second instance cut off", hexProfile + hexSite + "ca01 01 00", afterProfile + 17, TypeInstance, "shorter than its head"},

		{"metric cut off in its head", hexProfile + hexInstance(t, "018418"), afterProfile, TypeInstance, "head of a metric"},
		{"metric too long", hexProfile + hexInstance(t, "01841802 07"), afterProfile, TypeInstance, "metric is longer"},
		{"unknown metric too long", hexProfile + hexInstance(t, "63001801"), afterProfile, TypeInstance, "metric is longer"},
		{"metric of no octets", hexProfile + hexInstance(t, "01841800"), afterProfile, TypeInstance, "does not suit its format"},
		{"integer of 3 octets", hexProfile + hexInstance(t, "40040203 000001"), afterProfile, TypeInstance, "does not suit its format"},
		{"integer of 16 octets", hexProfile + hexInstance(t, "40040210"+strings.Repeat("00", 16)), afterProfile, TypeInstance, "does not suit its format"},
		{"float of 2 octets", hexProfile + hexInstance(t, "40140202 3c00"), afterProfile, TypeInstance, "does not suit its format"},
		{"private float of 1 octet", hexProfile + hexInstance(t, "80140201 3c"), afterProfile, TypeInstance, "does not suit its format"},

		{"preference of 4 octets", hexProfile + "0001 04 00000064", afterProfile, TypePreference, "wrong length"},
		{"availability empty", hexProfile + "0002 00", afterProfile, TypeAvailability, "wrong length"},
		{"delay of 6 octets", hexProfile + "0003 06 000000000000", afterProfile, TypeDelay, "wrong length"},
		{"capability of 9 octets", hexProfile + "0005 09 000000000000000000", afterProfile, TypeCapability, "wrong length"},
		{"resource of 6 octets", hexProfile + "0006 06 000000000000", afterProfile, TypeResource, "wrong length"},
		{"AS-Scope of 7 octets", hexProfile + "0007 07 00000000000000", afterProfile, TypeASScope, "wrong length"},

		{"auth empty", hexProfile + "ca0f 00", afterProfile, TypeAuth, "shorter than its head"},
		{"auth with half a key id", hexProfile + "ca0f 04 09 000000", afterProfile, TypeAuth, "shorter than its head"},
		{"auth HMAC of 15 octets", hexProfile + "ca0f 14 01 00000007 00112233445566778899aabbccddee", afterProfile, TypeAuth, "does not suit the algorithm"},
		{"auth Ed25519 of 16 octets", hexProfile + "ca0f 15 02 00000007 00112233445566778899aabbccddeeff", afterProfile, TypeAuth, "does not suit the algorithm"},
		{"auth not last", hexProfile + hexHMAC + "0001 05 00 00000064", afterProfile + 24, TypePreference, "after the Auth TLV"},
		{"unknown after auth", hexProfile + hexHMAC + "beef 00", afterProfile + 24, 0xbeef, "after the Auth TLV"},
		{"auth twice", hexProfile + hexHMAC + hexHMAC, afterProfile + 24, TypeAuth, "after the Auth TLV"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := mustDecode(t, vectorNamed(t, "every-kind").value)
			err := DecodeAttribute(unhex(t, tt.in), a)
			var f *FramingError
			if !errors.As(err, &f) {
				t.Fatalf("got %v", err)
			}
			if f.Offset != tt.offset || f.Type != tt.typ || !strings.Contains(f.Why, tt.why) {
				t.Errorf("got %+v", f)
			}
			if errors.Is(err, ErrNotCATS) {
				t.Error("is ErrNotCATS: it claims to be ours")
			}
			if !a.Equal(new(Attribute)) || a.Ignored.Any() || a.Auth.Present {
				t.Errorf("leaves %s", a.Describe())
			}
		})
	}
}

// Every proper prefix of a valid value is either a shorter valid value, cut
// between sub-TLVs, or an error.
func TestDecodeTruncated(t *testing.T) {
	v := vectorNamed(t, "every-kind").value
	var boundaries []int
	for off := 0; off < len(v); off += tlvHead + int(v[off+2]) {
		boundaries = append(boundaries, off)
	}
	for n := range v {
		err := DecodeAttribute(v[:n:n], new(Attribute))
		if whole := n != 0 && slices.Contains(boundaries, n); (err == nil) != whole {
			t.Errorf("%d octets: %v", n, err)
		}
	}
}

// What is unknown, repeated or out of range is left out and counted; the rest
// stands.
func TestDecodeTolerates(t *testing.T) {
	const norm7, norm8 = "01841801 07 ", "01841801 08 "
	tally := func(n int, types ...MetricType) (m MetricTally) {
		m.Count = n
		for _, x := range types {
			m.Types.add(x)
		}
		return m
	}
	metric7 := []Metric{{Type: NormFI, Level: L2, Statistic: StatMean, Source: SourceAggregation | SourceNormalization, Value: 7}}
	for _, tt := range []struct {
		name    string
		in      string // after the profile
		metrics []Metric
		ignored Ignored
	}{
		{"unknown sub-TLVs", "beef 02 0102 beef 00 ff00 00" + hexInstance(t, norm7), metric7,
			Ignored{UnknownTLVs: 3, FirstUnknownTLV: 0xbeef}},
		{"raw measurement, any length", "0004 03 000102" + hexInstance(t, norm7), metric7,
			Ignored{UnknownTLVs: 1, FirstUnknownTLV: TypeRaw}},
		{"identifier of kind 4", "ca01 11 40 03 010203" + hexTimes + hexInstance(t, norm7), metric7,
			Ignored{UnknownInstances: 1}},
		{"unknown metric type of any length", hexInstance(t, "63841803 010203"+norm7+"62841800"), metric7,
			Ignored{Unknown: tally(2, 99, 98)}},
		{"reserved format", hexInstance(t, "41240202 104f"+norm7), metric7,
			Ignored{Unknown: tally(1, Utilisation)}},
		{"reserved level", hexInstance(t, "41c40202 104f"+norm7), metric7,
			Ignored{Unknown: tally(1, Utilisation)}},
		{"score of 11", hexInstance(t, "10441801 0b"+norm7), metric7,
			Ignored{OutOfRange: tally(1, ComputingComb)}},
		{"score of 10.5", hexInstance(t, "10541804 41280000"+norm7), metric7,
			Ignored{OutOfRange: tally(1, ComputingComb)}},
		{"score below 0", hexInstance(t, "10541804 bf800000"+norm7), metric7,
			Ignored{OutOfRange: tally(1, ComputingComb)}},
		{"not a number", hexInstance(t, norm7+"80140204 7fc00000"), metric7,
			Ignored{OutOfRange: tally(1, 128)}},
		{"infinity", hexInstance(t, norm7+"80140208 fff0000000000000"), metric7,
			Ignored{OutOfRange: tally(1, 128)}},
		{"utilisation wider than its unit", hexInstance(t, "41040204 00010000"+norm7), metric7,
			Ignored{OutOfRange: tally(1, Utilisation)}},
		{"rule 5: the first of a type wins", hexInstance(t, norm7+norm8+norm8), metric7,
			Ignored{Duplicate: tally(2, NormFI)}},
		{"rule 5: also if the first is out of range", hexInstance(t, norm7+"10441801 0b 10441801 03"), metric7,
			Ignored{OutOfRange: tally(1, ComputingComb), Duplicate: tally(1, ComputingComb)}},
		{"reserved bits", hexInstance(t, "0187f801 07"), metric7, Ignored{}},
		{"a wider integer", hexInstance(t, "01841808 0000000000000007"), metric7, Ignored{}},
		{"availability above 100 %", hexInstance(t, norm7) + "0002 05 00 0009 0065", metric7, Ignored{SiteValues: 1}},
		{"resource above 100 %", hexInstance(t, norm7) + "0006 05 80 00000065", metric7, Ignored{SiteValues: 1}},
		{"relative delay above 100", hexInstance(t, norm7) + "0003 05 80 00000065", metric7, Ignored{SiteValues: 1}},
		{"relative delay of 64 bits", hexInstance(t, norm7) + "0003 09 80 0000000000000001", metric7, Ignored{SiteValues: 1}},
		{"preference 0 is none", hexInstance(t, norm7) + "0001 05 00 00000000", metric7, Ignored{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := mustDecode(t, unhex(t, hexProfile+tt.in))
			if len(a.Instances) != 1 || !slices.Equal(a.Instances[0].Metrics, tt.metrics) {
				t.Errorf("instances %+v", a.Instances)
			}
			if a.Ignored != tt.ignored {
				t.Errorf("ignored %+v, want %+v", a.Ignored, tt.ignored)
			}
			if !a.Site.Equal(new(Site)) {
				t.Errorf("site %+v", a.Site)
			}
			if a.Ignored.Any() != (len(a.Describe().Ignored) > 0) {
				t.Errorf("described as %q", a.Describe().Ignored)
			}
		})
	}
}

func TestDecodeSite(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     Site
		ignored  Ignored
	}{
		{"the first preference", "0001 05 00 00000064 0001 05 00 00000065", Site{Preference: 100}, Ignored{DuplicateTLVs: 1}},
		{"reserved octet of the preference", "0001 05 ff 00000064", Site{Preference: 100}, Ignored{}},
		{"availability", "0002 05 7f 0009 0064", Site{Availability: Availability{Set: true, SiteID: 9, Percent: 100}}, Ignored{}},
		{"a binding has no percentage", "0002 05 80 0009 ffff", Site{Availability: Availability{Set: true, Bind: true, SiteID: 9}}, Ignored{}},
		{"relative delay", "0003 05 80 00000064", Site{Delay: DelayPrediction{DelayRelative, 100}}, Ignored{}},
		{"relative delay, L has no meaning", "0003 05 c0 00000064", Site{Delay: DelayPrediction{DelayRelative, 100}}, Ignored{}},
		{"milliseconds", "0003 05 40 00000064", Site{Delay: DelayPrediction{DelayMilliseconds, 100}}, Ignored{}},
		{"NTP short", "0003 05 00 00018000", Site{Delay: DelayPrediction{DelayNTPShort, 3 << 15}}, Ignored{}},
		{"NTP", "0003 09 00 0000000180000000", Site{Delay: DelayPrediction{DelayNTP, 3 << 31}}, Ignored{}},
		{"the first delay", "0003 05 40 00000001 0003 05 40 00000002", Site{Delay: DelayPrediction{DelayMilliseconds, 1}}, Ignored{DuplicateTLVs: 1}},
		{"the first capability of a kind", "0005 05 00 00000001 0005 05 01 00000002 0005 05 f0 00000003",
			Site{Capabilities: []Capability{{0, 1}, {1, 2}}}, Ignored{DuplicateTLVs: 1}},
		{"the first resource of a kind", "0006 05 81 00000001 0006 05 00 00000065 0006 05 01 00000003",
			Site{Resources: []Resource{{1, true, 1}, {0, false, 101}}}, Ignored{DuplicateTLVs: 1}},
		{"AS-Scope of 5 and 6 octets", "0007 05 00 0000fde9 0007 06 00 0000fbf0 00", Site{ASScope: []uint32{65001, 64496}}, Ignored{}},
	} {
		a := mustDecode(t, unhex(t, hexProfile+tt.in))
		if !a.Site.Equal(&tt.want) || a.Ignored != tt.ignored {
			t.Errorf("%s: %+v, ignored %+v", tt.name, a.Site, a.Ignored)
		}
	}
}

// A CS-ID reaches to the next one, whatever stands between.
func TestDecodeServices(t *testing.T) {
	const (
		a     = "ca03 06 01 20 cb00710a "
		b     = "ca03 06 01 1c cb007120 "
		bHost = "ca03 06 01 1c cb00712f " // host bits set: ignored on receipt
		other = "beef 00 "
	)
	for _, tt := range []struct {
		name, in  string
		instances []string
		bare      []string
		services  []string
	}{
		{"none", hexSite + hexSite, []string{"none", "none"}, nil, nil},
		{"first without", hexSite + a + hexSite, []string{"none", "203.0.113.10"}, nil, []string{"203.0.113.10"}},
		{"two", a + hexSite + other + hexSite + b + hexSite, []string{"203.0.113.10", "203.0.113.10", "203.0.113.32/28"}, nil,
			[]string{"203.0.113.10", "203.0.113.32/28"}},
		{"host bits", bHost + hexSite, []string{"203.0.113.32/28"}, nil, []string{"203.0.113.32/28"}},
		{"host bits that would make it IPv4-mapped", "ca03 0e 02 59 00000000000000000000ffff" + hexSite, []string{"::ff80:0:0/89"}, nil, []string{"::ff80:0:0/89"}},
		{"there and back", a + hexSite + b + hexSite + a + hexSite, []string{"203.0.113.10", "203.0.113.32/28", "203.0.113.10"}, nil,
			[]string{"203.0.113.10", "203.0.113.32/28"}},
		{"said again", a + hexSite + a + hexSite, []string{"203.0.113.10", "203.0.113.10"}, nil, []string{"203.0.113.10"}},
		{"bare before", b + a + hexSite, []string{"203.0.113.10"}, []string{"203.0.113.32/28"}, []string{"203.0.113.10", "203.0.113.32/28"}},
		{"bare at the end", a + hexSite + b + other, []string{"203.0.113.10"}, []string{"203.0.113.32/28"}, []string{"203.0.113.10", "203.0.113.32/28"}},
		{"bare only, before the signature", b + hexHMAC, nil, []string{"203.0.113.32/28"}, []string{"203.0.113.32/28"}},
	} {
		got := mustDecode(t, unhex(t, hexProfile+tt.in))
		var instances, bare, services []string
		for _, i := range got.Instances {
			instances = append(instances, i.Service.String())
		}
		for _, c := range got.BareServices {
			bare = append(bare, c.String())
		}
		for _, c := range got.Services() {
			services = append(services, c.String())
		}
		if !slices.Equal(instances, tt.instances) || !slices.Equal(bare, tt.bare) || !slices.Equal(services, tt.services) {
			t.Errorf("%s: instances %v, bare %v, services %v", tt.name, instances, bare, services)
		}
	}
}

// Bits that a later version may use do not become part of the value.
func TestDecodeReservedProfileFlags(t *testing.T) {
	a := mustDecode(t, unhex(t, "ca00 0c 43415453 01 ff 0001 0000fde9"))
	if a.Profile.Flags != CompleteList|AggregatedOnly {
		t.Errorf("flags %#02x", uint8(a.Profile.Flags))
	}
}

func TestDecodeMappedAddresses(t *testing.T) {
	a := mustDecode(t, unhex(t, hexProfile+"ca02 11 02 00000000000000000000ffffc0000215"+
		"ca01 1e 20 10 00000000000000000000ffff0a00020b"+hexTimes))
	if a.Locator != netip.MustParseAddr("192.0.2.21") || a.Instances[0].ID != must(ParseCSCIID("10.0.2.11")) {
		t.Errorf("locator %s, instance %s", a.Locator, a.Instances[0].ID)
	}
}

// Into a used Attribute nothing of the former content shines through, and
// nothing is allocated.
func TestDecodeReuse(t *testing.T) {
	a := new(Attribute)
	all := vectors(t)
	for _, first := range all {
		for _, second := range all {
			if err := DecodeAttribute(first.value, a); err != nil {
				t.Fatal(err)
			}
			if err := DecodeAttribute(second.value, a); err != nil {
				t.Fatal(err)
			}
			fresh := mustDecode(t, second.value)
			if !a.Equal(fresh) || a.Auth != fresh.Auth || a.Ignored != fresh.Ignored {
				t.Errorf("%s after %s: got\n%s", second.name, first.name, a.Describe())
			}
		}
	}
	foreign := unhex(t, "0001 05 00 00000064")
	tolerated := unhex(t, hexProfile+"beef 00"+hexInstance(t, "63841803 010203 10441801 0b 80140204 3f800000 c8000001 01"))
	if n := testing.AllocsPerRun(100, func() {
		for _, v := range all {
			if DecodeAttribute(v.value, a) != nil {
				panic("not decoded")
			}
		}
		if DecodeAttribute(tolerated, a) != nil || DecodeAttribute(foreign, a) != ErrNotCATS {
			panic("not as it should be")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestEncodeIntoRoomDoesNotAllocate(t *testing.T) {
	a := mustDecode(t, vectorNamed(t, "every-kind").value)
	buf := make([]byte, 0, AttributeLen(a))
	if n := testing.AllocsPerRun(100, func() {
		if b, err := AppendAttribute(buf, a); err != nil || &b[0] != &buf[:1][0] {
			panic("not in place")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// The promises about memory in the documentation of Attribute.
func TestAttributeMemory(t *testing.T) {
	in := bytes.Clone(vectorNamed(t, "instance-route").value)
	a := mustDecodeTwice(t, in)
	want := a.Clone()

	t.Log("# the octets may change after decoding")
	clear(in)
	if !a.Equal(want) {
		t.Errorf("changed to\n%s", a.Describe())
	}

	t.Log("# setting a metric of one instance leaves the others alone")
	a.Instances[0].SetSlotsN(1, StatCurrent, SourceNominal) // replaces
	a.Instances[0].SetFreeSlotsN(1, StatCurrent, SourceNominal)
	a.Instances[0].Remove(NormFI)
	if !a.Instances[1].Equal(&want.Instances[1]) {
		t.Errorf("the second became %+v", a.Instances[1])
	}

	t.Log("# a clone outlives the next decoding")
	a = mustDecodeTwice(t, vectorNamed(t, "every-kind").value)
	clone := a.Clone()
	if err := DecodeAttribute(vectorNamed(t, "e-mode").value, a); err != nil {
		t.Fatal(err)
	}
	if want = mustDecode(t, vectorNamed(t, "every-kind").value); !clone.Equal(want) {
		t.Errorf("the clone became\n%s", clone.Describe())
	}
}

// mustDecodeTwice decodes into an Attribute whose memory had to grow before, so
// that all its metrics lie side by side.
func mustDecodeTwice(t *testing.T, value []byte) *Attribute {
	a := mustDecode(t, value)
	if err := DecodeAttribute(value, a); err != nil {
		t.Fatal(err)
	}
	return a
}
