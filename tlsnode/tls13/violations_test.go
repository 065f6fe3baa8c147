package tls13

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
)

// rewriteHello decodes the first ClientHello on the wire, changes it, and
// encodes it again.
func rewriteHello(change func(*clientHello)) func([]byte) []byte {
	done := false
	return func(b []byte) []byte {
		if done || len(b) < 9 || b[0] != 22 || b[5] != typeClientHello {
			return b
		}
		done = true
		var m clientHello
		n := int(b[3])<<8 | int(b[4])
		if err := m.decode(b[9 : 5+n]); err != nil {
			panic(err)
		}
		change(&m)
		return append(putVec16([]byte{22, 3, 1}, m.append(nil)), b[5+n:]...)
	}
}

// rewriteServerHello does so with a ServerHello; what follows it is kept.
func rewriteServerHello(change func(*serverHello)) func([]byte) []byte {
	done := false
	return func(b []byte) []byte {
		if done || len(b) < 9 || b[0] != 22 || b[5] != typeServerHello {
			return b
		}
		done = true
		var m serverHello
		n := int(b[3])<<8 | int(b[4])
		if err := m.decode(b[9 : 5+n]); err != nil {
			panic(err)
		}
		change(&m)
		return append(putVec16([]byte{22, 3, 3}, m.append(nil)), b[5+n:]...)
	}
}

// second applies a change to the second call only: a second ClientHello.
func second(f func([]byte) []byte) func([]byte) []byte {
	n := 0
	return func(b []byte) []byte {
		if n++; n != 2 {
			return b
		}
		if len(b) > 6 && b[0] == 20 { // change_cipher_spec comes first
			return append(bytes.Clone(b[:6]), f(b[6:])...)
		}
		return f(b)
	}
}

