package netmetric

import (
	"fmt"
	"time"
)

// A Claim is what an instance says that the path to it can contradict.
type Claim struct {
	Score    int           // 0..10, 10 best; < 0: none
	EndToEnd time.Duration // delay promised, network included; 0: none
}

// What counts as a good score (draft-ietf-cats-metric-definition: 8-10 is
// high), and the loss at which no service can be good.
const (
	highScore    = 8
	ruinousLoss  = 0.5
	enoughProbes = 10
)

// Distrust is the second validation of metrics of RFC 10054: it compares what
// an instance claims with what was measured on the way to it, and returns why
// the claim cannot be true; "" where nothing contradicts it. Little knowledge
// is no contradiction: before reachability is decided, nothing is distrusted.
//
// It sees the path, not the service. A claim that it lets pass may be false
// all the same.
func Distrust(c Claim, m Measurement) (reason string) {
	switch {
	case !m.Decided:
		return ""
	case !m.Reachable && c.Score >= highScore:
		return fmt.Sprintf("advertises score %d while probes say unreachable (%d lost in a row)", c.Score, m.LostInRow)
	case !m.Reachable && c.EndToEnd > 0:
		return fmt.Sprintf("advertises delay %s while probes say unreachable (%d lost in a row)", c.EndToEnd, m.LostInRow)
	case !m.Reachable || !m.Known:
		return ""
	case c.Score >= highScore && m.Loss >= ruinousLoss && m.Sent >= enoughProbes:
		return fmt.Sprintf("advertises score %d while %.0f %% of probes are lost", c.Score, 100*m.Loss)
	case c.EndToEnd > 0 && c.EndToEnd < m.Min:
		return fmt.Sprintf("advertises delay %s while the path alone takes %s at best", c.EndToEnd, m.Min.Round(time.Microsecond))
	}
	return ""
}
