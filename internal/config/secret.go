package config

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"io"
)

const redacted = "***"

// A Secret is something that must not be shown: whichever way it is printed,
// logged or marshalled, it is "***". The zero value is "none" and prints as "".
// Use Reveal at the one place that needs the octets.
type Secret struct {
	// Two pointers, because fmt walks into unexported fields without asking
	// for their methods, and for a wrong verb it follows the first pointer.
	octets **[]byte
}

// NewSecret returns a Secret of a copy of b; of nothing, the zero Secret.
func NewSecret(b []byte) Secret {
	if len(b) == 0 {
		return Secret{}
	}
	c := append([]byte(nil), b...)
	p := &c
	return Secret{&p}
}

// Reveal returns a copy of the octets, nil for the zero Secret.
func (s Secret) Reveal() []byte {
	if s.octets == nil {
		return nil
	}
	return append([]byte(nil), **s.octets...)
}

// IsZero reports whether there is no secret.
func (s Secret) IsZero() bool { return s.octets == nil }

// Equal compares in a time that does not depend on the octets.
func (s Secret) Equal(o Secret) bool {
	return subtle.ConstantTimeCompare(s.Reveal(), o.Reveal()) == 1
}

// String returns "***", or "" for the zero Secret.
func (s Secret) String() string {
	if s.IsZero() {
		return ""
	}
	return redacted
}

// GoString returns what String returns.
func (s Secret) GoString() string { return s.String() }

// Format writes what String returns, whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { io.WriteString(f, s.String()) }

// MarshalText implements encoding.TextMarshaler (and with it JSON) as String.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalJSON implements json.Marshaler as String.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + s.String() + `"`), nil }

// fingerprint tells two secrets apart without keeping either.
func (s Secret) fingerprint() string {
	if s.IsZero() {
		return ""
	}
	sum := sha256.Sum256(**s.octets)
	return hex.EncodeToString(sum[:])
}
