package collect

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/catsbgp/catsbgp/advert"
)

// What a Check means where it says nothing.
const (
	defaultCheckInterval = 2 * time.Second
	defaultFastInterval  = 500 * time.Millisecond
	defaultCheckTimeout  = time.Second
	defaultRise          = 3
	defaultFall          = 3
	defaultStatusFrom    = 200
	defaultStatusTo      = 399
)

// A steady check reports itself every so many intervals, so that whoever
// listens can tell a quiet check from a dead one.
const repeatIntervals = 10

// A checker runs one health check of one instance.
//
// Every probe uses a connection of its own and closes it: what is to be known
// is whether the next client gets in, not whether an old connection lives. A
// probe ends at the check's timeout, whatever the server does meanwhile.
type checker struct {
	key     Key
	check   Check // with defaults filled in
	network network
	probe   func(ctx context.Context) (detail string, err error)
}

// newChecker prepares a check of the instance key of the service cs. It fails
// when the check cannot work as configured: the target is not host:port, the
// type is unknown, the CA file is unusable, or the check goes via a CS-ID that
// is not there.
func newChecker(key Key, c Check, cs advert.CSID) (*checker, error) {
	fail := func(format string, args ...any) (*checker, error) {
		return nil, fmt.Errorf("collect: check %q of %s: %w", c.Name, key, fmt.Errorf(format, args...))
	}
	c = withCheckDefaults(c)
	if c.StatusFrom > c.StatusTo {
		return fail("status range %d-%d is empty", c.StatusFrom, c.StatusTo)
	}
	nw, err := newNetwork(c, cs)
	if err != nil {
		return fail("%w", err)
	}
	ck := &checker{key: key, check: c, network: nw}
	switch c.Type {
	case CheckTCP:
		ck.probe = ck.probeTCP
	case CheckTLS:
		ck.probe, err = ck.tlsProbe()
	case CheckHTTP, CheckHTTPS:
		ck.probe, err = ck.httpProbe()
	case CheckGRPC:
		ck.probe, err = ck.grpcProbe()
	default:
		err = fmt.Errorf("unknown type %q", c.Type)
	}
	if err != nil {
		return fail("%w", err)
	}
	return ck, nil
}

func withCheckDefaults(c Check) Check {
	orElse := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	orElse(&c.Interval, defaultCheckInterval)
	orElse(&c.FastInterval, defaultFastInterval)
	orElse(&c.Timeout, defaultCheckTimeout)
	c.FastInterval = min(c.FastInterval, c.Interval)
	if c.Rise <= 0 {
		c.Rise = defaultRise
	}
	if c.Fall <= 0 {
		c.Fall = defaultFall
	}
	if c.StatusFrom == 0 && c.StatusTo == 0 {
		c.StatusFrom, c.StatusTo = defaultStatusFrom, defaultStatusTo
	}
	if c.Path == "" {
		c.Path = "/"
	}
	return c
}

// run probes until ctx ends. It emits the first result at once, then every
// change of state, and the present state at least every ten intervals or so.
// Up in these events is the state after rise and fall, Detail the latest
// probe's reason.
func (c *checker) run(ctx context.Context, emit func(Event)) {
	state := checkState{
		rise: c.check.Rise, fall: c.check.Fall,
		interval: c.check.Interval, fast: c.check.FastInterval,
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C // the first probe starts now
	var emitted time.Time
	for {
		started := time.Now()
		ev := c.once(ctx)
		if ctx.Err() != nil {
			return // the probe was cut off; its result says nothing about the server
		}
		changed, next := state.step(started, ev.Up)
		if changed || started.Sub(emitted) >= (repeatIntervals-1)*c.check.Interval {
			if ev.Up != state.up {
				ev.Detail += fmt.Sprintf(" (%d of %d before a change)", state.against, state.needed())
			}
			ev.Up, ev.Changed = state.up, changed
			emitted = started
			emit(ev)
		}
		timer.Reset(spread(time.Until(next)))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
	}
}

// spread shortens a wait by up to a tenth. Checks that were started together
// thereby drift apart, and none comes later than its interval.
func spread(d time.Duration) time.Duration {
	if d < 10 {
		return max(d, 0)
	}
	return d - rand.N(d/10)
}

// once runs a single probe. Up is that probe's own result; Changed is false.
func (c *checker) once(ctx context.Context) CheckEvent {
	probing, cancel := context.WithTimeout(ctx, c.check.Timeout)
	defer cancel()
	started := time.Now()
	detail, err := c.probe(probing)
	ended := time.Now()
	if err != nil {
		detail = c.reason(probing, err)
	}
	return CheckEvent{
		Key:     c.key,
		Check:   c.check.Name,
		At:      ended,
		Up:      err == nil,
		Detail:  detail,
		Latency: ended.Sub(started),
	}
}

// A network is how a check reaches its server.
//
// Via the CS-ID means: connect to the service's anycast address (the address
// of the CS-ID's prefix; of a prefix that is larger than one host, its first),
// as a client's packet does after decapsulation. That tests the service as
// clients meet it: the listener on the service address, the address itself,
// the local firewall. It is meaningful only where the address is bound on this
// host, e.g. on the loopback interface. Anywhere else anycast would lead the
// probe to some other site and report that one's health as ours; therefore the
// connection's source is the service address too, which the kernel refuses
// unless the address is local.
type network struct {
	address string // host:port to connect to
	host    string // the target's host, for TLS and Host unless configured
	service netip.Addr
	dialer  net.Dialer
}

func newNetwork(c Check, cs advert.CSID) (network, error) {
	host, port, err := net.SplitHostPort(c.Target)
	if err != nil {
		return network{}, fmt.Errorf("target %q is not host:port", c.Target)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return network{}, fmt.Errorf("target %q: port must be 1..65535", c.Target)
	}
	if host == "" && !c.ViaCSID {
		return network{}, fmt.Errorf("target %q has no host", c.Target)
	}
	nw := network{
		address: c.Target,
		host:    host,
		dialer: net.Dialer{
			KeepAlive: -1,
			// The C resolver cannot be interrupted and would outlive the timeout.
			Resolver: &net.Resolver{PreferGo: true},
		},
	}
	if c.ViaCSID {
		if !cs.IsValid() {
			return network{}, fmt.Errorf("goes via the CS-ID, but there is none")
		}
		nw.service = cs.Prefix().Addr()
		nw.address = net.JoinHostPort(nw.service.String(), port)
		nw.dialer.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(nw.service, 0))
		if host == "" {
			nw.host = nw.service.String()
		}
	}
	if c.Host != "" {
		nw.host = c.Host
	}
	return nw, nil
}

// serverName is the name for TLS: the host without a port.
func (n *network) serverName() string {
	if h, _, err := net.SplitHostPort(n.host); err == nil {
		return h
	}
	return strings.Trim(n.host, "[]")
}

func (n *network) dial(ctx context.Context) (net.Conn, error) {
	return n.dialer.DialContext(ctx, "tcp", n.address)
}
