package netmetric

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"
)

// maxDatagram is the longest datagram that is read whole.
const maxDatagram = 2048

// maxStampAge is how much older than its reading a datagram can be. Beyond, or
// in the future, its kernel timestamp is of a clock that was set meanwhile.
const maxStampAge = 10 * time.Second

// readPause keeps a socket that only has errors to give from taking a CPU.
const readPause = 100 * time.Millisecond

// A socket is one UDP socket of one family with the controls that STAMP wants.
type socket struct {
	conn *net.UDPConn
	oob  []byte // for reading
	src  []byte // for writing
}

// A datagram is what came with one.
type datagram struct {
	from netip.AddrPort // IPv4 as IPv4
	to   netip.Addr     // the address it was sent to; zero: not known
	at   time.Time      // when it arrived, with the monotonic clock
	ttl  uint8          // or hop limit; 255: not known (RFC 5357 section 4.2.1)
	data []byte         // valid until the next read
}

// controls are a datagram's control messages.
type controls struct {
	stamp time.Time // kernel's receive time, wall clock; zero: none
	to    netip.Addr
	ttl   uint8
}

// openSocket binds a UDP socket; network is udp4 or udp6. Where the system
// offers them, it has kernel receive timestamps (SO_TIMESTAMPNS), received
// TTLs and destination addresses, and sends with TTL 255.
func openSocket(ctx context.Context, network string, local netip.AddrPort) (*socket, error) {
	lc := net.ListenConfig{Control: socketControl(network)}
	pc, err := lc.ListenPacket(ctx, network, local.String())
	if err != nil {
		return nil, err
	}
	return &socket{conn: pc.(*net.UDPConn), oob: make([]byte, 256)}, nil
}

func (s *socket) localPort() uint16 {
	return uint16(s.conn.LocalAddr().(*net.UDPAddr).Port)
}

// read reads one datagram into b.
func (s *socket) read(b []byte) (d datagram, err error) {
	n, oobn, _, from, err := s.conn.ReadMsgUDPAddrPort(b, s.oob)
	if err != nil {
		return d, err
	}
	now := time.Now()
	c := parseControls(s.oob[:oobn])
	return datagram{
		from: netip.AddrPortFrom(from.Addr().Unmap(), from.Port()),
		to:   c.to,
		at:   arrival(now, c.stamp),
		ttl:  c.ttl,
		data: b[:n],
	}, nil
}

// arrival places a kernel timestamp, which is of the wall clock, on the
// monotonic clock: the two are compared here, microseconds after the kernel
// took it, and nowhere else. A step of the wall clock can therefore hurt only
// a datagram that waits to be read meanwhile.
func arrival(now, stamp time.Time) time.Time {
	if stamp.IsZero() {
		return now
	}
	age := now.Round(0).Sub(stamp)
	if age < 0 || age > maxStampAge {
		return now
	}
	return now.Add(-age)
}

// write sends b to the given address, from the local address src if valid.
func (s *socket) write(b []byte, to netip.AddrPort, src netip.Addr) error {
	s.src = appendSource(s.src[:0], src)
	_, _, err := s.conn.WriteMsgUDPAddrPort(b, s.src, to)
	return err
}

func closed(err error) bool { return errors.Is(err, net.ErrClosed) }

// network returns the name of an address's family.
func network(a netip.Addr) string {
	if a.Is4() {
		return "udp4"
	}
	return "udp6"
}
