package advert

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	testNow   = time.Unix(1790000000, 0)
	testHMAC  = bytes.Repeat([]byte{0xa5}, 32)
	testSeed  = bytes.Repeat([]byte{0x5a}, 32)
	testRoute = netip.MustParsePrefix("10.0.2.11/32")
)

func TestKeyConstructors(t *testing.T) {
	for _, tt := range []struct {
		name  string
		make  func(uint32, []byte) (*Key, error)
		id    uint32
		n     int
		fails bool
	}{
		{"hmac of 15", NewHMACKey, 1, 15, true},
		{"hmac of 16", NewHMACKey, 1, 16, false},
		{"hmac of 100", NewHMACKey, 1, 100, false},
		{"hmac id 0", NewHMACKey, 0, 32, true},
		{"seed of 31", NewEd25519Key, 1, 31, true},
		{"seed of 32", NewEd25519Key, 1, 32, false},
		{"seed of 64", NewEd25519Key, 1, 64, true},
		{"seed id 0", NewEd25519Key, 0, 32, true},
		{"public of 31", NewEd25519PublicKey, 1, 31, true},
		{"public of 32", NewEd25519PublicKey, 1, 32, false},
		{"public of 33", NewEd25519PublicKey, 1, 33, true},
	} {
		secret := bytes.Repeat([]byte{0xa5}, tt.n)
		k, err := tt.make(tt.id, secret)
		if (err != nil) != tt.fails || (k == nil) != tt.fails {
			t.Errorf("%s: %v, %v", tt.name, k, err)
		}
		if err != nil && strings.Contains(err.Error(), "a5") {
			t.Errorf("%s: the error tells the key: %v", tt.name, err)
		}
	}
}

func TestSignAndVerify(t *testing.T) {
	value := must(AppendAttribute(nil, mustDecode(t, vectorNamed(t, "instance-route").value)))
	for _, k := range []*Key{must(NewHMACKey(7, testHMAC)), must(NewEd25519Key(8, testSeed))} {
		t.Run(k.Algorithm().String(), func(t *testing.T) {
			ring := must(NewKeyring(k))
			for _, p := range []string{"0.0.0.0/0", "203.0.113.0/25", "10.0.2.11/32", "::/0", "2001:db8:2::/47", "2001:db8:2::11/128"} {
				prefix := netip.MustParsePrefix(p)
				signed := must(k.Sign(bytes.Clone(value), prefix))
				if n := len(signed) - len(value); n != k.AuthLen() {
					t.Errorf("%d octets longer, AuthLen %d", n, k.AuthLen())
				}
				if id, err := ring.Verify(signed, prefix, testNow); id != k.ID() || err != nil {
					t.Errorf("%s: key %d, %v", p, id, err)
				}
				a := mustDecode(t, signed)
				if a.Auth != (Auth{true, k.Algorithm(), k.ID()}) {
					t.Errorf("auth %+v", a.Auth)
				}

				// On another route it is worthless, even if that only differs
				// in length or family.
				for _, o := range []string{"0.0.0.0/0", "0.0.0.0/1", "203.0.113.0/24", "203.0.113.0/25", "10.0.2.11/32", "10.0.2.12/32",
					"::/0", "2001:db8:2::/48", "2001:db8:2::/47", "2001:db8:2::11/128"} {
					if _, err := ring.Verify(signed, netip.MustParsePrefix(o), testNow); (err == nil) != (o == p) || err != nil && !errors.Is(err, ErrBadSignature) {
						t.Errorf("signed for %s, on %s: %v", p, o, err)
					}
				}
			}

			t.Log("# host bits of the prefix are not part of it")
			loose := must(k.Sign(bytes.Clone(value), netip.MustParsePrefix("203.0.113.77/25")))
			if _, err := ring.Verify(loose, netip.MustParsePrefix("203.0.113.0/25"), testNow); err != nil {
				t.Error(err)
			}

			t.Log("# no bit of it can be changed")
			signed := must(k.Sign(bytes.Clone(value), testRoute))
			for bit := range 8 * len(signed) {
				signed[bit/8] ^= 1 << (bit % 8)
				if _, err := ring.Verify(signed, testRoute, testNow); err == nil {
					t.Fatalf("bit %d of octet %d", bit%8, bit/8)
				}
				signed[bit/8] ^= 1 << (bit % 8)
			}

			t.Log("# nor any octet left out, or added")
			for n := range signed {
				if _, err := ring.Verify(signed[:n], testRoute, testNow); err == nil {
					t.Fatalf("%d octets", n)
				}
			}
			if _, err := ring.Verify(append(bytes.Clone(signed), 0xbe, 0xef, 0), testRoute, testNow); err == nil {
				t.Fatal("more behind it")
			}
		})
	}
}

