package tls13

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"
)

// NewClient starts a client; its ClientHello waits in Output. The Config must
// not be changed until the handshake is over.
func NewClient(cfg *Config) (*Engine, error) {
	if err := cfg.check(true); err != nil {
		return nil, fmt.Errorf("tls13: config: %w", err)
	}
	e := newEngine(cfg, true)
	hs := &clientHandshake{}
	if err := hs.start(e); err != nil {
		return nil, fmt.Errorf("tls13: start client: %w", err)
	}
	e.state = expectServerHello{hs}
	return e, nil
}

// clientHandshake is what a client remembers until its handshake is over.
type clientHandshake struct {
	hello     clientHello
	raw       []byte // the ClientHello, as sent
	keys      keyExchange
	session   *Session // offered; nil: none
	now       time.Time
	retried   bool
	clientHS  secret
	serverHS  secret
	ccsToSend bool

	request *certificateRequest // nil: no client certificate was asked for
	pub     crypto.PublicKey    // of the server
	pssID   bool
}

func (hs *clientHandshake) start(e *Engine) error {
	cfg, random := e.cfg, e.cfg.random()
	if _, err := io.ReadFull(random, e.random[:]); err != nil {
		return err
	}
	h := &hs.hello
	h.random = e.random[:]
	if !cfg.NoCompat {
		h.sessionID = make([]byte, 32)
		if _, err := io.ReadFull(random, h.sessionID); err != nil {
			return err
		}
		hs.ccsToSend = true
	}
	h.suites = wireList(cfg.suites())
	h.compression = []byte{0}
	x := &h.ext
	x.serverName = sniName(cfg.ServerName)
	x.groups = wireList(cfg.groups())
	x.schemes = wireList(cfg.schemes())
	for _, p := range cfg.NextProtos {
		x.alpn = putVec8(x.alpn, []byte(p))
	}
	x.versions = u16s{version13 >> 8, version13 & 0xff}
	x.pskModes = []byte{1} // psk_dhe_ke
	x.recordLimit = cfg.RecordSizeLimit
	x.others = cfg.Extensions
	x.hasShares = true
	if cfg.RecordSizeLimit != 0 {
		e.in.limit = cfg.RecordSizeLimit
	}

	first := cfg.groups()[0]
	var err error
	if x.shares, err = hs.keys.generate(random, first, nil); err != nil {
		return err
	}
	if first == X25519MLKEM768 && x.groups.has(uint16(X25519)) {
		if x.shares, err = hs.keys.generate(random, X25519, x.shares); err != nil {
			return err
		}
	}
	e.in.allowCCS = true
	hs.now = cfg.now()
	if cfg.Session != nil && cfg.Session.usable(cfg, hs.now) {
		hs.session = cfg.Session
	}
	e.st.ServerName = strings.ToLower(string(x.serverName))
	return hs.send(e)
}

// sniName is the name as server_name wants it (RFC 6066, section 3): no
// address, no trailing dot. nil: there is none to send.
func sniName(name string) []byte {
	name = strings.TrimSuffix(name, ".")
	if name == "" {
		return nil
	}
	if _, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
		return nil
	}
	return []byte(name)
}

// send queues the ClientHello. Its binder covers all before the binders, and
// in a second one, the first and the HelloRetryRequest.
func (hs *clientHandshake) send(e *Engine) error {
	x := &hs.hello.ext
	x.identities, x.binders = nil, nil
	var s *schedule
	if hs.session != nil {
		s = newSchedule(hs.session.Suite.params())
		age := uint32(hs.now.Sub(hs.session.Received)/time.Millisecond) + hs.session.ageAdd
		x.identities = []pskIdentity{{hs.session.ticket, age}}
		x.binders = [][]byte{make([]byte, s.suite.hashLen)}
	}
	hs.raw = hs.hello.append(make([]byte, 0, 512))
	if hs.session != nil {
		n := s.suite.hashLen
		covered := hs.raw[:len(hs.raw)-n-3] // less length of list, length of binder, binder
		s.extractEarly(hs.session.psk[:n])
		key := s.binderKey()
		var first transcript
		script := &first
		if hs.retried {
			script = &e.script
		} else {
			first.init(s.suite)
		}
		script.add(covered)
		binder := s.finished(&key, script.sum())
		copy(hs.raw[len(hs.raw)-n:], binder[:n])
		script.add(hs.raw[len(covered):])
	}
	if hs.retried {
		if hs.session == nil {
			e.script.add(hs.raw)
		}
		hs.sendCCS(e)
	}
	return e.out.send(recordHandshake, hs.raw)
}

