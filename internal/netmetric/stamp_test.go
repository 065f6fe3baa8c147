package netmetric

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A task runs until the test ends.
type task interface {
	Run(context.Context) error
	Ready() <-chan struct{}
	String() string
}

func startTask(t testing.TB, task task) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- task.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("%s: %v", task, err)
		}
	})
	select {
	case <-task.Ready():
	case err := <-done:
		done <- err
		t.Fatalf("%s: %v", task, err)
	}
}

func startReflector(t testing.TB, cfg Config) *Reflector {
	t.Helper()
	r, err := NewReflector(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	startTask(t, r)
	return r
}

// needIPv6 skips where the kernel has no IPv6.
func needIPv6(t testing.TB) {
	pc, err := net.ListenPacket("udp6", "[::1]:0")
	if err != nil {
		t.Skip("this kernel has no IPv6 loopback: ", err)
	}
	pc.Close()
}

// ask sends b from a new socket on local and returns the answer, or nil after
// a while.
func ask(t *testing.T, local string, to netip.AddrPort, b []byte, wait time.Duration) []byte {
	t.Helper()
	la, err := net.ResolveUDPAddr("udp", local)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.DialUDP("udp", la, net.UDPAddrFromAddrPort(to))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write(b); err != nil {
		t.Fatal(err)
	}
	conn.SetReadDeadline(time.Now().Add(wait))
	answer := make([]byte, 4096)
	n, err := conn.Read(answer)
	if err != nil {
		return nil
	}
	return answer[:n]
}

const (
	patience = 10 * time.Second      // for what must come
	moment   = 50 * time.Millisecond // for what must not
)

func TestReflector(t *testing.T) {
	for _, listen := range []string{"127.0.0.1:0", "[::1]:0", ":0"} {
		if strings.Contains(listen, "::1") {
			needIPv6(t)
		}
		for _, key := range [][]byte{nil, testKey} {
			r := startReflector(t, Config{Reflector: listen, Key: key})
			m := newMAC(key)
			to := r.Addr()
			local := netip.AddrPortFrom(to.Addr(), 0).String()
			if listen == ":0" {
				// An address that is not the kernel's choice of source: the answer must
				// come from it all the same, or the connected socket drops it.
				to, local = netip.AddrPortFrom(addr("127.0.1.7"), to.Port()), "127.0.0.1:0"
			}
			before := time.Now()
			q := question{Seq: 77, Timestamp: ntpTime(before), Error: localClock, SSID: 5}
			got, err := decodeAnswer(ask(t, local, to, appendQuestion(nil, &q, m), patience), m)
			if err != nil {
				t.Fatalf("%s: %v", listen, err)
			}
			if got.Seq != 77 || got.Question.Seq != 77 || got.Question.Timestamp != q.Timestamp ||
				got.Question.Error != q.Error || got.SSID != 5 || got.Error != localClock {
				t.Errorf("%s: %+v", listen, got)
			}
			if got.TTL != 64 { // the test's socket has the default, and nothing is between
				t.Errorf("%s: TTL %d", listen, got.TTL)
			}
			if d := got.Timestamp.since(got.Received, false); d < 0 || d > patience {
				t.Errorf("%s: processing took %v", listen, d)
			}
			if d := got.Received.since(q.Timestamp, false); d < 0 || d > patience {
				t.Errorf("%s: received %v after it was sent", listen, d)
			}

			t.Log("# padding comes back, and nothing more")
			padded := append(appendQuestion(nil, &q, m), "TLVs, perhaps"...)
			if b := ask(t, local, to, padded, patience); len(b) != len(padded) || !strings.HasSuffix(string(b), "TLVs, perhaps") {
				t.Errorf("%s: %d octets came back as %q", listen, len(padded), b)
			}
			if b := ask(t, local, to, padded[:baseLen(m)-1], moment); b != nil {
				t.Errorf("%s: a short packet was answered with %d octets", listen, len(b))
			}
			want := ReflectorStats{Reflected: 2, Short: 1}
			if key != nil {
				if b := ask(t, local, to, appendQuestion(nil, &q, newMAC([]byte("some other key, long"))), moment); b != nil {
					t.Errorf("%s: a wrong HMAC was answered", listen)
				}
				want.BadMAC = 1
			}
			if got := r.Stats(); got != want {
				t.Errorf("%s: %+v, want %+v", listen, got, want)
			}
		}
	}
}

// Two reflectors that are made to talk to one another do not.
func TestReflectorNoLoop(t *testing.T) {
	a := startReflector(t, Config{Reflector: "127.0.1.1:0"})
	q := question{Seq: 1}
	from := netip.AddrPortFrom(addr("127.0.1.2"), a.Addr().Port()).String()
	if b := ask(t, from, a.Addr(), appendQuestion(nil, &q, nil), moment); b != nil {
		t.Error("a question from a reflector's port was answered")
	}
	if got := a.Stats(); got.Refused != 1 {
		t.Errorf("%+v", got)
	}
}

func TestReflectorLimit(t *testing.T) {
	r, err := NewReflector(Config{Reflector: "127.0.0.1:0"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.rate = 1e-6 // the burst is twice that: nothing
	startTask(t, r)
	q := question{Seq: 1}
	if b := ask(t, "127.0.0.1:0", r.Addr(), appendQuestion(nil, &q, nil), moment); b != nil {
		t.Error("answered beyond the limit")
	}
	if got := r.Stats(); got.Limited != 1 {
		t.Errorf("%+v", got)
	}
}

func TestNewRefuses(t *testing.T) {
	for _, cfg := range []Config{
		{}, {Reflector: "862"}, {Reflector: "host.example:862"}, {Reflector: ":70000"}, {Reflector: ":862", Key: []byte("short")},
	} {
		if _, err := NewReflector(cfg, nil); err == nil || !strings.HasPrefix(err.Error(), "netmetric: ") {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
	if _, err := NewProber(Config{Key: []byte("short")}, nil, nil); err == nil {
		t.Error("a short key was accepted")
	}
	r, err := NewReflector(Config{Reflector: "203.0.113.1:0"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Run(t.Context()); err == nil {
		t.Error("listens on an address that is not ours")
	}
	p, err := NewProber(Config{Source: addr("203.0.113.1")}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Run(t.Context()); err == nil {
		t.Error("sends from an address that is not ours")
	}
}

// wait returns the first measurement that satisfies ok.
func wait(t *testing.T, ms <-chan Measurement, what string, ok func(Measurement) bool) Measurement {
	t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case m := <-ms:
			if ok(m) {
				return m
			}
		case <-timeout:
			t.Fatalf("%s: did not happen", what)
		}
	}
}

func startProber(t *testing.T, cfg Config) (*Prober, <-chan Measurement) {
	t.Helper()
	ms := make(chan Measurement, 10000)
	p, err := NewProber(cfg, slog.New(slog.DiscardHandler), func(m Measurement) { ms <- m })
	if err != nil {
		t.Fatal(err)
	}
	startTask(t, p)
	return p, ms
}

func TestProberAndReflector(t *testing.T) {
	needIPv6(t)
	for _, key := range [][]byte{nil, testKey} {
		one := startReflector(t, Config{Reflector: "127.0.1.1:0", Key: key})
		port := one.Addr().Port()
		ports := netip.AddrPortFrom(addr("127.0.1.2"), port).String()
		startReflector(t, Config{Reflector: ports, Key: key})
		startReflector(t, Config{Reflector: netip.AddrPortFrom(addr("::1"), port).String(), Key: key})
		p, ms := startProber(t, Config{Port: port, Key: key, Source: addr("127.0.1.9"), Interval: 20 * ms, Timeout: 2 * time.Second, MaxTargets: 3})
		p.SetTargets([]netip.Addr{addr("::1"), addr("127.0.1.1"), addr("127.0.1.2"), addr("2001:db8::1")})
		seen := map[netip.Addr]bool{}
		wait(t, ms, "all three reachable, ten answers each", func(m Measurement) bool {
			if !m.Reachable || !m.Known || m.RTT <= 0 || m.Min > m.RTT || m.RTT > m.Max {
				t.Fatalf("%+v", m)
			}
			if m.Received >= 10 {
				seen[m.Egress] = true
			}
			return len(seen) == 3
		})
		if s := p.Stats(); s.Targets != 3 || s.Excess != 1 || s.Malformed+s.Foreign+s.Answers.Unknown+s.Answers.Absurd+s.Unsent != 0 {
			t.Errorf("%+v", s)
		}
	}
}

func TestProberReflectorGoesAndReturns(t *testing.T) {
	r, err := NewReflector(Config{Reflector: "127.0.1.1:0"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	<-r.Ready()
	p, ms := startProber(t, Config{Port: r.Addr().Port(), Interval: 20 * ms, Timeout: 500 * ms, UnreachableAfter: 3})
	p.SetTargets([]netip.Addr{addr("127.0.1.1")})
	wait(t, ms, "reachable", func(m Measurement) bool { return m.Reachable })
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if m := wait(t, ms, "unreachable", func(m Measurement) bool { return !m.Reachable }); !m.Decided || m.LostInRow < 3 {
		t.Errorf("%+v", m)
	}
	startReflector(t, Config{Reflector: r.Addr().String()})
	wait(t, ms, "reachable again", func(m Measurement) bool { return m.Reachable })
	p.SetTargets(nil)
}

func TestProberWrongKey(t *testing.T) {
	r := startReflector(t, Config{Reflector: "127.0.1.1:0", Key: testKey})
	p, ms := startProber(t, Config{Port: r.Addr().Port(), Key: []byte("not the same key at all"), Interval: 10 * ms, Timeout: 50 * ms, UnreachableAfter: 3})
	p.SetTargets([]netip.Addr{addr("127.0.1.1")})
	if m := wait(t, ms, "decided", func(m Measurement) bool { return m.Decided }); m.Reachable || m.Known {
		t.Errorf("%+v", m)
	}
	if s := r.Stats(); s.BadMAC < 3 || s.Reflected != 0 {
		t.Errorf("%+v", s)
	}
}

// A hostile reflector answers with everything but the truth.
func TestProberHostileReflector(t *testing.T) {
	pc, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 1, 1)})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		stranger, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 1, 1)})
		if err != nil {
			return
		}
		defer stranger.Close()
		b := make([]byte, 2048)
		for {
			n, from, err := pc.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			q, err := decodeQuestion(b[:n], nil)
			if err != nil {
				continue
			}
			say := func(pc *net.UDPConn, change func(*answer)) {
				a := answer{Seq: q.Seq, Question: q, Received: q.Timestamp, Timestamp: q.Timestamp}
				change(&a)
				pc.WriteToUDPAddrPort(appendAnswer(nil, &a, nil), from)
			}
			pc.WriteToUDPAddrPort([]byte("not STAMP"), from)
			say(stranger, func(*answer) {})                                    // from another port
			say(pc, func(a *answer) { a.Question.Timestamp++ })                // a guess
			say(pc, func(a *answer) { a.Question.Seq += 5 })                   // a guess ahead
			say(pc, func(a *answer) { a.Timestamp += 1 << 40 })                // 256 s of processing
			say(pc, func(a *answer) { a.Error = 1 << 14; a.Timestamp -= 999 }) // the same again, in PTP
		}
	})
	t.Cleanup(func() { pc.Close(); wg.Wait() })
	p, ms := startProber(t, Config{Port: uint16(pc.LocalAddr().(*net.UDPAddr).Port), Interval: 20 * ms, Timeout: 2 * time.Second})
	p.SetTargets([]netip.Addr{addr("127.0.1.1")})
	m := wait(t, ms, "20 answers", func(m Measurement) bool { return m.Received >= 20 })
	if m.Received > m.Sent || m.Min <= 0 || m.Max > 2*time.Second {
		t.Errorf("%+v", m)
	}
	s := p.Stats()
	if s.Malformed == 0 || s.Foreign == 0 || s.Answers.Unknown == 0 || s.Answers.Implausible == 0 || s.Answers.Duplicates == 0 {
		t.Errorf("%+v", s)
	}
}

// A kernel timestamp of a clock that was set in between is not used.
func TestArrival(t *testing.T) {
	now := time.Now()
	for _, tt := range []struct {
		why   string
		stamp time.Time
		want  time.Duration // before now
	}{
		{"none", time.Time{}, 0},
		{"as it should be", now.Round(0).Add(-ms), ms},
		{"waited long in the socket", now.Round(0).Add(-3 * time.Second), 3 * time.Second},
		{"the clock was set back", now.Round(0).Add(time.Hour), 0},
		{"the clock was set forward", now.Round(0).Add(-time.Hour), 0},
	} {
		if got := now.Sub(arrival(now, tt.stamp)); got != tt.want {
			t.Errorf("%s: %v before reading, want %v", tt.why, got, tt.want)
		}
	}
}
