package lab_test

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/catsbgp/catsbgp/bgp"
	"github.com/catsbgp/catsbgp/internal/bgptest"
	"github.com/catsbgp/catsbgp/internal/events"
)

// The octets of CATS attributes, written by hand: a test of a decoder must not
// trust the encoder.

func tlv(typ uint16, value ...byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, typ), append([]byte{byte(len(value))}, value...)...)
}

func octets(text string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

func addr4(s string) []byte { return netip.MustParseAddr(s).AsSlice() }

// The liar says that it has instances of a service of its own.
const (
	liarLocator  = "198.51.100.2" // of the spoke called witness
	liarInstance = "198.51.100.200"
	liarService  = "203.0.113.30"
)

var (
	profileTLV = tlv(0xca00, octets("43415453 01 00 0001 0000fde9")...) // CATS, version 1, profile 1, domain 65001
	locatorTLV = tlv(0xca02, append([]byte{1}, addr4(liarLocator)...)...)
	serviceTLV = csidTLV(liarService)
)

func csidTLV(addr string) []byte { return tlv(0xca03, append([]byte{1, 32}, addr4(addr)...)...) }

// instanceTLV is an instance at 25 % with a sequence, heard now.
func instanceTLV(id string, sequence uint32, metrics ...byte) []byte {
	v := append([]byte{0x10, 4}, addr4(id)...)
	v = binary.BigEndian.AppendUint32(v, sequence)
	v = binary.BigEndian.AppendUint32(v, uint32(time.Now().Unix()))
	v = append(v, 0, 90, 0, 100)
	if metrics == nil {
		metrics = octets("41 04 02 02 09c4") // utilisation, L0, measured, 25.00 %
	}
	return tlv(0xca01, append(v, metrics...)...)
}

// backdated makes an instanceTLV of an address older.
func backdated(in []byte, by time.Duration) []byte {
	const generated = 3 + 2 + 4 + 4 // TLV head, identifier, sequence
	binary.BigEndian.PutUint32(in[generated:], uint32(time.Now().Add(-by).Unix()))
	return in
}

// route is an UPDATE with a CATS attribute of some flags and value.
func route(prefix string, attrs ...[]byte) []byte {
	all := bgptest.Join(bgptest.Mandatory(netip.MustParseAddr(liarLocator)), bgptest.Attr(bgptest.Transitive, bgptest.LocalPref, []byte{0, 0, 0, 100}))
	return bgptest.UpdateFrame(nil, bgptest.Join(append([][]byte{all}, attrs...)...), bgptest.NLRI(netip.MustParsePrefix(prefix)))
}

const (
	optional = bgptest.Optional | bgptest.Transitive
	code     = bgp.DefaultAttributeType
)

// What comes of an attribute at the ingress.
const (
	believed = "" // the instance is a candidate
)

// Whatever is wrong with a CATS attribute costs the candidate and nothing
// else: not the session, not the anycast route, not another site.
func TestMalformedAttributes(t *testing.T) {
	t.Parallel()
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte(strings.Repeat("5a", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	raw := func(name, addr string) string {
		return sessions(session{name, addr, 65001, "passive = true\nroute_reflector_client = true\nlocal_address = \"" + gateLocator + "\""})
	}
	at := 4*atWitness + 2
	d := newDuo(t, raw("liar", liarLocator)+raw("reader", fmt.Sprintf("192.0.2.%d", at))+
		fmt.Sprintf("\n[[auth.key]]\nid = 7\nalgorithm = \"hmac-sha256\"\nfile = %q\n", key), "")
	gate := d.gate
	liar := newWitness(t).dialFrom(d.network, atGate)
	reader := newWitness(t)
	reader.dial(d.spokes[atWitness], fmt.Sprintf("192.0.2.%d", at), gateLocator,
		bgptest.Identity{ASN: 65001, ID: netip.MustParseAddr("192.0.2.99"), HoldTime: 90, IPv4: true})
	gate.wantUp("liar", "reader")
	began := gate.peer("liar").Since

	instance, anycast := prefix(liarInstance), prefix(liarService)
	send := func(frames ...[]byte) {
		t.Helper()
		for _, f := range frames {
			if err := liar.Send(f); err != nil {
				t.Fatal(err)
			}
		}
	}
	sequence := uint32(100)
	next := func() uint32 { sequence++; return sequence }
	// good is an attribute as it should be, with changes to it.
	good := func(more ...[]byte) []byte {
		return bgptest.Join(append([][]byte{profileTLV, locatorTLV, serviceTLV, instanceTLV(liarInstance, next())}, more...)...)
	}
	plain := bgptest.Attr(optional, code, bgptest.Join(profileTLV, locatorTLV))

	// Each case is what is sent instead of a good attribute, the fault that it
	// is counted as, and whether the instance stays a candidate.
	cases := []struct {
		name  string
		fault string
		stays bool
		attrs func() [][]byte
	}{
		{"length 0", "not-cats", false, one(func() []byte { return nil })},
		{"one octet", "not-cats", false, one(func() []byte { return []byte{0xca} })},
		{"wrong magic", "not-cats", false, one(func() []byte { return slices.Replace(good(), 3, 7, []byte("DOGS")...) })},
		{"no leading profile", "not-cats", false, one(func() []byte { return bgptest.Join(locatorTLV, profileTLV) })},
		{"the attribute of somebody else", "not-cats", false, one(func() []byte { return []byte(strings.Repeat("x", 3000)) })},
		{"a later version", "not-cats", false, one(func() []byte { b := good(); b[7] = 2; return b })},
		{"a foreign domain", "foreign-domain", false, one(func() []byte { b := good(); b[14]++; return b })},
		{"a foreign profile", "foreign-profile", false, one(func() []byte { b := good(); b[10]++; return b })},
		{"meant for another AS", "out-of-scope", false, one(func() []byte { return good(tlv(7, octets("00 0000fc00")...)) })},
		{"profile of the wrong length", "malformed", false, one(func() []byte { b := good(); b[2] = 11; return b })},
		{"profile twice", "malformed", false, one(func() []byte { return good(profileTLV) })},
		{"cut off in a head", "malformed", false, one(func() []byte { return good([]byte{0xca, 0x01}) })},
		{"longer than what is left", "malformed", false, one(func() []byte { return good([]byte{0xca, 0x01, 200, 1, 2, 3}) })},
		{"cut off anywhere", "malformed", false, one(func() []byte { b := good(); return b[:len(b)-5] })},
		{"locator twice", "malformed", false, one(func() []byte { return good(locatorTLV) })},
		{"locator of the wrong length", "malformed", false, one(func() []byte { return bgptest.Join(profileTLV, tlv(0xca02, 1, 2, 3)) })},
		{"locator that is no unicast address", "malformed", false, one(func() []byte { return bgptest.Join(profileTLV, tlv(0xca02, 1, 224, 0, 0, 1)) })},
		{"service of the wrong length", "malformed", false, one(func() []byte { return good(tlv(0xca03, 1, 32, 203)) })},
		{"service of no address family", "malformed", false, one(func() []byte { return good(tlv(0xca03, 9, 32, 1, 2, 3, 4)) })},
		{"instance of length 0", "malformed", false, one(func() []byte { return good(tlv(0xca01)) })},
		{"instance shorter than its identifier", "malformed", false, one(func() []byte { return good(tlv(0xca01, 0x10, 4, 1, 2)) })},
		{"identifier of the wrong length", "malformed", false, one(func() []byte { return good(tlv(0xca01, append([]byte{0x10, 3}, make([]byte, 15)...)...)) })},
		{"metric cut off", "malformed", false, one(func() []byte { return good(instanceTLV(liarInstance, next(), 0x41, 4, 2)) })},
		{"metric longer than its instance", "malformed", false, one(func() []byte { return good(instanceTLV(liarInstance, next(), 0x41, 4, 2, 99, 1)) })},
		{"site value of the wrong length", "malformed", false, one(func() []byte { return good(tlv(1, 1, 2, 3)) })},
		{"signature of the wrong length", "malformed", false, one(func() []byte { return good(tlv(0xca0f, octets("01 00000007 0102")...)) })},
		{"something after the signature", "malformed", false, one(func() []byte {
			return good(tlv(0xca0f, append(octets("01 00000007"), make([]byte, 16)...)...), locatorTLV)
		})},
		{"a wrong signature", "signature", false, one(func() []byte {
			return good(tlv(0xca0f, append(octets("01 00000007"), make([]byte, 16)...)...))
		})},
		{"a score of 11", "ignored-value", true, one(func() []byte {
			return bgptest.Join(profileTLV, locatorTLV, serviceTLV, instanceTLV(liarInstance, next(), octets("01841801 0b 41040202 09c4")...))
		})},
		{"a metric twice", "ignored-value", true, one(func() []byte {
			return bgptest.Join(profileTLV, locatorTLV, serviceTLV, instanceTLV(liarInstance, next(), octets("41040202 09c4 41040202 0001")...))
		})},
		{"a replay", "replay", true, one(func() []byte {
			return bgptest.Join(profileTLV, locatorTLV, serviceTLV, backdated(instanceTLV(liarInstance, sequence-50), time.Minute))
		})},
		{"a clock that went back by an hour", believed, true, one(func() []byte {
			return bgptest.Join(profileTLV, locatorTLV, serviceTLV, backdated(instanceTLV(liarInstance, next()), time.Hour))
		})},
		{"sub-TLVs of the future", believed, true, one(func() []byte { return good(tlv(0xca77, 1, 2, 3), tlv(999)) })},
		{"the partial flag", believed, true, func() [][]byte {
			return [][]byte{bgptest.Attr(optional|bgptest.Partial, code, good())}
		}},
		{"an extended length where none is needed", believed, true, func() [][]byte {
			return [][]byte{bgptest.Attr(optional|bgptest.Extended, code, good())}
		}},
		{"the attribute twice", believed, true, func() [][]byte {
			return [][]byte{bgptest.Attr(optional, code, good()), bgptest.Attr(optional, code, []byte("nonsense"))}
		}},
	}
	for _, c := range cases {
		send(route(anycast, plain), route(instance, bgptest.Attr(optional, code, good())))
		gate.eventually("before "+c.name+": a good attribute is believed", func() string { return d.candidate() })
		before := gate.peer("liar").DecodeErrors[c.fault]
		bad := c.attrs()
		send(route(anycast, bad...), route(instance, bad...))
		gate.eventually(c.name+" is counted as "+c.fault, func() string {
			faults := gate.peer("liar").DecodeErrors
			if c.fault != believed && faults[c.fault] <= before {
				return fmt.Sprint(faults)
			}
			return ""
		})
		// The instance's fate is settled once the UPDATE after it has been heard.
		gate.eventually(c.name, func() string {
			missing := d.candidate()
			if c.stays || missing != "" {
				return map[bool]string{true: missing}[c.stays]
			}
			return "the instance is still a candidate"
		})
		if sg := reader.saw(anycast); !sg.here || sg.withdrawals != 0 {
			t.Errorf("%s: the anycast route was withdrawn", c.name)
		}
		if p := gate.peer("liar"); !p.Up || p.Flaps != 0 || !p.Since.Equal(began) {
			t.Fatalf("%s: the session was reset: %+v", c.name, p)
		}
	}

	for _, name := range []events.Name{events.HeardInvalid, events.HeardForeign, events.HeardReplay, events.HeardUnsigned} {
		if all := gate.events(name); len(all) == 0 || all[len(all)-1].Peer != "liar" || all[len(all)-1].Message == "" {
			t.Errorf("events %s: %v", name, all)
		}
	}
	for _, honest := range []string{"madrid", "paris"} {
		d.wantNoFaults(honest)
		if p := gate.peer(honest); p.Flaps != 0 {
			t.Errorf("the session with %s was lost", honest)
		}
	}
	d.wantSteering()
}

// one is a single attribute with the usual flags.
func one(value func() []byte) func() [][]byte {
	return func() [][]byte { return [][]byte{bgptest.Attr(optional, code, value())} }
}

// candidate returns why the liar's instance is no candidate, "" if it is.
func (d *duo) candidate() string {
	d.t.Helper()
	in, ok := d.heard(liarLocator, liarInstance)
	switch {
	case !ok:
		return "not known"
	case !in.Eligible:
		return "not eligible: " + in.Why
	}
	return ""
}

// What a peer outside the domain says about CATS is nothing to us.
func TestForeignersAreNotHeard(t *testing.T) {
	t.Parallel()
	d := newDuo(t, sessions(session{"foreigner", liarLocator, 64512, "multihop_ttl = 4\ndomain = false\nlocal_address = \"" + gateLocator + "\""}), "")
	w := newWitness(t)
	foreigner := w.accept(d.spokes[atWitness], liarLocator,
		bgptest.Identity{ASN: 64512, ID: netip.MustParseAddr(liarLocator), HoldTime: 90, IPv4: true})
	d.gate.wantUp("foreigner")
	value := bgptest.Join(profileTLV, locatorTLV, csidTLV(services[0].anycast), instanceTLV(liarInstance, 1))
	attrs := bgptest.Join(bgptest.Mandatory(netip.MustParseAddr(liarLocator), 64512), bgptest.Attr(optional, code, value))
	if err := foreigner.Send(bgptest.UpdateFrame(nil, attrs, bgptest.NLRI(netip.MustParsePrefix(prefix(liarInstance))))); err != nil {
		t.Fatal(err)
	}
	d.gate.eventually("the route has arrived", func() string {
		if p := d.gate.peer("foreigner"); p.RoutesReceived == 0 {
			return "no route"
		}
		return ""
	})
	d.wantSteering() // and by then it would have been a candidate
	if why := d.candidate(); why != "not known" {
		t.Errorf("the foreigner's instance: %q", why)
	}
	if p := d.gate.peer("foreigner"); !p.Up || p.Flaps != 0 {
		t.Errorf("the session was reset: %+v", p)
	}
}

// A peer that floods the ingress with instances costs a bounded amount of
// memory, is counted, and pushes out nobody.
func TestFlood(t *testing.T) {
	const (
		flood     = 100_000
		maxRoutes = 60_000
	)
	d := newDuo(t, sessions(session{"liar", liarLocator, 65001, "passive = true\nlocal_address = \"" + gateLocator + "\""}), "")
	d.gate.reload(inBGP(mustRead(t, d.gate.file), fmt.Sprintf("max_routes_per_peer = %d", maxRoutes)))
	liar := newWitness(t).dialFrom(d.network, atGate)
	d.gate.wantUp("liar")
	rss := d.gate.RSS()

	slowest := time.Duration(0)
	look := func() {
		t.Helper()
		start := time.Now()
		if _, err := d.gate.Status(t.Context()); err != nil {
			t.Fatal(err)
		}
		slowest = max(slowest, time.Since(start))
	}
	busy := octets("41 04 02 02 25e4") // 97.00 %
	start := time.Now()
	for i := range flood {
		id := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		value := bgptest.Join(profileTLV, locatorTLV, csidTLV(services[0].anycast), instanceTLV(id.String(), 1, busy...))
		if err := liar.Send(route(prefix(id.String()), bgptest.Attr(optional, code, value))); err != nil {
			t.Fatal(err)
		}
		if i%5000 == 0 {
			look()
		}
	}
	d.gate.eventually("all of it has been heard", func() string {
		look()
		if p := d.gate.peer("liar"); p.RoutesReceived < flood || p.RoutesIgnored < flood-maxRoutes || p.DecodeErrors["over-limit"] < maxRoutes-1024 {
			return fmt.Sprintf("%d routes, %d ignored, %v", p.RoutesReceived, p.RoutesIgnored, p.DecodeErrors)
		}
		return ""
	})
	grown := d.gate.RSS() - rss
	t.Logf("%d routes in %v, the slowest answer took %v, memory grew by %d MB", flood, time.Since(start).Round(time.Millisecond), slowest.Round(time.Millisecond), grown>>20)
	if limit := uint64(600 << 20); grown > limit {
		t.Errorf("memory grew by %d MB", grown>>20)
	}
	if slowest > 10*time.Second {
		t.Errorf("an answer took %v", slowest)
	}
	if len(d.gate.events(events.PeerOverflow)) == 0 {
		t.Error("no event says so")
	}
	p := d.gate.peer("liar")
	if got := p.DecodeErrors["over-limit"]; got > maxRoutes {
		t.Errorf("%d over the limit, only %d routes got through", got, maxRoutes)
	}
	for _, peer := range append([]string{"liar"}, "madrid", "paris") {
		if p := d.gate.peer(peer); !p.Up || p.Flaps != 0 {
			t.Errorf("the session with %s was reset: %+v", peer, p)
		}
	}
	d.gate.wantShare(video, "madrid", 0.001, 1)

	t.Log("# it goes, and so does all that it said")
	liar.Close()
	d.gate.eventually("only the honest are left", func() string {
		look()
		doc, err := d.gate.Sites(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if k := len(doc.Items); k != 2 {
			return fmt.Sprintf("%d sites", k)
		}
		return ""
	})
	d.wantSteering()
}

func mustRead(t testing.TB, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
