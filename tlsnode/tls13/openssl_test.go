package tls13

import (
	"bufio"
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// needOpenSSL returns a directory with ca.pem, cert.pem and key.pem.
func needOpenSSL(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed")
	}
	dir := t.TempDir()
	writePEM(t, filepath.Join(dir, "ca.pem"), "CERTIFICATE", theCA().cert.Raw)
	writeKeyPair(t, dir, p256Cert().chain[0], p256Cert().key)
	return dir
}

func writePEM(t *testing.T, file, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

func writeKeyPair(t *testing.T, dir string, cert []byte, key crypto.Signer) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, filepath.Join(dir, "cert.pem"), "CERTIFICATE", cert)
	writePEM(t, filepath.Join(dir, "key.pem"), "PRIVATE KEY", der)
}

// An opensslProc is a running openssl, its lines, and its stdin.
type opensslProc struct {
	t     *testing.T
	in    io.Writer
	lines chan string
	seen  []string
}

func startOpenSSL(t *testing.T, dir string, args ...string) *opensslProc {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "openssl", args...)
	cmd.Dir = dir
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &opensslProc{t: t, in: in, lines: make(chan string, 1000)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(p.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			select {
			case p.lines <- s.Text():
			case <-t.Context().Done():
			}
		}
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-done
		cmd.Wait()
	})
	return p
}

// wait returns the first line that has sub in it.
func (p *opensslProc) wait(sub string) string {
	p.t.Helper()
	timeout := time.After(5 * time.Second)
	for {
		select {
		case line, ok := <-p.lines:
			p.seen = append(p.seen, line)
			if strings.Contains(line, sub) {
				return line
			}
			if !ok {
				p.t.Fatalf("openssl ended without %q:\n%s", sub, strings.Join(p.seen, "\n"))
			}
		case <-timeout:
			p.t.Fatalf("openssl never said %q:\n%s", sub, strings.Join(p.seen, "\n"))
		}
	}
}

func (p *opensslProc) say(s string) {
	p.t.Helper()
	if _, err := io.WriteString(p.in, s); err != nil {
		p.t.Fatal(err)
	}
}

// startServer starts s_server, and returns its address.
func startServer(t *testing.T, dir string, args ...string) (*opensslProc, string) {
	t.Helper()
	args = append([]string{"s_server", "-accept", "127.0.0.1:0", "-tls1_3", "-cert", "cert.pem", "-key", "key.pem"}, args...)
	p := startOpenSSL(t, dir, args...)
	line := p.wait("ACCEPT ")
	return p, strings.TrimSpace(strings.TrimPrefix(line, "ACCEPT "))
}

func dialOurs(t *testing.T, addr string, cfg *Config) *Conn {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	nc.SetDeadline(time.Now().Add(5 * time.Second))
	c := Client(nc, cfg)
	t.Cleanup(func() { c.Close() })
	return c
}

// wantReversed asks an s_server -rev to reverse a line.
func wantReversed(t *testing.T, c *Conn) {
	t.Helper()
	if _, err := io.WriteString(c, "abc\n"); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 4)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "cba\n" {
		t.Fatalf("read %q, %v", got, err)
	}
}

