package collect

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/catsbgp/catsbgp/advert"
)

var (
	checkService = advert.ServicePrefix(netip.MustParsePrefix("203.0.113.10/32"))
	checkKey     = Key{Service: checkService, ID: advert.InstanceAddr(netip.MustParseAddr("192.0.2.11"))}
)

func mustChecker(t *testing.T, c Check, cs advert.CSID) *checker {
	t.Helper()
	c.Name = "test"
	ck, err := newChecker(checkKey, c, cs)
	if err != nil {
		t.Fatal(err)
	}
	return ck
}

func wantOnce(t *testing.T, c Check, up bool, detail string) CheckEvent {
	t.Helper()
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second // far more than any test needs
	}
	ev := mustChecker(t, c, checkService).once(t.Context())
	if ev.Up != up || !strings.Contains(ev.Detail, detail) {
		t.Errorf("%s check: up %v, %q; want %v, %q", c.Type, ev.Up, ev.Detail, up, detail)
	}
	if ev.Key != checkKey || ev.Check != "test" || ev.At.IsZero() || ev.Latency <= 0 {
		t.Errorf("%s check: incomplete event %+v", c.Type, ev)
	}
	return ev
}

// wantNoLeaks checks, after everything else the test cleans up, that no
// goroutine is left.
func wantNoLeaks(t *testing.T) {
	ignore := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, ignore) })
}

// serve accepts connections on loopback and hands each to handle.
func serve(t *testing.T, handle func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				handle(conn)
			}()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

// closedPort is an address on which nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func reset(conn net.Conn) { conn.(*net.TCPConn).SetLinger(0) } // and close

func hang(conn net.Conn) { io.Copy(io.Discard, conn) }

// drip sends a beginning, then one octet at a time until the client is gone.
func drip(beginning, rest string) func(net.Conn) {
	return func(conn net.Conn) {
		io.WriteString(conn, beginning)
		for i := 0; ; i++ {
			if _, err := conn.Write([]byte{rest[i%len(rest)]}); err != nil {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}

func TestCheckTCP(t *testing.T) {
	wantNoLeaks(t)
	wantOnce(t, Check{Type: CheckTCP, Target: serve(t, hang)}, true, "connected")
	wantOnce(t, Check{Type: CheckTCP, Target: closedPort(t)}, false, "connection refused")
	wantOnce(t, Check{Type: CheckTCP, Target: "no-such-host.invalid:80"}, false, "")
}

func TestCheckHTTP(t *testing.T) {
	wantNoLeaks(t)
	visits := 0
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "host=%s query=%s ready", r.Host, r.URL.RawQuery)
	})
	mux.HandleFunc("/bad", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) })
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/trap", http.StatusFound) })
	mux.HandleFunc("/trap", func(http.ResponseWriter, *http.Request) { visits++ })
	mux.HandleFunc("/huge", func(w http.ResponseWriter, r *http.Request) {
		w.Write(make([]byte, maxCheckBody))
		io.WriteString(w, "ready")
	})
	mux.HandleFunc("/edge", func(w http.ResponseWriter, r *http.Request) {
		w.Write(make([]byte, maxCheckBody-5))
		io.WriteString(w, "ready")
	})
	mux.HandleFunc("/hints", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		io.WriteString(w, "ready")
	})
	srv := httptest.NewServer(mux)
	defer srv.Close()
	target := srv.Listener.Addr().String()

	check := func(path string, f func(*Check), up bool, detail string) {
		t.Helper()
		c := Check{Type: CheckHTTP, Target: target, Path: path}
		if f != nil {
			f(&c)
		}
		wantOnce(t, c, up, detail)
	}
	check("/ok", nil, true, "status 200")
	check("/ok?a=b", func(c *Check) { c.Body = "host=" + target + " query=a=b ready" }, true, "status 200")
	check("/ok", func(c *Check) { c.Host, c.Body = "video.example", "host=video.example " }, true, "status 200")
	check("/ok", func(c *Check) { c.Body = "splendid" }, false, "expected text is not in the body")
	check("/bad", nil, false, "status 503")
	check("/bad", func(c *Check) { c.StatusFrom, c.StatusTo = 500, 599 }, true, "status 503")
	check("/missing", nil, false, "status 404")
	check("/moved", nil, true, "status 302")
	check("/moved", func(c *Check) { c.StatusFrom, c.StatusTo = 200, 299 }, false, "status 302")
	if visits != 0 {
		t.Error("a redirect was followed")
	}
	check("/edge", func(c *Check) { c.Body = "ready" }, true, "status 200")
	check("/hints", func(c *Check) { c.Body = "ready" }, true, "status 200")
	check("/huge", func(c *Check) { c.Body = "ready" }, false, "not in the first 64 KiB")
	check("/ok", func(c *Check) { c.Type, c.TLSVerify = CheckHTTPS, true }, false, "server does not speak TLS")
}

