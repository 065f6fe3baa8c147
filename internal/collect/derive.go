package collect

import "github.com/catsbgp/catsbgp/advert"

// backlogHorizon is the time in s over which waiting work is meant to be
// served: a backlog of that much work counts as one more capacity.
const backlogHorizon = 4

// derive completes the L0 metrics. What a source delivers is believed; gaps
// are filled with the nominal values of the configuration; what is then still
// missing is calculated:
//
//	capacity      slots / service_time
//	utilisation   flow_rate · service_time / slots + backlog / 4 s, else
//	              flow_rate / capacity, else
//	              in_flight / slots
//	service_time  min(in_flight, slots) / flow_rate
//
// where backlog = max(0, in_flight - slots) · service_time / slots, in seconds
// of work. The last line is Little's law. It holds for the mean over a long
// time and includes waiting when slots are unknown, so a service_time found
// that way is only shown and sent; capacity and utilisation do not build on it.
//
// It reports false if a calculated value is not plausible; it is then unknown.
func derive(raw func(name string) Value, inst Instance) (L0, bool) {
	var l L0
	l.InFlight = raw(ValueInFlight)
	l.FlowRate = raw(ValueFlowRate)
	l.Delay = raw(ValueDelay)
	l.Capacity = orNominal(raw(ValueCapacity), inst.Capacity)
	l.Slots = orNominal(raw(ValueSlots), float64(inst.Slots))
	l.ServiceTime = orNominal(raw(ValueServiceTime), inst.ServiceTime.Seconds())
	l.Utilisation = raw(ValueUtilisation)

	slots, service := l.Slots.Value, l.ServiceTime.Value
	if !l.Capacity.Known() && slots > 0 && service > 0 {
		l.Capacity = calculated(slots/service, l.Slots, l.ServiceTime)
	}
	if !l.Utilisation.Known() {
		l.Utilisation = utilisation(l)
	}
	if !l.ServiceTime.Known() && l.InFlight.Value > 0 && l.FlowRate.Value > 0 {
		busy := l.InFlight.Value
		if slots > 0 {
			busy = min(busy, slots)
		}
		l.ServiceTime = calculated(busy/l.FlowRate.Value, l.InFlight, l.FlowRate)
	}

	sane := true
	for _, v := range []*Value{&l.Capacity, &l.Utilisation, &l.ServiceTime} {
		if !plausible(v.Value) {
			*v, sane = Value{}, false
		}
	}
	return l, sane
}

// utilisation calculates it from what else is known, the best way first.
func utilisation(l L0) Value {
	rate, slots, service := l.FlowRate.Value, l.Slots.Value, l.ServiceTime.Value
	switch {
	case l.FlowRate.Known() && slots > 0 && service > 0:
		u := rate * service / slots
		backlog := max(0, l.InFlight.Value-slots) * service / slots
		return calculated(u+backlog/backlogHorizon, l.FlowRate, l.Slots, l.ServiceTime)
	case l.FlowRate.Known() && l.Capacity.Value > 0:
		return calculated(rate/l.Capacity.Value, l.FlowRate, l.Capacity)
	case l.InFlight.Known() && slots > 0:
		return calculated(l.InFlight.Value/slots, l.InFlight, l.Slots)
	}
	return Value{}
}

// orNominal fills a gap with a configured value, 0 being none.
func orNominal(v Value, nominal float64) Value {
	if v.Known() || !(nominal > 0) {
		return v
	}
	return Value{nominal, advert.SourceNominal}
}

// calculated is a value that follows from others.
func calculated(v float64, from ...Value) Value {
	source := advert.SourceEstimation
	for _, f := range from {
		source |= f.Source
	}
	return Value{v, source}
}
