// Package tls13 is TLS 1.3 (RFC 8446) with a place for what it does not define.
//
// It is there because moving a session from one server to another needs what
// no TLS library shows: extensions of ClientHello and NewSessionTicket, a new
// alert that does not end the connection, a new message after the handshake,
// and keys derived from the resumption master secret. None of that is in this
// package; all of it can be built on it (Config.Extensions,
// TicketOptions, Config.WarningAlerts, Config.MessageTypes,
// Engine.DeriveResumption, Config.AcceptTicket, Config.Confirm).
//
// # What is here
//
//   - Engine, client and server: octets in, events and octets out, without
//     goroutine, clock or socket. Each expected message is a type of its own.
//   - Conn, an Engine over a net.Conn.
//   - AES-128-GCM and AES-256-GCM; ChaCha20-Poly1305 if the caller provides the
//     AEAD, which the standard library does not export.
//   - X25519MLKEM768, X25519, P-256, P-384, P-521.
//   - ECDSA on those curves, Ed25519, RSA-PSS with rsaEncryption and with
//     RSASSA-PSS keys. Chains are verified by crypto/x509.
//   - HelloRetryRequest, with and without a cookie; middlebox compatibility.
//   - Resumption by stateless tickets, psk_dhe_ke only, any number of them at
//     any time, under keys that rotate; several identities in a ClientHello.
//   - Client certificates in the handshake; several certificates of a server,
//     by name and signature scheme; ALPN; record_size_limit (RFC 8449) and
//     padding; KeyUpdate both ways, by itself at the limit of the AEAD;
//     exporters; key log.
//   - Limits on all that a peer can make us keep or do.
//
// # What is not
//
//   - TLS 1.2 and earlier. A server that wants it looks at the ClientHello first.
//   - 0-RTT: never sent; when it is received, it is refused and skipped.
//   - PSKs from outside, psk_ke, post-handshake client authentication, OCSP and
//     SCTs, certificate compression, Encrypted Client Hello, QUIC, DTLS, FIPS.
//   - signature_algorithms_cert and the issuer's signature do not take part in
//     choosing a certificate.
//   - Zeroing of secrets: Go's collector moves and copies as it likes.
//
// # Errors
//
// What the peer is told and what the operator is told are two values: see
// Error. No error or event holds a secret.
package tls13
