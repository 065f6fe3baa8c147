package tls13

import (
	"bytes"
	"crypto/ecdh"
	"testing"
)

// RFC 8448, section 3, as our client meets it: given the ClientHello and key
// of the trace, the server's records lead to the client's records, octet by
// octet, and the ticket to the PSK.
func TestRFC8448Client(t *testing.T) {
	e := newEngine(&Config{InsecureSkipVerify: true, ServerName: "server"}, true)
	hs := &clientHandshake{raw: mustHex(t, rfcClientHello)}
	if err := hs.hello.decode(hs.raw[4:]); err != nil {
		t.Fatal(err)
	}
	hs.hello.ext.recordLimit = 0x4001 // the trace offers it, and the server answers
	key, err := ecdh.X25519().NewPrivateKey(mustHex(t, rfcClientKey))
	if err != nil {
		t.Fatal(err)
	}
	hs.keys = keyExchange{ec: key, group: X25519}
	e.state = expectServerHello{hs}

	hello := mustHex(t, rfcServerHello)
	in := putVec16([]byte{22, 3, 3}, hello)
	in = append(in, mustHex(t, rfcServerFlight)...)
	for len(in) > 0 {
		in = in[e.Receive(in):]
		ev, err := e.Next()
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := ev.(*Connected); len(in) == 0 && !ok {
			t.Fatalf("event %T", ev)
		}
	}
	if got, want := e.Output(), mustHex(t, rfcClientFlight); !bytes.Equal(got, want) {
		t.Errorf("client flight:\n% x, want\n% x", got, want)
	}
	if st := e.State(); st.Suite != AES128GCMSHA256 || st.Group != X25519 || st.Scheme != RSAPSSRSAESHA256 || len(st.PeerCertificates) != 1 {
		t.Errorf("state %+v", st)
	}
	c := traceCheck{t}
	c.want("res master", e.resumption[:32], "7df235f2031d2a051287d02b0241b0bfdaf86cc856231f2d5aba46c434ec196c")
	if _, err := e.state.handle(e, typeNewSessionTicket, mustHex(t, rfcTicket)[4:], nil); err != nil {
		t.Fatal(err)
	}
	ev, _ := e.Next()
	sess, ok := ev.(*NewSession)
	if !ok {
		t.Fatalf("event %T", ev)
	}
	c.want("psk", sess.Session.psk[:32], "4ecd0eb6ec3b4d87f5d6028f922ca4c5851a277fd41311c9e62d2c9492e1c4f3")
	if sess.Session.ageAdd != 0xfad6aac5 || sess.Session.Lifetime.Seconds() != 30 {
		t.Errorf("session %+v", sess.Session)
	}
}
