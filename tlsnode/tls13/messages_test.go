package tls13

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"
)

// A wireMessage is one that can be decoded and appended.
type wireMessage interface {
	decode(body []byte) error
	append(b []byte) []byte
}

// A messageKind says how to make empty and random messages of one type.
type messageKind struct {
	name   string
	typ    uint8
	empty  func() wireMessage
	random func(*rand.Rand) wireMessage
}

func randBytes(r *rand.Rand, from, to int) []byte {
	b := make([]byte, from+r.IntN(to-from+1))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func randList(r *rand.Rand) u16s {
	b := randBytes(r, 2, 17)
	return u16s(b[:len(b)&^1])
}

// maybe returns f() or nil.
func maybe[T any](r *rand.Rand, f func() T) (v T) {
	if r.IntN(2) == 0 {
		return f()
	}
	return v
}

func randExtensions(r *rand.Rand) (list []Extension) {
	for i := range r.IntN(4) {
		list = append(list, Extension{ExtensionType(0xff00 + i), randBytes(r, 0, 40)})
	}
	return list
}

// messageKinds has all messages of RFC 8446 that this package knows.
var messageKinds = []messageKind{
	{"ClientHello", typeClientHello, func() wireMessage { return new(clientHello) }, func(r *rand.Rand) wireMessage {
		m := &clientHello{
			random:      randBytes(r, 32, 32),
			sessionID:   randBytes(r, 0, 32),
			suites:      randList(r),
			compression: randBytes(r, 1, 3),
		}
		x := &m.ext
		x.serverName = maybe(r, func() []byte { return randBytes(r, 1, 255) })
		x.groups = maybe(r, func() u16s { return randList(r) })
		x.schemes = maybe(r, func() u16s { return randList(r) })
		x.alpn = maybe(r, func() []byte { return putVec8(putVec8(nil, randBytes(r, 1, 255)), randBytes(r, 1, 20)) })
		x.versions = maybe(r, func() u16s { return randList(r) })
		x.cookie = maybe(r, func() []byte { return randBytes(r, 1, 300) })
		if x.hasShares = r.IntN(2) == 0; x.hasShares {
			for i := range r.IntN(4) {
				x.shares = append(x.shares, keyShare{Group(i), randBytes(r, 1, 1300)})
			}
		}
		x.pskModes = maybe(r, func() []byte { return randBytes(r, 1, 3) })
		x.earlyData = r.IntN(2) == 0
		x.recordLimit = r.IntN(2) * (64 + r.IntN(20000))
		x.others = randExtensions(r)
		for range r.IntN(maxIdentities + 1) {
			x.identities = append(x.identities, pskIdentity{randBytes(r, 1, 200), r.Uint32()})
			x.binders = append(x.binders, randBytes(r, 32, 48))
			x.bindersLen += 1 + len(x.binders[len(x.binders)-1])
		}
		if x.bindersLen > 0 {
			x.bindersLen += 2
		}
		return m
	}},
	{"ServerHello", typeServerHello, func() wireMessage { return new(serverHello) }, func(r *rand.Rand) wireMessage {
		m := &serverHello{
			version:     uint16(r.Uint32()),
			random:      randBytes(r, 32, 32),
			sessionID:   randBytes(r, 0, 32),
			suite:       Suite(r.Uint32()),
			compression: uint8(r.Uint32()),
		}
		m.ext.version = uint16(r.IntN(2) * 0x0304)
		if m.ext.hasShare = r.IntN(2) == 0; m.ext.hasShare {
			m.ext.share = keyShare{Group(r.Uint32()), randBytes(r, 1, 1200)}
		}
		if m.ext.hasPSK = r.IntN(2) == 0; m.ext.hasPSK {
			m.ext.psk = uint16(r.Uint32())
		}
		m.ext.others = randExtensions(r)
		return m
	}},
	{"HelloRetryRequest", typeServerHello, func() wireMessage { return new(serverHello) }, func(r *rand.Rand) wireMessage {
		m := &serverHello{
			version:   legacyVersion,
			random:    helloRetry[:],
			sessionID: randBytes(r, 0, 32),
			suite:     Suite(r.Uint32()),
			retry:     true,
		}
		m.ext.version = 0x0304
		if m.ext.hasShare = r.IntN(2) == 0; m.ext.hasShare {
			m.ext.share.group = Group(r.Uint32())
		}
		m.ext.cookie = maybe(r, func() []byte { return randBytes(r, 1, 300) })
		m.ext.others = randExtensions(r)
		return m
	}},
	{"NewSessionTicket", typeNewSessionTicket, func() wireMessage { return new(newSessionTicket) }, func(r *rand.Rand) wireMessage {
		return &newSessionTicket{
			lifetime: uint32(r.IntN(maxLifetime + 1)),
			ageAdd:   r.Uint32(),
			nonce:    randBytes(r, 0, 255),
			ticket:   randBytes(r, 1, 2000),
			others:   randExtensions(r),
		}
	}},
	{"EncryptedExtensions", typeEncryptedExtensions, func() wireMessage { return new(encryptedExtensions) }, func(r *rand.Rand) wireMessage {
		return &encryptedExtensions{
			alpn:        maybe(r, func() []byte { return randBytes(r, 1, 255) }),
			serverName:  r.IntN(2) == 0,
			recordLimit: r.IntN(2) * (64 + r.IntN(20000)),
			others:      randExtensions(r),
		}
	}},
	{"CertificateRequest", typeCertificateRequest, func() wireMessage { return new(certificateRequest) }, func(r *rand.Rand) wireMessage {
		m := &certificateRequest{context: randBytes(r, 0, 255), schemes: randList(r)}
		for range r.IntN(4) {
			m.authorities = append(m.authorities, randBytes(r, 1, 100))
		}
		return m
	}},
	{"Certificate", typeCertificate, func() wireMessage { return new(certificate) }, func(r *rand.Rand) wireMessage {
		m := &certificate{context: randBytes(r, 0, 255)}
		for range r.IntN(5) {
			m.chain = append(m.chain, randBytes(r, 1, 2000))
		}
		return m
	}},
	{"CertificateVerify", typeCertificateVerify, func() wireMessage { return new(certificateVerify) }, func(r *rand.Rand) wireMessage {
		return &certificateVerify{SignatureScheme(r.Uint32()), randBytes(r, 0, 512)}
	}},
	{"Finished", typeFinished, func() wireMessage { return new(finished) }, func(r *rand.Rand) wireMessage {
		return &finished{randBytes(r, 32, 48)}
	}},
	{"KeyUpdate", typeKeyUpdate, func() wireMessage { return new(keyUpdate) }, func(r *rand.Rand) wireMessage {
		return &keyUpdate{r.IntN(2) == 0}
	}},
}

// Every message survives the wire, and nothing shorter or longer does.
func TestMessageRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, k := range messageKinds {
		t.Run(k.name, func(t *testing.T) {
			for range 200 {
				want := k.random(r)
				wire := want.append([]byte("before"))[len("before"):]
				if wire[0] != k.typ || len(wire)-4 != int(wire[1])<<16|int(wire[2])<<8|int(wire[3]) {
					t.Fatalf("header % x for %d octets", wire[:4], len(wire))
				}
				got := k.empty()
				if err := got.decode(wire[4:]); err != nil {
					t.Fatalf("decode %+v: %v", want, err)
				}
				if again := got.append(nil); !bytes.Equal(again, wire) {
					t.Fatalf("%+v became %+v", want, got)
				}
				if k.typ == typeFinished {
					continue // any length will do, as far as the codec goes
				}
				if err := k.empty().decode(append(bytes.Clone(wire[4:]), 0)); err == nil {
					t.Fatal("a trailing octet was accepted")
				}
				for cut := range min(len(wire)-4, 600) {
					m := k.empty()
					if err := m.decode(wire[4 : 4+cut]); err == nil {
						if k.typ == typeClientHello || k.typ == typeServerHello {
							continue // without extensions: a hello of old
						}
						t.Fatalf("%d octets of %d were accepted", cut, len(wire)-4)
					}
				}
			}
		})
	}
}

