package selection

import (
	"math"
	"net/netip"
	"time"

	"github.com/catsbgp/catsbgp/advert"
)

// A Level says what a candidate stands for.
type Level uint8

const (
	LevelInstance  Level = iota // one service contact instance
	LevelAggregate              // all instances of a site together
	LevelSite                   // a site known by its anycast route only, without metrics
)

// String returns "instance", "aggregate" or "site".
func (l Level) String() string {
	switch l {
	case LevelInstance:
		return "instance"
	case LevelAggregate:
		return "aggregate"
	case LevelSite:
		return "site"
	}
	return "unknown"
}

// A Candidate is what one ingress knows of one instance, by advertisement.
// Numbers that make no sense (NaN, infinite, negative) count as unknown or as
// the nearest sensible value; they never spoil a split.
type Candidate struct {
	Key   advert.InstanceKey
	Site  string // display name, or the locator as text
	Level Level

	Utilisation float64       // offered load / capacity, ≥ 0, may exceed 1; NaN: unknown
	Capacity    float64       // flows/s; 0: unknown
	Slots       int           // served in parallel; 0: unknown. Above 64 they count in steps of 2^(1/8)
	ServiceTime time.Duration // without waiting; 0: unknown
	Score       int           // norm_fi, 0..10; -1: unknown. Stands in for an unknown Utilisation
	Flags       advert.InstanceFlags

	Heard    time.Time     // when this advertisement arrived here; zero: when Hear was called
	Age      time.Duration // how old it was on arrival, ≥ 0
	Validity time.Duration // 0: until withdrawn
	Window   time.Duration // over which Utilisation was measured; 0: 2 s

	Weight     float64 // configured; policies weighted and static. 0: no flows
	Preference int     // configured; policy lexicographic, higher first

	Ineligible string // why the caller bars it ("signature", "distrusted", …); "": it does not
}

// A Path is what an ingress has measured of the way to an egress.
type Path struct {
	RTT       time.Duration
	Known     bool // RTT is a measurement
	Reachable bool // false also before the first answer
	Loss      float64
}

// Bounds that keep the arithmetic finite whatever is advertised.
const (
	maxUtilisation = 100
	minCapacity    = 1e-3
	maxCapacity    = 1e9
	maxService     = time.Hour
	minService     = time.Microsecond
	maxRTT         = time.Minute
	maxSpan        = 100 * 365 * 24 * time.Hour

	// agedUtilisation is what an instance is taken to be loaded to, at least,
	// once its metrics are past their validity.
	agedUtilisation = 0.9
	// startGrace is how long after its first candidate a service is still
	// collecting them: the split follows without damping, and is no base for
	// anticipation yet.
	startGrace = 2 * time.Second
)

// A state is a candidate and what the service remembers of it.
type state struct {
	Candidate
	path *path

	// Cleaned up from the candidate and the policy.
	said     float64 // utilisation as advertised; meaningful if metrics
	util     float64 // the same, or corrected by silence (see hush)
	capacity float64 // flows/s; 0: unknown
	metrics  bool
	service  float64 // s
	curve    *curve
	window   time.Duration
	siteOK   bool
	staleAt  time.Time // zero: never
	outAt    time.Time // zero: never
	halfTill time.Time // counts half its capacity before; zero: no longer

	// Memory.
	share     float64 // p, in force
	avg       float64 // EWMA of share over window
	avgAt     time.Time
	pref      float64   // avg, when util was true: when the advertisement arrived, or was corrected
	odd       time.Time // since when util should have changed by more than goes unsaid; zero: it should not
	stiff     float64   // C/L of the last decision; 0: none yet
	gap       float64   // s between advertisements, EWMA; 0: unknown
	own       ownFlows
	xPref     float64 // own rate when the advertisement arrived
	xKnown    bool
	published float64 // share in the last split
	told      float64 // share in the last change reported
	takes     bool    // had a share then

	// Verdict of the last decision.
	reason   Reason // why it takes no part; "": it does
	detail   string
	detailOf Reason // the reason that detail is about
	aged     bool
}

// A path is a Path and whether it was ever seen to work.
type path struct {
	Path
	egress   netip.Addr
	answered bool
}

// unreachable: it worked once and does not now. An egress that never answered
// may simply reflect no probes, so it is unknown, not unreachable.
func (p *path) unreachable() bool { return p.answered && !p.Reachable }

// loss returns the loss, 0..1.
func (p *path) loss() float64 {
	if !(p.Loss > 0) {
		return 0
	}
	return min(p.Loss, 1)
}

