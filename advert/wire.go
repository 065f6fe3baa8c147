package advert

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Sub-TLV types. The numbers up to 7 are those of
// draft-ietf-idr-5g-edge-service-metadata; 0xCA00 and up are private to
// CATS-BGP v1.
const (
	TypePreference   uint16 = 1 // Site Preference Index
	TypeAvailability uint16 = 2 // Site Physical Availability Index
	TypeDelay        uint16 = 3 // Service Delay Prediction
	TypeRaw          uint16 = 4 // Raw Measurement: skipped, its layout contradicts itself in the draft
	TypeCapability   uint16 = 5 // Service-Oriented Capability
	TypeResource     uint16 = 6 // Service-Oriented Available Resource
	TypeASScope      uint16 = 7 // AS-Scope

	TypeProfile  uint16 = 0xCA00 // first, exactly once
	TypeInstance uint16 = 0xCA01 // any number
	TypeLocator  uint16 = 0xCA02 // at most once
	TypeCSID     uint16 = 0xCA03 // any number; names the service of the Instances after it
	TypeAuth     uint16 = 0xCA0F // last, at most once
)

const (
	// Version is the version of CATS-BGP in the Profile.
	Version = 1

	// RecommendedAttributeLen is the longest attribute value, in octets, whose
	// length fits one octet: what every router has seen a thousand times. An
	// instance route stays far below.
	RecommendedAttributeLen = 255

	// MaxAttributeLen is the longest attribute value, in octets and with its
	// Auth TLV, that we send. It leaves room for the other attributes and the
	// NLRI in an UPDATE of 4096 octets (RFC 4271 section 4.1) after a few AS
	// hops. A longer one is still understood.
	MaxAttributeLen = 3000

	// MaxInstanceLen is the longest Instance TLV in octets, its head included:
	// the length field has one octet.
	MaxInstanceLen = tlvHead + 255
)

const (
	tlvHead      = 3  // type u16, length u8
	metricHead   = 4  // type, description, source, length
	profileLen   = 12 // value
	instanceHead = 14 // value without identifier and metrics
	siteLen      = 5  // value of the standard sub-TLVs
	authHead     = 5  // algorithm, key id

	afIPv4 = 1
	afIPv6 = 2
)

const magic = "CATS"

var (
	// ErrNotCATS says that an attribute does not begin with our Profile: it is
	// somebody else's, to be ignored and left alone.
	ErrNotCATS = errors.New("advert: not a CATS attribute")

	// ErrVersion is the ErrNotCATS of a CATS-BGP version that is not ours.
	ErrVersion = fmt.Errorf("%w: version is not %d", ErrNotCATS, Version)

	// ErrTooLong says that something does not fit: an Instance its one-octet
	// length, or an attribute MaxAttributeLen. The caller splits or aggregates.
	ErrTooLong = errors.New("advert: too long")

	// ErrNotEncodable says that a value has no wire form, and why: it would
	// not come back from decoding as it went in.
	ErrNotEncodable = errors.New("advert: not encodable")
)

// A FramingError says that an attribute begins like ours but its octets do not
// fit together, so that no value in it can be trusted. The sender's CATS
// information counts as withdrawn (RFC 7606); the route itself does not.
type FramingError struct {
	Offset int    // of the TLV or metric in the attribute value
	Type   uint16 // of the TLV; 0 where not even that could be read
	Why    string
}

// Error implements error.
func (e *FramingError) Error() string {
	return fmt.Sprintf("advert: malformed at octet %d, %s: %s", e.Offset, tlvName(e.Type), e.Why)
}

func tlvName(t uint16) string {
	switch t {
	case TypePreference:
		return "Site Preference Index"
	case TypeAvailability:
		return "Site Physical Availability Index"
	case TypeDelay:
		return "Service Delay Prediction"
	case TypeRaw:
		return "Raw Measurement"
	case TypeCapability:
		return "Service-Oriented Capability"
	case TypeResource:
		return "Service-Oriented Available Resource"
	case TypeASScope:
		return "AS-Scope"
	case TypeProfile:
		return "Profile"
	case TypeInstance:
		return "Instance"
	case TypeLocator:
		return "Egress-Locator"
	case TypeCSID:
		return "CS-ID"
	case TypeAuth:
		return "Auth"
	}
	return fmt.Sprintf("sub-TLV %#04x", t)
}

// tlvAt splits the TLV at an offset below len(b).
func tlvAt(b []byte, off int) (t uint16, v []byte, err error) {
	rest := b[off:]
	if len(rest) < tlvHead {
		return 0, nil, &FramingError{off, 0, "cut off in the head of a sub-TLV"}
	}
	t = binary.BigEndian.Uint16(rest)
	n := int(rest[2])
	if len(rest) < tlvHead+n {
		return t, nil, &FramingError{off, t, "longer than what is left"}
	}
	return t, rest[tlvHead : tlvHead+n], nil
}

func appendHead(dst []byte, t uint16, n int) []byte {
	return append(dst, byte(t>>8), byte(t), byte(n))
}

func notEncodable(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrNotEncodable, fmt.Sprintf(format, args...))
}
