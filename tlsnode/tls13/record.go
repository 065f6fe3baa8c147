package tls13

import (
	"crypto/cipher"
	"errors"
)

// Sizes of RFC 8446, sections 5.1 and 5.2, in octets.
const (
	recordHeaderLen  = 5
	maxPlaintext     = 1 << 14          // content of a record
	maxInner         = maxPlaintext + 1 // content, type, padding
	maxCiphertext    = maxPlaintext + 256
	maxRecord        = recordHeaderLen + maxCiphertext
	aeadOverhead     = 16
	maxSkippedEarly  = maxPlaintext // of 0-RTT data that is refused
	smallBuffer      = 2 << 10
	bulkBuffer       = 2 * maxRecord
	maxIdleRecords   = 32 // records in a row that bring nothing
	maxWarnings      = 4  // user_canceled alerts in a row that bring nothing
	maxPostHandshake = 64 // handshake messages in a row without data between
)

// aeadRecordLimit is the number of records protected under one key before it
// is replaced. Section 5.5 allows 2^24.5 full records for AES-GCM; we stay
// below for every suite, since a KeyUpdate costs nothing.
const aeadRecordLimit = 1 << 24

type recordType uint8

const (
	recordChangeCipherSpec recordType = 20
	recordAlert            recordType = 21
	recordHandshake        recordType = 22
	recordData             recordType = 23
)

// A protector holds the keys of one direction.
type protector struct {
	aead   cipher.AEAD // nil: records are in the clear
	seq    uint64
	iv     [ivLen]byte
	nonce  [ivLen]byte
	secret secret
}

// install replaces the keys by those of a traffic secret (section 7.3).
func (p *protector) install(s *schedule, base *secret, chacha NewAEAD) error {
	var key secret
	n := s.suite.hashLen
	s.expandLabel(base[:n], "key", nil, key[:s.suite.keyLen])
	s.expandLabel(base[:n], "iv", nil, p.iv[:])
	aead, err := s.suite.aead(key[:s.suite.keyLen], chacha)
	if err != nil {
		return &Error{AlertInternalError, err}
	}
	p.aead, p.seq, p.secret = aead, 0, *base
	return nil
}

// nextNonce is the nonce of section 5.3. The sequence number cannot wrap: the
// writer renews its key long before, and a reader would have to be sent 2^64
// records; it is checked all the same.
func (p *protector) nextNonce() ([]byte, error) {
	if p.seq == 1<<64-1 {
		return nil, fail(AlertInternalError, "sequence number exhausted")
	}
	p.nonce = p.iv
	for i := range 8 {
		p.nonce[ivLen-1-i] ^= byte(p.seq >> (8 * i))
	}
	p.seq++
	return p.nonce[:], nil
}

// The readHalf turns octets into records and records into handshake messages.
type readHalf struct {
	protector
	buf  []byte // buf[r:w] is what was received and not looked at yet
	r, w int
	grow bool // the handshake is over: a large buffer may be worth it
	bulk bool // the peer fills our buffer: keep a large one

	record  []byte // rest of the handshake record being taken apart
	partial []byte // of a message that spans records
	whole   bool   // partial was handed out; forget it

	limit     int  // of TLSInnerPlaintext, by record_size_limit
	skipEarly int  // octets of refused 0-RTT data still tolerated
	allowCCS  bool // between the first ClientHello and the peer's Finished
	allowRaw  bool // an alert in the clear, from a client without keys yet
	idle      int  // records in a row that brought nothing
}

// space returns room for at least what is missing of the current record.
func (in *readHalf) space() []byte {
	if in.r == in.w {
		in.r, in.w = 0, 0
		switch {
		case in.bulk && len(in.buf) < bulkBuffer:
			in.buf = make([]byte, bulkBuffer)
		case !in.bulk && (len(in.buf) < smallBuffer || len(in.buf) > 2*smallBuffer):
			in.buf = make([]byte, smallBuffer)
		}
		return in.buf
	}
	need := recordHeaderLen
	if in.w-in.r >= recordHeaderLen {
		need += int(in.buf[in.r+3])<<8 | int(in.buf[in.r+4])
	}
	if in.r+need > len(in.buf) || in.w == len(in.buf) {
		held := in.buf[in.r:in.w]
		if need > len(in.buf) {
			in.buf = make([]byte, max(need, smallBuffer))
		}
		in.w = copy(in.buf, held)
		in.r = 0
	}
	return in.buf[in.w:]
}

