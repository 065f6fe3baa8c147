package bgp

import (
	"errors"
	"sync"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

// GoBGP drops attributes that are non-transitive and unknown to it, even from
// our own routes. The way to make EdgeMetadataType known is a plain map of the
// packet library, which every server of the process reads without a lock: it
// can only be written while none runs. Once known, the attribute must come with
// exactly these flags; other flags make a received route a withdrawal.
var edgeMetadata struct {
	mu      sync.Mutex
	enabled bool
	running int // speakers
}

var errEdgeTooLate = errors.New("bgp: edge metadata: GoBGP can only be taught attribute 42 while no speaker of this process runs: restart")

// enableEdgeMetadata makes GoBGP carry EdgeMetadataType from now on, in the
// whole process.
func enableEdgeMetadata() error {
	e := &edgeMetadata
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.enabled {
		return nil
	}
	if e.running > 0 {
		return errEdgeTooLate
	}
	bgp.PathAttrFlags[EdgeMetadataType] = flagsEdge
	e.enabled = true
	return nil
}

func speakerRuns(n int) {
	edgeMetadata.mu.Lock()
	defer edgeMetadata.mu.Unlock()
	edgeMetadata.running += n
}
