package advert

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"testing"
)

func addSeeds(f *testing.F, add func([]byte)) {
	for _, v := range vectors(f) {
		add(v.value)
	}
	for _, s := range []string{
		"",
		hexProfile,
		hexProfile + "beef 00" + hexSite + hexService4 + hexService4 + hexSite + hexHMAC,
		hexProfile + hexInstance(f, "63841803 010203 01841801 07 01841801 08 10441801 0b 80140208 7ff8000000000000 c8000001 01"),
		hexProfile + "0002 05 80 0009 ffff 0003 09 00 0000000180000000 0003 05 80 00000065 0007 06 00 0000fbf0 00",
		hexProfile + hexLocator + hexLocator,
	} {
		add(unhex(f, s))
	}
}

// Whatever the octets: no panic, nothing read beyond them, a used Attribute
// gives what a fresh one does, and what decodes can be said again.
func FuzzDecodeAttribute(f *testing.F) {
	addSeeds(f, func(b []byte) { f.Add(b) })
	reused := new(Attribute)
	f.Fuzz(func(t *testing.T, b []byte) {
		// Of b's own length, so that reading on would panic.
		b = slices.Clip(bytes.Clone(b))
		a := new(Attribute)
		err := DecodeAttribute(b, a)
		if again := DecodeAttribute(b, reused); (again == nil) != (err == nil) || !reused.Equal(a) || reused.Ignored != a.Ignored || reused.Auth != a.Auth {
			t.Fatalf("reused: %v\n%s", again, reused.Describe())
		}
		if err != nil {
			if framing := new(*FramingError); !errors.Is(err, ErrNotCATS) && !errors.As(err, framing) {
				t.Fatalf("error of another kind: %v", err)
			}
			return
		}
		d := a.Describe()
		if d.String() == "" {
			t.Fatal("no description")
		}
		if _, err := json.Marshal(d); err != nil {
			t.Fatal(err)
		}
		canonical, err := AppendAttribute(nil, a)
		if errors.Is(err, ErrTooLong) {
			return // as DecodeAttribute warns
		}
		if err != nil {
			t.Fatalf("decoded, but not encodable: %v\n%s", err, d)
		}
		if n := AttributeLen(a); n != len(canonical) {
			t.Fatalf("AttributeLen %d, appended %d", n, len(canonical))
		}
		back := mustDecode(t, canonical)
		if !back.Equal(a) || back.Ignored.Any() {
			t.Fatalf("came back as\n%s\nwas\n%s", back.Describe(), d)
		}
		if again := must(AppendAttribute(nil, back)); !bytes.Equal(again, canonical) {
			t.Fatalf("canonical form is not stable:\n%x\n%x", canonical, again)
		}
	})
}

// Whatever the communities: no panic, the order of the input does not matter,
// and what is found can be said again.
func FuzzCommunities(f *testing.F) {
	add := func(cs []LargeCommunity, route netip.Prefix) {
		var b []byte
		for _, c := range cs {
			b = binary.BigEndian.AppendUint32(b, c.Local1)
			b = binary.BigEndian.AppendUint32(b, c.Local2)
		}
		f.Add(b, route.Addr().Is6())
	}
	for _, block := range communityVectors(f) {
		add(block.communities, block.route)
	}
	add([]LargeCommunity{{0, 0xca<<24 | 4<<20, 1}, {0, 0xcb<<24 | 33, 1}, {0, 0xcc << 24, 0}}, testRoute)
	f.Fuzz(func(t *testing.T, b []byte, six bool) {
		var cs []LargeCommunity
		for ; len(b) >= 8; b = b[8:] {
			cs = append(cs, LargeCommunity{65001, binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])})
		}
		route := testRoute
		if six {
			route = netip.MustParsePrefix("2001:db8:2::11/128")
		}
		found, unusable := DecodeCommunities(cs, 65001, route, testService)
		slices.Reverse(cs)
		equal := func(x, y Instance) bool { return x.Equal(&y) }
		if again, n := DecodeCommunities(cs, 65001, route, testService); n != unusable || !slices.EqualFunc(again, found, equal) {
			t.Fatalf("backwards: %+v, %d; forwards: %+v, %d", again, n, found, unusable)
		}
		var again []LargeCommunity
		for k := range found {
			if found[k].Service.Prefix().Addr().Is6() && found[k].Service != testServices[5] {
				t.Fatalf("service %s from nowhere", found[k].Service)
			}
			again = must(AppendCommunities(again, 65001, &found[k], CommunityIndex{Service: 5}))
		}
		back, n := DecodeCommunities(again, 65001, route, testService)
		if n != 0 || !slices.EqualFunc(back, found, equal) {
			t.Fatalf("came back as %+v, %d unusable; was %+v", back, n, found)
		}
	})
}

// Whatever the octets: no panic, and only what was signed is good. The
// fuzzer does not know the secret, so nothing else may pass.
func FuzzVerify(f *testing.F) {
	hm, ed := must(NewHMACKey(7, testHMAC)), must(NewEd25519Key(8, testSeed))
	ring := must(NewKeyring(hm, ed))
	addSeeds(f, func(b []byte) { f.Add(b, byte(32)) })
	value := unhex(f, hexProfile+hexLocator+hexSite)
	f.Add(must(hm.Sign(bytes.Clone(value), testRoute)), byte(32))
	f.Add(must(ed.Sign(bytes.Clone(value), testRoute)), byte(24))
	f.Fuzz(func(t *testing.T, b []byte, bits byte) {
		prefix := netip.PrefixFrom(testRoute.Addr(), int(bits%33))
		b = slices.Clip(bytes.Clone(b))
		id, err := ring.Verify(b, prefix, testNow)
		a := new(Attribute)
		if decodeErr := DecodeAttribute(b, a); decodeErr == nil && id != a.Auth.KeyID {
			t.Fatalf("key %d, decoded %+v", id, a.Auth)
		}
		if err != nil {
			return
		}
		key, _ := ring.Key(id)
		unsigned := b[:len(b)-key.AuthLen()]
		if again, err := key.Sign(bytes.Clone(unsigned), prefix); err == nil && !bytes.Equal(again, b) {
			t.Fatalf("good for %s, but signing gives\n%x, not\n%x", prefix, again, b)
		}
	})
}
