package collect

import (
	"maps"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func page(t *testing.T, text string) families {
	t.Helper()
	f, err := parseFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

const examplePage = `# HELP busy Workers that work.
# TYPE busy gauge
busy{pool="main",zone="a"} 3
busy{pool="main",zone="b"} 5
busy{pool="aux"} 1
# TYPE workers gauge
workers{pool="main",zone="a"} 4
workers{pool="main",zone="b"} 12
workers{pool="aux"} 0
plain 42
nan_gauge NaN
# TYPE wait histogram
wait_bucket{le="0.1"} 10
wait_bucket{le="1"} 15
wait_bucket{le="+Inf"} 20
wait_sum 12.5
wait_count 20
# TYPE lag summary
lag{quantile="0.5"} 0.25
lag{quantile="0.99"} 0.75
lag_sum 100
lag_count 400
# TYPE odd_count gauge
odd_count 7
`

func TestSelector(t *testing.T) {
	main := map[string]string{"pool": "main"}
	tests := []struct {
		name string
		s    Selector
		want float64
		err  string
	}{
		{"untyped", Selector{Metric: "plain"}, 42, ""},
		{"sum is the default", Selector{Metric: "busy"}, 9, ""},
		{"labels", Selector{Metric: "busy", Labels: main}, 8, ""},
		{"a label that is missing is empty", Selector{Metric: "busy", Labels: map[string]string{"zone": ""}}, 1, ""},
		{"mean", Selector{Metric: "busy", Aggregate: "mean"}, 3, ""},
		{"max", Selector{Metric: "busy", Aggregate: "max"}, 5, ""},
		{"min", Selector{Metric: "busy", Aggregate: "min"}, 1, ""},
		{"scale", Selector{Metric: "plain", Scale: 0.01}, 0.42, ""},
		{"ratio of sums", Selector{Metric: "busy", Labels: main, DivideBy: "workers"}, 0.5, ""},
		{"ratio of maxima", Selector{Metric: "busy", DivideBy: "workers", Aggregate: "max"}, 5.0 / 12, ""},
		{"ratio by a selector of its own", Selector{Metric: "busy", Labels: main, DivideSel: &Selector{Metric: "plain", Scale: 0.5}}, 8.0 / 21, ""},
		{"bucket", Selector{Metric: "wait_bucket", Labels: map[string]string{"le": "0.1"}}, 10, ""},
		{"bucket, as a number", Selector{Metric: "wait_bucket", Labels: map[string]string{"le": "1.0"}}, 15, ""},
		{"last bucket", Selector{Metric: "wait_bucket", Labels: map[string]string{"le": "+Inf"}}, 20, ""},
		{"histogram mean", Selector{Metric: "wait_sum", DivideBy: "wait_count"}, 0.625, ""},
		{"quantile", Selector{Metric: "lag", Labels: map[string]string{"quantile": "0.99"}}, 0.75, ""},
		{"summary mean", Selector{Metric: "lag_sum", DivideBy: "lag_count"}, 0.25, ""},
		{"a gauge that only looks like a histogram's", Selector{Metric: "odd_count"}, 7, ""},

		{"no such name", Selector{Metric: "nix"}, 0, "v: nothing matches nix"},
		{"no such label", Selector{Metric: "busy", Labels: map[string]string{"pool": "x", "a": "b"}}, 0, `v: nothing matches busy{a="b",pool="x"}`},
		{"no such divisor", Selector{Metric: "busy", DivideBy: "nix"}, 0, "v: nothing matches nix"},
		{"a histogram is no number", Selector{Metric: "wait"}, 0, "v: nothing matches wait"},
		{"division by 0", Selector{Metric: "busy", Labels: map[string]string{"pool": "aux"}, DivideBy: "workers"}, 0, "v: workers is 0, cannot divide by it"},
		{"NaN", Selector{Metric: "nan_gauge"}, 0, "v: not a number"},
		{"negative", Selector{Metric: "plain", Scale: -1}, 0, "v: -42 is negative"},
		{"too large", Selector{Metric: "plain", Scale: 1e300}, 0, "v: 4.2e+301 is larger than 1e15"},
		{"infinite", Selector{Metric: "plain", Scale: math.MaxFloat64}, 0, "v: +Inf is infinite"},
		{"aggregate", Selector{Metric: "plain", Aggregate: "median"}, 0, `v: unknown aggregate "median"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := newEvaluator(map[string]Selector{"v": tt.s}).evaluate(time.Unix(0, 0), page(t, examplePage))
			if tt.err != "" {
				if err == nil || err.Error() != tt.err || len(got) != 0 {
					t.Errorf("%v, %v; want %q", got, err, tt.err)
				}
				return
			}
			if v, ok := got["v"]; err != nil || !ok || math.Abs(v-tt.want) > 1e-12 {
				t.Errorf("%v, %v; want %v", got, err, tt.want)
			}
		})
	}
}

func TestRates(t *testing.T) {
	e := newEvaluator(map[string]Selector{
		"rate":    {Metric: "requests", Rate: true},
		"fastest": {Metric: "requests", Rate: true, Aggregate: "max"},
		"mean":    {Metric: "seconds", Rate: true, DivideBy: "requests"},
		"errors":  {Metric: "errors", Rate: true, DivideSel: &Selector{Metric: "requests", Rate: true}},
		"raw":     {Metric: "requests"},
	})
	now := time.Unix(1700000000, 0)
	step := func(what string, dt time.Duration, text string, want values) {
		t.Helper()
		now = now.Add(dt)
		got, err := e.evaluate(now, page(t, text))
		if diff := cmp.Diff(want, values(got), cmpopts.EquateApprox(1e-9, 0)); diff != "" || err != nil {
			t.Errorf("%s: %v\n%s", what, err, diff)
		}
	}
	step("the first reading has no rates, which is no error", 0,
		"requests{i=\"a\"} 100\nrequests{i=\"b\"} 1000\nseconds 50\nerrors 0\n", values{"raw": 1100})
	step("by the time that really passed", 2500*time.Millisecond,
		"requests{i=\"a\"} 150\nrequests{i=\"b\"} 1200\nseconds 75\nerrors 25\n",
		values{"raw": 1350, "rate": 100, "fastest": 80, "mean": 0.1, "errors": 0.1})
	step("nothing happened: rates are 0, ratios unknown", time.Second,
		"requests{i=\"a\"} 150\nrequests{i=\"b\"} 1200\nseconds 75\nerrors 25\n",
		values{"raw": 1350, "rate": 0, "fastest": 0})
	step("one of two is reset, which the sum would hide", time.Second,
		"requests{i=\"a\"} 400\nrequests{i=\"b\"} 50\nseconds 105\nerrors 25\n",
		values{"raw": 450, "rate": 300, "fastest": 250, "mean": 0.1, "errors": 0})
	step("order of series and labels does not matter; a new one has no rate yet", time.Second,
		"requests{i=\"c\"} 1e6\nrequests{i=\"b\"} 60\nrequests{i=\"a\"} 410\nseconds 107\nerrors 25\n",
		values{"raw": 1000470, "rate": 20, "fastest": 10, "mean": 0.1, "errors": 0})
	step("twice at the same time: no rate", 0,
		"requests{i=\"a\"} 500\nseconds 108\nerrors 25\n", values{"raw": 500})
	step("a gap in the readings", 10*time.Second,
		"requests{i=\"a\"} 600\nseconds 118\nerrors 26\n", values{"raw": 600, "rate": 10, "fastest": 10, "mean": 0.1, "errors": 0.01})
}

// Labels in another order are the same series.
func TestRateOfReorderedLabels(t *testing.T) {
	e := newEvaluator(map[string]Selector{"r": {Metric: "c", Rate: true}})
	now := time.Unix(1700000000, 0)
	e.evaluate(now, page(t, "c{a=\"1\",b=\"2\"} 10\nc{a=\"2\",b=\"1\"} 100\n"))
	got, err := e.evaluate(now.Add(time.Second), page(t, "c{b=\"1\",a=\"2\"} 103\nc{b=\"2\",a=\"1\"} 14\n"))
	if !maps.Equal(got, values{"r": 7}) || err != nil {
		t.Errorf("%v, %v", got, err)
	}
}

// A counter that once was no number must not spoil the rates after it.
func TestRateAfterNonsense(t *testing.T) {
	e := newEvaluator(map[string]Selector{"r": {Metric: "c", Rate: true}})
	now := time.Unix(1700000000, 0)
	for i, text := range []string{"c 1\n", "c NaN\n", "c 5\n", "c 7\n"} {
		got, err := e.evaluate(now.Add(time.Duration(i)*time.Second), page(t, text))
		if (err != nil) != (i == 1) {
			t.Errorf("%q: %v", text, err)
		}
		if want := i == 3; maps.Equal(got, values{"r": 2}) != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// FuzzSelector feeds any page to the parser, with and without the line filter:
// no panic, nothing but plausible values, and the filter changes nothing.
func FuzzSelector(f *testing.F) {
	f.Add(examplePage, "busy", "workers", "pool", "main")
	f.Add("{\"a.b\",x=\"y\"} 1\n", "a.b", "", "x", "y")
	f.Add("# TYPE a counter\na{x=\"}\\n\\\"\"} 1 1700000000000\na 2\n", "a", "a", "x", "")
	f.Add("  a_bucket {le=\"1\"} 1\n# TYPE a_bucket gauge\n", "a_bucket", "a", "le", "1")
	f.Fuzz(func(t *testing.T, text, metric, by, label, value string) {
		s := Selector{Metric: metric, DivideBy: by}
		if label != "" {
			s.Labels = map[string]string{label: value}
		}
		wanted := map[string]bool{}
		s.metrics(func(m string) { wanted[m] = true })
		all, err := parseFamilies(strings.NewReader(text))
		if err != nil {
			parseFamilies(newLineFilter(strings.NewReader(text), wanted))
			return
		}
		some, err := parseFamilies(newLineFilter(strings.NewReader(text), wanted))
		if err != nil {
			t.Fatalf("the page is good, but what the filter leaves of it is not: %v", err)
		}
		e := map[string]Selector{"v": s, "r": {Metric: metric, Rate: true}}
		v1, err1 := newEvaluator(e).evaluate(time.Unix(0, 0), all)
		v2, err2 := newEvaluator(e).evaluate(time.Unix(0, 0), some)
		if !maps.Equal(v1, v2) || (err1 == nil) != (err2 == nil) {
			t.Fatalf("all: %v, %v; filtered: %v, %v", v1, err1, v2, err2)
		}
		for _, v := range v1 {
			if !plausible(v) {
				t.Fatalf("%v", v)
			}
		}
	})
}
