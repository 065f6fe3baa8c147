package tls13

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	_ "crypto/sha256" // for crypto.Hash.New
	_ "crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
)

// schemeParams is what a signature scheme that may sign a handshake means.
type schemeParams struct {
	hash  crypto.Hash    // 0: the signature is over the content itself
	curve elliptic.Curve // of ECDSA
	pss   bool           // RSASSA-PSS
	pssID bool           // the certificate's key says RSASSA-PSS, not just RSA
}

func (s SignatureScheme) params() (schemeParams, bool) {
	switch s {
	case ECDSAP256SHA256:
		return schemeParams{hash: crypto.SHA256, curve: elliptic.P256()}, true
	case ECDSAP384SHA384:
		return schemeParams{hash: crypto.SHA384, curve: elliptic.P384()}, true
	case ECDSAP521SHA512:
		return schemeParams{hash: crypto.SHA512, curve: elliptic.P521()}, true
	case Ed25519:
		return schemeParams{}, true
	case RSAPSSRSAESHA256:
		return schemeParams{hash: crypto.SHA256, pss: true}, true
	case RSAPSSRSAESHA384:
		return schemeParams{hash: crypto.SHA384, pss: true}, true
	case RSAPSSRSAESHA512:
		return schemeParams{hash: crypto.SHA512, pss: true}, true
	case RSAPSSPSSSHA256:
		return schemeParams{hash: crypto.SHA256, pss: true, pssID: true}, true
	case RSAPSSPSSSHA384:
		return schemeParams{hash: crypto.SHA384, pss: true, pssID: true}, true
	case RSAPSSPSSSHA512:
		return schemeParams{hash: crypto.SHA512, pss: true, pssID: true}, true
	}
	return schemeParams{}, false
}

// defaultSchemes is our order of preference. The PKCS #1 ones at the end allow
// the peer's chain to be signed that way.
var defaultSchemes = []SignatureScheme{
	ECDSAP256SHA256, Ed25519, ECDSAP384SHA384, ECDSAP521SHA512,
	RSAPSSRSAESHA256, RSAPSSRSAESHA384, RSAPSSRSAESHA512,
	RSAPSSPSSSHA256, RSAPSSPSSSHA384, RSAPSSPSSSHA512,
	PKCS1SHA256, PKCS1SHA384, PKCS1SHA512,
}

// suits reports whether a public key can sign by the scheme.
func (s SignatureScheme) suits(pub crypto.PublicKey, pssID bool) bool {
	p, ok := s.params()
	if !ok {
		return false
	}
	switch pub := pub.(type) {
	case *ecdsa.PublicKey:
		return p.curve != nil && p.curve == pub.Curve
	case ed25519.PublicKey:
		return s == Ed25519
	case *rsa.PublicKey:
		// EMSA-PSS with a salt as long as the hash needs that much room.
		return p.pss && p.pssID == pssID && pub.Size() >= 2*p.hash.Size()+2
	}
	return false
}

// Contexts of the signatures, section 4.4.3.
const (
	serverContext = "TLS 1.3, server CertificateVerify\x00"
	clientContext = "TLS 1.3, client CertificateVerify\x00"
)

// signedContent is what the signature is over, or its hash.
func signedContent(h crypto.Hash, context string, transcript []byte) []byte {
	b := make([]byte, 0, 64+len(serverContext)+maxHashLen)
	b = append(b, bytes.Repeat([]byte{' '}, 64)...)
	b = append(b, context...)
	b = append(b, transcript...)
	if h == 0 {
		return b
	}
	d := h.New()
	d.Write(b)
	return d.Sum(nil)
}

func (s SignatureScheme) sign(random io.Reader, key crypto.Signer, context string, transcript []byte) ([]byte, error) {
	p, _ := s.params()
	var opts crypto.SignerOpts = p.hash
	if p.pss {
		opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: p.hash}
	}
	return key.Sign(random, signedContent(p.hash, context, transcript), opts)
}

// verify returns the operator's half of an error.
func (s SignatureScheme) verify(pub crypto.PublicKey, context string, transcript, signature []byte) error {
	p, _ := s.params()
	content := signedContent(p.hash, context, transcript)
	ok := false
	switch pub := pub.(type) {
	case *ecdsa.PublicKey:
		ok = ecdsa.VerifyASN1(pub, content, signature)
	case ed25519.PublicKey:
		ok = ed25519.Verify(pub, content, signature)
	case *rsa.PublicKey:
		opts := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
		ok = rsa.VerifyPSS(pub, p.hash, content, signature, opts) == nil
	}
	if !ok {
		return fmt.Errorf("signature by %v does not verify", s)
	}
	return nil
}

// A Certificate is a chain with its private key. Make it with NewCertificate;
// it must not be changed afterwards, and may be used by any number of
// connections at once.
type Certificate struct {
	chain   [][]byte
	leaf    *x509.Certificate
	key     crypto.Signer
	schemes []SignatureScheme // that the key can sign by
	encoded []byte            // Certificate message, with an empty context
}

// maxCertificateMessage is the default of Config.MaxCertificateMessage.
const maxCertificateMessage = 128 << 10

