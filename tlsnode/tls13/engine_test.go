package tls13

import (
	"bytes"
	"crypto/x509"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestHandshake(t *testing.T) {
	for _, chunk := range []int{0, 1, 7, 100} {
		p := newPair(t, clientConfig(), serverConfig())
		p.chunk = chunk
		p.wantConnected()
		if c, s := p.client.State(), p.server.State(); c.Suite != AES128GCMSHA256 || c.Group != X25519MLKEM768 || s.Group != c.Group || c.Scheme != ECDSAP256SHA256 || s.ServerName != testName || len(c.VerifiedChains) == 0 {
			t.Errorf("client %+v, server %+v", c, s)
		}
		p.wantEcho()
		a, _ := p.client.Export("label", nil, 40)
		b, _ := p.server.Export("label", nil, 40)
		c, _ := p.client.DeriveResumption("mig token", 32)
		d, _ := p.server.DeriveResumption("mig token", 32)
		if a == nil || !bytes.Equal(a, b) || c == nil || !bytes.Equal(c, d) || bytes.Equal(a[:32], c) {
			t.Error("derived secrets")
		}
		if _, err := p.client.DeriveResumption("resumption", 32); err == nil {
			t.Error("the label of the PSK was not refused")
		}
	}
}

// Equal inputs give equal outputs, as far as the standard library allows.
func TestHandshakeIsReproducible(t *testing.T) {
	now := time.Now()
	first := func() []byte {
		cfg := clientConfig()
		cfg.Rand, cfg.Time = seeded(1), func() time.Time { return now }
		e, err := NewClient(cfg)
		if err != nil {
			t.Fatal(err)
		}
		return e.Output()
	}
	if !bytes.Equal(first(), first()) {
		t.Error("two ClientHellos from the same randomness differ")
	}
}

// resume connects, takes a ticket, and connects again with changed configs.
func resume(t *testing.T, cc, sc *Config, change func(cc, sc *Config)) *pair {
	t.Helper()
	p := newPair(t, cc, sc).wantConnected()
	list := sessions(p.clientEvents)
	if len(list) == 0 {
		t.Fatal("no ticket")
	}
	cc2, sc2 := *cc, *sc
	cc2.Session = list[0]
	if change != nil {
		change(&cc2, &sc2)
	}
	return newPair(t, &cc2, &sc2)
}

func TestResumption(t *testing.T) {
	later := func(d time.Duration) func() time.Time { return func() time.Time { return time.Now().Add(d) } }
	otherKey, err := NewTicketKey(bytes.Repeat([]byte{9}, 40))
	if err != nil {
		t.Fatal(err)
	}
	old := testTicketKeys()().Current
	rows := []struct {
		name    string
		before  func(cc, sc *Config)
		change  func(cc, sc *Config)
		resumed bool
	}{
		{"plain", nil, nil, true},
		{"with a HelloRetryRequest", nil, func(_, sc *Config) { sc.Groups = []Group{P384} }, true},
		{"with a cookie", nil, func(_, sc *Config) { sc.Cookie = true }, true},
		{"SHA-384", func(_, sc *Config) { sc.CipherSuites = []Suite{AES256GCMSHA384} }, nil, true},
		{"the ticket's suite wins over the server's order", func(_, sc *Config) { sc.CipherSuites = []Suite{AES256GCMSHA384} }, func(_, sc *Config) { sc.CipherSuites = []Suite{AES128GCMSHA256, AES256GCMSHA384} }, true},
		{"same hash, other suite", nil, func(_, sc *Config) { sc.CipherSuites = []Suite{ChaCha20Poly1305SHA256} }, true},
		{"other hash", nil, func(_, sc *Config) { sc.CipherSuites = []Suite{AES256GCMSHA384} }, false},
		{"other hash, with a HelloRetryRequest", nil, func(_, sc *Config) {
			sc.CipherSuites, sc.Groups = []Suite{AES256GCMSHA384}, []Group{P256}
		}, false},
		{"key has become the previous one", nil, func(_, sc *Config) {
			sc.TicketKeys = func() *TicketKeys { return &TicketKeys{Current: otherKey, Previous: old} }
		}, true},
		{"key is still the next one", nil, func(_, sc *Config) {
			sc.TicketKeys = func() *TicketKeys { return &TicketKeys{Current: otherKey, Next: old} }
		}, true},
		{"key is gone", nil, func(_, sc *Config) {
			sc.TicketKeys = func() *TicketKeys { return &TicketKeys{Current: otherKey} }
		}, false},
		{"no keys at all", nil, func(_, sc *Config) { sc.TicketKeys = nil }, false},
		{"expired at the client", func(_, sc *Config) { sc.TicketLifetime = time.Minute }, func(cc, _ *Config) { cc.Time = later(time.Minute) }, false},
		{"expired at the server", func(_, sc *Config) { sc.TicketLifetime = time.Minute }, func(_, sc *Config) { sc.Time = later(time.Minute + time.Second) }, false},
		{"issued in the server's future", nil, func(_, sc *Config) { sc.Time = later(-time.Minute) }, false},
		{"other name", nil, func(cc, _ *Config) { cc.ServerName, cc.InsecureSkipVerify = "other.example.com", true }, false},
		{"the first connection was not verified", func(cc, _ *Config) { cc.InsecureSkipVerify = true }, func(cc, _ *Config) { cc.InsecureSkipVerify = false }, false},
		{"a client certificate is needed now", nil, func(cc, sc *Config) {
			sc.ClientAuth, sc.ClientCAs = RequireClientCert, theCA().pool
			cc.Certificates = []*Certificate{p256Cert()}
		}, false},
		{"with a client certificate", func(cc, sc *Config) {
			sc.ClientAuth, sc.ClientCAs = RequireClientCert, theCA().pool
			cc.Certificates = []*Certificate{p256Cert()}
		}, nil, true},
		{"the client's authority is trusted no more", func(cc, sc *Config) {
			sc.ClientAuth, sc.ClientCAs = VerifyIfGiven, theCA().pool
			cc.Certificates = []*Certificate{p256Cert()}
		}, func(cc, sc *Config) { sc.ClientCAs, cc.Certificates = x509.NewCertPool(), nil }, false},
		{"the hook refuses", nil, func(_, sc *Config) {
			sc.AcceptTicket = func(*ClientHello, *Ticket) (bool, error) { return false, nil }
		}, false},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			cc, sc := clientConfig(), serverConfig()
			if r.before != nil {
				r.before(cc, sc)
			}
			p := resume(t, cc, sc, r.change).wantConnected()
			if c, s := p.client.State(), p.server.State(); c.Resumed != r.resumed || s.Resumed != r.resumed || (s.Ticket != nil) != r.resumed {
				t.Errorf("resumed: client %v, server %v", c.Resumed, s.Resumed)
			} else if r.resumed && (len(c.PeerCertificates) == 0 || c.Scheme != 0) {
				t.Errorf("client %+v", c)
			}
			p.wantEcho()
		})
	}
}

