package netmetric

import (
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// On Linux, all that is said about a datagram is really there.
func TestSocketControls(t *testing.T) {
	for _, local := range []string{"127.0.1.1:0", "[::1]:0"} {
		ap := netip.MustParseAddrPort(local)
		if ap.Addr().Is6() {
			needIPv6(t)
		}
		s, err := openSocket(t.Context(), network(ap.Addr()), ap)
		if err != nil {
			t.Fatal(err)
		}
		defer s.conn.Close()
		self := netip.AddrPortFrom(ap.Addr(), s.localPort())
		if err := s.write([]byte("hello"), self, ap.Addr()); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 100)
		n, oobn, _, _, err := s.conn.ReadMsgUDPAddrPort(b, s.oob)
		if err != nil {
			t.Fatal(err)
		}
		c := parseControls(s.oob[:oobn])
		if n != 5 || c.ttl != 255 || c.to != ap.Addr() || time.Since(c.stamp).Abs() > time.Minute {
			t.Errorf("%s: %+v", local, c)
		}
	}
}

func FuzzParseControls(f *testing.F) {
	f.Add(appendSource(nil, netip.MustParseAddr("192.0.2.1")))
	f.Add(appendSource(nil, netip.MustParseAddr("2001:db8::1")))
	f.Fuzz(func(t *testing.T, oob []byte) { parseControls(oob) })
}

// One op is a second of probing 1,000 targets once a second, both ends in this
// process; cpu-% is of one CPU.
func BenchmarkProber1000(b *testing.B) {
	r, err := NewReflector(Config{Reflector: ":0"}, nil)
	if err != nil {
		b.Fatal(err)
	}
	r.rate = 1e6 // all come from one source here
	startTask(b, r)
	var targets []netip.Addr
	for i := range 1000 {
		targets = append(targets, netip.AddrFrom4([4]byte{127, 1, byte(i / 250), byte(1 + i%250)}))
	}
	p, err := NewProber(Config{Port: r.Addr().Port(), MaxTargets: 1000}, nil, func(Measurement) {})
	if err != nil {
		b.Fatal(err)
	}
	startTask(b, p)
	p.SetTargets(targets)
	time.Sleep(2 * time.Second)
	used := func() time.Duration {
		var u unix.Rusage
		unix.Getrusage(unix.RUSAGE_SELF, &u)
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before, reflected := used(), r.Stats().Reflected
	var mem0, mem1 runtime.MemStats
	runtime.ReadMemStats(&mem0)
	n := 0
	for b.Loop() {
		time.Sleep(time.Second)
		n++
	}
	runtime.ReadMemStats(&mem1)
	b.ReportMetric(float64(used()-before)/float64(time.Duration(n)*time.Second)*100, "cpu-%")
	b.ReportMetric(float64(r.Stats().Reflected-reflected)/float64(n), "answers/op")
	b.ReportMetric(float64(mem1.Mallocs-mem0.Mallocs)/float64(r.Stats().Reflected-reflected), "mallocs/answer")
}

func BenchmarkReflector(b *testing.B) {
	for _, key := range [][]byte{nil, testKey} {
		b.Run(fmt.Sprint("auth=", key != nil), func(b *testing.B) {
			r, err := NewReflector(Config{Reflector: "127.0.0.1:0", Key: key}, nil)
			if err != nil {
				b.Fatal(err)
			}
			r.rate = 1e9
			startTask(b, r)
			conn, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(r.Addr()))
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			q := appendQuestion(nil, &question{Seq: 1}, newMAC(key))
			in := make([]byte, 200)
			for b.Loop() {
				conn.Write(q)
				if _, err := conn.Read(in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
