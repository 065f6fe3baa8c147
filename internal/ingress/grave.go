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
	order  []burial // by time
}

type graveKey struct {
	service advert.CSID
	key     advert.InstanceKey
}

type grave struct {
	sequence  advert.Sequence
	generated uint32
	until     uptime
}

type burial struct {
	key   graveKey
	until uptime
}

// graveCount is how many withdrawn ones are remembered, in all.
const graveCount = 1 << 16

// sequenceTime is how long a sequence counts after it was last heard, by the
// validity that came with it, in seconds. Past that an old announcement is out
// by its own generation time; and a site that restarted with an earlier clock
// must not be locked out for ever.
func sequenceTime(validity uint16) time.Duration {
	return min(max(5*time.Minute, 2*time.Duration(validity)*time.Second), time.Hour)
}

// bury remembers what an entry said last.
func (g *graveyard) bury(up uptime, e *entry) {
	if g.graves == nil {
		g.graves = map[graveKey]grave{}
	}
	k := graveKey{e.service.id, e.key()}
	until := up + sequenceTime(e.said.validity)
	g.graves[k] = grave{e.sequence, e.generated, until}
	g.order = append(g.order, burial{k, until})
	for len(g.order) > graveCount {
		g.forget(g.order[0])
		g.order = g.order[1:]
	}
}

// last returns what a withdrawn predecessor of an entry said last.
func (g *graveyard) last(up uptime, e *entry) (grave, bool) {
	if len(g.graves) == 0 {
		return grave{}, false
	}
	gr, ok := g.graves[graveKey{e.service.id, e.key()}]
	return gr, ok && up < gr.until
}

// dig forgets an entry's predecessor: it is outdone.
func (g *graveyard) dig(e *entry) {
	if len(g.graves) > 0 {
		delete(g.graves, graveKey{e.service.id, e.key()})
	}
}

// forget ends a burial, unless there was a later one.
func (g *graveyard) forget(b burial) {
	if g.graves[b.key].until == b.until {
		delete(g.graves, b.key)
	}
}

func (g *graveyard) sweep(up uptime) {
	n := 0
	for n < len(g.order) && g.order[n].until <= up {
		g.forget(g.order[n])
		n++
	}
	g.order = g.order[n:]
	if len(g.order) == 0 {
		*g = graveyard{} // a map does not shrink
	}
}