// What a hostile client can put into its hellos, and what it is told.
func TestClientHelloViolations(t *testing.T) {
	retry := func(_, sc *Config) { sc.Groups = []Group{P384} }
	both := func(_, sc *Config) { sc.Groups, sc.Cookie = []Group{P384}, true }
	rows := []struct {
		name   string
		cfg    func(cc, sc *Config)
		change func([]byte) []byte
		want   Alert
	}{
		{"no TLS 1.3", nil, rewriteHello(func(m *clientHello) { m.ext.versions = u16s{3, 3} }), AlertProtocolVersion},
		{"no supported_versions", nil, rewriteHello(func(m *clientHello) { m.ext.versions = nil }), AlertProtocolVersion},
		{"compression", nil, rewriteHello(func(m *clientHello) { m.compression = []byte{0, 1} }), AlertIllegalParameter},
		{"no suite", nil, rewriteHello(func(m *clientHello) { m.suites = u16s{0xc0, 0x2f} }), AlertHandshakeFailure},
		{"no group", nil, rewriteHello(func(m *clientHello) { m.ext.groups, m.ext.shares = u16s{0, 1}, nil }), AlertHandshakeFailure},
		{"no supported_groups", nil, rewriteHello(func(m *clientHello) { m.ext.groups = nil }), AlertMissingExtension},
		{"no key_share", nil, rewriteHello(func(m *clientHello) { m.ext.hasShares = false }), AlertMissingExtension},
		{"no signature_algorithms", nil, rewriteHello(func(m *clientHello) { m.ext.schemes = nil }), AlertMissingExtension},
		{"no scheme", nil, rewriteHello(func(m *clientHello) { m.ext.schemes = u16s{2, 3} }), AlertHandshakeFailure},
		{"share for a group that is not offered", nil, rewriteHello(func(m *clientHello) { m.ext.groups = wireList([]Group{X25519}) }), AlertIllegalParameter},
		{"share cut short", nil, rewriteHello(func(m *clientHello) { m.ext.shares[0].data = m.ext.shares[0].data[:100] }), AlertIllegalParameter},
		{"X25519 share of zeros", nil, rewriteHello(func(m *clientHello) { m.ext.shares = []keyShare{{X25519, make([]byte, 32)}} }), AlertIllegalParameter},
		{"ML-KEM key out of range", nil, rewriteHello(func(m *clientHello) { m.ext.shares[0].data = bytes.Repeat([]byte{0xff}, 1216) }), AlertIllegalParameter},
		{"point off the curve", nil, rewriteHello(func(m *clientHello) {
			m.ext.shares = []keyShare{{P256, append([]byte{4}, bytes.Repeat([]byte{1}, 64)...)}}
		}), AlertIllegalParameter},
		{"pre_shared_key without modes", nil, rewriteHello(func(m *clientHello) {
			m.ext.pskModes = nil
			m.ext.identities, m.ext.binders = []pskIdentity{{[]byte("x"), 0}}, [][]byte{make([]byte, 32)}
		}), AlertMissingExtension},
		{"the ClientHello was changed on the way", nil, rewriteHello(func(m *clientHello) { m.ext.others = []Extension{{0xff77, nil}} }), AlertBadRecordMAC},
		{"trailing octets", nil, func(b []byte) []byte {
			if b[0] != 22 {
				return b
			}
			b = bytes.Clone(b)
			b = append(b, 0)
			b[4]++
			b[8]++
			return b
		}, AlertDecodeError},
		{"another message", nil, func([]byte) []byte { return []byte{22, 3, 1, 0, 5, typeKeyUpdate, 0, 0, 1, 0} }, AlertUnexpectedMessage},
		{"a huge message", nil, func([]byte) []byte { return []byte{22, 3, 1, 0, 4, typeClientHello, 0xff, 0, 0} }, AlertIllegalParameter},
		{"something behind it", nil, func(b []byte) []byte {
			if b[0] != 22 {
				return b
			}
			b = append(bytes.Clone(b), typeClientHello, 0, 0, 0)
			n := len(b) - 5
			b[3], b[4] = byte(n>>8), byte(n)
			return b
		}, AlertUnexpectedMessage},
		{"change_cipher_spec before it", nil, func(b []byte) []byte { return append(bytes.Clone(changeCipherSpec), b...) }, AlertUnexpectedMessage},
		{"data before it", nil, func([]byte) []byte { return []byte{23, 3, 3, 0, 1, 1} }, AlertUnexpectedMessage},
		{"a malformed alert", nil, func([]byte) []byte { return []byte{21, 3, 3, 0, 3, 1, 0, 0} }, AlertDecodeError},

		{"second: the share is another", retry, second(rewriteHello(func(m *clientHello) { m.ext.shares[0].group = P256 })), AlertIllegalParameter},
		{"second: two shares", retry, second(rewriteHello(func(m *clientHello) {
			m.ext.shares = append(m.ext.shares, keyShare{X25519, make([]byte, 32)})
		})), AlertIllegalParameter},
		{"second: early_data", retry, second(rewriteHello(func(m *clientHello) { m.ext.earlyData = true })), AlertIllegalParameter},
		{"second: other random", retry, second(rewriteHello(func(m *clientHello) { m.random = make([]byte, 32) })), AlertIllegalParameter},
		{"second: other suites", retry, second(rewriteHello(func(m *clientHello) { m.suites = m.suites[:2] })), AlertIllegalParameter},
		{"second: other name", retry, second(rewriteHello(func(m *clientHello) { m.ext.serverName = []byte("other") })), AlertIllegalParameter},
		{"second: a new extension", retry, second(rewriteHello(func(m *clientHello) { m.ext.others = []Extension{{0xff4e, nil}} })), AlertIllegalParameter},
		{"second: no cookie", both, second(rewriteHello(func(m *clientHello) { m.ext.cookie = nil })), AlertIllegalParameter},
		{"second: another cookie", both, second(rewriteHello(func(m *clientHello) { m.ext.cookie = []byte("x") })), AlertIllegalParameter},
		{"second: no share at all, for a cookie", func(_, sc *Config) { sc.Cookie = true }, second(rewriteHello(func(m *clientHello) { m.ext.shares = nil })), AlertIllegalParameter},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			cc, sc := clientConfig(), serverConfig()
			if r.cfg != nil {
				r.cfg(cc, sc)
			}
			p := newPair(t, cc, sc)
			p.fromClient = r.change
			p.run()
			if p.server.State() != nil {
				t.Fatal("the server is connected")
			}
			if r.want == AlertBadRecordMAC {
				// It is the client that finds the keys to differ.
				wantAlert(t, p.clientErr, r.want)
				return
			}
			wantAlert(t, p.serverErr, r.want)
		})
	}
}

