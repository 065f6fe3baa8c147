package timers

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

var epoch = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func at(s int) time.Time { return epoch.Add(time.Duration(s) * time.Second) }

func TestHeap(t *testing.T) {
	var h Heap[string]
	a, b, c := &Item[string]{Owner: "a"}, &Item[string]{Owner: "b"}, &Item[string]{Owner: "c"}
	want := func(why string, next time.Time, due ...string) {
		t.Helper()
		if got := h.Next(); !got.Equal(next) {
			t.Errorf("%s: next is %s, want %s", why, got, next)
		}
		if got := h.Due(at(100)); !slices.Equal(got, due) {
			t.Errorf("%s: due are %v, want %v", why, got, due)
		}
		if !h.Next().IsZero() {
			t.Errorf("%s: due items stay armed", why)
		}
	}
	want("empty", time.Time{})

	h.Set(b, at(20))
	h.Set(a, at(10))
	h.Set(c, at(30))
	want("in order of time", at(10), "a", "b", "c")

	h.Set(a, at(10))
	h.Set(b, at(20))
	h.Set(c, at(30))
	h.Set(a, at(40))
	h.Set(c, at(5))
	want("moved", at(5), "c", "b", "a")

	h.Set(a, at(10))
	h.Set(b, at(20))
	h.Remove(a)
	h.Remove(a)
	h.Set(b, time.Time{})
	h.Set(c, time.Time{})
	want("disarmed", time.Time{})

	h.Set(a, at(10))
	if got := h.Due(at(10).Add(-1)); got != nil {
		t.Errorf("%v is due a nanosecond early", got)
	}
	if got := h.Due(at(10)); len(got) != 1 {
		t.Error("not due in time")
	}
}

// TestAgainstASlice arms, moves, disarms and takes at random.
func TestAgainstASlice(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 0))
		var h Heap[int]
		items := make([]Item[int], 20)
		dumb := map[int]time.Time{}
		for i := range items {
			items[i].Owner = i
		}
		for range 300 {
			i := rng.IntN(len(items))
			switch rng.IntN(4) {
			case 0, 1:
				when := at(1 + rng.IntN(50))
				h.Set(&items[i], when)
				dumb[i] = when
			case 2:
				h.Remove(&items[i])
				delete(dumb, i)
			case 3:
				now := at(rng.IntN(50))
				got := h.Due(now)
				last := time.Time{}
				for _, owner := range got {
					when, armed := dumb[owner]
					if !armed || when.After(now) || when.Before(last) {
						t.Fatalf("seed %d: %d is due at %s, now is %s, last was %s", seed, owner, when, now, last)
					}
					last = when
					delete(dumb, owner)
				}
			}
			var next time.Time
			for _, when := range dumb {
				next = Earliest(next, when)
			}
			if !h.Next().Equal(next) {
				t.Fatalf("seed %d: next is %s, want %s", seed, h.Next(), next)
			}
		}
	}
}

func TestEarliest(t *testing.T) {
	for _, tt := range []struct {
		ts   []time.Time
		want time.Time
	}{
		{nil, time.Time{}},
		{[]time.Time{{}, {}}, time.Time{}},
		{[]time.Time{{}, at(3), at(2), {}, at(4)}, at(2)},
	} {
		if got := Earliest(tt.ts...); !got.Equal(tt.want) {
			t.Errorf("of %v: %s, want %s", tt.ts, got, tt.want)
		}
	}
}
