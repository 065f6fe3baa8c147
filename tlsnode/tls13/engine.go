package tls13

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// Errors of calls at the wrong time.
var (
	// ErrClosed: this direction was closed, by CloseNotify or by a failure.
	ErrClosed = errors.New("tls13: the sending direction is closed")
	// ErrNotConnected: the handshake is not over.
	ErrNotConnected = errors.New("tls13: the handshake is not over")
)

// An Engine is one end of one connection: octets go in, events and octets come
// out. It has no goroutine, clock or socket of its own.
//
//	for {
//		switch ev, err := e.Next(); {
//		case err != nil: // io.EOF: the peer has closed. Send Output, which holds the alert.
//		case ev != nil:  // see Event
//		default:         // send Output, read into Space, call Advance
//		}
//	}
//
// During the handshake an Engine is for one goroutine at a time. After it
// (Connected), it falls into two halves that may run at the same time, each in
// one goroutine at a time: Space, Advance, Receive, Next and TakeReply are the
// reading half; Answer, Write, Output, SendTicket, UpdateKeys, CloseNotify and
// Alert the writing half. The reading half never touches the writing half: what
// it has to say is a Reply, which the owner takes over. All else only reads
// what no longer changes.
type Engine struct {
	cfg    *Config
	client bool
	in     readHalf
	out    writeHalf

	// Owned by the reading half.
	state  state
	events []Event
	data   Data
	err    error // of Next, for good
	reply  Reply
	asked  bool // the peer was asked to renew its key
	quiet  int  // handshake messages and alerts in a row without data
	cancel int  // user_canceled in a row

	// Owned by the writing half.
	tickets uint32 // sent

	// Of the handshake, dropped at its end.
	sch    *schedule
	script transcript
	random [32]byte // the client's, for the key log

	// Fixed when the handshake is over.
	done       bool
	st         State
	suite      *suiteParams
	exporter   secret
	resumption secret
	pskModes   bool      // the client can resume by psk_dhe_ke
	notAfter   time.Time // of the server's certificate
}

// A state is what is expected of the peer: a type for each expected message,
// whose handle takes it and returns what is expected next.
//
//	client                        server
//	expectServerHello      <-+    expectClientHello     -+ HelloRetryRequest
//	  | HelloRetryRequest ---+    expectSecondClientHello
//	expectEncryptedExtensions     expectClientCertificate        if asked for
//	expectCertificateOrRequest    expectClientCertificateVerify  if one came
//	expectCertificate             expectClientFinished
//	expectCertificateVerify       expectPostHandshake
//	expectServerFinished
//	expectPostHandshake
//
// A resumed client goes from expectEncryptedExtensions to expectServerFinished.
type state interface {
	// handle takes a handshake message: its type, its body, and all of it.
	// They are valid during the call only.
	handle(e *Engine, typ uint8, body, raw []byte) (state, error)
}

func unexpected(typ uint8, want string) (state, error) {
	return nil, fail(AlertUnexpectedMessage, "handshake message of type %d, where %s was expected", typ, want)
}

// An Event is what Next tells the owner.
type Event interface{ isEvent() }

// Connected ends the handshake: both directions are open. The peer has
// authenticated as far as the Config asks for.
type Connected struct{}

// Data is application data. It aliases the engine's buffer, and is valid until
// the next call of Next or Space.
type Data struct{ Bytes []byte }

// NewSession is a ticket that a client received.
type NewSession struct{ Session *Session }

// Message is a handshake message of one of Config.MessageTypes.
type Message struct {
	Type uint8
	Body []byte
}

// Warning is an alert of one of Config.WarningAlerts.
type Warning struct{ Alert Alert }

// KeysUpdated says that the peer renewed its key.
type KeysUpdated struct{}

// Closed is the peer's close_notify: it sends nothing more, but may still
// receive. Next returns io.EOF from here on.
type Closed struct{}

func (*Connected) isEvent()   {}
func (*Data) isEvent()        {}
func (*NewSession) isEvent()  {}
func (*Message) isEvent()     {}
func (*Warning) isEvent()     {}
func (*KeysUpdated) isEvent() {}
func (*Closed) isEvent()      {}