func TestOpenSSLServer(t *testing.T) {
	dir := needOpenSSL(t)
	for _, row := range []struct {
		name string
		args []string
		cfg  func(*Config)
		want func(*State) bool
	}{
		{"AES-128", []string{"-ciphersuites", "TLS_AES_128_GCM_SHA256"}, nil, func(s *State) bool { return s.Suite == AES128GCMSHA256 }},
		{"AES-256", []string{"-ciphersuites", "TLS_AES_256_GCM_SHA384"}, nil, func(s *State) bool { return s.Suite == AES256GCMSHA384 }},
		{"ChaCha20", []string{"-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"}, nil, func(s *State) bool { return s.Suite == ChaCha20Poly1305SHA256 }},
		{"X25519", []string{"-groups", "X25519"}, nil, func(s *State) bool { return s.Group == X25519 && !s.Retried }},
		{"P-256", nil, func(c *Config) { c.Groups = []Group{P256} }, func(s *State) bool { return s.Group == P256 && !s.Retried }},
		{"HelloRetryRequest to P-384", []string{"-groups", "P-384"}, nil, func(s *State) bool { return s.Group == P384 && s.Retried }},
		{"HelloRetryRequest to P-521", []string{"-groups", "P-521"}, nil, func(s *State) bool { return s.Group == P521 && s.Retried }},
		{"ALPN", []string{"-alpn", "h2,http/1.1"}, func(c *Config) { c.NextProtos = []string{"http/1.1"} }, func(s *State) bool { return s.ALPN == "http/1.1" }},
		{"client certificate", []string{"-Verify", "1", "-verify_return_error", "-CAfile", "ca.pem"}, func(c *Config) { c.Certificates = []*Certificate{p256Cert()} }, func(s *State) bool { return true }},
		{"padding and small records", []string{"-record_padding", "500", "-max_send_frag", "600"}, func(c *Config) { c.PadTo = 100 }, func(s *State) bool { return true }},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, addr := startServer(t, dir, append(row.args, "-rev")...)
			cfg := clientConfig()
			if row.cfg != nil {
				row.cfg(cfg)
			}
			c := dialOurs(t, addr, cfg)
			wantReversed(t, c)
			if !row.want(c.State()) {
				t.Errorf("state %+v", c.State())
			}
		})
	}
}

func TestOpenSSLServerResumes(t *testing.T) {
	dir := needOpenSSL(t)
	for _, retry := range []bool{false, true} {
		args := []string{"-rev"}
		if retry {
			args = append(args, "-groups", "P-384")
		}
		_, addr := startServer(t, dir, args...)
		cfg := clientConfig()
		for i := range 3 {
			c := dialOurs(t, addr, cfg)
			var list []*Session
			c.OnEvent(func(ev Event) {
				if s, ok := ev.(*NewSession); ok {
					list = append(list, s.Session)
				}
			})
			wantReversed(t, c)
			if st := c.State(); st.Resumed != (i > 0) || st.Retried != retry {
				t.Fatalf("connection %d: %+v", i, st)
			}
			// openssl sends two tickets after a full handshake, one after a
			// resumed one.
			if len(list) == 0 || i == 0 && (len(list) != 2 || list[0].psk == list[1].psk) {
				t.Fatalf("connection %d: %d tickets", i, len(list))
			}
			c.Close()
			next := *cfg
			next.Session = list[0]
			cfg = &next
		}
	}
}

func TestOpenSSLServerKeyUpdate(t *testing.T) {
	dir := needOpenSSL(t)
	p, addr := startServer(t, dir)
	c := dialOurs(t, addr, clientConfig())
	updated := make(chan struct{}, 10)
	c.OnEvent(func(ev Event) {
		if _, ok := ev.(*KeysUpdated); ok {
			updated <- struct{}{}
		}
	})
	write := func(line string) {
		t.Helper()
		if _, err := io.WriteString(c, line+"\n"); err != nil {
			t.Fatal(err)
		}
		p.wait(line)
	}
	// read has openssl send a line, behind a command that it only takes at
	// the start of what it reads from its terminal.
	read := func(command, line string) {
		t.Helper()
		got := make([]byte, len(line))
		done := make(chan error, 1)
		go func() {
			_, err := io.ReadFull(c, got)
			done <- err
		}()
		if command != "" {
			p.say(command)
			select {
			case <-updated:
			case err := <-done:
				t.Fatalf("instead of a KeyUpdate: %v", err)
			}
		}
		p.say(line)
		if err := <-done; err != nil || string(got) != line {
			t.Fatalf("read %q, %v", got, err)
		}
	}
	write("one")
	read("k\n", "first\n")  // a KeyUpdate
	read("K\n", "second\n") // a KeyUpdate that asks for ours
	write("two")
	if err := c.UpdateKeys(true); err != nil { // openssl answers when it writes
		t.Fatal(err)
	}
	write("three")
	read("", "third\n")
	select {
	case <-updated:
	default:
		t.Error("openssl did not answer our KeyUpdate")
	}
}

