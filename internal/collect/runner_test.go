package collect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/catsbgp/catsbgp/advert"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/rs/zerolog"
)

// A tape collects what a runner emits.
type tape struct {
	mu     sync.Mutex
	events []Event
}

func (p *tape) emit(ev Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.events = append(p.events, ev)
}

func (p *tape) take() []Event {
	p.mu.Lock()
	defer p.mu.Unlock()
	events := p.events
	p.events = nil
	return events
}

// running starts a runner that ends with the test.
func running(t *testing.T, r *Runner) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	return sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 4000 {
		if ok() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("%s: never happened", what)
}

// A poller asks at its interval, give or take a tenth, never twice at once, and
// gives up at the timeout.
func TestPoller(t *testing.T) { synctest.Test(t, testPoller) }

func testPoller(t *testing.T) {
	var mu sync.Mutex
	var asked []time.Time
	times := func() []time.Time { // since the last call
		mu.Lock()
		defer mu.Unlock()
		defer func() { asked = nil }()
		return asked
	}
	var busy, closed atomic.Bool
	var takes atomic.Int64
	p := &poller{
		key:       testKey,
		source:    Source{Name: "s", Interval: 10 * time.Second, Timeout: 8 * time.Second},
		evaluator: newEvaluator(map[string]Selector{"v": {}}),
		ask: func(ctx context.Context) (answer, error) {
			if busy.Swap(true) {
				t.Error("asked twice at once")
			}
			defer busy.Store(false)
			mu.Lock()
			asked = append(asked, time.Now())
			mu.Unlock()
			select {
			case <-ctx.Done():
				return answer{}, ctx.Err()
			case <-time.After(time.Duration(takes.Load())):
				return answer{reading: flat{"v": 1}}, nil
			}
		},
	}
	p.close = func() { closed.Store(true) }
	var out tape
	ctx, cancel := context.WithCancel(t.Context())
	began := time.Now()
	go p.run(ctx, out.emit)

	time.Sleep(1001 * time.Second)
	synctest.Wait()
	moments := times()
	if n := len(moments); n < 91 || n > 112 {
		t.Errorf("asked %d times in 1000 s, want about 100", n)
	}
	if first := moments[0].Sub(began); first > time.Second {
		t.Errorf("asked after %v, want within a tenth of the interval", first)
	}
	waits := map[time.Duration]bool{}
	for i := range len(moments) - 1 {
		waits[moments[i+1].Sub(moments[i])] = true
		if d := moments[i+1].Sub(moments[i]); d < 9*time.Second || d > 11*time.Second {
			t.Errorf("asked after %v", d)
		}
	}

	if len(waits) < 10 {
		t.Errorf("only %d different intervals: sources stay in step", len(waits))
	}

	t.Log("# a source that hangs")
	takes.Store(int64(time.Hour))
	time.Sleep(12 * time.Second)
	synctest.Wait()
	out.take()
	time.Sleep(50 * time.Second)
	synctest.Wait()
	events := out.take()
	if len(events) < 4 || len(events) > 6 {
		t.Errorf("%d events in 50 s", len(events))
	}
	for _, ev := range events {
		if err := ev.(SourceEvent).Err; err == nil || err.Error() != "no answer within 8s" {
			t.Errorf("a source that hangs: %v", err)
		}
	}

	t.Log("# one that is slower than its interval is asked after a break, not at once")
	p2 := *p
	p2.source.Interval, p2.source.Timeout = 10*time.Second, time.Minute
	takes.Store(int64(20 * time.Second))
	cancel()
	synctest.Wait()
	if !closed.Load() {
		t.Error("nothing was closed")
	}
	times()
	ctx, cancel = context.WithCancel(t.Context())
	go p2.run(ctx, out.emit)
	time.Sleep(200 * time.Second)
	synctest.Wait()
	moments = times()
	if len(moments) < 9 {
		t.Errorf("asked %d times", len(moments))
	}
	for i := range len(moments) - 1 {
		if d := moments[i+1].Sub(moments[i]); d != 21*time.Second {
			t.Errorf("asked again after %v, want 20 s and a break of 1 s", d)
		}
	}

	t.Log("# stopped in the middle of an answer, it says nothing more")
	out.take()
	cancel()
	synctest.Wait()
	if events := out.take(); len(events) != 0 {
		t.Errorf("%v", events)
	}
}