// rtt returns the round trip and whether it is known.
func (p *path) rtt() (time.Duration, bool) {
	return min(max(p.RTT, 0), maxRTT), p.Known && p.Reachable
}

// clean derives the usable values of the candidate under a policy.
func (st *state) clean(p *Policy, cv *Curves) {
	c := &st.Candidate
	switch {
	case !math.IsNaN(c.Utilisation):
		st.said, st.metrics = min(max(c.Utilisation, 0), maxUtilisation), true
	case c.Score >= 0:
		st.said, st.metrics = 1-float64(min(c.Score, 10))/10, true
	default:
		st.said, st.metrics = 0, false
	}
	st.util, st.odd = st.said, time.Time{}
	if c.Level == LevelSite {
		st.metrics = false
	}
	service := c.ServiceTime
	if service <= 0 {
		service = p.DefaultServiceTime
	}
	st.service = min(max(service, minService), maxService).Seconds()
	slots := c.Slots
	if slots <= 0 {
		slots = p.DefaultSlots
	}
	st.curve = cv.get(slots, p)
	switch {
	case c.Capacity > 0: // false for NaN
		st.capacity = min(max(c.Capacity, minCapacity), maxCapacity)
	case c.Slots > 0 && c.ServiceTime > 0:
		st.capacity = min(max(float64(c.Slots)/st.service, minCapacity), maxCapacity)
	default:
		st.capacity = 0
	}
	st.window = min(max(c.Window, 0), time.Minute)
	if st.window == 0 {
		st.window = 2 * time.Second
	}
	// What the metric describes ended when it was measured, not when it came.
	st.window += min(c.Age, time.Minute)
	if !(c.Weight > 0) {
		c.Weight = 0
	}
	c.Weight = min(c.Weight, maxCapacity)

	st.staleAt, st.outAt = time.Time{}, time.Time{}
	stale := p.StaleAfter
	if stale == 0 {
		stale = min(c.Validity, maxSpan)
	}
	out := p.OutAfter
	if out == 0 {
		out = 2 * stale
	}
	if stale > 0 {
		st.staleAt = c.Heard.Add(stale - c.Age)
		out = max(out, stale)
	}
	if out > 0 {
		st.outAt = c.Heard.Add(out - c.Age)
	}
}

// remember brings the average of the share up to now. The share in force has
// been the same since avgAt.
func (st *state) remember(now time.Time, fade *fading) {
	if dt := now.Sub(st.avgAt); dt > 0 && st.avg != st.share {
		st.avg += fade.weight(dt, st.window) * (st.share - st.avg)
	}
	st.avgAt = now
}

// decay is the weight of a value that held for dt in an EWMA of time constant
// tau.
func decay(dt, tau time.Duration) float64 {
	return -math.Expm1(-float64(dt) / float64(tau))
}

// A fading is decay with the last result kept: most candidates of a service ask
// for the same.
type fading struct {
	dt, tau time.Duration
	last    float64
}

func (f *fading) weight(dt, tau time.Duration) float64 {
	if dt != f.dt || tau != f.tau {
		*f = fading{dt, tau, decay(dt, tau)}
	}
	return f.last
}

// ownFlows is what the ingress knows of its own flows to one candidate.
type ownFlows struct {
	open    int
	started uint64
	at      time.Time // of started; zero: never told
	rate    float64   // flows/s, EWMA; weight corrects it for a short past
	openAvg float64
	weight  float64
}

// minOwn is the shortest time that gives a rate.
const minOwn = time.Millisecond

func (o *ownFlows) update(now time.Time, open int, started uint64, tau time.Duration) {
	o.open = max(open, 0)
	dt := now.Sub(o.at)
	if o.at.IsZero() || dt < 0 || started < o.started {
		// First news, a clock that went back, or a counter that began again.
		o.at, o.started = now, started
		return
	}
	if dt < minOwn {
		return
	}
	a := decay(dt, tau)
	o.rate += a * (float64(started-o.started)/dt.Seconds() - o.rate)
	o.openAvg += a * (float64(o.open) - o.openAvg)
	o.weight += a * (1 - o.weight)
	o.at, o.started = now, started
}

// perSecond returns the rate of new flows.
func (o *ownFlows) perSecond() float64 {
	if o.weight == 0 {
		return 0
	}
	return min(o.rate/o.weight, maxCapacity)
}

// meanOpen returns the mean number of open flows.
func (o *ownFlows) meanOpen() float64 {
	if o.weight == 0 {
		return 0
	}
	return o.openAvg / o.weight
}
