package tls13

import (
	"context"
	"crypto"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// A Conn runs an Engine over a net.Conn. Like any net.Conn it may be used by
// several goroutines at once: one direction never waits for the other. It does
// its handshake on first use, or in Handshake.
type Conn struct {
	nc      net.Conn
	cfg     *Config
	client  bool
	onEvent func(Event)

	handshakeMu  sync.Mutex
	handshakeErr error // guarded by handshakeMu, for good
	done         atomic.Bool
	closed       atomic.Bool
	e            *Engine // set before done; its halves are guarded below

	inMu    sync.Mutex // guards the reading half of e, and:
	unread  []byte     // aliases e's buffer
	readErr error      // for good

	outMu    sync.Mutex // guards the writing half of e, and:
	writeErr error      // for good

	replyMu sync.Mutex // guards:
	reply   Reply      // waits for the writing half
}

var _ net.Conn = (*Conn)(nil)

const (
	defaultHandshakeTimeout = 30 * time.Second
	closeTimeout            = 5 * time.Second // for the last alert
)

// Client is the client's side of a connection.
func Client(nc net.Conn, cfg *Config) *Conn { return &Conn{nc: nc, cfg: cfg, client: true} }

// Server is the server's side of a connection.
func Server(nc net.Conn, cfg *Config) *Conn { return &Conn{nc: nc, cfg: cfg} }

// OnEvent has f called with every event but Connected, Data and Closed. It is
// called by whoever reads, so it must not read itself nor wait for a reader; it
// may write. Call OnEvent before the handshake.
func (c *Conn) OnEvent(f func(Event)) { c.onEvent = f }

// NetConn returns the connection below.
func (c *Conn) NetConn() net.Conn { return c.nc }

// Handshake runs the handshake, unless it has been already. A handshake that
// failed, be it by a deadline, fails for good. When ctx ends, so does the
// connection below.
func (c *Conn) Handshake(ctx context.Context) error {
	if c.done.Load() {
		return nil
	}
	c.handshakeMu.Lock()
	defer c.handshakeMu.Unlock()
	if c.handshakeErr != nil || c.done.Load() {
		return c.handshakeErr
	}
	timeout := c.cfg.HandshakeTimeout
	if timeout == 0 {
		timeout = defaultHandshakeTimeout
	}
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, timeout, errHandshakeTimeout)
		defer cancel()
	}
	stop := context.AfterFunc(ctx, func() { c.nc.Close() })
	err := c.handshake()
	if !stop() { // too late: the connection below is closed
		err = fmt.Errorf("tls13: handshake: %w", context.Cause(ctx))
	}
	if c.handshakeErr = err; err == nil {
		c.done.Store(true)
	}
	return err
}

var errHandshakeTimeout = fmt.Errorf("timeout: %w", context.DeadlineExceeded)

