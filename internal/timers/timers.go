// Package timers keeps, for a pure core, which of its parts wants to be looked
// at next. It reads no clock and starts nothing.
package timers

import (
	"container/heap"
	"time"
)

// A Heap orders owners by time. The zero value is empty and ready.
type Heap[T any] struct{ items items[T] }

// An Item is an owner's place in a Heap. It must not move while it is armed.
type Item[T any] struct {
	Owner T
	at    time.Time
	index int // 1-based position in the heap; 0: not armed
}

// Set arms or moves an item; the zero time disarms it.
func (h *Heap[T]) Set(it *Item[T], at time.Time) {
	switch {
	case at.IsZero():
		h.Remove(it)
	case it.index == 0:
		it.at = at
		heap.Push(&h.items, it)
	default:
		it.at = at
		heap.Fix(&h.items, it.index-1)
	}
}

// Remove disarms an item.
func (h *Heap[T]) Remove(it *Item[T]) {
	if it.index != 0 {
		heap.Remove(&h.items, it.index-1)
	}
}

// Due disarms the items whose time has come and returns their owners.
func (h *Heap[T]) Due(now time.Time) (owners []T) {
	for len(h.items) > 0 && !h.items[0].at.After(now) {
		owners = append(owners, heap.Pop(&h.items).(*Item[T]).Owner)
	}
	return owners
}

// Next returns the earliest time in the heap, zero if it is empty.
func (h *Heap[T]) Next() time.Time {
	if len(h.items) == 0 {
		return time.Time{}
	}
	return h.items[0].at
}

// Earliest returns the first of the times that are not zero.
func Earliest(ts ...time.Time) (first time.Time) {
	for _, t := range ts {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}

type items[T any] []*Item[T]

func (s items[T]) Len() int           { return len(s) }
func (s items[T]) Less(i, j int) bool { return s[i].at.Before(s[j].at) }
func (s items[T]) Swap(i, j int) {
	s[i], s[j] = s[j], s[i]
	s[i].index, s[j].index = i+1, j+1
}

func (s *items[T]) Push(x any) {
	it := x.(*Item[T])
	*s = append(*s, it)
	it.index = len(*s)
}

func (s *items[T]) Pop() any {
	old := *s
	it := old[len(old)-1]
	old[len(old)-1] = nil
	*s = old[:len(old)-1]
	it.index = 0
	return it
}
