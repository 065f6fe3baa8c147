// Package advert is the vocabulary of catsbgp: what a service site says about
// the instances of a service, and the octets that carry it in BGP.
//
// The terms are those of RFC 10053 and draft-ietf-cats-metric-definition:
// CS-ID (a service), CSCI-ID (one service contact instance), L0, L1 and L2
// metrics. The wire form is "CATS-BGP v1": TLVs with the grammar of
// draft-ietf-idr-5g-edge-service-metadata (16-bit type, 8-bit length), carried
// as an optional transitive path attribute (T-mode), as path attribute 42
// (E-mode), or squeezed into large communities (C-mode). An Auth TLV signs it.
//
// The package is pure: no sockets, no clock, no log. It knows nothing of BGP
// sessions, thresholds or selection. Decoding never panics, never reads past a
// length and, into a reused Attribute, does not allocate.
package advert
