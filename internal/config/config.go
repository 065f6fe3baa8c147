package config

import (
	"io/fs"
	"net/netip"
	"time"

	"github.com/catsbgp/catsbgp/advert"
	"github.com/catsbgp/catsbgp/bgp"
	"github.com/catsbgp/catsbgp/dampening"
	"github.com/catsbgp/catsbgp/internal/collect"
	"github.com/catsbgp/catsbgp/internal/netmetric"
	"github.com/catsbgp/catsbgp/selection"
)

// A Config is a whole valid configuration. Only Parse and Load make one that
// Diff, Redacted and MarshalJSON know anything about: they speak the language
// of the file, which a Config written as a literal has none of.
type Config struct {
	Agent     Agent
	Log       Log
	API       API
	BGP       BGP
	Auth      Auth
	Dampening dampening.Params
	Services  []Service
	Selection selection.Policy // for services that are heard of but not configured here
	Sites     []Site
	NetMetric netmetric.Config

	// Warnings are what an operator should look at although the file is valid.
	Warnings Problems

	raw      *rawConfig
	contents map[string]string // path of a key that names a secret file: fingerprint of the content
}

// An Agent is who this agent is.
type Agent struct {
	Name                 string
	Egress, Ingress      bool       // at least one
	Locator              netip.Addr // Egress-Locator, tunnel end point
	Domain               uint32     // CATS domain; bgp.asn if not set
	NormalizationProfile uint16
	SiteID               uint16 // 0: not sent
	SitePreference       uint32 // 0: not sent
	StateDir             string // "": nothing is kept
}

// A Log is what is logged and how.
type Log struct {
	Level  string // trace, debug, info, warn, error
	Format string // json, console, auto
}

// An API is where the agent can be asked.
type API struct {
	Socket      string // Unix socket
	SocketMode  fs.FileMode
	Listen      netip.AddrPort // a loopback address; invalid: not on TCP
	Token       Secret         // bearer token on TCP; zero: TCP is read-only
	GoBGPSocket string         // the same as BGP.GRPCSocket
	Events      int            // kept
}

// A BGP is the speaker, and what the agent makes of its sessions.
type BGP struct {
	bgp.Config
	NextHop4, NextHop6     netip.Addr // of our routes; zero: the locator or the session's address
	Communities            bool
	MaxInstancesPerService int
	RFD                    []dampening.RFDBudget // of the peers that have one, in the file's order
}

// An Auth is how announcements are signed and verified.
type Auth struct {
	SignWith uint32 // id of a key in Keys; 0: do not sign
	Require  bool
	Keys     []Key
}

// An Algorithm signs announcements.
type Algorithm string

const (
	Ed25519    Algorithm = "ed25519"
	HMACSHA256 Algorithm = "hmac-sha256" // truncated to 128 bits
)

// A Key signs, or verifies only if Public.
type Key struct {
	ID        uint32
	Algorithm Algorithm
	Secret    Secret // ed25519: seed or, if Public, public key, 32 octets; hmac-sha256: at least 16 octets
	Public    bool
	NotBefore time.Time // zero: always
	NotAfter  time.Time // zero: for ever
}

// Announce says what a site says of a service.
type Announce string

const (
	PerInstance Announce = "per-instance"
	Aggregate   Announce = "aggregate"
	Both        Announce = "both"
)

// Instances reports whether every instance is announced.
func (a Announce) Instances() bool { return a != Aggregate }

// Whole reports whether the site is announced as a whole.
func (a Announce) Whole() bool { return a != PerInstance }

// A Service is one CS-ID: what this site says of it and how this ingress
// selects for it.
type Service struct {
	Name          string
	ID            advert.CSID
	Announce      Announce
	AggregateID   advert.CSCIID // an address; the locator if not set
	MinInstances  int           // at least 1
	Policy        selection.Policy
	Normalization collect.Normalization
	Instances     []collect.Instance
}

// A Site is another site, known by its locator.
type Site struct {
	Locator    netip.Addr
	Name       string
	Weight     float64
	Preference uint32 // higher first
}
