//go:build !linux

package netmetric

import (
	"net/netip"
	"syscall"
)

// Elsewhere than on Linux, arrival is when the datagram is read, its TTL is
// not known, and answers leave from the address the system chooses.

func socketControl(string) func(string, string, syscall.RawConn) error { return nil }

func parseControls([]byte) controls { return controls{ttl: 255} }

func appendSource(dst []byte, _ netip.Addr) []byte { return dst }
