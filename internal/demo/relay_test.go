package demo

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const ms = time.Millisecond

func TestPassHandsOnInOrderAndLate(t *testing.T) { synctest.Test(t, testPass) }

func testPass(t *testing.T) {
	start := time.Now()
	in := make(chan stamped[int], 10)
	type arrival struct {
		value int
		after time.Duration
	}
	var got []arrival
	for i, at := range []time.Duration{0, 0, 3 * ms} {
		in <- stamped[int]{start.Add(at), i}
	}
	close(in)
	err := pass(t.Context(), 5*ms, in, func(i int) error {
		got = append(got, arrival{i, time.Since(start)})
		return nil
	})
	if want := []arrival{{0, 5 * ms}, {1, 5 * ms}, {2, 8 * ms}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}

	t.Log("what is refused ends it")
	in = make(chan stamped[int], 10)
	in <- stamped[int]{time.Now(), 1}
	if err := pass(t.Context(), ms, in, func(int) error { return io.ErrClosedPipe }); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v", err)
	}

	t.Log("the end of the context ends it, also while it waits for an item's time")
	in <- stamped[int]{time.Now(), 1}
	ctx, cancel := context.WithTimeout(t.Context(), ms)
	defer cancel()
	if err := pass(ctx, time.Hour, in, func(int) error { t.Error("handed on"); return nil }); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

var anyPort = netip.MustParseAddrPort("127.0.0.1:0")

func addrOf(a net.Addr) netip.AddrPort { return netip.MustParseAddrPort(a.String()) }

// runRelay runs a relay to an address until the test ends.
func runRelay(t *testing.T, to netip.AddrPort, rtt time.Duration) string {
	t.Helper()
	r, err := newTCPRelay(anyPort, to, rtt)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() { r.Run(ctx) })
	t.Cleanup(func() { cancel(); group.Wait() })
	return r.listener.Addr().String()
}

// server accepts connections and serves each with f until the test ends.
func server(t *testing.T, f func(net.Conn)) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	group.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			group.Go(func() { defer c.Close(); f(c) })
		}
	})
	t.Cleanup(func() { l.Close(); group.Wait() })
	return addrOf(l.Addr())
}

func dial(t *testing.T, to string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return c.(*net.TCPConn)
}

func TestTCPRelayDelaysAndPassesAll(t *testing.T) {
	const rtt = 40 * ms
	to := server(t, func(c net.Conn) { io.Copy(c, c) })
	c := dial(t, runRelay(t, to, rtt))
	sent := make([]byte, 300_000) // more than any buffer on the way
	for i := range sent {
		sent[i] = byte(i * i >> 3)
	}
	began := time.Now()
	var group sync.WaitGroup
	defer group.Wait()
	group.Go(func() { c.Write(sent); c.CloseWrite() })
	first := make([]byte, 1)
	if _, err := io.ReadFull(c, first); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < rtt {
		t.Errorf("there and back in %v, less than %v", took, rtt)
	}
	got, err := io.ReadAll(c)
	if err != nil || !slices.Equal(append(first, got...), sent) {
		t.Errorf("%d octets came back of %d, or others: %v", len(got)+1, len(sent), err)
	}
}

// A client must be able to tell an instance that died from one that is done.
func TestTCPRelayPassesOnHowItEnds(t *testing.T) {
	gone := server(t, func(net.Conn) {})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := addrOf(l.Addr())
	l.Close()
	for _, tc := range []struct {
		name    string
		to      netip.AddrPort
		orderly bool
	}{
		{"the server says goodbye", gone, true},
		{"the server resets", server(t, func(c net.Conn) { c.Read(make([]byte, 1)); reset(c) }), false},
		{"nobody is there", nobody, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := dial(t, runRelay(t, tc.to, 2*ms))
			c.Write([]byte("hello"))
			_, err := io.ReadAll(c)
			if tc.orderly && err != nil {
				t.Errorf("want a clean end, got %v", err)
			}
			if !tc.orderly && err == nil {
				t.Error("the connection ended as if all was well")
			}
		})
	}
}

// A relay that is stopped leaves no connection behind; goleak sees to that.
func TestTCPRelayStopsInTheMiddle(t *testing.T) {
	to := server(t, func(c net.Conn) { io.Copy(c, c) })
	r, err := newTCPRelay(anyPort, to, ms)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { r.Run(ctx); close(done) }()
	c := dial(t, r.listener.Addr().String())
	c.Write([]byte("x"))
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	cancel()
	<-done
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the connection is still there")
	}
}

func TestUDPRelay(t *testing.T) {
	echo, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(anyPort))
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	defer group.Wait()
	defer echo.Close()
	group.Go(func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := echo.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			echo.WriteToUDPAddrPort(buf[:n], from)
		}
	})
	const rtt = 20 * ms
	r, err := newUDPRelay(anyPort, addrOf(echo.LocalAddr()), rtt)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	group.Go(func() { r.Run(ctx) })

	t.Log("two who ask each get their own answers, from the address they asked")
	for _, what := range []string{"one", "two"} {
		c, err := net.DialUDP("udp4", nil, r.front.LocalAddr().(*net.UDPAddr))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(20 * time.Second))
		began := time.Now()
		c.Write([]byte(what))
		buf := make([]byte, 1500)
		n, err := c.Read(buf)
		if err != nil || string(buf[:n]) != what {
			t.Fatalf("%s: got %q, %v", what, buf[:n], err)
		}
		if took := time.Since(began); took < rtt {
			t.Errorf("there and back in %v, less than %v", took, rtt)
		}
	}
}
