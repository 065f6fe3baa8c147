package events

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Limits of repeated events, per name: Burst at once, then PerSecond. An agent
// with a thousand instances still tells its story, a flapping one does not
// wash the story out of the ring.
const (
	Burst     = 64
	PerSecond = 4
)

// ErrClosed is returned by Subscription.Next after Close of the subscription
// or of the ring.
var ErrClosed = errors.New("events: closed")

// A Ring keeps the last events. Append never waits for a reader. All methods
// may be called from any goroutine.
type Ring struct {
	mu      sync.Mutex
	ring    []Event // ring[(id-1) % len] holds event id
	last    uint64  // id of the newest, 0: none
	buckets map[Name]*bucket
	subs    map[*Subscription]struct{}
	closed  bool
	levels  map[Name]Description
}

// bucket is the token bucket of one name.
type bucket struct {
	tokens     float64
	at         time.Time
	suppressed uint64
	since      time.Time
}

// NewRing returns a ring for the last n events, at least 1.
func NewRing(n int) *Ring {
	r := &Ring{
		ring:    make([]Event, max(n, 1)),
		buckets: make(map[Name]*bucket),
		subs:    make(map[*Subscription]struct{}),
		levels:  make(map[Name]Description, len(Names)),
	}
	for _, d := range Names {
		r.levels[d.Name] = d
	}
	return r
}

// Append numbers an event and keeps it. Events of one name that come too fast
// are left out; ok is false then. The next one that is kept says how many were
// ("suppressed 312 like it"); Flush says so if no other comes. The time of the
// event drives the limit, so a writer must set At.
func (r *Ring) Append(e Event) (id uint64, ok bool) {
	e.Fields = withoutClients(e.Fields)
	r.mu.Lock()
	defer r.mu.Unlock()
	d := r.levels[e.Name]
	if e.Level == "" {
		e.Level = d.Level
	}
	if e.Level == "" {
		e.Level = Info
	}
	if !d.Always {
		suppressed, ok := r.admit(e.Name, e.At)
		if !ok {
			return 0, false
		}
		if suppressed > 0 {
			e.Message = fmt.Sprintf("%s (suppressed %d like it)", e.Message, suppressed)
			e.Fields = append(slices.Clip(e.Fields), Field{"suppressed", suppressed})
		}
	}
	return r.put(e), true
}

// Flush writes one EventsSuppressed event for every name of which events were
// left out and that has been calm since for a second. Call it now and then.
func (r *Ring) Flush(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	names := make([]Name, 0, len(r.buckets))
	for n, b := range r.buckets {
		if b.suppressed > 0 && now.Sub(b.at) >= time.Second {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	for _, n := range names {
		b := r.buckets[n]
		r.put(Event{
			At: now, Name: EventsSuppressed, Level: Info,
			Message: fmt.Sprintf("suppressed %d events %s since %s", b.suppressed, n, b.since.Format(time.TimeOnly)),
			Fields:  Fields{{"name", string(n)}, {"suppressed", b.suppressed}},
		})
		b.suppressed = 0
	}
}

// admit takes a token of the name. It returns how many were suppressed before.
func (r *Ring) admit(n Name, now time.Time) (suppressed uint64, ok bool) {
	b := r.buckets[n]
	if b == nil {
		b = &bucket{tokens: Burst, at: now}
		r.buckets[n] = b
	}
	if dt := now.Sub(b.at).Seconds(); dt > 0 { // a clock that was set back gives nothing
		b.tokens = min(Burst, b.tokens+dt*PerSecond)
		b.at = now
	}
	if b.tokens < 1 {
		if b.suppressed == 0 {
			b.since = now
		}
		b.suppressed++
		return 0, false
	}
	b.tokens--
	suppressed, b.suppressed = b.suppressed, 0
	return suppressed, true
}

func (r *Ring) put(e Event) uint64 {
	r.last++
	e.ID = r.last
	r.ring[(e.ID-1)%uint64(len(r.ring))] = e
	for s := range r.subs {
		s.wake()
	}
	return e.ID
}

// Last returns the newest n events, oldest first.
func (r *Ring) Last(n int) []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	n = max(n, 0)
	out, _ := r.since(r.last-min(r.last, uint64(n)), n)
	return out
}

// LastID returns the number of the newest event, 0 if there is none.
func (r *Ring) LastID() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

// Since returns up to max events after event id, oldest first, and how many
// between id and the first returned are no longer kept. An id that was never
// given out belongs to an earlier life of the agent and counts as 0.
func (r *Ring) Since(id uint64, max int) (events []Event, missed uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.since(id, max)
}

func (r *Ring) since(id uint64, limit int) ([]Event, uint64) {
	if id > r.last {
		id = 0
	}
	var missed uint64
	if oldest := r.last - min(r.last, uint64(len(r.ring))); id < oldest {
		missed = oldest - id
		id = oldest
	}
	n := min(r.last-id, uint64(max(limit, 0)))
	out := make([]Event, 0, n)
	for i := id + 1; i <= id+n; i++ {
		out = append(out, r.ring[(i-1)%uint64(len(r.ring))])
	}
	return out, missed
}

// Close ends all subscriptions once they have read what is there. Append goes
// on working.
func (r *Ring) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	for s := range r.subs {
		s.wake()
	}
}

// A Subscription reads the ring from a position on. It buffers nothing itself:
// a reader slower than the ring is long misses events and is told how many.
// It belongs to one goroutine, but Close may be called from any.
type Subscription struct {
	ring   *Ring
	after  uint64        // owned by the reader
	more   chan struct{} // one slot: there may be something new
	closed chan struct{}
	once   sync.Once
}

// Subscribe returns a reader of the events after id. Close it.
func (r *Ring) Subscribe(after uint64) *Subscription {
	s := &Subscription{ring: r, after: after, more: make(chan struct{}, 1), closed: make(chan struct{})}
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.after > r.last {
		s.after = 0
	}
	r.subs[s] = struct{}{}
	s.wake()
	return s
}

func (s *Subscription) wake() {
	select {
	case s.more <- struct{}{}:
	default:
	}
}

// Next waits for events, and returns up to max of them and how many were
// missed before the first. It returns the context's error when that ends
// first, ErrClosed after Close.
func (s *Subscription) Next(ctx context.Context, max int) (events []Event, missed uint64, err error) {
	for {
		select {
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		case <-s.closed:
			return nil, 0, ErrClosed
		case <-s.more:
		}
		s.ring.mu.Lock()
		events, missed = s.ring.since(s.after, max)
		if len(events) > 0 {
			s.after = events[len(events)-1].ID
		}
		if s.after < s.ring.last || s.ring.closed {
			s.wake()
		}
		closed := s.ring.closed
		s.ring.mu.Unlock()
		if len(events) > 0 {
			return events, missed, nil
		}
		if closed {
			return nil, 0, ErrClosed
		}
	}
}

// Close ends the subscription. It may be called twice.
func (s *Subscription) Close() {
	s.once.Do(func() {
		s.ring.mu.Lock()
		delete(s.ring.subs, s)
		s.ring.mu.Unlock()
		close(s.closed)
	})
}

func withoutClients(f Fields) Fields {
	if !slices.ContainsFunc(f, func(p Field) bool { return aboutClients(p.Key) }) {
		return f
	}
	return slices.DeleteFunc(slices.Clone(f), func(p Field) bool { return aboutClients(p.Key) })
}