// Whatever a server does, a probe ends at its timeout. The deadline of the
// test is the assertion.
func TestCheckHostileServers(t *testing.T) {
	wantNoLeaks(t)
	const header = "HTTP/1.1 200 OK\r\n"
	servers := []struct {
		name   string
		handle func(net.Conn)
		detail map[CheckType]string
	}{
		{"hangs", hang, map[CheckType]string{CheckHTTP: "no answer within", CheckHTTPS: "no answer within", CheckTLS: "no answer within", CheckGRPC: "no answer within"}},
		{"resets", reset, map[CheckType]string{CheckHTTP: "connection", CheckHTTPS: "connection reset", CheckTLS: "connection reset", CheckGRPC: ""}},
		{"closes", func(net.Conn) {}, map[CheckType]string{CheckHTTP: "connection", CheckTLS: "connection"}},
		{"drips_status", drip("HTTP/1.1 2", "0"), map[CheckType]string{CheckHTTP: "", CheckTLS: "server does not speak TLS", CheckGRPC: ""}},
		{"drips_header", drip(header, "x: y\r\n"), map[CheckType]string{CheckHTTP: "no answer within"}},
		{"drips_body", drip(header+"\r\n", "nothing "), map[CheckType]string{CheckHTTP: "no answer within"}},
		{"endless_header", func(c net.Conn) {
			io.WriteString(c, header)
			for {
				if _, err := io.WriteString(c, strings.Repeat("x: y\r\n", 1000)); err != nil {
					return
				}
			}
		}, map[CheckType]string{CheckHTTP: "the answer is too large"}},
		{"drips_early_hints", drip("", "HTTP/1.1 103 Early Hints\r\n\r\n"), map[CheckType]string{CheckHTTP: "no answer within"}},
		{"drips_tls", drip("\x16\x03\x03\x40\x00", "\x02"), map[CheckType]string{CheckTLS: "", CheckHTTPS: ""}},
		{"drips_http2", drip("\x00\x00\x00\x04\x00\x00\x00\x00\x00", "\x00"), map[CheckType]string{CheckGRPC: ""}},
		{"speaks_nonsense", func(c net.Conn) { io.WriteString(c, "\x1b[31mred\r\n\r\n"); hang(c) }, map[CheckType]string{CheckHTTP: "malformed HTTP", CheckTLS: "", CheckGRPC: ""}},
	}
	for _, s := range servers {
		addr := serve(t, s.handle)
		for typ, detail := range s.detail {
			t.Run(s.name+"_"+string(typ), func(t *testing.T) {
				t.Parallel()
				c := Check{Type: typ, Target: addr, Body: "ready", Timeout: 300 * time.Millisecond, TLSVerify: true}
				if detail != "" && detail != "no answer within" {
					c.Timeout = time.Minute // what is expected comes by itself
				}
				ev := wantOnce(t, c, false, detail)
				if strings.ContainsAny(ev.Detail, "\x1b\r\n") || len(ev.Detail) > maxReason+4 || ev.Detail == "" {
					t.Errorf("detail %q is not fit for a log", ev.Detail)
				}
				t.Log(ev.Detail)
			})
		}
	}
}

// A probe that succeeded or failed leaves no connection behind: the server sees
// the end at once, not when memory is collected some day.
func TestCheckClosesConnections(t *testing.T) {
	wantNoLeaks(t)
	ended := make(chan struct{}, 1)
	ok := func(c net.Conn) {
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nready")
		hang(c)
		ended <- struct{}{}
	}
	addr := serve(t, ok)
	for _, c := range []Check{
		{Type: CheckTCP},
		{Type: CheckHTTP},
		{Type: CheckHTTP, Body: "ready"},
		{Type: CheckHTTP, Body: "absent", Timeout: 100 * time.Millisecond},
		{Type: CheckHTTP, StatusFrom: 300, StatusTo: 399},
		{Type: CheckHTTPS},
		{Type: CheckTLS},
		{Type: CheckGRPC},
	} {
		c.Target = addr
		if c.Timeout == 0 {
			c.Timeout = time.Hour // nobody waits for the rest of the body
		}
		mustChecker(t, c, checkService).once(t.Context())
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			t.Errorf("%s check %+v: the connection stays open", c.Type, c)
		}
	}
}

