package tls13

// The presentation language of RFC 8446, section 3: big-endian integers and
// vectors with a length prefix of one, two or three octets.

// A reader takes fields off the front of a message. The first field that does
// not fit makes it bad for good, so callers check once, at the end. Slices it
// returns alias the message.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) bytes(n int) []byte {
	if r.bad || n > len(r.b) {
		r.bad = true
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) u8() uint8 {
	if v := r.bytes(1); v != nil {
		return v[0]
	}
	return 0
}

func (r *reader) u16() uint16 {
	if v := r.bytes(2); v != nil {
		return uint16(v[0])<<8 | uint16(v[1])
	}
	return 0
}

func (r *reader) u24() int {
	if v := r.bytes(3); v != nil {
		return int(v[0])<<16 | int(v[1])<<8 | int(v[2])
	}
	return 0
}

func (r *reader) u32() uint32 { return uint32(r.u16())<<16 | uint32(r.u16()) }
func (r *reader) u64() uint64 { return uint64(r.u32())<<32 | uint64(r.u32()) }

func (r *reader) vec8() []byte  { return r.bytes(int(r.u8())) }
func (r *reader) vec16() []byte { return r.bytes(int(r.u16())) }
func (r *reader) vec24() []byte { return r.bytes(r.u24()) }

// more reports whether a loop over the fields should go on.
func (r *reader) more() bool { return !r.bad && len(r.b) > 0 }

// done reports whether all was read, and nothing is left over.
func (r *reader) done() bool { return !r.bad && len(r.b) == 0 }

func put16(b []byte, v uint16) []byte { return append(b, byte(v>>8), byte(v)) }
func put24(b []byte, v int) []byte    { return append(b, byte(v>>16), byte(v>>8), byte(v)) }
func put32(b []byte, v uint32) []byte {
	return append(b, byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
}
func put64(b []byte, v uint64) []byte { return put32(put32(b, uint32(v>>32)), uint32(v)) }

func putVec8(b, v []byte) []byte  { return append(append(b, byte(len(v))), v...) }
func putVec16(b, v []byte) []byte { return append(put16(b, uint16(len(v))), v...) }
func putVec24(b, v []byte) []byte { return append(put24(b, len(v)), v...) }

// open16 and open24 reserve a length; the close function of the same width
// fills it in with what was appended since. Lengths that do not fit are
// a mistake of ours, as the limits on what we send are checked before.
func open16(b []byte) ([]byte, int) { return append(b, 0, 0), len(b) }
func open24(b []byte) ([]byte, int) { return append(b, 0, 0, 0), len(b) }

func close16(b []byte, at int) {
	n := len(b) - at - 2
	if n > 0xffff {
		panic("BUG: tls13: vector does not fit a 16-bit length")
	}
	b[at], b[at+1] = byte(n>>8), byte(n)
}

func close24(b []byte, at int) {
	n := len(b) - at - 3
	if n > 0xffffff {
		panic("BUG: tls13: vector does not fit a 24-bit length")
	}
	b[at], b[at+1], b[at+2] = byte(n>>16), byte(n>>8), byte(n)
}

// u16s is a list of 16-bit code points as it is on the wire, so that looking
// through a peer's list costs no memory. Its length is even.
type u16s []byte

func (l u16s) len() int        { return len(l) / 2 }
func (l u16s) at(i int) uint16 { return uint16(l[2*i])<<8 | uint16(l[2*i+1]) }

func (l u16s) has(v uint16) bool {
	for i := range l.len() {
		if l.at(i) == v {
			return true
		}
	}
	return false
}

// wireList is the wire form of a list of code points.
func wireList[T ~uint16](list []T) u16s {
	b := make(u16s, 0, 2*len(list))
	for _, v := range list {
		b = put16(b, uint16(v))
	}
	return b
}

// codePoints is the inverse of wireList.
func codePoints[T ~uint16](l u16s) []T {
	list := make([]T, 0, l.len())
	for i := range l.len() {
		list = append(list, T(l.at(i)))
	}
	return list
}
