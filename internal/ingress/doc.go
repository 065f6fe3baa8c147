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
// # Routes and entries
//
// Every route gives something to entries, the ways to serve a service, and an
// entry rests on the best of its routes: an attribute with metrics, large
// communities, the anycast route of its site, or one that is not to be
// believed. They are counted apart, so
//
//   - what is forged neither pushes out, nor blocks, nor keeps alive what
//     another path says validly, whichever came first;
//   - a second reflector is a second route to the same entry: when one goes,
//     nothing changes;
//   - the order in which routes are heard does not matter.
//
// Of several statements about an entry the newest by sequence counts, as long
// as any route with metrics leads there.
//
// # Clocks
//
// Pass times with their monotonic reading. A wall clock that jumps, here or at
// a site, is then found out and allowed for without losing anybody; without
// monotonic readings, until the next refresh at most.
//
// The package is pure: time is an argument. It does not know BGP sessions,
// sockets or how packets are steered.
package ingress
