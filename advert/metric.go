package advert

import (
	"math"
	"slices"
	"strconv"
	"time"
)

// A MetricType is the code of a metric on the wire (CATS-BGP v1).
type MetricType uint8

const (
	NormFI            MetricType = 1  // norm_fi, L2, 0..10, 10 best
	ComputingComb     MetricType = 16 // computing_comb, L1, 0..10
	CommunicationComb MetricType = 17 // communication_comb, L1, 0..10
	ServiceComb       MetricType = 18 // service_comb, L1, 0..10
	ComposedComb      MetricType = 19 // composed_comb, L1, 0..10
	ServiceDelay      MetricType = 64 // predicted service delay, µs, L0
	Utilisation       MetricType = 65 // offered load / capacity, 0.01 %, may exceed 100 %, L0
	InFlight          MetricType = 66 // requests in flight, L0
	Capacity          MetricType = 67 // 0.01 flows/s, L0
	FreeSlots         MetricType = 68 // L0
	Slots             MetricType = 69 // parallel slots, L0
	ServiceTime       MetricType = 70 // without waiting, µs, L0
)

// A Level is the abstraction level of a metric
// (draft-ietf-cats-metric-definition section 3).
type Level uint8

const (
	L0 Level = 0 // raw, in a unit
	L1 Level = 1 // one score per category, 0..10, 10 best
	L2 Level = 2 // one score, 0..10, 10 best
)

// A Statistic says how a metric's value was condensed over its window.
type Statistic uint8

const (
	StatCurrent Statistic = 0
	StatMean    Statistic = 1
	StatMax     Statistic = 2
	StatMin     Statistic = 3
)

// A Source says where a metric's value comes from; several may be true.
type Source uint8

const (
	SourceNominal       Source = 1
	SourceMeasured      Source = 2
	SourceEstimation    Source = 4
	SourceAggregation   Source = 8
	SourceNormalization Source = 16
)

// A Metric is one value, in the unit that its type has on the wire.
// Value is never NaN or infinite when it was decoded.
type Metric struct {
	Type      MetricType
	Level     Level
	Float     bool // IEEE 754 on the wire, Value holds math.Float64bits
	Statistic Statistic
	Source    Source
	Value     uint64
}

// InstanceFlags are the flags of an Instance TLV.
type InstanceFlags uint8

const (
	Aggregate InstanceFlags = 8 // stands for several instances
	Drain     InstanceFlags = 4 // no new flows, please
	Damped    InstanceFlags = 2 // the value is held back, not fresh
	Anomalous InstanceFlags = 1 // the egress itself distrusts the value
)

// A Sequence is a serial number per CSCI-ID, ordered as in RFC 1982.
type Sequence uint32

// Newer reports whether s comes after o in RFC 1982 order.
func (s Sequence) Newer(o Sequence) bool { return s != o && s-o < 1<<31 }

// An Instance is what a site says about one instance of one service.
type Instance struct {
	// Service is the CS-ID TLV in force where the Instance stood; zero where
	// the route itself is the CS-ID.
	Service   CSID
	ID        CSCIID
	Flags     InstanceFlags
	Sequence  Sequence
	Generated uint32 // Unix seconds
	Validity  uint16 // seconds; 0: until withdrawn
	Window    uint16 // measurement window, units of 100 ms
	Metrics   []Metric
}

// GeneratedAt is Generated as a time.
func (i *Instance) GeneratedAt() time.Time { return time.Unix(int64(i.Generated), 0) }

// Equal reports whether i and o say the same, metrics in the same order.
func (i *Instance) Equal(o *Instance) bool {
	return i.Service == o.Service && i.ID == o.ID && i.Flags == o.Flags && i.Sequence == o.Sequence &&
		i.Generated == o.Generated && i.Validity == o.Validity && i.Window == o.Window &&
		slices.Equal(i.Metrics, o.Metrics)
}

// Expired reports whether the values are older than the sender vouches for.
func (i *Instance) Expired(now time.Time) bool {
	return i.Validity != 0 && now.Sub(i.GeneratedAt()) > time.Duration(i.Validity)*time.Second
}

