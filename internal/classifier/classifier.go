// Package classifier is a CATS Traffic Classifier (C-TC, RFC 10053 section
// 3.4.5) in user space: it gives each new flow an instance by the split that
// the selection set, and counts the flows that are open. Programs that open
// connections themselves use it; the kernel's data plane applies the same rule
// to packets.
//
// It does not know why a target was chosen, and keeps nothing about clients.
package classifier

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/catsbgp/catsbgp/advert"
	"github.com/catsbgp/catsbgp/selection"
)

// A Table holds the splits of all services. The zero value is empty and ready.
// It is safe for concurrent use.
type Table struct {
	mu       sync.RWMutex
	services map[advert.CSID]*service
}

type service struct {
	mu      sync.Mutex // guards all below
	rng     *rand.Rand
	split   *selection.Split
	picker  *selection.Picker
	targets []*counter // of split.Targets; nil: never had a flow
	all     map[advert.InstanceKey]*counter
}

// A counter counts the flows of one target. It begins with the first flow, and
// outlives the target's place in the split while flows are open, and a minute
// longer.
type counter struct {
	open    atomic.Int64
	started uint64    // guarded by the service's mu
	last    time.Time // when a flow last began or was seen open; likewise
}

// A Flow is one open flow. Close it when it ends.
type Flow struct {
	Target  selection.Target
	Version uint64 // of the split that chose
	counter *counter
	closed  atomic.Bool
}

// Close ends the flow. Further calls do nothing.
func (f *Flow) Close() {
	if f.closed.CompareAndSwap(false, true) {
		f.counter.open.Add(-1)
	}
}

// Set makes a split the one in force for its service. Open flows stay where
// they are.
func (t *Table) Set(sp *selection.Split) {
	s := t.service(sp.Service)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.split, s.picker = sp.Settled(), selection.NewPicker(sp)
	if cap(s.targets) < len(sp.Targets) {
		s.targets = make([]*counter, len(sp.Targets))
	}
	s.targets = s.targets[:len(sp.Targets)]
	clear(s.targets)
	if len(s.all) == 0 {
		return
	}
	used := make(map[advert.InstanceKey]bool, len(s.all))
	for i := range sp.Targets {
		if c := s.all[sp.Targets[i].Key]; c != nil {
			s.targets[i], used[sp.Targets[i].Key] = c, true
		}
	}
	for key, c := range s.all {
		// Whoever was told of open flows must be told that they ended.
		if !used[key] && c.open.Load() == 0 && sp.At.Sub(c.last) >= idle {
			delete(s.all, key)
		}
	}
}

func (t *Table) service(id advert.CSID) *service {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.services[id]
	if s == nil {
		if t.services == nil {
			t.services = map[advert.CSID]*service{}
		}
		s = &service{rng: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())), all: map[advert.InstanceKey]*counter{}}
		t.services[id] = s
	}
	return s
}

// Drop forgets a service. Open flows may still be closed.
func (t *Table) Drop(id advert.CSID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.services, id)
}

// Open chooses a target for a new flow. It returns nil if there is none: then
// plain anycast routing has the flow.
func (t *Table) Open(id advert.CSID) *Flow {
	t.mu.RLock()
	s := t.services[id]
	t.mu.RUnlock()
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.picker == nil {
		return nil
	}
	i := s.picker.Pick(s.rng, func(i int) int {
		if c := s.targets[i]; c != nil {
			return int(c.open.Load())
		}
		return 0
	})
	if i < 0 {
		return nil
	}
	c := s.targets[i]
	if c == nil {
		c = &counter{}
		s.targets[i], s.all[s.split.Targets[i].Key] = c, c
	}
	c.open.Add(1)
	c.started++
	c.last = time.Now()
	return &Flow{Target: s.split.Targets[i], Version: s.split.Version, counter: c}
}

// A Count is how many flows a target has open, and was ever given.
type Count struct {
	Service advert.CSID
	Key     advert.InstanceKey
	Open    int
	Started uint64
}

// idle is how long the counts of a target without flows are still told: then
// its rate has faded in whoever keeps one.
const idle = time.Minute

// Counts appends the counts of all targets that have flows, or had until a
// minute ago, in no particular order.
func (t *Table) Counts(now time.Time, to []Count) []Count {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for id, s := range t.services {
		s.mu.Lock()
		for key, c := range s.all {
			open := int(c.open.Load())
			if open > 0 {
				c.last = now
			}
			if now.Sub(c.last) < idle {
				to = append(to, Count{id, key, open, c.started})
			}
		}
		s.mu.Unlock()
	}
	return to
}
