package advert

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// Every accessor gives back what was set, as far as the wire can say it, also
// after travelling.
func TestInstanceAccessors(t *testing.T) {
	const (
		stat   = StatMax
		source = SourceMeasured
	)
	number := func(v float64, ok bool) any { return pair(v, ok) }
	count := func(v uint32, ok bool) any { return pair(v, ok) }
	span := func(v time.Duration, ok bool) any { return pair(v, ok) }
	for _, tt := range []struct {
		name string
		set  func(*Instance)
		get  func(*Instance) any
		want any
	}{
		{"utilisation", func(i *Instance) { i.SetUtilisation(0.41753, stat, source) }, func(i *Instance) any { return number(i.Utilisation()) }, 0.4175},
		{"utilisation, overload", func(i *Instance) { i.SetUtilisation(1.5, stat, source) }, func(i *Instance) any { return number(i.Utilisation()) }, 1.5},
		{"utilisation, saturated", func(i *Instance) { i.SetUtilisation(7, stat, source) }, func(i *Instance) any { return number(i.Utilisation()) }, 6.5535},
		{"utilisation, infinite", func(i *Instance) { i.SetUtilisation(math.Inf(1), stat, source) }, func(i *Instance) any { return number(i.Utilisation()) }, 6.5535},
		{"utilisation, negative", func(i *Instance) { i.SetUtilisation(-0.1, stat, source) }, func(i *Instance) any { return number(i.Utilisation()) }, 0.0},
		{"utilisation, unknown", func(i *Instance) {
			i.SetUtilisation(1, stat, source)
			i.SetUtilisation(math.NaN(), stat, source)
		}, func(i *Instance) any { return number(i.Utilisation()) }, nil},
		{"utilisation, again", func(i *Instance) {
			i.SetUtilisation(1, stat, source)
			i.SetUtilisation(0.5, stat, source)
		}, func(i *Instance) any { return number(i.Utilisation()) }, 0.5},
		{"capacity", func(i *Instance) { i.SetCapacityFlows(200.126, stat, source) }, func(i *Instance) any { return number(i.CapacityFlows()) }, 200.13},
		{"capacity, saturated", func(i *Instance) { i.SetCapacityFlows(1e12, stat, source) }, func(i *Instance) any { return number(i.CapacityFlows()) }, 42949672.95},
		{"in flight", func(i *Instance) { i.SetInFlightN(6, stat, source) }, func(i *Instance) any { return count(i.InFlightN()) }, uint32(6)},
		{"slots", func(i *Instance) { i.SetSlotsN(8, stat, source) }, func(i *Instance) any { return count(i.SlotsN()) }, uint32(8)},
		{"free slots", func(i *Instance) { i.SetFreeSlotsN(math.MaxUint32, stat, source) }, func(i *Instance) any { return count(i.FreeSlotsN()) }, uint32(math.MaxUint32)},
		{"delay", func(i *Instance) { i.SetServiceDelayDur(8250499, stat, source) }, func(i *Instance) any { return span(i.ServiceDelayDur()) }, 8250 * time.Microsecond},
		{"delay, saturated", func(i *Instance) { i.SetServiceDelayDur(2*time.Hour, stat, source) }, func(i *Instance) any { return span(i.ServiceDelayDur()) }, math.MaxUint32 * time.Microsecond},
		{"service time", func(i *Instance) { i.SetServiceTimeDur(40*time.Millisecond, stat, source) }, func(i *Instance) any { return span(i.ServiceTimeDur()) }, 40 * time.Millisecond},
		{"norm_fi", func(i *Instance) { i.SetScore(NormFI, 6.5, stat, source) }, func(i *Instance) any { return number(i.ScoreNorm()) }, 7.0},
		{"norm_fi, saturated", func(i *Instance) { i.SetScore(NormFI, 11, stat, source) }, func(i *Instance) any { return number(i.ScoreNorm()) }, 10.0},
		{"an L1 score", func(i *Instance) { i.SetScore(ServiceComb, 3, stat, source) }, func(i *Instance) any { return number(i.Score(ServiceComb)) }, 3.0},
		{"an integer", func(i *Instance) { i.SetUint(ComputingComb, L1, stat, source, 12) }, func(i *Instance) any { return number(i.Score(ComputingComb)) }, 10.0},
		{"a float delay", func(i *Instance) {
			i.Set(Metric{Type: ServiceDelay, Float: true, Value: math.Float64bits(1.5)})
		}, func(i *Instance) any { return span(i.ServiceDelayDur()) }, 1500 * time.Nanosecond},
		{"nothing", func(*Instance) {}, func(i *Instance) any { return span(i.ServiceTimeDur()) }, nil},
	} {
		var i Instance
		tt.set(&i)
		for _, m := range i.Metrics {
			if k, _ := m.Type.kind(); !m.Float && (m.Level != k.level || m.Statistic != stat || m.Source != source) {
				t.Errorf("%s: set as %+v", tt.name, m)
			}
		}
		if got := tt.get(&i); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
		travelled := mustDecode(t, must(AppendAttribute(nil, &Attribute{Instances: []Instance{i}}))).Instances[0]
		if got := tt.get(&travelled); got != tt.want {
			t.Errorf("%s: travelled, %v, want %v", tt.name, got, tt.want)
		}
	}
}

