package tls13

import (
	"crypto/tls"
	"io"
	"net"
	"testing"
)

// The benchmarks run the same work over this package and over crypto/tls, side
// by side, with both ends in one process over loopback TCP.

// A bench makes the two ends of a connection.
type bench struct {
	name    string
	connect func(client, server net.Conn) (tlsConn, tlsConn)
	resumed func() bool // of the last connection
}

// benches are this package and crypto/tls for one group, resumed or not.
func benches(b *testing.B, g Group, resume bool) []bench {
	cc, sc := clientConfig(), serverConfig()
	cc.Groups, sc.Groups = []Group{g}, []Group{g}
	stdc, stds := stdClientConfig(), stdServerConfig()
	stdc.CurvePreferences, stds.CurvePreferences = []tls.CurveID{tls.CurveID(g)}, []tls.CurveID{tls.CurveID(g)}
	if resume {
		p := newPair(b, cc, sc).wantConnected()
		cc.Session = sessions(p.clientEvents)[0]
		stdc.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		a, z := tcpPair(b)
		c, s := tls.Client(a, stdc), tls.Server(z, stds)
		go func() { s.Write([]byte("x")); s.Close() }()
		io.ReadAll(c)
		c.Close()
		// Keep that one session, as ours does.
		sess, _ := stdc.ClientSessionCache.Get(testName)
		stdc.ClientSessionCache = oneSession{sess}
	} else {
		sc.TicketKeys = nil
		stds.SessionTicketsDisabled = true
	}
	var last tlsConn
	resumed := func() bool { return last.ConnectionState().DidResume }
	return []bench{
		{"ours", func(c, s net.Conn) (tlsConn, tlsConn) {
			l := Client(c, cc)
			last = l
			return l, Server(s, sc)
		}, resumed},
		{"crypto_tls", func(c, s net.Conn) (tlsConn, tlsConn) {
			l := tls.Client(c, stdc)
			last = l
			return l, tls.Server(s, stds)
		}, resumed},
	}
}

type oneSession struct{ s *tls.ClientSessionState }

func (o oneSession) Get(string) (*tls.ClientSessionState, bool) { return o.s, true }
func (o oneSession) Put(string, *tls.ClientSessionState)        {}

func BenchmarkHandshake(b *testing.B) {
	for _, g := range []Group{X25519, P256, X25519MLKEM768} {
		for _, resume := range []bool{false, true} {
			kind := "/full/"
			if resume {
				kind = "/resumed/"
			}
			for _, bb := range benches(b, g, resume) {
				b.Run(g.String()+kind+bb.name, func(b *testing.B) { benchHandshake(b, bb, resume) })
			}
		}
	}
}

func benchHandshake(b *testing.B, bb bench, resume bool) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	b.ReportAllocs()
	done := make(chan error, 1)
	one := make([]byte, 1)
	for b.Loop() {
		nc, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		ns, err := l.Accept()
		if err != nil {
			b.Fatal(err)
		}
		c, s := bb.connect(nc, ns)
		go func() {
			_, err := s.Write([]byte("x"))
			done <- err
		}()
		if _, err := io.ReadFull(c, one); err != nil {
			b.Fatal(err)
		}
		if err := <-done; err != nil {
			b.Fatal(err)
		}
		nc.Close()
		ns.Close()
	}
	if bb.resumed() != resume {
		b.Errorf("resumed: %v", !resume)
	}
}

func BenchmarkBulk(b *testing.B) {
	for _, size := range []struct {
		name string
		n    int
	}{{"16K", 16 << 10}, {"1K", 1 << 10}, {"256K", 256 << 10}} {
		for _, bb := range benches(b, X25519, false) {
			b.Run(size.name+"/"+bb.name, func(b *testing.B) {
				a, z := tcpPair(b)
				c, s := bb.connect(a, z)
				done := make(chan error, 1)
				go func() {
					buf := make([]byte, 64<<10)
					for {
						if _, err := s.Read(buf); err != nil {
							done <- err
							return
						}
					}
				}()
				out := make([]byte, size.n)
				if _, err := c.Write(out); err != nil { // and the handshake
					b.Fatal(err)
				}
				b.SetBytes(int64(size.n))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := c.Write(out); err != nil {
						b.Fatal(err)
					}
				}
				c.CloseWrite()
				if err := <-done; err != io.EOF {
					b.Fatal(err)
				}
			})
		}
	}
}