// A Reply is what the reading half has to say to the peer. The zero value is
// nothing. Replies can wait and be merged: only the last state matters.
type Reply struct {
	keyUpdate bool // the peer asked for it
	request   bool // and we ask the peer
	fatal     bool
	alert     Alert
}

// Merge adds a later reply to r.
func (r *Reply) Merge(later Reply) {
	r.keyUpdate = r.keyUpdate || later.keyUpdate
	r.request = r.request || later.request
	if later.fatal && !r.fatal {
		r.fatal, r.alert = true, later.alert
	}
}

func newEngine(cfg *Config, client bool) *Engine {
	e := &Engine{cfg: cfg, client: client}
	e.in.limit = maxInner
	e.out.content = maxPlaintext
	e.out.padTo = cfg.PadTo
	return e
}

// Space returns a buffer to read from the network into; it is never empty.
// Call Advance with the number of octets put there.
func (e *Engine) Space() []byte { return e.in.space() }

// Advance says that the first n octets of Space have been filled.
func (e *Engine) Advance(n int) { e.in.advance(n) }

// Receive is Space and Advance for octets that are somewhere else. It takes
// as many as fit, and returns how many; call Next until it has no more events,
// and Receive again with the rest.
func (e *Engine) Receive(b []byte) int {
	n := copy(e.Space(), b)
	e.Advance(n)
	return n
}

// Next returns the next event; nil, nil means that it needs more input. An
// error is for good: io.EOF after the peer's close_notify, *RemoteError for
// its fatal alert, *Error for a failure found here, whose alert waits in
// TakeReply.
func (e *Engine) Next() (Event, error) {
	for {
		if len(e.events) > 0 {
			ev := e.events[0]
			e.events = e.events[1:]
			return ev, nil
		}
		if e.err != nil {
			return nil, e.err
		}
		ev, err := e.step()
		if err == errNeedMore {
			return nil, nil
		}
		if err != nil {
			e.abort(err)
		}
		if ev != nil {
			return ev, nil
		}
	}
}

// abort makes err final. The secrets are not needed any more.
func (e *Engine) abort(err error) {
	e.err = err
	if f, ok := errors.AsType[*Error](err); ok {
		e.reply.Merge(Reply{fatal: true, alert: f.Alert})
	}
	e.state = nil
	e.in.aead = nil
}

// step handles one handshake message, or one record.
func (e *Engine) step() (Event, error) {
	if len(e.in.record) > 0 || e.in.whole {
		msg, err := e.in.message(e.limit)
		if err != nil {
			return nil, err
		}
		if msg != nil {
			return nil, e.handshake(msg)
		}
	}
	typ, content, err := e.in.next()
	if err != nil {
		return nil, err
	}
	switch typ {
	case recordHandshake:
		e.in.record = content
		return nil, nil
	case recordAlert:
		return e.alerted(content)
	}
	switch {
	case !e.done:
		return nil, fail(AlertUnexpectedMessage, "application data during the handshake")
	case e.in.between():
		return nil, fail(AlertUnexpectedMessage, "application data in the middle of a handshake message")
	}
	if e.in.seq >= e.cfg.recordsPerKey() && !e.asked {
		e.asked = true
		e.reply.Merge(Reply{keyUpdate: true, request: true})
	}
	e.quiet, e.cancel, e.in.idle = 0, 0, 0
	e.data.Bytes = content
	return &e.data, nil
}

// limit is how long the body of a handshake message may be.
func (e *Engine) limit(typ uint8) int {
	if typ != typeCertificate {
		return 64 << 10
	}
	if e.cfg.MaxCertificateMessage != 0 {
		return e.cfg.MaxCertificateMessage
	}
	return maxCertificateMessage
}

func (e *Engine) handshake(msg []byte) error {
	if e.done {
		if e.quiet++; e.quiet > maxPostHandshake {
			return fail(AlertUnexpectedMessage, "%d handshake messages in a row without data", e.quiet)
		}
	}
	next, err := e.state.handle(e, msg[0], msg[4:], msg)
	if err != nil {
		return err
	}
	e.state = next
	return nil
}