// A server's certificate that is about to expire bounds its tickets.
func TestNoResumptionPastTheCertificate(t *testing.T) {
	key := testKeys()["P256"]
	sc := serverConfig()
	sc.Certificates = []*Certificate{mustCert(t, theCA().issueUntil(key, time.Now().Add(time.Hour), testName), key)}
	p := resume(t, clientConfig(), sc, func(cc, sc *Config) {
		// Only the server's clock knows.
		sc.Time = func() time.Time { return time.Now().Add(2 * time.Hour) }
	}).wantConnected()
	if p.client.State().Resumed {
		t.Error("resumed")
	}
}

// Tickets carry extensions to the client and data back to a server; each has a
// PSK of its own.
func TestTicketData(t *testing.T) {
	cc, sc := clientConfig(), serverConfig()
	sc.Tickets = -1
	p := newPair(t, cc, sc).wantConnected()
	want := TicketOptions{Lifetime: time.Hour, Extensions: []Extension{{0xff4e, []byte("token")}, {0xfe4e, []byte{}}}, AppData: []byte("node 1")}
	for range 3 {
		if err := p.server.SendTicket(want); err != nil {
			t.Fatal(err)
		}
	}
	p.run()
	list := sessions(p.clientEvents)
	if len(list) != 3 || list[0].psk == list[1].psk || list[1].psk == list[2].psk {
		t.Fatalf("%d sessions, or equal secrets", len(list))
	}
	for _, s := range list {
		if s.Lifetime != time.Hour || len(s.Extensions) != 2 || string(s.Extensions[0].Data) != "token" || s.ServerName != testName {
			t.Errorf("session %+v", s)
		}
		cc2, sc2 := *cc, *sc
		cc2.Session = s
		cc2.Extensions = []Extension{{0xff4e, []byte("token")}}
		asked := 0
		sc2.AcceptTicket = func(h *ClientHello, k *Ticket) (bool, error) {
			asked++
			tok, ok := findExtension(h.Extensions, 0xff4e)
			if !ok || string(tok) != "token" || string(k.AppData) != "node 1" || h.Identities != 1 || k.Lifetime != time.Hour {
				t.Errorf("hello %+v, ticket %+v", h, k)
			}
			return true, nil
		}
		p2 := newPair(t, &cc2, &sc2).wantConnected()
		if st := p2.server.State(); !st.Resumed || asked != 1 || string(st.Ticket.AppData) != "node 1" || len(st.Extensions) != 1 {
			t.Errorf("asked %d times, state %+v", asked, st)
		}
	}
	for _, o := range []TicketOptions{
		{Lifetime: 8 * 24 * time.Hour}, {Lifetime: time.Millisecond}, {AppData: make([]byte, maxTicketData+1)},
		{Extensions: []Extension{{extEarlyData, nil}}}, {Extensions: []Extension{{1000, nil}, {1000, nil}}},
	} {
		if p.server.SendTicket(o) == nil {
			t.Errorf("%+v was sent", o)
		}
	}
	if p.client.SendTicket(TicketOptions{}) == nil {
		t.Error("a client sent a ticket")
	}
}