// NewCertificate takes a chain of DER certificates, the end entity's first,
// and its key: ECDSA on P-256, P-384 or P-521, Ed25519, or RSA. An RSA key
// whose certificate says id-RSASSA-PSS signs by the rsa_pss_pss schemes, any
// other by the rsa_pss_rsae ones.
func NewCertificate(chain [][]byte, key crypto.Signer) (*Certificate, error) {
	if len(chain) == 0 || key == nil {
		return nil, errors.New("tls13: a certificate needs a chain and a key")
	}
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return nil, fmt.Errorf("tls13: parse certificate: %w", err)
	}
	pub, pssID, err := publicKey(leaf)
	if err != nil {
		return nil, fmt.Errorf("tls13: parse certificate: %w", err)
	}
	if eq, ok := pub.(interface{ Equal(crypto.PublicKey) bool }); !ok || !eq.Equal(key.Public()) {
		return nil, errors.New("tls13: the private key is not that of the certificate")
	}
	c := &Certificate{chain: chain, leaf: leaf, key: key}
	for _, s := range defaultSchemes {
		if s.suits(pub, pssID) {
			c.schemes = append(c.schemes, s)
		}
	}
	if c.schemes == nil {
		return nil, fmt.Errorf("tls13: no signature scheme of TLS 1.3 suits a key of type %T", pub)
	}
	c.encoded = (&certificate{chain: chain}).append(nil)
	return c, nil
}

// Leaf returns the end entity's certificate, parsed. It must not be changed.
func (c *Certificate) Leaf() *x509.Certificate { return c.leaf }

// scheme returns the first of the key's schemes that the peer accepts and that
// is in ours; zero if there is none.
func (c *Certificate) scheme(peer u16s, ours []SignatureScheme) SignatureScheme {
	for _, s := range c.schemes {
		if peer.has(uint16(s)) && containsScheme(ours, s) {
			return s
		}
	}
	return signatureSchemeUnknown
}

func containsScheme(list []SignatureScheme, s SignatureScheme) bool {
	for _, v := range list {
		if v == s {
			return true
		}
	}
	return false
}

var oidPSS = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}

// publicKey is that of a certificate, and whether it is restricted to
// RSASSA-PSS, which crypto/x509 leaves unparsed.
func publicKey(c *x509.Certificate) (key crypto.PublicKey, pssID bool, err error) {
	if c.PublicKey != nil {
		return c.PublicKey, false, nil
	}
	var spki struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if rest, err := asn1.Unmarshal(c.RawSubjectPublicKeyInfo, &spki); err != nil || len(rest) > 0 {
		return nil, false, errors.New("malformed public key")
	}
	if !spki.Algorithm.Algorithm.Equal(oidPSS) {
		return nil, false, fmt.Errorf("public key of an unknown algorithm %v", spki.Algorithm.Algorithm)
	}
	// Parameters would restrict the hash; such keys are rare, and refusing
	// them is safe.
	if p := spki.Algorithm.Parameters.FullBytes; len(p) > 0 && !bytes.Equal(p, asn1.NullBytes) {
		return nil, false, errors.New("RSASSA-PSS key with restricting parameters")
	}
	rsaKey, err := x509.ParsePKCS1PublicKey(spki.Key.RightAlign())
	if err != nil {
		return nil, false, err
	}
	return rsaKey, true, nil
}

// parseChain parses the certificates of a peer. It copies them first: what
// crypto/x509 returns aliases what it was given.
func parseChain(chain [][]byte) ([]*x509.Certificate, error) {
	certs := make([]*x509.Certificate, 0, len(chain))
	for _, der := range chain {
		c, err := x509.ParseCertificate(bytes.Clone(der))
		if err != nil {
			return nil, &Error{AlertBadCertificate, fmt.Errorf("parse the peer's certificate: %w", err)}
		}
		certs = append(certs, c)
	}
	return certs, nil
}

// maxRSAKey is the largest RSA key, in octets, whose signatures we verify: a
// huge one is a cheap way to burn our time.
const maxRSAKey = 8192 / 8

// checkPeerKey returns the key of a peer's certificate if any scheme of ours
// suits it.
func checkPeerKey(leaf *x509.Certificate) (crypto.PublicKey, bool, error) {
	pub, pssID, err := publicKey(leaf)
	if err != nil {
		return nil, false, &Error{AlertUnsupportedCertificate, fmt.Errorf("the peer's certificate: %w", err)}
	}
	if k, ok := pub.(*rsa.PublicKey); ok && k.Size() > maxRSAKey {
		return nil, false, fail(AlertBadCertificate, "the peer's RSA key has %d bits", k.N.BitLen())
	}
	return pub, pssID, nil
}

// verifyChain has crypto/x509 judge a chain, and finds the alert for it.
func verifyChain(chain []*x509.Certificate, opts x509.VerifyOptions) ([][]*x509.Certificate, error) {
	opts.Intermediates = x509.NewCertPool()
	for _, c := range chain[1:] {
		opts.Intermediates.AddCert(c)
	}
	chains, err := chain[0].Verify(opts)
	if err == nil {
		return chains, nil
	}
	alert := AlertBadCertificate
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		alert = AlertUnknownCA
	} else if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok && e.Reason == x509.Expired {
		alert = AlertCertificateExpired
	}
	return nil, &Error{alert, fmt.Errorf("verify the peer's certificate: %w", err)}
}
