package agent

import "sync"

// A mailbox hands the latest value of each key from any goroutine to the
// loop. Putting never blocks, and what waits is bounded by the number of keys:
// a loop that falls behind sees the newest, not every, value.
type mailbox[K comparable, V any] struct {
	wake chan struct{} // one slot: poked when something waits
	// merge joins a value that waits with a newer one. Nil: the newer one.
	merge func(old, newer V) V

	mu     sync.Mutex // guards all below
	order  []K        // by first put
	latest map[K]V
}

func newMailbox[K comparable, V any](merge func(old, newer V) V) *mailbox[K, V] {
	return &mailbox[K, V]{wake: make(chan struct{}, 1), merge: merge, latest: map[K]V{}}
}

func (m *mailbox[K, V]) put(k K, v V) {
	m.mu.Lock()
	if old, ok := m.latest[k]; !ok {
		m.order = append(m.order, k)
	} else if m.merge != nil {
		v = m.merge(old, v)
	}
	m.latest[k] = v
	m.mu.Unlock()
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// take empties the box into buf, in the order of first put.
func (m *mailbox[K, V]) take(buf []V) []V {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range m.order {
		buf = append(buf, m.latest[k])
	}
	m.order = m.order[:0]
	clear(m.latest)
	return buf
}
