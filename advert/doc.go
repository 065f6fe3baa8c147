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
//
// # The attribute value
//
//	value    = Profile [Locator] {[CS-ID] Instance} {CS-ID} {site} [Auth]
//	Instance = identifier, flags, sequence, time, validity, window, {metric}
//
// The order is that of the encoder. The decoder needs the Profile first and the
// Auth last, and takes the rest as it comes; a CS-ID names the service of every
// Instance after it, up to the next CS-ID. So the host route of an instance can
// carry several services of one host. On the route of the service itself there
// is no CS-ID TLV.
//
// T-mode and E-mode have the same value. In E-mode it travels in path attribute
// 42, optional non-transitive, and Site.FromAggregate fills in the sub-TLVs that
// routers without CATS understand.
//
// # What is wrong with a value
//
// There are three degrees, and each has its own answer:
//
//   - ErrNotCATS: somebody else's attribute, none of our business.
//   - *FramingError: ours, but its octets do not fit together. Nothing in it is
//     believed; it counts as withdrawn, and the route stays (RFC 7606).
//   - Ignored: a sub-TLV, metric or instance that is unknown, repeated or out of
//     range. It is left out and counted; the rest stands.
//
// Whether the Profile is the reader's own, whether an Instance is news (Sequence)
// or too old (Expired), and whether a signature is required, are questions for
// the reader of a value, who has the answers at hand.
//
// The files in testdata are published test vectors: *.hex the octets, *.txt and
// *.json what they mean, c-mode.txt the same for large communities.
package advert
