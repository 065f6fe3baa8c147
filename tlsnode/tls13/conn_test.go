package tls13

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A listener that hands out our Conns.
type ourListener struct {
	net.Listener
	cfg *Config
}

func (l ourListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return Server(c, l.cfg), nil
}

// serveHTTP runs net/http over our Conn, and returns the URL. The handler
// answers with the path, the TLS version and whether it was resumed.
func serveHTTP(t *testing.T, cfg *Config) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil {
			http.Error(w, "no TLS", 500)
			return
		}
		fmt.Fprintf(w, "%s %#x %v\n", r.URL.Path, r.TLS.Version, r.TLS.DidResume)
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		srv.Serve(ourListener{l, cfg})
	}()
	t.Cleanup(func() {
		srv.Close()
		<-done
	})
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return "https://" + net.JoinHostPort(testName, port)
}

// net/http on both sides of our Conn.
func TestConnHTTP(t *testing.T) {
	url := serveHTTP(t, serverConfig())
	tr := &http.Transport{DialTLSContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		_, port, _ := net.SplitHostPort(addr)
		nc, err := new(net.Dialer).DialContext(ctx, network, "127.0.0.1:"+port)
		if err != nil {
			return nil, err
		}
		c := Client(nc, clientConfig())
		return c, c.Handshake(ctx)
	}}
	defer tr.CloseIdleConnections()
	for range 3 {
		resp, err := (&http.Client{Transport: tr}).Get(url + "/x")
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(b) != "/x 0x304 false\n" {
			t.Errorf("body %q", b)
		}
	}
}

// connPair is two Conns over loopback, with their handshake done.
func connPair(t *testing.T, client, server *Config) (*Conn, *Conn) {
	t.Helper()
	a, b := tcpPair(t)
	c, s := Client(a, client), Server(b, server)
	errs := make(chan error, 1)
	go func() { errs <- s.Handshake(t.Context()) }()
	if err := errors.Join(c.Handshake(t.Context()), <-errs); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		s.Close()
	})
	return c, s
}

// Both directions at full load, with many writers, key updates from both
// sides, tickets and messages in between: nothing is lost, nothing waits.
func TestConnConcurrency(t *testing.T) {
	cc, sc := clientConfig(), serverConfig()
	cc.RecordsPerKey, sc.RecordsPerKey = 7, 5
	cc.MessageTypes = []uint8{0xfd}
	c, s := connPair(t, cc, sc)
	var mu sync.Mutex
	var tickets, messages int
	c.OnEvent(func(ev Event) {
		mu.Lock()
		defer mu.Unlock()
		switch ev.(type) {
		case *NewSession:
			tickets++
		case *Message:
			messages++
		}
	})
	const writers, each, size = 4, 50, 5000
	var wg sync.WaitGroup
	for _, conn := range []*Conn{c, s} {
		for range writers {
			wg.Go(func() {
				for range each {
					if _, err := conn.Write(make([]byte, size)); err != nil {
						t.Errorf("write: %v", err)
					}
				}
			})
		}
		wg.Go(func() {
			if n, err := io.CopyN(io.Discard, conn, writers*each*size); err != nil {
				t.Errorf("read: %d octets, %v", n, err)
			}
		})
	}
	wg.Go(func() {
		for range 10 {
			if err := errors.Join(s.SendTicket(TicketOptions{}), s.SendMessage(0xfd, []byte("go")), c.UpdateKeys(true)); err != nil {
				t.Errorf("send: %v", err)
			}
		}
	})
	wg.Wait()
	if err := s.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("behind close_notify: %v", err)
	}
	if tickets != 11 || messages != 10 {
		t.Errorf("%d tickets, %d messages", tickets, messages)
	}
}