// A binder that does not verify ends the handshake: no falling back.
func TestBinderViolations(t *testing.T) {
	rows := []struct {
		name   string
		change func(*clientHello)
		want   Alert
	}{
		{"another binder", func(m *clientHello) { m.ext.binders[0][0] ^= 1 }, AlertDecryptError},
		{"an extension was added", func(m *clientHello) { m.ext.others = []Extension{{0xff4e, nil}} }, AlertDecryptError},
		{"a binder of another length", func(m *clientHello) { m.ext.binders[0] = make([]byte, 48) }, AlertDecryptError},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			p := resume(t, clientConfig(), serverConfig(), nil)
			p.fromClient = rewriteHello(r.change)
			p.run()
			wantAlert(t, p.serverErr, r.want)
		})
	}
	t.Run("an unknown identity in front is passed over", func(t *testing.T) {
		p := resume(t, clientConfig(), serverConfig(), nil)
		// The binders no longer fit, which shows that the second identity
		// was the one that was taken.
		p.fromClient = rewriteHello(func(m *clientHello) {
			m.ext.identities = append([]pskIdentity{{[]byte("unknown"), 1}}, m.ext.identities...)
			m.ext.binders = append([][]byte{make([]byte, 32)}, m.ext.binders...)
		})
		p.run()
		wantAlert(t, p.serverErr, AlertDecryptError)
	})
}

// What a hostile server can put into its hellos.
func TestServerHelloViolations(t *testing.T) {
	retry := func(_, sc *Config) { sc.Groups = []Group{P384} }
	rows := []struct {
		name   string
		cfg    func(cc, sc *Config)
		change func(*serverHello)
		want   Alert
	}{
		{"no supported_versions", nil, func(m *serverHello) { m.ext.version = 0 }, AlertProtocolVersion},
		{"TLS 1.2", nil, func(m *serverHello) { m.ext.version = 0x0303 }, AlertProtocolVersion},
		{"legacy_version", nil, func(m *serverHello) { m.version = 0x0304 }, AlertIllegalParameter},
		{"session id", nil, func(m *serverHello) { m.sessionID = m.sessionID[1:] }, AlertIllegalParameter},
		{"compression", nil, func(m *serverHello) { m.compression = 1 }, AlertIllegalParameter},
		{"unknown suite", nil, func(m *serverHello) { m.suite = 0xc02f }, AlertIllegalParameter},
		{"suite that was not offered", func(cc, _ *Config) { cc.CipherSuites = []Suite{AES128GCMSHA256} }, func(m *serverHello) { m.suite = AES256GCMSHA384 }, AlertIllegalParameter},
		{"no key_share", nil, func(m *serverHello) { m.ext.hasShare = false }, AlertMissingExtension},
		{"share for another group", nil, func(m *serverHello) { m.ext.share.group = P256 }, AlertIllegalParameter},
		{"share of zeros", nil, func(m *serverHello) { m.ext.share = keyShare{X25519, make([]byte, 32)} }, AlertIllegalParameter},
		{"share cut short", nil, func(m *serverHello) { m.ext.share.data = m.ext.share.data[:40] }, AlertIllegalParameter},
		{"pre_shared_key that was not offered", nil, func(m *serverHello) { m.ext.hasPSK = true }, AlertUnsupportedExtension},
		{"unknown extension", nil, func(m *serverHello) { m.ext.others = []Extension{{0xff77, nil}} }, AlertUnsupportedExtension},
		{"extension of another message", nil, func(m *serverHello) { m.ext.others = []Extension{{extServerName, nil}} }, AlertIllegalParameter},
		{"retry: of no change", retry, func(m *serverHello) { m.ext.hasShare = false }, AlertIllegalParameter},
		{"retry: group that it has", retry, func(m *serverHello) { m.ext.share.group = X25519MLKEM768 }, AlertIllegalParameter},
		{"retry: group that was not offered", retry, func(m *serverHello) { m.ext.share.group = 0x0100 }, AlertIllegalParameter},
		{"retry: pre_shared_key", retry, func(m *serverHello) { m.ext.others = []Extension{{extPreSharedKey, []byte{0, 0}}} }, AlertUnsupportedExtension},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			cc, sc := clientConfig(), serverConfig()
			if r.cfg != nil {
				r.cfg(cc, sc)
			}
			p := newPair(t, cc, sc)
			p.fromServer = rewriteServerHello(r.change)
			p.run()
			wantAlert(t, p.clientErr, r.want)
			if p.client.State() != nil {
				t.Error("the client is connected")
			}
		})
	}
	t.Run("selected identity that does not exist", func(t *testing.T) {
		p := resume(t, clientConfig(), serverConfig(), nil)
		p.fromServer = rewriteServerHello(func(m *serverHello) { m.ext.psk = 1 })
		p.run()
		wantAlert(t, p.clientErr, AlertIllegalParameter)
	})
	t.Run("two HelloRetryRequests", func(t *testing.T) {
		p := newPair(t, clientConfig(), serverConfig())
		id := p.client.state.(expectServerHello).hello.sessionID
		p.fromServer = func([]byte) []byte {
			m := serverHello{version: legacyVersion, random: helloRetry[:], sessionID: id, suite: AES128GCMSHA256, retry: true}
			m.ext.version, m.ext.cookie = version13, []byte("c")
			one := putVec16([]byte{22, 3, 3}, m.append(nil))
			return append(one, one...)
		}
		p.run()
		wantAlert(t, p.clientErr, AlertUnexpectedMessage)
	})
}

