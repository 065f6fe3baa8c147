package tls13

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// tcpPair returns the two ends of a connection over loopback.
func tcpPair(t testing.TB) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ch := make(chan net.Conn, 1)
	go func() {
		c, _ := l.Accept()
		ch <- c
	}()
	client, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if server = <-ch; server == nil {
		t.Fatal("accept")
	}
	deadline := time.Now().Add(20 * time.Second)
	for _, c := range []net.Conn{client, server} {
		c.SetDeadline(deadline)
		t.Cleanup(func() { c.Close() })
	}
	return client, server
}

// A tlsConn is what Conn and tls.Conn share.
type tlsConn interface {
	net.Conn
	CloseWrite() error
	ConnectionState() tls.ConnectionState
}

// exchange has both ends send n octets and read as many, then half-close, and
// read io.EOF. A tls.Conn half-closes last: one that has cannot answer a
// KeyUpdate, and then does not change its receiving key either.
func exchange(t *testing.T, client, server tlsConn, n int) {
	t.Helper()
	end := func(c tlsConn, mine, theirs byte) error {
		sent := make(chan error, 1)
		go func() {
			_, err := c.Write(bytes.Repeat([]byte{mine}, n))
			sent <- err
		}()
		got := make([]byte, n)
		if _, err := io.ReadFull(c, got); err != nil {
			return fmt.Errorf("read: %w", err)
		}
		if !bytes.Equal(got, bytes.Repeat([]byte{theirs}, n)) {
			return errors.New("read octets that were not sent")
		}
		if err := <-sent; err != nil {
			return fmt.Errorf("write: %w", err)
		}
		if _, std := c.(*tls.Conn); !std {
			if err := c.CloseWrite(); err != nil {
				return fmt.Errorf("close write: %w", err)
			}
		}
		if rest, err := io.ReadAll(c); len(rest) > 0 || err != nil {
			return fmt.Errorf("behind the end: %q, %w", rest, err)
		}
		return c.CloseWrite()
	}
	failed := make(chan error, 1)
	go func() { failed <- end(server, 's', 'c') }()
	if err := end(client, 'c', 's'); err != nil {
		t.Errorf("client: %v", err)
	}
	if err := <-failed; err != nil {
		t.Errorf("server: %v", err)
	}
}

// An interopCase is one row: what both sides are configured with, and what
// they must agree on.
type interopCase struct {
	name string
	ours func(*Config)
	std  func(*tls.Config)
	want func(t *testing.T, ours *State, std tls.ConnectionState)
}

func stdServerConfig() *tls.Config {
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{asTLS(p256Cert())},
	}
}

func stdClientConfig() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: theCA().pool, ServerName: testName}
}

func (c *interopCase) apply(ours *Config, std *tls.Config) {
	if c.ours != nil {
		c.ours(ours)
	}
	if c.std != nil {
		c.std(std)
	}
}

func (c *interopCase) check(t *testing.T, ours *State, std tls.ConnectionState) {
	t.Helper()
	if uint16(ours.Suite) != std.CipherSuite || tls.CurveID(ours.Group) != std.CurveID || ours.ALPN != std.NegotiatedProtocol {
		t.Errorf("they disagree: ours %v %v %q, crypto/tls %#x %v %q", ours.Suite, ours.Group, ours.ALPN, std.CipherSuite, std.CurveID, std.NegotiatedProtocol)
	}
	if ours.Resumed != std.DidResume {
		t.Errorf("resumed: ours %v, crypto/tls %v", ours.Resumed, std.DidResume)
	}
	if c.want != nil {
		c.want(t, ours, std)
	}
}

