package api

import (
	"context"

	"github.com/catsbgp/catsbgp/internal/events"
)

// A Backend is the agent behind the server. All methods may be called from any
// goroutine, must honour the context and must return snapshots that nobody
// changes afterwards. Lists are in a stable order, whichever the agent deems
// natural. Errors that are not an *Error are reported as "internal".
type Backend interface {
	Status(ctx context.Context) (Status, error)
	Services(ctx context.Context) ([]Service, error)
	Instances(ctx context.Context) ([]Instance, error)
	Sites(ctx context.Context) ([]Site, error)
	Routes(ctx context.Context) ([]Route, error)
	Heard(ctx context.Context) ([]HeardRoute, error)
	Peers(ctx context.Context) ([]Peer, error)
	Dampening(ctx context.Context) ([]Dampening, error)

	// Explain takes a CS-ID or a service name; NotFound if there is none.
	Explain(ctx context.Context, csid string) (Explanation, error)

	// Drain returns Refused if nothing would be left of a service and Force is
	// not set, NotFound if the target names nothing.
	Drain(ctx context.Context, r DrainRequest) (DrainResult, error)
	// Reload reads the configuration again. A configuration that is not accepted
	// is a result that is not OK, not an error.
	Reload(ctx context.Context) (ReloadResult, error)
	Push(ctx context.Context, r PushRequest) error

	Events() *events.Ring
	// Ready reports whether the agent does its work, and otherwise why not.
	Ready(ctx context.Context) (bool, []string)
	// Live reports whether the agent's loop still turns. It must not block.
	Live() bool
}
