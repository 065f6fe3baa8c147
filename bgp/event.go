package bgp

import (
	"net/netip"
	"time"
)

// An Event is something heard: RouteEvent, PeerEvent or EndOfRIBEvent.
type Event interface{ isEvent() }

// A RouteEvent is what a peer now says about a prefix: the latest, not every
// value since the last Take. Routes are told apart by (Peer, Prefix, PathID).
// All slices are ours alone and never change.
type RouteEvent struct {
	Peer      string // name of the session
	Prefix    netip.Prefix
	PathID    uint32 // RFC 7911; 0 without ADD-PATH
	Withdrawn bool   // no longer said; only Peer, Prefix, PathID and At are set

	Attribute        []byte // value of the CATS attribute; nil: none
	Edge             bool   // Attribute came as EdgeMetadataType
	NextHop          netip.Addr
	Communities      []uint32
	LargeCommunities []LargeCommunity
	ASPath           []uint32 // flat; sets and confederation segments in order of appearance
	At               time.Time
}

// A PeerEvent says that a session came up or went down, or, with Up and a
// Reason, that the operator should know something about a session that is up.
type PeerEvent struct {
	Peer   string
	Up     bool
	State  string // of the session: "established", "idle", …; "removed" when it is no longer configured
	Reason string // why; empty when it simply came up
	At     time.Time
}

// An EndOfRIBEvent says that the peer has sent its whole table of one family
// (RFC 4724 section 2). It comes after the routes it stands for.
type EndOfRIBEvent struct {
	Peer string
	IPv6 bool // false: IPv4
	At   time.Time
}

func (RouteEvent) isEvent()    {}
func (PeerEvent) isEvent()     {}
func (EndOfRIBEvent) isEvent() {}
