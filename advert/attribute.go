package advert

import (
	"iter"
	"math/bits"
	"net/netip"
	"slices"
)

// ProfileFlags are the flags of a Profile.
type ProfileFlags uint8

const (
	// CompleteList says that the attribute names every instance of the site.
	CompleteList ProfileFlags = 0x80
	// AggregatedOnly says that the site announces aggregates, never single
	// instances: the egress itself chooses.
	AggregatedOnly ProfileFlags = 0x40
)

// A Profile says how the values of an attribute are to be read. Values of
// another Domain or Normalization are decoded all the same; whoever compares
// them with his own must ask Agrees first (RFC 10054, R3).
type Profile struct {
	Flags         ProfileFlags
	Normalization uint16 // 1: min-max, 0..10, weighted mean
	Domain        uint32 // e.g. an ASN
}

// Agrees reports whether values under p and o may be compared.
func (p Profile) Agrees(o Profile) bool {
	return p.Normalization == o.Normalization && p.Domain == o.Domain
}

// An Algorithm is how an Auth TLV is made.
type Algorithm uint8

const (
	HMACSHA256 Algorithm = 1 // HMAC-SHA-256, cut to 128 bits
	Ed25519    Algorithm = 2 // RFC 8032
)

// String returns the name used in the configuration.
func (a Algorithm) String() string {
	switch a {
	case HMACSHA256:
		return "hmac-sha256"
	case Ed25519:
		return "ed25519"
	}
	return "algorithm " + utoa(uint64(a))
}

// signatureLen is the octets of a signature, 0 for an unknown algorithm.
func (a Algorithm) signatureLen() int {
	switch a {
	case HMACSHA256:
		return 16
	case Ed25519:
		return 64
	}
	return 0
}

// Auth says that an attribute came with a signature, not that it is good: see
// Keyring.Verify.
type Auth struct {
	Present   bool
	Algorithm Algorithm
	KeyID     uint32
}

// An Attribute is the CATS information of one route.
//
// The Instances and their Metrics of a decoded Attribute share memory that the
// next DecodeAttribute into it overwrites: keep a Clone.
type Attribute struct {
	Profile Profile

	// Locator is the egress's tunnel end point, unicast. Zero: absent, the
	// NEXT_HOP has to do.
	Locator netip.Addr

	Site Site

	// Instances in the order of the wire. A zero Service can only stand before
	// all others, since on the wire nothing ends the reach of a CS-ID TLV but
	// the next one.
	Instances []Instance

	// BareServices are CS-IDs that are named without any Instance after them.
	BareServices []CSID

	// Auth and Ignored are results of decoding. The encoder takes no notice.
	Auth    Auth
	Ignored Ignored

	arena []Metric // backing of the decoded Instances' Metrics
}

// Reset makes a an empty Attribute that keeps its memory.
func (a *Attribute) Reset() {
	*a = Attribute{
		Site: Site{
			Capabilities: a.Site.Capabilities[:0],
			Resources:    a.Site.Resources[:0],
			ASScope:      a.Site.ASScope[:0],
		},
		Instances:    a.Instances[:0],
		BareServices: a.BareServices[:0],
		arena:        a.arena[:0],
	}
}

// Clone returns a copy that shares no memory with a.
func (a *Attribute) Clone() *Attribute {
	c := *a
	c.Site.Capabilities = slices.Clone(a.Site.Capabilities)
	c.Site.Resources = slices.Clone(a.Site.Resources)
	c.Site.ASScope = slices.Clone(a.Site.ASScope)
	c.BareServices = slices.Clone(a.BareServices)
	c.Instances = slices.Clone(a.Instances)
	c.arena = nil
	for k := range c.Instances {
		c.Instances[k].Metrics = slices.Clone(c.Instances[k].Metrics)
	}
	return &c
}

// Equal reports whether a and b say the same, in the same order. Auth and
// Ignored are about how it was said and do not count.
func (a *Attribute) Equal(b *Attribute) bool {
	return a.Profile == b.Profile && a.Locator == b.Locator && a.Site.Equal(&b.Site) &&
		slices.Equal(a.BareServices, b.BareServices) &&
		slices.EqualFunc(a.Instances, b.Instances, func(x, y Instance) bool { return x.Equal(&y) })
}

// Services returns the CS-IDs that are named, with or without instances, each
// once and sorted. It is empty on a route that is itself the CS-ID.
func (a *Attribute) Services() []CSID {
	s := slices.Clone(a.BareServices)
	for k := range a.Instances {
		if c := a.Instances[k].Service; c.IsValid() {
			s = append(s, c)
		}
	}
	slices.SortFunc(s, CSID.Compare)
	return slices.Compact(s)
}

// Ignored says what the decoder left out, so that somebody can count it, name
// it and ask the sender why. The zero value is "nothing".
type Ignored struct {
	UnknownTLVs      int    // sub-TLVs of unknown type (R8), Raw Measurement among them
	FirstUnknownTLV  uint16 // the type of the first
	DuplicateTLVs    int    // site sub-TLVs given twice: the first one counts
	SiteValues       int    // site sub-TLVs whose value is out of range
	UnknownInstances int    // Instances whose kind of identifier is unknown

	Unknown    MetricTally // types, formats or levels that are unknown (R8)
	OutOfRange MetricTally // not in 0..10, wider than its unit, not a number
	Duplicate  MetricTally // a type given twice in an Instance: the first one counts
}

// Any reports whether anything was ignored.
func (i *Ignored) Any() bool { return *i != Ignored{} }

// A MetricTally is how many metrics, and of which types.
type MetricTally struct {
	Count int
	Types MetricSet
}

func (t *MetricTally) add(m MetricType) {
	t.Count++
	t.Types.add(m)
}

// A MetricSet is a set of metric types.
type MetricSet [4]uint64

func (s *MetricSet) add(t MetricType) { s[t>>6] |= 1 << (t & 63) }

// Has reports whether t is in the set.
func (s *MetricSet) Has(t MetricType) bool { return s[t>>6]&(1<<(t&63)) != 0 }

// All yields the types in ascending order.
func (s *MetricSet) All() iter.Seq[MetricType] {
	return func(yield func(MetricType) bool) {
		for w, word := range s {
			for ; word != 0; word &= word - 1 {
				if !yield(MetricType(w<<6 | bits.TrailingZeros64(word))) {
					return
				}
			}
		}
	}
}
