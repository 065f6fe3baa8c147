package collect

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/catsbgp/catsbgp/advert"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var testKey = Key{
	Service: must(advert.ParseCSID("203.0.113.10")),
	ID:      must(advert.ParseCSCIID("192.0.2.11")),
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// script drives one accumulator through time.
type script struct {
	t    *testing.T
	a    *Accumulator
	inst Instance
	now  time.Time
}

func newScript(t *testing.T, inst Instance) *script {
	inst.Key = testKey
	s := &script{t: t, a: NewAccumulator(inst), inst: inst, now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}
	s.a.Report(s.now) // silence counts from here
	return s
}

func (s *script) advance(d time.Duration) { s.now = s.now.Add(d) }

type values = map[string]float64

func (s *script) says(source string, v values) {
	s.a.Observe(s.now, SourceEvent{Key: testKey, Source: source, At: s.now, Values: v})
}

func (s *script) fails(source string, err error, v values) {
	s.a.Observe(s.now, SourceEvent{Key: testKey, Source: source, At: s.now, Values: v, Err: err})
}

func (s *script) check(name string, up bool, detail string) {
	s.a.Observe(s.now, CheckEvent{Key: testKey, Check: name, At: s.now, Up: up, Detail: detail})
}

func (s *script) want(what string, state State, reason string) Report {
	s.t.Helper()
	r := s.a.Report(s.now)
	if r.State != state || r.Reason != reason {
		s.t.Errorf("%s: %v because %q, want %v because %q", what, r.State, r.Reason, state, reason)
	}
	return r
}

func (s *script) wantUtilisation(what string, want float64) {
	s.t.Helper()
	if got := s.a.Report(s.now).Utilisation; !got.Known() || math.Abs(got.Value-want) > 1e-9 {
		s.t.Errorf("%s: utilisation %v, want %v", what, got, want)
	}
}

func (s *script) wantDue(what string, want time.Duration) {
	s.t.Helper()
	due := s.a.Due(s.now)
	if want == 0 && !due.IsZero() || want != 0 && !due.Equal(s.now.Add(want)) {
		s.t.Errorf("%s: due at %v, want %v from %v", what, due, want, s.now)
	}
}

func promSource(name string, stale StalePolicy, names ...string) Source {
	c := Source{Name: name, Type: Prometheus, Stale: stale, StaleAfter: 5 * time.Second, Values: map[string]Selector{}}
	for _, n := range names {
		c.Values[n] = Selector{Metric: n}
	}
	return c
}

func TestSourceLife(t *testing.T) {
	s := newScript(t, Instance{Sources: []Source{promSource("prom", StaleDegrade, "utilisation")}})
	s.want("nothing heard", Unknown, "source prom has not answered yet")
	s.wantDue("a source that never answers turns stale", 5*time.Second)

	s.advance(time.Second)
	s.says("prom", values{"utilisation": 0.4})
	r := s.want("the first sample makes it up", Up, "")
	s.wantUtilisation("as delivered", 0.4)
	if r.Utilisation.Source != advert.SourceMeasured {
		t.Errorf("source of a delivered value: %v", r.Utilisation.Source)
	}
	s.wantDue("stale 5 s after the sample", 5*time.Second)

	s.advance(2 * time.Second)
	s.fails("prom", errors.New("connection refused"), nil)
	r = s.want("one failure is no news", Up, "")
	if st := r.Sources[0]; st.Stale || st.Age != 2*time.Second || st.Err != "connection refused" || st.LastValues["utilisation"] != 0.4 {
		t.Errorf("status: %+v", st)
	}

	s.advance(3*time.Second - 1)
	s.want("not a nanosecond early", Up, "")
	s.wantDue("and that is known", 1)
	s.advance(1)
	r = s.want("silent", Up, "source prom is silent: connection refused")
	s.wantUtilisation("a silent source: at least 0.9", 0.9)
	s.wantDue("nothing more happens by itself", 0)
	if !r.Degraded || !r.Sources[0].Stale || r.Computing.Value > 1 {
		t.Errorf("degraded report: %+v", r)
	}

	s.advance(time.Hour)
	s.says("prom", values{"utilisation": 0.3})
	s.want("it is back", Up, "")
	s.wantUtilisation("and believed at once", 0.3)
}