// alerted handles an alert record (section 6). In TLS 1.3 the level says
// nothing: it follows from the description.
func (e *Engine) alerted(content []byte) (Event, error) {
	if len(content) != 2 {
		return nil, fail(AlertDecodeError, "alert of %d octets", len(content))
	}
	if e.in.between() {
		return nil, fail(AlertUnexpectedMessage, "alert in the middle of a handshake message")
	}
	a := Alert(content[1])
	switch {
	case a == AlertUserCanceled:
		// It announces a close_notify, which is what counts.
		if e.cancel++; e.cancel > maxWarnings {
			return nil, fail(AlertUnexpectedMessage, "%d user_canceled alerts in a row", e.cancel)
		}
		return nil, nil
	case a == AlertCloseNotify && e.done:
		e.err = io.EOF
		return &Closed{}, nil
	case e.done && slices.Contains(e.cfg.WarningAlerts, a):
		if e.quiet++; e.quiet > maxPostHandshake {
			return nil, fail(AlertUnexpectedMessage, "%d alerts in a row without data", e.quiet)
		}
		return &Warning{a}, nil
	}
	return nil, &RemoteError{a}
}

// TakeReply returns what is to be said to the peer, once.
func (e *Engine) TakeReply() Reply {
	r := e.reply
	e.reply = Reply{}
	return r
}

// Answer queues a reply.
func (e *Engine) Answer(r Reply) error {
	if e.out.closed {
		return nil // RFC 8446, section 6.1: nothing follows a closing alert
	}
	if r.fatal {
		err := e.out.alert(2, r.alert)
		e.out.closed = true
		return err
	}
	if r.keyUpdate {
		return e.updateKeys(r.request)
	}
	return nil
}

// Output returns the records that wait to be sent. They are the caller's.
func (e *Engine) Output() []byte {
	b := e.out.out
	e.out.out = nil
	return b
}

// Write protects as much of p as one record takes, and appends the record to
// dst, behind whatever waits in Output. It returns how much of p it took.
func (e *Engine) Write(dst, p []byte) ([]byte, int, error) {
	if !e.done {
		return dst, 0, ErrNotConnected
	}
	if e.out.closed {
		return dst, 0, ErrClosed
	}
	if e.out.seq >= e.cfg.recordsPerKey() {
		if err := e.updateKeys(false); err != nil {
			return dst, 0, err
		}
	}
	if len(e.out.out) > 0 {
		dst = append(dst, e.Output()...)
	}
	n := min(len(p), e.out.content)
	dst, err := e.out.seal(dst, recordData, p[:n])
	if err != nil {
		return dst, 0, fmt.Errorf("tls13: write: %w", err)
	}
	return dst, n, nil
}

// UpdateKeys renews the key of the sending direction (section 4.6.3), and asks
// the peer to renew its own, if request is set.
func (e *Engine) UpdateKeys(request bool) error {
	if !e.done {
		return ErrNotConnected
	}
	if e.out.closed {
		return ErrClosed
	}
	return e.updateKeys(request)
}

func (e *Engine) updateKeys(request bool) error {
	var scratch [8]byte
	if err := e.out.send(recordHandshake, (&keyUpdate{request}).append(scratch[:0])); err != nil {
		return err
	}
	s := e.newSchedule()
	next := s.update(&e.out.secret)
	return e.out.install(s, &next, e.cfg.ChaCha20Poly1305)
}

// CloseNotify queues a close_notify: this side sends nothing more. Before the
// handshake is over, it says user_canceled first.
func (e *Engine) CloseNotify() error {
	if e.out.closed {
		return nil
	}
	if !e.done {
		if err := e.out.alert(1, AlertUserCanceled); err != nil {
			return err
		}
	}
	err := e.out.alert(1, AlertCloseNotify)
	e.out.closed = true
	return err
}

