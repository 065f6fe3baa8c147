package collect

import (
	"testing"

	"github.com/catsbgp/catsbgp/advert"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestAggregateReports(t *testing.T) {
	m := func(v float64) Value { return Value{v, advert.SourceMeasured} }
	agg := func(v float64) Value { return Value{v, advert.SourceMeasured | advert.SourceAggregation} }
	big := Report{State: Up, L0: L0{Utilisation: m(0.4), InFlight: m(10), Capacity: m(300), Slots: m(30), ServiceTime: m(0.1), FlowRate: m(120)},
		L1: L1{Computing: newScore(8), Service: newScore(2)}}
	small := Report{State: Up, L0: L0{Utilisation: m(0.8), InFlight: m(6), Capacity: m(100), Slots: m(5), ServiceTime: m(0.2), FlowRate: m(80)},
		L1: L1{Computing: newScore(4)}}
	down := Report{State: Down, Reason: "check tcp-1: connection refused", L0: L0{Utilisation: m(99), Capacity: m(1e6)}, L1: L1{Computing: newScore(0)}, Anomalous: true}
	without := func(r Report, change func(*Report)) Report { change(&r); return r }

	tests := []struct {
		name string
		rs   []Report
		n    Normalization
		want Report
	}{
		{"none", nil, Normalization{}, Report{}},
		{"all unheard", []Report{{Reason: "why"}}, Normalization{}, Report{Reason: "0 of 1 up; why"}},
		{"all down", []Report{down}, Normalization{}, Report{State: Down, Reason: "0 of 1 up; check tcp-1: connection refused"}},
		{"one unheard may still be up", []Report{down, {}}, Normalization{}, Report{State: Unknown, Reason: "0 of 2 up; check tcp-1: connection refused"}},
		{
			"two up, weighted 3:1, and one that is down does not count", []Report{big, down, small}, Normalization{},
			Report{State: Up, Reason: "2 of 3 up; check tcp-1: connection refused",
				L0:     L0{Utilisation: agg(0.5), InFlight: agg(16), Capacity: agg(400), Slots: agg(35), ServiceTime: agg(0.125), FlowRate: agg(200)},
				L1:     L1{Computing: newScore(7), Service: newScore(2)},
				NormFI: newScore(4.5)},
		},
		{
			"mean", []Report{big, small}, Normalization{Aggregation: Mean, Computing: 1},
			Report{State: Up,
				L0:     L0{Utilisation: agg(0.5), InFlight: agg(16), Capacity: agg(400), Slots: agg(35), ServiceTime: agg(0.125), FlowRate: agg(200)},
				L1:     L1{Computing: newScore(6), Service: newScore(2)},
				NormFI: newScore(6)},
		},
		{
			"min", []Report{big, small}, Normalization{Aggregation: Min, Computing: 1},
			Report{State: Up,
				L0:     L0{Utilisation: agg(0.5), InFlight: agg(16), Capacity: agg(400), Slots: agg(35), ServiceTime: agg(0.125), FlowRate: agg(200)},
				L1:     L1{Computing: newScore(4), Service: newScore(2)},
				NormFI: newScore(4)},
		},
		{
			"capacity of one unknown: no sum, and slots weigh, 6:1",
			[]Report{big, without(small, func(r *Report) { r.Capacity, r.Slots, r.Degraded = Value{}, m(5), true })}, Normalization{Computing: 1},
			Report{State: Up, Degraded: true,
				L0:     L0{Utilisation: agg((6*0.4 + 0.8) / 7), InFlight: agg(16), Slots: agg(35), ServiceTime: agg(0.8 / 7), FlowRate: agg(200)},
				L1:     L1{Computing: newScore((6*8 + 4) / 7.0), Service: newScore(2)},
				NormFI: newScore(7.4)},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := AggregateReports(tt.rs, tt.n)
			tt.want.Window = defaultWindow
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateApprox(1e-9, 0)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What is wrong with all instances is said once.
func TestAggregateReasonOnce(t *testing.T) {
	a := Report{State: Up, Reason: "source p is silent"}
	if got, want := AggregateReports([]Report{a, a, {State: Up, Reason: "busy"}}, Normalization{}).Reason, "3 of 3 up; source p is silent; busy"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
