package agent

import (
	"slices"
	"testing"

	"github.com/catsbgp/catsbgp/internal/collect"
)

func TestMailboxKeepsTheNewestOfEachKey(t *testing.T) {
	m := newMailbox[string, int](nil)
	for i, k := range []string{"b", "a", "b", "c", "a"} {
		m.put(k, i)
	}
	select {
	case <-m.wake:
	default:
		t.Fatal("nobody was woken")
	}
	if got := m.take(nil); !slices.Equal(got, []int{2, 4, 3}) {
		t.Errorf("got %v, want the newest of b, a, c", got)
	}
	if got := m.take(nil); len(got) != 0 {
		t.Errorf("got %v from an empty box", got)
	}
}

// A loop that is late must not lose that a check changed, nor values that came
// in pieces.
func TestSamplesThatWaitAreMerged(t *testing.T) {
	check := mergeSamples(collect.CheckEvent{Up: false, Changed: true}, collect.CheckEvent{Up: false})
	if !check.(collect.CheckEvent).Changed {
		t.Error("the change of a check was lost")
	}
	pushed := mergeSamples(
		collect.SourceEvent{Values: map[string]float64{"utilisation": 0.1, "slots": 8}},
		collect.SourceEvent{Values: map[string]float64{"utilisation": 0.2}},
	).(collect.SourceEvent)
	if pushed.Values["utilisation"] != 0.2 || pushed.Values["slots"] != 8 {
		t.Errorf("pushed values became %v", pushed.Values)
	}
}
