package collect

import (
	"fmt"
	"math"
	"strconv"

	"github.com/catsbgp/catsbgp/advert"
)

// A Value is one L0 value and where it comes from. The zero Value is
// "unknown", which is not the same as a known 0.
type Value struct {
	Value  float64
	Source advert.Source // 0: unknown; several bits may be set
}

// Known reports whether there is a value at all.
func (v Value) Known() bool { return v.Source != 0 }

// Nominal reports whether configuration and not measurement says so, at least
// in part.
func (v Value) Nominal() bool { return v.Source&advert.SourceNominal != 0 }

// maxValue is the largest value that is believed. Beyond 2^53 float64 no longer
// holds every integer, so that larger counters could not be rated either.
const maxValue = 1e15

// plausible reports whether v can be said of anything that is measured here.
// It is false for NaN.
func plausible(v float64) bool { return v >= 0 && v <= maxValue }

// A ValueError is a value that was refused since it cannot be true: negative,
// not a number, infinite or above 1e15. The report that follows is marked
// anomalous.
type ValueError struct {
	Name  string
	Value float64
}

func (e *ValueError) Error() string {
	why := "larger than 1e15"
	switch {
	case math.IsNaN(e.Value):
		return e.Name + ": not a number"
	case math.IsInf(e.Value, 0):
		why = "infinite"
	case e.Value < 0:
		why = "negative"
	}
	return fmt.Sprintf("%s: %s is %s", e.Name, number(e.Value), why)
}

// number writes a value as an operator would.
func number(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }
