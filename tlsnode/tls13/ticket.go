package tls13

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"time"
)

// A TicketKey seals tickets. Its name on the wire is derived from it, so that
// servers that share the key agree on it.
type TicketKey struct {
	name [16]byte
	key  [sha256.Size]byte
}

// NewTicketKey makes a key from at least 32 octets of secret.
func NewTicketKey(secret []byte) (*TicketKey, error) {
	if len(secret) < 32 {
		return nil, fmt.Errorf("tls13: ticket key of %d octets, where 32 are needed", len(secret))
	}
	k := new(TicketKey)
	copy(k.name[:], mac(secret, "tls13 ticket name", nil))
	copy(k.key[:], mac(secret, "tls13 ticket key", nil))
	return k, nil
}

func mac(key []byte, label string, data []byte) []byte {
	h := hmac.New(sha256.New, key)
	io.WriteString(h, label)
	h.Write(data)
	return h.Sum(nil)
}

// TicketKeys are the keys of a service at one time. Current seals; all three
// open, nil ones excepted. To rotate, distribute the new key as Next to all
// servers, and only then make it Current and the old one Previous: so at no
// moment does a server meet a ticket that it cannot open. It must not be
// changed once it is in use.
type TicketKeys struct {
	Current, Next, Previous *TicketKey
}

// A sealed ticket is
//
//	name[16] || seed[16] || AES-256-GCM(ticket)
//
// under a key that is HMAC-SHA-256 of the seed, with a nonce of zeros and
// name || seed as additional data. With a key for each ticket, no count of
// tickets under one TicketKey has to be kept.
const (
	ticketSeedLen = 16
	ticketHeader  = 16 + ticketSeedLen
)

func (k *TicketKey) aead(seed []byte) cipher.AEAD {
	block, err := aes.NewCipher(mac(k.key[:], "tls13 ticket seed", seed))
	if err != nil {
		panic("BUG: tls13: AES refuses a key of 32 octets")
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic("BUG: tls13: GCM refuses AES")
	}
	return aead
}

func (k *TicketKeys) seal(random io.Reader, plain []byte) ([]byte, error) {
	if k == nil || k.Current == nil {
		return nil, errors.New("no current ticket key")
	}
	b := make([]byte, ticketHeader, ticketHeader+len(plain)+aeadOverhead)
	copy(b, k.Current.name[:])
	if _, err := io.ReadFull(random, b[16:]); err != nil {
		return nil, err
	}
	var nonce [ivLen]byte
	return k.Current.aead(b[16:]).Seal(b, nonce[:], plain, b), nil
}

// open returns false for tickets of other keys, and for what is no ticket.
func (k *TicketKeys) open(sealed []byte) ([]byte, bool) {
	if k == nil || len(sealed) < ticketHeader+aeadOverhead {
		return nil, false
	}
	for _, key := range []*TicketKey{k.Current, k.Next, k.Previous} {
		if key == nil || key.name != [16]byte(sealed) {
			continue
		}
		var nonce [ivLen]byte
		header := sealed[:ticketHeader]
		plain, err := key.aead(header[16:]).Open(nil, nonce[:], sealed[ticketHeader:], header)
		return plain, err == nil
	}
	return nil, false
}

// A Ticket is what a server seals into a ticket, as far as hooks may see it.
type Ticket struct {
	Suite      Suite
	ServerName string
	ALPN       string
	Issued     time.Time // whole seconds
	Lifetime   time.Duration
	// NotAfter is that of the server's certificate: no resumption past it.
	NotAfter time.Time
	// AppData is what SendTicket was given to seal.
	AppData []byte
	// PeerCertificates are the client's.
	PeerCertificates []*x509.Certificate

	psk   []byte
	chain [][]byte // of PeerCertificates
}

// ticketVersion is the first octet inside: tickets of any other version are
// not opened, so the layout can change between releases.
const ticketVersion = 1

func (t *Ticket) append(b []byte) []byte {
	b = append(b, ticketVersion)
	b = put16(b, uint16(t.Suite))
	b = put64(b, uint64(t.Issued.Unix()))
	b = put32(b, uint32(t.Lifetime/time.Second))
	b = put64(b, uint64(t.NotAfter.Unix()))
	b = putVec8(b, t.psk)
	b = putVec8(b, []byte(t.ServerName))
	b = putVec8(b, []byte(t.ALPN))
	b = putVec16(b, t.AppData)
	b, list := open24(b)
	for _, der := range t.chain {
		b = putVec24(b, der)
	}
	close24(b, list)
	return b
}

