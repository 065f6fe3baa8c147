package collect

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestScore(t *testing.T) {
	up := Input{Best: 0, Worst: 1}      // less is better
	down := Input{Best: 100, Worst: 20} // more is better
	threshold := Input{Best: 5, Worst: 5}
	tests := []struct {
		name    string
		in      Input
		sigmoid bool
		x, want float64
	}{
		{"best", up, false, 0, 10},
		{"worst", up, false, 1, 0},
		{"beyond best", up, false, -3, 10},
		{"beyond worst", up, false, 7, 0},
		{"between", up, false, 0.25, 7.5},
		{"falling scale, best", down, false, 100, 10},
		{"falling scale, worst", down, false, 20, 0},
		{"falling scale, between", down, false, 40, 2.5},
		{"threshold, at", threshold, false, 5, 10},
		{"threshold, beyond", threshold, false, 5.001, 0},
		{"sigmoid, best", up, true, 0, 9.9},
		{"sigmoid, middle", up, true, 0.5, 5},
		{"sigmoid, worst", up, true, 1, 0.1},
		{"sigmoid, far beyond", up, true, 1e15, 0},
		{"sigmoid, falling scale", down, true, 100, 9.9},
		{"no number", up, false, math.NaN(), 0},
	}
	for _, tt := range tests {
		n := Normalization{Sigmoid: tt.sigmoid}
		if got := newScore(n.Score(tt.in, tt.x)); got.Value != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestScoreRounding(t *testing.T) {
	tests := []struct {
		x     float64
		value float64
		octet uint8
	}{
		{0, 0, 0}, {10, 10, 10}, {0.04, 0, 0}, {0.05, 0.1, 0},
		{7.449, 7.4, 7}, // not 7.45 -> 7.5 -> 8
		{7.45, 7.5, 8},  // the octet follows the decimal that is shown
		{7.5, 7.5, 8}, {9.95, 10, 10}, {9.94, 9.9, 10},
		{7.4499999, 7.5, 8}, // the noise of addition must not decide
	}
	for _, tt := range tests {
		if got := newScore(tt.x); got != (Score{tt.value, tt.octet, true}) {
			t.Errorf("%v: %v, want %v and %d", tt.x, got, tt.value, tt.octet)
		}
	}
}

func TestAggregation(t *testing.T) {
	scores, weights := []float64{9, 3, 6}, []float64{2, 1, 0} // 0 counts as 1
	for aggregation, want := range map[Aggregation]float64{"": 6.75, WeightedMean: 6.75, Mean: 6, Min: 3} {
		if got, ok := (Normalization{Aggregation: aggregation}).combine(scores, weights); !ok || got != want {
			t.Errorf("%q: %v, want %v", aggregation, got, want)
		}
	}
	if _, ok := (Normalization{}).combine(nil, nil); ok {
		t.Error("nothing makes no score")
	}
}

func TestFinal(t *testing.T) {
	known := func(v float64) Score { return newScore(v) }
	tests := []struct {
		name string
		n    Normalization
		l1   L1
		want Score
	}{
		{"nothing known", Normalization{}, L1{}, Score{}},
		{"default weights", Normalization{}, L1{known(8), known(0), known(4)}, known(6)},
		{"only computing known", Normalization{}, L1{Computing: known(8)}, known(8)},
		{"weights", Normalization{Computing: 3, Communication: 1}, L1{known(8), known(4), known(0)}, known(7)},
		{"known, but without weight", Normalization{Computing: 1}, L1{Service: known(3)}, Score{}},
	}
	for _, tt := range tests {
		if got := tt.n.final(tt.l1); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// A worse value never scores better; the ends of the scale are its ends; and an
// aggregate lies between what it is made of.
func TestScoreProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.Float64Range(-1e15, 1e15)
		in := Input{Best: value.Draw(t, "best"), Worst: value.Draw(t, "worst")}
		n := Normalization{Sigmoid: rapid.Bool().Draw(t, "sigmoid"), Aggregation: rapid.SampledFrom([]Aggregation{WeightedMean, Mean, Min}).Draw(t, "aggregation")}
		x, y := value.Draw(t, "x"), value.Draw(t, "y")
		if in.Worst >= in.Best == (x > y) { // x is the worse
			x, y = y, x
		}
		if sx, sy := n.Score(in, x), n.Score(in, y); sx < sy && x != y {
			t.Fatalf("%v scores %v, worse %v scores %v", x, sx, y, sy)
		}
		if best := newScore(n.Score(in, in.Best)).Octet; best != 10 {
			t.Fatalf("best scores %d", best)
		}
		if worst := newScore(n.Score(in, in.Worst)).Octet; worst != 0 && in.Best != in.Worst {
			t.Fatalf("worst scores %d", worst)
		}
		scores := rapid.SliceOfN(rapid.Float64Range(0, 10), 1, 8).Draw(t, "scores")
		weights := rapid.SliceOfN(rapid.Float64Range(0, 1e6), len(scores), len(scores)).Draw(t, "weights")
		got, _ := n.combine(scores, weights)
		if got < slices.Min(scores)-1e-9 || got > slices.Max(scores)+1e-9 {
			t.Fatalf("%v of %v", got, scores)
		}
	})
}
