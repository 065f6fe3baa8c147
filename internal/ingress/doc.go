// Package ingress is the core of an agent where clients enter (Ingress
// CATS-Forwarder with its C-PS, RFC 10053 section 3.4): what every site
// announces and how far it is goes in, a weighted split of each service's new
// flows comes out.
//
// It is the table behind requirement R1 of RFC 10054 (CS-ID to instances), and
// the receiver rules of CATS-BGP: foreign domains, malformed attributes,
// replays, signatures, staleness. Whatever is wrong with an attribute costs
// that candidate, never the BGP session or the anycast route.
//
// The package is pure: time is an argument. It does not know BGP sessions,
// sockets or how packets are steered.
package ingress