func pair[T any](v T, ok bool) any {
	if !ok {
		return nil
	}
	return v
}

// Value is in the unit of the wire, also if it came as a float.
func TestInstanceValue(t *testing.T) {
	for _, tt := range []struct {
		v    float64
		want uint64
	}{{0, 0}, {0.5, 1}, {41.4, 41}, {-3, 0}, {1e300, math.MaxUint64}, {math.NaN(), 0}} {
		i := Instance{Metrics: []Metric{{Type: 200, Float: true, Value: math.Float64bits(tt.v)}}}
		if got, ok := i.Value(200); !ok || got != tt.want {
			t.Errorf("%v: %d, %v", tt.v, got, ok)
		}
	}
	if v, ok := new(Instance).Value(NormFI); v != 0 || ok {
		t.Errorf("nothing: %d, %v", v, ok)
	}
}

func TestInstanceRemove(t *testing.T) {
	i := Instance{Metrics: []Metric{{Type: 1}, {Type: 65}, {Type: 64}}}
	i.Remove(65)
	i.Remove(66)
	if !slices.Equal(i.Metrics, []Metric{{Type: 1}, {Type: 64}}) {
		t.Errorf("%+v", i.Metrics)
	}
}

func TestInstanceExpired(t *testing.T) {
	i := Instance{Generated: 1790000000, Validity: 90}
	for _, tt := range []struct {
		age     time.Duration
		expired bool
	}{{-time.Hour, false}, {0, false}, {90 * time.Second, false}, {90*time.Second + 1, true}} {
		if got := i.Expired(testNow.Add(tt.age)); got != tt.expired {
			t.Errorf("after %s: %v", tt.age, got)
		}
	}
	i.Validity = 0
	if i.Expired(testNow.Add(1000 * time.Hour)) {
		t.Error("until withdrawn, but expired")
	}
}

func TestSiteFromAggregate(t *testing.T) {
	before := Site{Preference: 100, Delay: DelayPrediction{DelayRelative, 1}, Capabilities: []Capability{{3, 1}}, Resources: []Resource{{3, true, 1}}}
	for _, tt := range []struct {
		name string
		set  func(*Instance)
		want Site
	}{
		{"nothing known", func(*Instance) {}, Site{Preference: 100}},
		{"1 µs is not no delay", func(i *Instance) { i.SetServiceDelayDur(1000, 0, 0) }, Site{Preference: 100, Delay: DelayPrediction{DelayMilliseconds, 1}}},
		{"1 ms", func(i *Instance) { i.SetServiceDelayDur(time.Millisecond, 0, 0) }, Site{Preference: 100, Delay: DelayPrediction{DelayMilliseconds, 1}}},
		{"capacity", func(i *Instance) { i.SetCapacityFlows(2, 0, 0) }, Site{Preference: 100, Capabilities: []Capability{{0, 200}}}},
		{"half used", func(i *Instance) { i.SetUtilisation(0.5, 0, 0) }, Site{Preference: 100, Resources: []Resource{{0, true, 50}}}},
		{"overload", func(i *Instance) { i.SetUtilisation(1.5, 0, 0) }, Site{Preference: 100, Resources: []Resource{{0, true, 0}}}},
		{"slots", func(i *Instance) { i.SetSlotsN(8, 0, 0); i.SetFreeSlotsN(2, 0, 0) }, Site{Preference: 100, Resources: []Resource{{0, true, 25}}}},
		{"more free than there are", func(i *Instance) { i.SetSlotsN(8, 0, 0); i.SetFreeSlotsN(9, 0, 0) }, Site{Preference: 100, Resources: []Resource{{0, true, 100}}}},
		{"free of how many?", func(i *Instance) { i.SetFreeSlotsN(9, 0, 0) }, Site{Preference: 100}},
		{"draining", func(i *Instance) { i.Flags = Drain; i.SetUtilisation(0.1, 0, 0) }, Site{Preference: 100, Resources: []Resource{{0, true, 0}}}},
	} {
		var i Instance
		tt.set(&i)
		s := before
		s.Capabilities, s.Resources = slices.Clone(before.Capabilities), slices.Clone(before.Resources)
		s.FromAggregate(&i)
		if !s.Equal(&tt.want) {
			t.Errorf("%s: %+v", tt.name, s)
		}
	}
}

