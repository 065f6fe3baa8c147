package netmetric

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
)

// Octets of the base packets, in both directions (RFC 8762 sections 4.2, 4.3).
const (
	openLen = 44  // unauthenticated mode
	authLen = 112 // authenticated mode
	macLen  = 16  // HMAC-SHA-256, the first 128 bits (RFC 8762 section 4.4)
)

var (
	errShort = errors.New("packet is too short")
	errMAC   = errors.New("HMAC does not match")
)

// An errorEstimate is the quality of a clock (RFC 8762 section 4.2.1, after
// RFC 4656 section 4.1.2): S, Z, Scale, Multiplier.
type errorEstimate uint16

// localClock is what we say of ours: not known to be synchronized (S = 0), NTP
// format (Z = 0), within 2^-32 · 2^22 s, about a millisecond.
const localClock errorEstimate = 22<<8 | 1

// ptp reports whether the timestamps beside e are in the truncated PTP format.
func (e errorEstimate) ptp() bool { return e&(1<<14) != 0 }

// A question is a Session-Sender test packet.
type question struct {
	Seq       uint32
	Timestamp timestamp
	Error     errorEstimate
	SSID      uint16 // RFC 8972 section 3; zero in RFC 8762
}

// An answer is a Session-Reflector test packet.
type answer struct {
	Seq       uint32
	Timestamp timestamp // T3, when the answer left
	Error     errorEstimate
	SSID      uint16
	Received  timestamp // T2, when the question came
	Question  question  // its fields, as the sender wrote them, but for SSID
	TTL       uint8     // of the question when it came
}

// A mac computes the HMAC of authenticated mode; nil is unauthenticated mode.
// It is not safe for concurrent use.
type mac struct {
	hash hash.Hash
	sum  [sha256.Size]byte
}

func newMAC(key []byte) *mac {
	if len(key) == 0 {
		return nil
	}
	return &mac{hash: hmac.New(sha256.New, key)}
}

// over is valid until the next call. It covers everything before the HMAC:
// the first six blocks of 16 octets.
func (m *mac) over(packet []byte) []byte {
	m.hash.Reset()
	m.hash.Write(packet[:authLen-macLen])
	return m.hash.Sum(m.sum[:0])[:macLen]
}

func (m *mac) seal(packet []byte) { copy(packet[authLen-macLen:authLen], m.over(packet)) }

func (m *mac) good(packet []byte) bool {
	return hmac.Equal(packet[authLen-macLen:authLen], m.over(packet))
}

// baseLen is the length of a packet without trailing octets.
func baseLen(m *mac) int {
	if m == nil {
		return openLen
	}
	return authLen
}

// extend appends n zero octets and returns both the whole and these.
func extend(dst []byte, n int) (all, added []byte) {
	var zero [authLen]byte
	all = append(dst, zero[:n]...)
	return all, all[len(dst):]
}

// appendQuestion appends q in unauthenticated mode (m nil) or authenticated.
func appendQuestion(dst []byte, q *question, m *mac) []byte {
	dst, b := extend(dst, baseLen(m))
	binary.BigEndian.PutUint32(b, q.Seq)
	if m == nil {
		putClock(b[4:], q.Timestamp, q.Error, q.SSID)
		return dst
	}
	putClock(b[16:], q.Timestamp, q.Error, q.SSID)
	m.seal(b)
	return dst
}

// decodeQuestion reads a sender's packet. Octets beyond the base packet
// (padding, RFC 8972 TLVs) are ignored, and so are the fields that must be
// zero.
func decodeQuestion(b []byte, m *mac) (q question, err error) {
	if err := admit(b, m); err != nil {
		return q, fmt.Errorf("netmetric: decode question: %w", err)
	}
	q.Seq = binary.BigEndian.Uint32(b)
	if m == nil {
		q.Timestamp, q.Error, q.SSID = clock(b[4:])
	} else {
		q.Timestamp, q.Error, q.SSID = clock(b[16:])
	}
	return q, nil
}

// appendAnswer appends a in unauthenticated mode (m nil) or authenticated.
func appendAnswer(dst []byte, a *answer, m *mac) []byte {
	dst, b := extend(dst, baseLen(m))
	binary.BigEndian.PutUint32(b, a.Seq)
	if m == nil {
		putClock(b[4:], a.Timestamp, a.Error, a.SSID)
		binary.BigEndian.PutUint64(b[16:], uint64(a.Received))
		binary.BigEndian.PutUint32(b[24:], a.Question.Seq)
		putClock(b[28:], a.Question.Timestamp, a.Question.Error, 0)
		b[40] = a.TTL
		return dst
	}
	putClock(b[16:], a.Timestamp, a.Error, a.SSID)
	binary.BigEndian.PutUint64(b[32:], uint64(a.Received))
	binary.BigEndian.PutUint32(b[48:], a.Question.Seq)
	putClock(b[64:], a.Question.Timestamp, a.Question.Error, 0)
	b[80] = a.TTL
	m.seal(b)
	return dst
}

// decodeAnswer reads a reflector's packet, otherwise as decodeQuestion.
func decodeAnswer(b []byte, m *mac) (a answer, err error) {
	if err := admit(b, m); err != nil {
		return a, fmt.Errorf("netmetric: decode answer: %w", err)
	}
	a.Seq = binary.BigEndian.Uint32(b)
	if m == nil {
		a.Timestamp, a.Error, a.SSID = clock(b[4:])
		a.Received = timestamp(binary.BigEndian.Uint64(b[16:]))
		a.Question.Seq = binary.BigEndian.Uint32(b[24:])
		a.Question.Timestamp, a.Question.Error, _ = clock(b[28:])
		a.TTL = b[40]
		return a, nil
	}
	a.Timestamp, a.Error, a.SSID = clock(b[16:])
	a.Received = timestamp(binary.BigEndian.Uint64(b[32:]))
	a.Question.Seq = binary.BigEndian.Uint32(b[48:])
	a.Question.Timestamp, a.Question.Error, _ = clock(b[64:])
	a.TTL = b[80]
	return a, nil
}

// admit checks all that can be wrong with a packet.
func admit(b []byte, m *mac) error {
	switch {
	case len(b) < baseLen(m):
		return errShort
	case m != nil && !m.good(b):
		return errMAC
	}
	return nil
}

// clock reads a timestamp, its error estimate and the two octets behind.
func clock(b []byte) (timestamp, errorEstimate, uint16) {
	return timestamp(binary.BigEndian.Uint64(b)), errorEstimate(binary.BigEndian.Uint16(b[8:])), binary.BigEndian.Uint16(b[10:])
}

func putClock(b []byte, t timestamp, e errorEstimate, ssid uint16) {
	binary.BigEndian.PutUint64(b, uint64(t))
	binary.BigEndian.PutUint16(b[8:], uint16(e))
	binary.BigEndian.PutUint16(b[10:], ssid)
}
