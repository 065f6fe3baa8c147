package advert

import "time"

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

// Value returns the value of the first metric of a type.
func (i *Instance) Value(t MetricType) (uint64, bool) {
	for k := range i.Metrics {
		if i.Metrics[k].Type == t {
			return i.Metrics[k].Value, true
		}
	}
	return 0, false
}

// GeneratedAt is Generated as a time.
func (i *Instance) GeneratedAt() time.Time { return time.Unix(int64(i.Generated), 0) }
