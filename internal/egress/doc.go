// Package egress is the core of an agent at a service site (Egress
// CATS-Forwarder with its C-SMA, RFC 10053 section 3.4): collected samples go
// in, the routes that the site wants announced come out.
//
// Two kinds of routes keep the network calm. The anycast route of a CS-ID
// never changes with load: it is there while enough instances are. The
// instance routes, host routes of the CSCI-IDs, carry what is volatile, when
// the dampening table lets it be said.
//
// The package is pure: time is an argument, nothing is sent or logged here. It
// does not know BGP sessions; a Route is a value that somebody announces.
package egress
