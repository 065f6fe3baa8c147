package tls13

// Handshake types of RFC 8446, section 4.
const (
	typeClientHello         = 1
	typeServerHello         = 2
	typeNewSessionTicket    = 4
	typeEndOfEarlyData      = 5
	typeEncryptedExtensions = 8
	typeCertificate         = 11
	typeCertificateRequest  = 13
	typeCertificateVerify   = 15
	typeFinished            = 20
	typeKeyUpdate           = 24
	typeMessageHash         = 254
)

const (
	legacyVersion = 0x0303
	version13     = 0x0304
)

// helloRetry is the random value that makes a ServerHello a HelloRetryRequest
// (section 4.1.3): SHA-256 of "HelloRetryRequest".
var helloRetry = [32]byte{
	0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
	0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
}

// Each message has a decode method that takes the body of the message, and an
// append method that writes the whole message, header included. What decode
// leaves in the struct aliases the body. decode checks form, and what a
// message says about itself; whether it fits the connection is the state
// machine's to judge. Lists keep the order they had on the wire.

// A clientHello is that of section 4.1.2.
type clientHello struct {
	random      []byte // 32
	sessionID   []byte // 0..32
	suites      u16s
	compression []byte
	ext         clientExtensions
}

func (m *clientHello) decode(body []byte) error {
	r := reader{b: body}
	r.u16() // legacy_version: to be ignored, as supported_versions decides
	m.random = r.bytes(32)
	m.sessionID = r.vec8()
	m.suites = u16s(r.vec16())
	m.compression = r.vec8()
	if r.bad || len(m.sessionID) > 32 || len(m.suites) == 0 || len(m.suites)%2 != 0 || len(m.compression) == 0 {
		return fail(AlertDecodeError, "malformed ClientHello")
	}
	if len(r.b) == 0 {
		return nil // before TLS 1.2 there were no extensions
	}
	exts := r.vec16()
	if !r.done() {
		return fail(AlertDecodeError, "malformed ClientHello")
	}
	return m.ext.decode(exts)
}

func (m *clientHello) append(b []byte) []byte {
	b, at := open24(append(b, typeClientHello))
	b = put16(b, legacyVersion)
	b = append(b, m.random...)
	b = putVec8(b, m.sessionID)
	b = putVec16(b, m.suites)
	b = putVec8(b, m.compression)
	b = m.ext.append(b)
	close24(b, at)
	return b
}

// A serverHello is that of section 4.1.3, or a HelloRetryRequest (4.1.4).
type serverHello struct {
	version     uint16
	random      []byte
	sessionID   []byte
	suite       Suite
	compression uint8
	retry       bool
	ext         serverExtensions
}

func (m *serverHello) decode(body []byte) error {
	r := reader{b: body}
	m.version = r.u16()
	m.random = r.bytes(32)
	m.sessionID = r.vec8()
	m.suite = Suite(r.u16())
	m.compression = r.u8()
	if r.bad || len(m.sessionID) > 32 {
		return fail(AlertDecodeError, "malformed ServerHello")
	}
	m.retry = [32]byte(m.random) == helloRetry
	if len(r.b) == 0 {
		return nil // a server older than TLS 1.3, as will be found later
	}
	exts := r.vec16()
	if !r.done() {
		return fail(AlertDecodeError, "malformed ServerHello")
	}
	return m.ext.decode(exts, m.retry)
}

func (m *serverHello) append(b []byte) []byte {
	b, at := open24(append(b, typeServerHello))
	b = put16(b, m.version)
	b = append(b, m.random...)
	b = putVec8(b, m.sessionID)
	b = put16(b, uint16(m.suite))
	b = append(b, m.compression)
	b = m.ext.append(b, m.retry)
	close24(b, at)
	return b
}

// An encryptedExtensions is that of section 4.3.1.
type encryptedExtensions struct {
	alpn        []byte // one protocol name, or nil
	serverName  bool   // the server used the name
	groups      bool   // supported_groups was sent; nothing is made of it
	recordLimit int    // 0: absent
	others      []Extension
}

