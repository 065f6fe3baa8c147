package selection

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/catsbgp/catsbgp/advert"
)

// An Explanation says why a service's flows go where they go: every candidate's
// terms, what the winner has over the others, and what would tip it.
type Explanation struct {
	Service advert.CSID
	At      time.Time
	Policy  Policy // as repaired
	Rung    Rung
	Verdict string // one sentence

	// Winner and RunnerUp have the largest settled shares (Wanted); indexes
	// into Candidates, -1: none.
	Winner, RunnerUp int
	MarginShare      float64       // settled share of the winner minus that of the runner-up
	MarginCost       time.Duration // cost of the runner-up minus that of the winner, for the next flow

	Lambda  time.Duration // λ; 0 unless balanced
	Demand  float64       // Λ, flows/s
	OwnRate float64       // Λ_i, flows/s
	Stretch float64

	Candidates []Explained // by settled share, then those without, then the excluded
	Tips       []Tip       // what would take the first place from the winner
}

// An Explained is one candidate of an Explanation.
type Explained struct {
	Target
	Eligible bool   // may take flows; else Reason says why not
	Detail   string // of the reason
	WhyNot   string // for all but the winner: a sentence

	Known      bool // Utilisation is advertised, or stands for the score
	Advertised float64
	Score      int           // -1: unknown
	Slots      int           // 0: unknown
	Age        time.Duration // of the metrics
	New        bool          // counts half its capacity
	Weight     float64
	Preference int

	Tips []Tip // what would give it the first place
}

// A Tip is a change of one number that would give a candidate the largest
// settled share, all else being equal: found by trying on a copy.
type Tip struct {
	Winner, Of         advert.InstanceKey // who would win, whose number changes
	WinnerSite, OfSite string
	Quantity           Quantity
	From, To           float64 // s for TipRoundTrip
}

// A Quantity is what a Tip is about.
type Quantity string

const (
	TipUtilisation Quantity = "utilisation"
	TipRoundTrip   Quantity = "round trip"
	TipScore       Quantity = "score"
	TipWeight      Quantity = "weight"
)

// String returns the tip as a sentence.
func (t Tip) String() string {
	verb := "rises above"
	if t.To < t.From {
		verb = "falls below"
	}
	show := func(v float64) string {
		switch t.Quantity {
		case TipRoundTrip:
			return round(seconds(v)).String()
		case TipUtilisation:
			return fmt.Sprintf("%.2f", v)
		}
		return fmt.Sprintf("%.4g", v)
	}
	if t.Quantity == TipScore { // whole numbers
		verb = "rises to"
		if t.To < t.From {
			verb = "falls to"
		}
	}
	return fmt.Sprintf("%s wins the largest share if the %s of %s %s %s (now %s)",
		name(t.Winner, t.WinnerSite), t.Quantity, name(t.Of, t.OfSite), verb, show(t.To), show(t.From))
}

func name(k advert.InstanceKey, site string) string {
	if k.ID.Kind() == advert.IDSite {
		return site
	}
	return k.ID.String() + " at " + site
}

// explainedLosers is how many of the best losers get tips of their own.
const explainedLosers = 5

// Explain explains the selection as it would be decided now. The service is not
// changed. It takes some milliseconds for a hundred candidates.
func (s *Service) Explain(now time.Time) Explanation {
	w := newWhatIf(s, now)
	pl := &w.s.curves.plan
	ex := Explanation{
		Service: s.id, At: now, Policy: s.policy, Rung: pl.rung, Winner: -1, RunnerUp: -1,
		Demand: pl.demand, OwnRate: pl.ownRate, Stretch: 1,
	}
	if pl.balanced() {
		ex.Lambda, ex.Stretch = seconds(pl.price), w.s.stretch(pl)
	}
	ex.Candidates = w.explained(ex.Stretch)
	if pl.chosen {
		ex.Winner = 0
		if len(ex.Candidates) > 1 && ex.Candidates[1].Eligible {
			ex.RunnerUp = 1
		}
	}
	if ex.RunnerUp > 0 {
		a, b := &ex.Candidates[0], &ex.Candidates[1]
		ex.MarginShare = a.Wanted - b.Wanted
		ex.MarginCost = b.Terms.Cost - a.Terms.Cost
		w.tip(&ex)
	}
	for i := range ex.Candidates {
		if c := &ex.Candidates[i]; i != ex.Winner {
			c.WhyNot = whyNot(&ex, c)
		}
	}
	ex.Verdict = verdict(&ex)
	return ex
}

