package ingress

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/catsbgp/catsbgp/internal/events"
)

// A Fault names what was wrong with an announcement. It is a label of metrics
// and events.
type Fault string

const (
	FaultNotCATS        Fault = "not-cats"        // no leading Profile: not our attribute
	FaultForeignDomain  Fault = "foreign-domain"  // another CATS domain
	FaultForeignProfile Fault = "foreign-profile" // scores not comparable with ours
	FaultMalformed      Fault = "malformed"       // framing error: candidate treated as withdrawn
	FaultReplay         Fault = "replay"          // sequence not newer
	FaultStale          Fault = "stale"           // older than its validity on arrival
	FaultSignature      Fault = "signature"       // missing, unknown key or wrong
	FaultOverLimit      Fault = "over-limit"      // more instances or services than allowed
	FaultIgnoredValue   Fault = "ignored-value"   // a metric out of range or repeated
	FaultOutOfScope     Fault = "out-of-scope"    // meant for other ASes (AS-Scope)
	FaultNoLocator      Fault = "no-locator"      // neither Egress-Locator nor next hop
)

// event is the event that tells of a fault.
func (f Fault) event() events.Name {
	switch f {
	case FaultNotCATS, FaultForeignDomain, FaultForeignProfile, FaultOutOfScope:
		return events.HeardForeign
	case FaultReplay:
		return events.HeardReplay
	case FaultStale:
		return events.HeardStale
	case FaultSignature:
		return events.HeardUnsigned
	case FaultOverLimit:
		return events.PeerOverflow
	}
	return events.HeardInvalid
}

type faultKey struct {
	Peer  string
	Fault Fault
}

// A tally counts one kind of fault of one peer, and how much was told of it.
type tally struct {
	count  uint64
	since  uptime // of the present minute of telling
	told   int    // in it
	silent uint64 // not told since the last time
}

// Whoever makes one mistake makes many: every route of a misconfigured site,
// with every refresh. All are counted, a few are told.
const (
	toldPer   = time.Minute
	toldCount = 4

	maxNotes = 256 // between two steps
)

// fault counts what is wrong with an announcement, and tells unless much was
// told already. The text is only made if it is told.
func (c *Core) fault(a *Announcement, f Fault, format string, args ...any) {
	k := faultKey{a.Peer, f}
	t := c.faults[k]
	if t == nil {
		t = &tally{since: c.up}
		c.faults[k] = t
	}
	t.count++
	if c.up-t.since >= toldPer {
		t.since, t.told = c.up, 0
	}
	if t.told >= toldCount {
		t.silent++
		return
	}
	text := a.Prefix.String() + ": " + fmt.Sprintf(format, args...)
	if t.silent > 0 {
		text += fmt.Sprintf(" (and %d more such before)", t.silent)
	}
	t.told++
	t.silent = 0
	c.note(Note{Name: f.event(), Peer: a.Peer, Text: text})
}

// note tells an operator. What would be too much is counted instead.
func (c *Core) note(n Note) {
	if len(c.notes) >= maxNotes {
		c.unsaid++
		return
	}
	c.notes = append(c.notes, n)
}

// takeNotes returns what is to be told.
func (c *Core) takeNotes() []Note {
	ns := c.notes
	if c.unsaid > 0 {
		ns = append(ns, Note{Name: events.AgentWarning, Text: fmt.Sprintf("%d more notes at this time were left out", c.unsaid)})
	}
	c.notes, c.unsaid = nil, 0
	return ns
}

// Faults yields how often each peer's announcements had each fault, for every
// pair that ever occurred, by peer and fault.
func (c *Core) Faults(yield func(peer string, f Fault, n uint64)) {
	keys := slices.SortedFunc(maps.Keys(c.faults), func(a, b faultKey) int {
		return cmp.Or(cmp.Compare(a.Peer, b.Peer), cmp.Compare(a.Fault, b.Fault))
	})
	for _, k := range keys {
		yield(k.Peer, k.Fault, c.faults[k].count)
	}
}
