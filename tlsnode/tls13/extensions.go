package tls13

import "fmt"

// An ExtensionType is that of RFC 8446, section 4.2.
type ExtensionType uint16

const (
	extServerName             ExtensionType = 0
	extStatusRequest          ExtensionType = 5
	extSupportedGroups        ExtensionType = 10
	extSignatureAlgorithms    ExtensionType = 13
	extALPN                   ExtensionType = 16
	extSCT                    ExtensionType = 18
	extPadding                ExtensionType = 21
	extRecordSizeLimit        ExtensionType = 28
	extPreSharedKey           ExtensionType = 41
	extEarlyData              ExtensionType = 42
	extSupportedVersions      ExtensionType = 43
	extCookie                 ExtensionType = 44
	extPSKModes               ExtensionType = 45
	extCertificateAuthorities ExtensionType = 47
	extOIDFilters             ExtensionType = 48
	extPostHandshakeAuth      ExtensionType = 49
	extSignatureAlgsCert      ExtensionType = 50
	extKeyShare               ExtensionType = 51
)

var extensionNames = map[ExtensionType]string{
	extServerName:             "server_name",
	extStatusRequest:          "status_request",
	extSupportedGroups:        "supported_groups",
	extSignatureAlgorithms:    "signature_algorithms",
	extALPN:                   "application_layer_protocol_negotiation",
	extSCT:                    "signed_certificate_timestamp",
	extPadding:                "padding",
	extRecordSizeLimit:        "record_size_limit",
	extPreSharedKey:           "pre_shared_key",
	extEarlyData:              "early_data",
	extSupportedVersions:      "supported_versions",
	extCookie:                 "cookie",
	extPSKModes:               "psk_key_exchange_modes",
	extCertificateAuthorities: "certificate_authorities",
	extOIDFilters:             "oid_filters",
	extPostHandshakeAuth:      "post_handshake_auth",
	extSignatureAlgsCert:      "signature_algorithms_cert",
	extKeyShare:               "key_share",
}

// String returns the IANA name, or "extension(N)".
func (t ExtensionType) String() string {
	if s, ok := extensionNames[t]; ok {
		return s
	}
	return fmt.Sprintf("extension(%d)", uint16(t))
}

// An Extension is one that this package gives no meaning to: it is carried
// for the caller, both ways.
type Extension struct {
	Type ExtensionType
	Data []byte
}

// findExtension returns nil, false if there is none of this type.
func findExtension(list []Extension, typ ExtensionType) ([]byte, bool) {
	for _, e := range list {
		if e.Type == typ {
			return e.Data, true
		}
	}
	return nil, false
}

func cloneExtensions(list []Extension) []Extension {
	if list == nil {
		return nil
	}
	out := make([]Extension, len(list))
	for i, e := range list {
		out[i] = Extension{e.Type, append([]byte{}, e.Data...)}
	}
	return out
}

func appendExtensions(b []byte, list []Extension) []byte {
	for _, e := range list {
		b = putVec16(put16(b, uint16(e.Type)), e.Data)
	}
	return b
}

// minRecordSize is the lowest record_size_limit (RFC 8449, section 4).
const minRecordSize = 64

// maxExtensions is how many extensions we look at in one message. It bounds
// the work of finding duplicates among them.
const maxExtensions = 100

// eachExtension takes a list of extensions apart. No type may come twice.
func eachExtension(b []byte, each func(ExtensionType, []byte) error) error {
	var seen [maxExtensions]ExtensionType
	r := reader{b: b}
	for n := 0; r.more(); n++ {
		typ := ExtensionType(r.u16())
		data := r.vec16()
		if r.bad {
			break
		}
		if n == maxExtensions {
			return fail(AlertDecodeError, "more than %d extensions", maxExtensions)
		}
		for _, s := range seen[:n] {
			if s == typ {
				return fail(AlertIllegalParameter, "%v comes twice", typ)
			}
		}
		seen[n] = typ
		if err := each(typ, data); err != nil {
			return err
		}
	}
	if !r.done() {
		return fail(AlertDecodeError, "malformed list of extensions")
	}
	return nil
}

func malformed(typ ExtensionType) error {
	return fail(AlertDecodeError, "malformed %v", typ)
}

// clientExtensions are those of a ClientHello.
type clientExtensions struct {
	serverName  []byte // host_name, or nil
	groups      u16s
	schemes     u16s
	alpn        []byte // list of names, each with a length octet; or nil
	versions    u16s
	cookie      []byte
	hasShares   bool
	shares      []keyShare
	pskModes    []byte
	earlyData   bool
	recordLimit int // 0: absent
	others      []Extension

	// pre_shared_key (4.2.11), always the last one. bindersLen is the
	// length of the binders' list with its own length: what a binder does
	// not cover.
	identities []pskIdentity
	binders    [][]byte
	bindersLen int
}