// The fields arrive where they belong: what append wrote, decode finds.
func TestMessageFields(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, k := range messageKinds {
		for range 50 {
			want, got := k.random(r), k.empty()
			if err := got.decode(want.append(nil)[4:]); err != nil {
				t.Fatal(err)
			}
			if w, g := dump(reflect.ValueOf(want).Elem()), dump(reflect.ValueOf(got).Elem()); !reflect.DeepEqual(w, g) {
				t.Fatalf("%s: sent %+v, got %+v", k.name, w, g)
			}
		}
	}
}

// dump is a value as nested lists of what can be compared.
func dump(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Struct:
		var l []any
		for i := range v.NumField() {
			l = append(l, dump(v.Field(i)))
		}
		return l
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return string(v.Bytes())
		}
		l := []any{}
		for i := range v.Len() {
			l = append(l, dump(v.Index(i)))
		}
		return l
	case reflect.Bool:
		return v.Bool()
	case reflect.Int:
		return v.Int()
	default:
		return v.Uint()
	}
}

func wantAlert(t *testing.T, err error, want Alert) {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Alert != want {
		t.Errorf("got %v, want the alert %v", err, want)
	}
}

// Lists of extensions, as RFC 8446, section 4.2, wants them.
func TestExtensionRules(t *testing.T) {
	ext := func(typ ExtensionType, data string) []byte {
		return putVec16(put16(nil, uint16(typ)), []byte(data))
	}
	cat := func(l ...[]byte) []byte { return bytes.Join(l, nil) }
	psk := ext(extPreSharedKey, "\x00\x07\x00\x01x\x00\x00\x00\x00\x00\x21\x20"+string(make([]byte, 32)))
	many := []byte{}
	for i := range maxExtensions + 1 {
		many = append(many, ext(ExtensionType(0x4000+i), "")...)
	}
	rows := []struct {
		name string
		exts []byte
		want Alert // 0: accepted
	}{
		{"unknown ones are ignored", cat(ext(0x0a0a, ""), ext(0xff77, "zz")), 0},
		{"twice the same unknown one", cat(ext(0xff77, ""), ext(0xff77, "")), AlertIllegalParameter},
		{"twice the same known one", cat(ext(extCookie, "\x00\x01c"), ext(extCookie, "\x00\x01c")), AlertIllegalParameter},
		{"too many", many, AlertDecodeError},
		{"cut off", []byte{0, 1, 0}, AlertDecodeError},
		{"longer than the list", []byte{0, 1, 0, 9, 1}, AlertDecodeError},
		{"pre_shared_key at the end", psk, 0},
		{"pre_shared_key not at the end", cat(psk, ext(0xff77, "")), AlertIllegalParameter},
		{"fewer binders than identities", ext(extPreSharedKey, "\x00\x0e\x00\x01x\x00\x00\x00\x00\x00\x01y\x00\x00\x00\x00\x00\x21\x20"+string(make([]byte, 32))), AlertIllegalParameter},
		{"more binders than identities", ext(extPreSharedKey, "\x00\x07\x00\x01x\x00\x00\x00\x00\x00\x42\x20"+string(make([]byte, 32))+"\x20"+string(make([]byte, 32))), AlertIllegalParameter},
		{"short binder", ext(extPreSharedKey, "\x00\x07\x00\x01x\x00\x00\x00\x00\x00\x02\x01x"), AlertDecodeError},
		{"no binder", ext(extPreSharedKey, "\x00\x07\x00\x01x\x00\x00\x00\x00\x00\x00"), AlertDecodeError},
		{"no identity", ext(extPreSharedKey, "\x00\x00\x00\x21\x20"+string(make([]byte, 32))), AlertDecodeError},
		{"empty identity", ext(extPreSharedKey, "\x00\x06\x00\x00\x00\x00\x00\x00\x00\x21\x20"+string(make([]byte, 32))), AlertDecodeError},
		{"no shares", ext(extKeyShare, "\x00\x00"), 0},
		{"two shares of a group", ext(extKeyShare, "\x00\x0a\x00\x1d\x00\x01a\x00\x1d\x00\x01b"), AlertIllegalParameter},
		{"empty share", ext(extKeyShare, "\x00\x04\x00\x1d\x00\x00"), AlertDecodeError},
		{"odd list of groups", ext(extSupportedGroups, "\x00\x03\x00\x1d\x00"), AlertDecodeError},
		{"no groups", ext(extSupportedGroups, "\x00\x00"), AlertDecodeError},
		{"trailing octet", ext(extSupportedGroups, "\x00\x02\x00\x1d!"), AlertDecodeError},
		{"empty protocol", ext(extALPN, "\x00\x03\x01a\x00"), AlertDecodeError},
		{"no protocols", ext(extALPN, "\x00\x00"), AlertDecodeError},
		{"no versions", ext(extSupportedVersions, "\x00"), AlertDecodeError},
		{"empty cookie", ext(extCookie, "\x00\x00"), AlertDecodeError},
		{"two server names", ext(extServerName, "\x00\x08\x00\x00\x01a\x00\x00\x01b"), AlertDecodeError},
		{"empty server name", ext(extServerName, "\x00\x03\x00\x00\x00"), AlertDecodeError},
		{"early_data that says something", ext(extEarlyData, "x"), AlertDecodeError},
		{"tiny record_size_limit", ext(extRecordSizeLimit, "\x00\x3f"), AlertIllegalParameter},
		{"no PSK modes", ext(extPSKModes, "\x00"), AlertDecodeError},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			var x clientExtensions
			if err := x.decode(r.exts); r.want != 0 || err != nil {
				wantAlert(t, err, r.want)
			}
		})
	}
}

