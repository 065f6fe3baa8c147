package selection

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/catsbgp/catsbgp/advert"
)

// A Service selects for one service at one ingress. It is told what is
// advertised (Hear, Forget), measured (Measure) and what the ingress itself has
// open (Own), and asked for a Split (Decide) at the times it names (Due).
//
// It reads no clock: every method takes the time, which should not go back, but
// may. Equal inputs give equal splits; between two calls of Decide the order of
// the other calls at one time does not matter. Not safe for concurrent use.
type Service struct {
	id     advert.CSID
	policy Policy // checked
	allow  siteSet
	curves *Curves
	rng    *rand.Rand // spreads the ticks

	list  []*state // by key, so that every sum and choice has one order
	paths map[netip.Addr]*path

	started  time.Time // when the first of the present candidates came
	lastTick time.Time
	nextTick time.Time // zero: none before a decision
	edge     time.Time // when a candidate next gets stale or ends its hold; zero: none
	urgent   time.Time // an event that must not wait for the tick; zero: none
	dirty    bool      // something came in since the last decision
	lastAt   time.Time // of the last decision

	// Of the single-winner policies.
	incumbent netip.Addr
	since     time.Time

	price   float64 // last λ, where the next search begins
	split   *Split
	dry     bool // a what-if copy: choices are not remembered
	rung    Rung
	version uint64
	left    []Change // targets withdrawn since the last decision

	fade fading
}

// New returns the selection of one service at one ingress. The seed only
// spreads control ticks. A policy that Default did not make is repaired where
// it makes no sense.
func New(id advert.CSID, p Policy, seed uint64) *Service {
	return NewShared(id, p, seed, NewCurves())
}

// NewShared is New with cost curves that several services have in common, which
// saves memory and cache where there are thousands. All of them must be used
// from one goroutine.
func NewShared(id advert.CSID, p Policy, seed uint64, cv *Curves) *Service {
	s := &Service{
		id: id, curves: cv, rng: rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15)),
		paths: map[netip.Addr]*path{}, rung: RungAnycast,
	}
	s.setPolicy(p)
	return s
}

// ID returns the service.
func (s *Service) ID() advert.CSID { return s.id }

// Policy returns the policy in force, as repaired.
func (s *Service) Policy() Policy { return s.policy }

// Len returns the number of candidates, eligible or not.
func (s *Service) Len() int { return len(s.list) }

// SetPolicy replaces the policy. What was learnt stays.
func (s *Service) SetPolicy(now time.Time, p Policy) {
	s.setPolicy(p)
	s.hurry(now)
}

func (s *Service) setPolicy(p Policy) {
	s.policy = p.checked()
	s.allow = newSiteSet(p.Sites)
	for _, st := range s.list {
		st.clean(&s.policy, s.curves)
		st.siteOK = s.allow.has(st)
	}
}

// hurry makes Due ask for a decision at once.
func (s *Service) hurry(now time.Time) {
	s.dirty = true
	if s.urgent.IsZero() || now.Before(s.urgent) {
		s.urgent = now
	}
}

func (s *Service) find(key advert.InstanceKey) (int, bool) {
	return slices.BinarySearchFunc(s.list, key, func(st *state, k advert.InstanceKey) int {
		return st.Key.Compare(k)
	})
}

// Hear takes in what is now known of a candidate, new or not. If it comes from a
// new advertisement (another Heard time, or other metrics), the share that this
// ingress had sent there on average over the metric's window is noted beside
// it: that share is part of the load the advertisement speaks of.
func (s *Service) Hear(now time.Time, c Candidate) {
	if c.Heard.IsZero() {
		c.Heard = now
	}
	c.Age = min(max(c.Age, 0), maxSpan)
	i, known := s.find(c.Key)
	if !known {
		s.admit(now, i, c)
		return
	}
	st := s.list[i]
	old := st.Candidate
	st.Candidate = c
	st.clean(&s.policy, s.curves)
	st.siteOK = s.allow.has(st)
	s.dirty = true
	if !c.Heard.Equal(old.Heard) || c.Utilisation != old.Utilisation && c.Utilisation == c.Utilisation || c.Score != old.Score {
		st.remember(now, &s.fade)
		st.freeze()
		if gap := c.Heard.Sub(old.Heard); gap > 0 {
			st.noteGap(gap)
		}
	}
	if urgent(&old, &c) || s.policy.Kind == LeastCost {
		s.hurry(now)
	}
}

// urgent reports whether the change is of the kind that must not wait for the
// control tick: who takes part, rather than how loaded it is.
func urgent(old, c *Candidate) bool {
	return (old.Flags^c.Flags)&(advert.Drain|advert.Anomalous) != 0 ||
		old.Ineligible != c.Ineligible || old.Level != c.Level || old.Site != c.Site ||
		old.Weight != c.Weight || old.Preference != c.Preference
}

