package tls13

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
)

// testHalves are two ends of one direction under the same key.
func testHalves(t testing.TB, p *suiteParams) (*writeHalf, *readHalf) {
	t.Helper()
	w := &writeHalf{content: maxPlaintext}
	r := &readHalf{limit: maxInner}
	s := newSchedule(p)
	base := secret{1, 2, 3}
	if err := errors.Join(w.install(s, &base, newChaChaForTest), r.install(s, &base, newChaChaForTest)); err != nil {
		t.Fatal(err)
	}
	return w, r
}

func feed(r *readHalf, b []byte) {
	for len(b) > 0 {
		n := copy(r.space(), b)
		r.advance(n)
		b = b[n:]
	}
}

// Whatever is sent comes out, whole and in order, however the network cuts it.
func TestRecordRoundTrip(t *testing.T) {
	for _, p := range []*suiteParams{paramsAES128, paramsAES256, paramsChaCha} {
		rnd := rand.New(rand.NewPCG(1, 2))
		w, r := testHalves(t, p)
		for i := range 60 {
			w.padTo = rnd.IntN(3) * 500
			n := 1 + rnd.IntN(100)
			if i%10 == 0 && p != paramsChaCha {
				n = rnd.IntN(3 * maxPlaintext)
			}
			want := randBytes(rnd, n, n)
			if err := w.send(recordData, want); err != nil {
				t.Fatal(err)
			}
			wire := w.out
			w.out = nil
			var got []byte
			for {
				typ, content, err := r.next()
				if err == nil {
					if typ != recordData {
						t.Fatalf("type %d", typ)
					}
					got = append(got, content...)
					continue
				}
				if err != errNeedMore {
					t.Fatal(err)
				}
				if len(wire) == 0 {
					break
				}
				space := r.space()
				if len(space) == 0 {
					t.Fatal("no space")
				}
				k := copy(space[:1+rnd.IntN(len(space))], wire)
				r.advance(k)
				wire = wire[k:]
			}
			if !bytes.Equal(got, want) {
				t.Fatalf("%d octets became %d", len(want), len(got))
			}
		}
	}
}

