package bgp

import (
	"net/netip"
	"sync"
)

// wanted is the set of routes we want to announce, and which of them GoBGP has
// yet to be told about. A route that changes often waits once, with its latest
// value. All costs are per change, never per route, except in replace.
type wanted struct {
	wake chan struct{} // one slot

	mu      sync.Mutex
	items   map[netip.Prefix]*wantedRoute
	changed []*wantedRoute // in order of their first change; [:head] is taken
	head    int
	planes  carriers             // that exist
	sum     [numCarriages]counts // of each plane
}

type counts struct{ intended, handed int }

// A wantedRoute is guarded by wanted.mu. There may be very many, so it is an
// Announcement without what most have not.
type wantedRoute struct {
	prefix    netip.Prefix
	attribute []byte
	rest      *Announcement // nil: all but prefix, attribute and boundary is zero
	boundary  bool
	withdrawn bool     // only prefix counts
	queued    bool     // in wanted.changed
	pending   carriers // planes that have to be told
	handed    carriers // planes that hold an earlier value
}

func (r *wantedRoute) announcement() Announcement {
	var a Announcement
	if r.rest != nil {
		a = *r.rest
	}
	a.Prefix, a.Attribute, a.Boundary = r.prefix, r.attribute, r.boundary
	return a
}

func (r *wantedRoute) store(a *Announcement) {
	r.attribute, r.boundary, r.rest = a.Attribute, a.Boundary, nil
	if plain := (&Announcement{Prefix: a.Prefix, Attribute: a.Attribute, Boundary: a.Boundary}); !a.equal(plain) {
		kept := *a
		r.rest = &kept
	}
}

func (r *wantedRoute) carriers() carriers {
	if r.withdrawn {
		return 0
	}
	return carriersOf(r.boundary)
}

// A job is one route to be brought to GoBGP.
type job struct {
	ann  Announcement
	tell carriers // planes to announce it on
	take carriers // planes to withdraw it from
}

func newWanted() *wanted {
	return &wanted{wake: make(chan struct{}, 1), items: make(map[netip.Prefix]*wantedRoute)}
}

// put adds or changes routes.
func (w *wanted) put(anns []Announcement) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range anns {
		w.set(&anns[i])
	}
	w.poke()
}

// remove withdraws routes.
func (w *wanted) remove(prefixes []netip.Prefix) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range prefixes {
		w.unset(w.items[p.Masked()])
	}
	w.poke()
}

// replace makes anns the whole set. The last of several with one prefix counts.
func (w *wanted) replace(anns []Announcement) {
	keep := make(map[netip.Prefix]struct{}, len(anns))
	for i := range anns {
		keep[anns[i].Prefix] = struct{}{}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for p, r := range w.items {
		if _, ok := keep[p]; !ok {
			w.unset(r)
		}
	}
	for i := range anns {
		w.set(&anns[i])
	}
	w.poke()
}

// set gives the route of a's prefix the value a, which is not kept.
func (w *wanted) set(a *Announcement) {
	r := w.items[a.Prefix]
	if r == nil {
		r = &wantedRoute{prefix: a.Prefix, withdrawn: true}
		w.items[a.Prefix] = r
	} else if !r.withdrawn {
		if old := r.announcement(); old.equal(a) {
			return
		}
	}
	w.count(r.carriers(), -1)
	r.withdrawn = false
	r.store(a)
	w.count(r.carriers(), +1)
	r.pending |= (r.carriers() | r.handed) & w.planes
	w.queue(r)
}

// unset withdraws r, which may be nil.
func (w *wanted) unset(r *wantedRoute) {
	if r == nil || r.withdrawn {
		return
	}
	w.count(r.carriers(), -1)
	*r = wantedRoute{prefix: r.prefix, withdrawn: true, queued: r.queued, pending: r.pending, handed: r.handed}
	r.pending |= r.handed
	w.queue(r)
}

func (w *wanted) count(on carriers, n int) {
	for c := range numCarriages {
		if on.has(c) {
			w.sum[c].intended += n
		}
	}
}

func (w *wanted) queue(r *wantedRoute) {
	if r.queued {
		return
	}
	if r.pending == 0 {
		w.forget(r)
		return
	}
	r.queued = true
	w.changed = append(w.changed, r)
}

// forget drops a withdrawn route that nobody has to be told about.
func (w *wanted) forget(r *wantedRoute) {
	if r.withdrawn && r.handed == 0 && !r.queued {
		delete(w.items, r.prefix)
	}
}

// open makes plane c one that has to be told everything.
func (w *wanted) open(c carriage) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.planes |= c.bit()
	for _, r := range w.items {
		if r.carriers().has(c) {
			r.pending |= c.bit()
			w.queue(r)
		}
	}
	w.poke()
}

// close makes plane c one that is gone, with all it held.
func (w *wanted) close(c carriage) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.planes &^= c.bit()
	w.sum[c].handed = 0
	for _, r := range w.items {
		r.pending &^= c.bit()
		r.handed &^= c.bit()
		w.forget(r)
	}
}

// next appends up to n changes to jobs. The caller must carry them out before
// it asks again.
func (w *wanted) next(jobs []job, n int) []job {
	w.mu.Lock()
	defer w.mu.Unlock()
	for ; w.head < len(w.changed) && n > 0; w.head++ {
		r := w.changed[w.head]
		w.changed[w.head] = nil
		r.queued = false
		on := r.carriers()
		j := job{ann: r.announcement(), tell: r.pending & on, take: r.pending & r.handed &^ on}
		r.pending = 0
		for c := range numCarriages {
			if j.tell.has(c) && !r.handed.has(c) {
				w.sum[c].handed++
			} else if j.take.has(c) {
				w.sum[c].handed--
			}
		}
		r.handed = r.handed&^j.take | j.tell
		w.forget(r)
		if j.tell|j.take != 0 {
			jobs = append(jobs, j)
			n--
		}
	}
	if w.head == len(w.changed) {
		w.changed, w.head = w.changed[:0], 0
	}
	return jobs
}

func (w *wanted) counts(c carriage) counts {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sum[c]
}

func (w *wanted) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}