// A text that has come is enough; the rest of a slow body is not waited for.
func TestCheckBodyStopsEarly(t *testing.T) {
	wantNoLeaks(t)
	addr := serve(t, drip("HTTP/1.1 200 OK\r\n\r\n", "ready."))
	wantOnce(t, Check{Type: CheckHTTP, Target: addr, Body: "ready", Timeout: time.Minute}, true, "status 200")
}

// A testCA makes certificates for tests.
type testCA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newTestCA(t *testing.T) *testCA {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	ca := &testCA{cert: cert, key: key, file: filepath.Join(t.TempDir(), "ca.pem")}
	if err := os.WriteFile(ca.file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return ca
}

func (ca *testCA) issue(t *testing.T, from, to time.Time, names ...string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: from, NotAfter: to, DNSNames: names}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, ca.cert, &key.PublicKey, ca.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func serveTLS(t *testing.T, config *tls.Config) string {
	return serve(t, func(raw net.Conn) {
		conn := tls.Server(raw, config)
		if conn.Handshake() == nil {
			io.Copy(io.Discard, conn)
		}
	})
}

func TestCheckTLS(t *testing.T) {
	wantNoLeaks(t)
	ca := newTestCA(t)
	now := time.Now()
	good := ca.issue(t, now.Add(-time.Hour), now.Add(time.Hour), "video.example")
	old := ca.issue(t, now.Add(-48*time.Hour), time.Date(2025, 1, 2, 0, 0, 0, 0, time.UTC), "video.example")
	young := ca.issue(t, now.Add(24*time.Hour), now.Add(48*time.Hour), "video.example")

	sni := make(chan string, 1)
	goodAddr := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{good},
		GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			select {
			case sni <- h.ServerName:
			default:
			}
			return nil, nil
		}})
	check := func(addr, ca string, f func(*Check), up bool, detail string) {
		t.Helper()
		c := Check{Type: CheckTLS, Target: addr, Host: "video.example", CAFile: ca, TLSVerify: true}
		if f != nil {
			f(&c)
		}
		wantOnce(t, c, up, detail)
	}
	check(goodAddr, ca.file, nil, true, "TLS 1.3, certificate until ")
	if name := <-sni; name != "video.example" {
		t.Errorf("server name %q, want the check's host", name)
	}
	check(goodAddr, "", nil, false, "certificate signed by unknown authority")
	check(goodAddr, ca.file, func(c *Check) { c.Host = "other.example" }, false, "certificate is not for other.example")
	check(goodAddr, ca.file, func(c *Check) { c.Host = "video.example:8443" }, true, "TLS 1.3")
	check(goodAddr, "", func(c *Check) { c.TLSVerify = false }, true, "TLS 1.3")

	oldAddr := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{old}})
	check(oldAddr, ca.file, nil, false, "certificate expired 2025-01-02")
	check(oldAddr, ca.file, func(c *Check) { c.Type = CheckHTTPS }, false, "certificate expired 2025-01-02")
	check(oldAddr, ca.file, func(c *Check) { c.TLSVerify = false }, true, "certificate until 2025-01-02")
	youngAddr := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{young}})
	check(youngAddr, ca.file, nil, false, "certificate not valid before ")

	tls11 := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{good}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
	check(tls11, ca.file, nil, false, "tls: ")
	mutual := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{good}, ClientAuth: tls.RequireAnyClientCert, MaxVersion: tls.VersionTLS12})
	check(mutual, ca.file, nil, false, "tls: ")

	web := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Host) }))
	web.Config.ErrorLog = log.New(io.Discard, "", 0)
	web.TLS = &tls.Config{Certificates: []tls.Certificate{good}}
	web.StartTLS()
	defer web.Close()
	webAddr := web.Listener.Addr().String()
	check(webAddr, ca.file, func(c *Check) { c.Type, c.Body = CheckHTTPS, "video.example" }, true, "status 200")
	check(webAddr, "", func(c *Check) { c.Type = CheckHTTPS }, false, "unknown authority")
}