func TestRunner(t *testing.T) {
	wantNoLeaks(t)
	var requests atomic.Int64
	app := testServer(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "c %d\nbusy 2\n", requests.Add(1000)) })
	hang := testServer(t, func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	address := serve(t, func(c net.Conn) { io.Copy(io.Discard, c) })

	quick := func(name, url string, v map[string]Selector) Source {
		return Source{Name: name, Type: Prometheus, URL: url, Interval: 10 * time.Millisecond, Timeout: 5 * time.Second, Values: v}
	}
	inst := Instance{Key: testKey, Sources: []Source{
		quick("hang", hang.URL, map[string]Selector{"x": {}}),
		quick("app", app.URL, map[string]Selector{"flow_rate": {Metric: "c", Rate: true}, "in_flight": {Metric: "busy"}}),
		{Name: "broken", Type: "snmp"},
		{Name: "push", Type: Push},
	}, Checks: []Check{
		{Name: "tcp", Type: CheckTCP, Target: address, Interval: 10 * time.Millisecond},
		{Name: "wrong", Type: "icmp"},
	}}

	var out tape
	r := NewRunner(zerolog.Nop(), out.emit)
	r.Set([]Instance{inst})
	stop := running(t, r)
	defer stop()

	seen := map[string]bool{}
	look := func() {
		for _, ev := range out.take() {
			switch ev := ev.(type) {
			case SourceEvent:
				seen[ev.Source] = true
				if ev.Source == "broken" && ev.Err == nil || ev.Source == "app" && ev.Err != nil {
					t.Errorf("%+v", ev)
				}
				if ev.Values["flow_rate"] > 0 {
					seen["rate"] = true
				}
			case CheckEvent:
				seen[ev.Check] = seen[ev.Check] || ev.Up == (ev.Check == "tcp")
			}
		}
	}
	waitFor(t, "one that hangs holds up no other", func() bool {
		look()
		return seen["rate"] && seen["broken"] && seen["tcp"] && seen["wrong"]
	})
	if seen["hang"] || seen["push"] {
		t.Errorf("seen %v", seen)
	}

	t.Log("# a reload of something else keeps the counters: the next event has a rate")
	inst.Capacity = 100
	inst.Sources[0].Timeout = time.Second
	for range 20 {
		out.take()
		r.Set([]Instance{inst})
	}
	waitFor(t, "an event of the app", func() bool {
		for _, ev := range out.take() {
			if ev, ok := ev.(SourceEvent); ok && ev.Source == "app" {
				if ev.Values["flow_rate"] <= 0 {
					t.Errorf("the rate was lost: %v", ev)
				}
				return true
			}
		}
		return false
	})

	t.Log("# a changed source is started anew")
	inst.Sources[1].Values = map[string]Selector{"utilisation": {Metric: "busy", Scale: 0.1}}
	r.Set([]Instance{inst})
	waitFor(t, "the new values", func() bool {
		for _, ev := range out.take() {
			if ev, ok := ev.(SourceEvent); ok && ev.Values["utilisation"] == 0.2 {
				return true
			}
		}
		return false
	})

	t.Log("# what is not wanted any more ends")
	r.Set(nil)
	before := int64(-1)
	waitFor(t, "silence", func() bool {
		now := requests.Load()
		time.Sleep(50 * time.Millisecond)
		defer func() { before = now }()
		return now == before
	})
	if err := r.Push(testKey, "push", values{"utilisation": 1}, 0, time.Now()); err == nil {
		t.Error("pushed to a source that is gone")
	}

	r.Set([]Instance{inst})
	if err := r.Run(t.Context()); err == nil {
		t.Error("runs twice")
	}
	stop()
	out.take()
	r.Set([]Instance{inst, {Key: Key{}, Sources: inst.Sources}})
	time.Sleep(30 * time.Millisecond)
	if ev := out.take(); len(ev) != 0 {
		t.Errorf("after the end: %v", ev)
	}
}

// Set may be called in any order with anything; what runs afterwards is what was
// set last, once each.
func TestRunnerSetOften(t *testing.T) { synctest.Test(t, testRunnerSetOften) }

