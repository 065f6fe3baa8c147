package advert

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"
)

// What Verify says of an attribute that is well formed but not to be believed.
var (
	ErrUnsigned     = errors.New("advert: not signed")
	ErrUnknownKey   = errors.New("advert: no such key")
	ErrKeyExpired   = errors.New("advert: key is not valid at this time")
	ErrBadSignature = errors.New("advert: bad signature")
)

// ErrVerifyOnly says that a key has no secret to sign with.
var ErrVerifyOnly = errors.New("advert: key can only verify")

// A Key signs attributes, verifies them, or both. Make one with NewHMACKey,
// NewEd25519Key or NewEd25519PublicKey and set the times if it has any. A Key
// never prints what is secret.
type Key struct {
	NotBefore time.Time // zero: ever since
	NotAfter  time.Time // the first instant when it is not valid any more; zero: for ever

	id        uint32
	algorithm Algorithm

	// The secrets are closed over, not fields: fmt, when it prints a struct that
	// has a Key in an unexported field, does not ask Format but goes for the
	// fields. Of a func it prints the address.
	sign   func(context, octets []byte) []byte // nil: verify only
	verify func(context, octets, signature []byte) bool
}

// MinHMACKeyLen is the fewest octets of an HMAC key: no shorter than the
// signature it makes.
const MinHMACKeyLen = 16

// NewHMACKey returns a key for HMACSHA256 of at least MinHMACKeyLen octets.
// Whoever can verify with it can also sign.
func NewHMACKey(id uint32, secret []byte) (*Key, error) {
	if len(secret) < MinHMACKeyLen {
		return nil, fmt.Errorf("advert: key %d: %d octets, an HMAC key needs %d", id, len(secret), MinHMACKeyLen)
	}
	secret = slices.Clone(secret)
	mac := func(context, octets []byte) []byte {
		h := hmac.New(sha256.New, secret)
		h.Write(context)
		h.Write(octets)
		return h.Sum(nil)[:HMACSHA256.signatureLen()]
	}
	return newKey(Key{id: id, algorithm: HMACSHA256, sign: mac, verify: func(context, octets, signature []byte) bool {
		return hmac.Equal(signature, mac(context, octets))
	}})
}

// NewEd25519Key returns the key of a 32-octet seed (RFC 8032 section 5.1.5),
// which signs and verifies.
func NewEd25519Key(id uint32, seed []byte) (*Key, error) {
	if len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("advert: key %d: %d octets, an Ed25519 seed has %d", id, len(seed), ed25519.SeedSize)
	}
	private := ed25519.NewKeyFromSeed(seed)
	k, err := NewEd25519PublicKey(id, private[ed25519.SeedSize:])
	if err != nil {
		return nil, err
	}
	k.sign = func(context, octets []byte) []byte {
		return ed25519.Sign(private, append(context, octets...))
	}
	return k, nil
}

// NewEd25519PublicKey returns a key that can only verify.
func NewEd25519PublicKey(id uint32, public []byte) (*Key, error) {
	if len(public) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("advert: key %d: %d octets, an Ed25519 public key has %d", id, len(public), ed25519.PublicKeySize)
	}
	public = slices.Clone(public)
	return newKey(Key{id: id, algorithm: Ed25519, verify: func(context, octets, signature []byte) bool {
		return ed25519.Verify(public, append(context, octets...), signature)
	}})
}

func newKey(k Key) (*Key, error) {
	if k.id == 0 {
		return nil, fmt.Errorf("advert: %s key: id 0 means no key", k.algorithm)
	}
	return &k, nil
}

// ID returns the key id, never 0.
func (k Key) ID() uint32 { return k.id }

// Algorithm returns what the key is for.
func (k Key) Algorithm() Algorithm { return k.algorithm }

// CanSign reports whether the key has a secret.
func (k Key) CanSign() bool { return k.sign != nil }

// ValidAt reports whether now is between NotBefore and NotAfter.
func (k Key) ValidAt(now time.Time) bool {
	return !now.Before(k.NotBefore) && (k.NotAfter.IsZero() || now.Before(k.NotAfter))
}

// AuthLen returns the octets of the Auth TLV that the key makes.
func (k Key) AuthLen() int { return tlvHead + authHead + k.algorithm.signatureLen() }

// String returns id and algorithm.
func (k Key) String() string { return fmt.Sprintf("key %d (%s)", k.id, k.algorithm) }

// GoString implements fmt.GoStringer; it says no more than String.
func (k Key) GoString() string { return "advert.Key{" + k.String() + "}" }

// Format implements fmt.Formatter, so that no verb shows more than String.
func (k Key) Format(f fmt.State, verb rune) {
	if verb == 'v' && f.Flag('#') {
		fmt.Fprint(f, k.GoString())
		return
	}
	fmt.Fprint(f, k.String())
}