// sendCCS makes the handshake look like a resumption of TLS 1.2 to middleboxes
// (appendix D.4), once.
func (hs *clientHandshake) sendCCS(e *Engine) {
	if hs.ccsToSend {
		hs.ccsToSend = false
		e.out.out = append(e.out.out, changeCipherSpec...)
	}
}

var changeCipherSpec = []byte{byte(recordChangeCipherSpec), 3, 3, 0, 1, 1}

// expectServerHello expects a ServerHello, or, the first time, a
// HelloRetryRequest.
type expectServerHello struct{ *clientHandshake }

func (hs expectServerHello) handle(e *Engine, typ uint8, body, raw []byte) (state, error) {
	if typ != typeServerHello {
		return unexpected(typ, "ServerHello")
	}
	var m serverHello
	if err := m.decode(body); err != nil {
		return nil, err
	}
	if err := hs.checkHello(e, &m); err != nil {
		return nil, err
	}
	if m.retry {
		return hs.retry(e, &m, raw)
	}
	return hs.serverHello(e, &m, raw)
}

// checkHello checks what a ServerHello and a HelloRetryRequest share.
func (hs *clientHandshake) checkHello(e *Engine, m *serverHello) error {
	x := &m.ext
	if x.version == 0 || x.version != version13 {
		return fail(AlertProtocolVersion, "the server does not speak TLS 1.3")
	}
	if m.version != legacyVersion {
		return fail(AlertIllegalParameter, "legacy_version of %#04x", m.version)
	}
	if !bytes.Equal(m.sessionID, hs.hello.sessionID) {
		return fail(AlertIllegalParameter, "the server did not echo the session id")
	}
	if m.compression != 0 {
		return fail(AlertIllegalParameter, "compression method %d", m.compression)
	}
	p := m.suite.params()
	if p == nil || !hs.hello.suites.has(uint16(m.suite)) {
		return fail(AlertIllegalParameter, "the server chose %v, which was not offered", m.suite)
	}
	for _, o := range x.others {
		return hs.notHere(o.Type)
	}
	switch {
	case e.suite == nil:
		e.setSuite(p)
		e.script.add(hs.raw)
	case e.suite != p:
		return fail(AlertIllegalParameter, "the server chose %v after %v", m.suite, e.suite.id)
	}
	return nil
}

// notHere is the error for an extension that does not belong into a message:
// what was not offered is unsupported_extension, what was offered but belongs
// elsewhere is illegal_parameter (section 4.2).
func (hs *clientHandshake) notHere(typ ExtensionType) error {
	if hs.offered(typ) {
		return fail(AlertIllegalParameter, "%v in the wrong message", typ)
	}
	return fail(AlertUnsupportedExtension, "%v was not offered", typ)
}

func (hs *clientHandshake) offered(typ ExtensionType) bool {
	x := &hs.hello.ext
	switch typ {
	case extSupportedGroups, extSignatureAlgorithms, extSupportedVersions, extKeyShare, extPSKModes:
		return true
	case extServerName:
		return x.serverName != nil
	case extALPN:
		return x.alpn != nil
	case extRecordSizeLimit:
		return x.recordLimit != 0
	case extPreSharedKey:
		return hs.session != nil
	case extCookie:
		return true // not offered, but a server may send one, elsewhere
	}
	_, ok := findExtension(x.others, typ)
	return ok
}

// retry answers a HelloRetryRequest (section 4.1.4).
func (hs *clientHandshake) retry(e *Engine, m *serverHello, raw []byte) (state, error) {
	if hs.retried {
		return nil, fail(AlertUnexpectedMessage, "a second HelloRetryRequest")
	}
	if e.in.between() {
		return nil, fail(AlertUnexpectedMessage, "handshake messages behind a HelloRetryRequest")
	}
	hs.retried, e.st.Retried = true, true
	e.script.retried()
	e.script.add(raw)

	x := &hs.hello.ext
	if !m.ext.hasShare && m.ext.cookie == nil {
		return nil, fail(AlertIllegalParameter, "HelloRetryRequest that asks for no change")
	}
	if m.ext.hasShare {
		g := m.ext.share.group
		if !x.groups.has(uint16(g)) {
			return nil, fail(AlertIllegalParameter, "the server asks for %v, which was not offered", g)
		}
		if x.share(g) != nil {
			return nil, fail(AlertIllegalParameter, "the server asks for %v, which it has", g)
		}
		var err error
		hs.keys = keyExchange{}
		if x.shares, err = hs.keys.generate(e.cfg.random(), g, nil); err != nil {
			return nil, failWith(AlertInternalError, err)
		}
	}
	x.cookie = append([]byte(nil), m.ext.cookie...)
	if hs.session != nil && hs.session.Suite.params().hashLen != e.suite.hashLen {
		hs.session = nil
	}
	if err := hs.send(e); err != nil {
		return nil, err
	}
	return expectServerHello{hs}, nil
}

