package bgp

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

const (
	defaultPort         = 179
	defaultConnectRetry = 5 * time.Second

	// GoBGP cannot offer a hold time of 0. The largest one stands for it: the
	// smaller of the two offers counts, so a peer that offers 0 gets 0.
	longestHoldTime = math.MaxUint16 * time.Second

	maxMD5Key      = 80        // TCP_MD5SIG_MAXKEYLEN
	maxRestartTime = 1<<12 - 1 // RFC 4724: 12 bits, seconds
	maxStaleTime   = 1<<24 - 1 // RFC 9494: 24 bits, seconds
	maxSocketPath  = 107       // sun_path
)

// normalize fills in the defaults and returns what is wrong with cfg, all of it.
func (cfg Config) normalize() (Config, error) {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("bgp: "+format, args...)) }

	if cfg.ASN == 0 {
		bad("asn: 0 is not an autonomous system number (RFC 7607)")
	}
	if !cfg.RouterID.Is4() || cfg.RouterID.IsUnspecified() {
		bad("router id %v: must be an IPv4 address (RFC 6286)", cfg.RouterID)
	}
	if cfg.Port == 0 {
		cfg.Port = defaultPort
	}
	listen := make([]netip.Addr, 0, len(cfg.Listen))
	for _, a := range cfg.Listen {
		if !a.IsValid() {
			bad("listen: invalid address")
			continue
		}
		listen = append(listen, a.Unmap())
	}
	cfg.Listen = listen
	if cfg.AttributeType == 0 {
		cfg.AttributeType = DefaultAttributeType
	}
	if _, known := knownAttributes[bgp.BGPAttrType(cfg.AttributeType)]; known || cfg.AttributeType == EdgeMetadataType {
		bad("attribute type %d: already has a meaning of its own", cfg.AttributeType)
	}
	if cfg.MaxRoutesPerPeer < 0 {
		bad("max routes per peer: %d is negative", cfg.MaxRoutesPerPeer)
	}
	if len(cfg.GRPCSocket) > maxSocketPath-8 {
		bad("gRPC socket %q: path too long", cfg.GRPCSocket)
	}

	peers := make([]Peer, len(cfg.Peers))
	names, addrs := map[string]bool{}, map[netip.Addr]string{}
	_, listener := cfg.planes()
	for i, p := range cfg.Peers {
		p, perrs := p.normalize(&cfg)
		for _, err := range perrs {
			bad("peer %d %q: %w", i+1, p.Name, err)
		}
		if names[p.Name] {
			bad("peer %d %q: the name is used twice", i+1, p.Name)
		}
		if other, ok := addrs[p.Address]; ok {
			bad("peer %d %q: same address as peer %q", i+1, p.Name, other)
		}
		if p.Passive && len(cfg.Listen) == 0 {
			bad("peer %d %q: passive, but we listen nowhere", i+1, p.Name)
		} else if p.Passive && p.carriage() != listener {
			// One socket cannot serve two GoBGP servers, and which of them a
			// connection belongs to is only known after it was accepted.
			bad("peer %d %q: passive, but only %v peers can be: peers outside the domain and edge-metadata peers "+
				"have BGP tables of their own, and only one table can listen on port %d", i+1, p.Name, listener, cfg.Port)
		}
		names[p.Name], addrs[p.Address] = true, p.Name
		peers[i] = p
	}
	cfg.Peers = peers
	return cfg, errors.Join(errs...)
}

func (p Peer) normalize(cfg *Config) (Peer, []error) {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	if p.Name == "" {
		bad("no name")
	}
	p.Address, p.LocalAddress = p.Address.Unmap(), p.LocalAddress.Unmap()
	switch {
	case !p.Address.IsValid() || p.Address.IsUnspecified() || p.Address.IsMulticast():
		bad("address %v: must be a unicast address", p.Address)
	case p.Address.Zone() != "":
		bad("address %v: link-local peers are not supported", p.Address)
	case p.LocalAddress.IsValid() && p.LocalAddress.Is4() != p.Address.Is4():
		bad("local address %v: other family than %v", p.LocalAddress, p.Address)
	}
	if p.ASN == 0 {
		bad("asn: 0 is not an autonomous system number (RFC 7607)")
	}
	if p.Port == 0 {
		p.Port = defaultPort
	}
	switch {
	case p.HoldTime == 0:
		p.HoldTime = longestHoldTime
	case p.HoldTime < 3*time.Second || p.HoldTime > longestHoldTime:
		bad("hold time %v: must be 0 or 3s to 65535s (RFC 4271 section 4.2)", p.HoldTime)
	}
	if p.ConnectRetry <= 0 {
		p.ConnectRetry = defaultConnectRetry
	}
	if !p.IPv4 && !p.IPv6 {
		bad("no address family")
	}
	if len(p.Password) > maxMD5Key {
		bad("password: longer than %d octets", maxMD5Key)
	}
	internal := p.ASN == cfg.ASN
	if p.TTLSecurity && p.MultihopTTL > 1 {
		bad("TTL security and multihop exclude each other (RFC 5082)")
	}
	if p.BFD && p.MultihopTTL > 1 {
		bad("BFD is single-hop only")
	}
	if p.ReflectorFor && !internal {
		bad("a route-reflector client must be in our AS (RFC 4456)")
	}
	if p.ReflectorFor && !p.InDomain {
		bad("a route-reflector client must be in the domain")
	}
	if p.EdgeMetadata && !p.InDomain {
		bad("edge metadata goes to peers in the domain only")
	}
	if s := p.GracefulRestart / time.Second; s < 0 || s > maxRestartTime {
		bad("graceful restart %v: must be 0 to %ds (RFC 4724)", p.GracefulRestart, maxRestartTime)
	}
	if s := p.LongLivedGracefulRestart / time.Second; s < 0 || s > maxStaleTime {
		bad("long-lived graceful restart %v: must be 0 to %ds (RFC 9494)", p.LongLivedGracefulRestart, maxStaleTime)
	}
	if p.LongLivedGracefulRestart > 0 && p.GracefulRestart == 0 {
		bad("long-lived graceful restart needs graceful restart (RFC 9494 section 4.2)")
	}
	return p, errs
}
