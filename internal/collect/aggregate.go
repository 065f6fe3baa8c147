package collect

import (
	"fmt"
	"slices"
	"strings"

	"github.com/catsbgp/catsbgp/advert"
)

// AggregateReports condenses the reports of a service's instances at a site
// into that of the site as a whole. Only instances that are up count; the site
// is up if any of them is.
//
//	capacity, slots, in flight, flow rate   sum
//	utilisation, service time, delay        mean, weighted by share
//	L1                                      by the configured aggregation, weighted by share
//	L2                                      of those L1, as for an instance
//
// An instance's share is its capacity, or its slots where not all capacities
// are known, or 1. A value that is not known of each instance that is up is not
// known of the site: a sum that leaves one out would be a lie.
func AggregateReports(rs []Report, n Normalization) Report {
	out := Report{Window: n.window()}
	var up []Report
	var reasons []string
	for _, r := range rs {
		switch r.State {
		case Up:
			up = append(up, r)
			out.State = Up
		case Down:
			if out.State == Unknown {
				out.State = Down
			}
		}
		if r.Reason != "" && !slices.Contains(reasons, r.Reason) {
			reasons = append(reasons, r.Reason)
		}
		out.Degraded = out.Degraded || r.State == Up && r.Degraded
		out.Anomalous = out.Anomalous || r.State == Up && r.Anomalous
	}
	if out.State == Down && anyUnknown(rs) {
		out.State = Unknown // one that was not heard yet may be up
	}
	if len(up) < len(rs) || len(reasons) > 0 {
		out.Reason = strings.Join(append([]string{fmt.Sprintf("%d of %d up", len(up), len(rs))}, reasons...), "; ")
	}
	if len(up) == 0 {
		return out
	}

	shares := sharesOf(up)
	sum := func(of func(*Report) Value) Value { return total(up, nil, of) }
	avg := func(of func(*Report) Value) Value { return total(up, shares, of) }
	out.L0 = L0{
		Utilisation: avg(func(r *Report) Value { return r.Utilisation }),
		InFlight:    sum(func(r *Report) Value { return r.InFlight }),
		Capacity:    sum(func(r *Report) Value { return r.Capacity }),
		Slots:       sum(func(r *Report) Value { return r.Slots }),
		ServiceTime: avg(func(r *Report) Value { return r.ServiceTime }),
		Delay:       avg(func(r *Report) Value { return r.Delay }),
		FlowRate:    sum(func(r *Report) Value { return r.FlowRate }),
	}
	score := func(of func(*Report) Score) Score {
		var scores, weights []float64
		for i := range up {
			if s := of(&up[i]); s.Known {
				scores, weights = append(scores, s.Value), append(weights, shares[i])
			}
		}
		if x, ok := n.combine(scores, weights); ok {
			return newScore(x)
		}
		return Score{}
	}
	out.L1 = L1{
		Computing:     score(func(r *Report) Score { return r.Computing }),
		Communication: score(func(r *Report) Score { return r.Communication }),
		Service:       score(func(r *Report) Score { return r.Service }),
	}
	out.NormFI = n.final(out.L1)
	return out
}

func anyUnknown(rs []Report) bool {
	for _, r := range rs {
		if r.State == Unknown {
			return true
		}
	}
	return false
}

// sharesOf returns positive weights that add up to 1.
func sharesOf(rs []Report) []float64 {
	shares := make([]float64, len(rs))
	for _, of := range []func(*Report) float64{
		func(r *Report) float64 { return r.Capacity.Value },
		func(r *Report) float64 { return r.Slots.Value },
		func(r *Report) float64 { return 1 },
	} {
		sum, complete := 0.0, true
		for i := range rs {
			shares[i] = of(&rs[i])
			sum += shares[i]
			complete = complete && shares[i] > 0
		}
		if complete {
			for i := range shares {
				shares[i] /= sum
			}
			break
		}
	}
	return shares
}

// total adds up a value of all reports, weighted unless shares are nil.
func total(rs []Report, shares []float64, of func(*Report) Value) Value {
	sum := Value{Source: advert.SourceAggregation}
	for i := range rs {
		v := of(&rs[i])
		if !v.Known() {
			return Value{}
		}
		weight := 1.0
		if shares != nil {
			weight = shares[i]
		}
		sum.Value += float64(weight * v.Value)
		sum.Source |= v.Source
	}
	return sum
}
