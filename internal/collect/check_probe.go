package collect

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

const (
	maxCheckBody   = 64 << 10 // octets of a body that are searched
	maxCheckHeader = 64 << 10 // octets of response header that are read
)

// A finding is a probe's negative result in words: the server answered, and
// the answer is not the one wanted.
type finding string

func (f finding) Error() string { return string(f) }

func findingf(format string, args ...any) error { return finding(fmt.Sprintf(format, args...)) }

// probeTCP is up if the connection is accepted.
func (c *checker) probeTCP(ctx context.Context) (string, error) {
	conn, err := c.network.dial(ctx)
	if err != nil {
		return "", err
	}
	conn.Close()
	return "connected", nil
}

// tlsProbe is up if the TLS handshake (1.2 or newer) completes and, unless
// told otherwise, the certificate is good for the server name.
func (c *checker) tlsProbe() (func(context.Context) (string, error), error) {
	config, err := c.tlsConfig()
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (string, error) {
		conn, err := c.network.dial(ctx)
		if err != nil {
			return "", err
		}
		defer conn.Close()
		secure := tls.Client(conn, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			return "", err
		}
		state := secure.ConnectionState()
		return fmt.Sprintf("%s, certificate until %s", tls.VersionName(state.Version),
			state.PeerCertificates[0].NotAfter.UTC().Format(time.DateOnly)), nil
	}, nil
}

func (c *checker) tlsConfig() (*tls.Config, error) {
	config := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ServerName:         c.network.serverName(),
		InsecureSkipVerify: !c.check.TLSVerify,
	}
	if c.check.CAFile == "" {
		return config, nil
	}
	pem, err := os.ReadFile(c.check.CAFile)
	if err != nil {
		return nil, fmt.Errorf("read CA file: %w", err)
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("CA file %s holds no certificate", c.check.CAFile)
	}
	return config, nil
}

// httpProbe is up if the status is in range and the first 64 KiB of the body
// contain the wanted text. Redirects are not followed: 3xx is a status like
// any other, and where it leads says nothing about this instance.
//
// It speaks HTTP/1.1 on a connection of its own, not through http.Transport:
// that one lets a TLS handshake run on after the request was given up, and a
// server which never finishes it would collect connections.
func (c *checker) httpProbe() (func(context.Context) (string, error), error) {
	u, err := url.ParseRequestURI(c.check.Path)
	if err != nil || c.check.Path[0] != '/' {
		return nil, fmt.Errorf("path %q is not an absolute path", c.check.Path)
	}
	host := c.network.host
	if c.check.Host == "" {
		host = c.check.Target // with its port, as clients send it
	}
	request := &http.Request{
		Method: http.MethodGet,
		URL:    u,
		Host:   host,
		Header: http.Header{"User-Agent": {"catsbgp-check"}, "Accept": {"*/*"}},
		Close:  true,
	}
	var config *tls.Config
	if c.check.Type == CheckHTTPS {
		if config, err = c.tlsConfig(); err != nil {
			return nil, err
		}
	}
	return func(ctx context.Context) (string, error) {
		conn, err := c.network.dial(ctx)
		if err != nil {
			return "", err
		}
		defer conn.Close()
		defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Now()) })()
		if config != nil {
			secure := tls.Client(conn, config)
			if err := secure.HandshakeContext(ctx); err != nil {
				return "", err
			}
			conn = secure
		}
		if err := request.Write(conn); err != nil {
			return "", err
		}
		resp, err := readResponse(conn, request)
		if err != nil {
			return "", err
		}
		// The body is not closed: that would wait for the rest of it.
		said := fmt.Sprintf("status %d", resp.StatusCode)
		if resp.StatusCode < c.check.StatusFrom || resp.StatusCode > c.check.StatusTo {
			return "", finding(said)
		}
		if err := wantBody(resp.Body, c.check.Body); err != nil {
			return "", err
		}
		return said, nil
	}, nil
}

// readResponse reads the first response that is not an interim one.
func readResponse(conn io.Reader, request *http.Request) (*http.Response, error) {
	limited := &io.LimitedReader{R: conn, N: maxCheckHeader + 2*maxCheckBody} // chunks have a frame
	r := bufio.NewReader(limited)
	for {
		resp, err := http.ReadResponse(r, request)
		switch {
		case err != nil && limited.N <= 0:
			return nil, finding("the answer is too large")
		case err != nil:
			return nil, err
		}
		if resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols {
			return resp, nil
		}
	}
}

// wantBody reads until text has been seen, at most maxCheckBody octets.
func wantBody(r io.Reader, text string) error {
	if text == "" {
		return nil
	}
	buf := make([]byte, 0, 4<<10)
	for {
		if len(buf) == cap(buf) {
			buf = append(make([]byte, 0, 2*cap(buf)), buf...)
		}
		searched := max(0, len(buf)-len(text)+1)
		n, err := r.Read(buf[len(buf):min(cap(buf), maxCheckBody)])
		buf = buf[:len(buf)+n]
		switch {
		case bytes.Contains(buf[searched:], []byte(text)):
			return nil
		case len(buf) >= maxCheckBody:
			return findingf("expected text is not in the first %d KiB of the body", maxCheckBody>>10)
		case errors.Is(err, io.EOF):
			return finding("expected text is not in the body")
		case err != nil:
			return err
		}
	}
}

// grpcProbe is up if grpc.health.v1.Health/Check answers SERVING. It speaks
// plain text, or TLS where a CA file is configured.
func (c *checker) grpcProbe() (func(context.Context) (string, error), error) {
	creds := insecure.NewCredentials()
	if c.check.CAFile != "" {
		config, err := c.tlsConfig()
		if err != nil {
			return nil, err
		}
		creds = credentials.NewTLS(config)
	}
	return func(ctx context.Context) (string, error) {
		// gRPC turns the cause of a failed connection into prose; keep it.
		var mu sync.Mutex
		var dialErr error
		conn, err := grpc.NewClient("passthrough:///"+c.network.address,
			grpc.WithTransportCredentials(creds),
			grpc.WithAuthority(c.network.host),
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
				conn, err := c.network.dial(ctx)
				if err != nil {
					mu.Lock()
					dialErr = err
					mu.Unlock()
				}
				return conn, err
			}),
			grpc.WithDisableServiceConfig(),
			grpc.WithDisableRetry(),
			grpc.WithNoProxy(),
			grpc.WithUserAgent("catsbgp-check"),
			grpc.WithMaxHeaderListSize(maxCheckHeader),
			grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxCheckBody)),
		)
		if err != nil {
			return "", err
		}
		defer conn.Close()
		resp, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{Service: c.check.GRPCService})
		if err != nil {
			mu.Lock()
			defer mu.Unlock()
			if dialErr != nil {
				return "", dialErr
			}
			return "", c.grpcError(err)
		}
		if s := resp.GetStatus(); s != healthpb.HealthCheckResponse_SERVING {
			return "", finding(s.String())
		}
		return "SERVING", nil
	}, nil
}

func (c *checker) grpcError(err error) error {
	switch s := status.Convert(err); s.Code() {
	case codes.DeadlineExceeded:
		return context.DeadlineExceeded
	case codes.Canceled:
		return context.Canceled
	case codes.Unimplemented:
		return finding("grpc.health.v1 is not implemented")
	case codes.NotFound:
		return findingf("grpc.health.v1 does not know service %q", c.check.GRPCService)
	default:
		return findingf("grpc %s: %s", s.Code(), s.Message())
	}
}