// Alert queues an alert of level warning, which must be one that RFC 8446 does
// not know: the peer has to have agreed to it, or it will take it as fatal.
func (e *Engine) Alert(a Alert) error {
	if _, known := alertNames[a]; known {
		return fmt.Errorf("tls13: alert %v is not for the caller to send", a)
	}
	if !e.done {
		return ErrNotConnected
	}
	if e.out.closed {
		return ErrClosed
	}
	return e.out.alert(1, a)
}

// SendMessage queues a handshake message of a type that RFC 8446 does not know;
// the peer has to have agreed to it. It belongs to the writing half.
func (e *Engine) SendMessage(typ uint8, body []byte) error {
	switch {
	case typ <= typeKeyUpdate || typ == typeMessageHash:
		return fmt.Errorf("tls13: handshake type %d is not for the caller to send", typ)
	case len(body) > 64<<10:
		return fmt.Errorf("tls13: handshake message of %d octets", len(body))
	case !e.done:
		return ErrNotConnected
	case e.out.closed:
		return ErrClosed
	}
	return e.out.send(recordHandshake, putVec24([]byte{typ}, body))
}

// State returns nil until the handshake is over. It must not be changed.
func (e *Engine) State() *State {
	if !e.done {
		return nil
	}
	return &e.st
}

// Export is the exporter of RFC 8446, section 7.5, and RFC 5705. A nil context
// and an empty one are the same.
func (e *Engine) Export(label string, context []byte, length int) ([]byte, error) {
	if !e.done {
		return nil, ErrNotConnected
	}
	s := e.newSchedule()
	if len(label) > 255-len("tls13 ") || length < 0 || length > 255*s.suite.hashLen {
		return nil, errors.New("tls13: export: the label or the length is too long")
	}
	out := make([]byte, length)
	s.exporter(&e.exporter, label, context, out)
	return out, nil
}

// DeriveResumption is HKDF-Expand-Label(resumption_master_secret, label, "",
// length). Both ends of the connection can derive it, and nobody else: it
// authenticates nothing against the peer. The label of RFC 8446 is refused.
func (e *Engine) DeriveResumption(label string, length int) ([]byte, error) {
	if !e.done {
		return nil, ErrNotConnected
	}
	s := e.newSchedule()
	if label == "resumption" || len(label) > 255-len("tls13 ") || length < 0 || length > 255*s.suite.hashLen {
		return nil, errors.New("tls13: derive from the resumption secret: the label or the length does not do")
	}
	out := make([]byte, length)
	s.expandLabel(e.resumption[:s.suite.hashLen], label, nil, out)
	return out, nil
}

// newSchedule is for what has to be derived after the handshake: seldom, and
// by both halves, so it is not kept.
func (e *Engine) newSchedule() *schedule { return newSchedule(e.suite) }

// keyLog writes a line of the NSS key log, and never fails the handshake.
func (e *Engine) keyLog(label string, s *secret) {
	if e.cfg.KeyLog != nil {
		fmt.Fprintf(e.cfg.KeyLog, "%s %x %x\n", label, e.random, s[:e.suite.hashLen])
	}
}

// setSuite starts the transcript and the key schedule.
func (e *Engine) setSuite(p *suiteParams) {
	e.suite = p
	e.st.Suite = p.id
	e.sch = newSchedule(p)
	e.script.init(p)
}

// installRead changes the key of the receiving direction, which must fall
// between records.
func (e *Engine) installRead(s *schedule, base *secret) error {
	if e.in.between() {
		return fail(AlertUnexpectedMessage, "handshake messages across a change of keys")
	}
	return e.in.install(s, base, e.cfg.ChaCha20Poly1305)
}

func (e *Engine) installWrite(base *secret) error {
	return e.out.install(e.sch, base, e.cfg.ChaCha20Poly1305)
}

// handshakeSecrets derives and logs the handshake traffic secrets, and moves
// the schedule on to the master secret.
func (e *Engine) handshakeSecrets(shared []byte) (client, server secret) {
	e.sch.extract(shared)
	h := e.script.sum()
	client = e.sch.derive("c hs traffic", h)
	server = e.sch.derive("s hs traffic", h)
	e.keyLog("CLIENT_HANDSHAKE_TRAFFIC_SECRET", &client)
	e.keyLog("SERVER_HANDSHAKE_TRAFFIC_SECRET", &server)
	e.sch.extract(nil)
	return client, server
}

