package advert

import (
	"math"
	"time"
)

// Metric returns the metric of a type, false if there is none.
func (i *Instance) Metric(t MetricType) (Metric, bool) {
	for k := range i.Metrics {
		if i.Metrics[k].Type == t {
			return i.Metrics[k], true
		}
	}
	return Metric{}, false
}

// Value returns the value of a metric in the unit of the wire; one that came
// as a float is rounded, and a private one below 0 is 0.
func (i *Instance) Value(t MetricType) (uint64, bool) {
	m, ok := i.Metric(t)
	if ok && m.Float {
		return saturate(m.Number(), math.MaxUint64), true
	}
	return m.Value, ok
}

// Set replaces the metric of m's type where it stands, or appends m.
func (i *Instance) Set(m Metric) {
	for k := range i.Metrics {
		if i.Metrics[k].Type == m.Type {
			i.Metrics[k] = m
			return
		}
	}
	i.Metrics = append(i.Metrics, m)
}

// Remove takes the metric of a type away. The others keep their order.
func (i *Instance) Remove(t MetricType) {
	kept := i.Metrics[:0]
	for _, m := range i.Metrics {
		if m.Type != t {
			kept = append(kept, m)
		}
	}
	i.Metrics = kept
}

// SetUint sets an integer metric. A value above what the type can say
// saturates. An L1 or L2 score is 0..10.
func (i *Instance) SetUint(t MetricType, level Level, stat Statistic, source Source, value uint64) {
	if k, ok := t.kind(); ok && float64(value) > k.max {
		value = uint64(k.max)
	}
	i.Set(Metric{Type: t, Level: level, Statistic: stat, Source: source, Value: value})
}

// setScaled sets a known metric, of its own level, from a value in its unit.
// NaN is "unknown" and removes it; what does not fit saturates.
func (i *Instance) setScaled(t MetricType, perUnit, v float64, stat Statistic, source Source) {
	if math.IsNaN(v) {
		i.Remove(t)
		return
	}
	k, _ := t.kind()
	i.Set(Metric{Type: t, Level: k.level, Statistic: stat, Source: source, Value: saturate(v*perUnit, k.max)})
}

// saturate rounds v to an integer in 0..max.
func saturate(v, max float64) uint64 {
	switch {
	case !(v > 0):
		return 0
	case v >= max:
		if max >= math.MaxUint64 {
			return math.MaxUint64
		}
		return uint64(max)
	}
	return uint64(math.Round(v))
}

func (i *Instance) number(t MetricType, perUnit float64) (float64, bool) {
	m, ok := i.Metric(t)
	return m.Number() / perUnit, ok
}

// Wire units per unit of the accessors below.
const (
	utilisationPerOne = 10000 // 0.01 %
	capacityPerFlow   = 100   // 0.01 flows/s
	ticksPerSecond    = 1e6   // µs
)

// Utilisation returns offered load over capacity; 1 is full, more is overload.
func (i *Instance) Utilisation() (float64, bool) { return i.number(Utilisation, utilisationPerOne) }

// SetUtilisation sets offered load over capacity, in steps of 0.0001. It
// saturates at 6.5535.
func (i *Instance) SetUtilisation(ratio float64, stat Statistic, source Source) {
	i.setScaled(Utilisation, utilisationPerOne, ratio, stat, source)
}

// CapacityFlows returns the capacity in flows/s.
func (i *Instance) CapacityFlows() (float64, bool) { return i.number(Capacity, capacityPerFlow) }

// SetCapacityFlows sets the capacity in flows/s, in steps of 0.01. It
// saturates at 42.9 million.
func (i *Instance) SetCapacityFlows(perSecond float64, stat Statistic, source Source) {
	i.setScaled(Capacity, capacityPerFlow, perSecond, stat, source)
}

// InFlightN returns how many requests are in flight.
func (i *Instance) InFlightN() (uint32, bool) { return i.count(InFlight) }

// SetInFlightN sets how many requests are in flight.
func (i *Instance) SetInFlightN(n uint32, stat Statistic, source Source) {
	i.SetUint(InFlight, L0, stat, source, uint64(n))
}

// SlotsN returns how many requests are served in parallel.
func (i *Instance) SlotsN() (uint32, bool) { return i.count(Slots) }

// SetSlotsN sets how many requests are served in parallel.
func (i *Instance) SetSlotsN(n uint32, stat Statistic, source Source) {
	i.SetUint(Slots, L0, stat, source, uint64(n))
}

// FreeSlotsN returns how many of the slots are free.
func (i *Instance) FreeSlotsN() (uint32, bool) { return i.count(FreeSlots) }

// SetFreeSlotsN sets how many of the slots are free.
func (i *Instance) SetFreeSlotsN(n uint32, stat Statistic, source Source) {
	i.SetUint(FreeSlots, L0, stat, source, uint64(n))
}

func (i *Instance) count(t MetricType) (uint32, bool) {
	v, ok := i.Value(t)
	return uint32(v), ok
}

// ServiceDelayDur returns the predicted delay of a request, waiting included.
func (i *Instance) ServiceDelayDur() (time.Duration, bool) { return i.duration(ServiceDelay) }

// SetServiceDelayDur sets the predicted delay of a request, waiting included,
// in steps of 1 µs. It saturates at 71 minutes.
func (i *Instance) SetServiceDelayDur(d time.Duration, stat Statistic, source Source) {
	i.setScaled(ServiceDelay, ticksPerSecond, d.Seconds(), stat, source)
}

// ServiceTimeDur returns the time to serve a request, without waiting.
func (i *Instance) ServiceTimeDur() (time.Duration, bool) { return i.duration(ServiceTime) }

// SetServiceTimeDur sets the time to serve a request, without waiting, in
// steps of 1 µs. It saturates at 71 minutes.
func (i *Instance) SetServiceTimeDur(d time.Duration, stat Statistic, source Source) {
	i.setScaled(ServiceTime, ticksPerSecond, d.Seconds(), stat, source)
}

func (i *Instance) duration(t MetricType) (time.Duration, bool) {
	us, ok := i.number(t, 1)
	return time.Duration(math.Round(us * float64(time.Microsecond))), ok
}

// ScoreNorm returns norm_fi, 0..10, 10 best.
func (i *Instance) ScoreNorm() (float64, bool) { return i.Score(NormFI) }

// Score returns an L1 or L2 score, 0..10, 10 best.
func (i *Instance) Score(t MetricType) (float64, bool) { return i.number(t, 1) }

// SetScore sets an L1 or L2 score, rounded to 0..10. NaN removes it. The
// source should tell SourceNormalization, and SourceAggregation where several
// values went in.
func (i *Instance) SetScore(t MetricType, score float64, stat Statistic, source Source) {
	i.setScaled(t, 1, score, stat, source)
}