// A peer that does not read cannot keep us from reading, not even when it asks
// for a KeyUpdate.
func TestConnReadsWhileWriteIsBlocked(t *testing.T) {
	c, s := connPair(t, clientConfig(), serverConfig())
	c.NetConn().(*net.TCPConn).SetWriteBuffer(4096)
	s.NetConn().(*net.TCPConn).SetReadBuffer(4096)
	blocked := make(chan error, 1)
	go func() {
		var err error
		for err == nil { // until the buffers of the kernel are full
			_, err = c.Write(make([]byte, 1<<20))
		}
		blocked <- err
	}()
	for range 20 {
		if err := s.UpdateKeys(true); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Close(); err != nil { // must not wait for the writer
		t.Fatal(err)
	}
	if err := <-blocked; !errors.Is(err, net.ErrClosed) && !errors.Is(err, ErrClosed) {
		t.Errorf("the blocked writer: %v", err)
	}
}

func TestConnDeadlines(t *testing.T) {
	c, s := connPair(t, clientConfig(), serverConfig())
	c.SetReadDeadline(time.Now().Add(-time.Second))
	var ne net.Error
	if _, err := c.Read(make([]byte, 1)); !errors.As(err, &ne) || !ne.Timeout() {
		t.Fatalf("read past the deadline: %v", err)
	}
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := s.Write([]byte("late")); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 4)
	if _, err := io.ReadFull(c, b); err != nil || string(b) != "late" {
		t.Errorf("read after a timeout: %q, %v", b, err)
	}
	c.SetWriteDeadline(time.Now().Add(-time.Second))
	if _, err := c.Write([]byte("x")); !errors.As(err, &ne) || !ne.Timeout() {
		t.Fatalf("write past the deadline: %v", err)
	}
	c.SetWriteDeadline(time.Time{})
	if _, err := c.Write([]byte("x")); err == nil {
		t.Error("a write after one that timed out would tear the stream")
	}
}

// The end of the stream without close_notify may be an attacker's doing.
func TestConnTruncation(t *testing.T) {
	c, s := connPair(t, clientConfig(), serverConfig())
	s.NetConn().Close()
	if _, err := io.ReadAll(c); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("read %v", err)
	}
	a, b := tcpPair(t)
	b.Close()
	if err := Client(a, clientConfig()).Handshake(t.Context()); err == nil {
		t.Error("handshake with nobody")
	}
}

func TestConnAfterClose(t *testing.T) {
	c, s := connPair(t, clientConfig(), serverConfig())
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("x")); !errors.Is(err, ErrClosed) {
		t.Errorf("write after CloseWrite: %v", err)
	}
	if _, err := s.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the peer reads %v", err)
	}
	if _, err := s.Write([]byte("still")); err != nil {
		t.Errorf("the other direction: %v", err)
	}
	b := make([]byte, 5)
	if _, err := io.ReadFull(c, b); err != nil {
		t.Errorf("half-closed: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("second Close: %v", err)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("read after Close")
	}
}

// A failed handshake fails for good, and says why on both sides.
func TestConnHandshakeFails(t *testing.T) {
	a, b := tcpPair(t)
	cfg := clientConfig()
	cfg.ServerName = "other.example.com"
	c, s := Client(a, cfg), Server(b, serverConfig())
	done := make(chan error, 1)
	go func() { done <- s.Handshake(context.Background()) }()
	err := c.Handshake(t.Context())
	wantAlert(t, err, AlertBadCertificate)
	if _, again := c.Read(make([]byte, 1)); again != err {
		t.Errorf("later: %v", again)
	}
	remote, ok := errors.AsType[*RemoteError](<-done)
	if !ok || remote.Alert != AlertBadCertificate {
		t.Errorf("the server learns %v", remote)
	}
	if st := c.ConnectionState(); st.HandshakeComplete || c.State() != nil {
		t.Error("a failed handshake has a state")
	}
	if _, err := c.Export("x", nil, 1); !errors.Is(err, ErrNotConnected) {
		t.Errorf("export: %v", err)
	}
}
