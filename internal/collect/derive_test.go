package collect

import (
	"testing"
	"time"

	"github.com/catsbgp/catsbgp/advert"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestDerive(t *testing.T) {
	const (
		nom = advert.SourceNominal
		mea = advert.SourceMeasured
		est = advert.SourceEstimation
	)
	none := Instance{}
	tests := []struct {
		name string
		raw  values
		inst Instance
		want L0
		sane bool
	}{
		{"nothing", nil, none, L0{}, true},
		{
			"what is delivered is believed",
			values{"utilisation": 1.2, "in_flight": 3, "capacity": 50, "slots": 4, "service_time": 0.1, "delay": 0.2, "flow_rate": 9},
			Instance{Capacity: 1, Slots: 1, ServiceTime: time.Second},
			L0{Value{1.2, mea}, Value{3, mea}, Value{50, mea}, Value{4, mea}, Value{0.1, mea}, Value{0.2, mea}, Value{9, mea}}, true,
		},
		{
			"nominal values fill gaps, and what follows says so",
			values{"flow_rate": 60},
			Instance{Slots: 4, ServiceTime: 50 * time.Millisecond},
			L0{Utilisation: Value{0.75, est | mea | nom}, Capacity: Value{80, est | nom}, Slots: Value{4, nom}, ServiceTime: Value{0.05, nom}, FlowRate: Value{60, mea}}, true,
		},
		{
			"a nominal capacity is not recalculated",
			values{"flow_rate": 60},
			Instance{Slots: 4, ServiceTime: 50 * time.Millisecond, Capacity: 100},
			L0{Utilisation: Value{0.75, est | mea | nom}, Capacity: Value{100, nom}, Slots: Value{4, nom}, ServiceTime: Value{0.05, nom}, FlowRate: Value{60, mea}}, true,
		},
		{
			// 12 waiting × 50 ms / 4 slots = 150 ms of work, over 4 s
			"a backlog counts",
			values{"flow_rate": 60, "in_flight": 16, "slots": 4, "service_time": 0.05},
			none,
			L0{Utilisation: Value{0.75 + 0.15/4, est | mea}, InFlight: Value{16, mea}, Capacity: Value{80, est | mea}, Slots: Value{4, mea}, ServiceTime: Value{0.05, mea}, FlowRate: Value{60, mea}}, true,
		},
		{
			"rate over capacity",
			values{"flow_rate": 60, "capacity": 40}, none,
			L0{Utilisation: Value{1.5, est | mea}, Capacity: Value{40, mea}, FlowRate: Value{60, mea}}, true,
		},
		{
			"in flight over slots",
			values{"in_flight": 6}, Instance{Slots: 8},
			L0{Utilisation: Value{0.75, est | mea | nom}, InFlight: Value{6, mea}, Slots: Value{8, nom}}, true,
		},
		{
			"Little's law, for show: neither capacity nor utilisation build on it",
			values{"in_flight": 6, "flow_rate": 60}, Instance{Slots: 8},
			L0{Utilisation: Value{0.75, est | mea | nom}, InFlight: Value{6, mea}, Slots: Value{8, nom}, ServiceTime: Value{0.1, est | mea}, FlowRate: Value{60, mea}}, true,
		},
		{
			"Little's law: who waits is not served",
			values{"in_flight": 60, "flow_rate": 60, "utilisation": 1}, Instance{Slots: 6},
			L0{Utilisation: Value{1, mea}, InFlight: Value{60, mea}, Slots: Value{6, nom}, ServiceTime: Value{0.1, est | mea}, FlowRate: Value{60, mea}}, true,
		},
		{
			"zeros are known, and nothing is divided by them",
			values{"in_flight": 0, "flow_rate": 0, "slots": 0, "capacity": 0, "service_time": 0}, none,
			L0{InFlight: Value{0, mea}, FlowRate: Value{0, mea}, Slots: Value{0, mea}, Capacity: Value{0, mea}, ServiceTime: Value{0, mea}}, true,
		},
		{
			"idle is known",
			values{"flow_rate": 0, "capacity": 10}, none,
			L0{Utilisation: Value{0, est | mea}, FlowRate: Value{0, mea}, Capacity: Value{10, mea}}, true,
		},
		{
			"what comes out beyond belief is unknown",
			values{"flow_rate": 1e15, "capacity": 1e-12}, none,
			L0{FlowRate: Value{1e15, mea}, Capacity: Value{1e-12, mea}}, false,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, sane := derive(func(name string) Value {
				v, ok := tt.raw[name]
				if !ok {
					return Value{}
				}
				return Value{v, advert.SourceMeasured}
			}, tt.inst)
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateApprox(1e-9, 0)); diff != "" || sane != tt.sane {
				t.Errorf("sane %v, want %v\n%s", sane, tt.sane, diff)
			}
		})
	}
}