// MarshalText implements encoding.TextMarshaler as String. There is no way back.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// Sign appends an Auth TLV to an attribute value, which is bound to the prefix
// of the route it travels on: copied to another route it is worthless. The
// value must be well formed and not signed yet.
func (k *Key) Sign(value []byte, prefix netip.Prefix) ([]byte, error) {
	if !k.CanSign() {
		return value, fmt.Errorf("advert: sign with %s: %w", k, ErrVerifyOnly)
	}
	if err := new(Attribute).decodeProfile(value); err != nil {
		return value, fmt.Errorf("advert: sign with %s: %w", k, err)
	}
	auth, err := findAuth(value)
	if err != nil {
		return value, fmt.Errorf("advert: sign with %s: %w", k, err)
	}
	if auth >= 0 {
		return value, fmt.Errorf("advert: sign with %s: %w", k, notEncodable("signed already"))
	}
	if n := len(value) + k.AuthLen(); n > MaxAttributeLen {
		return value, fmt.Errorf("advert: sign with %s: %w: attribute of %d octets, limit %d", k, ErrTooLong, n, MaxAttributeLen)
	}
	signed := appendHead(value, TypeAuth, k.AuthLen()-tlvHead)
	signed = append(signed, byte(k.algorithm))
	signed = binary.BigEndian.AppendUint32(signed, k.id)
	context, err := signatureContext(prefix, len(signed))
	if err != nil {
		return value, fmt.Errorf("advert: sign with %s: %w", k, err)
	}
	return append(signed, k.sign(context, signed)...), nil
}

// signatureContext returns what is signed before the octets of the attribute
// value: "CATSBGP1" | AFI | SAFI 1 | prefix length | prefix octets. After it
// follow all octets of the value up to the signature itself, the head,
// algorithm and key id of the Auth TLV included, so that none of those can be
// exchanged.
//
// The result has room for so many octets more.
func signatureContext(p netip.Prefix, room int) ([]byte, error) {
	if !p.IsValid() || p.Addr().Is4In6() {
		return nil, notEncodable("signature for prefix %s", p)
	}
	p = p.Masked()
	const contextLen = 8 + 2 + 1 + 1 + 16
	b := append(make([]byte, 0, contextLen+room), "CATSBGP1"...)
	afi := byte(afIPv4)
	if p.Addr().Is6() {
		afi = afIPv6
	}
	const unicast = 1
	b = append(b, 0, afi, unicast, byte(p.Bits()))
	full := len(b) + (p.Bits()+7)/8
	return appendAddr(b, p.Addr())[:full], nil
}

// findAuth returns the offset of the Auth TLV, -1 if there is none.
func findAuth(value []byte) (int, error) {
	for off := 0; off < len(value); {
		t, v, err := tlvAt(value, off)
		if err != nil {
			return 0, err
		}
		end := off + tlvHead + len(v)
		if t == TypeAuth {
			if end != len(value) {
				return 0, &FramingError{off, t, "is not the last one"}
			}
			return off, nil
		}
		off = end
	}
	return -1, nil
}

// A Keyring is a fixed set of keys by id. Several are valid at once, so that
// keys can be changed one agent at a time. It may be used concurrently. The
// nil Keyring has no keys.
type Keyring struct{ keys map[uint32]*Key }

// NewKeyring returns a ring of copies of the keys. No two may have the same id.
func NewKeyring(keys ...*Key) (*Keyring, error) {
	r := &Keyring{make(map[uint32]*Key, len(keys))}
	for _, k := range keys {
		switch {
		case k == nil || k.verify == nil:
			return nil, errors.New("advert: keyring: empty key")
		case r.keys[k.id] != nil:
			return nil, fmt.Errorf("advert: keyring: two keys with id %d", k.id)
		case !k.NotAfter.IsZero() && !k.NotBefore.Before(k.NotAfter):
			return nil, fmt.Errorf("advert: keyring: key %d is never valid", k.id)
		}
		c := *k
		r.keys[k.id] = &c
	}
	return r, nil
}

// Key returns a copy of the key with an id.
func (r *Keyring) Key(id uint32) (*Key, bool) {
	if r == nil || r.keys[id] == nil {
		return nil, false
	}
	c := *r.keys[id]
	return &c, true
}

// IDs returns the key ids in ascending order.
func (r *Keyring) IDs() []uint32 {
	if r == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(r.keys))
}

// Verify checks the signature of an attribute value that came with the route
// of prefix. It returns the key id that the value names, even with an error,
// since the operator wants to know it; 0 if it names none.
//
// The error is, or wraps, ErrUnsigned, ErrUnknownKey (also if a key of that id
// is for another algorithm), ErrKeyExpired, ErrBadSignature, or is a
// *FramingError. It does not look at the rest of the value.
func (r *Keyring) Verify(value []byte, prefix netip.Prefix, now time.Time) (keyID uint32, err error) {
	auth, err := findAuth(value)
	if err != nil {
		return 0, err
	}
	if auth < 0 {
		return 0, ErrUnsigned
	}
	var a Attribute
	if why := a.decodeAuth(value[auth+tlvHead:]); why != "" {
		return 0, &FramingError{auth, TypeAuth, why}
	}
	keyID = a.Auth.KeyID
	var k *Key
	if r != nil {
		k = r.keys[keyID]
	}
	if k == nil || k.algorithm != a.Auth.Algorithm {
		return keyID, fmt.Errorf("%w: key %d for %s", ErrUnknownKey, keyID, a.Auth.Algorithm)
	}
	if !k.ValidAt(now) {
		return keyID, fmt.Errorf("%w: key %d", ErrKeyExpired, keyID)
	}
	sigAt := auth + tlvHead + authHead
	signed, signature := value[:sigAt], value[sigAt:]
	context, err := signatureContext(prefix, len(signed))
	if err != nil {
		return keyID, err
	}
	if !k.verify(context, signed, signature) {
		return keyID, fmt.Errorf("%w: key %d", ErrBadSignature, keyID)
	}
	return keyID, nil
}
