package bgp

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
	"github.com/osrg/gobgp/v4/pkg/server"
)

// world is what the GoBGP servers of a process share without a lock of their
// own: package variables of GoBGP, read on every UPDATE.
var world worldState

type worldState struct {
	mu           sync.Mutex
	servers      []*server.BgpServer // that run
	speakers     int                 // that run
	edgeMetadata bool
}

// startAlone calls start, which starts s, while all other servers stand still:
// StartBgp writes the route selection options, which all servers read (with us
// they are always the same).
func startAlone(s *server.BgpServer, start func() error) error {
	world.mu.Lock()
	defer world.mu.Unlock()
	var err error
	pause(world.servers, func() { err = start() })
	if err == nil {
		world.servers = append(world.servers, s)
	}
	return err
}

// stopped says that a server has come to its end.
func stopped(s *server.BgpServer) {
	world.mu.Lock()
	defer world.mu.Unlock()
	world.servers = slices.DeleteFunc(world.servers, func(x *server.BgpServer) bool { return x == s })
}

// pause calls do while the servers hold still. GoBGP runs watch options under
// its global lock, and that is all there is to it: the watch itself ends at
// once.
func pause(servers []*server.BgpServer, do func()) {
	if len(servers) == 0 {
		do()
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	called := false
	option := before(server.WatchEor(false), func() {
		called = true
		pause(servers[1:], do)
	})
	_ = servers[0].WatchEvent(ctx, server.WatchEventMessageCallbacks{}, option)
	if !called { // this server has just ended
		pause(servers[1:], do)
	}
}

// before returns an option that does do first. It is generic because GoBGP's
// options are functions of a type that has no exported name.
func before[T any](option func(T), do func()) func(T) {
	return func(arg T) {
		do()
		option(arg)
	}
}

// speakerRuns counts speakers.
func speakerRuns(n int) {
	world.mu.Lock()
	defer world.mu.Unlock()
	world.speakers += n
}

var errEdgeTooLate = errors.New("bgp: edge metadata: GoBGP can only be taught attribute 42 while no speaker of this process runs")

// enableEdgeMetadata makes GoBGP carry EdgeMetadataType from now on, in the
// whole process: it drops attributes that are non-transitive and unknown to it,
// even from our own routes. What it knows is a map that it reads everywhere, so
// it can only be written while nothing runs. Once known, the attribute must
// come with exactly these flags; others make a received route a withdrawal.
func (w *worldState) enableEdgeMetadata() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.edgeMetadata {
		return nil
	}
	if w.speakers > 0 {
		return errEdgeTooLate
	}
	bgp.PathAttrFlags[EdgeMetadataType] = flagsEdge
	w.edgeMetadata = true
	return nil
}