func TestStalePolicies(t *testing.T) {
	tests := []struct {
		name   string
		policy StalePolicy
		before float64
		state  State
		reason string
		after  float64
		score  uint8
	}{
		{"hold", StaleHold, 0.2, Up, "source s is silent, its last values are held", 0.2, 8},
		{"degrade", StaleDegrade, 0.2, Up, "source s is silent", 0.9, 1},
		{"degrade is the default", "", 0.2, Up, "source s is silent", 0.9, 1},
		{"degrade never improves", StaleDegrade, 1.7, Up, "source s is silent", 1.7, 0},
		{"withdraw", StaleWithdraw, 0.2, Down, "source s is silent", 0.2, 8},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newScript(t, Instance{Sources: []Source{promSource("s", tt.policy, "utilisation")}})
			s.says("s", values{"utilisation": tt.before})
			s.advance(20 * time.Second)
			r := s.want("after silence", tt.state, tt.reason)
			s.wantUtilisation("after silence", tt.after)
			if r.NormFI.Octet != tt.score {
				t.Errorf("norm_fi %v, want %d", r.NormFI, tt.score)
			}
		})
	}
}

func TestSeveralSources(t *testing.T) {
	s := newScript(t, Instance{
		Normalization: Normalization{Inputs: []Input{
			{Metric: "utilisation", Category: CategoryComputing, Worst: 1},
			{Metric: "gpu", Category: CategoryService, Worst: 1},
		}},
		Sources: []Source{
			promSource("first", StaleWithdraw, "utilisation"),
			promSource("second", StaleDegrade, "utilisation"),
			promSource("gpu", StaleDegrade, "gpu"),
		},
	})
	s.says("second", values{"utilisation": 0.5})
	s.says("gpu", values{"gpu": 0.1})
	s.want("any source makes it up", Up, "")
	s.says("first", values{"utilisation": 0.2})
	s.wantUtilisation("the first configured has the word", 0.2)

	s.advance(4 * time.Second)
	s.says("second", values{"utilisation": 0.5})
	s.says("gpu", values{"gpu": 0.1})
	s.advance(time.Second)
	s.want("a silent source that another stands in for is not missed", Up, "")
	s.wantUtilisation("the fresh one has the word", 0.5)

	s.advance(3 * time.Second)
	s.says("second", values{"utilisation": 0.5})
	s.advance(2 * time.Second)
	r := s.want("a source of other values", Up, "source gpu is silent")
	s.wantUtilisation("does not touch the utilisation", 0.5)
	if !r.Degraded || r.Service.Octet != 1 || r.Computing.Octet < 5 {
		t.Errorf("only its own category suffers: %+v", r.L1)
	}

	s.advance(3 * time.Second)
	s.want("all silent: the worst policy holds", Down, "source first is silent; source second is silent; source gpu is silent")
}

func TestPartialAnswers(t *testing.T) {
	s := newScript(t, Instance{Sources: []Source{promSource("s", StaleDegrade, "utilisation", "in_flight")}})
	for range 4 {
		s.fails("s", errors.New("in_flight: nothing matches"), values{"utilisation": 0.6})
		s.advance(time.Second)
	}
	s.want("what is good is used", Up, "")
	s.wantUtilisation("what is good is used", 0.6)
	s.advance(time.Second)
	s.fails("s", errors.New("in_flight: nothing matches"), values{"utilisation": 0.95})
	s.want("but a source that never says all is stale", Up, "source s is silent: in_flight: nothing matches")
	s.wantUtilisation("with the newest value", 0.95)

	s.says("s", values{"utilisation": 0.6, "in_flight": 3})
	s.advance(3 * time.Second)
	s.says("s", values{"utilisation": 0.5})
	r := s.want("a value that is pending is none that is missing", Up, "")
	if r.InFlight.Value != 3 {
		t.Errorf("in flight %v, want the last known", r.InFlight)
	}
	s.advance(4 * time.Second)
	s.want("and the source is fresh", Up, "")
}

