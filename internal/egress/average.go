package egress

import (
	"math"
	"time"

	"github.com/catsbgp/catsbgp/internal/collect"
)

// An average smooths a value that a few requests between two samples make
// noisy: a capacity or a service time that jumps from sample to sample would
// be worth an update each time, and use up what the load needs.
type average struct {
	value float64
	at    time.Time // zero: nothing yet
}

// smooth replaces v by its EWMA with a time constant (0: none). What the
// configuration says is not smoothed; a value that comes back begins anew.
func (a *average) smooth(now time.Time, v *collect.Value, tau time.Duration) {
	if !v.Known() || v.Nominal() || tau <= 0 {
		*a = average{}
		return
	}
	if dt := now.Sub(a.at); a.at.IsZero() || dt < 0 {
		a.value = v.Value
	} else {
		a.value += -math.Expm1(-dt.Seconds()/tau.Seconds()) * (v.Value - a.value)
	}
	a.at = now
	v.Value = a.value
}
