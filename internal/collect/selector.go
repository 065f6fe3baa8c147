package collect

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A reading is what a source delivered at one time.
type reading interface {
	// series calls yield for every series of a name that has these labels, with
	// an identity that is the same in the next reading.
	series(name string, labels map[string]string, yield func(id string, value float64))
}

// pending reports whether a reading says of a name that is missing that this is
// nothing wrong.
func pending(r reading, name string) bool {
	p, ok := r.(interface{ pending(name string) bool })
	return ok && p.pending(name)
}

// flat is a reading without labels: no series has any.
type flat map[string]float64

func (f flat) series(name string, labels map[string]string, yield func(string, float64)) {
	if v, ok := f[name]; ok && len(labels) == 0 {
		yield(name, v)
	}
}

// An evaluator turns the readings of one source into its configured values. It
// keeps what rates need of the reading before.
type evaluator struct {
	names     []string // sorted
	selectors map[string]Selector
	before    map[point]sample // counters of the last reading
	now       map[point]sample // of this one
}

// A point is one series as one selector uses it.
type point struct{ use, id string }

type sample struct {
	at    time.Time
	value float64
}

// errPending says that there is no value, and nothing wrong with that: a rate
// needs two readings, and a ratio of two rates needs something to have happened.
var errPending = errors.New("no value yet")

func newEvaluator(selectors map[string]Selector) *evaluator {
	e := &evaluator{names: slices.Sorted(maps.Keys(selectors)), selectors: make(map[string]Selector, len(selectors))}
	for name, s := range selectors {
		e.selectors[name] = s.named(name)
	}
	return e
}

// evaluate returns the values that the reading holds. A value that cannot be
// found, or cannot be true, is missing and part of the error; one that cannot be
// known yet is only missing.
func (e *evaluator) evaluate(now time.Time, r reading) (map[string]float64, error) {
	values := make(map[string]float64, len(e.names))
	e.now = make(map[point]sample, len(e.before))
	var errs error
	for _, name := range e.names {
		v, err := e.value(now, r, name, e.selectors[name])
		switch {
		case errors.Is(err, errPending):
		case err != nil:
			errs = join(errs, fmt.Errorf("%s: %w", name, err))
		case !plausible(v):
			errs = join(errs, &ValueError{name, v})
		default:
			values[name] = v
		}
	}
	e.before, e.now = e.now, nil
	return values, errs
}

// value evaluates one selector. use tells its counters from those of others.
func (e *evaluator) value(now time.Time, r reading, use string, s Selector) (float64, error) {
	v, err := e.aggregate(now, r, use, s, s.Metric)
	// The divisor is looked at even if the dividend is pending: its counters
	// have to be remembered as well.
	divisor, divided := 1.0, s.DivideBy != "" || s.DivideSel != nil
	by, derr := s.DivideBy, error(nil)
	switch {
	case s.DivideBy != "":
		divisor, derr = e.aggregate(now, r, use+"/", s, s.DivideBy)
	case s.DivideSel != nil:
		by = s.DivideSel.Metric
		divisor, derr = e.value(now, r, use+"/", *s.DivideSel)
	}
	for _, err := range []error{err, derr} {
		if err != nil && !errors.Is(err, errPending) {
			return 0, err
		}
	}
	switch {
	case err != nil || derr != nil:
		return 0, errPending
	case divided && divisor == 0 && v == 0:
		return 0, errPending // nothing happened, so nothing is known per happening
	case divided && divisor == 0:
		return 0, fmt.Errorf("%s is 0, cannot divide by it", by)
	}
	scale := s.Scale
	if scale == 0 {
		scale = 1
	}
	return v / divisor * scale, nil
}

// aggregate condenses the series of a metric that match.
func (e *evaluator) aggregate(now time.Time, r reading, use string, s Selector, metric string) (float64, error) {
	var found, n int
	var sum, least, most float64
	r.series(metric, s.Labels, func(id string, v float64) {
		found++
		if s.Rate {
			var ok bool
			if v, ok = e.rate(now, point{use, id}, v); !ok {
				return
			}
		}
		if n++; n == 1 {
			least, most = v, v
		}
		sum, least, most = sum+v, min(least, v), max(most, v)
	})
	switch {
	case found == 0 && pending(r, metric):
		return 0, errPending
	case found == 0:
		return 0, fmt.Errorf("nothing matches %s", describe(metric, s.Labels))
	case n == 0:
		return 0, errPending
	}
	switch s.Aggregate {
	case "", "sum":
		return sum, nil
	case "mean":
		return sum / float64(n), nil
	case "max":
		return most, nil
	case "min":
		return least, nil
	}
	return 0, fmt.Errorf("unknown aggregate %q", s.Aggregate)
}

// rate is the increase of one counter per second of real time. A counter that
// is less than before was reset in between, and has grown from 0 to what it is.
// A counter seen for the first time has no rate, even if others of the same
// selector do: it may have grown long before.
func (e *evaluator) rate(now time.Time, p point, v float64) (float64, bool) {
	if plausible(v) {
		e.now[p] = sample{now, v}
	}
	old, ok := e.before[p]
	elapsed := now.Sub(old.at).Seconds()
	if !ok || elapsed <= 0 {
		return 0, false
	}
	if v < old.value {
		old.value = 0
	}
	return (v - old.value) / elapsed, true
}

// named fills in the name of a selector that only has the name of its value.
func (s Selector) named(name string) Selector {
	if s.Metric == "" {
		s.Metric = name
	}
	return s
}

// rated reports whether a selector needs two readings.
func (s Selector) rated() bool {
	return s.Rate || s.DivideSel != nil && s.DivideSel.rated()
}

// metrics calls yield for each name that a selector reads.
func (s Selector) metrics(yield func(string)) {
	yield(s.Metric)
	if s.DivideBy != "" {
		yield(s.DivideBy)
	}
	if s.DivideSel != nil {
		s.DivideSel.metrics(yield)
	}
}

// describe writes a selector as Prometheus does: name{label="value"}.
func describe(metric string, labels map[string]string) string {
	if len(labels) == 0 {
		return metric
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		parts = append(parts, name+"="+strconv.Quote(labels[name]))
	}
	return metric + "{" + strings.Join(parts, ",") + "}"
}
