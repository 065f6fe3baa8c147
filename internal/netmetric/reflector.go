package netmetric

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// What a reflector grants one source (IPv4 address, IPv6 /64): far more than a
// prober asks for, far less than would be worth having it sent to a victim.
const (
	reflectRate  = 200 // per second
	reflectBurst = 400
)

// A Reflector answers STAMP probes (Session-Reflector, RFC 8762 section 4.3),
// stateless: it copies the sender's sequence number.
//
// Answers are exactly as long as the question, whose octets beyond the base
// packet come back as they were: RFC 8762 senders get their padding, RFC 8972
// senders see that their TLVs were not recognised. They leave from the address
// that was asked. A question from the reflector's own port, or from port 862,
// is refused: it is another reflector's answer, and two that answer one
// another never end. With a key, questions whose HMAC is wrong are dropped.
type Reflector struct {
	config Config
	listen []netip.AddrPort
	log    *slog.Logger
	rate   float64 // per source

	ready chan struct{}
	addr  netip.AddrPort // written before ready is closed
	stats reflectorCounters
}

// ReflectorStats are counts since the start.
type ReflectorStats struct {
	Reflected uint64
	Short     uint64 // dropped: no STAMP packet (of this mode)
	BadMAC    uint64 // dropped: wrong or no HMAC
	Limited   uint64 // dropped: too many from one source
	Refused   uint64 // dropped: from a reflector's port
	Unsent    uint64 // the answer could not be sent
}

type reflectorCounters struct {
	reflected, short, badMAC, limited, refused, unsent atomic.Uint64
}

// NewReflector returns a reflector on cfg.Reflector ("address:port"; no
// address: all addresses of both families) that is not listening yet. A nil log
// is silent.
func NewReflector(cfg Config, log *slog.Logger) (*Reflector, error) {
	fail := func(err error) (*Reflector, error) {
		return nil, fmt.Errorf("netmetric: reflector %q: %w", cfg.Reflector, err)
	}
	if err := cfg.validKey(); err != nil {
		return fail(err)
	}
	host, portText, err := net.SplitHostPort(cfg.Reflector)
	if err != nil {
		return fail(err)
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return fail(fmt.Errorf("port %q: must be 0..65535", portText))
	}
	addrs := []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
	if host != "" {
		a, err := netip.ParseAddr(host)
		if err != nil {
			return fail(err)
		}
		addrs = []netip.Addr{a.Unmap()}
	}
	r := &Reflector{config: cfg, log: orSilent(log), rate: reflectRate, ready: make(chan struct{})}
	for _, a := range addrs {
		r.listen = append(r.listen, netip.AddrPortFrom(a, uint16(port)))
	}
	return r, nil
}

func orSilent(log *slog.Logger) *slog.Logger {
	if log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return log
}

// String names the task.
func (r *Reflector) String() string { return "stamp reflector " + r.config.Reflector }

// Ready is closed when the reflector listens.
func (r *Reflector) Ready() <-chan struct{} { return r.ready }

// Addr is the address it listens on (of both families, the IPv4 one), valid
// once Ready is closed.
func (r *Reflector) Addr() netip.AddrPort {
	select {
	case <-r.ready:
		return r.addr
	default:
		return netip.AddrPort{}
	}
}

// Stats returns the counts. It may be called at any time.
func (r *Reflector) Stats() ReflectorStats {
	return ReflectorStats{
		Reflected: r.stats.reflected.Load(),
		Short:     r.stats.short.Load(),
		BadMAC:    r.stats.badMAC.Load(),
		Limited:   r.stats.limited.Load(),
		Refused:   r.stats.refused.Load(),
		Unsent:    r.stats.unsent.Load(),
	}
}

// Run listens and answers until ctx ends. It may be called once.
func (r *Reflector) Run(ctx context.Context) error {
	sockets, err := r.open(ctx)
	if err != nil {
		return fmt.Errorf("netmetric: reflector: %w", err)
	}
	close(r.ready)
	r.log.Info("stamp reflector is listening", "address", r.addr, "authenticated", len(r.config.Key) > 0)
	group, ctx := errgroup.WithContext(ctx)
	for _, s := range sockets {
		group.Go(func() error { r.serve(s); return nil })
		group.Go(func() error { <-ctx.Done(); return s.conn.Close() })
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("netmetric: reflector: %w", err)
	}
	return nil
}

// open binds all sockets, to one port. A host without IPv6 reflects IPv4.
func (r *Reflector) open(ctx context.Context) ([]*socket, error) {
	var sockets []*socket
	for _, local := range r.listen {
		if len(sockets) > 0 {
			local = netip.AddrPortFrom(local.Addr(), r.addr.Port())
		}
		s, err := openSocket(ctx, network(local.Addr()), local)
		if len(sockets) > 0 && (errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EADDRNOTAVAIL)) {
			r.log.Warn("stamp reflector without IPv6", "error", err)
			continue
		}
		if err != nil {
			for _, s := range sockets {
				s.conn.Close()
			}
			return nil, err
		}
		if len(sockets) == 0 {
			r.addr = netip.AddrPortFrom(local.Addr(), s.localPort())
		}
		sockets = append(sockets, s)
	}
	return sockets, nil
}

func (r *Reflector) serve(s *socket) {
	var (
		in, out = make([]byte, maxDatagram), make([]byte, 0, maxDatagram)
		mac     = newMAC(r.config.Key)
		limit   = newLimiter(time.Now(), r.rate, 2*r.rate)
		own     = s.localPort()
	)
	for {
		d, err := s.read(in)
		if closed(err) {
			return
		}
		if err != nil {
			r.log.Warn("stamp reflector cannot read", "error", err)
			time.Sleep(readPause)
			continue
		}
		if p := d.from.Port(); p == own || p == defaultPort || p == 0 {
			r.stats.refused.Add(1)
			continue
		}
		q, err := decodeQuestion(d.data, mac)
		if err != nil {
			if errors.Is(err, errMAC) {
				r.stats.badMAC.Add(1)
			} else {
				r.stats.short.Add(1)
			}
			continue
		}
		// After the HMAC, so that nobody can use up another's share.
		if !limit.allow(d.at, d.from.Addr()) {
			r.stats.limited.Add(1)
			continue
		}
		out = appendReflection(out[:0], &d, &q, mac, time.Now)
		if err := s.write(out, d.from, d.to); err != nil {
			r.stats.unsent.Add(1)
			r.log.Debug("stamp answer not sent", "to", d.from, "error", err)
			continue
		}
		r.stats.reflected.Add(1)
	}
}

// appendReflection appends the answer to q. The clock is read last.
func appendReflection(dst []byte, d *datagram, q *question, m *mac, clock func() time.Time) []byte {
	dst = appendAnswer(dst, &answer{
		Seq:       q.Seq,
		Error:     localClock,
		SSID:      q.SSID,
		Received:  ntpTime(d.at),
		Question:  *q,
		TTL:       d.ttl,
		Timestamp: ntpTime(clock()),
	}, m)
	return append(dst, d.data[baseLen(m):]...)
}
