package ingress

import (
	"fmt"
	"time"

	"github.com/catsbgp/catsbgp/advert"
	"github.com/catsbgp/catsbgp/internal/events"
)

// An uptime is how long a core has been at work, by the times it was given. It
// never goes back, and a pause longer than longPause does not count: while
// there are services a core is called every few seconds, so that was a clock
// that was set, or a process that slept.
type uptime = time.Duration

const longPause = time.Minute

// tick moves the core's own clock.
func (c *Core) tick(now time.Time) {
	c.up = c.upAt(now)
	if now.Before(c.last.Add(-overtaken)) {
		// The ticks that are set are far away now.
		for _, s := range c.services {
			c.dirty[s] = true
		}
	}
	c.last = now
}

// overtaken is how much older than its predecessor a time may be and still be
// that of an event that was late, not a clock that was set back.
const overtaken = 2 * time.Second

func (c *Core) upAt(now time.Time) uptime {
	if d := now.Sub(c.last); d > 0 && d < longPause && !c.last.IsZero() {
		return c.up + d
	}
	return c.up
}

// ageOf is how old a statement of an entry is on arrival, at least 0.
//
// The generation time is by the site's clock. As long as that agrees with ours
// to within the validity, it is the answer. If it does not, either the
// statement is old (replayed after we restarted, or stuck in some router) or a
// clock is wrong, ours or the site's:
//
//   - What was generated in the future is not old.
//   - A statement that follows the last one at the pace of that clock is as
//     fresh as statements get: old ones come late, or all at once. The same if
//     the clock went back, since the sequence did not.
//   - What was found out about a site's clock holds for all its statements.
//
// So with a wrong clock an instance is lost until its second statement, a
// refresh later, at most; and not at all if it was known when the clock broke.
func (c *Core) ageOf(now time.Time, e *entry, in *advert.Instance) time.Duration {
	if in.Generated == 0 {
		return 0
	}
	behind, limit := now.Sub(in.GeneratedAt()), maxAge(in)
	plausible := behind.Abs() <= limit
	age := behind
	if !plausible {
		age -= e.egress.skew
	}
	if e.known && in.Sequence.Newer(e.sequence) {
		age = min(age, c.ageByPace(e, in))
	}
	age = max(age, 0)
	switch {
	case plausible:
		c.setSkew(e.egress, 0)
	case age <= limit:
		c.setSkew(e.egress, behind-age)
	}
	return age
}

// ageByPace compares how much time passed between the last statement and this
// one, here and at the site.
func (c *Core) ageByPace(e *entry, in *advert.Instance) time.Duration {
	here := c.up - e.heard
	there := time.Duration(int64(in.Generated)-int64(e.generated)) * time.Second
	const rounding = 2 * time.Second // of generation times, and of transport
	if there < 0 || here >= time.Second && (here-there).Abs() <= rounding+here/8 {
		return 0
	}
	return e.age() + here - there
}

// setSkew notes how far a site's clock is behind ours.
func (c *Core) setSkew(eg *egress, skew time.Duration) {
	if (skew-eg.skew).Abs() < time.Minute && (skew == 0) == (eg.skew == 0) {
		return
	}
	text := "its clock agrees with ours again"
	switch {
	case skew > 0:
		text = fmt.Sprintf("its clock is %s behind, or ours ahead: allowed for", skew.Round(time.Second))
	case skew < 0:
		text = fmt.Sprintf("its clock is %s ahead, or ours behind: allowed for", (-skew).Round(time.Second))
	}
	eg.skew = skew
	c.note(Note{Name: events.AgentWarning, Site: eg.name, Text: text})
}

// maxAge is how old a statement may be on arrival.
func maxAge(in *advert.Instance) time.Duration {
	if in.Validity == 0 {
		return 90 * time.Second
	}
	return time.Duration(in.Validity) * time.Second
}
