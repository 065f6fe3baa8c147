package config

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/catsbgp/catsbgp/bgp"
	"github.com/catsbgp/catsbgp/dampening"
)

func (b *builder) bgp() BGP {
	r := &b.raw.BGP
	c := BGP{
		Config: bgp.Config{
			ASN: uint32(r.ASN), RouterID: r.RouterID.Addr, Port: r.Port,
			AttributeType: r.AttributeType, MaxRoutesPerPeer: r.MaxRoutesPerPeer,
			GRPCSocket: b.file(b.raw.API.GoBGPSocket),
		},
		Communities: r.Communities, MaxInstancesPerService: r.MaxInstancesPerService,
	}
	if id := r.RouterID; id.IsValid() && (!id.Is4() || id.IsUnspecified()) {
		b.fail("bgp.router_id", "", "must be an IPv4 address other than 0.0.0.0, found %s (RFC 6286)", id)
	}
	seen := register[netip.Addr]{}
	for i, a := range r.Listen {
		if a.IsValid() && seen.add(b, elementPath("bgp.listen", i), "address", a.Addr) {
			c.Listen = append(c.Listen, a.Addr)
		}
	}
	if why, hint := attributeTrouble(r.AttributeType); why != "" && b.good("bgp.attribute_type") {
		b.fail("bgp.attribute_type", hint, "%d %s", r.AttributeType, why)
	}
	for i, a := range r.NextHop {
		at := elementPath("bgp.next_hop", i)
		switch {
		case !a.IsValid():
		case a.IsUnspecified() || a.IsMulticast() || a.Is4In6():
			b.fail(at, "", "%s is no address to send packets to", a)
		case a.Is4() && !c.NextHop4.IsValid():
			c.NextHop4 = a.Addr
		case a.Is6() && !c.NextHop6.IsValid():
			c.NextHop6 = a.Addr
		default:
			b.fail(at, "", "a second address of one family")
		}
	}

	names, addresses := register[string]{}, register[netip.Addr]{}
	for i := range r.Peers {
		at := elementPath("bgp.peer", i)
		p := &r.Peers[i]
		b.word(at+".name", p.Name)
		if b.good(at + ".name") {
			names.add(b, at+".name", "name", p.Name)
		}
		if p.Address.IsValid() {
			addresses.add(b, at+".address", "address", p.Address.Addr)
		}
		c.Peers = append(c.Peers, b.peer(at, p))
		if mode := rfdModes[p.RFDBudget]; mode != dampening.RFDOff {
			c.RFD = append(c.RFD, dampening.RFDBudget{Peer: p.Name, Mode: mode, Suppress: p.RFDSuppress})
		} else if p.RFDSuppress != defaultRFDSuppress {
			b.warn(at+".rfd_suppress", "", "has no effect while rfd_budget is off")
		}
	}
	b.listeners(c.Peers)
	return c
}

// Peers outside the domain and edge-metadata peers have BGP tables of their
// own. One socket serves one table: that of the first kind that has a peer.
var tableWords = []string{"peers in the domain without edge_metadata", "peers outside the domain", "edge_metadata peers"}

func tableOf(p bgp.Peer) int {
	switch {
	case !p.InDomain:
		return 1
	case p.EdgeMetadata:
		return 2
	}
	return 0
}

func listeningTable(peers []bgp.Peer) int {
	if len(peers) == 0 {
		return 0
	}
	return tableOf(slices.MinFunc(peers, func(a, b bgp.Peer) int { return tableOf(a) - tableOf(b) }))
}

// listeners checks that the table that listens is that of all passive peers:
// which table a connection belongs to is only known after it was accepted.
func (b *builder) listeners(peers []bgp.Peer) {
	listener := listeningTable(peers)
	for i, p := range peers {
		if at := elementPath("bgp.peer", i); p.Passive && tableOf(p) != listener && b.good(at+".passive") {
			b.fail(at+".passive", "let it connect: passive = false",
				"here only %s can be passive: each kind has a BGP table of its own, and one of them listens", tableWords[listener])
		}
	}
}