func TestLengthsThatDoNotFit(t *testing.T) {
	for name, f := range map[string]func(){
		"close16": func() { close16(make([]byte, 2+1<<16), 0) },
		"close24": func() { close24(make([]byte, 3+1<<24), 0) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s wrote a wrong length", name)
				}
			}()
			f()
		}()
	}
}

// FuzzMessages: no decoder panics or accepts what it cannot write back, but
// for extensions of old that have no field.
func FuzzMessages(f *testing.F) {
	r := rand.New(rand.NewPCG(5, 6))
	for i, k := range messageKinds {
		f.Add(uint8(i), k.random(r).append(nil)[4:])
	}
	f.Fuzz(func(t *testing.T, kind uint8, body []byte) {
		k := messageKinds[int(kind)%len(messageKinds)]
		m := k.empty()
		if m.decode(body) != nil {
			return
		}
		wire := m.append(nil)
		again := k.empty()
		if err := again.decode(wire[4:]); err != nil {
			if _, hello := m.(*clientHello); hello {
				return // more identities than are kept
			}
			t.Fatalf("%s: %+v does not decode again: %v", k.name, m, err)
		}
		if w := again.append(nil); !bytes.Equal(w, wire) {
			t.Fatalf("%s: % x became % x", k.name, wire, w)
		}
	})
}