func TestChecksAndSources(t *testing.T) {
	inst := Instance{Capacity: 100, Slots: 4, ServiceTime: 40 * time.Millisecond, Checks: []Check{{Name: "a"}, {Name: "b"}}}
	s := newScript(t, inst)
	s.want("nothing heard", Unknown, "check a has not decided yet; check b has not decided yet")
	s.check("a", true, "ok")
	s.want("one of two", Unknown, "check b has not decided yet")
	s.check("b", true, "ok")
	r := s.want("checks alone suffice", Up, "")
	if want := (L0{
		Capacity:    Value{100, advert.SourceNominal},
		Slots:       Value{4, advert.SourceNominal},
		ServiceTime: Value{0.04, advert.SourceNominal},
	}); r.L0 != want {
		t.Errorf("nominal values: %+v", r.L0)
	}
	s.wantDue("checks speak for themselves", 0)
	s.check("b", false, "connection refused")
	s.want("one of two down", Down, "check b: connection refused")
	s.check("b", true, "ok")
	s.check("c", false, "not configured")
	s.want("foreign checks are ignored", Up, "")

	t.Log("# with a source too")
	inst.Sources = []Source{promSource("s", StaleDegrade, "utilisation")}
	s = newScript(t, inst)
	s.check("a", true, "ok")
	s.check("b", true, "ok")
	s.want("healthy, but how loaded?", Unknown, "source s has not answered yet")
	s.advance(5 * time.Second)
	s.want("a source that never answers does not hide a healthy instance", Up, "source s is silent")
	s.wantUtilisation("but says it is nearly full", 0.9)
	s.says("s", values{"utilisation": 0.1})
	s.want("now it does", Up, "")

	t.Log("# nothing configured at all: the configuration is all there is to know")
	s = newScript(t, Instance{Capacity: 10})
	s.want("static", Up, "")
}

func TestSignOfLife(t *testing.T) {
	life := Source{Name: "script", Type: Exec, Stale: StaleWithdraw, StaleAfter: 5 * time.Second}
	s := newScript(t, Instance{Capacity: 10, Sources: []Source{life}})
	s.want("not run yet", Unknown, "source script has not answered yet")
	s.says("script", nil)
	s.want("exit code 0", Up, "")
	s.a.Observe(s.now, SourceEvent{Key: testKey, Source: "script", At: s.now, Down: "exit status 2: disk full"})
	s.want("any other", Down, "source script: exit status 2: disk full")
	s.says("script", nil)
	s.want("0 again", Up, "")
	s.advance(5 * time.Second)
	s.want("the script cannot be run any more", Down, "source script is silent")

	life.Stale = StaleDegrade
	s = newScript(t, Instance{Sources: []Source{life}})
	s.says("script", nil)
	s.advance(5 * time.Second)
	s.want("or so", Up, "source script is silent")
	s.wantUtilisation("whose load nobody knows", 0.9)
}

func TestLies(t *testing.T) {
	for _, lie := range []float64{-1, -1e-300, math.NaN(), math.Inf(1), math.Inf(-1), 1.1e15, math.MaxFloat64} {
		s := newScript(t, Instance{Sources: []Source{promSource("s", StaleHold, "utilisation", "in_flight", "odd")}})
		s.says("s", values{"utilisation": 0.4, "in_flight": 7})
		s.advance(time.Second)
		s.says("s", values{"utilisation": lie, "in_flight": 8, "odd": lie})
		r := s.a.Report(s.now)
		if !r.Anomalous || r.Utilisation.Value != 0.4 || r.InFlight.Value != 8 {
			t.Errorf("%v: anomalous %v, utilisation %v, in flight %v", lie, r.Anomalous, r.Utilisation, r.InFlight)
		}
		if _, ok := r.Raw["odd"]; ok {
			t.Errorf("%v: a lie was kept: %v", lie, r.Raw)
		}
		if err := r.Sources[0].Err; !strings.Contains(err, "odd: ") || !strings.Contains(err, "utilisation: ") {
			t.Errorf("%v: refused without name: %q", lie, err)
		}
		s.advance(4 * time.Second)
		s.says("s", values{"utilisation": 0.4, "in_flight": 7})
		if r := s.a.Report(s.now); r.Anomalous {
			t.Errorf("%v: still anomalous after the truth", lie)
		}
	}
	s := newScript(t, Instance{Sources: []Source{promSource("s", StaleHold, "utilisation")}})
	s.says("s", values{"utilisation": 85})
	r := s.want("a percentage", Up, "utilisation 85 is hard to believe: a percentage without scale = 0.01?")
	if !r.Anomalous {
		t.Error("is not marked")
	}
}

