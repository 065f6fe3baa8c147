package tls13

import (
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// ClientAuth is what a server wants of clients' certificates.
type ClientAuth uint8

// Policies on client certificates. A certificate that is presented and does
// not verify ends the handshake under both policies that ask for one.
const (
	NoClientCert      ClientAuth = iota // do not ask
	VerifyIfGiven                       // ask, go on without one
	RequireClientCert                   // ask, refuse clients without one
)

// A Config configures clients, servers or both. The zero value works for a
// client, except that it needs ServerName or InsecureSkipVerify. A Config may
// be shared by connections, and must not be changed while any of them is in
// its handshake; hooks may be called by several connections at once.
type Config struct {
	// Rand is where random values and private keys of (EC)DH and ML-KEM come
	// from; nil: crypto/rand. Signatures and ML-KEM encapsulation use the
	// standard library's own source.
	Rand io.Reader
	// Time is the wall clock, read a few times per handshake and once per
	// ticket; nil: time.Now.
	Time func() time.Time

	// CipherSuites, in order of preference. nil: AES-128-GCM, AES-256-GCM
	// and, if there is one, ChaCha20-Poly1305. A server's order wins.
	CipherSuites []Suite
	// ChaCha20Poly1305 provides that AEAD; nil: the suite is not used.
	ChaCha20Poly1305 NewAEAD
	// Groups, in order of preference. nil: X25519MLKEM768, X25519, P256,
	// P384, P521. A client sends a share for the first, and for X25519 if
	// the first is X25519MLKEM768 and X25519 is in the list: it is the same
	// key. A server takes its first that the client sent a share for, and
	// asks for another share only if there is none.
	Groups []Group
	// SignatureSchemes that are accepted and, for ours, used; nil: all of
	// this package, PKCS #1 for certificates only.
	SignatureSchemes []SignatureScheme

	// Certificates of a server: the first that fits server name and
	// signature schemes, or else the first that fits the schemes. Of a
	// client: the first that fits the server's request.
	Certificates []*Certificate
	// GetCertificate, if set, replaces that choice for a server. Its result
	// must suit the client's signature schemes.
	GetCertificate func(*ClientHello) (*Certificate, error)
	// RootCAs judge servers; nil: the system's.
	RootCAs *x509.CertPool
	// ServerName is what a client asks for (SNI) and verifies. An IP address
	// is verified but not sent.
	ServerName string
	// InsecureSkipVerify has a client accept any certificate. VerifyPeer is
	// still called.
	InsecureSkipVerify bool
	// ClientAuth and ClientCAs are a server's demand on clients. A nil
	// ClientCAs trusts no one.
	ClientAuth ClientAuth
	ClientCAs  *x509.CertPool
	// VerifyPeer, if set, is called once the peer's identity is known, in
	// full and in resumed handshakes. An error ends the handshake with
	// bad_certificate, or with the alert of an *Error.
	VerifyPeer func(*State) error

	// NextProtos are the ALPN names, in order of preference; a server's
	// order wins. A server with names refuses clients whose names are all
	// others; clients without any are served.
	NextProtos []string

	// GetConfig, if set, lets a server replace the whole Config once it has
	// seen a ClientHello; nil, nil: keep this one. GetConfig of the
	// replacement is not called.
	GetConfig func(*ClientHello) (*Config, error)

	// Extensions are added to a client's ClientHello. Types that this
	// package handles itself are refused. What a server answers to them in
	// EncryptedExtensions is in State.Extensions.
	Extensions []Extension
	// Session, if set, is offered by a client.
	Session *Session

	// TicketKeys returns a server's ticket keys; it is asked for each
	// connection that resumes and each ticket. nil: no resumption.
	TicketKeys func() *TicketKeys
	// TicketLifetime of a server's tickets; 0: a day. At most seven.
	TicketLifetime time.Duration
	// Tickets that a server sends after each handshake without being asked;
	// 0: one, negative: none.
	Tickets int
	// AcceptTicket, if set, is asked by a server before it resumes. The
	// binder has been verified then, so the client does hold the session's
	// secret; but the ClientHello may still be a replay until Confirm is
	// called. false: full handshake. An error ends the handshake with
	// access_denied, or with the alert of an *Error.
	AcceptTicket func(*ClientHello, *Ticket) (bool, error)
	// Confirm, if set, is called once the peer's Finished has been verified
	// and before any application data: on a server, the client is known to
	// be live. An error ends the handshake with access_denied, or with the
	// alert of an *Error.
	Confirm func(*State) error

	// MessageTypes are the handshake types that, after the handshake, become
	// a *Message event, rather than unexpected_message. Types of RFC 8446
	// are refused.
	MessageTypes []uint8
	// WarningAlerts are the alert descriptions that, after the handshake,
	// become a *Warning event, rather than the end. Their level is ignored.
	// Those of RFC 8446 are refused.
	WarningAlerts []Alert

	// Cookie has a server send a cookie in HelloRetryRequest. It need not:
	// its state is in the connection. It is there for the peers' benefit.
	Cookie bool
	// NoCompat leaves out the middlebox compatibility mode of RFC 8446,
	// appendix D.4, on a client: no session id, no change_cipher_spec.
	NoCompat bool
	// PadTo pads records to a multiple of so many octets of inner plaintext;
	// 0: no padding.
	PadTo int
	// RecordSizeLimit is sent as record_size_limit of RFC 8449: how large an
	// inner plaintext, content type included, may be that the peer sends.
	// 64..16385; 0: a client does not send it, a server answers 16385.
	RecordSizeLimit int
	// MaxCertificateMessage is how many octets of Certificate message are
	// taken from the peer; 0: 128 KiB. All other messages are held to 64 KiB.
	MaxCertificateMessage int
	// RecordsPerKey is the number of records after which a key is replaced
	// by KeyUpdate; 0: 2^24, which is also the most.
	RecordsPerKey uint64

	// HandshakeTimeout ends a Conn whose handshake takes longer; 0: 30
	// seconds, negative: never. An Engine has no clock, and ignores it.
	HandshakeTimeout time.Duration

	// KeyLog, if set, receives the secrets in the format of NSS, one line a
	// Write. It takes all secrecy away: for debugging only.
	KeyLog io.Writer
}

func (c *Config) random() io.Reader {
	if c.Rand != nil {
		return c.Rand
	}
	return rand.Reader
}

func (c *Config) now() time.Time {
	if c.Time != nil {
		return c.Time()
	}
	return time.Now()
}

var (
	allSuites = []Suite{AES128GCMSHA256, AES256GCMSHA384, ChaCha20Poly1305SHA256}
	aesSuites = allSuites[:2]
	allGroups = []Group{X25519MLKEM768, X25519, P256, P384, P521}
)

func (c *Config) suites() []Suite {
	switch {
	case c.CipherSuites != nil:
		return c.CipherSuites
	case c.ChaCha20Poly1305 != nil:
		return allSuites
	}
	return aesSuites
}

func (c *Config) groups() []Group {
	if c.Groups != nil {
		return c.Groups
	}
	return allGroups
}

func (c *Config) schemes() []SignatureScheme {
	if c.SignatureSchemes != nil {
		return c.SignatureSchemes
	}
	return defaultSchemes
}

func (c *Config) ticketLifetime() time.Duration {
	if c.TicketLifetime == 0 {
		return 24 * time.Hour
	}
	return c.TicketLifetime
}

func (c *Config) recordsPerKey() uint64 {
	if c.RecordsPerKey == 0 {
		return aeadRecordLimit
	}
	return min(c.RecordsPerKey, aeadRecordLimit)
}

// ownExtensions are the types that a caller cannot add to a ClientHello: they
// are ours, or their answer would mean something to us.
var ownExtensions = []ExtensionType{
	extServerName, extStatusRequest, extSupportedGroups, extSignatureAlgorithms, extALPN, extSCT,
	extRecordSizeLimit, extPreSharedKey, extEarlyData, extSupportedVersions, extCookie, extPSKModes,
	extCertificateAuthorities, extOIDFilters, extPostHandshakeAuth, extSignatureAlgsCert, extKeyShare,
}

// check finds what cannot work, before any octet is sent. The work is done per
// connection, and is small.
func (c *Config) check(client bool) error {
	if len(c.suites()) == 0 || len(c.groups()) == 0 || len(c.schemes()) == 0 {
		return errors.New("a list of suites, groups or schemes is empty")
	}
	for _, s := range c.suites() {
		if s.params() == nil {
			return fmt.Errorf("unknown cipher suite %v", s)
		}
		if s == ChaCha20Poly1305SHA256 && c.ChaCha20Poly1305 == nil {
			return fmt.Errorf("%v needs Config.ChaCha20Poly1305", s)
		}
	}
	for _, g := range c.groups() {
		if g.curve() == nil {
			return fmt.Errorf("unknown group %v", g)
		}
	}
	total := 0
	for _, p := range c.NextProtos {
		if total += 1 + len(p); p == "" || len(p) > 255 || total > 0xffff {
			return fmt.Errorf("ALPN name %q", p)
		}
	}
	if l := c.RecordSizeLimit; l != 0 && (l < minRecordSize || l > maxInner) {
		return fmt.Errorf("record size limit of %d", l)
	}
	if d := c.ticketLifetime(); d < time.Second || d > maxLifetime*time.Second {
		return fmt.Errorf("ticket lifetime of %v", d)
	}
	for _, t := range c.MessageTypes {
		if t <= typeKeyUpdate || t == typeMessageHash {
			return fmt.Errorf("handshake type %d belongs to TLS", t)
		}
	}
	for _, a := range c.WarningAlerts {
		if _, known := alertNames[a]; known {
			return fmt.Errorf("alert %v belongs to TLS", a)
		}
	}
	if !client {
		if len(c.Certificates) == 0 && c.GetCertificate == nil && c.GetConfig == nil {
			return errors.New("a server needs a certificate")
		}
		return nil
	}
	if c.ServerName == "" && !c.InsecureSkipVerify {
		return errors.New("a client needs ServerName or InsecureSkipVerify")
	}
	if len(c.ServerName) > 255 {
		return errors.New("the server name is too long")
	}
	size := 0
	for i, e := range c.Extensions {
		if slices.Contains(ownExtensions, e.Type) {
			return fmt.Errorf("%v is not for the caller to send", e.Type)
		}
		if _, dup := findExtension(c.Extensions[:i], e.Type); dup {
			return fmt.Errorf("%v is given twice", e.Type)
		}
		if size += 4 + len(e.Data); size > 16<<10 {
			return errors.New("the extensions are too long")
		}
	}
	return nil
}