func TestTicketIsSealed(t *testing.T) {
	keys := testTicketKeys()()
	sealed, err := keys.seal(seeded(1), []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	if plain, ok := keys.open(sealed); !ok || string(plain) != "secret" {
		t.Fatal("it does not open")
	}
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		if _, ok := keys.open(bad); ok {
			t.Errorf("opens with octet %d changed", i)
		}
		if _, ok := keys.open(sealed[:i]); ok {
			t.Errorf("opens with %d octets", i)
		}
	}
	want := Ticket{Suite: AES128GCMSHA256, ServerName: "a", ALPN: "b", Issued: time.Unix(5, 0), Lifetime: time.Hour, NotAfter: time.Unix(9, 0), AppData: []byte("c"), psk: make([]byte, 32), chain: [][]byte{{1}, {2, 3}}}
	wire := want.append(nil)
	var got Ticket
	if !got.decode(wire) || !bytes.Equal(got.append(nil), wire) {
		t.Errorf("%+v became %+v", want, got)
	}
	wire[0]++
	if got.decode(wire) {
		t.Error("another version was read")
	}
	if _, err := NewTicketKey(make([]byte, 31)); err == nil {
		t.Error("a short key was taken")
	}
}

// The hooks can refuse, each with its alert, and before any data flows.
func TestHooks(t *testing.T) {
	no := errors.New("no")
	coded := &Error{AlertInsufficientSecurity, no}
	rows := []struct {
		name   string
		change func(cc, sc *Config)
		client bool // whose hook it is
		want   Alert
	}{
		{"GetConfig", func(_, sc *Config) { sc.GetConfig = func(*ClientHello) (*Config, error) { return nil, no } }, false, AlertAccessDenied},
		{"GetCertificate", func(_, sc *Config) { sc.GetCertificate = func(*ClientHello) (*Certificate, error) { return nil, no } }, false, AlertUnrecognizedName},
		{"no certificate", func(_, sc *Config) { sc.GetCertificate = func(*ClientHello) (*Certificate, error) { return nil, nil } }, false, AlertUnrecognizedName},
		{"server's Confirm", func(_, sc *Config) { sc.Confirm = func(*State) error { return no } }, false, AlertAccessDenied},
		{"server's Confirm with an alert", func(_, sc *Config) { sc.Confirm = func(*State) error { return coded } }, false, AlertInsufficientSecurity},
		{"client's Confirm", func(cc, _ *Config) { cc.Confirm = func(*State) error { return no } }, true, AlertAccessDenied},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			cc, sc := clientConfig(), serverConfig()
			r.change(cc, sc)
			p := newPair(t, cc, sc).run()
			mine, theirs := p.serverErr, p.clientErr
			if r.client {
				mine, theirs = theirs, mine
			}
			wantAlert(t, mine, r.want)
			if !errors.Is(mine, no) && r.name != "no certificate" {
				t.Errorf("the operator is told %v", mine)
			}
			if remote, ok := errors.AsType[*RemoteError](theirs); !ok || remote.Alert != r.want {
				t.Errorf("the peer is told %v", theirs)
			}
			if p.client.State() != nil && p.server.State() != nil {
				t.Error("both are connected")
			}
		})
	}
	t.Run("AcceptTicket", func(t *testing.T) {
		p := resume(t, clientConfig(), serverConfig(), func(_, sc *Config) {
			sc.AcceptTicket = func(*ClientHello, *Ticket) (bool, error) { return false, no }
		}).run()
		wantAlert(t, p.serverErr, AlertAccessDenied)
	})
	t.Run("GetConfig replaces", func(t *testing.T) {
		cc, sc := clientConfig(), serverConfig()
		cc.NextProtos = []string{"y"}
		sc.GetConfig = func(h *ClientHello) (*Config, error) {
			if h.ServerName != testName || !slices.Equal(h.ALPN, []string{"y"}) {
				t.Errorf("hello %+v", h)
			}
			n := serverConfig()
			n.NextProtos, n.CipherSuites = []string{"y"}, []Suite{AES256GCMSHA384}
			return n, nil
		}
		p := newPair(t, cc, sc).wantConnected()
		if st := p.server.State(); st.ALPN != "y" || st.Suite != AES256GCMSHA384 {
			t.Errorf("state %+v", st)
		}
	})
}

