package ingress

import (
	"net/netip"

	"github.com/catsbgp/catsbgp/advert"
	"github.com/catsbgp/catsbgp/selection"
)

// Options are an ingress's configuration.
type Options struct {
	Domain        uint32 // CATS domain; attributes of others are not ours
	Normalization uint16 // profile id that scores must have (RFC 10054 R3)
	ASN           uint32 // ours, for attributes that are meant for certain ASes

	Keys        *advert.Keyring // nil: signatures are not looked at
	RequireAuth bool            // instances without a valid signature are not eligible

	MaxInstances int              // of one service; more are counted and ignored; 0: no limit
	Default      selection.Policy // for services heard but not configured
	Policies     map[advert.CSID]selection.Policy
	Names        map[advert.CSID]string
	Sites        []Site
}

// A Site gives a name and static properties to an egress heard by BGP.
type Site struct {
	Locator    netip.Addr
	Name       string
	Weight     float64
	Preference int
}

// An Announcement is a route as heard from a peer.
type Announcement struct {
	Peer      string
	Prefix    netip.Prefix
	PathID    uint32
	Withdrawn bool
	Attribute []byte // CATS attribute value, nil: none
	Large     []advert.LargeCommunity
	NextHop   netip.Addr
}
