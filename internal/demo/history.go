package demo

import (
	"math"
	"slices"
	"sync"
	"time"

	"github.com/catsbgp/catsbgp/internal/api"
	"github.com/catsbgp/catsbgp/internal/events"
)

// sampleEvery is how often the agents are asked.
const sampleEvery = 100 * time.Millisecond

// none stands for no instance.
const none = -1

// A Request was made by a user.
type Request struct {
	At, Done time.Duration // since the start
	Instance int           // index in Plan.Instances, none: there was nowhere to go
	Local    bool          // by a local user of madrid, not by way of the ingress
	Failure  string        // empty: it was answered
}

// An InstanceSample is an instance at one moment, as its site and the ingress
// see it. Levels are utilisations; NaN: unknown.
type InstanceSample struct {
	State    string // at its site
	Measured float64
	Level    float64 // smoothed
	Said     float64
	SaidAt   time.Duration
	SaidWhy  string

	Samples    uint64
	Sent, Held api.Counts // updates by reason, samples held back by reason
	Waits      string     // what an update waits for now, empty: nothing
	Anycast    int        // requests that the ingress had no instance for; plain anycast routing took them
	Tokens     float64
	Penalty    float64
	Suppressed bool
	Drained    bool

	Target bool // the ingress gives it new flows
	Share  float64
	Open   int
	Why    string // not a target because
}

// A Sample is the domain at one moment.
type Sample struct {
	At        time.Duration
	Instances []InstanceSample // as in Plan.Instances; do not modify
	Changes   uint64           // of the split
}

// Share is a site's part of the new flows.
func (s *Sample) Share(p Plan, site int) (sum float64) {
	for i, in := range p.Instances() {
		if in.Site == site && i < len(s.Instances) {
			sum += s.Instances[i].Share
		}
	}
	return sum
}

// A Happening is an agent's event.
type Happening struct {
	At    time.Duration
	Agent string
	events.Event
}

// A Session is one end of a BGP session at the end of the demo.
type Session struct {
	Agent, Peer string
	Up          bool
	Uptime      time.Duration
	Flaps       uint64
}

// A Mark is the moment at which the script did something.
type Mark int

// The marks. Each chapter has one too, see History.Chapters.
const (
	FlapBegan Mark = iota
	FlapEnded
	DrainAsked
	UndrainAsked
	KillDone
	marks
)

// A History is what happened, in times since the script started. It is what
// the promises are judged by; judging it reads nothing else.
type History struct {
	Plan     Plan
	Running  time.Duration         // of the agents before the start
	Chapters [chapters + 1]*Span   // nil: not reached; the last one is unused
	Marks    [marks]*time.Duration // nil: not reached
	Requests []Request             // in the order of their end
	Samples  []Sample              // in order of time
	Events   []Happening           // in order of time, of each agent
	Sessions []Session             // empty: not looked at
	Flaps    int                   // times that the flapper changed its mind
	Anycast  int                   // requests that the ingress had no instance for; plain anycast routing took them
	Tokens   float64               // fewest among madrid's instances when it became busy
	Late     *Lateness             //
	Left     []string              // goroutines, sockets that outlived the demo
	Checked  bool                  // Left was looked at
	Complete bool                  // the script came to its end
	End      time.Duration         // of the script, or when it was cut off
}

// A Span is a time with an end.
type Span struct{ From, To time.Duration }

// during returns the samples within a span.
func (h *History) during(from, to time.Duration) []Sample {
	i, _ := slices.BinarySearchFunc(h.Samples, from, func(s Sample, t time.Duration) int { return int(s.At - t) })
	j, _ := slices.BinarySearchFunc(h.Samples, to, func(s Sample, t time.Duration) int { return int(s.At - t) })
	return h.Samples[i:max(i, j)]
}

// share is the mean share of a site in samples, NaN if there are none.
func (h *History) share(site int, samples []Sample) float64 {
	sum := 0.0
	for i := range samples {
		sum += samples[i].Share(h.Plan, site)
	}
	if len(samples) == 0 {
		return math.NaN()
	}
	return sum / float64(len(samples))
}

// first returns the time of the first sample from a time on of which ok is
// true.
func (h *History) first(from time.Duration, ok func(*Sample) bool) (time.Duration, bool) {
	for i := range h.Samples {
		if s := &h.Samples[i]; s.At >= from && ok(s) {
			return s.At, true
		}
	}
	return 0, false
}

// A recorder keeps the history while it is made. It is safe for concurrent use.
type recorder struct {
	start time.Time

	mu      sync.Mutex // guards all below
	history History
}

func newRecorder(p Plan, start time.Time, late *Lateness) *recorder {
	return &recorder{start: start, history: History{Plan: p, Late: late}}
}

func (r *recorder) since(t time.Time) time.Duration { return t.Sub(r.start) }

func (r *recorder) now() time.Duration { return time.Since(r.start) }

// update changes the history.
func (r *recorder) update(f func(*History)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(&r.history)
}

func (r *recorder) request(q Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.history.Requests = append(r.history.Requests, q)
}

// snapshot returns the history so far. What it holds does not change any more,
// but for chapters that end.
func (r *recorder) snapshot() History {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.history
}

// last returns the latest sample, false before the first.
func (r *recorder) last() (Sample, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.history.Samples); n > 0 {
		return r.history.Samples[n-1], true
	}
	return Sample{}, false
}

// latencies returns how long the requests by way of the ingress took that ended
// since a time, sorted, and how many failed.
func (r *recorder) latencies(since time.Duration) (took []time.Duration, failed int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := len(r.history.Requests) - 1; i >= 0 && r.history.Requests[i].Done >= since; i-- {
		switch q := &r.history.Requests[i]; {
		case q.Local:
		case q.Failure != "":
			failed++
		default:
			took = append(took, q.Done-q.At)
		}
	}
	slices.Sort(took)
	return took, failed
}

// quantile returns the q-quantile of sorted durations, 0 if there are none.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(math.Ceil(q*float64(len(sorted)))), len(sorted))-1+boolInt(q == 0)]
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