// A hostile server once there are keys: each row replaces its flight behind
// the ServerHello.
func TestServerFlightViolations(t *testing.T) {
	cert := p256Cert().encoded
	ee := (&encryptedExtensions{}).append(nil)
	withEE := func(m encryptedExtensions) []byte { return m.append(nil) }
	cv := func(s SignatureScheme, sig []byte) []byte { return (&certificateVerify{s, sig}).append(nil) }
	cat := func(l ...[]byte) []byte { return bytes.Join(l, nil) }
	rows := []struct {
		name   string
		typ    recordType
		flight []byte
		want   Alert
	}{
		{"no EncryptedExtensions", recordHandshake, cert, AlertUnexpectedMessage},
		{"twice EncryptedExtensions", recordHandshake, cat(ee, ee), AlertUnexpectedMessage},
		{"Finished at once", recordHandshake, cat(ee, (&finished{make([]byte, 32)}).append(nil)), AlertUnexpectedMessage},
		{"no CertificateVerify", recordHandshake, cat(ee, cert, (&finished{make([]byte, 32)}).append(nil)), AlertUnexpectedMessage},
		{"empty Certificate", recordHandshake, cat(ee, (&certificate{}).append(nil)), AlertDecodeError},
		{"Certificate with a context", recordHandshake, cat(ee, (&certificate{context: []byte("x"), chain: p256Cert().chain}).append(nil)), AlertIllegalParameter},
		{"Certificate of junk", recordHandshake, cat(ee, (&certificate{chain: [][]byte{{1, 2, 3}}}).append(nil)), AlertBadCertificate},
		{"endless chain", recordHandshake, cat(ee, (&certificate{chain: bytesTimes([]byte{1}, maxChain+1)}).append(nil)), AlertBadCertificate},
		{"Certificate too long", recordHandshake, cat(ee, []byte{typeCertificate, 0xff, 0, 0}), AlertIllegalParameter},
		{"CertificateVerify of junk", recordHandshake, cat(ee, cert, cv(ECDSAP256SHA256, []byte("x"))), AlertDecryptError},
		{"signature by a scheme for certificates only", recordHandshake, cat(ee, cert, cv(PKCS1SHA256, []byte("x"))), AlertIllegalParameter},
		{"signature by a scheme of another key", recordHandshake, cat(ee, cert, cv(Ed25519, make([]byte, 64))), AlertIllegalParameter},
		{"signature by an unknown scheme", recordHandshake, cat(ee, cert, cv(0x0203, []byte("x"))), AlertIllegalParameter},
		{"CertificateRequest with a context", recordHandshake, cat(ee, (&certificateRequest{context: []byte("x"), schemes: u16s{4, 3}}).append(nil)), AlertIllegalParameter},
		{"CertificateRequest without schemes", recordHandshake, cat(ee, []byte{typeCertificateRequest, 0, 0, 3, 0, 0, 0}), AlertMissingExtension},
		{"twice CertificateRequest", recordHandshake, cat(ee, (&certificateRequest{schemes: u16s{4, 3}}).append(nil), (&certificateRequest{schemes: u16s{4, 3}}).append(nil)), AlertUnexpectedMessage},
		{"ALPN that was not offered", recordHandshake, withEE(encryptedExtensions{alpn: []byte("x")}), AlertUnsupportedExtension},
		{"record_size_limit that was not offered", recordHandshake, withEE(encryptedExtensions{recordLimit: 100}), AlertUnsupportedExtension},
		{"early_data that was not offered", recordHandshake, withEE(encryptedExtensions{others: []Extension{{extEarlyData, nil}}}), AlertUnsupportedExtension},
		{"key_share in the wrong message", recordHandshake, withEE(encryptedExtensions{others: []Extension{{extKeyShare, nil}}}), AlertIllegalParameter},
		{"unknown extension", recordHandshake, withEE(encryptedExtensions{others: []Extension{{0xff77, nil}}}), AlertUnsupportedExtension},
		{"KeyUpdate during the handshake", recordHandshake, cat(ee, (&keyUpdate{}).append(nil)), AlertUnexpectedMessage},
		{"ticket during the handshake", recordHandshake, cat(ee, (&newSessionTicket{ticket: []byte("x")}).append(nil)), AlertUnexpectedMessage},
		{"data during the handshake", recordData, []byte("early"), AlertUnexpectedMessage},
		{"a malformed alert", recordAlert, []byte{1}, AlertDecodeError},
		{"endless user_canceled", recordAlert, nil, AlertUnexpectedMessage},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			var log strings.Builder
			sc := serverConfig()
			sc.KeyLog = &log
			p := newPair(t, clientConfig(), sc)
			p.fromServer = hostileFlight(p, &log, r.typ, r.flight)
			p.run()
			wantAlert(t, p.clientErr, r.want)
			if p.client.State() != nil {
				t.Error("the client is connected")
			}
		})
	}
}

