package tls13

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	mrand "math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// A testCA issues certificates for the tests.
type testCA struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	pool *x509.CertPool
}

var theCA = sync.OnceValue(func() *testCA {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "test CA"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(30 * 24 * time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		panic(err)
	}
	cert, _ := x509.ParseCertificate(der)
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &testCA{key, cert, pool}
})

func (ca *testCA) issue(key crypto.Signer, names ...string) [][]byte {
	return ca.issueUntil(key, time.Now().Add(24*time.Hour), names...)
}

func (ca *testCA) issueUntil(key crypto.Signer, until time.Time, names ...string) [][]byte {
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(mrand.Int64()),
		Subject:      pkix.Name{CommonName: names[0]},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     until,
		DNSNames:     names,
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, ca.cert, key.Public(), ca.key)
	if err != nil {
		panic(err)
	}
	return [][]byte{der}
}

// testKeys has one key of each kind; RSA is slow to make.
var testKeys = sync.OnceValue(func() map[string]crypto.Signer {
	m := map[string]crypto.Signer{}
	for name, c := range map[string]elliptic.Curve{"P256": elliptic.P256(), "P384": elliptic.P384(), "P521": elliptic.P521()} {
		k, err := ecdsa.GenerateKey(c, rand.Reader)
		if err != nil {
			panic(err)
		}
		m[name] = k
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	m["Ed25519"] = ed
	if m["RSA"], err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		panic(err)
	}
	return m
})

const testName = "www.example.com"

func mustCert(t testing.TB, chain [][]byte, key crypto.Signer) *Certificate {
	t.Helper()
	c, err := NewCertificate(chain, key)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var p256Cert = sync.OnceValue(func() *Certificate {
	c, err := NewCertificate(theCA().issue(testKeys()["P256"], testName), testKeys()["P256"])
	if err != nil {
		panic(err)
	}
	return c
})

func testTicketKeys() func() *TicketKeys {
	k, err := NewTicketKey(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		panic(err)
	}
	keys := &TicketKeys{Current: k}
	return func() *TicketKeys { return keys }
}

func serverConfig() *Config {
	return &Config{
		Certificates:     []*Certificate{p256Cert()},
		TicketKeys:       testTicketKeys(),
		ChaCha20Poly1305: newChaChaForTest,
	}
}

func clientConfig() *Config {
	return &Config{RootCAs: theCA().pool, ServerName: testName, ChaCha20Poly1305: newChaChaForTest}
}

// asTLS is a Certificate for crypto/tls.
func asTLS(c *Certificate) tls.Certificate {
	return tls.Certificate{Certificate: c.chain, PrivateKey: c.key}
}

// A pair is a client and a server in memory, with all that crosses between
// them in the open.
type pair struct {
	t              testing.TB
	client, server *Engine
	toServer       []byte // on the way
	toClient       []byte
	clientErr      error
	serverErr      error
	clientEvents   []Event // Data is copied
	serverEvents   []Event
	fromClient     func([]byte) []byte // if set, changes what the client sends
	fromServer     func([]byte) []byte
	chunk          int // octets delivered at a time; 0: all
}

func newPair(t testing.TB, client, server *Config) *pair {
	t.Helper()
	p := &pair{t: t}
	var err error
	if p.client, err = NewClient(client); err != nil {
		t.Fatal(err)
	}
	if p.server, err = NewServer(server); err != nil {
		t.Fatal(err)
	}
	return p
}

// run passes octets to and fro until nothing moves.
func (p *pair) run() *pair {
	p.t.Helper()
	for range 10000 {
		moved := p.pump(p.client, &p.clientErr, &p.clientEvents, &p.toClient, &p.toServer, p.fromClient)
		moved = p.pump(p.server, &p.serverErr, &p.serverEvents, &p.toServer, &p.toClient, p.fromServer) || moved
		if !moved {
			return p
		}
	}
	p.t.Fatal("the two never come to rest")
	return nil
}

func (p *pair) pump(e *Engine, failed *error, events *[]Event, in, out *[]byte, change func([]byte) []byte) bool {
	moved := false
	for {
		ev, err := e.Next()
		if aerr := e.Answer(e.TakeReply()); aerr != nil {
			p.t.Fatal(aerr)
		}
		if b := e.Output(); len(b) > 0 {
			if change != nil {
				b = change(b)
			}
			*out = append(*out, b...)
			moved = true
		}
		if err != nil {
			if *failed == nil {
				*failed = err
				moved = true
			}
			*in = nil
			return moved
		}
		if d, ok := ev.(*Data); ok {
			ev = &Data{append([]byte(nil), d.Bytes...)}
		}
		if ev != nil {
			*events = append(*events, ev)
			moved = true
			continue
		}
		if len(*in) == 0 {
			return moved
		}
		n := len(*in)
		if p.chunk > 0 {
			n = min(n, p.chunk)
		}
		*in = (*in)[e.Receive((*in)[:n]):]
		moved = true
	}
}

// wantConnected runs the handshake, and wants it to succeed on both sides.
func (p *pair) wantConnected() *pair {
	p.t.Helper()
	p.run()
	if p.clientErr != nil || p.serverErr != nil {
		p.t.Fatalf("handshake: client: %v; server: %v", p.clientErr, p.serverErr)
	}
	if p.client.State() == nil || p.server.State() == nil {
		p.t.Fatalf("handshake is not over: client %v, server %v", p.client.State(), p.server.State())
	}
	return p
}

// send writes on one side; run delivers it.
func (p *pair) send(from *Engine, data string) {
	p.t.Helper()
	for b := []byte(data); len(b) > 0; {
		rec, n, err := from.Write(nil, b)
		if err != nil {
			p.t.Fatal(err)
		}
		b = b[n:]
		if from == p.client {
			p.toServer = append(p.toServer, rec...)
		} else {
			p.toClient = append(p.toClient, rec...)
		}
	}
}

func data(events []Event) string {
	var b strings.Builder
	for _, ev := range events {
		if d, ok := ev.(*Data); ok {
			b.Write(d.Bytes)
		}
	}
	return b.String()
}

func sessions(events []Event) (list []*Session) {
	for _, ev := range events {
		if s, ok := ev.(*NewSession); ok {
			list = append(list, s.Session)
		}
	}
	return list
}

// wantEcho sends both ways.
func (p *pair) wantEcho() *pair {
	p.t.Helper()
	p.clientEvents, p.serverEvents = nil, nil
	p.send(p.client, "ping")
	p.send(p.server, "pong")
	p.run()
	if c, s := data(p.clientEvents), data(p.serverEvents); c != "pong" || s != "ping" {
		p.t.Fatalf("client read %q (%v), server read %q (%v)", c, p.clientErr, s, p.serverErr)
	}
	return p
}

// seeded is a source of randomness that repeats.
func seeded(seed byte) io.Reader {
	return mrand.NewChaCha8([32]byte{seed})
}