// serverHello takes the handshake keys into use.
func (hs *clientHandshake) serverHello(e *Engine, m *serverHello, raw []byte) (state, error) {
	x := &m.ext
	if !x.hasShare {
		// psk_ke is not offered, so there is always an exchange.
		return nil, fail(AlertMissingExtension, "ServerHello without key_share")
	}
	g := x.share.group
	if hs.hello.ext.share(g) == nil {
		return nil, fail(AlertIllegalParameter, "the server chose %v, for which there is no share", g)
	}
	e.st.Group = g
	if x.hasPSK {
		if hs.session == nil {
			return nil, fail(AlertUnsupportedExtension, "the server chose a PSK, and none was offered")
		}
		if x.psk != 0 || hs.session.Suite.params().hashLen != e.suite.hashLen {
			return nil, fail(AlertIllegalParameter, "the server chose PSK %d with %v, which does not go together", x.psk, m.suite)
		}
		e.st.Resumed = true
		e.st.PeerCertificates, e.st.VerifiedChains = hs.session.peer, hs.session.chains
		e.sch.extractEarly(hs.session.psk[:e.suite.hashLen])
	} else {
		e.sch.extractEarly(nil)
	}
	e.script.add(raw)
	shared, err := hs.keys.secret(g, x.share.data)
	if err != nil {
		return nil, &Error{AlertIllegalParameter, fmt.Errorf("the server's share for %v: %w", g, err)}
	}
	hs.clientHS, hs.serverHS = e.handshakeSecrets(shared)
	if err := e.installRead(e.sch, &hs.serverHS); err != nil {
		return nil, err
	}
	hs.sendCCS(e)
	if err := e.installWrite(&hs.clientHS); err != nil {
		return nil, err
	}
	return expectEncryptedExtensions{hs}, nil
}

type expectEncryptedExtensions struct{ *clientHandshake }

func (hs expectEncryptedExtensions) handle(e *Engine, typ uint8, body, raw []byte) (state, error) {
	if typ != typeEncryptedExtensions {
		return unexpected(typ, "EncryptedExtensions")
	}
	var m encryptedExtensions
	if err := m.decode(body); err != nil {
		return nil, err
	}
	e.script.add(raw)
	x := &hs.hello.ext
	if m.serverName && x.serverName == nil {
		return nil, hs.notHere(extServerName)
	}
	if m.alpn != nil {
		if x.alpn == nil {
			return nil, hs.notHere(extALPN)
		}
		for _, p := range e.cfg.NextProtos {
			if p == string(m.alpn) {
				e.st.ALPN = p
			}
		}
		if e.st.ALPN == "" {
			return nil, fail(AlertIllegalParameter, "the server chose the protocol %q, which was not offered", m.alpn)
		}
	}
	if m.recordLimit != 0 {
		if x.recordLimit == 0 {
			return nil, hs.notHere(extRecordSizeLimit)
		}
		e.out.content = min(m.recordLimit, maxInner) - 1
	}
	for _, o := range m.others {
		if _, ok := findExtension(x.others, o.Type); !ok {
			return nil, hs.notHere(o.Type)
		}
	}
	e.st.Extensions = cloneExtensions(m.others)
	if e.st.Resumed {
		return expectServerFinished(hs), nil
	}
	return expectCertificateOrRequest(hs), nil
}

type expectCertificateOrRequest struct{ *clientHandshake }

func (hs expectCertificateOrRequest) handle(e *Engine, typ uint8, body, raw []byte) (state, error) {
	if typ != typeCertificateRequest {
		return expectCertificate(hs).handle(e, typ, body, raw)
	}
	m := new(certificateRequest)
	if err := m.decode(append([]byte(nil), body...)); err != nil { // kept until the server's Finished
		return nil, err
	}
	if len(m.context) != 0 {
		return nil, fail(AlertIllegalParameter, "CertificateRequest with a context")
	}
	e.script.add(raw)
	hs.request = m
	return expectCertificate(hs), nil
}

type expectCertificate struct{ *clientHandshake }

func (hs expectCertificate) handle(e *Engine, typ uint8, body, raw []byte) (state, error) {
	if typ != typeCertificate {
		return unexpected(typ, "Certificate")
	}
	var m certificate
	if err := m.decode(body); err != nil {
		return nil, err
	}
	if len(m.context) != 0 {
		return nil, fail(AlertIllegalParameter, "the server's Certificate has a context")
	}
	if len(m.chain) == 0 {
		return nil, fail(AlertDecodeError, "the server's Certificate is empty")
	}
	chain, err := parseChain(m.chain)
	if err != nil {
		return nil, err
	}
	if hs.pub, hs.pssID, err = checkPeerKey(chain[0]); err != nil {
		return nil, err
	}
	e.script.add(raw)
	e.st.PeerCertificates = chain
	return expectCertificateVerify(hs), nil
}

