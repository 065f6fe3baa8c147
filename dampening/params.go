package dampening

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

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

// maxDuration is the longest duration Validate accepts.
const maxDuration = 24 * time.Hour

// refreshJitter spreads refreshes, so that instances said together do not stay
// together.
const refreshJitter = 0.10

// Validate reports the first value that makes no sense, by the name it has in
// the configuration. A Table given such Params keeps working, but its promises
// are void.
func (p Params) Validate() error {
	for _, check := range []func() error{
		p.validateDurations, p.validateLevels, p.validateRepeats, p.validateBuckets, p.validatePresence,
	} {
		if err := check(); err != nil {
			return fmt.Errorf("dampening: %w", err)
		}
	}
	return nil
}

func (p Params) validateDurations() error {
	for _, f := range []struct {
		name    string
		d       time.Duration
		canBe0s bool
	}{
		{"smoothing", p.Smoothing, true},
		{"min_interval", p.MinInterval, true},
		{"refresh", p.Refresh, false},
		{"validity", p.Validity, false},
		{"presence_half_life", p.PresenceHalfLife, false},
		{"presence_max_suppress", p.PresenceMaxSuppress, false},
	} {
		switch {
		case f.d < 0 || f.d == 0 && !f.canBe0s:
			return fmt.Errorf("%s %v must be positive", f.name, f.d)
		case f.d > maxDuration:
			return fmt.Errorf("%s %v must be at most %v", f.name, f.d, maxDuration)
		}
	}
	return nil
}

func (p Params) validateLevels() error {
	switch {
	case !(p.Delta > 0 && p.Delta <= MaxLevel):
		return fmt.Errorf("delta %s must be above 0 and at most %d", ratio(p.Delta), MaxLevel)
	case !(p.Low > 0):
		return fmt.Errorf("low %s must be above 0", ratio(p.Low))
	case !(p.High <= MaxLevel):
		return fmt.Errorf("high %s must be at most %d", ratio(p.High), MaxLevel)
	case !(p.Low < p.High):
		return fmt.Errorf("low %s must be below high %s", ratio(p.Low), ratio(p.High))
	}
	return nil
}

func (p Params) validateRepeats() error {
	switch {
	case p.MinInterval > p.Refresh:
		return fmt.Errorf("min_interval %v must be at most refresh %v", p.MinInterval, p.Refresh)
	case p.Validity < 2*p.Refresh:
		return fmt.Errorf("validity %v must be at least twice refresh %v", p.Validity, p.Refresh)
	}
	return nil
}

func (p Params) validateBuckets() error {
	for _, f := range []struct {
		name     string
		n, least float64
	}{
		{"bucket_per_minute", p.BucketPerMinute, 0},
		{"bucket_burst", p.BucketBurst, 1},
		{"session_budget_per_second", p.SessionPerSec, 0},
		{"create_quota_per_minute", p.CreatePerMinute, 0},
	} {
		if !(f.n > 0 && f.n >= f.least && f.n <= math.MaxInt32) {
			return fmt.Errorf("%s %v must be positive, at least %v", f.name, f.n, f.least)
		}
	}
	// Otherwise the bucket, and not the validity, decides when to repeat.
	if every := newRate(p.BucketPerMinute, time.Minute, 1).every; every > p.Refresh {
		return fmt.Errorf("bucket_per_minute %v is one token each %v, slower than refresh %v", p.BucketPerMinute, every, p.Refresh)
	}
	return nil
}

func (p Params) validatePresence() error {
	if !(p.PresencePenalty >= 0 && p.PresencePenalty <= math.MaxInt32) {
		return fmt.Errorf("presence_penalty %v must be positive, or 0 for none", p.PresencePenalty)
	}
	ceiling := p.presenceCeiling()
	switch {
	case !(p.PresenceReuse > 0):
		return fmt.Errorf("presence_reuse %v must be positive", p.PresenceReuse)
	case !(p.PresenceSuppress > p.PresenceReuse):
		return fmt.Errorf("presence_suppress %v must be above presence_reuse %v", p.PresenceSuppress, p.PresenceReuse)
	case !(p.PresenceSuppress <= ceiling):
		return fmt.Errorf("presence_suppress %v is never reached: presence_max_suppress %v at presence_half_life %v keeps the penalty below %.0f",
			p.PresenceSuppress, p.PresenceMaxSuppress, p.PresenceHalfLife, ceiling)
	}
	return nil
}

// presenceCeiling is the penalty that decays to reuse in the longest time
// allowed.
func (p Params) presenceCeiling() float64 {
	return p.PresenceReuse * math.Exp2(float64(p.PresenceMaxSuppress)/float64(p.PresenceHalfLife))
}

// ratio writes a ratio with at least two decimals: 0.90, 0.955.
func ratio(f float64) string {
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if t := strconv.FormatFloat(f, 'f', 2, 64); len(t) > len(s) {
		return t
	}
	return s
}

// rules are Params as the gates use them. What Validate refuses has become
// something with which the arithmetic at least works.
type rules struct {
	Params
	bucket, session, create rate
	presenceCeiling         float64
}

func newRules(p Params) *rules {
	for _, d := range []*time.Duration{&p.Smoothing, &p.MinInterval, &p.PresenceMaxSuppress} {
		*d = min(max(*d, 0), maxStep)
	}
	for _, d := range []*time.Duration{&p.Refresh, &p.Validity, &p.PresenceHalfLife} {
		*d = min(max(*d, time.Millisecond), maxStep)
	}
	r := &rules{
		Params:          p,
		bucket:          newRate(p.BucketPerMinute, time.Minute, p.BucketBurst),
		session:         newRate(p.SessionPerSec, time.Second, p.SessionPerSec),
		create:          newRate(p.CreatePerMinute, time.Minute, p.CreatePerMinute),
		presenceCeiling: p.presenceCeiling(),
	}
	return r
}
