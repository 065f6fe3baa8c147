package advert

import (
	"math/bits"
	"slices"
	"time"
)

// A Site is what the standard sub-TLVs 1, 2, 3, 5, 6 and 7 of
// draft-ietf-idr-5g-edge-service-metadata say about a site as a whole. The
// zero value says nothing.
type Site struct {
	Preference   uint32 // Site Preference Index, higher is better; 0: none
	Availability Availability
	Delay        DelayPrediction
	Capabilities []Capability // each Kind once
	Resources    []Resource   // each Kind once
	ASScope      []uint32     // only for these ASNs; empty: for all
}

// Equal reports whether s and o say the same.
func (s *Site) Equal(o *Site) bool {
	return s.Preference == o.Preference && s.Availability == o.Availability && s.Delay == o.Delay &&
		slices.Equal(s.Capabilities, o.Capabilities) && slices.Equal(s.Resources, o.Resources) &&
		slices.Equal(s.ASScope, o.ASScope)
}

// Availability is the Site Physical Availability Index (sub-TLV 2).
type Availability struct {
	Set     bool
	Bind    bool   // says only that the route belongs to SiteID (I flag)
	SiteID  uint16 // of all routes that were bound to it
	Percent uint16 // 0..100; 0 with Bind
}

// A DelayForm is how a DelayPrediction is expressed.
type DelayForm uint8

const (
	DelayNone         DelayForm = 0 // no prediction
	DelayRelative     DelayForm = 1 // 0..100, higher is longer (F=1)
	DelayMilliseconds DelayForm = 2 // 32 bits (F=0, L=1)
	DelayNTP          DelayForm = 3 // NTP timestamp format, 32.32 bits of seconds (F=0, L=0, length 9)
	DelayNTPShort     DelayForm = 4 // NTP short format, 16.16 bits of seconds (F=0, L=0, length 5)
)

// A DelayPrediction is the Service Delay Prediction (sub-TLV 3). The draft
// contradicts itself on the L flag and on the length of the NTP format. What
// can be told apart by flag and length is understood; we send milliseconds.
type DelayPrediction struct {
	Form  DelayForm
	Value uint64 // in the unit of Form
}

// Duration returns the delay if it is a time, not relative. It saturates.
func (d DelayPrediction) Duration() (time.Duration, bool) {
	switch d.Form {
	case DelayMilliseconds:
		return time.Duration(d.Value) * time.Millisecond, true
	case DelayNTPShort:
		return time.Duration(d.Value * uint64(time.Second) >> 16), true
	case DelayNTP:
		hi, lo := bits.Mul64(d.Value, uint64(time.Second))
		return time.Duration(hi<<32 | lo>>32), true // below 2^62
	}
	return 0, false
}

// maxValue is the largest Value of a form.
func (f DelayForm) maxValue() uint64 {
	switch f {
	case DelayRelative:
		return 100
	case DelayMilliseconds, DelayNTPShort:
		return 1<<32 - 1
	case DelayNTP:
		return 1<<64 - 1
	}
	return 0
}

// A Capability is the Service-Oriented Capability (sub-TLV 5).
type Capability struct {
	Kind  uint8  // the draft's MT, 0..15; 0: normalized
	Value uint32 // higher is better
}

// A Resource is the Service-Oriented Available Resource (sub-TLV 6).
type Resource struct {
	Kind    uint8 // the draft's MT, 0..15
	Percent bool  // Value is 0..100, else abstract
	Value   uint32
}

// FromAggregate sets the standard sub-TLVs 3, 5 and 6 from an aggregate, for routers
// that know draft-ietf-idr-5g-edge-service-metadata but not CATS (E-mode):
//
//   - predicted service delay becomes the delay prediction, in milliseconds,
//     rounded up so that some delay never becomes none;
//   - capacity, in 0.01 flows/s, becomes the capability of kind 0;
//   - what utilisation leaves free (else the share of free slots) becomes the
//     available resource of kind 0, in percent.
//
// What the aggregate does not say is removed, and so are other kinds. A
// draining aggregate has no resource available.
func (s *Site) FromAggregate(aggregate *Instance) {
	s.Delay = DelayPrediction{}
	if us, ok := aggregate.Value(ServiceDelay); ok {
		s.Delay = DelayPrediction{DelayMilliseconds, (us + 999) / 1000}
	}
	s.Capabilities = s.Capabilities[:0]
	if c, ok := aggregate.Value(Capacity); ok {
		s.Capabilities = append(s.Capabilities, Capability{Value: uint32(c)})
	}
	s.Resources = s.Resources[:0]
	if percent, ok := freePercent(aggregate); ok {
		s.Resources = append(s.Resources, Resource{Percent: true, Value: percent})
	}
}

func freePercent(i *Instance) (uint32, bool) {
	if i.Flags&Drain != 0 {
		return 0, true
	}
	if u, ok := i.Value(Utilisation); ok {
		return uint32((10000 - min(u, 10000)) / 100), true
	}
	free, ok := i.Value(FreeSlots)
	slots, _ := i.Value(Slots)
	if !ok || slots == 0 {
		return 0, false
	}
	return uint32(min(free, slots) * 100 / slots), true
}