func TestCheckGRPC(t *testing.T) {
	wantNoLeaks(t)
	ca := newTestCA(t)
	cert := ca.issue(t, time.Now().Add(-time.Hour), time.Now().Add(time.Hour), "video.example")
	start := func(register bool, opts ...grpc.ServerOption) (string, *health.Server) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		srv := grpc.NewServer(opts...)
		hs := health.NewServer()
		if register {
			healthpb.RegisterHealthServer(srv, hs)
		}
		go srv.Serve(l)
		t.Cleanup(srv.Stop)
		return l.Addr().String(), hs
	}
	addr, hs := start(true)
	hs.SetServingStatus("video", healthpb.HealthCheckResponse_NOT_SERVING)
	bare, _ := start(false)
	secure, _ := start(true, grpc.Creds(credentials.NewServerTLSFromCert(&cert)))

	wantOnce(t, Check{Type: CheckGRPC, Target: addr}, true, "SERVING")
	wantOnce(t, Check{Type: CheckGRPC, Target: addr, GRPCService: "video"}, false, "NOT_SERVING")
	wantOnce(t, Check{Type: CheckGRPC, Target: addr, GRPCService: "audio"}, false, `does not know service "audio"`)
	wantOnce(t, Check{Type: CheckGRPC, Target: bare}, false, "not implemented")
	wantOnce(t, Check{Type: CheckGRPC, Target: closedPort(t)}, false, "connection refused")
	wantOnce(t, Check{Type: CheckGRPC, Target: secure, CAFile: ca.file, Host: "video.example", TLSVerify: true}, true, "SERVING")
	wantOnce(t, Check{Type: CheckGRPC, Target: secure}, false, "")
}

func TestCheckViaCSID(t *testing.T) {
	peers := make(chan net.Addr, 1)
	l, err := net.Listen("tcp", "127.0.1.10:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			peers <- conn.RemoteAddr()
			conn.Close()
		}
	}()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	local, err := advert.ParseCSID("127.0.1.10")
	if err != nil {
		t.Fatal(err)
	}
	// The target itself is elsewhere; only its port counts.
	c := Check{Type: CheckTCP, Target: "192.0.2.11:" + port, ViaCSID: true, Timeout: 10 * time.Second}
	ev := mustChecker(t, c, local).once(t.Context())
	if !ev.Up {
		t.Fatalf("service address on loopback: %s", ev.Detail)
	}
	if peer := (<-peers).String(); !strings.HasPrefix(peer, "127.0.1.10:") {
		t.Errorf("probe came from %s, want the service address", peer)
	}
	ev = mustChecker(t, c, checkService).once(t.Context())
	if ev.Up || ev.Detail != "service address 203.0.113.10 is not bound on this host" {
		t.Errorf("service address elsewhere: up %v, %q", ev.Up, ev.Detail)
	}
}

func TestNewCheckerRefuses(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]Check{
		"no_port":      {Type: CheckTCP, Target: "192.0.2.1"},
		"port_zero":    {Type: CheckTCP, Target: "192.0.2.1:0"},
		"port_name":    {Type: CheckTCP, Target: "192.0.2.1:http"},
		"no_host":      {Type: CheckTCP, Target: ":80"},
		"no_type":      {Target: "192.0.2.1:80"},
		"status":       {Type: CheckHTTP, Target: "192.0.2.1:80", StatusFrom: 300, StatusTo: 200},
		"path":         {Type: CheckHTTP, Target: "192.0.2.1:80", Path: "http://203.0.113.1/"},
		"ca_missing":   {Type: CheckTLS, Target: "192.0.2.1:80", CAFile: empty + "x"},
		"ca_empty":     {Type: CheckHTTPS, Target: "192.0.2.1:80", CAFile: empty},
		"grpc_ca":      {Type: CheckGRPC, Target: "192.0.2.1:80", CAFile: empty},
		"cs_id_absent": {Type: CheckTCP, Target: "192.0.2.1:80", ViaCSID: true},
	} {
		c.Name = name
		if _, err := newChecker(checkKey, c, advert.CSID{}); err == nil {
			t.Errorf("%s was accepted", name)
		} else if !strings.Contains(err.Error(), name) || !strings.HasPrefix(err.Error(), "collect: ") {
			t.Errorf("%s: %v does not say which check", name, err)
		}
	}
}

func TestCheckerRun(t *testing.T) { synctest.Test(t, testCheckerRun) }