// The names of the errors are an interface: they decide what the agent does.
func TestVerifyErrors(t *testing.T) {
	value := unhex(t, hexProfile+hexLocator)
	hm := must(NewHMACKey(7, testHMAC))
	hm.NotBefore, hm.NotAfter = testNow, testNow.Add(time.Hour)
	ed := must(NewEd25519Key(8, testSeed))
	ring := must(NewKeyring(hm, ed))
	signed := must(hm.Sign(bytes.Clone(value), testRoute))
	edSigned := must(ed.Sign(bytes.Clone(value), testRoute))
	otherKey := must(must(NewHMACKey(7, testSeed)).Sign(bytes.Clone(value), testRoute))
	otherID := must(must(NewHMACKey(9, testHMAC)).Sign(bytes.Clone(value), testRoute))
	otherAlgorithm := must(must(NewHMACKey(8, testHMAC)).Sign(bytes.Clone(value), testRoute))
	framing := new(*FramingError)
	for _, tt := range []struct {
		name string
		ring *Keyring
		in   []byte
		now  time.Time
		id   uint32
		want error // nil: good; framing: a *FramingError
	}{
		{"good", ring, signed, testNow, 7, nil},
		{"good, too", ring, edSigned, testNow, 8, nil},
		{"empty", ring, nil, testNow, 0, ErrUnsigned},
		{"not signed", ring, value, testNow, 0, ErrUnsigned},
		{"not signed, no keys", nil, value, testNow, 0, ErrUnsigned},
		{"no keys", nil, signed, testNow, 7, ErrUnknownKey},
		{"no keys in the ring", must(NewKeyring()), signed, testNow, 7, ErrUnknownKey},
		{"no such id", ring, otherID, testNow, 9, ErrUnknownKey},
		{"id of another algorithm", ring, otherAlgorithm, testNow, 8, ErrUnknownKey},
		{"unknown algorithm", ring, unhex(t, hexProfile+"ca0f 06 03 00000007 00"), testNow, 7, ErrUnknownKey},
		{"before its time", ring, signed, testNow.Add(-1), 7, ErrKeyExpired},
		{"last instant", ring, signed, testNow.Add(time.Hour - 1), 7, nil},
		{"after its time", ring, signed, testNow.Add(time.Hour), 7, ErrKeyExpired},
		{"other secret", ring, otherKey, testNow, 7, ErrBadSignature},
		{"malformed", ring, value[:len(value)-1], testNow, 0, framing0},
		{"signature too short", ring, unhex(t, hexProfile+"ca0f 06 01 00000007 00"), testNow, 0, framing0},
		{"not last", ring, append(bytes.Clone(signed), 0xbe, 0xef, 0), testNow, 0, framing0},
		{"not last, unknown algorithm", ring, unhex(t, hexProfile+"ca0f 06 03 00000007 00 beef 00"), testNow, 0, framing0},
	} {
		id, err := tt.ring.Verify(tt.in, testRoute, tt.now)
		if id != tt.id {
			t.Errorf("%s: key %d, want %d", tt.name, id, tt.id)
		}
		if tt.want == framing0 {
			if !errors.As(err, framing) {
				t.Errorf("%s: %v", tt.name, err)
			}
		} else if !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	if _, err := ring.Verify(signed, netip.Prefix{}, testNow); !errors.Is(err, ErrNotEncodable) {
		t.Errorf("no prefix: %v", err)
	}
}

// framing0 stands for any *FramingError in tables.
var framing0 error = &FramingError{}

func TestSignRefuses(t *testing.T) {
	k := must(NewHMACKey(7, testHMAC))
	value := unhex(t, hexProfile)
	signed := must(k.Sign(bytes.Clone(value), testRoute))
	public := must(NewEd25519PublicKey(8, testSeed))
	full := bytes.Clone(value)
	for len(full)+k.AuthLen() <= MaxAttributeLen {
		full = append(full, unhex(t, hexSite)...)
	}
	for _, tt := range []struct {
		name   string
		key    *Key
		value  []byte
		prefix netip.Prefix
		want   error
	}{
		{"public key", public, value, testRoute, ErrVerifyOnly},
		{"empty key", new(Key), value, testRoute, ErrVerifyOnly},
		{"not ours", k, unhex(t, "0001 05 00 00000064"), testRoute, ErrNotCATS},
		{"malformed", k, value[:10], testRoute, nil},
		{"signed already", k, signed, testRoute, ErrNotEncodable},
		{"too long", k, full, testRoute, ErrTooLong},
		{"no prefix", k, value, netip.Prefix{}, ErrNotEncodable},
		{"IPv4-mapped prefix", k, value, netip.MustParsePrefix("::ffff:10.0.2.11/128"), ErrNotEncodable},
	} {
		got, err := tt.key.Sign(tt.value, tt.prefix)
		if err == nil || tt.want != nil && !errors.Is(err, tt.want) || !bytes.Equal(got, tt.value) {
			t.Errorf("%s: %v, %x", tt.name, err, got)
		}
	}
}

// During a rotation values under the old and the new key are both good.
func TestKeyRotation(t *testing.T) {
	change := testNow.Add(24 * time.Hour)
	old := must(NewEd25519Key(1, testSeed))
	old.NotAfter = change.Add(time.Hour)
	next := must(NewEd25519Key(2, testHMAC))
	next.NotBefore = change
	ring := must(NewKeyring(old, next))
	value := unhex(t, hexProfile)
	byOld := must(old.Sign(bytes.Clone(value), testRoute))
	byNext := must(next.Sign(bytes.Clone(value), testRoute))
	for _, tt := range []struct {
		at               time.Time
		oldGood, newGood bool
	}{
		{testNow, true, false},
		{change, true, true},
		{change.Add(time.Hour), false, true},
	} {
		_, oldErr := ring.Verify(byOld, testRoute, tt.at)
		_, newErr := ring.Verify(byNext, testRoute, tt.at)
		if (oldErr == nil) != tt.oldGood || (newErr == nil) != tt.newGood {
			t.Errorf("%s: old %v, new %v", tt.at, oldErr, newErr)
		}
	}
	if got := ring.IDs(); !slices.Equal(got, []uint32{1, 2}) {
		t.Errorf("IDs %v", got)
	}
	if k, ok := ring.Key(2); !ok || k.ID() != 2 || !k.NotBefore.Equal(change) {
		t.Errorf("Key(2) = %v, %v", k, ok)
	}
	if _, ok := ring.Key(3); ok {
		t.Error("has key 3")
	}
}

func TestKeyring(t *testing.T) {
	k := must(NewHMACKey(7, testHMAC))
	never := must(NewHMACKey(8, testHMAC))
	never.NotBefore, never.NotAfter = testNow, testNow
	for name, keys := range map[string][]*Key{
		"two with one id": {k, must(NewEd25519Key(7, testSeed))},
		"nil":             {nil},
		"empty":           {new(Key)},
		"never valid":     {never},
	} {
		if _, err := NewKeyring(keys...); err == nil {
			t.Errorf("%s: no error", name)
		}
	}

	t.Log("# changing a key afterwards does not change the ring")
	ring := must(NewKeyring(k))
	signed := must(k.Sign(unhex(t, hexProfile), testRoute))
	k.NotAfter = testNow
	got, _ := ring.Key(7)
	got.NotAfter = testNow
	if _, err := ring.Verify(signed, testRoute, testNow); err != nil {
		t.Error(err)
	}
}

// However a key is printed, it does not say what is secret.
func TestKeysAreNotPrinted(t *testing.T) {
	type inside struct {
		k    Key
		p    *Key
		ring *Keyring
		any  any
	}
	for _, secret := range []string{"sixteen octets!!", "thirty-two octets of an Ed25519!"} {
		k, err := NewEd25519Key(7, []byte(secret))
		if err != nil {
			k = must(NewHMACKey(7, []byte(secret)))
		}
		ring := must(NewKeyring(k))
		var printed []string
		for _, v := range []any{k, *k, ring, *ring, inside{*k, k, ring, *k}, &inside{*k, k, ring, k}, []Key{*k}, map[string]*Key{"k": k}} {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
				printed = append(printed, fmt.Sprintf(verb, v))
			}
		}
		printed = append(printed, string(must(json.Marshal(k))), string(must(json.Marshal([]any{*k, ring}))))
		part := []byte(secret[:8])
		secrets := []string{string(part), hex.EncodeToString(part), strings.ToUpper(hex.EncodeToString(part)),
			strings.Trim(fmt.Sprint(part), "[]"), strings.Trim(fmt.Sprintf("%#v", part), "[]byte{}")}
		for _, s := range printed {
			for _, form := range secrets {
				if strings.Contains(s, form) {
					t.Errorf("%q", s)
				}
			}
		}
		if s := k.String(); !strings.Contains(s, "7") || !strings.Contains(s, k.Algorithm().String()) {
			t.Errorf("String() = %q says too little", s)
		}
	}
}
