package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func ids(events []Event) []uint64 {
	out := make([]uint64, 0, len(events))
	for _, e := range events {
		out = append(out, e.ID)
	}
	return out
}

func TestRingKeepsTheNewest(t *testing.T) {
	r := NewRing(3)
	wantSince := func(what string, id uint64, max int, want []uint64, wantMissed uint64) {
		t.Helper()
		got, missed := r.Since(id, max)
		if d := cmp.Diff(want, ids(got)); d != "" || missed != wantMissed {
			t.Errorf("%s: Since(%d, %d): missed %d, want %d, ids %s", what, id, max, missed, wantMissed, d)
		}
	}
	wantSince("nothing happened yet", 0, 10, []uint64{}, 0)
	for range 5 {
		r.Append(Event{At: start, Name: ConfigReloaded})
	}
	wantSince("the two oldest are gone, and the reader is told", 0, 10, []uint64{3, 4, 5}, 2)
	wantSince("a reader who is up to date gets nothing", 5, 10, []uint64{}, 0)
	wantSince("a reader in the middle misses nothing", 3, 10, []uint64{4, 5}, 0)
	wantSince("one at a time", 2, 1, []uint64{3}, 0)
	wantSince("a number of an earlier life starts over", 4711, 10, []uint64{3, 4, 5}, 2)
	wantSince("a negative limit is none", 0, -1, []uint64{}, 2)
	if got := ids(r.Last(2)); !cmp.Equal(got, []uint64{4, 5}) {
		t.Errorf("Last(2) = %v", got)
	}
	if got := ids(r.Last(99)); !cmp.Equal(got, []uint64{3, 4, 5}) {
		t.Errorf("Last(99) = %v", got)
	}
}

// The ring against the dumb version: a slice of everything.
func TestRingAgainstSlice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(0, 7).Draw(t, "size")
		r := NewRing(size)
		kept := max(size, 1)
		var all []Event
		for i := range rapid.IntRange(0, 30).Draw(t, "events") {
			e := Event{At: start, Name: DrainStarted, Message: fmt.Sprint(i)}
			e.ID, _ = r.Append(e)
			e.Level = Info
			all = append(all, e)
		}
		id := rapid.Uint64Range(0, 40).Draw(t, "id")
		limit := rapid.IntRange(0, 10).Draw(t, "max")
		got, missed := r.Since(id, limit)

		from := int(id)
		if from > len(all) {
			from = 0
		}
		wantMissed := uint64(max(0, len(all)-kept-from))
		rest := all[from+int(wantMissed):]
		want := append([]Event{}, rest[:min(limit, len(rest))]...)
		if d := cmp.Diff(want, got); d != "" || missed != wantMissed {
			t.Fatalf("Since(%d, %d) of %d events in a ring of %d: missed %d, want %d: %s", id, limit, len(all), size, missed, wantMissed, d)
		}
	})
}

func TestRepeatedEventsAreLimitedPerName(t *testing.T) {
	r := NewRing(1000)
	now := start
	said := func() (n int) {
		for {
			if _, ok := r.Append(Event{At: now, Name: MetricSaid, Message: "said"}); !ok {
				return n
			}
			n++
		}
	}
	if n := said(); n != Burst {
		t.Fatalf("%d at once were kept, want %d", n, Burst)
	}
	for range 311 {
		r.Append(Event{At: now, Name: MetricSaid})
	}
	if _, ok := r.Append(Event{At: now, Name: PeerUp}); !ok {
		t.Error("another name suffers from a noisy one")
	}
	for range 500 {
		if _, ok := r.Append(Event{At: now, Name: DrainStarted}); !ok {
			t.Fatal("what an operator did was left out")
		}
	}

	t.Logf("# the next that is kept says what is missing")
	now = now.Add(time.Second / PerSecond)
	id, ok := r.Append(Event{At: now, Name: MetricSaid, Message: "said"})
	if !ok {
		t.Fatal("no token after its time")
	}
	got, _ := r.Since(id-1, 1)
	if want := "said (suppressed 312 like it)"; got[0].Message != want {
		t.Errorf("message %q, want %q", got[0].Message, want)
	}
	if n, _ := got[0].Fields.Get("suppressed"); n != uint64(312) {
		t.Errorf("suppressed field %v, want 312", n)
	}

	t.Logf("# nothing comes after the burst: Flush tells, once, when it is calm")
	for range 7 {
		r.Append(Event{At: now, Name: MetricSaid})
	}
	before := r.LastID()
	r.Flush(now)
	if r.LastID() != before {
		t.Error("Flush told in the middle of the burst")
	}
	r.Flush(now.Add(time.Second))
	r.Flush(now.Add(2 * time.Second))
	got, _ = r.Since(before, 9)
	if len(got) != 1 || got[0].Name != EventsSuppressed || !strings.Contains(got[0].Message, "suppressed 7 events metric.said") {
		t.Errorf("after Flush: %v", got)
	}

	t.Logf("# a clock that is set back neither gives tokens nor takes them")
	if _, ok := r.Append(Event{At: start.Add(-time.Hour), Name: PeerUp}); !ok {
		t.Error("a clock that was set back silences a name")
	}
	if _, ok := r.Append(Event{At: start.Add(-time.Hour), Name: MetricSaid}); ok {
		t.Error("a clock that was set back gives a token")
	}
}

