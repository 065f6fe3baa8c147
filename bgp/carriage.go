package bgp

// A carriage is a way in which CATS information travels, and the GoBGP server
// (plane) that carries it so. Peers that must be told different things are on
// different planes with tables of their own: what is not in a table cannot
// leak from it.
type carriage uint8

const (
	carryDomain   carriage = iota // our attribute type, optional transitive
	carryBoundary                 // nothing: only Boundary routes, bare
	carryEdge                     // EdgeMetadataType, optional non-transitive
	numCarriages
)

func (c carriage) String() string {
	return [...]string{"domain", "boundary", "edge"}[c]
}

func (c carriage) bit() carriers { return 1 << c }

// carriers is a set of carriages.
type carriers uint8

// carriersOf is where an announcement goes.
func carriersOf(boundary bool) carriers {
	c := carryDomain.bit() | carryEdge.bit()
	if boundary {
		c |= carryBoundary.bit()
	}
	return c
}

func (s carriers) has(c carriage) bool { return s&c.bit() != 0 }

// carriage says on which plane the peer is.
func (p *Peer) carriage() carriage {
	switch {
	case !p.InDomain:
		return carryBoundary
	case p.EdgeMetadata:
		return carryEdge
	default:
		return carryDomain
	}
}

// planes returns the planes that cfg needs, and the one of them that listens
// (and serves gRPC): the first that has peers, and the domain plane if none has.
func (cfg *Config) planes() (need carriers, listener carriage) {
	for i := range cfg.Peers {
		need |= cfg.Peers[i].carriage().bit()
	}
	for c := range numCarriages {
		if need.has(c) {
			return need, c
		}
	}
	return carryDomain.bit(), carryDomain
}