// openssl's RSASSA-PSS keys, which crypto/x509 does not parse, in both roles.
func TestOpenSSLPSSKeys(t *testing.T) {
	dir := needOpenSSL(t)
	run := func(args ...string) {
		t.Helper()
		cmd := exec.Command("openssl", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("openssl %v: %v\n%s", args, err, out)
		}
	}
	run("req", "-x509", "-newkey", "rsa-pss", "-pkeyopt", "rsa_keygen_bits:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem",
		"-subj", "/CN=pss", "-addext", "subjectAltName=DNS:"+testName)
	cert, err := os.ReadFile(filepath.Join(dir, "cert.pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(cert)

	_, addr := startServer(t, dir, "-rev")
	cfg := clientConfig()
	cfg.InsecureSkipVerify = true // x509 cannot check a signature by such a key
	c := dialOurs(t, addr, cfg)
	wantReversed(t, c)
	if c.State().Scheme != RSAPSSPSSSHA256 {
		t.Errorf("signed by %v", c.State().Scheme)
	}

	// The same key as plain RSA, so that Go can sign with it.
	run("pkey", "-in", "key.pem", "-out", "key.der", "-outform", "DER", "-traditional")
	key := parsePSSKey(t, dir)
	ours, err := NewCertificate([][]byte{block.Bytes}, key)
	if err != nil {
		t.Fatal(err)
	}
	scfg := serverConfig()
	scfg.Certificates = []*Certificate{ours}
	addr = serveEcho(t, scfg)
	p := startOpenSSL(t, dir, "s_client", "-connect", addr, "-tls1_3", "-servername", testName, "-CAfile", "cert.pem", "-verify_return_error")
	p.wait("Peer signature type: RSA-PSS")
	p.say("hello\n")
	p.wait("hello")
}

// parsePSSKey reads key.der: PKCS #8 whose algorithm says RSASSA-PSS.
func parsePSSKey(t *testing.T, dir string) crypto.Signer {
	t.Helper()
	der, err := os.ReadFile(filepath.Join(dir, "key.der"))
	if err != nil {
		t.Fatal(err)
	}
	if k, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return k
	}
	// The inner RSAPrivateKey is the last octet string.
	for i := range der {
		if der[i] == 0x30 {
			if k, err := x509.ParsePKCS1PrivateKey(der[i:]); err == nil {
				return k
			}
		}
	}
	t.Fatal("no RSA key in key.der")
	return nil
}

// serveEcho runs our server on loopback until the test ends. What is read is
// sent back.
func serveEcho(t *testing.T, cfg *Config) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			nc.SetDeadline(time.Now().Add(5 * time.Second))
			c := Server(nc, cfg)
			if _, err := io.Copy(c, c); err != nil {
				t.Logf("our server: %v", err)
			}
			c.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return l.Addr().String()
}

