package dampening

import "time"

// Params are the rules for one site. The zero value is not usable: start from
// Domain or Conservative.
type Params struct {
	// ObserveOnly decides and reports as usual, but lets everything pass.
	ObserveOnly bool

	Delta     float64       // change of the smoothed level worth an update, > 0
	High      float64       // crossing upwards is worth an update at once
	Low       float64       // crossing downwards likewise; Low < High
	Smoothing time.Duration // EWMA time constant of the level; 0: none

	MinInterval time.Duration // between two updates of an instance; up, down, drain do not wait
	Refresh     time.Duration // repeat an unchanged value, ±10 %
	Validity    time.Duration // how long a said value is good for; ≥ 2 × Refresh

	BucketPerMinute float64 // token bucket per instance
	BucketBurst     float64 // ≥ 1
	SessionPerSec   float64 // all instances together; burst is one second's worth

	// RFC 2439 figure of merit, for presence (appear, disappear) only.
	PresencePenalty     float64
	PresenceSuppress    float64
	PresenceReuse       float64
	PresenceHalfLife    time.Duration
	PresenceMaxSuppress time.Duration

	CreatePerMinute float64 // instances created or deleted at the site; more wait
}

// Domain returns the rules for use inside one CATS domain over iBGP.
func Domain() Params {
	return Params{
		Delta: 0.10, High: 0.90, Low: 0.80, Smoothing: 2 * time.Second,
		MinInterval: time.Second, Refresh: 30 * time.Second, Validity: 90 * time.Second,
		BucketPerMinute: 12, BucketBurst: 5, SessionPerSec: 50,
		PresencePenalty: 1000, PresenceSuppress: 6000, PresenceReuse: 750,
		PresenceHalfLife: 15 * time.Minute, PresenceMaxSuppress: time.Hour,
		CreatePerMinute: 60,
	}
}

// Conservative returns the rules for use across eBGP: no metric change is said
// within 30 s of the last (the default of
// draft-ietf-idr-5g-edge-service-metadata).
func Conservative() Params {
	p := Domain()
	p.MinInterval = 30 * time.Second
	p.Refresh = 60 * time.Second
	p.Validity = 180 * time.Second
	p.BucketPerMinute = 2
	return p
}

// An RFDMode says what to do about a router that damps flapping routes.
type RFDMode uint8

const (
	RFDOff     RFDMode = iota // no estimate
	RFDWarn                   // estimate and report
	RFDEnforce                // stay below its suppress threshold
)

// An RFDBudget is the estimate that a peer's route-flap damping allows us,
// with the increments of RFC 7196 Table 1.
type RFDBudget struct {
	Peer     string
	Mode     RFDMode
	Suppress float64       // the peer's suppress threshold
	HalfLife time.Duration // 0: 15 min
}