func TestCertificateChoice(t *testing.T) {
	keys := testKeys()
	rsa, ed := keys["RSA"], keys["Ed25519"]
	a := mustCert(t, theCA().issue(rsa, "a.example.com"), rsa)
	b := mustCert(t, theCA().issue(ed, "b.example.com"), ed)
	b2 := mustCert(t, theCA().issue(rsa, "b.example.com"), rsa)
	for _, r := range []struct {
		name    string
		schemes []SignatureScheme
		want    *Certificate
	}{
		{"a.example.com", nil, a},
		{"B.Example.com", nil, b},
		{"b.example.com", []SignatureScheme{RSAPSSRSAESHA512, ECDSAP256SHA256}, b2},
		{"c.example.com", nil, a},
		{"", nil, a},
	} {
		cc, sc := clientConfig(), serverConfig()
		cc.ServerName, cc.InsecureSkipVerify, cc.SignatureSchemes = r.name, true, r.schemes
		sc.Certificates = []*Certificate{a, b, b2}
		p := newPair(t, cc, sc).wantConnected()
		if got := p.client.State().PeerCertificates[0]; !got.Equal(r.want.leaf) {
			t.Errorf("%q %v: got that of %v", r.name, r.schemes, got.DNSNames)
		}
	}
}

// What session migration sends after the handshake: a message and an alert
// that RFC 8446 does not know. Whoever did not ask for them ends the connection.
func TestForeignMessages(t *testing.T) {
	cc, sc := clientConfig(), serverConfig()
	cc.MessageTypes, cc.WarningAlerts = []uint8{0xfd}, []Alert{222}
	p := newPair(t, cc, sc).wantConnected()
	p.clientEvents = nil
	if err := errors.Join(p.server.SendMessage(0xfd, []byte("to B")), p.server.Alert(222)); err != nil {
		t.Fatal(err)
	}
	p.run()
	if len(p.clientEvents) != 2 {
		t.Fatalf("events %v, error %v", p.clientEvents, p.clientErr)
	}
	if m, ok := p.clientEvents[0].(*Message); !ok || m.Type != 0xfd || string(m.Body) != "to B" {
		t.Errorf("event %+v", p.clientEvents[0])
	}
	if w, ok := p.clientEvents[1].(*Warning); !ok || w.Alert != 222 {
		t.Errorf("event %+v", p.clientEvents[1])
	}
	p.wantEcho()

	p.client.SendMessage(0xfd, nil)
	p.run()
	wantAlert(t, p.serverErr, AlertUnexpectedMessage)

	p = newPair(t, clientConfig(), serverConfig()).wantConnected()
	p.server.Alert(222)
	p.run()
	if r, ok := errors.AsType[*RemoteError](p.clientErr); !ok || r.Alert != 222 {
		t.Errorf("an alert that was not asked for: %v", p.clientErr)
	}
	for _, a := range []Alert{AlertCloseNotify, AlertHandshakeFailure, AlertUserCanceled} {
		if p.server.Alert(a) == nil {
			t.Errorf("%v was sent", a)
		}
	}
	if p.server.SendMessage(typeFinished, nil) == nil {
		t.Error("a Finished was sent")
	}
	// Floods of either end the connection, sooner or later.
	p = newPair(t, cc, sc).wantConnected()
	for range maxPostHandshake + 1 {
		p.server.Alert(222)
	}
	p.run()
	wantAlert(t, p.clientErr, AlertUnexpectedMessage)
}

