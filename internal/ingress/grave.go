package ingress

import (
	"time"

	"github.com/catsbgp/catsbgp/advert"
)

// A graveyard remembers, for a while, the last sequence of entries that were
// withdrawn, so that an old announcement cannot be replayed in their place
// (receiver rule 4). It is bounded: the oldest are forgotten first.
type graveyard struct {
	graves map[graveKey]grave
	order  []graveKey // by time of burial; dug up ones stay until swept
}

type graveKey struct {
	service advert.CSID
	key     advert.InstanceKey
}

type grave struct {
	sequence  advert.Sequence
	generated uint32
	until     time.Time
}

// How long a sequence is remembered: past that, an old announcement is stale
// by its own generation time. And how many, in all.
const (
	graveTime  = 5 * time.Minute
	graveCount = 1 << 16
)

func (g *graveyard) bury(now time.Time, e *entry) {
	if !e.known {
		return
	}
	if g.graves == nil {
		g.graves = map[graveKey]grave{}
	}
	k := graveKey{e.service.id, e.key}
	g.graves[k] = grave{e.sequence, e.generated, now.Add(graveTime)}
	g.order = append(g.order, k)
	for len(g.order) > graveCount {
		delete(g.graves, g.order[0])
		g.order = g.order[1:]
	}
}

// recall gives a new entry the sequence that its predecessor had.
func (g *graveyard) recall(id advert.CSID, e *entry) {
	k := graveKey{id, e.key}
	if gr, ok := g.graves[k]; ok {
		e.sequence, e.generated, e.buried = gr.sequence, gr.generated, true
		delete(g.graves, k)
	}
}

func (g *graveyard) sweep(now time.Time) {
	for len(g.order) > 0 {
		gr, ok := g.graves[g.order[0]]
		if ok && now.Before(gr.until) {
			return
		}
		delete(g.graves, g.order[0])
		g.order = g.order[1:]
	}
}
