package bgp

import (
	"net/netip"
	"time"
)

// DefaultAttributeType is the path attribute of the CATS information: 255,
// "reserved for development" (RFC 2042).
const DefaultAttributeType = 255

// EdgeMetadataType is the Edge Metadata Path Attribute (IANA temporary
// registration, draft-ietf-idr-5g-edge-service-metadata), optional
// non-transitive.
const EdgeMetadataType = 42

// A Config is one BGP speaker.
type Config struct {
	ASN      uint32
	RouterID netip.Addr   // IPv4
	Listen   []netip.Addr // none: only connect
	Port     uint16       // to listen on; 0: 179

	AttributeType    uint8 // 0: DefaultAttributeType
	MaxRoutesPerPeer int   // accepted; more are counted and ignored; 0: no limit

	GRPCSocket string // GoBGP's own gRPC, read-only, on this Unix socket; "": off

	Peers []Peer
}

// A Peer is one configured session. Name is unique.
type Peer struct {
	Name    string
	Address netip.Addr
	ASN     uint32
	Port    uint16 // 0: 179

	LocalAddress netip.Addr // zero: the kernel's choice
	Passive      bool
	HoldTime     time.Duration // 0: no keepalives, if the peer agrees (see the package comment)
	ConnectRetry time.Duration // 0: 5s
	IPv4, IPv6   bool          // families

	Password     string // TCP MD5 (RFC 2385); "": none
	TTLSecurity  bool   // GTSM (RFC 5082)
	MultihopTTL  uint8  // 0: directly connected
	ReflectorFor bool   // the peer is our route-reflector client
	AddPath      bool

	GracefulRestart          time.Duration // 0: off
	LongLivedGracefulRestart time.Duration // 0: off
	BFD                      bool

	// InDomain peers exchange CATS information with us. Others get announcements
	// marked Boundary only, without the attribute, and what they say about CATS is
	// ignored.
	InDomain     bool
	EdgeMetadata bool // carry the attribute as EdgeMetadataType
}