// A whatIf is a copy of a service to try changes on.
type whatIf struct {
	s    *Service
	now  time.Time
	cold bool
}

func newWhatIf(s *Service, now time.Time) *whatIf {
	c := &Service{
		id: s.id, policy: s.policy, allow: s.allow, curves: s.curves, rng: rand.New(rand.NewPCG(0, 0)),
		paths: map[netip.Addr]*path{}, started: s.started, lastTick: s.lastTick, nextTick: s.nextTick,
		lastAt: s.lastAt, incumbent: s.incumbent, since: s.since, price: s.price, rung: s.rung, dry: true,
	}
	for egress, p := range maps.All(s.paths) {
		q := *p
		c.paths[egress] = &q
	}
	for _, st := range s.list {
		q := *st
		q.path = c.paths[st.Key.Egress]
		q.remember(now, &c.fade)
		c.list = append(c.list, &q)
	}
	w := &whatIf{s: c, now: now, cold: c.cold(now)}
	w.draft()
	return w
}

func (w *whatIf) draft() { w.s.draft(&w.s.curves.plan, w.now, w.cold) }

// largest returns the state with the largest wanted share, nil if none.
func (w *whatIf) largest() *state {
	pl := &w.s.curves.plan
	if !pl.chosen {
		return nil
	}
	best := 0
	for i := range pl.want {
		if pl.want[i] > pl.want[best] {
			best = i
		}
	}
	return pl.elig[best]
}

// explained describes all candidates, best first.
func (w *whatIf) explained(stretch float64) []Explained {
	s, pl := w.s, &w.s.curves.plan
	out := make([]Explained, 0, len(s.list))
	i := 0
	for _, st := range s.list {
		e := Explained{
			Known: st.metrics, Advertised: st.util, Score: max(st.Score, -1), Slots: st.Slots,
			New: w.now.Before(st.halfTill), Weight: st.Weight, Preference: st.Preference,
			Age: max(w.now.Sub(st.Heard), 0) + st.Age,
		}
		if i < len(pl.elig) && pl.elig[i] == st {
			pl.target(&e.Target, i)
			if pl.balanced() {
				e.Quota = pl.quota(i, s.policy.Eta, stretch)
			}
			e.Eligible = st.reason == ""
			i++
		} else {
			e.Target = st.bare()
		}
		if !e.Eligible {
			e.Reason, e.Detail = st.reason, s.detail(st, w.now)
		}
		out = append(out, e)
	}
	slices.SortStableFunc(out, func(a, b Explained) int {
		return cmp.Or(eligibleFirst(a, b), cmp.Compare(b.Wanted, a.Wanted), cmp.Compare(b.Share, a.Share))
	})
	return out
}

func eligibleFirst(a, b Explained) int {
	switch {
	case a.Eligible == b.Eligible:
		return 0
	case a.Eligible:
		return -1
	}
	return 1
}

// bare describes a candidate that is not eligible, by what is known of it.
func (st *state) bare() Target {
	rtt, known := st.path.rtt()
	if !known {
		rtt = 0
	}
	t := Target{
		Key: st.Key, Site: st.Site, Level: st.Level, Capacity: st.capacity, Aged: st.aged,
		Terms: Terms{
			RTT: rtt, RTTKnown: known, Service: seconds(st.service), Utilisation: st.util, Anticipated: st.util,
			Pref: st.pref, Open: st.own.open, Rate: st.own.perSecond(), Loss: st.path.loss(),
		},
	}
	wait, penalty := st.curve.terms(st.util)
	t.Terms.Wait, t.Terms.Penalty = seconds(st.service*wait), seconds(st.service*penalty)
	t.Terms.Cost = seconds(rtt.Seconds() + st.service*(1+wait+penalty))
	return t
}