func (c *Conn) handshake() (err error) {
	start := NewServer
	if c.client {
		start = NewClient
	}
	if c.e, err = start(c.cfg); err != nil {
		return err
	}
	for {
		ev, err := c.e.Next()
		if err != nil {
			c.nc.SetWriteDeadline(time.Now().Add(closeTimeout))
		}
		if aerr := c.e.Answer(c.e.TakeReply()); aerr != nil && err == nil {
			err = aerr
		}
		if b := c.e.Output(); len(b) > 0 {
			if _, werr := c.nc.Write(b); werr != nil && err == nil {
				err = werr
			}
		}
		if err != nil {
			return err
		}
		if _, ok := ev.(*Connected); ok {
			return nil
		}
		n, err := c.nc.Read(c.e.Space())
		c.e.Advance(n)
		if n == 0 && err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
}

// ready runs the handshake on first use.
func (c *Conn) ready() error {
	if c.done.Load() {
		return nil
	}
	return c.Handshake(context.Background())
}

// Read reads application data. It returns io.EOF after the peer's
// close_notify, and io.ErrUnexpectedEOF if the connection ends without. After a
// timeout it can be called again.
func (c *Conn) Read(p []byte) (int, error) {
	if err := c.ready(); err != nil {
		return 0, err
	}
	if len(p) == 0 {
		return 0, nil
	}
	c.inMu.Lock()
	defer c.inMu.Unlock()
	for len(c.unread) == 0 {
		if c.readErr != nil {
			return 0, c.readErr
		}
		if err := c.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.unread)
	c.unread = c.unread[n:]
	return n, nil
}

// fill handles one event, or waits for input. The caller holds inMu.
func (c *Conn) fill() error {
	ev, err := c.e.Next()
	if r := c.e.TakeReply(); r != (Reply{}) {
		c.answer(r)
	}
	if err != nil {
		c.readErr = err
		return err
	}
	switch ev := ev.(type) {
	case nil:
		n, err := c.nc.Read(c.e.Space())
		c.e.Advance(n)
		if n > 0 || err == nil {
			return nil // an error will come again
		}
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if t, ok := errors.AsType[net.Error](err); !ok || !t.Timeout() {
			c.readErr = err
		}
		return err
	case *Data:
		c.unread = ev.Bytes
	case *Closed:
	default:
		if c.onEvent != nil {
			c.onEvent(ev)
		}
	}
	return nil
}

// answer has a reply sent: now, or by the writer that is at work.
func (c *Conn) answer(r Reply) {
	c.replyMu.Lock()
	c.reply.Merge(r)
	c.replyMu.Unlock()
	c.flushReplies()
}

// flushReplies sends what waits, unless a writer is at work: it will call
// flushReplies itself once it is done. So a reader never waits for a writer
// that waits for the peer to read.
func (c *Conn) flushReplies() {
	for c.outMu.TryLock() {
		c.replyMu.Lock()
		r := c.reply
		c.reply = Reply{}
		c.replyMu.Unlock()
		if r == (Reply{}) {
			c.outMu.Unlock()
			return
		}
		if r.fatal {
			c.nc.SetWriteDeadline(time.Now().Add(closeTimeout))
		}
		c.flush(c.e.Answer(r))
		c.outMu.Unlock()
	}
}

// unlockOut gives the writing half back.
func (c *Conn) unlockOut() {
	c.outMu.Unlock()
	c.flushReplies()
}

// flush sends Output, unless err is set. A failure is for good, as part of a
// record may have gone out. The caller holds outMu.
func (c *Conn) flush(err error) error {
	if err == nil {
		err = c.writeErr
	}
	if err != nil {
		return err
	}
	if b := c.e.Output(); len(b) > 0 {
		_, c.writeErr = c.nc.Write(b)
	}
	return c.writeErr
}

// Buffers for records on their way out. A large write goes out in pieces of
// four records, which saves calls and keeps buffers of one size.
var (
	smallBuffers = sync.Pool{New: func() any { b := make([]byte, 0, smallBuffer); return &b }}
	largeBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 4*maxRecord); return &b }}
)

// Write sends application data. After a failure, a timeout included, nothing
// more can be sent, as part of a record may have gone out.
func (c *Conn) Write(p []byte) (int, error) {
	if err := c.ready(); err != nil {
		return 0, err
	}
	c.outMu.Lock()
	defer c.unlockOut()
	if c.writeErr != nil {
		return 0, c.writeErr
	}
	pool := &largeBuffers
	if len(p) <= smallBuffer/2 {
		pool = &smallBuffers
	}
	buf := pool.Get().(*[]byte)
	defer pool.Put(buf)

	written := 0
	for written < len(p) {
		b, taken := (*buf)[:0], written
		for taken < len(p) && len(b) <= 3*maxRecord {
			var n int
			var err error
			if b, n, err = c.e.Write(b, p[taken:]); err != nil {
				c.writeErr = err
				return written, err
			}
			taken += n
		}
		*buf = b[:0]
		if _, err := c.nc.Write(b); err != nil {
			c.writeErr = err
			return written, err
		}
		written = taken
	}
	return written, nil
}

// writing calls f with the writing half, and sends what it queued.
func (c *Conn) writing(f func(*Engine) error) error {
	if err := c.ready(); err != nil {
		return err
	}
	c.outMu.Lock()
	defer c.unlockOut()
	if c.writeErr != nil {
		return c.writeErr
	}
	return c.flush(f(c.e))
}