func TestReload(t *testing.T) {
	inst := Instance{Key: testKey, Sources: []Source{promSource("s", StaleHold, "utilisation", "gone")}, Checks: []Check{{Name: "a"}}}
	s := newScript(t, inst)
	s.says("s", values{"utilisation": 0.4, "gone": 1})
	s.check("a", true, "ok")
	s.want("up", Up, "")

	inst.Sources = []Source{promSource("s", StaleDegrade, "utilisation"), promSource("new", StaleDegrade, "in_flight")}
	inst.Sources[0].URL = "http://192.0.2.1/other"
	s.advance(time.Second)
	s.a.SetInstance(s.now, inst)
	r := s.want("a reload is no outage", Up, "")
	if diff := cmp.Diff(values{"utilisation": 0.4}, r.Raw); diff != "" {
		t.Errorf("values that are not configured any more must go:\n%s", diff)
	}
	s.advance(4 * time.Second)
	s.want("what was said before ages on", Up, "source s is silent")
	s.advance(time.Second)
	s.want("what is new counts from the reload", Up, "source s is silent; source new is silent")

	inst.Checks = append(inst.Checks, Check{Name: "b"})
	s.a.SetInstance(s.now, inst)
	s.want("a new check must decide first", Unknown, "check b has not decided yet; source s is silent; source new is silent")
}

func TestClockJumps(t *testing.T) {
	s := newScript(t, Instance{Sources: []Source{promSource("s", StaleDegrade, "utilisation")}})
	s.says("s", values{"utilisation": 0.4})
	s.advance(3 * time.Second)
	s.want("fresh", Up, "")
	s.advance(-24 * time.Hour)
	s.want("set back a day", Up, "")
	s.wantDue("what was left is left", 2*time.Second)
	s.advance(2 * time.Second)
	s.want("and it still grows stale", Up, "source s is silent")
	s.a.Observe(s.now, SourceEvent{Key: testKey, Source: "s", At: s.now.Add(time.Hour), Values: values{"utilisation": 0.4}})
	s.wantDue("from the future is now", 5*time.Second)
	s.a.Observe(s.now, SourceEvent{Key: testKey, Source: "s", At: s.now.Add(-time.Second), Values: values{"utilisation": 0.4}})
	s.wantDue("waited a second in some queue", 4*time.Second)
}

func TestPushTTL(t *testing.T) {
	s := newScript(t, Instance{Sources: []Source{{Name: "p", Type: Push, StaleAfter: 5 * time.Second, Stale: StaleWithdraw}}})
	s.a.Observe(s.now, SourceEvent{Key: testKey, Source: "p", At: s.now, Values: values{"utilisation": 0.4}, Valid: time.Minute})
	s.wantDue("its own time to live", time.Minute)
	s.advance(time.Minute)
	s.want("the program died", Down, "source p is silent")
	s.says("p", values{"utilisation": 0.4})
	s.wantDue("without one, the configured", 5*time.Second)
}

