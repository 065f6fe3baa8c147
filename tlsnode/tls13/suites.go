package tls13

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"
)

// A Suite is a cipher suite of RFC 8446, appendix B.4.
type Suite uint16

// The suites of this package. ChaCha20Poly1305SHA256 is only negotiated if
// Config.ChaCha20Poly1305 is set, as the standard library does not export
// that AEAD.
const (
	AES128GCMSHA256        Suite = 0x1301
	AES256GCMSHA384        Suite = 0x1302
	ChaCha20Poly1305SHA256 Suite = 0x1303
)

// String returns the IANA name.
func (s Suite) String() string {
	switch s {
	case AES128GCMSHA256:
		return "TLS_AES_128_GCM_SHA256"
	case AES256GCMSHA384:
		return "TLS_AES_256_GCM_SHA384"
	case ChaCha20Poly1305SHA256:
		return "TLS_CHACHA20_POLY1305_SHA256"
	}
	return fmt.Sprintf("Suite(%#04x)", uint16(s))
}

// NewAEAD makes an AEAD with a 12-octet nonce and 16 octets of overhead from a
// 32-octet key.
type NewAEAD func(key []byte) (cipher.AEAD, error)

// suiteParams is what a suite means.
type suiteParams struct {
	id      Suite
	keyLen  int // octets
	hashLen int // octets
	newHash func() hash.Hash
}

const ivLen = 12

var (
	paramsAES128 = &suiteParams{AES128GCMSHA256, 16, sha256.Size, sha256.New}
	paramsAES256 = &suiteParams{AES256GCMSHA384, 32, sha512.Size384, sha512.New384}
	paramsChaCha = &suiteParams{ChaCha20Poly1305SHA256, 32, sha256.Size, sha256.New}
)

// params returns nil for a suite that this package does not know.
func (s Suite) params() *suiteParams {
	switch s {
	case AES128GCMSHA256:
		return paramsAES128
	case AES256GCMSHA384:
		return paramsAES256
	case ChaCha20Poly1305SHA256:
		return paramsChaCha
	}
	return nil
}

// aead makes the suite's AEAD. A failure is one of ours: the key length is
// fixed by the suite, and ChaCha20-Poly1305 is only negotiated if provided.
func (p *suiteParams) aead(key []byte, chacha NewAEAD) (cipher.AEAD, error) {
	if p.id == ChaCha20Poly1305SHA256 {
		a, err := chacha(key)
		if err != nil {
			return nil, fmt.Errorf("ChaCha20-Poly1305: %w", err)
		}
		if a.NonceSize() != ivLen || a.Overhead() != 16 {
			return nil, fmt.Errorf("ChaCha20-Poly1305: the AEAD provided has a %d-octet nonce and %d octets of overhead", a.NonceSize(), a.Overhead())
		}
		return a, nil
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// A Group is a NamedGroup of RFC 8446, section 4.2.7.
type Group uint16

// The groups of this package.
const (
	P256           Group = 0x0017
	P384           Group = 0x0018
	P521           Group = 0x0019
	X25519         Group = 0x001d
	X25519MLKEM768 Group = 0x11ec
)

// String returns the IANA name.
func (g Group) String() string {
	switch g {
	case P256:
		return "secp256r1"
	case P384:
		return "secp384r1"
	case P521:
		return "secp521r1"
	case X25519:
		return "x25519"
	case X25519MLKEM768:
		return "X25519MLKEM768"
	}
	return fmt.Sprintf("Group(%#04x)", uint16(g))
}

// A SignatureScheme is that of RFC 8446, section 4.2.3.
type SignatureScheme uint16

// The schemes of this package. The PKCS #1 v1.5 ones are only for signatures
// in certificates, never for a CertificateVerify.
const (
	PKCS1SHA256            SignatureScheme = 0x0401
	PKCS1SHA384            SignatureScheme = 0x0501
	PKCS1SHA512            SignatureScheme = 0x0601
	ECDSAP256SHA256        SignatureScheme = 0x0403
	ECDSAP384SHA384        SignatureScheme = 0x0503
	ECDSAP521SHA512        SignatureScheme = 0x0603
	RSAPSSRSAESHA256       SignatureScheme = 0x0804
	RSAPSSRSAESHA384       SignatureScheme = 0x0805
	RSAPSSRSAESHA512       SignatureScheme = 0x0806
	Ed25519                SignatureScheme = 0x0807
	RSAPSSPSSSHA256        SignatureScheme = 0x0809
	RSAPSSPSSSHA384        SignatureScheme = 0x080a
	RSAPSSPSSSHA512        SignatureScheme = 0x080b
	signatureSchemeUnknown SignatureScheme = 0
)

var schemeNames = map[SignatureScheme]string{
	PKCS1SHA256:      "rsa_pkcs1_sha256",
	PKCS1SHA384:      "rsa_pkcs1_sha384",
	PKCS1SHA512:      "rsa_pkcs1_sha512",
	ECDSAP256SHA256:  "ecdsa_secp256r1_sha256",
	ECDSAP384SHA384:  "ecdsa_secp384r1_sha384",
	ECDSAP521SHA512:  "ecdsa_secp521r1_sha512",
	RSAPSSRSAESHA256: "rsa_pss_rsae_sha256",
	RSAPSSRSAESHA384: "rsa_pss_rsae_sha384",
	RSAPSSRSAESHA512: "rsa_pss_rsae_sha512",
	Ed25519:          "ed25519",
	RSAPSSPSSSHA256:  "rsa_pss_pss_sha256",
	RSAPSSPSSSHA384:  "rsa_pss_pss_sha384",
	RSAPSSPSSSHA512:  "rsa_pss_pss_sha512",
}

// String returns the IANA name.
func (s SignatureScheme) String() string {
	if n, ok := schemeNames[s]; ok {
		return n
	}
	return fmt.Sprintf("SignatureScheme(%#04x)", uint16(s))
}