var interopCases = func() (list []interopCase) {
	for _, s := range allSuites {
		list = append(list, interopCase{
			name: s.String(),
			ours: func(c *Config) { c.CipherSuites = []Suite{s} },
			want: func(t *testing.T, ours *State, _ tls.ConnectionState) {
				if ours.Suite != s {
					t.Errorf("suite %v", ours.Suite)
				}
			},
		})
	}
	for _, g := range allGroups {
		list = append(list, interopCase{
			name: g.String(),
			ours: func(c *Config) { c.Groups = []Group{g} },
			std:  func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.CurveID(g)} },
			want: func(t *testing.T, ours *State, std tls.ConnectionState) {
				if ours.Group != g || ours.Retried || std.HelloRetryRequest {
					t.Errorf("group %v, retried %v", ours.Group, ours.Retried)
				}
			},
		})
	}
	return append(list,
		interopCase{name: "default"},
		interopCase{
			name: "ALPN",
			ours: func(c *Config) { c.NextProtos = []string{"x", "h2", "http/1.1"} },
			std:  func(c *tls.Config) { c.NextProtos = []string{"h2", "http/1.1"} },
			want: func(t *testing.T, ours *State, _ tls.ConnectionState) {
				if ours.ALPN != "h2" {
					t.Errorf("ALPN %q", ours.ALPN)
				}
			},
		},
		interopCase{name: "padding", ours: func(c *Config) { c.PadTo = 4096 }},
		interopCase{name: "many key updates of ours", ours: func(c *Config) { c.RecordsPerKey = 2 }},
	)
}()

func TestInteropOurServer(t *testing.T) {
	cases := append(interopCases,
		interopCase{
			name: "HelloRetryRequest",
			ours: func(c *Config) { c.Groups = []Group{P384} },
			std:  func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP384} },
			want: wantRetried,
		},
		interopCase{
			name: "HelloRetryRequest with a cookie only",
			ours: func(c *Config) { c.Cookie = true },
			want: wantRetried,
		},
		interopCase{
			name: "HelloRetryRequest with a cookie and SHA-384",
			ours: func(c *Config) {
				c.Cookie, c.Groups, c.CipherSuites = true, []Group{P521}, []Suite{AES256GCMSHA384}
			},
			want: wantRetried,
		},
	)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			cfg, std := serverConfig(), stdClientConfig()
			c.apply(cfg, std)
			a, b := tcpPair(t)
			client, server := tls.Client(a, std), Server(b, cfg)
			exchange(t, client, server, 100_000)
			c.check(t, server.State(), client.ConnectionState())
			wantSameExport(t, server, client.ConnectionState())
		})
	}
}

func TestInteropOurClient(t *testing.T) {
	cases := append(interopCases,
		interopCase{
			name: "HelloRetryRequest",
			ours: func(c *Config) { c.Groups = []Group{X25519, P384} },
			std:  func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.CurveP384} },
			want: wantRetried,
		},
		interopCase{name: "no compatibility mode", ours: func(c *Config) { c.NoCompat = true }},
		interopCase{
			name: "extensions and messages of ours are none of its business",
			ours: func(c *Config) { c.Extensions = []Extension{{0xff4d, nil}, {0xff4e, make([]byte, 98)}} },
		},
	)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			cfg, std := clientConfig(), stdServerConfig()
			c.apply(cfg, std)
			a, b := tcpPair(t)
			client, server := Client(a, cfg), tls.Server(b, std)
			exchange(t, client, server, 100_000)
			c.check(t, client.State(), server.ConnectionState())
			wantSameExport(t, client, server.ConnectionState())
		})
	}
}

func wantRetried(t *testing.T, ours *State, std tls.ConnectionState) {
	t.Helper()
	if !ours.Retried || !std.HelloRetryRequest {
		t.Errorf("retried: ours %v, crypto/tls %v", ours.Retried, std.HelloRetryRequest)
	}
}

func wantSameExport(t *testing.T, ours *Conn, std tls.ConnectionState) {
	t.Helper()
	a, err := ours.Export("EXPORTER-test", []byte("context"), 80)
	if err != nil {
		t.Fatal(err)
	}
	b, err := std.ExportKeyingMaterial("EXPORTER-test", []byte("context"), 80)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, b) {
		t.Error("exporters differ")
	}
}