type keyShare struct {
	group Group
	data  []byte
}

type pskIdentity struct {
	label []byte
	age   uint32 // obfuscated_ticket_age
}

// maxIdentities is how many PSK identities, and how many key shares, are kept
// of a ClientHello. The rest is checked for form and then not looked at, so
// that a cheap message cannot cause much work.
const maxIdentities = 4

func (x *clientExtensions) decode(exts []byte) error {
	last := false
	return eachExtension(exts, func(typ ExtensionType, data []byte) error {
		if last {
			return fail(AlertIllegalParameter, "pre_shared_key is not the last extension")
		}
		r := reader{b: data}
		switch typ {
		case extServerName:
			// RFC 6066, section 3. Only host_name was ever defined, and
			// no type may come twice, so the list has one entry.
			list := reader{b: r.vec16()}
			kind := list.u8()
			x.serverName = list.vec16()
			if !list.done() || kind != 0 || len(x.serverName) == 0 || len(x.serverName) > 255 {
				return malformed(typ)
			}
		case extSupportedGroups:
			x.groups = u16s(r.vec16())
			if len(x.groups) == 0 || len(x.groups)%2 != 0 {
				return malformed(typ)
			}
		case extSignatureAlgorithms:
			x.schemes = u16s(r.vec16())
			if len(x.schemes) == 0 || len(x.schemes)%2 != 0 {
				return malformed(typ)
			}
		case extALPN:
			x.alpn = r.vec16()
			list := reader{b: x.alpn}
			for list.more() {
				if len(list.vec8()) == 0 {
					list.bad = true
				}
			}
			if !list.done() || len(x.alpn) == 0 {
				return malformed(typ)
			}
		case extSupportedVersions:
			x.versions = u16s(r.vec8())
			if len(x.versions) == 0 || len(x.versions)%2 != 0 {
				return malformed(typ)
			}
		case extCookie:
			x.cookie = r.vec16()
			if len(x.cookie) == 0 {
				return malformed(typ)
			}
		case extKeyShare:
			x.hasShares = true
			if err := x.decodeShares(r.vec16()); err != nil {
				return err
			}
		case extPSKModes:
			x.pskModes = r.vec8()
			if len(x.pskModes) == 0 {
				return malformed(typ)
			}
		case extEarlyData:
			x.earlyData = true
		case extRecordSizeLimit:
			x.recordLimit = int(r.u16())
			if !r.bad && x.recordLimit < minRecordSize {
				return fail(AlertIllegalParameter, "record_size_limit of %d", x.recordLimit)
			}
		case extPreSharedKey:
			last = true
			return x.decodePSK(data)
		default:
			x.others = append(x.others, Extension{typ, data})
			return nil
		}
		if !r.done() {
			return malformed(typ)
		}
		return nil
	})
}

func (x *clientExtensions) decodeShares(list []byte) error {
	r := reader{b: list}
	var seen [maxExtensions]Group
	for n := 0; r.more(); n++ {
		s := keyShare{Group(r.u16()), r.vec16()}
		if r.bad || len(s.data) == 0 || n == len(seen) {
			return malformed(extKeyShare)
		}
		for _, g := range seen[:n] {
			if g == s.group {
				return fail(AlertIllegalParameter, "two key shares for %v", g)
			}
		}
		seen[n] = s.group
		x.shares = append(x.shares, s)
	}
	if !r.done() {
		return malformed(extKeyShare)
	}
	return nil
}

func (x *clientExtensions) decodePSK(data []byte) error {
	r := reader{b: data}
	ids := reader{b: r.vec16()}
	x.bindersLen = len(r.b)
	binders := reader{b: r.vec16()}
	if !r.done() || len(ids.b) == 0 || len(binders.b) == 0 {
		return malformed(extPreSharedKey)
	}
	n := 0
	for ; ids.more(); n++ {
		id := pskIdentity{ids.vec16(), ids.u32()}
		if ids.bad || len(id.label) == 0 {
			return malformed(extPreSharedKey)
		}
		if n < maxIdentities {
			x.identities = append(x.identities, id)
		}
	}
	for ; binders.more(); n-- {
		binder := binders.vec8()
		if binders.bad || len(binder) < 32 {
			return malformed(extPreSharedKey)
		}
		if len(x.binders) < maxIdentities {
			x.binders = append(x.binders, binder)
		}
	}
	if !ids.done() || !binders.done() {
		return malformed(extPreSharedKey)
	}
	if n != 0 {
		return fail(AlertIllegalParameter, "as many PSK binders as identities are needed")
	}
	return nil
}

