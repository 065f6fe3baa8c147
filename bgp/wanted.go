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

// A wantedRoute is guarded by wanted.mu.
type wantedRoute struct {
	prefix  netip.Prefix
	ann     *Announcement // immutable; nil: withdrawn
	pending carriers      // planes that have to be told
	handed  carriers      // planes that hold an earlier value
	queued  bool
}

// A job is one route to be brought to GoBGP.
type job struct {
	route *wantedRoute
	ann   *Announcement // nil: withdraw
	tell  carriers      // planes to announce it on
	take  carriers      // planes to withdraw it from
}

func newWanted() *wanted {
	return &wanted{wake: make(chan struct{}, 1), items: make(map[netip.Prefix]*wantedRoute)}
}

// put adds or changes routes.
func (w *wanted) put(anns []*Announcement) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range anns {
		w.set(a.Prefix, a)
	}
	w.poke()
}

// remove withdraws routes.
func (w *wanted) remove(prefixes []netip.Prefix) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range prefixes {
		w.set(p.Masked(), nil)
	}
	w.poke()
}

// replace makes anns the whole set. The last of several with one prefix counts.
func (w *wanted) replace(anns []*Announcement) {
	keep := make(map[netip.Prefix]struct{}, len(anns))
	for _, a := range anns {
		keep[a.Prefix] = struct{}{}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for p := range w.items {
		if _, ok := keep[p]; !ok {
			w.set(p, nil)
		}
	}
	for _, a := range anns {
		w.set(a.Prefix, a)
	}
	w.poke()
}

// set gives prefix the value a, nil for none.
func (w *wanted) set(prefix netip.Prefix, a *Announcement) {
	r := w.items[prefix]
	if r == nil {
		if a == nil {
			return
		}
		r = &wantedRoute{prefix: prefix}
		w.items[prefix] = r
	} else if r.ann == a || r.ann != nil && a != nil && r.ann.equal(a) {
		return
	}
	w.count(r.ann, -1)
	w.count(a, +1)
	r.ann = a
	r.pending |= (a.carriers() | r.handed) & w.planes
	w.queue(r)
}

func (w *wanted) count(a *Announcement, n int) {
	for c := range numCarriages {
		if a.carriers().has(c) {
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
	if r.ann == nil && r.handed == 0 && !r.queued {
		delete(w.items, r.prefix)
	}
}

// open makes plane c one that has to be told everything.
func (w *wanted) open(c carriage) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.planes |= c.bit()
	for _, r := range w.items {
		if r.ann.carriers().has(c) {
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
		on := r.ann.carriers()
		j := job{route: r, ann: r.ann, tell: r.pending & on, take: r.pending & r.handed &^ on}
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
