package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

// A tcpRelay stands for the network between clients and one instance: bytes
// arrive half a round trip after they were sent. How the connection itself
// ends is passed on too.
type tcpRelay struct {
	listener net.Listener
	to       string
	oneWay   time.Duration
}

// newTCPRelay listens; Run relays.
func newTCPRelay(at, to netip.AddrPort, rtt time.Duration) (*tcpRelay, error) {
	l, err := net.Listen("tcp", at.String())
	if err != nil {
		return nil, fmt.Errorf("demo: relay: %w", err)
	}
	return &tcpRelay{listener: l, to: to.String(), oneWay: rtt / 2}, nil
}

// Run relays until ctx ends, and returns when every connection is closed.
func (r *tcpRelay) Run(ctx context.Context) {
	var group sync.WaitGroup
	defer group.Wait()
	defer context.AfterFunc(ctx, func() { r.listener.Close() })()
	for {
		conn, err := r.listener.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) || !pause(ctx, 20*time.Millisecond) {
				return
			}
			continue // out of descriptors: goes by
		}
		group.Go(func() { r.relay(ctx, conn) })
	}
}

func (r *tcpRelay) relay(ctx context.Context, client net.Conn) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer client.Close()
	var dialer net.Dialer
	server, err := dialer.DialContext(ctx, "tcp", r.to)
	if err != nil {
		// Nobody there: the refusal takes a round trip.
		pause(ctx, 2*r.oneWay)
		reset(client)
		return
	}
	defer server.Close()
	defer context.AfterFunc(ctx, func() { client.Close(); server.Close() })()
	var group sync.WaitGroup
	group.Go(func() { r.pump(ctx, server, client) })
	group.Go(func() {
		r.pump(ctx, client, server)
		cancel() // the service has said all: a client that goes on talking is not heard
	})
	group.Wait()
}

// pump moves bytes one way, then the end of them.
func (r *tcpRelay) pump(ctx context.Context, to, from net.Conn) {
	line := make(chan stamped[[]byte], 64)
	var broken error // set before line is closed
	var group sync.WaitGroup
	group.Go(func() {
		defer close(line)
		for {
			buf := make([]byte, 2048)
			n, err := from.Read(buf)
			if n > 0 {
				select {
				case line <- stamped[[]byte]{time.Now(), buf[:n]}:
				case <-ctx.Done():
					return
				}
			}
			if err != nil {
				var op *net.OpError
				if errors.As(err, &op) {
					broken = err
				}
				return
			}
		}
	})
	err := pass(ctx, r.oneWay, line, func(b []byte) error { _, err := to.Write(b); return err })
	if err != nil {
		from.Close() // wakes the reader
	}
	group.Wait()
	switch {
	case err != nil:
	case broken != nil:
		pause(ctx, r.oneWay)
		reset(to)
	default:
		if half, ok := to.(*net.TCPConn); ok {
			half.CloseWrite()
		}
	}
}

// reset closes a connection so that the other end hears of an error.
func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	conn.Close()
}

// A udpRelay stands for the network between the prober and one site's STAMP
// reflector.
type udpRelay struct {
	front  *net.UDPConn
	to     netip.AddrPort
	oneWay time.Duration
}

func newUDPRelay(at, to netip.AddrPort, rtt time.Duration) (*udpRelay, error) {
	c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(at))
	if err != nil {
		return nil, fmt.Errorf("demo: relay: %w", err)
	}
	return &udpRelay{front: c, to: to, oneWay: rtt / 2}, nil
}

// maxAsking is how many addresses may ask through a relay. One does.
const maxAsking = 16

// Run relays until ctx ends.
func (r *udpRelay) Run(ctx context.Context) {
	var group sync.WaitGroup
	defer group.Wait()
	defer r.front.Close()
	defer context.AfterFunc(ctx, func() { r.front.Close() })()
	asking := map[netip.AddrPort]chan<- stamped[[]byte]{}
	defer func() {
		for _, line := range asking {
			close(line)
		}
	}()
	for {
		buf := make([]byte, 1500)
		n, from, err := r.front.ReadFromUDPAddrPort(buf)
		if err != nil {
			if errors.Is(err, net.ErrClosed) || !pause(ctx, 20*time.Millisecond) {
				return
			}
			continue
		}
		line := asking[from]
		if line == nil && len(asking) < maxAsking {
			back, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(r.to))
			if err != nil {
				continue
			}
			there := make(chan stamped[[]byte], 64)
			asking[from], line = there, there
			group.Go(func() { r.relay(ctx, back, from, there) })
		}
		select {
		case line <- stamped[[]byte]{time.Now(), buf[:n]}:
		default: // too many (or too many asking): lost, as in a network
		}
	}
}

// relay serves one asking address: there to the reflector, and back.
func (r *udpRelay) relay(ctx context.Context, back *net.UDPConn, asking netip.AddrPort, there <-chan stamped[[]byte]) {
	defer back.Close()
	defer context.AfterFunc(ctx, func() { back.Close() })()
	line := make(chan stamped[[]byte], 64)
	var group sync.WaitGroup
	defer group.Wait()
	group.Go(func() {
		defer close(line)
		for {
			buf := make([]byte, 1500)
			n, err := back.Read(buf)
			if err != nil {
				if errors.Is(err, net.ErrClosed) || ctx.Err() != nil {
					return
				}
				pause(ctx, time.Millisecond) // refused: the reflector is not up yet
				continue
			}
			select {
			case line <- stamped[[]byte]{time.Now(), buf[:n]}:
			default:
			}
		}
	})
	group.Go(func() {
		pass(ctx, r.oneWay, line, func(b []byte) error { r.front.WriteToUDPAddrPort(b, asking); return nil })
	})
	pass(ctx, r.oneWay, there, func(b []byte) error { back.Write(b); return nil })
	back.Close()
}
