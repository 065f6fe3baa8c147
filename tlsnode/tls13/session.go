package tls13

import (
	"crypto/x509"
	"strings"
	"time"
)

// A State is what is known of a connection once its handshake is over.
// Certificates in it must not be changed.
type State struct {
	Suite      Suite
	Group      Group
	Scheme     SignatureScheme // of the peer's signature; 0: there was none
	ServerName string          // as the client sent it, in lower case
	ALPN       string          // empty: none was agreed on
	Resumed    bool            // by a pre-shared key
	Retried    bool            // by HelloRetryRequest
	// PeerCertificates begin with the end entity's. A resumed connection has
	// those of the session. VerifiedChains is nil if nothing was verified.
	PeerCertificates []*x509.Certificate
	VerifiedChains   [][]*x509.Certificate
	// Extensions are, on a server, those of the ClientHello that mean
	// nothing to this package, and on a client, the server's answers to
	// Config.Extensions.
	Extensions []Extension
	// Ticket is, on a server, what a resumed connection was resumed from.
	Ticket *Ticket
}

// A ClientHello is what a server's hooks are shown of that message. It is only
// valid during the call.
type ClientHello struct {
	ServerName string // in lower case
	ALPN       []string
	Suites     []Suite
	Groups     []Group
	Schemes    []SignatureScheme
	Extensions []Extension // that mean nothing to this package
	EarlyData  bool        // 0-RTT was tried; it is always refused
	Identities int         // PSK identities offered, at most 4
	Retried    bool        // this is the second one
}

func newClientHello(m *clientHello, retried bool) *ClientHello {
	h := &ClientHello{
		ServerName: strings.ToLower(string(m.ext.serverName)),
		Suites:     codePoints[Suite](m.suites),
		Groups:     codePoints[Group](m.ext.groups),
		Schemes:    codePoints[SignatureScheme](m.ext.schemes),
		Extensions: m.ext.others,
		EarlyData:  m.ext.earlyData,
		Identities: len(m.ext.identities),
		Retried:    retried,
	}
	for r := (reader{b: m.ext.alpn}); r.more(); {
		h.ALPN = append(h.ALPN, string(r.vec8()))
	}
	return h
}

// A Session is what a client needs to resume. It must not be changed, and
// should be used once, as every use of a ticket can be linked to the others
// (RFC 8446, appendix C.4).
type Session struct {
	ServerName string
	ALPN       string // of the connection that the ticket came on
	Suite      Suite
	Received   time.Time
	Lifetime   time.Duration // from Received, at most seven days
	// Extensions of the NewSessionTicket that mean nothing to this package.
	Extensions []Extension

	psk      secret
	ticket   []byte
	ageAdd   uint32
	peer     []*x509.Certificate
	chains   [][]*x509.Certificate
	insecure bool // the peer was not verified
}

// usable reports whether a client may offer the session under a config.
func (s *Session) usable(c *Config, now time.Time) bool {
	if now.Before(s.Received) || !now.Before(s.Received.Add(s.Lifetime)) || !strings.EqualFold(s.ServerName, c.ServerName) {
		return false
	}
	offered := false
	for _, id := range c.suites() {
		offered = offered || id == s.Suite
	}
	if !offered || c.InsecureSkipVerify {
		return offered
	}
	// A session does not outlive the certificate that vouched for it, nor
	// does it vouch for more than that did.
	if s.insecure || len(s.peer) == 0 || now.After(s.peer[0].NotAfter) {
		return false
	}
	return s.peer[0].VerifyHostname(c.ServerName) == nil
}