// tip looks for what would give each of the best losers the first place, and
// of that, what the winner alone would have to do.
func (w *whatIf) tip(ex *Explanation) {
	winner := w.state(ex.Candidates[0].Key)
	for i := 1; i < len(ex.Candidates) && i <= explainedLosers; i++ {
		c := &ex.Candidates[i]
		if !c.Eligible {
			break
		}
		loser := w.state(c.Key)
		for _, try := range w.tries(winner, loser) {
			if t, ok := w.search(loser, try); ok {
				c.Tips = append(c.Tips, t)
			}
		}
	}
	// The nearest thing the winner can do wrong, per quantity.
	for _, q := range []Quantity{TipUtilisation, TipRoundTrip, TipScore, TipWeight} {
		var first *Tip
		for i := range ex.Candidates {
			for k := range ex.Candidates[i].Tips {
				t := &ex.Candidates[i].Tips[k]
				if t.Quantity == q && t.Of == winner.Key && (first == nil || math.Abs(t.To-t.From) < math.Abs(first.To-first.From)) {
					first = t
				}
			}
		}
		if first != nil {
			ex.Tips = append(ex.Tips, *first)
		}
	}
	if len(ex.Candidates) > 1 {
		for _, t := range ex.Candidates[1].Tips {
			if t.Of != winner.Key {
				ex.Tips = append(ex.Tips, t)
			}
		}
	}
}

func (w *whatIf) state(key advert.InstanceKey) *state {
	i, _ := w.s.find(key)
	return w.s.list[i]
}

// A try is a number to change, from what it is to the farthest worth trying.
type try struct {
	of       *state
	quantity Quantity
	from, to float64
	whole    bool
	set      func(v float64)
}

// tries returns what may help loser against winner under the policy.
func (w *whatIf) tries(winner, loser *state) []try {
	var out []try
	load := func(st *state, to float64) {
		if st.metrics {
			out = append(out, try{st, TipUtilisation, st.util, to, false, func(v float64) {
				st.util = v
				if !w.cold {
					st.pref = st.avg // as a new advertisement would
				}
			}})
		}
	}
	score := func(st *state, to float64) {
		if st.Score >= 0 {
			out = append(out, try{st, TipScore, float64(st.Score), to, true, func(v float64) { st.Score = int(v) }})
		}
	}
	far := func(st *state, to float64) {
		if rtt, known := st.path.rtt(); known && loser.path != winner.path {
			out = append(out, try{st, TipRoundTrip, rtt.Seconds(), to, false, func(v float64) { st.path.RTT = seconds(v) }})
		}
	}
	weight := func(st *state, to float64) {
		out = append(out, try{st, TipWeight, st.Weight, to, false, func(v float64) { st.Weight = v }})
	}
	switch w.s.policy.Kind {
	case Weighted, Static:
		weight(winner, 0)
		weight(loser, 1000*max(winner.Weight, 1))
	case Lexicographic:
		score(winner, 0)
		score(loser, 10)
		load(winner, 2)
		load(loser, 0)
		far(winner, maxRTT.Seconds())
		far(loser, 0)
	case Nearest:
		far(winner, maxRTT.Seconds())
		far(loser, 0)
	default:
		load(winner, 2)
		load(loser, 0)
		far(winner, maxRTT.Seconds())
		far(loser, 0)
	}
	return out
}

// search looks for the change nearest to the present at which st wins. It
// holds at To and not a hair before; where the answer is yes, no, yes again it
// finds one of the edges.
func (w *whatIf) search(st *state, t try) (Tip, bool) {
	keep, path := *t.of, *t.of.path
	wins := func(v float64) bool {
		t.set(v)
		w.draft()
		won := w.largest() == st
		rtt := t.of.path
		*t.of, *rtt = keep, path
		return won
	}
	defer w.draft()
	if t.from == t.to || wins(t.from) || !wins(t.to) {
		return Tip{}, false
	}
	lo, hi := t.from, t.to
	for range 40 {
		mid := lo + (hi-lo)/2
		if t.whole {
			mid = math.Round(mid)
		}
		if mid == lo || mid == hi || math.Abs(hi-lo) < 1e-6*max(math.Abs(hi), 1e-2) {
			break
		}
		if wins(mid) {
			hi = mid
		} else {
			lo = mid
		}
	}
	if t.whole && math.Abs(hi-lo) > 1 && wins(lo+math.Copysign(1, hi-lo)) {
		hi = lo + math.Copysign(1, hi-lo)
	}
	return Tip{
		Winner: st.Key, WinnerSite: st.Site, Of: t.of.Key, OfSite: t.of.Site,
		Quantity: t.quantity, From: t.from, To: hi,
	}, true
}