func TestNothingAboutClients(t *testing.T) {
	r := NewRing(4)
	in := Fields{{"share", 0.5}, {"client", "198.51.100.7"}, {"client_addr", "198.51.100.7"}, {"SRC", "198.51.100.7"}, {"clients_total", 3}}
	id, _ := r.Append(Event{At: start, Name: SelectionChanged, Fields: in})
	got, _ := r.Since(id-1, 1)
	if d := cmp.Diff(Fields{{"share", 0.5}, {"clients_total", 3}}, got[0].Fields); d != "" {
		t.Error(d)
	}
	if len(in) != 5 || in[1].Key != "client" {
		t.Error("the caller's fields were changed")
	}
}

func TestSubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRing(4)
		ctx, cancel := context.WithCancel(t.Context())
		s := r.Subscribe(r.LastID())
		defer s.Close()
		type batch struct {
			IDs    []uint64
			Missed uint64
			Err    error
		}
		out := make(chan batch)
		next := func() {
			go func() {
				e, missed, err := s.Next(ctx, 2)
				out <- batch{ids(e), missed, err}
			}()
			synctest.Wait()
		}
		want := func(what string, w batch) {
			t.Helper()
			got := <-out
			if !cmp.Equal(got.IDs, w.IDs) || got.Missed != w.Missed || !errors.Is(got.Err, w.Err) {
				t.Errorf("%s: %+v, want %+v", what, got, w)
			}
		}

		next()
		if len(out) != 0 {
			t.Fatal("returned without an event")
		}
		r.Append(Event{Name: AgentReady})
		want("woken by an event", batch{IDs: []uint64{1}})

		for range 9 { // ids 2..10, the ring holds 7..10; the writer never waits
			r.Append(Event{Name: AgentReady})
		}
		next()
		want("too slow: told how many are lost", batch{IDs: []uint64{7, 8}, Missed: 5})
		next()
		want("the rest without waiting", batch{IDs: []uint64{9, 10}})

		next()
		cancel()
		want("the context ends the wait", batch{IDs: []uint64{}, Err: context.Canceled})

		ctx = t.Context()
		r.Append(Event{Name: AgentReady})
		r.Close()
		next()
		want("what is left is read after Close of the ring", batch{IDs: []uint64{11}})
		next()
		want("then it ends", batch{IDs: []uint64{}, Err: ErrClosed})
		next()
		want("and stays so", batch{IDs: []uint64{}, Err: ErrClosed})

		s.Close()
		s.Close()
		next()
		want("a closed subscription ends", batch{IDs: []uint64{}, Err: ErrClosed})
	})
}

func TestSubscribersAndWritersAtOnce(t *testing.T) {
	r := NewRing(64)
	const total = 2000
	var wg sync.WaitGroup
	for range 4 {
		s := r.Subscribe(0)
		wg.Go(func() {
			defer s.Close()
			var seen, missed, last uint64
			for seen+missed < total {
				e, m, err := s.Next(t.Context(), 10)
				if err != nil {
					t.Errorf("Next: %v", err)
					return
				}
				missed += m
				for _, e := range e {
					if e.ID <= last {
						t.Errorf("id %d after %d", e.ID, last)
					}
					last = e.ID
					seen++
				}
			}
			if seen+missed != total {
				t.Errorf("seen %d + missed %d, want %d", seen, missed, total)
			}
		})
	}
	for range 4 {
		wg.Go(func() {
			for range total / 4 {
				r.Append(Event{At: start, Name: DrainUndone})
			}
		})
	}
	wg.Wait()
}

func TestFieldsKeepTheirOrder(t *testing.T) {
	in := `{"zebra":1,"apple":"x","mango":true,"nested":{"a":null}}`
	var f Fields
	if err := json.Unmarshal([]byte(in), &f); err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(f)
	if err != nil || string(out) != in {
		t.Errorf("%s, %v, want %s", out, err, in)
	}
	for _, bad := range []string{`[1]`, `"x"`, `3`, `{"a":}`, `{"a":1`} {
		if err := json.Unmarshal([]byte(bad), &f); err == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
	if err := json.Unmarshal([]byte(`null`), &f); err != nil || f != nil {
		t.Errorf("null: %v, %v", f, err)
	}
	if _, err := json.Marshal(Fields{{"a", func() {}}}); err == nil {
		t.Error("a function can be a value")
	}
}

func TestEventRoundTrip(t *testing.T) {
	in := Event{
		ID: 7, At: start, Name: MetricSaid, Level: Info, Service: "video", Instance: "10.0.2.11",
		Site: "madrid", Peer: "rr1", Message: "said 0.61", Fields: Fields{{"level", 0.61}, {"why", "delta"}},
	}
	b, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var out Event
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(in, out); d != "" {
		t.Error(d)
	}
	if got, want := in.String(), "metric.said service=video instance=10.0.2.11 site=madrid peer=rr1: said 0.61"; got != want {
		t.Errorf("String() = %q, want %q", got, want)
	}
}
