package collect

import (
	"math"
	"slices"
	"time"
)

// A Score is an L1 or L2 metric: unitless, 0..10, 10 is best.
type Score struct {
	Value float64 // in steps of 0.1
	Octet uint8   // Value rounded half up, as it travels
	Known bool
}

const (
	bestScore = 10

	// A category whose source is silent and degraded scores at most this, as
	// does a utilisation of 0.9 on the default scale.
	degradedScore = 1

	defaultWindow = 10 * time.Second // draft-ietf-cats-metric-definition, Measurement_Window

	// sigmoidSteepness makes Best score 9.9 and Worst 0.1, which are 10 and 0
	// on the wire.
	sigmoidSteepness = 10
)

// newScore rounds x, 0..10, to one decimal, half up.
//
// Rounding to millionths first removes the noise of the last bits, which
// depends on the order of additions and the machine. The octet is rounded from
// the decimal that is shown, so that the shown explains the sent.
func newScore(x float64) Score {
	tenths := math.Floor(math.Floor(x*1e6+0.5)/1e5 + 0.5)
	return Score{Value: tenths / 10, Octet: uint8(math.Floor(tenths/10 + 0.5)), Known: true}
}

// window is Window with its default.
func (n Normalization) window() time.Duration {
	if n.Window <= 0 {
		return defaultWindow
	}
	return n.Window
}

// inputs is Inputs, or what counts if none are configured: the utilisation,
// 0 best and 1 worst, as computing. A utilisation is known for every instance
// that says anything of its load.
func (n Normalization) inputs() []Input {
	if len(n.Inputs) > 0 {
		return n.Inputs
	}
	return []Input{{Metric: ValueUtilisation, Category: CategoryComputing, Best: 0, Worst: 1, Weight: 1}}
}

// Score maps a raw value to 0..10 (level 0 to level 1).
//
// With t = (x - Best) / (Worst - Best), the position between the two:
//
//	min-max:  10 · (1 - t), t clamped to 0..1
//	sigmoid:  10 / (1 + e^(10 · (t - 0.5)))
//
// so the sigmoid's midpoint is (Best+Worst)/2, its steepness 10/(Worst-Best).
// Best = Worst is a threshold: 10 up to it, 0 beyond.
func (n Normalization) Score(in Input, x float64) float64 {
	if math.IsNaN(x) {
		return 0
	}
	if in.Best == in.Worst {
		if x <= in.Best {
			return bestScore
		}
		return 0
	}
	t := (x - in.Best) / (in.Worst - in.Best)
	if n.Sigmoid {
		return bestScore / (1 + math.Exp(sigmoidSteepness*(t-0.5)))
	}
	return bestScore * (1 - min(max(t, 0), 1))
}

// combine condenses scores to one by the configured aggregation; false if
// there are none. A weight of 0 counts as 1.
func (n Normalization) combine(scores, weights []float64) (float64, bool) {
	if len(scores) == 0 {
		return 0, false
	}
	switch n.Aggregation {
	case Min:
		return slices.Min(scores), true
	case Mean:
		return mean(scores, nil), true
	}
	return mean(scores, weights), true
}

// mean is the weighted mean; nil weights are all 1, as is a weight of 0.
func mean(xs, weights []float64) float64 {
	var sum, total float64
	for i, x := range xs {
		w := 1.0
		if weights != nil && weights[i] > 0 {
			w = weights[i]
		}
		sum += float64(w * x) // the conversion forbids a fused multiply-add: equal on all machines
		total += w
	}
	return sum / total
}

// final is L1 to L2: the weighted mean of the categories that are known. All
// weights 0, as in a zero Normalization, are taken for the default: computing
// and service equally.
func (n Normalization) final(l1 L1) Score {
	wc, wn, ws := n.Computing, n.Communication, n.Service
	if wc == 0 && wn == 0 && ws == 0 {
		wc, ws = 1, 1
	}
	var sum, total float64
	for _, c := range []struct {
		score  Score
		weight float64
	}{{l1.Computing, wc}, {l1.Communication, wn}, {l1.Service, ws}} {
		if c.score.Known && c.weight > 0 {
			sum += float64(c.weight * c.score.Value)
			total += c.weight
		}
	}
	if total == 0 {
		return Score{}
	}
	return newScore(sum / total)
}