func TestOpenSSLClient(t *testing.T) {
	dir := needOpenSSL(t)
	for _, row := range []struct {
		name string
		args []string
		cfg  func(*Config)
		want string
	}{
		{"AES-128", []string{"-ciphersuites", "TLS_AES_128_GCM_SHA256"}, nil, "TLS_AES_128_GCM_SHA256"},
		{"AES-256", []string{"-ciphersuites", "TLS_AES_256_GCM_SHA384"}, nil, "TLS_AES_256_GCM_SHA384"},
		{"ChaCha20", []string{"-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"}, nil, "TLS_CHACHA20_POLY1305_SHA256"},
		{"X25519", []string{"-groups", "X25519"}, nil, "Server Temp Key: X25519"},
		{"P-256", []string{"-groups", "P-256"}, nil, "Server Temp Key: ECDH, prime256v1"},
		{"P-384", []string{"-groups", "P-384"}, nil, "Server Temp Key: ECDH, secp384r1"},
		{"P-521", []string{"-groups", "P-521"}, nil, "Server Temp Key: ECDH, secp521r1"},
		{"HelloRetryRequest", []string{"-groups", "X25519:P-384"}, func(c *Config) { c.Groups = []Group{P384} }, "Server Temp Key: ECDH, secp384r1"},
		{"HelloRetryRequest with a cookie", nil, func(c *Config) { c.Cookie = true }, "Verification: OK"},
		{"ALPN", []string{"-alpn", "h2,http/1.1"}, func(c *Config) { c.NextProtos = []string{"http/1.1"} }, "ALPN protocol: http/1.1"},
		{"client certificate", []string{"-cert", "cert.pem", "-key", "key.pem"}, func(c *Config) {
			c.ClientAuth, c.ClientCAs = RequireClientCert, theCA().pool
		}, "Acceptable client certificate CA names"},
		{"no middlebox compatibility", []string{"-no_middlebox"}, nil, "Verification: OK"},
		{"small fragments", []string{"-max_send_frag", "512", "-record_padding", "64"}, func(c *Config) { c.PadTo = 700 }, "Verification: OK"},
	} {
		t.Run(row.name, func(t *testing.T) {
			cfg := serverConfig()
			if row.cfg != nil {
				row.cfg(cfg)
			}
			addr := serveEcho(t, cfg)
			args := append([]string{"s_client", "-connect", addr, "-tls1_3", "-servername", testName, "-CAfile", "ca.pem", "-verify_return_error"}, row.args...)
			p := startOpenSSL(t, dir, args...)
			p.wait(row.want)
			p.say("hello there\n")
			p.wait("hello there")
			p.say("k\n") // KeyUpdate
			p.wait("KEYUPDATE")
			p.say("second\n")
			p.wait("second")
			p.say("K\n") // KeyUpdate that asks for ours
			p.wait("KEYUPDATE")
			p.say("third\n")
			p.wait("third")
			p.say("fourth\n")
			p.wait("fourth")
		})
	}
}

func TestOpenSSLClientResumes(t *testing.T) {
	dir := needOpenSSL(t)
	for _, groups := range [][]Group{nil, {P384}} { // without and with HelloRetryRequest
		cfg := serverConfig()
		cfg.Groups = groups
		addr := serveEcho(t, cfg)
		base := []string{"s_client", "-connect", addr, "-tls1_3", "-servername", testName, "-CAfile", "ca.pem"}
		p := startOpenSSL(t, dir, append(base, "-sess_out", "sess.pem")...)
		p.wait("New, TLSv1.3")
		p.say("hello\n")
		p.wait("hello")
		p.say("Q\n")
		for range p.lines {
		}
		p = startOpenSSL(t, dir, append(base, "-sess_in", "sess.pem")...)
		p.wait("Reused, TLSv1.3")
		p.say("again\n")
		p.wait("again")
	}
}

// curl, if there is one, against net/http over our Conn.
func TestCurl(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("curl is not installed")
	}
	dir := t.TempDir()
	writePEM(t, filepath.Join(dir, "ca.pem"), "CERTIFICATE", theCA().cert.Raw)
	url := serveHTTP(t, serverConfig())
	out, err := exec.CommandContext(t.Context(), curl, "-sS", "--cacert", filepath.Join(dir, "ca.pem"), "--resolve",
		strings.Replace(strings.TrimPrefix(url, "https://"), ":", ":", 1)+":127.0.0.1", url+"/a", url+"/b").CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte(fmt.Sprintf("/a %#x", tls.VersionTLS13))) {
		t.Errorf("curl: %v\n%s", err, out)
	}
}