func (s *Service) admit(now time.Time, i int, c Candidate) {
	if len(s.list) == 0 {
		s.started = now
		s.lastTick, s.nextTick = time.Time{}, time.Time{}
	}
	st := &state{Candidate: c, path: s.path(c.Key.Egress), avgAt: now}
	st.clean(&s.policy, s.curves)
	st.siteOK = s.allow.has(st)
	// When an ingress starts, all are new, and half of all is no caution.
	if hold := s.policy.NewInstanceHold; hold > 0 && now.Sub(s.started) >= hold {
		st.halfTill = now.Add(hold)
	}
	st.freeze()
	s.list = slices.Insert(s.list, i, st)
	s.hurry(now)
}

func (st *state) freeze() {
	st.pref = st.avg
	st.xKnown = st.own.weight > 0
	st.xPref = st.own.perSecond()
}

func (st *state) noteGap(gap time.Duration) {
	g := min(gap, time.Hour).Seconds()
	if st.gap == 0 {
		st.gap = g
	}
	st.gap += 0.3 * (g - st.gap)
}

// Forget drops a candidate that was withdrawn. Unknown keys are ignored.
func (s *Service) Forget(now time.Time, key advert.InstanceKey) {
	i, known := s.find(key)
	if !known {
		return
	}
	if st := s.list[i]; st.takes {
		s.left = append(s.left, Change{Kind: TargetLeft, Key: key, Site: st.Site, From: st.published, Reason: Withdrawn})
	}
	s.list = slices.Delete(s.list, i, i+1)
	s.hurry(now)
}

func (s *Service) path(egress netip.Addr) *path {
	p := s.paths[egress]
	if p == nil {
		p = &path{egress: egress}
		s.paths[egress] = p
	}
	return p
}

// Measure takes in what this ingress measured of the path to an egress. An
// egress that has never answered is unknown rather than unreachable: it may
// reflect no probes. The zero Path takes the measurement back.
func (s *Service) Measure(now time.Time, egress netip.Addr, m Path) {
	p := s.path(egress)
	before, was := p.unreachable(), p.Path
	p.Path = m
	p.answered = (p.answered || m.Known) && m != (Path{})
	if m == (Path{}) && !s.leadsTo(egress) {
		delete(s.paths, egress)
	}
	if m == was && p.unreachable() == before {
		return
	}
	s.dirty = true
	far := s.policy.MaxDelay
	tooFar := func(m Path) bool { return far > 0 && m.Known && m.RTT > far }
	if p.unreachable() != before || m.Known != was.Known || tooFar(m) != tooFar(was) {
		s.hurry(now)
	}
}

func (s *Service) leadsTo(egress netip.Addr) bool {
	return slices.ContainsFunc(s.list, func(st *state) bool { return st.Key.Egress == egress })
}

// Own takes in the ingress's own flows to a candidate: open now, and started
// ever, a counter that may begin again. Call it every tick or more often.
// Unknown keys are ignored.
func (s *Service) Own(now time.Time, key advert.InstanceKey, open int, started uint64) {
	if i, known := s.find(key); known {
		s.list[i].own.update(now, open, started, s.policy.RateWindow)
		s.dirty = true
	}
}

// Due returns when Decide should next be called if nothing else happens: the
// next control tick, the next time a candidate gets stale, or at once (a time
// that has passed) after an event that should not wait. Zero: never.
func (s *Service) Due() time.Time {
	due := s.urgent
	if len(s.list) > 0 {
		due = earlier(due, earlier(s.nextTick, s.edge))
	}
	return due
}

// earlier returns the earlier of two times, of which zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// schedule sets the next tick. Jitter keeps the ingresses of a domain from
// moving in step.
func (s *Service) schedule(now time.Time) {
	tick := s.policy.Tick
	if tick == 0 {
		tick = autoTick(s.list)
	}
	if now.Sub(s.started) < startGrace {
		tick = min(tick, 500*time.Millisecond)
	}
	s.lastTick = now
	s.nextTick = now.Add(time.Duration(float64(tick) * (0.9 + 0.2*s.rng.Float64())))
}

// autoTick is max(0.5 s, min(T, 2 s)), T being the shortest update period seen.
func autoTick(list []*state) time.Duration {
	t := math.Inf(1)
	for _, st := range list {
		if st.gap > 0 {
			t = min(t, st.gap)
		}
	}
	return time.Duration(max(0.5, min(t, 2)) * float64(time.Second))
}

// A siteSet is the configured list of sites: names or locators.
type siteSet struct {
	all      bool
	names    map[string]bool
	locators map[netip.Addr]bool
}

func newSiteSet(sites []string) siteSet {
	if len(sites) == 0 {
		return siteSet{all: true}
	}
	set := siteSet{names: map[string]bool{}, locators: map[netip.Addr]bool{}}
	for _, s := range sites {
		set.names[s] = true
		if a, err := netip.ParseAddr(s); err == nil {
			set.locators[a.Unmap()] = true
		}
	}
	return set
}

func (set siteSet) has(st *state) bool {
	return set.all || set.names[st.Site] || set.locators[st.Key.Egress.Unmap()]
}
