package egress

import (
	"net/netip"

	"github.com/catsbgp/catsbgp/advert"
	"github.com/catsbgp/catsbgp/dampening"
	"github.com/catsbgp/catsbgp/internal/collect"
)

// Options are a site's configuration.
type Options struct {
	Profile     advert.Profile
	Locator     netip.Addr // Egress-Locator
	Site        advert.Site
	Communities bool        // also say it in large communities (C-mode)
	Sign        *advert.Key // nil: unsigned

	Dampening dampening.Params
	Budgets   []dampening.RFDBudget
	Services  []Service
}

// A Service is one service that this site has instances of.
type Service struct {
	ID           advert.CSID
	Name         string
	PerInstance  bool // say every instance
	Aggregate    bool // say the site as a whole
	AggregateID  advert.CSCIID
	MinInstances int // fewer said instances: no anycast route; at least 1

	Normalization collect.Normalization
	Instances     []collect.Instance
}

// A Route is one announcement that the site wants made.
type Route struct {
	Prefix    netip.Prefix
	Attribute []byte // CATS attribute value; never modified once handed out
	Large     []advert.LargeCommunity
	Shutdown  bool // carries GRACEFUL_SHUTDOWN (RFC 8326)
	Anycast   bool // a CS-ID route: may leave the domain, without CATS information
}