func (m *encryptedExtensions) decode(body []byte) error {
	r := reader{b: body}
	exts := r.vec16()
	if !r.done() {
		return fail(AlertDecodeError, "malformed EncryptedExtensions")
	}
	return eachExtension(exts, func(typ ExtensionType, data []byte) error {
		e := reader{b: data}
		switch typ {
		case extServerName:
			m.serverName = true
		case extALPN:
			list := reader{b: e.vec16()}
			m.alpn = list.vec8()
			if !list.done() || len(m.alpn) == 0 {
				return malformed(typ)
			}
		case extSupportedGroups:
			m.groups = true
			if l := e.vec16(); len(l) == 0 || len(l)%2 != 0 {
				return malformed(typ)
			}
		case extRecordSizeLimit:
			m.recordLimit = int(e.u16())
			if !e.bad && m.recordLimit < minRecordSize {
				return fail(AlertIllegalParameter, "record_size_limit of %d", m.recordLimit)
			}
		default:
			m.others = append(m.others, Extension{typ, data})
			return nil
		}
		if !e.done() {
			return malformed(typ)
		}
		return nil
	})
}

func (m *encryptedExtensions) append(b []byte) []byte {
	b, at := open24(append(b, typeEncryptedExtensions))
	b, exts := open16(b)
	if m.serverName {
		b = put16(put16(b, uint16(extServerName)), 0)
	}
	if m.alpn != nil {
		b = put16(b, uint16(extALPN))
		b = put16(b, uint16(len(m.alpn)+3))
		b = put16(b, uint16(len(m.alpn)+1))
		b = putVec8(b, m.alpn)
	}
	if m.recordLimit != 0 {
		b = put16(put16(b, uint16(extRecordSizeLimit)), 2)
		b = put16(b, uint16(m.recordLimit))
	}
	b = appendExtensions(b, m.others)
	close16(b, exts)
	close24(b, at)
	return b
}

// A certificateRequest is that of section 4.3.2.
type certificateRequest struct {
	context     []byte
	schemes     u16s
	authorities [][]byte // DER of distinguished names
}

func (m *certificateRequest) decode(body []byte) error {
	r := reader{b: body}
	m.context = r.vec8()
	exts := r.vec16()
	if !r.done() {
		return fail(AlertDecodeError, "malformed CertificateRequest")
	}
	err := eachExtension(exts, func(typ ExtensionType, data []byte) error {
		e := reader{b: data}
		switch typ {
		case extSignatureAlgorithms:
			m.schemes = u16s(e.vec16())
			if len(m.schemes) == 0 || len(m.schemes)%2 != 0 {
				return malformed(typ)
			}
		case extCertificateAuthorities:
			list := reader{b: e.vec16()}
			for list.more() {
				m.authorities = append(m.authorities, list.vec16())
			}
			if !list.done() || len(m.authorities) == 0 {
				return malformed(typ)
			}
		default:
			return nil // section 4.3.2: unknown ones are ignored
		}
		if !e.done() {
			return malformed(typ)
		}
		return nil
	})
	if err == nil && m.schemes == nil {
		err = fail(AlertMissingExtension, "CertificateRequest without signature_algorithms")
	}
	return err
}

func (m *certificateRequest) append(b []byte) []byte {
	b, at := open24(append(b, typeCertificateRequest))
	b = putVec8(b, m.context)
	b, exts := open16(b)
	b = put16(b, uint16(extSignatureAlgorithms))
	b, ext := open16(b)
	b = putVec16(b, m.schemes)
	close16(b, ext)
	if len(m.authorities) > 0 {
		b = put16(b, uint16(extCertificateAuthorities))
		var list int
		b, ext = open16(b)
		b, list = open16(b)
		for _, a := range m.authorities {
			b = putVec16(b, a)
		}
		close16(b, list)
		close16(b, ext)
	}
	close16(b, exts)
	close24(b, at)
	return b
}

// A certificate is the Certificate message of section 4.4.2.
type certificate struct {
	context []byte
	chain   [][]byte // DER, the end entity first
}

// maxChain is the number of certificates we take from a peer.
const maxChain = 16