func bytesTimes(b []byte, n int) (l [][]byte) {
	for range n {
		l = append(l, b)
	}
	return l
}

// hostileFlight keeps the ServerHello, and replaces the rest by a record that
// is protected by the server's own handshake keys.
func hostileFlight(p *pair, log *strings.Builder, typ recordType, content []byte) func([]byte) []byte {
	done := false
	return func(b []byte) []byte {
		if done {
			return b
		}
		done = true
		hello := b[:5+(int(b[3])<<8|int(b[4]))]
		// The engine has moved on to other keys; the log has the first ones.
		w := writeHalf{content: maxPlaintext}
		s := newSchedule(p.server.suite)
		_, line, _ := strings.Cut(log.String(), "SERVER_HANDSHAKE_TRAFFIC_SECRET ")
		var base secret
		copy(base[:], mustHex(p.t, strings.Fields(line)[1]))
		if err := w.install(s, &base, newChaChaForTest); err != nil {
			panic(err)
		}
		if content == nil {
			for range maxWarnings + 1 {
				w.send(recordAlert, []byte{1, byte(AlertUserCanceled)})
			}
		} else {
			w.send(typ, content)
		}
		return append(bytes.Clone(hello), w.out...)
	}
}

// What either side may not send once it is connected.
func TestPostHandshakeViolations(t *testing.T) {
	msg := func(b []byte) func(*Engine) { return func(e *Engine) { e.out.send(recordHandshake, b) } }
	nst := (&newSessionTicket{lifetime: 5, nonce: []byte{1}, ticket: []byte("x")}).append(nil)
	rows := []struct {
		name       string
		fromClient bool
		send       func(*Engine)
		want       Alert
	}{
		{"ticket from a client", true, msg(nst), AlertUnexpectedMessage},
		{"ticket that lives too long", false, msg((&newSessionTicket{lifetime: maxLifetime + 1, ticket: []byte("x")}).append(nil)), AlertIllegalParameter},
		{"empty ticket", false, msg((&newSessionTicket{lifetime: 1}).append(nil)), AlertDecodeError},
		{"KeyUpdate of another value", true, msg([]byte{typeKeyUpdate, 0, 0, 1, 2}), AlertIllegalParameter},
		{"KeyUpdate of two octets", true, msg([]byte{typeKeyUpdate, 0, 0, 2, 0, 0}), AlertDecodeError},
		{"something behind a KeyUpdate", true, msg([]byte{typeKeyUpdate, 0, 0, 1, 0, typeKeyUpdate, 0, 0, 1, 0}), AlertUnexpectedMessage},
		{"half a message, then data", false, func(e *Engine) {
			e.out.send(recordHandshake, nst[:5])
			e.out.send(recordData, []byte("x"))
		}, AlertUnexpectedMessage},
		{"half a message, then an alert", false, func(e *Engine) {
			e.out.send(recordHandshake, nst[:5])
			e.out.alert(1, AlertCloseNotify)
		}, AlertUnexpectedMessage},
		{"ClientHello again", true, msg([]byte{typeClientHello, 0, 0, 0}), AlertUnexpectedMessage},
		{"CertificateRequest", false, msg((&certificateRequest{context: []byte("x"), schemes: u16s{4, 3}}).append(nil)), AlertUnexpectedMessage},
		{"Finished again", true, msg((&finished{make([]byte, 32)}).append(nil)), AlertUnexpectedMessage},
		{"EndOfEarlyData", true, msg([]byte{typeEndOfEarlyData, 0, 0, 0}), AlertUnexpectedMessage},
		{"a huge message", false, msg([]byte{typeNewSessionTicket, 1, 0, 1}), AlertIllegalParameter},
		{"endless tickets", false, func(e *Engine) {
			for range maxPostHandshake + 1 {
				e.out.send(recordHandshake, nst)
			}
		}, AlertUnexpectedMessage},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			p := newPair(t, clientConfig(), serverConfig()).wantConnected()
			if r.fromClient {
				r.send(p.client)
				p.run()
				wantAlert(t, p.serverErr, r.want)
				if remote, ok := errors.AsType[*RemoteError](p.clientErr); !ok || remote.Alert != r.want {
					t.Errorf("the client is told %v", p.clientErr)
				}
				return
			}
			r.send(p.server)
			p.run()
			wantAlert(t, p.clientErr, r.want)
		})
	}
}