// Every kind of key, on both sides of both roles.
func TestInteropSignatures(t *testing.T) {
	for name, key := range testKeys() {
		cert := mustCert(t, theCA().issue(key, testName), key)
		for _, scheme := range cert.schemes {
			t.Run(name+"/"+scheme.String(), func(t *testing.T) {
				mutual := func(t *testing.T, ours *State, std tls.ConnectionState) {
					if ours.Scheme != scheme && name != "RSA" {
						t.Errorf("the peer signed by %v", ours.Scheme)
					}
					if len(ours.VerifiedChains) == 0 || len(std.VerifiedChains) == 0 {
						t.Error("not both sides verified the other")
					}
				}
				c := interopCase{
					ours: func(c *Config) {
						c.Certificates = []*Certificate{cert}
						c.SignatureSchemes = []SignatureScheme{scheme, ECDSAP256SHA256}
						c.ClientAuth, c.ClientCAs = RequireClientCert, theCA().pool
					},
					std: func(c *tls.Config) {
						c.Certificates = []tls.Certificate{asTLS(cert)}
						c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, theCA().pool
					},
					want: mutual,
				}
				ours, std := serverConfig(), stdClientConfig()
				c.apply(ours, std)
				a, b := tcpPair(t)
				sc, ss := tls.Client(a, std), Server(b, ours)
				exchange(t, sc, ss, 100)
				c.check(t, ss.State(), sc.ConnectionState())

				ours, std = clientConfig(), stdServerConfig()
				c.apply(ours, std)
				a, b = tcpPair(t)
				cc, cs := Client(a, ours), tls.Server(b, std)
				exchange(t, cc, cs, 100)
				c.check(t, cc.State(), cs.ConnectionState())
			})
		}
	}
}

// Resumption: our client of their tickets, their client of ours, with each
// hash, with and without a HelloRetryRequest, with a client certificate.
func TestInteropResumption(t *testing.T) {
	for _, suite := range []Suite{AES128GCMSHA256, AES256GCMSHA384} {
		for _, retry := range []bool{false, true} {
			t.Run(fmt.Sprintf("our client/%v/retry=%v", suite, retry), func(t *testing.T) {
				std := stdServerConfig()
				std.ClientAuth, std.ClientCAs = tls.VerifyClientCertIfGiven, theCA().pool
				cfg := clientConfig()
				cfg.CipherSuites = []Suite{suite}
				cfg.Groups = []Group{X25519, P256}
				cfg.Certificates = []*Certificate{p256Cert()}
				if retry {
					std.CurvePreferences = []tls.CurveID{tls.CurveP256}
				}
				for i := range 3 {
					a, b := tcpPair(t)
					client, server := Client(a, cfg), tls.Server(b, std)
					var next *Session
					client.OnEvent(func(ev Event) {
						if s, ok := ev.(*NewSession); ok {
							next = s.Session
						}
					})
					exchange(t, client, server, 100)
					st, cs := client.State(), server.ConnectionState()
					if resumed := i > 0; st.Resumed != resumed || cs.DidResume != resumed || st.Retried != retry {
						t.Fatalf("connection %d: resumed %v and %v, retried %v", i, st.Resumed, cs.DidResume, st.Retried)
					}
					if next == nil || len(st.PeerCertificates) == 0 || len(cs.PeerCertificates) == 0 {
						t.Fatalf("connection %d: no ticket, or an identity was lost", i)
					}
					next2 := *cfg
					next2.Session = next
					cfg = &next2
				}
			})
			t.Run(fmt.Sprintf("our server/%v/retry=%v", suite, retry), func(t *testing.T) {
				std := stdClientConfig()
				std.ClientSessionCache = tls.NewLRUClientSessionCache(1)
				std.Certificates = []tls.Certificate{asTLS(p256Cert())}
				cfg := serverConfig()
				cfg.CipherSuites = []Suite{suite}
				cfg.ClientAuth, cfg.ClientCAs = RequireClientCert, theCA().pool
				if retry {
					cfg.Groups = []Group{P521}
				}
				for i := range 3 {
					a, b := tcpPair(t)
					client, server := tls.Client(a, std), Server(b, cfg)
					exchange(t, client, server, 100)
					st, cs := server.State(), client.ConnectionState()
					if resumed := i > 0; st.Resumed != resumed || cs.DidResume != resumed || st.Retried != retry {
						t.Fatalf("connection %d: resumed %v and %v, retried %v", i, st.Resumed, cs.DidResume, st.Retried)
					}
					if len(st.PeerCertificates) == 0 || len(st.VerifiedChains) == 0 {
						t.Fatalf("connection %d: the client's identity was lost", i)
					}
				}
			})
		}
	}
}