func testRunnerSetOften(t *testing.T) {
	var out tape
	r := NewRunner(zerolog.Nop(), out.emit)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	instance := func(n, variant int) Instance {
		k := testKey
		k.ID = advert.InstanceNumber(uint32(n))
		return Instance{Key: k, Sources: []Source{
			{Name: "a", Type: Local, Interval: time.Second, CGroup: fmt.Sprintf("nonexistent-%d", variant)},
			{Name: "a", Type: Local, Interval: time.Second, CGroup: "twice"},
		}}
	}
	for round := range 50 {
		var want []Instance
		for n := range 1 + round%5 {
			want = append(want, instance(n, round/(n+1)))
		}
		r.Set(want)
		if round%3 == 0 {
			time.Sleep(300 * time.Millisecond)
		}
	}
	r.Set([]Instance{instance(0, 0), instance(1, 1)})
	synctest.Wait()
	out.take()
	time.Sleep(100 * time.Second)
	synctest.Wait()
	count := map[string]int{}
	for _, ev := range out.take() {
		count[ev.(SourceEvent).Key.ID.String()]++
	}
	if len(count) != 2 || count["#0"] < 90 || count["#0"] > 112 || count["#1"] < 90 || count["#1"] > 112 {
		t.Errorf("events in 100 s: %v", count)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestPush(t *testing.T) {
	var out tape
	r := NewRunner(zerolog.Nop(), out.emit)
	r.Set([]Instance{{
		Key:           testKey,
		Normalization: Normalization{Inputs: []Input{{Metric: "gpu"}}},
		Sources: []Source{
			{Name: "free", Type: Push},
			{Name: "mapped", Type: Push, Values: map[string]Selector{"utilisation": {Metric: "busy", DivideBy: "workers"}, "flow_rate": {Metric: "served", Rate: true}}},
			{Name: "local", Type: Local},
		},
	}})
	now := time.Unix(1700000000, 0)
	tests := []struct {
		what   string
		source string
		v      values
		ttl    time.Duration
		err    string
		want   *SourceEvent
	}{
		{"names with a meaning, and inputs", "free", values{"utilisation": 0.5, "gpu": 3}, time.Minute, "",
			&SourceEvent{Values: values{"utilisation": 0.5, "gpu": 3}, Valid: time.Minute}},
		{"just alive", "free", nil, 0, "", &SourceEvent{Values: values{}}},
		{"unknown names refuse all", "free", values{"utilisation": 0.5, "cpu": 1, "b\x1b": 2}, 0,
			"unknown values b , cpu; known are capacity, delay, flow_rate, gpu, in_flight, service_time, slots, utilisation", nil},
		{"a lie is refused alone", "free", values{"utilisation": -0.5, "gpu": 3}, 0, "utilisation: -0.5 is negative",
			&SourceEvent{Values: values{"gpu": 3}, Err: &ValueError{"utilisation", -0.5}}},
		{"negative ttl", "free", values{"gpu": 3}, -1, "ttl -1ns: want 0", nil},
		{"endless ttl", "free", values{"gpu": 3}, 25 * time.Hour, "ttl 25h0m0s: want 0", nil},
		{"configured values name what is pushed", "mapped", values{"busy": 3, "workers": 4, "served": 100}, 0, "",
			&SourceEvent{Values: values{"utilisation": 0.75}}},
		{"rates a second later; anything may be left out", "mapped", values{"served": 150}, 0, "",
			&SourceEvent{Values: values{"flow_rate": 50}}},
		{"their own names are not known", "mapped", values{"utilisation": 1}, 0, "unknown values utilisation; known are busy, served, workers", nil},
		{"not a push source", "local", values{"utilisation": 1}, 0, `source "local" of 203.0.113.10 192.0.2.11 is not of type push`, nil},
		{"no such source", "nix", values{"utilisation": 1}, 0, `203.0.113.10 192.0.2.11 has no source "nix"`, nil},
	}
	for _, tt := range tests {
		now = now.Add(time.Second)
		err := r.Push(testKey, tt.source, tt.v, tt.ttl, now)
		if tt.err != "" {
			wantError(t, tt.what, err, tt.err)
		} else if err != nil {
			t.Errorf("%s: %v", tt.what, err)
		}
		var want []Event
		if tt.want != nil {
			tt.want.Key, tt.want.Source, tt.want.At = testKey, tt.source, now
			want = []Event{*tt.want}
		}
		if diff := cmp.Diff(want, out.take(), cmpopts.EquateComparable(Key{}), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s:\n%s", tt.what, diff)
		}
	}
}

func TestOnce(t *testing.T) {
	wantNoLeaks(t)
	app := testServer(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "busy 2\n") })
	address := serve(t, func(c net.Conn) { io.Copy(io.Discard, c) })
	r := NewRunner(zerolog.Nop(), func(Event) { t.Error("asking once is nobody else's business") })
	got := r.Once(t.Context(), Instance{Key: testKey,
		Sources: []Source{
			{Name: "app", Type: Prometheus, URL: app.URL, Timeout: 5 * time.Second, Values: map[string]Selector{"in_flight": {Metric: "busy"}}},
			{Name: "life", Type: Exec, Command: sh("echo too hot >&2; exit 1"), Timeout: 5 * time.Second},
			{Name: "push", Type: Push},
			{Name: "odd", Type: "snmp"},
		},
		Checks: []Check{{Name: "tcp", Type: CheckTCP, Target: address}, {Name: "shut", Type: CheckTCP, Target: closedPort(t)}, {Name: "odd", Type: "icmp"}},
	})
	for i, want := range []struct {
		Result
		err bool
	}{
		{Result{Name: "app", Type: "prometheus", Up: true, Values: values{"in_flight": 2}}, false},
		{Result{Name: "life", Type: "exec", Detail: "exit status 1: too hot"}, false},
		{Result{Name: "push", Type: "push"}, true},
		{Result{Name: "odd", Type: "snmp"}, true},
		{Result{Name: "tcp", Type: "tcp", Check: true, Up: true}, false},
		{Result{Name: "shut", Type: "tcp", Check: true}, false},
		{Result{Name: "odd", Type: "icmp", Check: true}, true},
	} {
		if got[i].Check {
			got[i].Detail = "" // the check's own words
		}
		if diff := cmp.Diff(want.Result, got[i], cmpopts.IgnoreFields(Result{}, "Took", "Err")); diff != "" || (got[i].Err != nil) != want.err || got[i].Took <= 0 {
			t.Errorf("%s: %v, took %v\n%s", want.Name, got[i].Err, got[i].Took, diff)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	got = r.Once(ctx, Instance{Key: testKey, Sources: []Source{{Name: "life", Type: Exec, Command: sh("sleep 60")}}})
	if got[0].Up || !errors.Is(got[0].Err, context.Canceled) && got[0].Detail == "" {
		t.Errorf("cancelled: %+v", got[0])
	}
}
