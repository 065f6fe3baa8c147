package lab_test

import (
	"context"
	"encoding/binary"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/catsbgp/catsbgp/bgp"
	"github.com/catsbgp/catsbgp/internal/bgptest"
	"github.com/catsbgp/catsbgp/lab/netns"
)

// A stripper passes UPDATEs on without the CATS attribute, and otherwise as
// they are.
type stripper struct {
	t       testing.TB
	mu      sync.Mutex // one writer at a time
	dropped atomic.Int64
}

func (s *stripper) accept(n *netns.Node, addr string, id bgptest.Identity) *bgptest.Peer {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), limit)
	defer cancel()
	l := n.Listen("tcp", net.JoinHostPort(addr, "179"))
	defer l.Close()
	p, err := bgptest.Accept(ctx, l, id)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(p.Close)
	return p
}

func (s *stripper) swallow(from *bgptest.Peer) {
	for range from.Messages() {
	}
}

func (s *stripper) relay(from, to *bgptest.Peer) {
	for m := range from.Messages() {
		if m.Type == bgptest.Update {
			s.mu.Lock()
			_ = to.Send(bgptest.Frame(bgptest.Update, s.strip(m.Body)))
			s.mu.Unlock()
		}
	}
}

// strip removes the CATS attribute from the body of an UPDATE.
func (s *stripper) strip(body []byte) []byte {
	withdrawn := 2 + int(binary.BigEndian.Uint16(body))
	attrs := body[withdrawn+2:][:binary.BigEndian.Uint16(body[withdrawn:])]
	nlri := body[withdrawn+2+len(attrs):]
	var kept []byte
	for len(attrs) > 0 {
		size := 3 + int(attrs[2])
		if attrs[0]&bgptest.Extended != 0 {
			size = 4 + int(binary.BigEndian.Uint16(attrs[2:]))
		}
		if attrs[1] == bgp.DefaultAttributeType {
			s.dropped.Add(1)
		} else {
			kept = append(kept, attrs[:size]...)
		}
		attrs = attrs[size:]
	}
	return bgptest.UpdateFrame(body[2:withdrawn], kept, nlri)[19:]
}