// What one refuses, the other refuses; what one accepts, so does the other:
// each row runs against our engine and against crypto/tls, from the same peer.
func TestDifferential(t *testing.T) {
	otherCA := x509.NewCertPool()
	rows := []struct {
		name   string
		server func(ours *Config, std *tls.Config)
		client func(*tls.Config)
		ok     bool
	}{
		{"plain", nil, nil, true},
		{"wrong name", nil, func(c *tls.Config) { c.ServerName = "other.example.com" }, false},
		{"unknown authority", nil, func(c *tls.Config) { c.RootCAs = otherCA }, false},
		{"only TLS 1.2", nil, func(c *tls.Config) { c.MinVersion, c.MaxVersion = 0, tls.VersionTLS12 }, false},
		{"no common protocol", func(o *Config, s *tls.Config) {
			o.NextProtos, s.NextProtos = []string{"a"}, []string{"a"}
		}, func(c *tls.Config) { c.NextProtos = []string{"b"} }, false},
		{"client without protocols", func(o *Config, s *tls.Config) {
			o.NextProtos, s.NextProtos = []string{"a"}, []string{"a"}
		}, nil, true},
		{"no common group", func(o *Config, s *tls.Config) {
			o.Groups, s.CurvePreferences = []Group{P521}, []tls.CurveID{tls.CurveP521}
		}, func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.X25519} }, false},
		{"client certificate missing", func(o *Config, s *tls.Config) {
			o.ClientAuth, o.ClientCAs = RequireClientCert, theCA().pool
			s.ClientAuth, s.ClientCAs = tls.RequireAndVerifyClientCert, theCA().pool
		}, nil, false},
		{"client certificate optional", func(o *Config, s *tls.Config) {
			o.ClientAuth, o.ClientCAs = VerifyIfGiven, theCA().pool
			s.ClientAuth, s.ClientCAs = tls.VerifyClientCertIfGiven, theCA().pool
		}, nil, true},
		{"client certificate of an unknown authority", func(o *Config, s *tls.Config) {
			o.ClientAuth, o.ClientCAs = VerifyIfGiven, otherCA
			s.ClientAuth, s.ClientCAs = tls.VerifyClientCertIfGiven, otherCA
		}, func(c *tls.Config) {
			cert := asTLS(p256Cert())
			c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
		}, false},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			run := func(server func(net.Conn) tlsConn) (error, error) {
				cfg := stdClientConfig()
				if r.client != nil {
					r.client(cfg)
				}
				a, b := tcpPair(t)
				c, s := tls.Client(a, cfg), server(b)
				done := make(chan error, 1)
				go func() {
					_, err := s.Write([]byte("x"))
					if err == nil {
						_, err = s.Read(make([]byte, 1))
					}
					s.Close()
					done <- err
				}()
				_, err := c.Write([]byte("x"))
				if err == nil {
					_, err = c.Read(make([]byte, 1))
				}
				c.Close()
				return err, <-done
			}
			ours, std := serverConfig(), stdServerConfig()
			if r.server != nil {
				r.server(ours, std)
			}
			oc, os := run(func(c net.Conn) tlsConn { return Server(c, ours) })
			sc, ss := run(func(c net.Conn) tlsConn { return tls.Server(c, std) })
			if (oc == nil) != r.ok || (sc == nil) != r.ok || (os == nil) != r.ok || (ss == nil) != r.ok {
				t.Errorf("client of ours: %v, of crypto/tls: %v; our server: %v, crypto/tls: %v", oc, sc, os, ss)
			}
			// A client that is refused must be told the same by both.
			var oa, sa tls.AlertError
			if errors.As(oc, &oa) != errors.As(sc, &sa) || oa != sa {
				t.Errorf("alerts differ: of ours %v, of crypto/tls %v", oc, sc)
			}
		})
	}
}

func TestHandshakeTimeout(t *testing.T) {
	a, _ := tcpPair(t)
	cfg := clientConfig()
	cfg.HandshakeTimeout = time.Millisecond
	err := Client(a, cfg).Handshake(t.Context())
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "handshake") {
		t.Errorf("handshake with a silent peer: %v", err)
	}
	a, _ = tcpPair(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Client(a, clientConfig()).Handshake(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("handshake with an ended context: %v", err)
	}
}