func TestRecordViolations(t *testing.T) {
	sealRaw := func(inner []byte) func(*writeHalf) []byte {
		return func(w *writeHalf) []byte { // seals an inner plaintext as it is
			n := len(inner) + 16
			b := []byte{23, 3, 3, byte(n >> 8), byte(n)}
			nonce, _ := w.nextNonce()
			return w.aead.Seal(b, nonce, inner, b[:5:5])
		}
	}
	plain := func(b ...byte) func(*writeHalf) []byte { return func(*writeHalf) []byte { return b } }
	rows := []struct {
		name string
		wire func(*writeHalf) []byte
		set  func(*readHalf)
		want Alert
	}{
		{"ciphertext too long", plain(23, 3, 3, 0x41, 0x01), nil, AlertRecordOverflow},
		{"handshake in the clear", plain(22, 3, 3, 0, 1, 1), nil, AlertUnexpectedMessage},
		{"alert in the clear", plain(21, 3, 3, 0, 2, 2, 0), nil, AlertUnexpectedMessage},
		{"plaintext too long", plain(22, 3, 1, 0x40, 0x01), func(r *readHalf) { r.aead = nil }, AlertRecordOverflow},
		{"empty handshake in the clear", plain(22, 3, 1, 0, 0), func(r *readHalf) { r.aead = nil }, AlertUnexpectedMessage},
		{"protected before keys", plain(23, 3, 3, 0, 1, 1), func(r *readHalf) { r.aead = nil }, AlertUnexpectedMessage},
		{"empty protected before keys", plain(23, 3, 3, 0, 0), func(r *readHalf) { r.aead = nil }, AlertUnexpectedMessage},
		{"HTTP", plain([]byte("GET / HTTP/1.1\r\n")...), func(r *readHalf) { r.aead = nil }, AlertUnexpectedMessage},
		{"SSLv2", plain(0x80, 0x2e, 1, 0, 2), func(r *readHalf) { r.aead = nil }, AlertUnexpectedMessage},
		{"unknown type", plain(24, 3, 3, 0, 1, 1), nil, AlertUnexpectedMessage},
		{"too short for a tag", plain(23, 3, 3, 0, 3, 1, 2, 3), nil, AlertBadRecordMAC},
		{"does not authenticate", func(w *writeHalf) []byte {
			b := sealRaw([]byte{'x', 23})(w)
			b[7] ^= 1
			return b
		}, nil, AlertBadRecordMAC},
		{"header changed", func(w *writeHalf) []byte {
			b := sealRaw([]byte{'x', 23})(w)
			b[2] = 1 // ignored as a version, but authenticated
			return b
		}, nil, AlertBadRecordMAC},
		{"only padding", sealRaw(make([]byte, 20)), nil, AlertUnexpectedMessage},
		{"nothing at all", sealRaw(nil), nil, AlertUnexpectedMessage},
		{"empty alert", sealRaw([]byte{21}), nil, AlertUnexpectedMessage},
		{"empty handshake", sealRaw([]byte{22, 0, 0}), nil, AlertUnexpectedMessage},
		{"protected change_cipher_spec", sealRaw([]byte{1, 20}), func(r *readHalf) { r.allowCCS = true }, AlertUnexpectedMessage},
		{"unknown inner type", sealRaw([]byte{1, 99}), nil, AlertUnexpectedMessage},
		{"inner plaintext too long", sealRaw(append(make([]byte, maxPlaintext+1), 23)), nil, AlertRecordOverflow},
		{"padding counts", sealRaw(append([]byte{1, 23}, make([]byte, maxPlaintext)...)), nil, AlertRecordOverflow},
		{"over record_size_limit", sealRaw(append(make([]byte, 64), 23)), func(r *readHalf) { r.limit = 64 }, AlertRecordOverflow},
		{"change_cipher_spec after the handshake", plain(20, 3, 3, 0, 1, 1), nil, AlertUnexpectedMessage},
		{"change_cipher_spec of two", plain(20, 3, 3, 0, 2, 1, 1), func(r *readHalf) { r.allowCCS = true }, AlertUnexpectedMessage},
		{"change_cipher_spec of another value", plain(20, 3, 3, 0, 1, 2), func(r *readHalf) { r.allowCCS = true }, AlertUnexpectedMessage},
		{"endless change_cipher_spec", plain(bytes.Repeat([]byte{20, 3, 3, 0, 1, 1}, maxIdleRecords+1)...), func(r *readHalf) { r.allowCCS = true }, AlertUnexpectedMessage},
		{"endless empty records", func(w *writeHalf) (b []byte) {
			for range maxIdleRecords + 1 {
				b = append(b, sealRaw([]byte{23})(w)...)
			}
			return b
		}, nil, AlertUnexpectedMessage},
		{"more refused early data than allowed", func(*writeHalf) []byte {
			one := append([]byte{23, 3, 3, 0x10, 0}, make([]byte, 0x1000)...)
			return bytes.Repeat(one, 4)
		}, func(r *readHalf) { r.skipEarly = maxSkippedEarly }, AlertBadRecordMAC},
		{"endless tiny early data", plain(bytes.Repeat([]byte{23, 3, 3, 0, 0}, maxSkippedEarly+1)...), func(r *readHalf) { r.skipEarly = maxSkippedEarly }, AlertBadRecordMAC},
		{"early data before keys than allowed", plain(bytes.Repeat([]byte{23, 3, 3, 0, 0}, maxSkippedEarly+1)...), func(r *readHalf) { r.skipEarly, r.aead = maxSkippedEarly, nil }, AlertUnexpectedMessage},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			w, r := testHalves(t, paramsAES128)
			wire := row.wire(w)
			if row.set != nil {
				row.set(r)
			}
			var err error
			for {
				if _, _, err = r.next(); err != errNeedMore {
					break
				}
				if len(wire) == 0 {
					t.Fatal("no error")
				}
				n := copy(r.space(), wire)
				r.advance(n)
				wire = wire[n:]
			}
			wantAlert(t, err, row.want)
		})
	}
}

// Early data that is refused is skipped, up to the first record that is for
// us, and never behind it.
func TestRecordSkipsEarlyData(t *testing.T) {
	w, r := testHalves(t, paramsAES128)
	r.skipEarly = maxSkippedEarly
	junk := append([]byte{23, 3, 3, 0, 100}, make([]byte, 100)...)
	if err := w.send(recordHandshake, []byte("ours")); err != nil {
		t.Fatal(err)
	}
	feed(r, bytes.Join([][]byte{junk, junk, w.out, junk}, nil))
	typ, content, err := r.next()
	if typ != recordHandshake || string(content) != "ours" || err != nil {
		t.Fatalf("%d %q %v", typ, content, err)
	}
	_, _, err = r.next()
	wantAlert(t, err, AlertBadRecordMAC)
}

