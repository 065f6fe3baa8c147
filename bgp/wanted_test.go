package bgp

import (
	"fmt"
	"net/netip"
	"testing"

	"pgregory.net/rapid"
)

// carryOutJobs does to have, the table of each plane, what the jobs say.
func carryOutJobs(t interface{ Fatalf(string, ...any) }, jobs []job, have *[numCarriages]map[netip.Prefix]byte) {
	for _, j := range jobs {
		for c := range numCarriages {
			switch {
			case j.tell.has(c) && j.take.has(c):
				t.Fatalf("%v is both told to and taken from %v", j.ann.Prefix, c)
			case j.tell.has(c):
				have[c][j.ann.Prefix] = told(&j.ann)
			case j.take.has(c):
				if _, ok := have[c][j.ann.Prefix]; !ok {
					t.Fatalf("%v is taken from %v, which does not have it", j.ann.Prefix, c)
				}
				delete(have[c], j.ann.Prefix)
			}
		}
	}
}

// told is what the tables of the model hold.
func told(a *Announcement) byte {
	v := a.Attribute[0]
	if a.MED.Present {
		v |= 0x80
	}
	return v
}

// From any history, carrying out the jobs in portions of any size makes the
// tables what is wanted, and nothing is left behind.
func TestWantedModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWanted()
		truth := map[netip.Prefix]*Announcement{}
		var have [numCarriages]map[netip.Prefix]byte
		for c := range have {
			have[c] = map[netip.Prefix]byte{}
		}
		draw := func(t *rapid.T) *Announcement {
			return &Announcement{
				Prefix:    instance(rapid.IntRange(0, 6).Draw(t, "route")),
				Attribute: []byte{byte(rapid.IntRange(0, 2).Draw(t, "value"))},
				Boundary:  rapid.Bool().Draw(t, "boundary"),
				MED:       Optional{Present: rapid.Bool().Draw(t, "med")},
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				a := draw(t)
				truth[a.Prefix] = a
				w.put([]Announcement{*a})
			},
			"remove": func(t *rapid.T) {
				a := draw(t)
				delete(truth, a.Prefix)
				w.remove([]netip.Prefix{a.Prefix})
			},
			"replace": func(t *rapid.T) {
				clear(truth)
				var all []Announcement
				for range rapid.IntRange(0, 5).Draw(t, "n") {
					a := draw(t)
					all = append(all, *a)
					truth[a.Prefix] = a
				}
				w.replace(all)
			},
			"plane": func(t *rapid.T) {
				c := carriage(rapid.IntRange(0, int(numCarriages)-1).Draw(t, "plane"))
				if w.planes.has(c) {
					w.close(c)
					clear(have[c])
				} else {
					w.open(c)
				}
			},
			"carry out": func(t *rapid.T) {
				carryOutJobs(t, w.next(nil, rapid.IntRange(1, 4).Draw(t, "n")), &have)
			},
		})
		for {
			jobs := w.next(nil, 3)
			if len(jobs) == 0 {
				break
			}
			carryOutJobs(t, jobs, &have)
		}
		for c := range numCarriages {
			want := map[netip.Prefix]byte{}
			intended := 0
			for p, a := range truth {
				if carriersOf(a.Boundary).has(c) {
					intended++
					if w.planes.has(c) {
						want[p] = told(a)
					}
				}
			}
			if fmt.Sprint(want) != fmt.Sprint(have[c]) {
				t.Fatalf("%v plane has %v, want %v", c, have[c], want)
			}
			if got := w.counts(c); got.intended != intended || got.handed != len(want) {
				t.Fatalf("%v plane counts %+v, want %d and %d", c, got, intended, len(want))
			}
		}
		if len(w.items) != len(truth) {
			t.Fatalf("%d routes kept, %d wanted", len(w.items), len(truth))
		}
	})
}

func TestWantedConflates(t *testing.T) {
	w := newWanted()
	w.open(carryDomain)
	for i := range byte(10) {
		a := ann("192.0.2.1/32", []byte{i})
		w.put([]Announcement{a})
	}
	jobs := w.next(nil, 100)
	if len(jobs) != 1 || jobs[0].ann.Attribute[0] != 9 {
		t.Errorf("%d jobs, want the last value only", len(jobs))
	}
	same := ann("192.0.2.1/32", []byte{9})
	w.put([]Announcement{same})
	if jobs := w.next(nil, 100); len(jobs) != 0 {
		t.Errorf("the same value again is work: %v", jobs)
	}
	w.remove(prefixes("192.0.2.1/32"))
	w.put([]Announcement{same})
	w.remove(prefixes("192.0.2.1/32"))
	if jobs := w.next(nil, 100); len(jobs) != 1 || !jobs[0].take.has(carryDomain) {
		t.Errorf("jobs %v, want one withdrawal", jobs)
	}
}