var rfdModes = map[string]dampening.RFDMode{"off": dampening.RFDOff, "warn": dampening.RFDWarn, "enforce": dampening.RFDEnforce}

func (b *builder) peer(at string, r *rawPeer) bgp.Peer {
	p := bgp.Peer{
		Name: r.Name, Address: r.Address.Addr, ASN: uint32(r.ASN), Port: r.Port,
		LocalAddress: r.LocalAddress.Addr, Passive: r.Passive,
		HoldTime: r.HoldTime.d(), ConnectRetry: r.ConnectRetry.d(),
		IPv4: slices.Contains(r.Families, "ipv4"), IPv6: slices.Contains(r.Families, "ipv6"),
		TTLSecurity: r.TTLSecurity, MultihopTTL: r.MultihopTTL, ReflectorFor: r.RouteReflectorClient, AddPath: r.AddPath,
		GracefulRestart: r.GracefulRestart.d(), LongLivedGracefulRestart: r.LongLived.d(), BFD: r.BFD,
		InDomain: r.Domain, EdgeMetadata: r.EdgeMetadata,
	}
	for key, d := range map[string]duration{
		".hold_time": r.HoldTime, ".connect_retry": r.ConnectRetry,
		".graceful_restart": r.GracefulRestart, ".long_lived_graceful_restart": r.LongLived,
	} {
		b.wholeSeconds(at+key, d)
	}
	if p.HoldTime > 0 && p.HoldTime.Seconds() < 3 && b.good(at+".hold_time") {
		b.fail(at+".hold_time", "", "must be 0s or at least 3s, found %s (RFC 4271 section 4.2)", r.HoldTime)
	}
	if p.HoldTime == 0 && !p.BFD {
		b.warn(at+".hold_time", "", "without keepalives and BFD, a peer that dies silently is never noticed")
	}
	if p.Address.IsUnspecified() {
		b.fail(at+".address", "", "%s is no address that a peer can have", p.Address)
	}
	if p.LocalAddress.IsValid() && p.Address.IsValid() && p.LocalAddress.Is4() != p.Address.Is4() {
		b.fail(at+".local_address", "", "%s and the peer's address %s are of different families", p.LocalAddress, p.Address)
	}
	if p.LocalAddress.IsUnspecified() {
		b.fail(at+".local_address", `leave it out for the kernel's choice`, "%s is no address that a session can have", p.LocalAddress)
	}
	if p.Passive && len(b.raw.BGP.Listen) == 0 && b.good("bgp.listen") {
		b.fail(at+".passive", "", "a passive session never comes up, since bgp.listen is empty")
	}
	if b.good(at+".asn", "bgp.asn") {
		internal := r.ASN == b.raw.BGP.ASN
		if !internal && r.RouteReflectorClient {
			b.fail(at+".route_reflector_client", "", "needs iBGP, and AS %s is not bgp.asn (%s)", r.ASN, b.raw.BGP.ASN)
		}
		if internal && r.MultihopTTL > 0 {
			b.fail(at+".multihop_ttl", "leave it out", "is for eBGP; iBGP goes over any number of hops")
		}
	}
	if p.TTLSecurity && p.MultihopTTL > 0 {
		b.conflict([]string{at + ".ttl_security", at + ".multihop_ttl"}, "", "ttl_security and multihop_ttl exclude each other (RFC 5082)")
	}
	if p.BFD && p.MultihopTTL > 1 {
		b.fail(at+".bfd", "", "is single-hop (RFC 5881) and the session is multihop")
	}
	if p.LongLivedGracefulRestart > 0 && p.GracefulRestart == 0 {
		b.fail(at+".long_lived_graceful_restart", "set graceful_restart", "has no effect without graceful restart (RFC 9494 section 4.2)")
	}
	if p.EdgeMetadata && !p.InDomain {
		b.conflict([]string{at + ".edge_metadata", at + ".domain"}, "", "a peer outside the domain gets no CATS information, in whichever attribute")
	}
	if p.ReflectorFor && !p.InDomain {
		b.conflict([]string{at + ".route_reflector_client", at + ".domain"}, "", "a route-reflector client must be in the domain")
	}
	for i, f := range r.Families {
		if slices.Contains(r.Families[:i], f) {
			b.fail(elementPath(at+".families", i), "", "%q stands there twice", f)
		}
	}
	if r.PasswordFile != "" {
		p.Password = string(b.secret(at+".password_file", r.PasswordFile, parsePassword).Reveal())
	}
	return p
}

