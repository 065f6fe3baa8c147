package tls13

import (
	"crypto/subtle"
	"hash"
)

const (
	maxHashLen  = 48 // SHA-384
	maxBlockLen = 128
)

// A secret is one value of the key schedule. Its length is the hash's.
type secret [maxHashLen]byte

// A schedule is the key schedule of RFC 8446, section 7.1, for one hash.
//
//	early := extract(0, psk)          -> binder key
//	handshake := extract(derived, dhe) -> c hs traffic, s hs traffic
//	master := extract(derived, 0)      -> c ap traffic, s ap traffic, exp master, res master
//
// It works with one hash state that it resets, since crypto/hmac and
// crypto/hkdf allocate a new one per call, and a handshake derives some
// twenty-five secrets. A test holds it against both packages.
type schedule struct {
	suite   *suiteParams
	hash    hash.Hash
	current secret // of the last extract
	empty   secret // Hash("")
	block   [maxBlockLen]byte
	info    [2 + 1 + 255 + 1 + 255 + 1]byte
	tmp     secret
}

func newSchedule(p *suiteParams) *schedule {
	s := &schedule{suite: p, hash: p.newHash()}
	s.hash.Sum(s.empty[:0])
	return s
}

// hmac is HMAC of RFC 2104 over msg. The key is never longer than the hash's
// block here: it is a secret of this schedule. The result is valid until the
// next call. What goes to the hash, an interface, must not be on a caller's
// stack, or it would be moved to the heap.
func (s *schedule) hmac(key, msg []byte) []byte {
	n := s.hash.BlockSize()
	if len(key) > n {
		panic("BUG: tls13: HMAC key longer than a block")
	}
	block := s.block[:n]
	clear(block)
	copy(block, key)
	for i := range block {
		block[i] ^= 0x36
	}
	s.hash.Reset()
	s.hash.Write(block)
	s.hash.Write(msg)
	s.hash.Sum(s.tmp[:0])
	for i := range block {
		block[i] ^= 0x36 ^ 0x5c
	}
	s.hash.Reset()
	s.hash.Write(block)
	s.hash.Write(s.tmp[:s.suite.hashLen])
	clear(block)
	return s.hash.Sum(s.tmp[:0])
}

// zeros stands for an absent input of HKDF-Extract.
var zeros [maxHashLen]byte

// extract is HKDF-Extract with the current secret, derived, as the salt.
// A nil ikm stands for Hash.length zeros.
func (s *schedule) extract(ikm []byte) {
	n := s.suite.hashLen
	if ikm == nil {
		ikm = zeros[:n]
	}
	var salt secret
	s.expandLabel(s.current[:n], "derived", s.empty[:n], salt[:n])
	copy(s.current[:], s.hmac(salt[:n], ikm))
}

// extractEarly starts the schedule with a pre-shared key; nil stands for none.
func (s *schedule) extractEarly(psk []byte) {
	n := s.suite.hashLen
	if psk == nil {
		psk = zeros[:n]
	}
	copy(s.current[:], s.hmac(zeros[:n], psk))
}

// expandLabel is HKDF-Expand-Label of RFC 8446, section 7.1; len(out) is its
// Length, at most 255 hash lengths. Label goes without its "tls13 " prefix.
func (s *schedule) expandLabel(from []byte, label string, context, out []byte) {
	b := s.info[:0]
	b = put16(b, uint16(len(out)))
	b = append(b, byte(len("tls13 ")+len(label)))
	b = append(b, "tls13 "...)
	b = append(b, label...)
	b = putVec8(b, context)
	s.expand(from, b, out)
}

// expand is HKDF-Expand of RFC 5869. info must be within s.info, or have room
// for one octet at its end, and be no longer than it.
func (s *schedule) expand(from, info, out []byte) {
	if len(out) <= s.suite.hashLen { // all but long exports
		copy(out, s.hmac(from, append(info, 1)))
		return
	}
	var prev, msg []byte
	for i := byte(1); len(out) > 0; i++ {
		msg = append(append(append(msg[:0], prev...), info...), i)
		prev = append(prev[:0], s.hmac(from, msg)...)
		out = out[copy(out, prev):]
	}
}

// derive is Derive-Secret of the current secret, for a transcript hash.
func (s *schedule) derive(label string, transcript []byte) (out secret) {
	s.expandLabel(s.current[:s.suite.hashLen], label, transcript, out[:s.suite.hashLen])
	return out
}

// finished is verify_data of RFC 8446, section 4.4.4, for a traffic secret or
// a binder key.
func (s *schedule) finished(base *secret, transcript []byte) (out secret) {
	n := s.suite.hashLen
	var key secret
	s.expandLabel(base[:n], "finished", nil, key[:n])
	copy(out[:], s.hmac(key[:n], transcript))
	return out
}

// verifyFinished compares in constant time.
func (s *schedule) verifyFinished(base *secret, transcript, got []byte) bool {
	want := s.finished(base, transcript)
	return subtle.ConstantTimeCompare(want[:s.suite.hashLen], got) == 1
}

// binderKey is that of a resumption PSK; extractEarly must have been called
// with the PSK just before.
func (s *schedule) binderKey() secret { return s.derive("res binder", s.empty[:s.suite.hashLen]) }

// update is the next traffic secret after a KeyUpdate (section 7.2).
func (s *schedule) update(base *secret) (out secret) {
	n := s.suite.hashLen
	s.expandLabel(base[:n], "traffic upd", nil, out[:n])
	return out
}

// exporter is TLS-Exporter of section 7.5, into out.
func (s *schedule) exporter(master *secret, label string, context, out []byte) {
	n := s.suite.hashLen
	var derived secret
	s.expandLabel(master[:n], label, s.empty[:n], derived[:n])
	s.hash.Reset()
	s.hash.Write(context)
	s.expandLabel(derived[:n], "exporter", s.hash.Sum(s.tmp[:0]), out)
}

// A transcript is the running hash of the handshake messages (section 4.4.1).
type transcript struct {
	hash hash.Hash
	buf  secret
}

func (t *transcript) init(p *suiteParams) { t.hash = p.newHash() }
func (t *transcript) add(msg []byte)      { t.hash.Write(msg) }

// sum is the hash so far; it is valid until the next call.
func (t *transcript) sum() []byte { return t.hash.Sum(t.buf[:0]) }

// retried replaces the first ClientHello by its hash, in a message of the type
// message_hash, as is done after a HelloRetryRequest.
func (t *transcript) retried() {
	h := t.sum()
	t.hash.Reset()
	t.hash.Write([]byte{typeMessageHash, 0, 0, byte(len(h))})
	t.hash.Write(h)
}