type expectCertificateVerify struct{ *clientHandshake }

func (hs expectCertificateVerify) handle(e *Engine, typ uint8, body, raw []byte) (state, error) {
	if typ != typeCertificateVerify {
		return unexpected(typ, "CertificateVerify")
	}
	if err := e.verifyPeer(body, hs.pub, hs.pssID, serverContext); err != nil {
		return nil, err
	}
	e.script.add(raw)
	if e.cfg.InsecureSkipVerify {
		return expectServerFinished(hs), nil
	}
	chains, err := verifyChain(e.st.PeerCertificates, x509.VerifyOptions{
		Roots:       e.cfg.RootCAs,
		DNSName:     e.cfg.ServerName,
		CurrentTime: hs.now,
	})
	if err != nil {
		return nil, err
	}
	e.st.VerifiedChains = chains
	return expectServerFinished(hs), nil
}

// verifyPeer checks a CertificateVerify against the transcript so far.
func (e *Engine) verifyPeer(body []byte, pub crypto.PublicKey, pssID bool, context string) error {
	var m certificateVerify
	if err := m.decode(body); err != nil {
		return err
	}
	if !containsScheme(e.cfg.schemes(), m.scheme) || !m.scheme.suits(pub, pssID) {
		return fail(AlertIllegalParameter, "the peer signed by %v, which was not offered, or does not suit its key", m.scheme)
	}
	if err := m.scheme.verify(pub, context, e.script.sum(), m.signature); err != nil {
		return &Error{AlertDecryptError, fmt.Errorf("CertificateVerify: %w", err)}
	}
	e.st.Scheme = m.scheme
	return nil
}

type expectServerFinished struct{ *clientHandshake }

func (hs expectServerFinished) handle(e *Engine, typ uint8, body, raw []byte) (state, error) {
	if typ != typeFinished {
		return unexpected(typ, "Finished")
	}
	if !e.sch.verifyFinished(&hs.serverHS, e.script.sum(), body) {
		return nil, fail(AlertDecryptError, "the server's Finished does not verify")
	}
	if e.in.between() {
		return nil, fail(AlertUnexpectedMessage, "handshake messages behind the server's Finished")
	}
	e.script.add(raw)
	client, server := e.trafficSecrets()
	if err := e.confirm(); err != nil {
		return nil, err
	}
	flight, err := hs.flight(e)
	if err != nil {
		return nil, err
	}
	if err := e.out.send(recordHandshake, flight); err != nil {
		return nil, err
	}
	if err := e.installRead(e.sch, &server); err != nil {
		return nil, err
	}
	if err := e.installWrite(&client); err != nil {
		return nil, err
	}
	return e.connected()
}

// flight is the client's second flight.
func (hs *clientHandshake) flight(e *Engine) ([]byte, error) {
	var b []byte
	if hs.request != nil {
		cert, scheme := hs.choose(e)
		if cert == nil {
			b = (&certificate{}).append(b)
			e.script.add(b)
		} else {
			b = append(b, cert.encoded...)
			e.script.add(b)
			sig, err := scheme.sign(e.cfg.random(), cert.key, clientContext, e.script.sum())
			if err != nil {
				return nil, &Error{AlertInternalError, fmt.Errorf("sign: %w", err)}
			}
			at := len(b)
			b = (&certificateVerify{scheme, sig}).append(b)
			e.script.add(b[at:])
		}
	}
	at := len(b)
	verify := e.sch.finished(&hs.clientHS, e.script.sum())
	b = (&finished{verify[:e.suite.hashLen]}).append(b)
	e.script.add(b[at:])
	return b, nil
}

// choose picks the first certificate that the server's request fits.
func (hs *clientHandshake) choose(e *Engine) (*Certificate, SignatureScheme) {
	for _, c := range e.cfg.Certificates {
		s := c.scheme(hs.request.schemes, e.cfg.schemes())
		if s != signatureSchemeUnknown && issuedBy(c, hs.request.authorities) {
			return c, s
		}
	}
	return nil, signatureSchemeUnknown
}

// issuedBy reports whether one of the authorities issued a certificate of the
// chain; no authorities allow all.
func issuedBy(c *Certificate, authorities [][]byte) bool {
	if len(authorities) == 0 {
		return true
	}
	for i, der := range c.chain {
		cert := c.leaf
		if i > 0 {
			var err error
			if cert, err = x509.ParseCertificate(der); err != nil {
				return false
			}
		}
		for _, a := range authorities {
			if bytes.Equal(cert.RawIssuer, a) {
				return true
			}
		}
	}
	return false
}
