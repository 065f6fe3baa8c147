package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/catsbgp/catsbgp/internal/api"
)

func (a *app) explainCommand() *cobra.Command {
	var watch watchFlags
	cmd := &cobra.Command{
		Use:   "explain CS-ID|SERVICE",
		Short: "Why do new flows of a service go where they go?",
		Long: `Says why new flows of a service go where they go: every candidate with its
cost and share, why the others get less or nothing, and what would change it.

Columns:
  SHARE   part of new flows now; NEXT is where it is moving to
  COST    of one more flow there: RTT + SERVICE + WAIT + PENALTY. The policy
          "balanced" makes the costs of all used candidates equal, so a larger
          share means more room, not a lower cost
  UTIL    as the site said; with -o wide, EST. is what it will be with the
          shares of now
  OPEN    own open flows, of the QUOTA beyond which new ones go elsewhere
  AGE     of what the site said; "!" is stale`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.checkWatch(watch); err != nil {
				return err
			}
			cl, err := a.client()
			if err != nil {
				return err
			}
			defer cl.Close()
			once := func() error {
				doc, err := cl.Explain(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				if a.output == "json" {
					return writeJSON(a.stdout, doc)
				}
				for _, e := range doc.Items {
					if err := a.writeExplanation(a.stdout, e, doc.GeneratedAt); err != nil {
						return err
					}
				}
				return nil
			}
			if watch.on {
				return a.watch(cmd.Context(), watch.interval, "explain "+args[0], once)
			}
			return once()
		},
	}
	watch.add(cmd)
	return cmd
}

func (a *app) writeExplanation(w io.Writer, e api.Explanation, now time.Time) error {
	color := a.colorful(w)
	var b strings.Builder
	name := e.Name
	if name == "" {
		name = e.CSID
	} else {
		name += " (" + e.CSID + ")"
	}
	fmt.Fprintf(&b, "%s at %s, policy %s, rung %s", paint(printable(name), bold, color), clock(e.At, now), e.Policy, paint(e.Rung, stateTone(e.Rung), color))
	if e.RungReason != "" {
		fmt.Fprintf(&b, " (%s)", printable(e.RungReason))
	}
	fmt.Fprintf(&b, "\n\n%s\n", printable(e.Verdict))
	if load := loadLine(e); load != "" {
		fmt.Fprintf(&b, "%s\n", load)
	}
	b.WriteByte('\n')
	if _, err := io.WriteString(w, b.String()); err != nil {
		return err
	}

	t := table{columns: []column{
		{head: " "}, {head: "SITE"}, {head: "INSTANCE"}, {head: "EGRESS", wide: true}, {head: "SHARE", right: true}, {head: "NEXT", right: true},
		{head: "COST", right: true}, {head: "RTT", right: true}, {head: "SERVICE", right: true}, {head: "WAIT", right: true}, {head: "PENALTY", right: true},
		{head: "UTIL", right: true}, {head: "EST.", right: true, wide: true}, {head: "SCORE", right: true, wide: true}, {head: "CAPACITY", right: true}, {head: "OPEN/QUOTA", right: true},
		{head: "PREF", right: true, wide: true}, {head: "RATE", right: true, wide: true}, {head: "SLOTS", right: true, wide: true}, {head: "AGE", right: true}, {head: "WHY"},
	}}
	for _, v := range e.Candidates {
		mark, why := c(" "), c(v.Reason)
		switch {
		case v.Name() == e.Winner:
			mark, why = toned(good, "*"), toned(good, v.Reason)
		case !v.Eligible:
			mark, why = toned(bad, "x"), toned(bad, v.Reason)
		}
		var cost, rtt, service, wait, penalty, share, open, pref, rate string
		if v.Eligible {
			cost, rtt, service = millis(v.Terms.CostSeconds), millis(v.Terms.RTTSeconds), millis(v.Terms.ServiceSeconds)
			wait, penalty, share = millis(v.Terms.WaitSeconds), millis(v.Terms.PenaltySeconds), percent(v.Share)
			open, pref, rate = number(v.Open), percent(v.Pref), number(v.FlowRate)
			if v.Quota != nil {
				open += "/" + number(*v.Quota)
			}
		}
		age := opt(v.AgeSeconds, func(s float64) string { return span(seconds(s)) })
		if v.Stale {
			age += "!"
		}
		t.row(mark, c(v.Site), c(v.CSCIID), c(v.Egress), c(share), c(opt(v.WantedShare, percent)),
			c(cost), c(rtt), c(service), c(wait), c(penalty),
			c(opt(v.Utilisation, percent)), c(opt(v.EstimatedUtilisation, percent)), c(score(v.Score)), c(opt(v.Capacity, number)), c(open),
			c(pref), c(rate), c(opt(v.Slots, number)), c(age), why)
	}
	if len(e.Candidates) == 0 {
		fmt.Fprintln(w, "no candidate was heard of")
	} else if err := t.write(w, a.output == "wide", color); err != nil {
		return err
	}

	b.Reset()
	var losers []string
	for _, v := range e.Candidates {
		if v.WhyNot != "" {
			losers = append(losers, fmt.Sprintf("  %s %s: %s", v.Site, v.CSCIID, v.WhyNot))
		}
	}
	section(&b, "Why not more", losers, color)
	var tips []string
	for _, tip := range e.Tips {
		tips = append(tips, "  "+tip)
	}
	section(&b, "What would tip it", tips, color)
	_, err := io.WriteString(w, b.String())
	return err
}

func section(b *strings.Builder, title string, lines []string, color bool) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s\n", paint(title, bold, color))
	for _, l := range lines {
		b.WriteString(printable(l) + "\n")
	}
}

// loadLine is how much is being steered.
func loadLine(e api.Explanation) string {
	var parts []string
	if e.FlowRate != nil {
		parts = append(parts, number(*e.FlowRate)+" flows/s enter here")
	}
	if e.TotalLoad != nil {
		parts = append(parts, number(*e.TotalLoad)+" flows/s in the whole domain")
	}
	if e.LambdaSeconds != nil {
		parts = append(parts, "costs meet at "+millis(*e.LambdaSeconds))
	}
	if e.MarginSeconds != nil {
		switch m := *e.MarginSeconds; {
		case m >= 0:
			parts = append(parts, "one more flow would cost "+millis(m)+" more at the runner-up")
		default:
			parts = append(parts, "one more flow would cost "+millis(-m)+" less at the runner-up")
		}
	}
	return strings.Join(parts, ", ")
}