func TestKeyUpdate(t *testing.T) {
	p := newPair(t, clientConfig(), serverConfig()).wantConnected()
	before := p.client.out.secret
	if err := p.server.UpdateKeys(true); err != nil {
		t.Fatal(err)
	}
	p.run().wantEcho()
	if p.client.out.secret == before {
		t.Error("the client did not answer")
	}
	// Each side renews its key when it is used up, and asks for the peer's.
	cc, sc := clientConfig(), serverConfig()
	cc.RecordsPerKey = 3
	p = newPair(t, cc, sc).wantConnected()
	for range 20 {
		first := p.server.in.secret
		for range 4 {
			p.wantEcho()
		}
		if p.server.in.secret == first || p.client.out.seq > 5 || p.server.out.seq > 6 {
			t.Fatalf("keys were not renewed: %d, %d", p.client.out.seq, p.server.out.seq)
		}
	}
	// Without data between them, there are limits.
	for range maxPostHandshake + 1 {
		p.server.UpdateKeys(false)
	}
	p.run()
	wantAlert(t, p.clientErr, AlertUnexpectedMessage)
}

func TestCloseNotify(t *testing.T) {
	p := newPair(t, clientConfig(), serverConfig()).wantConnected()
	p.client.CloseNotify()
	p.run()
	if p.serverErr != io.EOF {
		t.Fatalf("the server reads %v", p.serverErr)
	}
	if _, _, err := p.client.Write(nil, []byte("x")); !errors.Is(err, ErrClosed) {
		t.Errorf("write after close: %v", err)
	}
	p.clientEvents = nil
	p.send(p.server, "still here")
	p.run()
	if data(p.clientEvents) != "still here" {
		t.Errorf("half-closed: %q, %v", data(p.clientEvents), p.clientErr)
	}
}

