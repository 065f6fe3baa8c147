// Package bgptest is a BGP speaker for tests, small enough to lie.
//
// It does the handshake of RFC 4271 and then sends exactly the octets it is
// given, malformed or not, and shows what arrives. It keeps no table, makes no
// decision, and shares no code with the speakers under test.
package bgptest
