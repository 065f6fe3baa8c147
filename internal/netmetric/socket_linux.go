package netmetric

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// socketControl sets the options before bind. Those that only make the
// measurement better may fail.
func socketControl(network string) func(string, string, syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) {
			set := func(level, option, value int) { unix.SetsockoptInt(int(fd), level, option, value) }
			set(unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
			if network == "udp4" {
				set(unix.IPPROTO_IP, unix.IP_RECVTTL, 1)
				set(unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
				set(unix.IPPROTO_IP, unix.IP_TTL, 255)
			} else {
				set(unix.IPPROTO_IPV6, unix.IPV6_RECVHOPLIMIT, 1)
				set(unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
				set(unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, 255)
			}
		})
	}
}

// parseControls reads what the kernel put beside a datagram. It does not
// allocate; what it does not know it skips.
func parseControls(oob []byte) controls {
	c := controls{ttl: 255}
	for len(oob) > 0 {
		h, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			break
		}
		oob = rest
		switch {
		case h.Level == unix.SOL_SOCKET && h.Type == unix.SCM_TIMESTAMPNS && len(data) == int(unsafe.Sizeof(unix.Timespec{})):
			if len(data) == 16 {
				c.stamp = time.Unix(int64(binary.NativeEndian.Uint64(data)), int64(binary.NativeEndian.Uint64(data[8:])))
			} else {
				c.stamp = time.Unix(int64(int32(binary.NativeEndian.Uint32(data))), int64(binary.NativeEndian.Uint32(data[4:])))
			}
		case (h.Level == unix.IPPROTO_IP && h.Type == unix.IP_TTL ||
			h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_HOPLIMIT) && len(data) >= 4:
			c.ttl = uint8(binary.NativeEndian.Uint32(data))
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
			c.to = netip.AddrFrom4([4]byte(data[8:12]))
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
			c.to = netip.AddrFrom16([16]byte(data[:16]))
		}
	}
	return c
}

// appendSource appends the control message that chooses the source address;
// nothing for the zero Addr.
func appendSource(dst []byte, src netip.Addr) []byte {
	if !src.IsValid() {
		return dst
	}
	level, typ, size := int32(unix.IPPROTO_IPV6), int32(unix.IPV6_PKTINFO), unix.SizeofInet6Pktinfo
	if src.Is4() {
		level, typ, size = unix.IPPROTO_IP, unix.IP_PKTINFO, unix.SizeofInet4Pktinfo
	}
	var zero [64]byte // room for either
	start := len(dst)
	dst = append(dst, zero[:unix.CmsgSpace(size)]...)
	b := dst[start:]
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
	h.Level, h.Type = level, typ
	h.SetLen(unix.CmsgLen(size))
	data := b[unix.CmsgLen(0):]
	if src.Is4() {
		a := src.As4()
		copy(data[4:], a[:]) // ipi_spec_dst; any interface
	} else {
		a := src.As16()
		copy(data, a[:])
	}
	return dst
}