// kind is what the wire form knows about a metric type.
type kind struct {
	name    string
	level   Level
	octets  int     // of an integer when sent; 0: as few as hold it
	max     float64 // largest value
	unit    string
	perUnit float64 // wire value of 1 unit
}

var kinds = [FirstPrivate]kind{
	NormFI:            {"norm_fi", L2, 1, 10, "", 1},
	ComputingComb:     {"computing_comb", L1, 1, 10, "", 1},
	CommunicationComb: {"communication_comb", L1, 1, 10, "", 1},
	ServiceComb:       {"service_comb", L1, 1, 10, "", 1},
	ComposedComb:      {"composed_comb", L1, 1, 10, "", 1},
	ServiceDelay:      {"service_delay", L0, 4, math.MaxUint32, "s", 1e6},
	Utilisation:       {"utilisation", L0, 2, math.MaxUint16, "%", 100},
	InFlight:          {"in_flight", L0, 4, math.MaxUint32, "", 1},
	Capacity:          {"capacity", L0, 4, math.MaxUint32, "flows/s", 100},
	FreeSlots:         {"free_slots", L0, 4, math.MaxUint32, "", 1},
	Slots:             {"slots", L0, 4, math.MaxUint32, "", 1},
	ServiceTime:       {"service_time", L0, 4, math.MaxUint32, "s", 1e6},
}

// Private types have no meaning, but are carried.
var privateKind = kind{max: math.Inf(1), perUnit: 1}

// kind returns false for types that this version does not know.
func (t MetricType) kind() (k *kind, known bool) {
	if t >= FirstPrivate {
		return &privateKind, true
	}
	k = &kinds[t]
	return k, k.name != ""
}

// FirstPrivate is the first metric type that is free for private use. Private
// metrics are carried, integers in as few octets as hold them.
const FirstPrivate MetricType = 128

// String returns the name, "private_200" or "metric_99".
func (t MetricType) String() string {
	k, _ := t.kind()
	switch {
	case k.name != "":
		return k.name
	case t >= FirstPrivate:
		return "private_" + utoa(uint64(t))
	}
	return "metric_" + utoa(uint64(t))
}

// MarshalText implements encoding.TextMarshaler.
func (t MetricType) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// String returns "L0", "L1" or "L2".
func (l Level) String() string { return "L" + utoa(uint64(l)) }

// String returns the word of the draft.
func (s Statistic) String() string {
	switch s {
	case StatCurrent:
		return "cur"
	case StatMean:
		return "mean"
	case StatMax:
		return "max"
	case StatMin:
		return "min"
	}
	return "statistic_" + utoa(uint64(s))
}

const allSources = SourceNominal | SourceMeasured | SourceEstimation | SourceAggregation | SourceNormalization

// Words returns the names of the sources that are true.
func (s Source) Words() []string {
	return bitWords(uint8(s), "nominal", "measured", "estimation", "aggregation", "normalization")
}

const allFlags = Aggregate | Drain | Damped | Anomalous

// Words returns the names of the flags that are set.
func (f InstanceFlags) Words() []string {
	return bitWords(uint8(f), "anomalous", "damped", "drain", "aggregate")
}

func bitWords(bits uint8, names ...string) (words []string) {
	for k, name := range names {
		if bits&(1<<k) != 0 {
			words = append(words, name)
		}
	}
	return words
}

func utoa(n uint64) string { return strconv.FormatUint(n, 10) }

// Number returns the value in the unit that the type has on the wire, whether
// it is an integer or a float there.
func (m Metric) Number() float64 {
	if m.Float {
		return math.Float64frombits(m.Value)
	}
	return float64(m.Value)
}

// inRange reports whether the value is one that its type can have.
func (m Metric) inRange(max float64) bool {
	if !m.Float {
		return float64(m.Value) <= max
	}
	v := math.Float64frombits(m.Value)
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return false
	}
	return m.Type >= FirstPrivate || (v >= 0 && v <= max)
}
