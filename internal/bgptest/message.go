package bgptest

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// Message types (RFC 4271 section 4.1, RFC 2918).
const (
	Open         = 1
	Update       = 2
	Notification = 3
	Keepalive    = 4
	RouteRefresh = 5
)

// Attribute flags and types (RFC 4271 section 4.3 and others).
const (
	Optional   = 0x80
	Transitive = 0x40
	Partial    = 0x20
	Extended   = 0x10

	Origin         = 1
	ASPath         = 2
	NextHop        = 3
	MED            = 4
	LocalPref      = 5
	Communities    = 8
	MPReach        = 14
	MPUnreach      = 15
	LargeCommunity = 32
)

const (
	headerLen  = 19
	maxMessage = 65535 // RFC 8654
)

// A Message is one BGP message without its header.
type Message struct {
	Type byte
	Body []byte
}

func (m Message) String() string {
	if m.Type == Notification && len(m.Body) >= 2 {
		return fmt.Sprintf("NOTIFICATION %d/%d % x", m.Body[0], m.Body[1], m.Body[2:])
	}
	return fmt.Sprintf("type %d: % x", m.Type, m.Body)
}

// Frame returns a message with its header.
func Frame(typ byte, body ...[]byte) []byte {
	b := make([]byte, headerLen, headerLen+64)
	for i := range 16 {
		b[i] = 0xff
	}
	b[18] = typ
	for _, part := range body {
		b = append(b, part...)
	}
	binary.BigEndian.PutUint16(b[16:], uint16(len(b)))
	return b
}

// UpdateFrame returns an UPDATE of the three parts as they are; the lengths
// before the first two are right.
func UpdateFrame(withdrawn, attrs, nlri []byte) []byte {
	return Frame(Update, u16(len(withdrawn)), withdrawn, u16(len(attrs)), attrs, nlri)
}

// Attr returns a path attribute; the length takes two octets if flags say so or
// the value needs it.
func Attr(flags, typ byte, value []byte) []byte {
	if len(value) > 255 {
		flags |= Extended
	}
	out := []byte{flags, typ}
	if flags&Extended != 0 {
		out = append(out, u16(len(value))...)
	} else {
		out = append(out, byte(len(value)))
	}
	return append(out, value...)
}

// Mandatory returns ORIGIN, AS_PATH (four-octet ASNs) and NEXT_HOP.
func Mandatory(nextHop netip.Addr, path ...uint32) []byte {
	return Join(Attr(Transitive, Origin, []byte{0}), PathAttr(path...), Attr(Transitive, NextHop, nextHop.AsSlice()))
}

// PathAttr returns an AS_PATH of one sequence, or an empty one.
func PathAttr(path ...uint32) []byte {
	var value []byte
	if len(path) > 0 {
		value = []byte{2, byte(len(path))}
		for _, as := range path {
			value = binary.BigEndian.AppendUint32(value, as)
		}
	}
	return Attr(Transitive, ASPath, value)
}

// NLRI returns prefixes in wire form.
func NLRI(prefixes ...netip.Prefix) []byte {
	var b []byte
	for _, p := range prefixes {
		b = append(b, byte(p.Bits()))
		b = append(b, p.Addr().AsSlice()[:(p.Bits()+7)/8]...)
	}
	return b
}

// Reach returns MP_REACH_NLRI for IPv6 unicast.
func Reach(nextHop netip.Addr, prefixes ...netip.Prefix) []byte {
	nh := nextHop.AsSlice()
	return Attr(Optional, MPReach, Join([]byte{0, 2, 1, byte(len(nh))}, nh, []byte{0}, NLRI(prefixes...)))
}

// Join concatenates.
func Join(parts ...[]byte) []byte {
	var b []byte
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

func u16(n int) []byte { return binary.BigEndian.AppendUint16(nil, uint16(n)) }

// A RawAttr is a received path attribute.
type RawAttr struct {
	Flags, Type byte
	Value       []byte
}

// A Routes is a received UPDATE. Prefixes of IPv6 come from MP_REACH_NLRI and
// MP_UNREACH_NLRI. ADD-PATH is not understood.
type Routes struct {
	Withdrawn, Reached []netip.Prefix
	NextHop            []byte // as on the wire
	Attrs              []RawAttr
}

// EndOfRIB reports whether the UPDATE is an end of RIB (RFC 4724 section 2).
func (r *Routes) EndOfRIB() bool {
	return len(r.Withdrawn)+len(r.Reached) == 0 && len(r.Attrs) <= 1
}

// Attr returns the attribute of a type, if it is there.
func (r *Routes) Attr(typ byte) (RawAttr, bool) {
	for _, a := range r.Attrs {
		if a.Type == typ {
			return a, true
		}
	}
	return RawAttr{}, false
}

// ParseUpdate reads the body of a well-formed UPDATE.
func ParseUpdate(body []byte) (r Routes, err error) {
	c := &cursor{b: body}
	withdrawn := c.take(c.uint(2))
	attrs := &cursor{b: c.take(c.uint(2))}
	r.Withdrawn = prefixes(withdrawn, 4, &c.err)
	r.Reached = prefixes(c.b, 4, &c.err)
	for len(attrs.b) > 0 && attrs.err == nil {
		a := RawAttr{Flags: byte(attrs.uint(1)), Type: byte(attrs.uint(1))}
		size := 1
		if a.Flags&Extended != 0 {
			size = 2
		}
		a.Value = attrs.take(attrs.uint(size))
		r.Attrs = append(r.Attrs, a)
		v := &cursor{b: a.Value}
		switch a.Type {
		case NextHop:
			r.NextHop = a.Value
		case MPReach:
			v.take(3)
			r.NextHop = v.take(v.uint(1))
			v.take(1)
			r.Reached = append(r.Reached, prefixes(v.b, 16, &v.err)...)
		case MPUnreach:
			v.take(3)
			r.Withdrawn = append(r.Withdrawn, prefixes(v.b, 16, &v.err)...)
		}
		if v.err != nil {
			return r, v.err
		}
	}
	if c.err != nil {
		return r, c.err
	}
	return r, attrs.err
}

// A cursor reads, and remembers the first read beyond the end.
type cursor struct {
	b   []byte
	err error
}

func (c *cursor) take(n int) []byte {
	if n > len(c.b) {
		c.err = fmt.Errorf("bgptest: %d octets wanted, %d there", n, len(c.b))
		c.b = nil
		return nil
	}
	out := c.b[:n]
	c.b = c.b[n:]
	return out
}

func (c *cursor) uint(n int) (v int) {
	for _, o := range c.take(n) {
		v = v<<8 | int(o)
	}
	return v
}

func prefixes(b []byte, size int, err *error) (out []netip.Prefix) {
	c := &cursor{b: b}
	for len(c.b) > 0 && c.err == nil {
		bits := c.uint(1)
		buf := make([]byte, size)
		copy(buf, c.take((bits+7)/8))
		addr, _ := netip.AddrFromSlice(buf)
		p := netip.PrefixFrom(addr, bits)
		if !p.IsValid() {
			c.err = fmt.Errorf("bgptest: prefix of %d bits", bits)
		}
		out = append(out, p)
	}
	if c.err != nil && *err == nil {
		*err = c.err
	}
	return out
}