func (x *clientExtensions) append(b []byte) []byte {
	b, exts := open16(b)
	if x.serverName != nil {
		b = put16(b, uint16(extServerName))
		b = put16(b, uint16(len(x.serverName)+5))
		b = put16(b, uint16(len(x.serverName)+3))
		b = append(b, 0)
		b = putVec16(b, x.serverName)
	}
	b = putList16(b, extSupportedGroups, x.groups)
	b = putList16(b, extSignatureAlgorithms, x.schemes)
	b = putList16(b, extALPN, x.alpn)
	if x.versions != nil {
		b = put16(b, uint16(extSupportedVersions))
		b = put16(b, uint16(len(x.versions)+1))
		b = putVec8(b, x.versions)
	}
	b = putList16(b, extCookie, x.cookie)
	if x.pskModes != nil {
		b = put16(b, uint16(extPSKModes))
		b = put16(b, uint16(len(x.pskModes)+1))
		b = putVec8(b, x.pskModes)
	}
	if x.hasShares {
		b = put16(b, uint16(extKeyShare))
		var ext, list int
		b, ext = open16(b)
		b, list = open16(b)
		for _, s := range x.shares {
			b = putVec16(put16(b, uint16(s.group)), s.data)
		}
		close16(b, list)
		close16(b, ext)
	}
	if x.earlyData {
		b = put16(put16(b, uint16(extEarlyData)), 0)
	}
	if x.recordLimit != 0 {
		b = put16(put16(b, uint16(extRecordSizeLimit)), 2)
		b = put16(b, uint16(x.recordLimit))
	}
	b = appendExtensions(b, x.others)
	if len(x.identities) > 0 {
		b = put16(b, uint16(extPreSharedKey))
		var ext, list int
		b, ext = open16(b)
		b, list = open16(b)
		for _, id := range x.identities {
			b = put32(putVec16(b, id.label), id.age)
		}
		close16(b, list)
		b, list = open16(b)
		for _, binder := range x.binders {
			b = putVec8(b, binder)
		}
		close16(b, list)
		close16(b, ext)
	}
	close16(b, exts)
	return b
}

// putList16 writes an extension that is one vector with a 16-bit length.
func putList16(b []byte, typ ExtensionType, list []byte) []byte {
	if list == nil {
		return b
	}
	b = put16(b, uint16(typ))
	b = put16(b, uint16(len(list)+2))
	return putVec16(b, list)
}

// share returns nil if there is none for the group.
func (x *clientExtensions) share(g Group) []byte {
	for _, s := range x.shares {
		if s.group == g {
			return s.data
		}
	}
	return nil
}

// serverExtensions are those of a ServerHello or HelloRetryRequest.
type serverExtensions struct {
	version  uint16 // supported_versions; 0: absent
	hasShare bool
	share    keyShare // in a HelloRetryRequest, only the group
	hasPSK   bool
	psk      uint16 // selected_identity
	cookie   []byte
	others   []Extension // which no server may send here
}

func (x *serverExtensions) decode(exts []byte, retry bool) error {
	return eachExtension(exts, func(typ ExtensionType, data []byte) error {
		r := reader{b: data}
		switch {
		case typ == extSupportedVersions:
			x.version = r.u16()
		case typ == extKeyShare:
			x.hasShare = true
			x.share.group = Group(r.u16())
			if !retry {
				if x.share.data = r.vec16(); len(x.share.data) == 0 {
					return malformed(typ)
				}
			}
		case typ == extPreSharedKey && !retry:
			x.hasPSK = true
			x.psk = r.u16()
		case typ == extCookie && retry:
			if x.cookie = r.vec16(); len(x.cookie) == 0 {
				return malformed(typ)
			}
		default:
			x.others = append(x.others, Extension{typ, data})
			return nil
		}
		if !r.done() {
			return malformed(typ)
		}
		return nil
	})
}

func (x *serverExtensions) append(b []byte, retry bool) []byte {
	b, exts := open16(b)
	if x.version != 0 {
		b = put16(put16(b, uint16(extSupportedVersions)), 2)
		b = put16(b, x.version)
	}
	if x.hasShare {
		b = put16(b, uint16(extKeyShare))
		var ext int
		b, ext = open16(b)
		b = put16(b, uint16(x.share.group))
		if !retry {
			b = putVec16(b, x.share.data)
		}
		close16(b, ext)
	}
	if x.hasPSK {
		b = put16(put16(b, uint16(extPreSharedKey)), 2)
		b = put16(b, x.psk)
	}
	b = putList16(b, extCookie, x.cookie)
	b = appendExtensions(b, x.others)
	close16(b, exts)
	return b
}