// Handshake messages come out whole however they are cut into records.
func TestRecordMessages(t *testing.T) {
	rnd := rand.New(rand.NewPCG(9, 9))
	for range 200 {
		var want [][]byte
		var stream []byte
		for range 1 + rnd.IntN(6) {
			m := putVec24([]byte{byte(rnd.Uint32())}, randBytes(rnd, 0, 300))
			want = append(want, m)
			stream = append(stream, m...)
		}
		in := &readHalf{}
		var got [][]byte
		for {
			msg, err := in.message(func(uint8) int { return 300 })
			if err != nil {
				t.Fatal(err)
			}
			if msg != nil {
				got = append(got, bytes.Clone(msg))
				continue
			}
			if len(stream) == 0 {
				break
			}
			n := 1 + rnd.IntN(min(400, len(stream)))
			in.record, stream = bytes.Clone(stream[:n]), stream[n:]
		}
		if len(got) != len(want) || in.between() {
			t.Fatalf("%d messages of %d, in between %v", len(got), len(want), in.between())
		}
		for i := range got {
			if !bytes.Equal(got[i], want[i]) {
				t.Fatalf("message %d: % x, want % x", i, got[i], want[i])
			}
		}
	}
	in := &readHalf{record: []byte{11, 0, 1, 45}}
	_, err := in.message(func(uint8) int { return 300 })
	wantAlert(t, err, AlertIllegalParameter)
}

func TestSequenceNumberLimit(t *testing.T) {
	w, r := testHalves(t, paramsAES128)
	w.seq, r.seq = 1<<64-1, 1<<64-1
	wantAlert(t, w.send(recordData, []byte("x")), AlertInternalError)
	feed(r, append([]byte{23, 3, 3, 0, 20}, make([]byte, 20)...))
	_, _, err := r.next()
	wantAlert(t, err, AlertInternalError)
}

// An idle connection gives its large buffer back.
func TestRecordBufferShrinks(t *testing.T) {
	w, r := testHalves(t, paramsAES128)
	r.grow = true
	for range 20 {
		if err := w.send(recordData, make([]byte, maxPlaintext)); err != nil {
			t.Fatal(err)
		}
	}
	drain := func(wire []byte) {
		for len(wire) > 0 {
			n := copy(r.space(), wire)
			r.advance(n)
			wire = wire[n:]
			for {
				if _, _, err := r.next(); err == errNeedMore {
					break
				} else if err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	drain(w.out)
	if len(r.buf) != bulkBuffer {
		t.Errorf("buffer of %d octets under load", len(r.buf))
	}
	w.out = nil
	if err := w.send(recordData, []byte("bye")); err != nil {
		t.Fatal(err)
	}
	drain(w.out)
	if r.space(); len(r.buf) > 2*smallBuffer {
		t.Errorf("buffer of %d octets when idle", len(r.buf))
	}
}

// FuzzRecords: no input makes the record layer panic, grow without bounds, or
// return what was not sealed.
func FuzzRecords(f *testing.F) {
	w, _ := testHalves(f, paramsAES128)
	w.send(recordData, []byte("hello"))
	f.Add(w.out, uint16(3), true, uint16(0))
	f.Add([]byte{22, 3, 1, 0, 4, 1, 0, 0, 0}, uint16(100), false, uint16(0))
	f.Add([]byte{23, 3, 3, 0, 20}, uint16(1), true, uint16(5000))
	f.Fuzz(func(t *testing.T, wire []byte, chunk uint16, sealed bool, skip uint16) {
		_, r := testHalves(t, paramsAES128)
		if !sealed {
			r.aead = nil
		}
		r.allowCCS, r.skipEarly = true, int(skip)
		for {
			_, content, err := r.next()
			if err == nil && sealed && string(content) != "hello" {
				t.Fatalf("accepted %q", content)
			}
			if err == errNeedMore {
				if len(wire) == 0 {
					return
				}
				space := r.space()
				n := copy(space[:min(len(space), int(chunk)+1)], wire)
				r.advance(n)
				wire = wire[n:]
				if len(r.buf) > maxRecord+smallBuffer {
					t.Fatalf("buffer of %d octets", len(r.buf))
				}
				continue
			}
			if err != nil {
				return
			}
		}
	})
}