// The client's last flight.
func TestClientFlightViolations(t *testing.T) {
	mutual := func(cc, sc *Config) { sc.ClientAuth, sc.ClientCAs = RequireClientCert, theCA().pool }
	rows := []struct {
		name   string
		cfg    func(cc, sc *Config)
		flight []byte
		want   Alert
	}{
		{"Finished of junk", nil, (&finished{make([]byte, 32)}).append(nil), AlertDecryptError},
		{"short Finished", nil, (&finished{make([]byte, 31)}).append(nil), AlertDecryptError},
		{"Certificate that was not asked for", nil, p256Cert().encoded, AlertUnexpectedMessage},
		{"no certificate", mutual, (&certificate{}).append(nil), AlertCertificateRequired},
		{"Certificate without proof", mutual, append(bytes.Clone(p256Cert().encoded), (&finished{make([]byte, 32)}).append(nil)...), AlertUnexpectedMessage},
		{"CertificateVerify of junk", mutual, (&certificateVerify{ECDSAP256SHA256, []byte("x")}).append(bytes.Clone(p256Cert().encoded)), AlertDecryptError},
		{"Certificate with a context", mutual, (&certificate{context: []byte("x"), chain: p256Cert().chain}).append(nil), AlertIllegalParameter},
		{"EndOfEarlyData", nil, []byte{typeEndOfEarlyData, 0, 0, 0}, AlertUnexpectedMessage},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			cc, sc := clientConfig(), serverConfig()
			if r.cfg != nil {
				r.cfg(cc, sc)
			}
			p := newPair(t, cc, sc)
			p.fromClient = second(func([]byte) []byte {
				w := writeHalf{content: maxPlaintext}
				base := p.server.in.secret
				if err := w.install(newSchedule(p.server.suite), &base, newChaChaForTest); err != nil {
					t.Fatal(err)
				}
				w.send(recordHandshake, r.flight)
				return w.out
			})
			p.run()
			wantAlert(t, p.serverErr, r.want)
			if p.server.State() != nil {
				t.Error("the server is connected")
			}
		})
	}
}

