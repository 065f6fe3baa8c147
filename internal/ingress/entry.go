package ingress

import (
	"math"
	"time"

	"github.com/catsbgp/catsbgp/advert"
	"github.com/catsbgp/catsbgp/selection"
)

// A standing is what a route is worth to an entry. An entry rests on the best
// of its routes; the first is the best.
type standing uint8

const (
	byAttribute   standing = iota // metrics, with sequence and generation time
	byCommunities                 // a few metrics, without either (C-mode)
	byAnycast                     // the anycast route: it leads to the site and says no more
	barred                        // not to be believed: its signature is bad or missing
	nothing                       // no route at all
	standings     = int(nothing)
)

// An entry is one way to serve one service: an instance, or a site. There may
// be half a million of them, so it is kept small.
type entry struct {
	service *service
	egress  *egress
	id      advert.CSCIID

	routes [standings]uint32 // how many there are of each standing
	rests  standing          // on; what the selection was told
	untold bool              // the selection was not told what it rests on now

	// What the attribute in force said. Only with routes of that standing, and
	// of the newest of all that were heard, though its route may be gone and
	// others lag behind.
	known     bool
	sequence  advert.Sequence
	generated uint32
	ageMillis uint32 // on arrival
	heard     uptime
	said      numbers

	brief brief // what large communities said last
}

func (e *entry) age() time.Duration { return time.Duration(e.ageMillis) * time.Millisecond }

func (e *entry) setAge(d time.Duration) {
	e.ageMillis = uint32(min(d.Milliseconds(), math.MaxUint32))
}

func (e *entry) key() advert.InstanceKey {
	return advert.InstanceKey{ID: e.id, Egress: e.egress.locator}
}

// best is the best standing of an entry's routes.
func (e *entry) best() standing {
	for st := byAttribute; st < nothing; st++ {
		if e.routes[st] > 0 {
			return st
		}
	}
	return nothing
}

// numbers are an entry's advertised metrics, kept small. NaN is unknown.
type numbers struct {
	utilisation, capacity             float32 // ratio, flows/s
	inFlight, slots, service, delayed float32 // requests, requests, s, s
	validity                          uint16  // s; 0: until withdrawn
	window                            uint16  // 100 ms, over which load was measured; 0: as of now
	flags                             advert.InstanceFlags
	score                             int8 // -1: unknown
}

var nan32 = float32(math.NaN())

var noNumbers = numbers{
	utilisation: nan32, capacity: nan32, inFlight: nan32, slots: nan32, service: nan32, delayed: nan32, score: -1,
}

func numbersOf(in *advert.Instance) numbers {
	n := noNumbers
	n.flags, n.validity = in.Flags, in.Validity
	if v, ok := in.ScoreNorm(); ok {
		n.score = int8(v)
	}
	set := func(to *float32, v float64, ok bool) {
		if ok {
			*to = float32(v)
		}
	}
	v, ok := in.Utilisation()
	set(&n.utilisation, v, ok)
	v, ok = in.CapacityFlows()
	set(&n.capacity, v, ok)
	count, ok := in.InFlightN()
	set(&n.inFlight, float64(count), ok)
	count, ok = in.SlotsN()
	set(&n.slots, float64(count), ok)
	span, ok := in.ServiceTimeDur()
	set(&n.service, span.Seconds(), ok)
	span, ok = in.ServiceDelayDur()
	set(&n.delayed, span.Seconds(), ok)
	if m, ok := in.Metric(advert.Utilisation); !ok || m.Statistic != advert.StatCurrent {
		// A score, or a utilisation that says so, is over the window. A current
		// utilisation is only smoothed a little.
		n.window = in.Window
	}
	return n
}

// A brief is the little that large communities say.
type brief struct {
	flags advert.InstanceFlags
	score int8   // -1: unknown
	load  uint16 // per cent; unknownLoad: unknown
}

const unknownLoad = math.MaxUint16

func briefOf(in *advert.Instance) brief {
	b := brief{flags: in.Flags, score: -1, load: unknownLoad}
	if v, ok := in.ScoreNorm(); ok {
		b.score = int8(v)
	}
	if v, ok := in.Utilisation(); ok {
		b.load = uint16(math.Round(100 * v))
	}
	return b
}

func (b brief) numbers() numbers {
	n := noNumbers
	n.flags, n.score = b.flags, b.score
	if b.load != unknownLoad {
		n.utilisation = float32(b.load) / 100
	}
	return n
}

// numbers are the metrics that count.
func (e *entry) numbers() numbers {
	switch e.rests {
	case byAttribute:
		return e.said
	case byCommunities:
		return e.brief.numbers()
	}
	return noNumbers
}

// candidate is what the selection is told about an entry.
func (c *Core) candidate(now time.Time, e *entry) selection.Candidate {
	n, site := e.numbers(), c.sites[e.egress.locator]
	cand := selection.Candidate{
		Key: e.key(), Site: e.egress.name, Level: selection.LevelInstance,
		Utilisation: float64(n.utilisation), Score: int(n.score), Flags: n.flags,
		Heard: now.Add(e.heard - c.up), Validity: time.Duration(n.validity) * time.Second,
		Window: time.Duration(n.window) * 100 * time.Millisecond,
		Weight: site.Weight, Preference: site.Preference,
	}
	switch {
	case n.flags&advert.Aggregate != 0:
		cand.Level = selection.LevelAggregate
	case e.rests == byAnycast:
		cand.Level = selection.LevelSite
	}
	if e.rests == byAttribute {
		cand.Age = e.age()
	}
	if e.rests == barred {
		cand.Ineligible = string(selection.BadSignature)
	}
	if n.capacity > 0 { // false for NaN
		cand.Capacity = float64(n.capacity)
	}
	if n.slots > 0 {
		cand.Slots = int(min(n.slots, 1<<20))
	}
	if n.service > 0 {
		cand.ServiceTime = time.Duration(math.Round(float64(n.service)*1e6)) * time.Microsecond
	}
	return cand
}