func TestRecordSizeLimit(t *testing.T) {
	cc, sc := clientConfig(), serverConfig()
	cc.RecordSizeLimit, sc.RecordSizeLimit = 100, 200
	p := newPair(t, cc, sc)
	longest := func(limit int) func([]byte) []byte {
		return func(b []byte) []byte {
			for r := (reader{b: b}); r.more(); {
				if typ, _ := r.u8(), r.u16(); typ == 23 {
					if n := len(r.vec16()); n > limit+aeadOverhead {
						t.Errorf("a record of %d octets, where %d is the limit", n, limit)
					}
				} else {
					r.vec16()
				}
			}
			return b
		}
	}
	p.fromClient, p.fromServer = longest(200), longest(100)
	p.wantConnected()
	p.send(p.server, strings.Repeat("x", 1000))
	p.send(p.client, strings.Repeat("x", 1000))
	p.run()
	if len(data(p.clientEvents)) != 1000 || len(data(p.serverEvents)) != 1000 {
		t.Errorf("client %v, server %v", p.clientErr, p.serverErr)
	}
}

// A client that tries 0-RTT: its data is skipped, its handshake goes on.
func TestEarlyDataIsRefused(t *testing.T) {
	for _, retry := range []bool{false, true} {
		cc, sc := clientConfig(), serverConfig()
		if retry {
			sc.Groups = []Group{P256}
		}
		p := resume(t, cc, sc, nil)
		hs := p.client.state.(expectServerHello).clientHandshake
		p.client.Output()
		hs.hello.ext.earlyData = true // our client never does
		if err := hs.send(p.client); err != nil {
			t.Fatal(err)
		}
		junk := append([]byte{23, 3, 3, 0x08, 0}, make([]byte, 0x800)...)
		p.client.out.out = append(p.client.out.out, bytes.Repeat(junk, 3)...)
		hs.hello.ext.earlyData = false // for the second ClientHello
		p.wantConnected().wantEcho()
		if !p.server.State().Resumed || p.server.State().Retried != retry {
			t.Errorf("state %+v", p.server.State())
		}
	}
}

func TestConfigErrors(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"no name":            func(c *Config) { c.ServerName = "" },
		"no suites":          func(c *Config) { c.CipherSuites = []Suite{} },
		"unknown suite":      func(c *Config) { c.CipherSuites = []Suite{1} },
		"ChaCha without":     func(c *Config) { c.CipherSuites, c.ChaCha20Poly1305 = []Suite{ChaCha20Poly1305SHA256}, nil },
		"unknown group":      func(c *Config) { c.Groups = []Group{1} },
		"empty protocol":     func(c *Config) { c.NextProtos = []string{""} },
		"record size":        func(c *Config) { c.RecordSizeLimit = 63 },
		"lifetime":           func(c *Config) { c.TicketLifetime = 8 * 24 * time.Hour },
		"our message":        func(c *Config) { c.MessageTypes = []uint8{typeKeyUpdate} },
		"our alert":          func(c *Config) { c.WarningAlerts = []Alert{AlertBadRecordMAC} },
		"our extension":      func(c *Config) { c.Extensions = []Extension{{extKeyShare, nil}} },
		"extension twice":    func(c *Config) { c.Extensions = []Extension{{9999, nil}, {9999, nil}} },
		"huge extension":     func(c *Config) { c.Extensions = []Extension{{9999, make([]byte, 20000)}} },
		"failing randomness": func(c *Config) { c.Rand = strings.NewReader("short") },
	} {
		cfg := clientConfig()
		change(cfg)
		if _, err := NewClient(cfg); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	if _, err := NewServer(&Config{}); err == nil {
		t.Error("a server without a certificate was accepted")
	}
	if _, err := NewCertificate(p256Cert().chain, testKeys()["P384"]); err == nil {
		t.Error("a certificate with another key was accepted")
	}
}

func TestKeyLog(t *testing.T) {
	var a, b strings.Builder
	cc, sc := clientConfig(), serverConfig()
	cc.KeyLog, sc.KeyLog = &a, &b
	newPair(t, cc, sc).wantConnected()
	if a.String() != b.String() || strings.Count(a.String(), "\n") != 5 || !strings.Contains(a.String(), "SERVER_TRAFFIC_SECRET_0 ") {
		t.Errorf("client:\n%s\nserver:\n%s", a.String(), b.String())
	}
}