func (in *readHalf) advance(n int) {
	if n < 0 || n > len(in.buf)-in.w {
		panic("BUG: tls13: Advance by more than Space")
	}
	in.w += n
	// A full buffer means that more is waiting; a nearly empty one that the
	// peer has stopped for breath, and memory matters more than calls.
	if in.w == len(in.buf) {
		in.bulk = in.grow
	} else if n < len(in.buf)/4 {
		in.bulk = false
	}
}

var errNeedMore = errors.New("tls13: more input is needed")

// next takes one record off the input and unprotects it in place. It returns
// errNeedMore until the record is complete. The content is valid until space
// is called.
func (in *readHalf) next() (recordType, []byte, error) {
	for {
		typ, content, err := in.one()
		if err != nil {
			return 0, nil, err
		}
		if typ == recordChangeCipherSpec || len(content) == 0 {
			// Both are legal and free for the sender, so they are counted.
			if in.idle++; in.idle > maxIdleRecords {
				return 0, nil, fail(AlertUnexpectedMessage, "%d records in a row without content", in.idle)
			}
			continue
		}
		return typ, content, nil
	}
}

// one is next, but also returns what is to be ignored: change_cipher_spec,
// and records without content.
func (in *readHalf) one() (recordType, []byte, error) {
	have := in.buf[in.r:in.w]
	if len(have) < recordHeaderLen {
		return 0, nil, errNeedMore
	}
	header := have[:recordHeaderLen]
	typ, n := recordType(header[0]), int(header[3])<<8|int(header[4])
	// legacy_record_version is to be ignored (section 5.1), except that a
	// peer that does not speak TLS at all deserves a plain word.
	if typ < recordChangeCipherSpec || typ > recordData || in.aead == nil && header[1] != 3 {
		return 0, nil, fail(AlertUnexpectedMessage, "not a TLS record: it begins with % x", header)
	}
	sealed := typ == recordData
	switch {
	case sealed && n > maxCiphertext:
		return 0, nil, fail(AlertRecordOverflow, "protected record of %d octets", n)
	case !sealed && n > maxPlaintext:
		return 0, nil, fail(AlertRecordOverflow, "record of %d octets", n)
	}
	if len(have) < recordHeaderLen+n {
		return 0, nil, errNeedMore
	}
	payload := have[recordHeaderLen : recordHeaderLen+n]
	in.r += recordHeaderLen + n

	switch {
	case typ == recordChangeCipherSpec:
		if !in.allowCCS || n != 1 || payload[0] != 1 {
			return 0, nil, fail(AlertUnexpectedMessage, "change_cipher_spec where none is allowed")
		}
		return typ, nil, nil
	case !sealed:
		if in.aead != nil && !(typ == recordAlert && in.allowRaw) {
			return 0, nil, fail(AlertUnexpectedMessage, "record of type %d in the clear, where only protected ones are allowed", typ)
		}
		if n == 0 {
			return 0, nil, fail(AlertUnexpectedMessage, "record of type %d without content", typ)
		}
		return typ, payload, nil
	case in.aead == nil:
		// After a HelloRetryRequest, 0-RTT data is known by its type.
		if n < in.skipEarly {
			in.skipEarly -= n
			return typ, nil, in.countEarly()
		}
		return 0, nil, fail(AlertUnexpectedMessage, "protected record before there are keys")
	}
	return in.unprotect(header, payload)
}

// countEarly keeps refused 0-RTT records out of the count of idle ones: they
// have a limit of their own, in octets, with each record costing at least one.
func (in *readHalf) countEarly() error {
	in.skipEarly--
	in.idle--
	return nil
}

func (in *readHalf) unprotect(header, payload []byte) (recordType, []byte, error) {
	nonce, err := in.nextNonce()
	if err != nil {
		return 0, nil, err
	}
	inner, err := in.aead.Open(payload[:0], nonce, payload, header)
	if err != nil {
		if len(payload) < in.skipEarly {
			// Refused 0-RTT data is protected by keys that we do not
			// derive, so it is known by not being readable (section
			// 4.2.10).
			in.skipEarly -= len(payload)
			in.seq--
			return recordData, nil, in.countEarly()
		}
		return 0, nil, fail(AlertBadRecordMAC, "record does not authenticate")
	}
	in.skipEarly, in.allowRaw = 0, false
	if len(inner) > in.limit {
		return 0, nil, fail(AlertRecordOverflow, "record of %d octets, where %d is the limit", len(inner), in.limit)
	}
	end := len(inner) - 1
	for end >= 0 && inner[end] == 0 {
		end--
	}
	if end < 0 {
		return 0, nil, fail(AlertUnexpectedMessage, "record without a type")
	}
	typ, content := recordType(inner[end]), inner[:end]
	switch typ {
	case recordData:
	case recordHandshake, recordAlert:
		if len(content) == 0 {
			return 0, nil, fail(AlertUnexpectedMessage, "record of type %d without content", typ)
		}
	default:
		return 0, nil, fail(AlertUnexpectedMessage, "protected record of type %d", typ)
	}
	return typ, content, nil
}