// decode returns false for other versions. The octets have authenticated, so
// all it guards against is a mistake of ours.
func (t *Ticket) decode(b []byte) bool {
	r := reader{b: b}
	if r.u8() != ticketVersion {
		return false
	}
	t.Suite = Suite(r.u16())
	t.Issued = time.Unix(int64(r.u64()), 0)
	t.Lifetime = time.Duration(r.u32()) * time.Second
	t.NotAfter = time.Unix(int64(r.u64()), 0)
	t.psk = r.vec8()
	t.ServerName = string(r.vec8())
	t.ALPN = string(r.vec8())
	t.AppData = r.vec16()
	list := reader{b: r.vec24()}
	for list.more() {
		t.chain = append(t.chain, list.vec24())
	}
	p := t.Suite.params()
	return r.done() && list.done() && p != nil && len(t.psk) == p.hashLen
}

// clockSkew is how far the clocks of servers that share keys may be apart.
const clockSkew = 5 * time.Second

// live reports whether a ticket may be resumed at a time.
func (t *Ticket) live(now time.Time) bool {
	return t.Lifetime <= maxLifetime*time.Second &&
		!now.Add(clockSkew).Before(t.Issued) &&
		now.Before(t.Issued.Add(t.Lifetime)) &&
		now.Before(t.NotAfter)
}

// TicketOptions say how a ticket differs from the default.
type TicketOptions struct {
	Lifetime   time.Duration // whole seconds, at most seven days; 0: Config.TicketLifetime
	Extensions []Extension   // of the NewSessionTicket
	AppData    []byte        // sealed into the ticket, at most 16 KiB
}

const maxTicketData = 16 << 10

// SendTicket queues a NewSessionTicket. It belongs to the writing half, may be
// called any number of times once a server's handshake is over, and gives each
// ticket a nonce, hence a pre-shared key, of its own (RFC 8446, section 4.6.1).
func (e *Engine) SendTicket(o TicketOptions) error {
	if err := e.sendTicket(e.newSchedule(), o); err != nil {
		return fmt.Errorf("tls13: send ticket: %w", err)
	}
	return nil
}

func (e *Engine) sendTicket(s *schedule, o TicketOptions) error {
	switch {
	case e.client || !e.done:
		return errors.New("only a server sends tickets, and only after the handshake")
	case !e.pskModes:
		return errors.New("the client cannot resume by psk_dhe_ke")
	case e.cfg.TicketKeys == nil:
		return errors.New("no ticket keys are configured")
	case e.out.closed:
		return ErrClosed
	case len(o.AppData) > maxTicketData:
		return fmt.Errorf("%d octets of application data", len(o.AppData))
	}
	if o.Lifetime == 0 {
		o.Lifetime = e.cfg.ticketLifetime()
	}
	if o.Lifetime < time.Second || o.Lifetime > maxLifetime*time.Second {
		return fmt.Errorf("lifetime of %v", o.Lifetime)
	}
	size := 0
	for i, x := range o.Extensions {
		if size += 4 + len(x.Data); x.Type == extEarlyData || size > maxTicketData {
			return fmt.Errorf("%v cannot be sent, or is too long", x.Type)
		}
		if _, dup := findExtension(o.Extensions[:i], x.Type); dup {
			return fmt.Errorf("%v is given twice", x.Type)
		}
	}

	random := e.cfg.random()
	var ageAdd [4]byte
	if _, err := io.ReadFull(random, ageAdd[:]); err != nil {
		return err
	}
	n := s.suite.hashLen
	e.tickets++
	nonce := put32(nil, e.tickets)
	var psk secret
	s.expandLabel(e.resumption[:n], "resumption", nonce, psk[:n])
	t := Ticket{
		Suite:      e.st.Suite,
		ServerName: e.st.ServerName,
		ALPN:       e.st.ALPN,
		Issued:     e.cfg.now(),
		Lifetime:   o.Lifetime,
		NotAfter:   e.notAfter,
		AppData:    o.AppData,
		psk:        psk[:n],
	}
	size = 256 + len(t.AppData)
	for _, c := range e.st.PeerCertificates {
		t.chain = append(t.chain, c.Raw)
		size += 3 + len(c.Raw)
	}
	if size > 60<<10 {
		return errors.New("the client's certificates do not fit")
	}
	sealed, err := e.cfg.TicketKeys().seal(random, t.append(make([]byte, 0, size)))
	if err != nil {
		return err
	}
	m := newSessionTicket{
		lifetime: uint32(o.Lifetime / time.Second),
		ageAdd:   reader32(ageAdd),
		nonce:    nonce,
		ticket:   sealed,
		others:   o.Extensions,
	}
	return e.out.send(recordHandshake, m.append(nil))
}

func reader32(b [4]byte) uint32 { return (&reader{b: b[:]}).u32() }
