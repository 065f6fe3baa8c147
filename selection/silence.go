package selection

import "time"

// Silence says something, too. A site repeats a value that changed by a tenth,
// at once or after its minimum interval; one that keeps silent for longer has a
// load within a tenth of what it said. If by our reckoning the shares that were
// moved since should have changed the load by more, the reckoning is off: part
// of the load does not move with the shares (users that come by other ways),
// or other ingresses did not shift as we did. Without this, a site that is
// overloaded by others is left only a step further with every refresh.
const (
	// unsaid is the change of utilisation that a site may keep to itself: the
	// threshold of steering.md, and some smoothing.
	unsaid = 0.12
	// hushOf is what part of the validity a site may take to say a larger one.
	// The validity is three refreshes; between changes a site waits for half a
	// refresh at most, unless it spares neighbours that damp routes, and then it
	// is longer than hushMost.
	hushOf    = 6
	hushLeast = 10 * time.Second
	hushMost  = 30 * time.Second
)

// hush corrects the utilisation where the silence of a site contradicts what
// it should be by now, to the nearest value that the silence allows; the share
// that goes with it is that of now.
func (st *state) hush(now time.Time) {
	if !st.metrics || st.stiff == 0 {
		return
	}
	expected := st.util + (st.avg-st.pref)/st.stiff
	likely := min(max(expected, st.said-unsaid), st.said+unsaid)
	if likely == expected {
		st.odd = time.Time{}
		return
	}
	if st.odd.IsZero() || now.Before(st.odd) {
		st.odd = now
		return
	}
	validity := min(st.Validity, maxSpan)
	wait := max(validity/hushOf, hushLeast)
	if wait > hushMost || now.Sub(st.odd) < wait {
		return
	}
	if validity > 0 && now.Sub(st.Heard) > validity/2 {
		return // its refresh is overdue: this silence is another one
	}
	st.util, st.odd = max(likely, 0), time.Time{}
	st.freeze()
}
