package demo

import (
	"fmt"
	"math"
	"strings"

	"github.com/catsbgp/catsbgp/internal/events"
)

// A note is something to tell.
type note struct {
	text  string
	minor bool // only where there is room for it to go by
}

// A narrator turns what happens into words for people who have never heard of
// any of it. It only reads what the agents report.
type narrator struct {
	plan       Plan
	labels     map[string]string // by CSCI-ID
	shorter    *strings.Replacer // of explanations
	suppressed map[int]bool
	told       []float64 // shares of the sites, as last told
}

func newNarrator(p Plan) *narrator {
	n := &narrator{plan: p, labels: map[string]string{}, suppressed: map[int]bool{}}
	var names []string
	for _, in := range p.Instances() {
		n.labels[in.ID.String()] = p.Label(in)
		names = append(names, fmt.Sprintf("%s at %s", in.ID, p.Sites[in.Site].Name), p.Label(in))
	}
	n.shorter = strings.NewReplacer(names...)
	return n
}

// event returns what there is to say of an event, if anything.
func (n *narrator) event(e Happening) (note, bool) {
	name := n.labels[e.Instance]
	level, _ := e.Fields.Get("level")
	u, _ := level.(float64)
	reason, _ := e.Fields.Get("reason")
	switch e.Name {
	case events.MetricSaid:
		switch reason {
		case "high":
			return note{text: fmt.Sprintf("%s says %s: above %s is worth saying at once", name, percent(u), percent(n.plan.High))}, true
		case "low":
			return note{text: fmt.Sprintf("%s says %s: no longer crowded", name, percent(u))}, true
		case "drain":
			return note{text: name + " says: no new flows please (its route stays, with GRACEFUL_SHUTDOWN)"}, true
		case "undrain":
			return note{text: name + " says: flows are welcome again"}, true
		case "up":
			return note{text: name + " is announced again"}, true
		case "first":
			return note{text: fmt.Sprintf("%s is announced for the first time, at %s", name, percent(u)), minor: true}, true
		}
		switch reason {
		case "changed":
			return note{text: fmt.Sprintf("%s says how fast it is now, at %s", name, percent(u)), minor: true}, true
		case "refresh":
			return note{text: fmt.Sprintf("%s says %s again, before that expires", name, percent(u)), minor: true}, true
		}
		return note{text: fmt.Sprintf("%s says %s: changed by %s or more", name, percent(u), percent(n.plan.Delta)), minor: true}, true
	case events.InstanceReused:
		return note{text: fmt.Sprintf("%s was calm long enough: its penalty is below %g, it is announced again", name, n.plan.Reuse)}, true
	case events.RouteWithdrawn:
		why := e.Message
		if _, after, ok := strings.Cut(why, ": "); ok {
			why = after
		}
		return note{text: fmt.Sprintf("%s is withdrawn: %s", name, why)}, true
	case events.CheckDown, events.CheckUp:
		return note{text: fmt.Sprintf("%s: %s", name, e.Message), minor: true}, true
	case events.PeerDown, events.SiteUnreachable, events.SelectionRung, events.SelectionEmpty, events.AgentWarning, events.RouteRefused:
		if e.At < 0 {
			return note{}, false
		}
		return note{text: fmt.Sprintf("%s: %s", e.Agent, e.Event)}, true
	}
	return note{}, false
}

// sample returns what a sample shows that the one before did not.
func (n *narrator) sample(s *Sample) (notes []note) {
	for i, in := range n.plan.Instances() {
		x := &s.Instances[i]
		if x.Suppressed && !n.suppressed[i] {
			notes = append(notes, note{text: fmt.Sprintf("%s came and went too often (penalty %.0f, limit %g): held down until it is calm", n.plan.Label(in), x.Penalty, n.plan.Suppress)})
		}
		n.suppressed[i] = x.Suppressed
	}
	shares, moved := make([]float64, len(n.plan.Sites)), n.told == nil
	for i := range shares {
		shares[i] = s.Share(n.plan, i)
		moved = moved || math.Abs(shares[i]-n.told[i]) >= 0.15
	}
	if moved && s.At >= settling {
		n.told = shares
		notes = append(notes, note{text: "the ingress splits new flows: " + n.split(shares)})
	}
	return notes
}

func (n *narrator) split(shares []float64) string {
	parts := make([]string, len(shares))
	for i, s := range shares {
		parts[i] = n.plan.Sites[i].Name + " " + percent(s)
	}
	return strings.Join(parts, ", ")
}