// FuzzHandshake mutates one octet or more of what crosses the wire, in a
// handshake of any shape. It never panics, never hangs, and never leaves both
// sides connected with different views; a side that is connected has been
// talking to the other, not to the mutation.
func FuzzHandshake(f *testing.F) {
	for shape := range uint8(16) {
		f.Add(shape, uint16(5), uint16(0x100), byte(1), uint16(0), false)
		f.Add(shape, uint16(60), uint16(0x200), byte(0x80), uint16(3), true)
	}
	cc0, sc0 := clientConfig(), serverConfig()
	p := newPair(f, cc0, sc0).wantConnected()
	sess := sessions(p.clientEvents)[0]
	f.Fuzz(func(t *testing.T, shape uint8, at, at2 uint16, flip byte, chunk uint16, fromServer bool) {
		cc, sc := clientConfig(), serverConfig()
		cc.Groups, sc.Groups = []Group{X25519, P256}, []Group{X25519, P256}
		if shape&1 != 0 {
			cc.Session = sess
		}
		if shape&2 != 0 {
			sc.Groups = []Group{P256}
		}
		if shape&4 != 0 {
			sc.ClientAuth, sc.ClientCAs = VerifyIfGiven, theCA().pool
			cc.Certificates = []*Certificate{p256Cert()}
		}
		if shape&8 != 0 {
			sc.Cookie, cc.NextProtos = true, []string{"a"}
		}
		p := newPair(t, cc, sc)
		p.chunk = int(chunk)
		changed := false
		mutate := func(offset *int) func([]byte) []byte {
			return func(b []byte) []byte {
				for _, i := range []int{int(at) - *offset, int(at2) - *offset} {
					if i >= 0 && i < len(b) && flip != 0 {
						b[i] ^= flip
						changed = true
					}
				}
				*offset += len(b)
				return b
			}
		}
		var sent int
		if fromServer {
			p.fromServer = mutate(&sent)
		} else {
			p.fromClient = mutate(&sent)
		}
		p.run()
		c, s := p.client.State(), p.server.State()
		if !changed && (c == nil || s == nil) {
			t.Fatalf("nothing was changed: client %v, server %v", p.clientErr, p.serverErr)
		}
		if c != nil && s != nil {
			a, _ := p.client.Export("fuzz", nil, 32)
			b, _ := p.server.Export("fuzz", nil, 32)
			if !bytes.Equal(a, b) || c.Suite != s.Suite || c.Group != s.Group || c.ALPN != s.ALPN || c.Resumed != s.Resumed {
				t.Fatalf("client %+v, server %+v", c, s)
			}
		}
	})
}

// FuzzEngine feeds raw octets to both ends: they never connect.
func FuzzEngine(f *testing.F) {
	e, err := NewClient(clientConfig())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(e.Output(), false)
	f.Add([]byte{22, 3, 3, 0, 4, 2, 0, 0, 0}, true)
	r := rand.New(rand.NewPCG(1, 1))
	for _, k := range messageKinds {
		f.Add(putVec16([]byte{22, 3, 3}, k.random(r).append(nil)), true)
	}
	f.Fuzz(func(t *testing.T, b []byte, client bool) {
		var e *Engine
		var err error
		if client {
			e, err = NewClient(clientConfig())
		} else {
			e, err = NewServer(serverConfig())
		}
		if err != nil {
			t.Fatal(err)
		}
		for {
			ev, err := e.Next()
			if err != nil {
				return
			}
			if ev != nil || e.State() != nil {
				t.Fatalf("event %T from noise", ev)
			}
			if len(b) == 0 {
				return
			}
			b = b[e.Receive(b):]
		}
	})
}
