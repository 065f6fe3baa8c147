package bgptest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// An Identity is what a Peer says in its OPEN.
type Identity struct {
	ASN      uint32
	ID       netip.Addr
	HoldTime uint16 // seconds; 0: no keepalives

	IPv4, IPv6 bool
	Restart    uint16 // graceful restart time in seconds, for the families above; 0: no such capability
	Extra      []byte // further capabilities, as they are
}

func (id Identity) open() []byte {
	var families, restart, caps []byte
	add := func(afi byte) {
		families = append(families, 1, 4, 0, afi, 0, 1)
		restart = append(restart, 0, afi, 1, 0x80)
	}
	if id.IPv4 {
		add(1)
	}
	if id.IPv6 {
		add(2)
	}
	caps = append(caps, families...)
	caps = binary.BigEndian.AppendUint32(append(caps, 65, 4), id.ASN)
	if id.Restart > 0 {
		caps = append(caps, 64, byte(2+len(restart)))
		caps = append(caps, u16(int(id.Restart))...)
		caps = append(caps, restart...)
	}
	caps = append(caps, id.Extra...)

	as := 23456 // AS_TRANS
	if id.ASN <= 65535 {
		as = int(id.ASN)
	}
	return Frame(Open, []byte{4}, u16(as), u16(int(id.HoldTime)), id.ID.AsSlice(),
		[]byte{byte(2 + len(caps)), 2, byte(len(caps))}, caps)
}

// A Peer is an established session.
type Peer struct {
	conn net.Conn
	in   chan Message
	wg   sync.WaitGroup

	RemoteOpen []byte // body of the OPEN that was received
}

// Dial connects and does the handshake. It tries again until it is through or
// ctx is done: a speaker that is still waiting closes connections.
func Dial(ctx context.Context, local netip.Addr, remote netip.AddrPort, id Identity) (*Peer, error) {
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(local, 0))}
	for {
		conn, err := d.DialContext(ctx, "tcp", remote.String())
		if err == nil {
			var p *Peer
			if p, err = handshake(ctx, conn, id); err == nil {
				return p, nil
			}
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("bgptest: dial %v: %w", remote, errors.Join(err, ctx.Err()))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Accept waits for a connection on l and does the handshake.
func Accept(ctx context.Context, l net.Listener, id Identity) (*Peer, error) {
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	conn, err := l.Accept()
	if err != nil {
		return nil, fmt.Errorf("bgptest: accept: %w", err)
	}
	return handshake(ctx, conn, id)
}

func handshake(ctx context.Context, conn net.Conn, id Identity) (*Peer, error) {
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	p := &Peer{conn: conn, in: make(chan Message, 1024)}
	fail := func(err error) (*Peer, error) {
		conn.Close()
		return nil, fmt.Errorf("bgptest: handshake: %w", err)
	}
	if _, err := conn.Write(id.open()); err != nil {
		return fail(err)
	}
	m, err := read(conn)
	if err != nil {
		return fail(err)
	}
	if m.Type != Open {
		return fail(fmt.Errorf("%v instead of OPEN", m))
	}
	p.RemoteOpen = m.Body
	if _, err := conn.Write(Frame(Keepalive)); err != nil {
		return fail(err)
	}
	if m, err = read(conn); err != nil {
		return fail(err)
	}
	if m.Type != Keepalive {
		return fail(fmt.Errorf("%v instead of KEEPALIVE", m))
	}
	p.wg.Add(1)
	go p.receive()
	return p, nil
}

// receive queues what arrives, and answers keepalives.
func (p *Peer) receive() {
	defer p.wg.Done()
	defer close(p.in)
	for {
		m, err := read(p.conn)
		if err != nil {
			return
		}
		if m.Type == Keepalive {
			if p.Send(Frame(Keepalive)) != nil {
				return
			}
			continue
		}
		p.in <- m
	}
}

func read(r io.Reader) (Message, error) {
	var h [headerLen]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return Message{}, err
	}
	n := int(binary.BigEndian.Uint16(h[16:]))
	if n < headerLen {
		return Message{}, fmt.Errorf("bgptest: message of %d octets", n)
	}
	body := make([]byte, n-headerLen)
	if _, err := io.ReadFull(r, body); err != nil {
		return Message{}, err
	}
	return Message{Type: h[18], Body: body}, nil
}

// Send writes octets as they are.
func (p *Peer) Send(raw []byte) error {
	_, err := p.conn.Write(raw)
	return err
}

// Messages delivers what arrives, except keepalives, and is closed when the
// session ends. Nobody reading from it stops the session, after a while.
func (p *Peer) Messages() <-chan Message { return p.in }

// Next returns the next UPDATE that is no end of RIB.
func (p *Peer) Next(ctx context.Context) (Routes, error) {
	for {
		select {
		case <-ctx.Done():
			return Routes{}, fmt.Errorf("bgptest: no UPDATE: %w", ctx.Err())
		case m, ok := <-p.in:
			if !ok {
				return Routes{}, errors.New("bgptest: session closed")
			}
			if m.Type != Update {
				return Routes{}, fmt.Errorf("bgptest: %v", m)
			}
			r, err := ParseUpdate(m.Body)
			if err != nil || !r.EndOfRIB() {
				return r, err
			}
		}
	}
}

// Close ends the session without a NOTIFICATION, as a crash does.
func (p *Peer) Close() {
	p.conn.Close()
	go func() {
		for range p.in {
		}
	}()
	p.wg.Wait()
}
