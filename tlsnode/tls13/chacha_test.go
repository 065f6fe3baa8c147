package tls13

import (
	"bytes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"math/big"
	"math/bits"
	"slices"
	"testing"
)

// chachaForTest is AEAD_CHACHA20_POLY1305 of RFC 8439, for the tests only: it
// is neither fast nor constant in time. Programs hand in a real one.
type chachaForTest struct{ key [8]uint32 }

func newChaChaForTest(key []byte) (cipher.AEAD, error) {
	if len(key) != 32 {
		return nil, errors.New("key length")
	}
	var c chachaForTest
	for i := range c.key {
		c.key[i] = binary.LittleEndian.Uint32(key[4*i:])
	}
	return &c, nil
}

func (c *chachaForTest) NonceSize() int { return 12 }
func (c *chachaForTest) Overhead() int  { return 16 }

func (c *chachaForTest) block(counter uint32, nonce []byte) (out [64]byte) {
	in := [16]uint32{0x61707865, 0x3320646e, 0x79622d32, 0x6b206574}
	copy(in[4:], c.key[:])
	in[12] = counter
	for i := range 3 {
		in[13+i] = binary.LittleEndian.Uint32(nonce[4*i:])
	}
	x := in
	quarter := func(a, b, c, d int) {
		x[a] += x[b]
		x[d] = bits.RotateLeft32(x[d]^x[a], 16)
		x[c] += x[d]
		x[b] = bits.RotateLeft32(x[b]^x[c], 12)
		x[a] += x[b]
		x[d] = bits.RotateLeft32(x[d]^x[a], 8)
		x[c] += x[d]
		x[b] = bits.RotateLeft32(x[b]^x[c], 7)
	}
	for range 10 {
		quarter(0, 4, 8, 12)
		quarter(1, 5, 9, 13)
		quarter(2, 6, 10, 14)
		quarter(3, 7, 11, 15)
		quarter(0, 5, 10, 15)
		quarter(1, 6, 11, 12)
		quarter(2, 7, 8, 13)
		quarter(3, 4, 9, 14)
	}
	for i := range x {
		binary.LittleEndian.PutUint32(out[4*i:], x[i]+in[i])
	}
	return out
}

func (c *chachaForTest) xor(b, nonce []byte) {
	for i := 0; len(b) > 0; i++ {
		k := c.block(uint32(i+1), nonce)
		b = b[subtle.XORBytes(b, b, k[:]):]
	}
}

func (c *chachaForTest) tag(ciphertext, nonce, ad []byte) []byte {
	key := c.block(0, nonce)
	pad := func(b []byte) []byte { return append(b, make([]byte, (16-len(b)%16)%16)...) }
	msg := pad(slices.Clone(ad))
	msg = pad(append(msg, ciphertext...))
	msg = binary.LittleEndian.AppendUint64(msg, uint64(len(ad)))
	msg = binary.LittleEndian.AppendUint64(msg, uint64(len(ciphertext)))

	little := func(b []byte) *big.Int {
		b = slices.Clone(b)
		slices.Reverse(b)
		return new(big.Int).SetBytes(b)
	}
	r := key[:16]
	for _, i := range []int{3, 7, 11, 15} {
		r[i] &= 15
	}
	for _, i := range []int{4, 8, 12} {
		r[i] &= 252
	}
	p := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 130), big.NewInt(5))
	acc, mul := new(big.Int), little(r)
	for i := 0; i < len(msg); i += 16 {
		acc.Add(acc, little(append(slices.Clone(msg[i:i+16]), 1)))
		acc.Mul(acc, mul).Mod(acc, p)
	}
	acc.Add(acc, little(key[16:32]))
	out := make([]byte, 40)
	acc.FillBytes(out)
	slices.Reverse(out)
	return out[:16]
}

func (c *chachaForTest) Seal(dst, nonce, plaintext, ad []byte) []byte {
	n := len(dst)
	dst = append(dst, plaintext...)
	c.xor(dst[n:], nonce)
	return append(dst, c.tag(dst[n:], nonce, ad)...)
}

func (c *chachaForTest) Open(dst, nonce, ciphertext, ad []byte) ([]byte, error) {
	if len(ciphertext) < 16 {
		return nil, errors.New("short")
	}
	body, tag := ciphertext[:len(ciphertext)-16], ciphertext[len(ciphertext)-16:]
	if !bytes.Equal(tag, c.tag(body, nonce, ad)) {
		return nil, errors.New("authentication")
	}
	n := len(dst)
	dst = append(dst, body...)
	c.xor(dst[n:], nonce)
	return dst, nil
}

// RFC 8439, section 2.8.2.
func TestChaChaForTest(t *testing.T) {
	key := make([]byte, 32)
	for i := range key {
		key[i] = 0x80 + byte(i)
	}
	a, err := newChaChaForTest(key)
	if err != nil {
		t.Fatal(err)
	}
	text := "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it."
	sealed := a.Seal(nil, mustHex(t, "070000004041424344454647"), []byte(text), mustHex(t, "50515253c0c1c2c3c4c5c6c7"))
	if want := mustHex(t, "1ae10b594f09e26a7e902ecbd0600691"); !bytes.Equal(sealed[len(text):], want) {
		t.Errorf("tag %x, want %x", sealed[len(text):], want)
	}
}