// trafficSecrets derives and logs those of application data and the exporter;
// the transcript ends with the server's Finished.
func (e *Engine) trafficSecrets() (client, server secret) {
	h := e.script.sum()
	client = e.sch.derive("c ap traffic", h)
	server = e.sch.derive("s ap traffic", h)
	e.exporter = e.sch.derive("exp master", h)
	e.keyLog("CLIENT_TRAFFIC_SECRET_0", &client)
	e.keyLog("SERVER_TRAFFIC_SECRET_0", &server)
	e.keyLog("EXPORTER_SECRET", &e.exporter)
	return client, server
}

// connected ends the handshake.
func (e *Engine) connected() (state, error) {
	e.resumption = e.sch.derive("res master", e.script.sum())
	e.done = true
	e.in.allowCCS, e.in.allowRaw, e.in.grow = false, false, true
	e.in.idle = 0
	e.events = append(e.events, &Connected{})
	if !e.client {
		for range e.autoTickets() {
			if err := e.sendTicket(e.sch, TicketOptions{}); err != nil {
				break // a connection without a ticket is still a connection
			}
		}
	}
	e.sch, e.script = nil, transcript{}
	return expectPostHandshake{}, nil
}

func (e *Engine) autoTickets() int {
	switch {
	case e.cfg.TicketKeys == nil || !e.pskModes || e.cfg.Tickets < 0:
		return 0
	case e.cfg.Tickets == 0:
		return 1
	}
	return e.cfg.Tickets
}

// confirm asks the owner, at the last moment before the handshake is over.
func (e *Engine) confirm() error {
	if e.cfg.Confirm == nil {
		return nil
	}
	if err := e.cfg.Confirm(&e.st); err != nil {
		return failWith(AlertAccessDenied, err)
	}
	return nil
}

// expectPostHandshake is the state of an open connection.
type expectPostHandshake struct{}

func (s expectPostHandshake) handle(e *Engine, typ uint8, body, _ []byte) (state, error) {
	switch {
	case typ == typeKeyUpdate:
		return s, e.keyUpdated(body)
	case typ == typeNewSessionTicket && e.client:
		return s, e.ticketReceived(body)
	case slices.Contains(e.cfg.MessageTypes, typ):
		e.events = append(e.events, &Message{typ, append([]byte{}, body...)})
		return s, nil
	}
	return unexpected(typ, "none, or a post-handshake one,")
}

func (e *Engine) keyUpdated(body []byte) error {
	var m keyUpdate
	if err := m.decode(body); err != nil {
		return err
	}
	s := e.newSchedule()
	next := s.update(&e.in.secret)
	if err := e.installRead(s, &next); err != nil {
		return err
	}
	e.asked = false
	if m.request {
		e.reply.Merge(Reply{keyUpdate: true})
	}
	e.events = append(e.events, &KeysUpdated{})
	return nil
}

func (e *Engine) ticketReceived(body []byte) error {
	var m newSessionTicket
	if err := m.decode(body); err != nil {
		return err
	}
	if m.lifetime == 0 {
		return nil // to be discarded at once (section 4.6.1)
	}
	s := e.newSchedule()
	n := s.suite.hashLen
	sess := &Session{
		ServerName: e.cfg.ServerName,
		ALPN:       e.st.ALPN,
		Suite:      e.st.Suite,
		Received:   e.cfg.now(),
		Lifetime:   time.Duration(m.lifetime) * time.Second,
		Extensions: cloneExtensions(m.others),
		ticket:     append([]byte{}, m.ticket...),
		ageAdd:     m.ageAdd,
		peer:       e.st.PeerCertificates,
		chains:     e.st.VerifiedChains,
		insecure:   e.st.VerifiedChains == nil,
	}
	s.expandLabel(e.resumption[:n], "resumption", m.nonce, sess.psk[:n])
	e.events = append(e.events, &NewSession{sess})
	return nil
}
