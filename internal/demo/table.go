package demo

import (
	"fmt"
	"math"
	"time"
)

const tableHead = "INSTANCE      RTT  MEASURED       SAYS             AGO  HELD   SHARE       OPEN"

// tableRows are the instances at one moment: what was measured, what was said
// and held back, and what the ingress gives them. 79 cells wide.
func tableRows(p Plan, s *Sample, now time.Duration, st style) []string {
	var rows []string
	for i, in := range p.Instances() {
		x := &s.Instances[i]
		measured := "-"
		if !math.IsNaN(x.Measured) && x.State != "down" {
			measured = percent(x.Measured)
		}
		ago := ""
		if x.SaidWhy != "" {
			ago = fmt.Sprintf("%.0fs", max(now-x.SaidAt, 0).Seconds())
		}
		held := uint64(0)
		for _, n := range x.Held {
			held += n
		}
		share, open := st.dim(pad("-", 6)), ""
		if x.Target {
			share = left(percent(x.Share), 5) + " "
			open = fmt.Sprint(x.Open)
		}
		u := x.Measured
		if measured == "-" {
			u = math.NaN()
		}
		rows = append(rows, fmt.Sprintf("%s %s  %s %s  %s %s %s  %s%s %s",
			pad(p.Label(in), 11), left(fmt.Sprint(p.Sites[in.Site].RTT), 5),
			st.load(u, bar(u, 6)), left(measured, 6),
			pad(x.says(st), 15), left(ago, 4), left(fmt.Sprint(held), 5),
			share, st.cyan(bar(x.Share*2, 6)), left(open, 4)))
	}
	return rows
}

// says is what is announced of an instance, and why it is not more.
func (x *InstanceSample) says(st style) string {
	switch {
	case x.Suppressed:
		return st.red(fmt.Sprintf("held down %5.0f", x.Penalty))
	case x.SaidWhy == "" || x.State == "down":
		return st.red("withdrawn")
	case x.Drained:
		return st.yellow("no new flows")
	case math.IsNaN(x.Said):
		return x.SaidWhy
	}
	return st.load(x.Said, left(percent(x.Said), 5)) + " " + x.SaidWhy
}