func TestDelayDuration(t *testing.T) {
	for _, tt := range []struct {
		in   DelayPrediction
		want time.Duration
		ok   bool
	}{
		{DelayPrediction{}, 0, false},
		{DelayPrediction{DelayRelative, 50}, 0, false},
		{DelayPrediction{DelayMilliseconds, math.MaxUint32}, math.MaxUint32 * time.Millisecond, true},
		{DelayPrediction{DelayNTPShort, 1 << 15}, 500 * time.Millisecond, true},
		{DelayPrediction{DelayNTPShort, math.MaxUint32}, 65535*time.Second + 999984741, true},
		{DelayPrediction{DelayNTP, 1 << 31}, 500 * time.Millisecond, true},
		{DelayPrediction{DelayNTP, math.MaxUint64}, math.MaxUint32*time.Second + 999999999, true},
	} {
		if got, ok := tt.in.Duration(); got != tt.want || ok != tt.ok {
			t.Errorf("%+v: %s, %v", tt.in, got, ok)
		}
	}
}

func TestProfileAgrees(t *testing.T) {
	p := Profile{CompleteList, 1, 65001}
	for _, tt := range []struct {
		o      Profile
		agrees bool
	}{
		{Profile{AggregatedOnly, 1, 65001}, true},
		{Profile{CompleteList, 2, 65001}, false},
		{Profile{CompleteList, 1, 65002}, false},
	} {
		if got := p.Agrees(tt.o); got != tt.agrees {
			t.Errorf("%+v: %v", tt.o, got)
		}
	}
}

// Whatever was ignored is named to the operator.
func TestDescribeIgnored(t *testing.T) {
	a := mustDecode(t, unhex(t, hexProfile+"beef 00 0004 00 ca01 0e 40 00"+hexTimes+
		hexInstance(t, "63001801 00 10441801 0b 01841801 07 01841801 08")+
		"0001 05 00 00000001 0001 05 00 00000001 0002 05 00 0009 0065"))
	want := []string{
		"2 unknown sub-TLVs, the first is sub-TLV 0xbeef",
		"1 instances with an unknown kind of identifier",
		"1 site values given again",
		"1 site values out of range",
		"1 unknown metrics: metric_99",
		"1 metrics out of range: computing_comb",
		"1 metrics given again: norm_fi",
	}
	d := a.Describe()
	if !slices.Equal(d.Ignored, want) {
		t.Errorf("%q", d.Ignored)
	}
	for _, s := range want {
		if !strings.Contains(d.String(), "ignored   "+s) {
			t.Errorf("%q is not in\n%s", s, d)
		}
	}
	var back Document
	if err := json.Unmarshal(must(json.Marshal(d)), &back); err != nil || back.String() != d.String() {
		t.Errorf("through JSON: %v\n%s", err, &back)
	}
}

func TestMetricNames(t *testing.T) {
	for typ, want := range map[MetricType]string{NormFI: "norm_fi", ServiceTime: "service_time", 99: "metric_99", 128: "private_128"} {
		if got := typ.String(); got != want {
			t.Errorf("%d: %s", typ, got)
		}
	}
	seen := map[string]MetricType{}
	for n := range 256 {
		name := MetricType(n).String()
		if o, ok := seen[name]; ok {
			t.Errorf("%d and %d are both %s", n, o, name)
		}
		seen[name] = MetricType(n)
	}
}