func TestWindowedScores(t *testing.T) {
	s := newScript(t, Instance{Sources: []Source{promSource("s", StaleHold, "utilisation")}})
	s.says("s", values{"utilisation": 0})
	s.advance(8 * time.Second)
	s.says("s", values{"utilisation": 1})
	if r := s.a.Report(s.now); r.NormFI.Value != 10 || r.Utilisation.Value != 1 {
		t.Errorf("at the jump: %v and %v; L0 is not smoothed, L2 is", r.Utilisation, r.NormFI)
	}
	s.advance(2 * time.Second)
	if r := s.a.Report(s.now); r.NormFI.Value != 8 || r.Window != 10*time.Second {
		t.Errorf("2 of 10 s at 1: %v", r.NormFI)
	}
	s.wantDue("the window moves on", time.Second)
	s.advance(8 * time.Second)
	if r := s.a.Report(s.now); r.NormFI.Value != 0 {
		t.Errorf("10 of 10 s at 1: %v", r.NormFI)
	}
	s.wantDue("now it is settled", 0)
}

// Whatever is observed, whenever: a report only holds what can be said.
func TestReportIsAlwaysSane(t *testing.T) {
	names := []string{"utilisation", "in_flight", "capacity", "slots", "service_time", "delay", "flow_rate", "x"}
	odd := []float64{0, 1, 0.5, 1e-300, 1e15, 1e-12, -1, math.NaN(), math.Inf(1), 85}
	rapid.Check(t, func(t *rapid.T) {
		inst := Instance{
			Key: testKey, Slots: rapid.SampledFrom([]int{0, 8, -1}).Draw(t, "slots"),
			Capacity: rapid.SampledFrom([]float64{0, 10, math.NaN()}).Draw(t, "capacity"),
			Normalization: Normalization{Sigmoid: rapid.Bool().Draw(t, "sigmoid"), Inputs: []Input{
				{Metric: "utilisation", Category: CategoryComputing, Worst: 1},
				{Metric: "x", Category: CategoryService, Best: 10, Worst: 0},
				{Metric: "service_time", Category: CategoryCommunication, Best: 1, Worst: 1},
			}},
			Sources: []Source{promSource("a", StaleDegrade, names...), promSource("b", StaleHold, names...)},
			Checks:  []Check{{Name: "c"}},
		}
		a := NewAccumulator(inst)
		now := time.Unix(1700000000, 0)
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.Int64Range(-int64(time.Minute), int64(time.Minute)).Draw(t, "dt")))
			v := values{}
			for range rapid.IntRange(0, 4).Draw(t, "n") {
				v[rapid.SampledFrom(names).Draw(t, "name")] = rapid.SampledFrom(odd).Draw(t, "value")
			}
			switch rapid.IntRange(0, 3).Draw(t, "event") {
			case 0, 1:
				a.Observe(now, SourceEvent{Key: testKey, Source: rapid.SampledFrom([]string{"a", "b", "none"}).Draw(t, "source"), At: now, Values: v})
			case 2:
				a.Observe(now, CheckEvent{Key: testKey, Check: "c", At: now, Up: rapid.Bool().Draw(t, "up")})
			case 3:
				a.SetInstance(now, inst)
			}
			r := a.Report(now)
			for _, v := range []Value{r.Utilisation, r.InFlight, r.Capacity, r.Slots, r.ServiceTime, r.Delay, r.FlowRate} {
				if !plausible(v.Value) || !v.Known() && v.Value != 0 {
					t.Fatalf("L0 %+v", r.L0)
				}
			}
			for _, s := range []Score{r.Computing, r.Communication, r.Service, r.NormFI} {
				if !(s.Value >= 0 && s.Value <= 10) || s.Octet > 10 || math.Abs(float64(s.Octet)-s.Value) > 0.5 || !s.Known && s != (Score{}) {
					t.Fatalf("score %+v", s)
				}
			}
			if due := a.Due(now); !due.IsZero() && !due.After(now) {
				t.Fatalf("due %v at %v", due, now)
			}
			if diff := cmp.Diff(r, a.Report(now)); diff != "" {
				t.Fatalf("asking changes the answer:\n%s", diff)
			}
		}
	})
}