func testCheckerRun(t *testing.T) {
	c := mustChecker(t, Check{
		Type: CheckTCP, Target: "192.0.2.1:80", Rise: 2, Fall: 3,
		Interval: 10 * time.Second, FastInterval: time.Second, Timeout: time.Second,
	}, checkService)
	var mu sync.Mutex // fake time orders nothing in the race detector's eyes
	var result error
	var probes []time.Time
	c.probe = func(context.Context) (string, error) {
		mu.Lock()
		defer mu.Unlock()
		probes = append(probes, time.Now())
		return "fine", result
	}
	answer := func(err error) { mu.Lock(); defer mu.Unlock(); result = err }
	probed := func() []time.Time { mu.Lock(); defer mu.Unlock(); return slices.Clone(probes) }
	events := make(chan CheckEvent, 100)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	start := time.Now()
	go func() {
		c.run(ctx, func(ev Event) { events <- ev.(CheckEvent) })
		close(done)
	}()
	want := func(why string, up, changed bool, detail string) {
		t.Helper()
		synctest.Wait()
		select {
		case ev := <-events:
			if ev.Up != up || ev.Changed != changed || ev.Detail != detail {
				t.Fatalf("%s: up %v changed %v %q", why, ev.Up, ev.Changed, ev.Detail)
			}
		default:
			t.Fatalf("%s: no event", why)
		}
	}
	quiet := func(why string) {
		t.Helper()
		synctest.Wait()
		if len(events) > 0 {
			t.Fatalf("%s: %+v", why, <-events)
		}
	}
	want("the first result comes at once", true, true, "fine")
	if !probed()[0].Equal(start) {
		t.Error("the first probe waited")
	}
	time.Sleep(80 * time.Second)
	quiet("nothing changes, nothing is said")
	time.Sleep(20 * time.Second)
	want("but the state is repeated within ten intervals", true, false, "fine")

	answer(errors.New("broken"))
	before := len(probed())
	time.Sleep(12 * time.Second) // one interval until the first failure, then fast
	want("three failures: down", false, true, "broken")
	if len(probed()) < before+3 {
		t.Error("no fast probes while falling")
	}
	for i, probes := 1, probed(); i < len(probes); i++ {
		if gap := probes[i].Sub(probes[i-1]); gap > 10*time.Second || gap < 900*time.Millisecond {
			t.Errorf("probe %d came %v after the last", i, gap)
		}
	}
	answer(nil)
	time.Sleep(12 * time.Second)
	want("two successes: up", true, true, "fine")

	cancel()
	<-done
	synctest.Wait()
	n := len(probed())
	time.Sleep(time.Hour)
	if len(probed()) != n {
		t.Error("probes after the end")
	}
}

// The repeated state says so when a change is on its way.
func TestCheckerRunPending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := mustChecker(t, Check{Type: CheckTCP, Target: "192.0.2.1:80", Fall: 1000, Interval: 10 * time.Second, FastInterval: time.Second}, checkService)
		up := true
		c.probe = func(context.Context) (string, error) {
			if up {
				up = false
				return "fine", nil
			}
			return "", errors.New("broken")
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(150*time.Second, cancel)
		var last CheckEvent
		c.run(ctx, func(ev Event) { last = ev.(CheckEvent) })
		if !last.Up || last.Changed || !strings.HasPrefix(last.Detail, "broken (") || !strings.HasSuffix(last.Detail, " of 1000 before a change)") {
			t.Errorf("said %+v", last)
		}
	})
}

// A check that is stopped in the middle of a probe says nothing about it: the
// server is not down because we are leaving.
func TestCheckerRunStopsSilently(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := mustChecker(t, Check{Type: CheckTCP, Target: "192.0.2.1:80", Timeout: time.Minute}, checkService)
		c.probe = func(ctx context.Context) (string, error) { <-ctx.Done(); return "", ctx.Err() }
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		c.run(ctx, func(ev Event) { t.Errorf("said %+v", ev) })
	})
}

// A probe that takes its whole timeout, longer than the interval, neither
// stalls the loop nor makes probes overlap.
func TestCheckerRunSlowProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := mustChecker(t, Check{Type: CheckTCP, Target: "192.0.2.1:80", Interval: time.Second, Timeout: 3 * time.Second}, checkService)
		n := 0
		c.probe = func(ctx context.Context) (string, error) { n++; <-ctx.Done(); return "", ctx.Err() }
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(10*time.Second, cancel)
		var first CheckEvent
		c.run(ctx, func(ev Event) {
			if first.At.IsZero() {
				first = ev.(CheckEvent)
			}
		})
		if n != 4 || first.Up || first.Detail != "no answer within 3s" || first.Latency != 3*time.Second {
			t.Errorf("%d probes, first %+v", n, first)
		}
	})
}

func FuzzPrintable(f *testing.F) {
	f.Add("status 200")
	f.Add(strings.Repeat("é", maxReason))
	f.Add("\x1b]0;title\a\xff\u202e")
	f.Fuzz(func(t *testing.T, s string) {
		got := printable(s)
		if len(got) > maxReason+len("…") {
			t.Errorf("%d octets", len(got))
		}
		for _, r := range got {
			if r < ' ' || r == 0x7f || r == '\u202e' || r == '\ufffd' && !strings.ContainsRune(s, r) {
				t.Errorf("%q lets %q through", got, r)
			}
		}
	})
}
