package advert

import (
	"errors"
	"math"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestAppendCommunitiesRefuses(t *testing.T) {
	six := must(ParseCSID("2001:db8:10::/48"))
	for _, tt := range []struct {
		name string
		asn  uint32
		in   Instance
		want error
	}{
		{"AS 0", 0, Instance{}, ErrNotEncodable},
		{"AS 65535", math.MaxUint16, Instance{}, ErrNotEncodable},
		{"AS 4294967295", math.MaxUint32, Instance{}, ErrNotEncodable},
		{"reserved flag", 65001, Instance{Flags: 16}, ErrNotEncodable},
		{"IPv6 service without index", 65001, Instance{Service: six}, ErrNoIndex},
	} {
		dst := []LargeCommunity{{1, 2, 3}}
		got, err := AppendCommunities(dst, tt.asn, &tt.in, CommunityIndex{})
		if !errors.Is(err, tt.want) || !slices.Equal(got, dst) {
			t.Errorf("%s: %v, %v", tt.name, got, err)
		}
	}
}

// Values as they are rounded, saturated and left out.
func TestCommunityValues(t *testing.T) {
	for _, tt := range []struct {
		name string
		set  func(*Instance)
		want string
	}{
		{"nothing known", func(*Instance) {}, "none 10.0.2.11 0 - -"},
		{"idle", func(i *Instance) { i.SetUtilisation(0, 0, 0) }, "none 10.0.2.11 0 - 0"},
		{"rounded down", func(i *Instance) { i.SetUtilisation(0.4149, 0, 0) }, "none 10.0.2.11 0 - 41"},
		{"rounded up", func(i *Instance) { i.SetUtilisation(0.4150, 0, 0) }, "none 10.0.2.11 0 - 42"},
		{"254 %", func(i *Instance) { i.SetUtilisation(2.54, 0, 0) }, "none 10.0.2.11 0 - 254"},
		{"255 % is not unknown", func(i *Instance) { i.SetUtilisation(2.55, 0, 0) }, "none 10.0.2.11 0 - 254"},
		{"600 %", func(i *Instance) { i.SetUtilisation(6, 0, 0) }, "none 10.0.2.11 0 - 254"},
		{"score 0", func(i *Instance) { i.SetScore(NormFI, 0, 0, 0) }, "none 10.0.2.11 0 0 -"},
		{"score 10, all flags", func(i *Instance) { i.SetScore(NormFI, 10, 0, 0); i.Flags = 15 }, "none 10.0.2.11 15 10 -"},
		{"a score as float", func(i *Instance) {
			i.Set(Metric{Type: NormFI, Float: true, Value: math.Float64bits(6.6)})
		}, "none 10.0.2.11 0 7 -"},
	} {
		i := Instance{ID: must(ParseCSCIID("10.0.2.11"))}
		tt.set(&i)
		found, _ := DecodeCommunities(must(AppendCommunities(nil, 65001, &i, CommunityIndex{})), 65001, testRoute, nil)
		if len(found) != 1 || communityLine(&found[0]) != tt.want {
			t.Errorf("%s: %+v, want %s", tt.name, found, tt.want)
		}
	}
}

func TestDecodeCommunities(t *testing.T) {
	const (
		ca      = 0xca<<24 | 1<<20 | 7<<8 | 42 // IPv4, score 7, load 42
		id      = 10<<24 | 2<<8 | 11           // 10.0.2.11
		cb      = 0xcb<<24 | 7<<16 | 42<<8 | 32
		cc      = 0xcc<<24 | 7<<16 | 42<<8
		service = 203<<24 | 113<<8 | 10
		asn     = 65001
	)
	six := netip.MustParsePrefix("2001:db8:2::11/128")
	for _, tt := range []struct {
		name     string
		in       []LargeCommunity
		route    netip.Prefix
		want     []string
		unusable int
	}{
		{"nothing", nil, testRoute, nil, 0},
		{"foreign", []LargeCommunity{{asn, 1, 2}, {asn, 0xc9 << 24, id}, {asn, 0xcd << 24, id}, {64496, ca, id}}, testRoute, nil, 0},
		{"site", []LargeCommunity{{asn, 0xca<<24 | 8<<16 | 7<<8 | 42, 0}}, testRoute, []string{"none site 8 7 42"}, 0},
		{"number", []LargeCommunity{{asn, 0xca<<24 | 3<<20 | 7<<8 | 42, 17}}, testRoute, []string{"none #17 0 7 42"}, 0},
		{"IPv6 on its host route", []LargeCommunity{{asn, 0xca<<24 | 2<<20 | 7<<8 | 42, 17}}, six, []string{"none 2001:db8:2::11 0 7 42"}, 0},
		{"IPv6 elsewhere", []LargeCommunity{{asn, 0xca<<24 | 2<<20 | 7<<8 | 42, 17}}, testRoute, []string{"none #17 0 7 42"}, 0},
		{"IPv6 elsewhere without index", []LargeCommunity{{asn, 0xca<<24 | 2<<20 | 7<<8 | 42, 0}}, testRoute, nil, 1},
		{"kind 4", []LargeCommunity{{asn, 0xca<<24 | 4<<20 | 7<<8 | 42, 17}}, testRoute, nil, 1},
		{"score of 11", []LargeCommunity{{asn, 0xca<<24 | 1<<20 | 11<<8 | 42, id}}, testRoute, []string{"none 10.0.2.11 0 - 42"}, 0},
		{"a service", []LargeCommunity{{asn, ca, id}, {asn, cb, service}}, testRoute, []string{"203.0.113.10 10.0.2.11 0 7 42"}, 0},
		{"the service first", []LargeCommunity{{asn, cb, service}, {asn, ca, id}}, testRoute, []string{"203.0.113.10 10.0.2.11 0 7 42"}, 0},
		{"twice", []LargeCommunity{{asn, cb, service}, {asn, ca, id}, {asn, ca, id}, {asn, cb, service}}, testRoute, []string{"203.0.113.10 10.0.2.11 0 7 42"}, 0},
		{"a service without instance", []LargeCommunity{{asn, cb, service}}, testRoute, nil, 1},
		{"a service of another instance", []LargeCommunity{{asn, ca + 1, id}, {asn, cb, service}}, testRoute, nil, 1},
		{"a service of which of two?", []LargeCommunity{{asn, ca, id}, {asn, ca, id + 1}, {asn, cb, service}}, testRoute, nil, 1},
		{"33 bits", []LargeCommunity{{asn, ca, id}, {asn, cb + 1, service}}, testRoute, nil, 1},
		{"an index", []LargeCommunity{{asn, ca, id}, {asn, cc, 5}}, testRoute, []string{"2001:db8:10::/48 10.0.2.11 0 7 42"}, 0},
		{"an unknown index", []LargeCommunity{{asn, ca, id}, {asn, cc, 6}}, testRoute, nil, 1},
		{"index 0", []LargeCommunity{{asn, ca, id}, {asn, cc, 0}}, testRoute, nil, 1},
	} {
		found, unusable := DecodeCommunities(tt.in, asn, tt.route, testService)
		var got []string
		for k := range found {
			got = append(got, communityLine(&found[k]))
		}
		if !slices.Equal(got, tt.want) || unusable != tt.unusable {
			t.Errorf("%s: %q, %d unusable; want %q, %d", tt.name, got, unusable, tt.want, tt.unusable)
		}
	}
	if found, unusable := DecodeCommunities([]LargeCommunity{{asn, ca, id}, {asn, cc, 5}}, asn, testRoute, nil); len(found) != 0 || unusable != 1 {
		t.Errorf("without indices: %v, %d", found, unusable)
	}
}

// What an instance route says comes back, in whatever order routers put the
// communities, however often they repeat them, and whatever others add.
func TestCommunitiesAreASet(t *testing.T) {
	services := []CSID{must(ParseCSID("203.0.113.10")), must(ParseCSID("203.0.113.32/28")), must(ParseCSID("203.0.113.0/24")), testServices[5]}
	rapid.Check(t, func(t *rapid.T) {
		var want []Instance
		var cs []LargeCommunity
		for _, c := range services[:rapid.IntRange(0, len(services)).Draw(t, "services")] {
			i := Instance{Service: c, ID: InstanceAddr(testRoute.Addr()), Flags: InstanceFlags(rapid.IntRange(0, 15).Draw(t, "flags"))}
			if rapid.Bool().Draw(t, "has score") {
				i.SetUint(NormFI, L2, 0, 0, rapid.Uint64Range(0, 10).Draw(t, "score"))
			}
			if rapid.Bool().Draw(t, "has load") {
				i.SetUint(Utilisation, L0, 0, 0, 100*rapid.Uint64Range(0, 254).Draw(t, "load"))
			}
			want = append(want, i)
			cs = must(AppendCommunities(cs, 65001, &i, CommunityIndex{Service: 5}))
		}
		for range rapid.IntRange(0, 3).Draw(t, "repetitions") {
			if len(cs) > 0 {
				cs = append(cs, rapid.SampledFrom(cs).Draw(t, "repeated"))
			}
		}
		cs = append(cs, LargeCommunity{65001, 1, 2}, LargeCommunity{64496, 0xca << 24, 0})
		found, unusable := DecodeCommunities(rapid.Permutation(cs).Draw(t, "order"), 65001, testRoute, testService)
		slices.SortFunc(want, func(x, y Instance) int { return x.Service.Compare(y.Service) })
		if unusable != 0 || !slices.EqualFunc(found, want, func(x, y Instance) bool { return x.Equal(&y) }) {
			t.Errorf("got %+v, %d unusable, want %+v", found, unusable, want)
		}
	})
}

func TestLargeCommunityString(t *testing.T) {
	if s := (LargeCommunity{65001, 4294967295, 0}).String(); s != "65001:4294967295:0" {
		t.Error(s)
	}
}

// The index of a service is part of the wire: every agent computes the same.
func TestServiceIndex(t *testing.T) {
	for in, want := range map[string]uint32{
		"2001:db8:10::/48": 2860801189,
		"2001:db8:10::/47": 3146020712,
		"2001:db8:10::":    444824053,
	} {
		if got := must(ParseCSID(in)).Index(); got != want {
			t.Errorf("%s: %d, want %d", in, got, want)
		}
	}
	if (CSID{}).Index() == 0 {
		t.Error("an index of 0 means none")
	}
}