// CloseWrite sends close_notify: the peer reads io.EOF, and may go on writing.
func (c *Conn) CloseWrite() error { return c.writing((*Engine).CloseNotify) }

// UpdateKeys is Engine.UpdateKeys.
func (c *Conn) UpdateKeys(request bool) error {
	return c.writing(func(e *Engine) error { return e.UpdateKeys(request) })
}

// SendTicket is Engine.SendTicket.
func (c *Conn) SendTicket(o TicketOptions) error {
	return c.writing(func(e *Engine) error { return e.SendTicket(o) })
}

// SendMessage is Engine.SendMessage.
func (c *Conn) SendMessage(typ uint8, body []byte) error {
	return c.writing(func(e *Engine) error { return e.SendMessage(typ, body) })
}

// SendAlert is Engine.Alert.
func (c *Conn) SendAlert(a Alert) error {
	return c.writing(func(e *Engine) error { return e.Alert(a) })
}

// Close sends close_notify, unless a writer is at work, and closes the
// connection below.
func (c *Conn) Close() error {
	if c.closed.Swap(true) {
		return net.ErrClosed
	}
	if c.done.Load() && c.outMu.TryLock() {
		c.nc.SetWriteDeadline(time.Now().Add(closeTimeout))
		if c.writeErr == nil {
			c.flush(c.e.CloseNotify())
		}
		c.outMu.Unlock()
	}
	return c.nc.Close()
}

// LocalAddr is that of the connection below.
func (c *Conn) LocalAddr() net.Addr { return c.nc.LocalAddr() }

// RemoteAddr is that of the connection below.
func (c *Conn) RemoteAddr() net.Addr { return c.nc.RemoteAddr() }

// SetDeadline sets that of the connection below. It also counts during the
// handshake.
func (c *Conn) SetDeadline(t time.Time) error { return c.nc.SetDeadline(t) }

// SetReadDeadline sets that of the connection below.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.nc.SetReadDeadline(t) }

// SetWriteDeadline sets that of the connection below. A Write that times out
// is the last.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.nc.SetWriteDeadline(t) }

// State returns nil until the handshake is over. It must not be changed.
func (c *Conn) State() *State {
	if !c.done.Load() {
		return nil
	}
	return c.e.State()
}

// Export is Engine.Export. Use it instead of ConnectionState's
// ExportKeyingMaterial, which only works on crypto/tls's own connections.
func (c *Conn) Export(label string, context []byte, length int) ([]byte, error) {
	if !c.done.Load() {
		return nil, ErrNotConnected
	}
	return c.e.Export(label, context, length)
}

// DeriveResumption is Engine.DeriveResumption.
func (c *Conn) DeriveResumption(label string, length int) ([]byte, error) {
	if !c.done.Load() {
		return nil, ErrNotConnected
	}
	return c.e.DeriveResumption(label, length)
}

// ConnectionState is State for those who know crypto/tls, net/http among them:
// it sets Request.TLS by it, before it reads, so this runs the handshake if it
// has not been run. After a handshake that failed it is the zero value.
func (c *Conn) ConnectionState() tls.ConnectionState {
	if c.ready() != nil {
		return tls.ConnectionState{}
	}
	s := c.e.State()
	return tls.ConnectionState{
		Version:            tls.VersionTLS13,
		HandshakeComplete:  true,
		DidResume:          s.Resumed,
		CipherSuite:        uint16(s.Suite),
		CurveID:            tls.CurveID(s.Group),
		NegotiatedProtocol: s.ALPN,
		//lint:ignore SA1019 golang.org/x/net/http2 looks at NegotiatedProtocolIsMutual
		NegotiatedProtocolIsMutual: true,
		ServerName:                 s.ServerName,
		PeerCertificates:           s.PeerCertificates,
		VerifiedChains:             s.VerifiedChains,
	}
}

// FromTLS is NewCertificate for what crypto/tls loads.
func FromTLS(c *tls.Certificate) (*Certificate, error) {
	key, ok := c.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, errors.New("tls13: the private key cannot sign")
	}
	return NewCertificate(c.Certificate, key)
}
