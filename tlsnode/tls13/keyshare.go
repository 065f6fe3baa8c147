package tls13

import (
	"crypto/ecdh"
	"crypto/mlkem"
	"errors"
	"io"
)

// X25519MLKEM768 is the concatenation of ML-KEM-768 and X25519, in that order,
// of shares and of secrets (draft-ietf-tls-ecdhe-mlkem).
const x25519Len = 32

// curve returns nil for a group that is no (single) elliptic curve.
func (g Group) curve() ecdh.Curve {
	switch g {
	case P256:
		return ecdh.P256()
	case P384:
		return ecdh.P384()
	case P521:
		return ecdh.P521()
	case X25519, X25519MLKEM768:
		return ecdh.X25519()
	}
	return nil
}

// privateKeyLen is the length of a scalar, in octets.
func (g Group) privateKeyLen() int {
	switch g {
	case P384:
		return 48
	case P521:
		return 66
	}
	return 32
}

// A keyExchange is the private half of the shares in a ClientHello. One X25519
// key serves both X25519 and X25519MLKEM768, if both are offered.
type keyExchange struct {
	ec    *ecdh.PrivateKey
	group Group // of ec
	kem   *mlkem.DecapsulationKey768
}

// generateEC makes a key from random. ecdh's own GenerateKey does not take its
// randomness from a reader any more, and tests need equal inputs to give equal
// outputs. A NIST scalar out of range is drawn again: one in 2^32 for P-256.
func generateEC(random io.Reader, g Group) (*ecdh.PrivateKey, error) {
	var scalar [66]byte
	b := scalar[:g.privateKeyLen()]
	for range 100 {
		if _, err := io.ReadFull(random, b); err != nil {
			return nil, err
		}
		if g == P521 {
			b[0] &= 1 // 521 bits
		}
		if key, err := g.curve().NewPrivateKey(b); err == nil {
			return key, nil
		}
	}
	return nil, errors.New("the source of randomness repeats itself")
}

// generate adds a share for g to list.
func (k *keyExchange) generate(random io.Reader, g Group, list []keyShare) ([]keyShare, error) {
	if k.ec == nil || k.group.curve() != g.curve() {
		ec, err := generateEC(random, g)
		if err != nil {
			return nil, err
		}
		k.ec, k.group = ec, g
	}
	data := k.ec.PublicKey().Bytes()
	if g == X25519MLKEM768 {
		var seed [mlkem.SeedSize]byte
		if _, err := io.ReadFull(random, seed[:]); err != nil {
			return nil, err
		}
		kem, err := mlkem.NewDecapsulationKey768(seed[:])
		if err != nil {
			return nil, err
		}
		k.kem = kem
		data = append(kem.EncapsulationKey().Bytes(), data...)
	}
	return append(list, keyShare{g, data}), nil
}

// secret is the shared secret with the server's share. The error is for the
// operator; the alert is illegal_parameter.
func (k *keyExchange) secret(g Group, share []byte) ([]byte, error) {
	if g != X25519MLKEM768 {
		return ecSecret(k.ec, share)
	}
	if len(share) != mlkem.CiphertextSize768+x25519Len {
		return nil, errors.New("share of a wrong length")
	}
	kem, err := k.kem.Decapsulate(share[:mlkem.CiphertextSize768])
	if err != nil {
		return nil, err
	}
	ec, err := ecSecret(k.ec, share[mlkem.CiphertextSize768:])
	if err != nil {
		return nil, err
	}
	return append(kem, ec...), nil
}

// respond makes the server's share and the secret. bad is an error of the
// client's share (illegal_parameter), err one of ours (internal_error).
//
// The randomness of ML-KEM's encapsulation is the standard library's own.
func respond(random io.Reader, g Group, share []byte) (reply, secret []byte, bad, err error) {
	ecShare := share
	if g == X25519MLKEM768 {
		if len(share) != mlkem.EncapsulationKeySize768+x25519Len {
			return nil, nil, errors.New("share of a wrong length"), nil
		}
		kem, bad := mlkem.NewEncapsulationKey768(share[:mlkem.EncapsulationKeySize768])
		if bad != nil {
			return nil, nil, bad, nil
		}
		secret, reply = kem.Encapsulate()
		ecShare = share[mlkem.EncapsulationKeySize768:]
	}
	key, err := generateEC(random, g)
	if err != nil {
		return nil, nil, nil, err
	}
	ec, bad := ecSecret(key, ecShare)
	if bad != nil {
		return nil, nil, bad, nil
	}
	return append(reply, key.PublicKey().Bytes()...), append(secret, ec...), nil, nil
}

// ecSecret refuses points off the curve, and X25519 results of zero (RFC 8446,
// section 7.4.2).
func ecSecret(key *ecdh.PrivateKey, share []byte) ([]byte, error) {
	peer, err := key.Curve().NewPublicKey(share)
	if err != nil {
		return nil, err
	}
	return key.ECDH(peer)
}