// attributeTrouble says why a path attribute type cannot carry the CATS
// information, or "".
func attributeTrouble(t uint8) (why, hint string) {
	const pick = "130 to 240, or 255 for development"
	switch {
	case t >= 130 && t <= 240, t == 255:
		return "", ""
	case t == bgp.EdgeMetadataType:
		return "is the Edge Metadata Path Attribute, non-transitive: plain routers drop it", "set edge_metadata on the peers that understand it"
	case t == 128:
		return "is ATTR_SET (RFC 6368): routers unpack it", pick
	case t == 129, t >= 241 && t <= 243:
		return "was used without being assigned and is marked as deprecated (RFC 8093)", pick
	case t == 254:
		return "is taken for something else by BIRD, which then loses the route", pick
	case t >= 1 && t <= 40:
		return "is, or was, assigned to something else: routers interpret it", pick
	}
	return "may be assigned to something else any day", pick
}

func (b *builder) auth() Auth {
	r := &b.raw.Auth
	a := Auth{SignWith: r.SignWith, Require: r.Require}
	ids := register[uint32]{}
	for i, k := range r.Keys {
		at := elementPath("auth.key", i)
		if b.good(at + ".id") {
			ids.add(b, at+".id", "id", k.ID)
		}
		key := Key{ID: k.ID, Algorithm: Algorithm(k.Algorithm), Public: k.Public, NotBefore: k.NotBefore.Time, NotAfter: k.NotAfter.Time}
		parse := parseEd25519
		if key.Algorithm == HMACSHA256 {
			parse = parseHMACKey
			if k.Public {
				b.fail(at+".public", "", "an hmac-sha256 key has no public half")
			}
		}
		if b.good(at+".algorithm", at+".file") {
			key.Secret = b.keyFile(at+".file", k, parse)
		}
		if !k.NotBefore.IsZero() && !k.NotAfter.IsZero() && !k.NotAfter.After(k.NotBefore.Time) {
			b.fail(at+".not_after", "", "must be later than not_before (%s)", k.NotBefore)
		}
		a.Keys = append(a.Keys, key)
	}
	if r.SignWith != 0 && b.good("auth.sign_with") {
		i := slices.IndexFunc(r.Keys, func(k rawKey) bool { return k.ID == r.SignWith })
		switch {
		case i < 0:
			b.fail("auth.sign_with", "", "there is no [[auth.key]] with id %d", r.SignWith)
		case r.Keys[i].Public:
			b.fail("auth.sign_with", "", "key %d is public: it can only verify", r.SignWith)
		}
	}
	if r.Require && len(r.Keys) == 0 {
		b.fail("auth.require", "add [[auth.key]]", "without a key, no instance of any site is ever eligible")
	}
	return a
}

// keyFile reads a key. A public key may be read by everyone.
func (b *builder) keyFile(at string, k rawKey, parse func([]byte) ([]byte, error)) Secret {
	if !k.Public {
		return b.secret(at, k.File, parse)
	}
	path := b.file(k.File)
	text, _, err := b.read(path)
	if err != nil {
		b.fail(at, "", "%s", fileError(path, err))
		return Secret{}
	}
	octets, err := parse(text)
	if err != nil {
		message, hint := asComplaint(err)
		b.fail(at, hint, "%s: %s", path, message)
	}
	s := NewSecret(octets)
	b.contents[at] = s.fingerprint()
	return s
}

// number writes a figure for a message.
func number(f float64) string { return fmt.Sprintf("%.6g", f) }