func (m *certificate) decode(body []byte) error {
	r := reader{b: body}
	m.context = r.vec8()
	list := reader{b: r.vec24()}
	if !r.done() {
		return fail(AlertDecodeError, "malformed Certificate")
	}
	for list.more() {
		der, exts := list.vec24(), list.vec16()
		if list.bad || len(der) == 0 {
			return fail(AlertDecodeError, "malformed Certificate")
		}
		// We ask for nothing that could be answered here, neither OCSP
		// nor SCTs, and an answer without a question is an error (4.2).
		err := eachExtension(exts, func(typ ExtensionType, _ []byte) error {
			return fail(AlertUnsupportedExtension, "%v in Certificate was not asked for", typ)
		})
		if err != nil {
			return err
		}
		if m.chain = append(m.chain, der); len(m.chain) > maxChain {
			return fail(AlertBadCertificate, "more than %d certificates", maxChain)
		}
	}
	if !list.done() {
		return fail(AlertDecodeError, "malformed Certificate")
	}
	return nil
}

func (m *certificate) append(b []byte) []byte {
	b, at := open24(append(b, typeCertificate))
	b = putVec8(b, m.context)
	b, list := open24(b)
	for _, der := range m.chain {
		b = putVec24(b, der)
		b = put16(b, 0)
	}
	close24(b, list)
	close24(b, at)
	return b
}

// A certificateVerify is that of section 4.4.3.
type certificateVerify struct {
	scheme    SignatureScheme
	signature []byte
}

func (m *certificateVerify) decode(body []byte) error {
	r := reader{b: body}
	m.scheme = SignatureScheme(r.u16())
	m.signature = r.vec16()
	if !r.done() {
		return fail(AlertDecodeError, "malformed CertificateVerify")
	}
	return nil
}

func (m *certificateVerify) append(b []byte) []byte {
	b, at := open24(append(b, typeCertificateVerify))
	b = put16(b, uint16(m.scheme))
	b = putVec16(b, m.signature)
	close24(b, at)
	return b
}

// A finished is that of section 4.4.4. Its length depends on the hash, and is
// checked where it is compared.
type finished struct{ verify []byte }

func (m *finished) decode(body []byte) error {
	m.verify = body
	return nil
}

func (m *finished) append(b []byte) []byte {
	return putVec24(append(b, typeFinished), m.verify)
}

// A newSessionTicket is that of section 4.6.1.
type newSessionTicket struct {
	lifetime uint32 // seconds
	ageAdd   uint32
	nonce    []byte
	ticket   []byte
	others   []Extension
}

// maxLifetime is the longest that a ticket may live: seven days, in seconds.
const maxLifetime = 7 * 24 * 60 * 60

func (m *newSessionTicket) decode(body []byte) error {
	r := reader{b: body}
	m.lifetime = r.u32()
	m.ageAdd = r.u32()
	m.nonce = r.vec8()
	m.ticket = r.vec16()
	exts := r.vec16()
	if !r.done() || len(m.ticket) == 0 {
		return fail(AlertDecodeError, "malformed NewSessionTicket")
	}
	if m.lifetime > maxLifetime {
		return fail(AlertIllegalParameter, "ticket lifetime of %d s", m.lifetime)
	}
	return eachExtension(exts, func(typ ExtensionType, data []byte) error {
		if typ == extEarlyData {
			// max_early_data_size; we send none, whatever it says.
			if len(data) != 4 {
				return malformed(typ)
			}
			return nil
		}
		m.others = append(m.others, Extension{typ, data})
		return nil
	})
}

func (m *newSessionTicket) append(b []byte) []byte {
	b, at := open24(append(b, typeNewSessionTicket))
	b = put32(b, m.lifetime)
	b = put32(b, m.ageAdd)
	b = putVec8(b, m.nonce)
	b = putVec16(b, m.ticket)
	b, exts := open16(b)
	b = appendExtensions(b, m.others)
	close16(b, exts)
	close24(b, at)
	return b
}

// A keyUpdate is that of section 4.6.3.
type keyUpdate struct{ request bool }

func (m *keyUpdate) decode(body []byte) error {
	if len(body) != 1 {
		return fail(AlertDecodeError, "malformed KeyUpdate")
	}
	if body[0] > 1 {
		return fail(AlertIllegalParameter, "KeyUpdate request of %d", body[0])
	}
	m.request = body[0] == 1
	return nil
}

func (m *keyUpdate) append(b []byte) []byte {
	b = append(b, typeKeyUpdate, 0, 0, 1)
	if m.request {
		return append(b, 1)
	}
	return append(b, 0)
}
