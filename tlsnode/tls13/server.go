package tls13

import (
	"bytes"
	"crypto"
	"crypto/subtle"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// NewServer makes a server, which waits for a ClientHello. The Config must not
// be changed until the handshake is over.
func NewServer(cfg *Config) (*Engine, error) {
	if err := cfg.check(false); err != nil {
		return nil, fmt.Errorf("tls13: config: %w", err)
	}
	e := newEngine(cfg, false)
	e.state = expectClientHello{}
	return e, nil
}

// serverHandshake is what a server remembers until its handshake is over.
type serverHandshake struct {
	first    []byte // the first ClientHello, if it was retried
	group    Group
	asked    bool // for a share of group
	cookie   []byte
	ticket   *Ticket // that is resumed
	identity int     // its place in the list
	now      time.Time
	ccsSent  bool

	clientHS secret
	client   secret // application traffic
	pub      crypto.PublicKey
	pssID    bool
}

type expectClientHello struct{}

func (expectClientHello) handle(e *Engine, typ uint8, body, raw []byte) (state, error) {
	if typ != typeClientHello {
		return unexpected(typ, "ClientHello")
	}
	return (&serverHandshake{}).clientHello(e, body, raw)
}

// expectSecondClientHello expects the answer to a HelloRetryRequest.
type expectSecondClientHello struct{ *serverHandshake }

func (hs expectSecondClientHello) handle(e *Engine, typ uint8, body, raw []byte) (state, error) {
	if typ != typeClientHello {
		return unexpected(typ, "second ClientHello")
	}
	return hs.clientHello(e, body, raw)
}

// clientHello is the server's part of the handshake, but for the client's last
// flight.
func (hs *serverHandshake) clientHello(e *Engine, body, raw []byte) (state, error) {
	var m clientHello
	if err := m.decode(body); err != nil {
		return nil, err
	}
	x := &m.ext
	if !x.versions.has(version13) {
		return nil, fail(AlertProtocolVersion, "the client does not speak TLS 1.3")
	}
	if len(m.compression) != 1 || m.compression[0] != 0 {
		return nil, fail(AlertIllegalParameter, "the client offers compression")
	}
	if e.in.between() {
		return nil, fail(AlertUnexpectedMessage, "handshake messages behind a ClientHello")
	}
	retried := hs.first != nil
	if retried {
		e.in.skipEarly = 0
		if err := hs.checkSecond(&m, raw); err != nil {
			return nil, err
		}
	} else {
		e.in.allowCCS = true
		copy(e.random[:], m.random)
	}
	e.st.ServerName = strings.ToLower(string(x.serverName))
	hello := &lazyHello{m: &m, retried: retried}
	if !retried && e.cfg.GetConfig != nil {
		cfg, err := e.cfg.GetConfig(hello.get())
		if err != nil {
			return nil, failWith(AlertAccessDenied, err)
		}
		if cfg != nil {
			cfg.apply(e)
			if err := cfg.check(false); err != nil {
				return nil, failWith(AlertInternalError, err)
			}
		}
	}
	cfg := e.cfg
	hs.now = cfg.now()

	// Without a pre-shared key all three are needed, and we never do without
	// an exchange (section 9.2).
	if x.groups == nil || !x.hasShares {
		return nil, fail(AlertMissingExtension, "ClientHello without supported_groups or key_share")
	}
	if len(x.identities) > 0 && x.pskModes == nil {
		return nil, fail(AlertMissingExtension, "pre_shared_key without psk_key_exchange_modes")
	}
	for _, s := range x.shares {
		if !x.groups.has(uint16(s.group)) {
			return nil, fail(AlertIllegalParameter, "share for %v, which is not in supported_groups", s.group)
		}
	}
	e.pskModes = bytes.IndexByte(x.pskModes, 1) >= 0

	hs.findTicket(e, &m)
	suite := hs.chooseSuite(e, &m)
	if suite == nil {
		return nil, fail(AlertHandshakeFailure, "no cipher suite in common")
	}
	if hs.ticket != nil && hs.ticket.Suite.params().hashLen != suite.hashLen {
		hs.ticket, e.st.VerifiedChains = nil, nil
	}
	if !retried {
		e.setSuite(suite)
	}
	share, err := hs.chooseGroup(e, x)
	if err != nil {
		return nil, err
	}
	if share == nil || cfg.Cookie && !retried {
		return hs.retry(e, &m, raw)
	}

	if err := hs.checkBinder(e, &m, raw); err != nil {
		return nil, err
	}
	if hs.ticket != nil && cfg.AcceptTicket != nil {
		ok, err := cfg.AcceptTicket(hello.get(), hs.ticket)
		if err != nil {
			return nil, failWith(AlertAccessDenied, err)
		}
		if !ok {
			hs.ticket, e.st.VerifiedChains = nil, nil
		}
	}
	var cert *Certificate
	var scheme SignatureScheme
	if hs.ticket == nil {
		if cert, scheme, err = hs.chooseCertificate(e, x, hello); err != nil {
			return nil, err
		}
	}
	if err := hs.chooseALPN(e, x); err != nil {
		return nil, err
	}
	e.st.Extensions = cloneExtensions(x.others)
	return hs.answer(e, &m, share, cert, scheme)
}

// apply makes the replacement of GetConfig the connection's.
func (c *Config) apply(e *Engine) {
	e.cfg = c
	e.out.padTo = c.PadTo
}

// A lazyHello is made into what hooks are shown only if there is a hook.
type lazyHello struct {
	m       *clientHello
	retried bool
	hello   *ClientHello
}

func (l *lazyHello) get() *ClientHello {
	if l.hello == nil {
		l.hello = newClientHello(l.m, l.retried)
	}
	return l.hello
}

// checkSecond checks that a second ClientHello changed nothing but what
// section 4.1.2 allows: a new share, no early data, the cookie, the PSK and
// its binders, padding.
func (hs *serverHandshake) checkSecond(m *clientHello, raw []byte) error {
	if m.ext.earlyData {
		return fail(AlertIllegalParameter, "early_data in the second ClientHello")
	}
	if subtle.ConstantTimeCompare(m.ext.cookie, hs.cookie) != 1 {
		return fail(AlertIllegalParameter, "the cookie did not come back")
	}
	if m.ext.share(hs.group) == nil || hs.asked && len(m.ext.shares) != 1 {
		return fail(AlertIllegalParameter, "the second ClientHello does not have the share that was asked for, and no other")
	}
	before, after := unchangeable(hs.first), unchangeable(raw)
	if !bytes.Equal(before, after) {
		return fail(AlertIllegalParameter, "the second ClientHello differs in what must not change")
	}
	return nil
}

// unchangeable is a ClientHello, well-formed already, without what may change.
func unchangeable(raw []byte) []byte {
	r := reader{b: raw[4:]}
	r.bytes(2 + 32)
	r.vec8()
	r.vec16()
	r.vec8()
	out := append([]byte(nil), raw[4:len(raw)-len(r.b)]...)
	exts := reader{b: r.vec16()}
	for exts.more() {
		typ, data := exts.u16(), exts.vec16()
		switch ExtensionType(typ) {
		case extKeyShare, extEarlyData, extCookie, extPreSharedKey, extPadding:
		default:
			out = putVec16(put16(out, typ), data)
		}
	}
	return out
}

// findTicket takes the first identity that opens, is alive, and was for the
// same name and the same demands.
func (hs *serverHandshake) findTicket(e *Engine, m *clientHello) {
	hs.ticket, e.st.VerifiedChains = nil, nil
	if !e.pskModes || e.cfg.TicketKeys == nil || len(m.ext.identities) == 0 {
		return
	}
	keys := e.cfg.TicketKeys()
	for i, id := range m.ext.identities {
		plain, ok := keys.open(id.label)
		if !ok {
			continue
		}
		t := new(Ticket)
		if !t.decode(plain) || !t.live(hs.now) || t.ServerName != e.st.ServerName || !hs.clientStillGood(e, t) {
			continue
		}
		hs.ticket, hs.identity = t, i
		return
	}
}

// clientStillGood judges the client certificate in a ticket anew: the demands,
// the authorities or the time may have changed since.
func (hs *serverHandshake) clientStillGood(e *Engine, t *Ticket) bool {
	if len(t.chain) == 0 {
		return e.cfg.ClientAuth != RequireClientCert
	}
	if e.cfg.ClientAuth == NoClientCert {
		return false
	}
	chain, err := parseChain(t.chain)
	if err != nil {
		return false
	}
	chains, err := verifyChain(chain, e.clientVerify(hs.now))
	if err != nil {
		return false
	}
	t.PeerCertificates = chain
	e.st.VerifiedChains = chains
	return true
}

func (e *Engine) clientVerify(now time.Time) x509.VerifyOptions {
	roots := e.cfg.ClientCAs
	if roots == nil {
		roots = x509.NewCertPool() // nil would mean the system's
	}
	return x509.VerifyOptions{
		Roots:       roots,
		CurrentTime: now,
		KeyUsages:   []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
}

// chooseSuite prefers the suite of the ticket, if both have it.
func (hs *serverHandshake) chooseSuite(e *Engine, m *clientHello) *suiteParams {
	if e.suite != nil {
		return e.suite // fixed by HelloRetryRequest, and still offered
	}
	var best *suiteParams
	for _, s := range e.cfg.suites() {
		if !m.suites.has(uint16(s)) {
			continue
		}
		if hs.ticket != nil && hs.ticket.Suite == s {
			return s.params()
		}
		if best == nil {
			best = s.params()
		}
	}
	return best
}

// chooseGroup returns the client's share for our first group that it sent one
// for, or nil, with hs.group the one to ask for.
func (hs *serverHandshake) chooseGroup(e *Engine, x *clientExtensions) ([]byte, error) {
	if hs.first != nil {
		return x.share(hs.group), nil
	}
	for _, g := range e.cfg.groups() {
		if share := x.share(g); share != nil {
			hs.group = g
			return share, nil
		}
	}
	for _, g := range e.cfg.groups() {
		if x.groups.has(uint16(g)) {
			hs.group = g
			return nil, nil
		}
	}
	return nil, fail(AlertHandshakeFailure, "no group in common")
}

// retry sends a HelloRetryRequest.
func (hs *serverHandshake) retry(e *Engine, m *clientHello, raw []byte) (state, error) {
	hs.first = append([]byte(nil), raw...)
	e.st.Retried = true
	e.script.add(raw)
	e.script.retried()
	r := serverHello{
		version:   legacyVersion,
		random:    helloRetry[:],
		sessionID: m.sessionID,
		suite:     e.suite.id,
		retry:     true,
	}
	r.ext.version = version13
	if m.ext.share(hs.group) == nil {
		hs.asked = true
		r.ext.hasShare, r.ext.share.group = true, hs.group
	}
	if e.cfg.Cookie {
		hs.cookie = make([]byte, 32)
		if _, err := io.ReadFull(e.cfg.random(), hs.cookie); err != nil {
			return nil, &Error{AlertInternalError, err}
		}
		r.ext.cookie = hs.cookie
	}
	b := r.append(nil)
	e.script.add(b)
	if err := e.out.send(recordHandshake, b); err != nil {
		return nil, err
	}
	hs.sendCCS(e, m)
	if m.ext.earlyData {
		e.in.skipEarly = maxSkippedEarly
	}
	return expectSecondClientHello{hs}, nil
}

// sendCCS answers a client in middlebox compatibility mode (appendix D.4).
func (hs *serverHandshake) sendCCS(e *Engine, m *clientHello) {
	if len(m.sessionID) > 0 && !hs.ccsSent {
		hs.ccsSent = true
		e.out.out = append(e.out.out, changeCipherSpec...)
	}
}

// checkBinder adds the ClientHello to the transcript and starts the schedule.
// The binder of the chosen identity must verify: a client that cannot prove
// its PSK is an attacker, not one in need of a full handshake (4.2.11).
func (hs *serverHandshake) checkBinder(e *Engine, m *clientHello, raw []byte) error {
	if hs.ticket == nil {
		e.script.add(raw)
		return nil
	}
	covered := len(raw) - m.ext.bindersLen
	e.script.add(raw[:covered])
	e.sch.extractEarly(hs.ticket.psk)
	key := e.sch.binderKey()
	ok := e.sch.verifyFinished(&key, e.script.sum(), m.ext.binders[hs.identity])
	e.script.add(raw[covered:])
	if !ok {
		return fail(AlertDecryptError, "the PSK binder does not verify")
	}
	return nil
}

// chooseCertificate finds a certificate, and how to sign with it.
func (hs *serverHandshake) chooseCertificate(e *Engine, x *clientExtensions, hello *lazyHello) (*Certificate, SignatureScheme, error) {
	if x.schemes == nil {
		return nil, 0, fail(AlertMissingExtension, "ClientHello without signature_algorithms")
	}
	ours := e.cfg.schemes()
	if e.cfg.GetCertificate != nil {
		c, err := e.cfg.GetCertificate(hello.get())
		if err == nil && c == nil {
			err = errors.New("there is no certificate for it")
		}
		if err != nil {
			return nil, 0, failWith(AlertUnrecognizedName, fmt.Errorf("server name %q: %w", e.st.ServerName, err))
		}
		if s := c.scheme(x.schemes, ours); s != signatureSchemeUnknown {
			return c, s, nil
		}
		return nil, 0, fail(AlertHandshakeFailure, "no signature scheme in common")
	}
	var fallback *Certificate
	var fallbackScheme SignatureScheme
	for _, c := range e.cfg.Certificates {
		s := c.scheme(x.schemes, ours)
		if s == signatureSchemeUnknown {
			continue
		}
		if e.st.ServerName == "" || c.leaf.VerifyHostname(e.st.ServerName) == nil {
			return c, s, nil
		}
		if fallback == nil {
			fallback, fallbackScheme = c, s
		}
	}
	if fallback == nil {
		return nil, 0, fail(AlertHandshakeFailure, "no signature scheme in common")
	}
	return fallback, fallbackScheme, nil
}

func (hs *serverHandshake) chooseALPN(e *Engine, x *clientExtensions) error {
	if len(e.cfg.NextProtos) == 0 || x.alpn == nil {
		return nil
	}
	for _, ours := range e.cfg.NextProtos {
		for r := (reader{b: x.alpn}); r.more(); {
			if string(r.vec8()) == ours {
				e.st.ALPN = ours
				return nil
			}
		}
	}
	return fail(AlertNoApplicationProtocol, "no application protocol in common")
}

// answer sends the server's flight.
func (hs *serverHandshake) answer(e *Engine, m *clientHello, share []byte, cert *Certificate, scheme SignatureScheme) (state, error) {
	cfg, x := e.cfg, &m.ext
	random := cfg.random()

	reply, shared, bad, err := respond(random, hs.group, share)
	if bad != nil {
		return nil, &Error{AlertIllegalParameter, fmt.Errorf("the client's share for %v: %w", hs.group, bad)}
	}
	if err != nil {
		return nil, &Error{AlertInternalError, err}
	}
	e.st.Group = hs.group
	var rnd [32]byte
	if _, err := io.ReadFull(random, rnd[:]); err != nil {
		return nil, &Error{AlertInternalError, err}
	}
	sh := serverHello{version: legacyVersion, random: rnd[:], sessionID: m.sessionID, suite: e.suite.id}
	sh.ext.version = version13
	sh.ext.hasShare, sh.ext.share = true, keyShare{hs.group, reply}
	if t := hs.ticket; t != nil {
		sh.ext.hasPSK, sh.ext.psk = true, uint16(hs.identity)
		e.st.Resumed, e.st.Ticket = true, t
		e.st.PeerCertificates = t.PeerCertificates
		e.notAfter = t.NotAfter
	} else {
		e.sch.extractEarly(nil)
		e.notAfter = cert.leaf.NotAfter
	}
	flight := sh.append(make([]byte, 0, 2048))
	e.script.add(flight)
	e.out.out = slices.Grow(e.out.out, 2048)
	if err := e.out.send(recordHandshake, flight); err != nil {
		return nil, err
	}
	hs.sendCCS(e, m)

	clientHS, serverHS := e.handshakeSecrets(shared)
	hs.clientHS = clientHS
	if err := e.installWrite(&serverHS); err != nil {
		return nil, err
	}
	if err := e.installRead(e.sch, &clientHS); err != nil {
		return nil, err
	}
	e.in.allowRaw = true
	if x.earlyData && !e.st.Retried {
		e.in.skipEarly = maxSkippedEarly
	}

	ee := encryptedExtensions{
		serverName: x.serverName != nil && hs.ticket == nil,
		alpn:       []byte(nil),
	}
	if e.st.ALPN != "" {
		ee.alpn = []byte(e.st.ALPN)
	}
	if x.recordLimit != 0 {
		ee.recordLimit = maxInner
		if cfg.RecordSizeLimit != 0 {
			ee.recordLimit = cfg.RecordSizeLimit
		}
		e.in.limit = ee.recordLimit
		e.out.content = min(x.recordLimit, maxInner) - 1
	}
	flight = ee.append(flight[:0])
	hashed := 0
	if hs.ticket == nil {
		if cfg.ClientAuth != NoClientCert {
			cr := certificateRequest{schemes: wireList(cfg.schemes()), authorities: subjects(cfg.ClientCAs)}
			flight = cr.append(flight)
		}
		flight = append(flight, cert.encoded...)
		e.script.add(flight)
		hashed = len(flight)
		sig, err := scheme.sign(random, cert.key, serverContext, e.script.sum())
		if err != nil {
			return nil, &Error{AlertInternalError, fmt.Errorf("sign: %w", err)}
		}
		flight = (&certificateVerify{scheme, sig}).append(flight)
	}
	e.script.add(flight[hashed:])
	hashed = len(flight)
	verify := e.sch.finished(&serverHS, e.script.sum())
	flight = (&finished{verify[:e.suite.hashLen]}).append(flight)
	e.script.add(flight[hashed:])
	if err := e.out.send(recordHandshake, flight); err != nil {
		return nil, err
	}

	client, server := e.trafficSecrets()
	hs.client = client
	if err := e.installWrite(&server); err != nil {
		return nil, err
	}
	if hs.ticket == nil && cfg.ClientAuth != NoClientCert {
		return expectClientCertificate{hs}, nil
	}
	return expectClientFinished{hs}, nil
}

// subjects are the names for certificate_authorities, as many as fit well.
func subjects(pool *x509.CertPool) [][]byte {
	if pool == nil {
		return nil
	}
	var list [][]byte
	size := 0
	//lint:ignore SA1019 a system pool has none to show, and then any will do
	for _, name := range pool.Subjects() {
		if size += 2 + len(name); size > 16<<10 {
			return nil // none means any: the client need not find out in vain
		}
		list = append(list, name)
	}
	return list
}

type expectClientCertificate struct{ *serverHandshake }

func (hs expectClientCertificate) handle(e *Engine, typ uint8, body, raw []byte) (state, error) {
	if typ != typeCertificate {
		return unexpected(typ, "Certificate")
	}
	var m certificate
	if err := m.decode(body); err != nil {
		return nil, err
	}
	if len(m.context) != 0 {
		return nil, fail(AlertIllegalParameter, "the client's Certificate has a context")
	}
	e.script.add(raw)
	if len(m.chain) == 0 {
		if e.cfg.ClientAuth == RequireClientCert {
			return nil, fail(AlertCertificateRequired, "the client has no certificate")
		}
		return expectClientFinished(hs), nil
	}
	chain, err := parseChain(m.chain)
	if err != nil {
		return nil, err
	}
	if hs.pub, hs.pssID, err = checkPeerKey(chain[0]); err != nil {
		return nil, err
	}
	e.st.PeerCertificates = chain
	return expectClientCertificateVerify(hs), nil
}

type expectClientCertificateVerify struct{ *serverHandshake }

func (hs expectClientCertificateVerify) handle(e *Engine, typ uint8, body, raw []byte) (state, error) {
	if typ != typeCertificateVerify {
		return unexpected(typ, "CertificateVerify")
	}
	if err := e.verifyPeer(body, hs.pub, hs.pssID, clientContext); err != nil {
		return nil, err
	}
	chains, err := verifyChain(e.st.PeerCertificates, e.clientVerify(hs.now))
	if err != nil {
		return nil, err
	}
	e.st.VerifiedChains = chains
	e.script.add(raw)
	return expectClientFinished(hs), nil
}

type expectClientFinished struct{ *serverHandshake }

func (hs expectClientFinished) handle(e *Engine, typ uint8, body, raw []byte) (state, error) {
	if typ != typeFinished {
		return unexpected(typ, "Finished")
	}
	if !e.sch.verifyFinished(&hs.clientHS, e.script.sum(), body) {
		return nil, fail(AlertDecryptError, "the client's Finished does not verify")
	}
	if e.in.between() {
		return nil, fail(AlertUnexpectedMessage, "handshake messages behind the client's Finished")
	}
	e.script.add(raw)
	if err := e.confirm(); err != nil {
		return nil, err
	}
	if err := e.installRead(e.sch, &hs.client); err != nil {
		return nil, err
	}
	return e.connected()
}
