// Package apitest is an agent made of fixed documents, for tests of what talks
// to one. The documents tell one consistent story: the agent "madrid" offers
// "video" and splits its new flows over three sites.
package apitest

import (
	"context"
	"sync"
	"time"

	"github.com/catsbgp/catsbgp/internal/api"
	"github.com/catsbgp/catsbgp/internal/events"
)

// Now is the time of the story.
var Now = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// A Backend answers with what is in it. Change it before use, or under Lock.
type Backend struct {
	sync.Mutex
	StatusDoc     api.Status
	ServiceDocs   []api.Service
	InstanceDocs  []api.Instance
	SiteDocs      []api.Site
	RouteDocs     []api.Route
	HeardDocs     []api.HeardRoute
	PeerDocs      []api.Peer
	DampeningDocs []api.Dampening
	Explanations  map[string]api.Explanation // by CS-ID and by name
	ReloadDoc     api.ReloadResult
	Err           error // returned by every question
	Alive         bool
	Ring          *events.Ring

	Drains []api.DrainRequest // as asked
	Pushes []api.PushRequest
}

var _ api.Backend = (*Backend)(nil)

// New returns the story.
func New() *Backend {
	b := &Backend{
		StatusDoc: status(), ServiceDocs: services(), InstanceDocs: instances(), SiteDocs: sites(),
		RouteDocs: routes(), HeardDocs: heard(), PeerDocs: peers(), DampeningDocs: dampening(),
		Alive: true, Ring: events.NewRing(256),
	}
	e := explanation()
	b.Explanations = map[string]api.Explanation{"203.0.113.10": e, "video": e}
	b.ReloadDoc = api.ReloadResult{
		OK: true, File: "/etc/catsbgp/catsbgp.toml", At: Now,
		Changes: api.List[api.Change]{
			{Path: "dampening.delta", Old: "10%", New: "5%", Effect: api.EffectLive},
			{Path: "bgp.peer[rr2].hold_time", Old: "90s", New: "30s", Effect: api.EffectPeerReset},
			{Path: "bgp.asn", Old: "65001", New: "65002", Effect: api.EffectRestart},
		},
	}
	at := func(s int) time.Time { return Now.Add(time.Duration(s) * time.Second) }
	for _, e := range []events.Event{
		{At: at(-600), Name: events.AgentStarted, Message: "catsbgp test"},
		{At: at(-598), Name: events.PeerUp, Peer: "rr1", Message: "established"},
		{At: at(-90), Name: events.PeerDown, Peer: "rr2", Message: "hold timer expired"},
		{At: at(-12), Name: events.MetricSaid, Service: "video", Instance: "10.0.2.11", Message: "utilisation 0.42, changed by 0.11", Fields: events.Fields{events.F("why", "delta"), events.F("level", 0.42)}},
		{At: at(-5), Name: events.SelectionChanged, Service: "video", Site: "paris", Message: "paris 58 %, madrid 42 %"},
	} {
		b.Ring.Append(e)
	}
	return b
}

func (b *Backend) Status(context.Context) (api.Status, error) {
	b.Lock()
	defer b.Unlock()
	return b.StatusDoc, b.Err
}

func (b *Backend) Services(context.Context) ([]api.Service, error) {
	b.Lock()
	defer b.Unlock()
	return b.ServiceDocs, b.Err
}

func (b *Backend) Instances(context.Context) ([]api.Instance, error) {
	b.Lock()
	defer b.Unlock()
	return b.InstanceDocs, b.Err
}

func (b *Backend) Sites(context.Context) ([]api.Site, error) {
	b.Lock()
	defer b.Unlock()
	return b.SiteDocs, b.Err
}

func (b *Backend) Routes(context.Context) ([]api.Route, error) {
	b.Lock()
	defer b.Unlock()
	return b.RouteDocs, b.Err
}

func (b *Backend) Heard(context.Context) ([]api.HeardRoute, error) {
	b.Lock()
	defer b.Unlock()
	return b.HeardDocs, b.Err
}

func (b *Backend) Peers(context.Context) ([]api.Peer, error) {
	b.Lock()
	defer b.Unlock()
	return b.PeerDocs, b.Err
}

func (b *Backend) Dampening(context.Context) ([]api.Dampening, error) {
	b.Lock()
	defer b.Unlock()
	return b.DampeningDocs, b.Err
}

func (b *Backend) Explain(_ context.Context, csid string) (api.Explanation, error) {
	b.Lock()
	defer b.Unlock()
	if b.Err != nil {
		return api.Explanation{}, b.Err
	}
	e, ok := b.Explanations[csid]
	if !ok {
		return e, api.NotFound("no service %q", csid)
	}
	return e, nil
}

// Drain knows the service "video" with the instances 10.0.2.11 and .12, and
// refuses to drain the whole of it without force.
func (b *Backend) Drain(_ context.Context, r api.DrainRequest) (api.DrainResult, error) {
	b.Lock()
	defer b.Unlock()
	if b.Err != nil {
		return api.DrainResult{}, b.Err
	}
	res := api.DrainResult{Target: r.Target, Action: "drain", Changed: true}
	state := api.StateDraining
	switch {
	case r.Undo:
		res.Action, state = "undo", api.StateUp
	case r.Withdraw:
		res.Action, state = "withdraw", api.StateDrained
	}
	ids := []string{"10.0.2.11", "10.0.2.12"}
	switch r.Target {
	case "video", "203.0.113.10":
		res.Scope = "service"
	case "site":
		res.Scope = "site"
	case "10.0.2.11", "203.0.113.10 10.0.2.11":
		res.Scope, ids = "instance", ids[:1]
	default:
		return api.DrainResult{}, api.NotFound("no service, instance or site %q", r.Target)
	}
	if len(ids) == 2 && !r.Undo && !r.Force {
		return api.DrainResult{}, api.Refused("no other site offers video; --force drains it all the same")
	}
	if r.Deadline > 0 {
		res.DeadlineAt = Now.Add(r.Deadline)
	}
	for _, id := range ids {
		res.Affected = append(res.Affected, api.DrainAffected{Service: "video", CSID: "203.0.113.10", CSCIID: id, State: state, Open: new(12.0)})
	}
	b.Drains = append(b.Drains, r)
	return res, nil
}

func (b *Backend) Reload(context.Context) (api.ReloadResult, error) {
	b.Lock()
	defer b.Unlock()
	return b.ReloadDoc, b.Err
}

func (b *Backend) Push(_ context.Context, r api.PushRequest) error {
	b.Lock()
	defer b.Unlock()
	b.Pushes = append(b.Pushes, r)
	return b.Err
}

func (b *Backend) Events() *events.Ring { return b.Ring }

func (b *Backend) Ready(context.Context) (bool, []string) {
	b.Lock()
	defer b.Unlock()
	return b.StatusDoc.Ready, b.StatusDoc.NotReady
}

func (b *Backend) Live() bool {
	b.Lock()
	defer b.Unlock()
	return b.Alive
}
