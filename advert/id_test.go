package advert

import (
	"net/netip"
	"slices"
	"testing"
)

func TestParseCSID(t *testing.T) {
	for _, tt := range []struct{ in, want string }{ // want "": an error
		{"203.0.113.10", "203.0.113.10"},
		{"203.0.113.10/32", "203.0.113.10"},
		{"203.0.113.0/28", "203.0.113.0/28"},
		{"0.0.0.0/0", "0.0.0.0/0"},
		{"2001:db8::1", "2001:db8::1"},
		{"2001:DB8:0::/48", "2001:db8::/48"},
		{"203.0.113.1/28", ""},
		{"2001:db8::1/64", ""},
		{"203.0.113.0/33", ""},
		{"203.0.113.0/-1", ""},
		{"203.0.113", ""},
		{"::ffff:203.0.113.10", ""},
		{"::ffff:203.0.113.10/128", ""},
		{"fe80::1%eth0", ""},
		{"fe80::1%eth0/128", ""},
		{"video", ""},
		{"none", ""},
		{"", ""},
	} {
		c, err := ParseCSID(tt.in)
		if (err != nil) != (tt.want == "") || c.IsValid() != (err == nil) || err == nil && c.String() != tt.want {
			t.Errorf("%q: %s, %v", tt.in, c, err)
		}
		var u CSID
		if uerr := u.UnmarshalText([]byte(tt.in)); (uerr == nil) != (err == nil) || u != c {
			t.Errorf("%q: UnmarshalText gives %s, %v", tt.in, u, uerr)
		}
		if text, _ := c.MarshalText(); err == nil && must(ParseCSID(string(text))) != c {
			t.Errorf("%q: written as %q", tt.in, text)
		}
	}
	if c := ServicePrefix(netip.MustParsePrefix("203.0.113.77/28")); c.String() != "203.0.113.64/28" {
		t.Errorf("ServicePrefix keeps host bits: %s", c)
	}
	for _, p := range []netip.Prefix{{}, netip.MustParsePrefix("::ffff:203.0.113.10/128")} {
		if c := ServicePrefix(p); c != (CSID{}) || c.String() != "none" {
			t.Errorf("ServicePrefix(%s) = %s", p, c)
		}
	}
}

func TestParseCSCIID(t *testing.T) {
	for _, tt := range []struct {
		in, want string // want "": an error
		kind     IDKind
	}{
		{"10.0.2.11", "10.0.2.11", IDIPv4},
		{"::ffff:10.0.2.11", "10.0.2.11", IDIPv4},
		{"2001:DB8::11", "2001:db8::11", IDIPv6},
		{"#17", "#17", IDNumber},
		{"#0", "#0", IDNumber},
		{"#4294967295", "#4294967295", IDNumber},
		{"site", "site", IDSite},
		{"#4294967296", "", 0},
		{"#-1", "", 0},
		{"#", "", 0},
		{"17", "", 0},
		{"fe80::1%eth0", "", 0},
		{"10.0.2.11/32", "", 0},
		{"", "", 0},
	} {
		c, err := ParseCSCIID(tt.in)
		if (err != nil) != (tt.want == "") || err == nil && (c.String() != tt.want || c.Kind() != tt.kind) {
			t.Errorf("%q: %s, %v", tt.in, c, err)
		}
		if text, _ := c.MarshalText(); err == nil {
			var u CSCIID
			if uerr := u.UnmarshalText(text); uerr != nil || u != c {
				t.Errorf("%q: written as %q, read as %s, %v", tt.in, text, u, uerr)
			}
		}
		if c.Addr().IsValid() != (c.Kind() == IDIPv4 || c.Kind() == IDIPv6) {
			t.Errorf("%q: address %s", tt.in, c.Addr())
		}
	}
	if n := must(ParseCSCIID("#17")).Number(); n != 17 {
		t.Errorf("number %d", n)
	}
	if c := InstanceAddr(netip.Addr{}); c != (CSCIID{}) {
		t.Errorf("no address gives %s", c)
	}
}

func TestIDOrder(t *testing.T) {
	ids := []string{"site", "10.0.2.11", "10.0.2.12", "2001:db8::1", "#1", "#2"}
	got := slices.Clone(ids)
	slices.Reverse(got)
	slices.SortFunc(got, func(x, y string) int { return must(ParseCSCIID(x)).Compare(must(ParseCSCIID(y))) })
	if !slices.Equal(got, ids) {
		t.Errorf("CSCI-IDs sort as %v", got)
	}

	services := []string{"0.0.0.0/0", "203.0.113.0/24", "203.0.113.0/28", "203.0.113.10", "2001:db8::/48"}
	got = slices.Clone(services)
	slices.Reverse(got)
	slices.SortFunc(got, func(x, y string) int { return must(ParseCSID(x)).Compare(must(ParseCSID(y))) })
	if !slices.Equal(got, services) {
		t.Errorf("CS-IDs sort as %v", got)
	}

	a := InstanceKey{must(ParseCSCIID("10.0.2.12")), netip.MustParseAddr("192.0.2.21")}
	b := InstanceKey{must(ParseCSCIID("10.0.2.11")), netip.MustParseAddr("192.0.2.22")}
	if a.Compare(b) >= 0 || a.Compare(a) != 0 || b.Compare(a) <= 0 || a.String() != "10.0.2.12@192.0.2.21" {
		t.Errorf("%s and %s", a, b)
	}
}

// RFC 1982 section 3.2 for 32 bits.
func TestSequenceOrder(t *testing.T) {
	const half = 1 << 31
	for _, tt := range []struct {
		s, o  Sequence
		newer bool
	}{
		{1, 0, true},
		{0, 1, false},
		{7, 7, false},
		{half - 1, 0, true},
		{half, 0, false}, // undefined by the RFC: neither is newer
		{0, half, false},
		{half + 1, 0, false},
		{0, half + 1, true},
		{0, 1<<32 - 1, true},
		{1<<32 - 1, 0, false},
		{100, 1<<32 - 100, true},
		{half + 42, 43, true},
	} {
		if got := tt.s.Newer(tt.o); got != tt.newer {
			t.Errorf("%d newer than %d: %v", tt.s, tt.o, got)
		}
	}
}
