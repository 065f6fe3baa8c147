package demo

import (
	"fmt"
	"math"
	"net/netip"
	"time"
)

// Limits of the length of a demo.
const (
	MinLength = 20 * time.Second // shorter, and the chapters cannot show anything
	MaxLength = 10 * time.Minute // every sample is kept
)

// What the services are like. A site of two instances serves 80 requests/s.
const (
	slots       = 4                      // requests that an instance serves at once
	serviceTime = 100 * time.Millisecond // mean, without waiting
	serviceCV   = 0.1                    // its coefficient of variation (lognormal)
	capacity    = float64(slots) / 0.1   // requests/s of an instance

	clientRate = 80.0 // requests/s that come in at the ingress
	quietRate  = 8.0  // requests/s of madrid's local users, normally
	busyRate   = 96.0 // while it is busy: more than the site can serve
)

const (
	serviceName = "video"
	serviceID   = "203.0.113.10"
	asn         = 65001
)

// A Site of the demo.
type Site struct {
	Name      string
	Locator   netip.Addr
	RTT       time.Duration // there and back, made by relays
	Instances []netip.Addr  // CSCI-IDs
}

// A Chapter is a part of the script.
type Chapter int

// The chapters, in order.
const (
	Calm Chapter = iota
	Busy
	Relief
	Flapping
	Draining
	Undrained
	Killed
	chapters
)

var chapterNames = [chapters]string{"calm", "busy", "relief", "flapping", "draining", "undrained", "killed"}

// String returns the chapter's name, one word.
func (c Chapter) String() string {
	if c < 0 || c >= chapters {
		return fmt.Sprintf("chapter(%d)", int(c))
	}
	return chapterNames[c]
}

// Title says in a few words what happens.
func (c Chapter) Title() string {
	return [chapters]string{
		"a calm day",
		"madrid's own users come in crowds",
		"the crowd goes home",
		"an instance at lyon comes and goes",
		"maintenance: paris is drained",
		"paris is back",
		"an instance at lyon dies",
	}[c]
}

// share is how much of the demo a chapter is meant to take.
var share = [chapters]float64{0.14, 0.24, 0.09, 0.13, 0.17, 0.08, 0.15}

// A Plan is the world and the timing of one demo.
type Plan struct {
	Length time.Duration
	Gate   netip.Addr
	Sites  []Site // madrid, paris, lyon

	// Of the agents' configuration; what is not here has its default.
	Interval        time.Duration // of the sources
	Timeout         time.Duration // of the sources
	Delta           float64
	Smoothing       time.Duration
	MinInterval     time.Duration
	BucketPerMinute float64
	BucketBurst     float64
	High            float64
	Tick            time.Duration // of the selection
	CheckInterval   time.Duration
	CheckFast       time.Duration
	CheckTimeout    time.Duration
	CheckFall       int
	HalfLife        time.Duration // of the presence penalty
	Suppress, Reuse float64
	MaxSuppress     time.Duration
}

// The sites and instances that the script does something to.
const (
	madrid, paris, lyon = 0, 1, 2
	flapper             = 5 // index among all instances: lyon's second
	victim              = 4 // lyon's first
)

// NewPlan returns the plan of a demo of about this length. Below a minute the
// agents' periods shrink with it.
func NewPlan(length time.Duration) (Plan, error) {
	if length < MinLength || length > MaxLength {
		return Plan{}, fmt.Errorf("demo: a demo takes %v to %v, not %v", MinLength, MaxLength, length)
	}
	addr := func(d byte) netip.Addr { return netip.AddrFrom4([4]byte{127, 0, 1, d}) }
	ms := time.Millisecond
	p := Plan{
		Length: length, Gate: addr(1),
		Sites: []Site{
			{"madrid", addr(11), 4 * ms, []netip.Addr{addr(111), addr(112)}},
			{"paris", addr(12), 9 * ms, []netip.Addr{addr(121), addr(122)}},
			{"lyon", addr(13), 14 * ms, []netip.Addr{addr(131), addr(132)}},
		},
		Delta: 0.2, High: 0.9, BucketBurst: 5, Tick: 500 * ms,
		CheckInterval: 500 * ms, CheckFast: 150 * ms, CheckTimeout: 500 * ms, CheckFall: 2,
		Suppress: 2000, Reuse: 750,
	}
	pace := min(1, length.Minutes())
	scaled := func(full time.Duration) time.Duration {
		return (time.Duration(float64(full) * pace)).Round(50 * ms)
	}
	p.Interval = max(scaled(time.Second), 500*ms)
	p.Timeout = p.Interval - 100*ms
	p.Smoothing = max(scaled(2*time.Second), time.Second)
	p.MinInterval = max(scaled(time.Second), 500*ms)
	p.HalfLife = max(scaled(3*time.Second), 1500*ms)
	p.MaxSuppress = 4 * p.HalfLife
	p.BucketPerMinute = math.Round(12 / pace)
	return p, nil
}

// Duration is how long a chapter is meant to take.
func (p Plan) Duration(c Chapter) time.Duration {
	d := time.Duration(share[c] * float64(p.Length))
	if c == Calm {
		d = max(d, settling+3*time.Second)
	}
	return d
}

// Promise is how long an overloaded site may keep more than a third of its
// share, on a machine that runs everything on time: the next sample, two time
// constants of the smoothing until the value is near the truth, the pause
// between two updates, and three control ticks of the ingress, each up to a
// tenth longer than configured. Waiting for tokens of the update budget comes
// on top.
func (p Plan) Promise() time.Duration {
	return p.Interval + 2*p.Smoothing + p.MinInterval + p.Tick*33/10
}

// NoticeDeath is how long a dead instance may stay announced: the next check,
// and as many more as it takes to believe them.
func (p Plan) NoticeDeath() time.Duration {
	return p.CheckInterval + time.Duration(p.CheckFall-1)*p.CheckFast + 100*time.Millisecond
}

// settling is how long the ingress takes to find its split after the start,
// when it knows nothing of any load.
const settling = 2500 * time.Millisecond

// drainPromise is how long a drained site may still be given new flows.
const drainPromise = 3 * time.Second

// An Instance is one instance of the plan.
type Instance struct {
	ID   netip.Addr
	Site int // index in Plan.Sites
}

// Instances are those of all sites, in order.
func (p Plan) Instances() []Instance {
	var all []Instance
	for i, s := range p.Sites {
		for _, id := range s.Instances {
			all = append(all, Instance{id, i})
		}
	}
	return all
}

// Label is how an instance is called on the screen: "lyon .132".
func (p Plan) Label(i Instance) string {
	return fmt.Sprintf("%s .%d", p.Sites[i.Site].Name, i.ID.As4()[3])
}