// message takes one whole handshake message, header included, off the current
// record; nil means that more records are needed. It is valid until the next
// call. limit tells how long the body of a message of a type may be.
func (in *readHalf) message(limit func(typ uint8) int) ([]byte, error) {
	if in.whole {
		in.partial, in.whole = in.partial[:0], false
	}
	if len(in.partial) == 0 {
		n, err := messageLen(in.record, limit)
		if err != nil {
			return nil, err
		}
		if n > 0 && n <= len(in.record) { // the common case: nothing is copied
			msg := in.record[:n:n]
			in.record = in.record[n:]
			return msg, nil
		}
	}
	in.fill(4)
	n, err := messageLen(in.partial, limit)
	if err != nil || n == 0 {
		return nil, err
	}
	in.fill(n)
	if len(in.partial) < n {
		return nil, nil
	}
	in.whole = true
	return in.partial, nil
}

// fill moves octets from the record until partial has n, or none are left.
func (in *readHalf) fill(n int) {
	if k := min(n-len(in.partial), len(in.record)); k > 0 {
		in.partial = append(in.partial, in.record[:k]...)
		in.record = in.record[k:]
	}
}

// messageLen is the length of the message that b begins with, header included;
// zero if b does not reach that far.
func messageLen(b []byte, limit func(typ uint8) int) (int, error) {
	if len(b) < 4 {
		return 0, nil
	}
	n := int(b[1])<<16 | int(b[2])<<8 | int(b[3])
	if most := limit(b[0]); n > most {
		return 0, fail(AlertIllegalParameter, "handshake message of type %d has %d octets, where %d is the limit", b[0], n, most)
	}
	return 4 + n, nil
}

// between reports whether handshake octets are left: a key must not change in
// the middle of a record, nor a record of another type come in between
// (section 5.1).
func (in *readHalf) between() bool {
	return len(in.record) > 0 || len(in.partial) > 0 && !in.whole
}

// The writeHalf turns content into records.
type writeHalf struct {
	protector
	out     []byte // records that wait to be sent
	content int    // most octets of content in a record
	padTo   int    // inner plaintext is padded to a multiple; 0: not
	closed  bool   // close_notify or a fatal alert was sent
}

// seal appends content as one record. len(content) is at most w.content.
func (w *writeHalf) seal(dst []byte, typ recordType, content []byte) ([]byte, error) {
	if w.aead == nil {
		dst = append(dst, byte(typ), 3, 3)
		return putVec16(dst, content), nil
	}
	inner := len(content) + 1
	if w.padTo > 1 {
		inner = min((inner+w.padTo-1)/w.padTo*w.padTo, w.content+1)
	}
	n := inner + aeadOverhead
	nonce, err := w.nextNonce()
	if err != nil {
		return dst, err
	}
	at := len(dst)
	dst = append(dst, byte(recordData), 3, 3, byte(n>>8), byte(n))
	dst = append(dst, content...)
	dst = append(dst, byte(typ))
	for range inner - len(content) - 1 {
		dst = append(dst, 0)
	}
	body := at + recordHeaderLen
	return w.aead.Seal(dst[:body], nonce, dst[body:], dst[at:body]), nil
}

// send queues content as records, as many as it takes.
func (w *writeHalf) send(typ recordType, content []byte) (err error) {
	for len(content) > 0 && err == nil {
		n := min(len(content), w.content)
		w.out, err = w.seal(w.out, typ, content[:n])
		content = content[n:]
	}
	return err
}

// alert queues an alert. All but the warnings, which the caller names by their
// level, end this direction.
func (w *writeHalf) alert(level uint8, a Alert) error {
	return w.send(recordAlert, []byte{level, byte(a)})
}
