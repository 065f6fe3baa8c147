package collect

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"
	"unicode"
)

const maxReason = 160 // octets

// reason says in a few words why a probe failed.
func (c *checker) reason(ctx context.Context, err error) string {
	var (
		found    finding
		timeout  net.Error
		name     *net.DNSError
		invalid  x509.CertificateInvalidError
		unknown  x509.UnknownAuthorityError
		hostname x509.HostnameError
		alert    tls.AlertError
		record   tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &found):
		return printable(string(found))
	case ctx.Err() != nil, errors.Is(err, context.DeadlineExceeded),
		errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Sprintf("no answer within %s", c.check.Timeout)
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "connection reset"
	case errors.Is(err, syscall.EHOSTUNREACH):
		return "host unreachable"
	case errors.Is(err, syscall.ENETUNREACH):
		return "network unreachable"
	case errors.Is(err, syscall.EADDRNOTAVAIL) && c.network.service.IsValid():
		return fmt.Sprintf("service address %s is not bound on this host", c.network.service)
	case errors.As(err, &name):
		return printable(fmt.Sprintf("name %s: %s", name.Name, name.Err))
	case errors.As(err, &invalid):
		return printable(certificateReason(invalid))
	case errors.As(err, &unknown):
		return "certificate signed by unknown authority"
	case errors.As(err, &hostname):
		return printable("certificate is not for " + hostname.Host)
	case errors.As(err, &alert):
		return alert.Error()
	case errors.As(err, &record):
		return "server does not speak TLS"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection closed by the server"
	default:
		return printable(err.Error())
	}
}

func certificateReason(e x509.CertificateInvalidError) string {
	if e.Reason != x509.Expired || e.Cert == nil {
		return e.Error()
	}
	// "Expired" is also crypto/x509's word for "not yet valid".
	if now := time.Now(); now.Before(e.Cert.NotBefore) {
		return "certificate not valid before " + e.Cert.NotBefore.UTC().Format(time.DateOnly)
	}
	return "certificate expired " + e.Cert.NotAfter.UTC().Format(time.DateOnly)
}

// printable makes text that a server may have chosen fit for a log line and a
// terminal.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > maxReason {
		s = strings.ToValidUTF8(s[:maxReason], "") + "…"
	}
	return s
}