// whyNot says in a sentence why a candidate is not the first.
func whyNot(ex *Explanation, c *Explained) string {
	if !c.Eligible {
		if c.Detail != "" {
			return fmt.Sprintf("not eligible, %s: %s", c.Reason, c.Detail)
		}
		return fmt.Sprintf("not eligible, %s", c.Reason)
	}
	if ex.Winner < 0 {
		return ""
	}
	w := &ex.Candidates[ex.Winner]
	switch c.Reason {
	case TooDear:
		return fmt.Sprintf("with none of our flows one more would cost %s, above the price of %s: %s",
			round(c.Terms.Cost), round(ex.Lambda), worse(w, c))
	case Farther:
		return fmt.Sprintf("round trip %s against %s", round(c.Terms.RTT), round(w.Terms.RTT))
	case Costlier:
		return fmt.Sprintf("costs %s against %s: %s", round(c.Terms.Cost), round(w.Terms.Cost), worse(w, c))
	case LowerPreference:
		return fmt.Sprintf("preference %d against %d", c.Preference, w.Preference)
	case LowerScore:
		return "lower score class"
	case NoWeight:
		return "its weight is 0"
	case ByWeight:
		return fmt.Sprintf("weighs less: %.3g against %.3g of the flows", c.Wanted, w.Wanted)
	}
	return worse(w, c)
}

// worse names the largest disadvantage of c against w.
func worse(w, c *Explained) string {
	load := func(e *Explained) time.Duration { return e.Terms.Wait + e.Terms.Penalty }
	far, slow, busy := c.Terms.RTT-w.Terms.RTT, c.Terms.Service-w.Terms.Service, load(c)-load(w)
	const little = 200 * time.Microsecond
	switch most := max(far, slow, busy); {
	case most <= little && c.Capacity < 0.95*w.Capacity:
		return fmt.Sprintf("smaller: %.4g flows/s against %.4g", c.Capacity, w.Capacity)
	case most <= little && c.Advertised > w.Advertised+0.01:
		return fmt.Sprintf("busier: loaded to %.0f %% against %.0f %%", 100*c.Advertised, 100*w.Advertised)
	case most <= little:
		return "as good; the first got more by what was there before"
	case most == far:
		return fmt.Sprintf("farther: round trip %s against %s", round(c.Terms.RTT), round(w.Terms.RTT))
	case most == slow:
		return fmt.Sprintf("slower: %s per flow against %s", round(c.Terms.Service), round(w.Terms.Service))
	}
	return fmt.Sprintf("busier: loaded to %.0f %% against %.0f %%, waiting counts %s against %s",
		100*c.Terms.Utilisation, 100*w.Terms.Utilisation, round(load(c)), round(load(w)))
}

// verdict sums up in a sentence.
func verdict(ex *Explanation) string {
	if ex.Winner < 0 {
		if len(ex.Candidates) == 0 {
			return "no candidate is known; packets follow the anycast route"
		}
		return fmt.Sprintf("none of %d candidates is usable; packets follow the anycast route", len(ex.Candidates))
	}
	w := &ex.Candidates[ex.Winner]
	if ex.RunnerUp < 0 {
		return fmt.Sprintf("%s takes all flows: it is the only usable candidate", name(w.Key, w.Site))
	}
	r := &ex.Candidates[ex.RunnerUp]
	if r.Wanted == 0 {
		return fmt.Sprintf("%s takes all flows; next is %s, %s", name(w.Key, w.Site), name(r.Key, r.Site), r.WhyNot)
	}
	return fmt.Sprintf("%s takes most, %.1f %% of the flows, before %s with %.1f %%: %s",
		name(w.Key, w.Site), 100*w.Wanted, name(r.Key, r.Site), 100*r.Wanted, r.WhyNot)
}
