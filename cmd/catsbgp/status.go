package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/catsbgp/catsbgp/internal/api"
)

func (a *app) statusCommand() *cobra.Command {
	var check bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "The agent on one screen",
		Long: `Shows the agent on one screen.

With --check, prints one line for a monitoring system and exits with
  0  OK        nothing is amiss (a drain is not)
  1  WARNING   a session is down, a reload was not accepted, a service has no metrics
  2  CRITICAL  not ready, no BGP session at all
  3  UNKNOWN   the agent cannot be reached`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cl, err := a.client()
			if err != nil {
				return err
			}
			defer cl.Close()
			doc, err := cl.Status(cmd.Context())
			if err == nil && len(doc.Items) != 1 {
				err = fmt.Errorf("the agent sent %d statuses", len(doc.Items))
			}
			if check {
				return a.statusCheck(doc, err)
			}
			if err != nil {
				return err
			}
			if a.output == "json" {
				return writeJSON(a.stdout, doc)
			}
			return a.writeStatus(a.stdout, doc.Items[0], doc.GeneratedAt)
		},
	}
	cmd.Flags().BoolVar(&check, "check", false, "one line and an exit code for monitoring")
	return cmd
}

// statusCheck is the monitoring plugin. Its text goes to stdout whatever
// happens, since that is where the monitoring system looks.
func (a *app) statusCheck(doc api.Document[api.Status], err error) error {
	verdict, why := api.VerdictUnknown, []string{}
	if err != nil {
		why = append(why, err.Error())
	} else {
		verdict, why = doc.Items[0].Verdict()
	}
	if a.output == "json" {
		if err != nil {
			return &exitError{int(verdict), err}
		}
		if err := writeJSON(a.stdout, doc); err != nil {
			return err
		}
		return told(int(verdict))
	}
	if len(why) == 0 {
		s := doc.Items[0]
		text := fmt.Sprintf("%s of %d up", plural(s.PeersUp, "peer"), s.PeersTotal)
		if slices.Contains(s.Roles, "egress") {
			text += fmt.Sprintf(", %s of %d up", plural(s.InstancesUp, "instance"), s.InstancesTotal)
		}
		if slices.Contains(s.Roles, "ingress") {
			text += fmt.Sprintf(", %s of %d reachable", plural(s.SitesUp, "site"), s.SitesTotal)
		}
		why = append(why, text)
	}
	fmt.Fprintf(a.stdout, "CATSBGP %s - %s\n", verdict, printable(strings.Join(why, "; ")))
	if verdict == api.VerdictOK {
		return nil
	}
	return told(int(verdict))
}

func (a *app) writeStatus(w io.Writer, s api.Status, now time.Time) error {
	color := a.colorful(w)
	var b strings.Builder
	ready := toned(good, "ready")
	if !s.Ready {
		ready = toned(bad, "NOT READY")
	}
	fmt.Fprintf(&b, "%s  %s  %s  up %s  %s\n", paint(printable(s.Agent), bold, color), strings.Join(s.Roles, "+"), s.Version,
		span(seconds(s.UptimeSeconds)), paint(ready.text, ready.tone, color))
	for _, why := range s.NotReady {
		fmt.Fprintf(&b, "           waits for: %s\n", printable(why))
	}
	fmt.Fprintf(&b, "asn        %d, router id %s, locator %s, domain %d, normalization profile %d\n", s.ASN, s.RouterID, s.Locator, s.Domain, s.Profile)
	fmt.Fprintf(&b, "config     %s, loaded %s ago", printable(s.Config.File), ago(s.Config.LoadedAt, now))
	if r := s.Config.LastReload; r != nil {
		if r.OK {
			fmt.Fprintf(&b, "; last reload %s ago: ok", ago(r.At, now))
		} else {
			fmt.Fprintf(&b, "; last reload %s ago: %s", ago(r.At, now), paint("NOT ACCEPTED, "+printable(r.Message), bad, color))
		}
	}
	b.WriteByte('\n')
	of := func(up, total int, what string) string {
		t := good
		if up < total {
			t = busy
		}
		if up == 0 && total > 0 {
			t = bad
		}
		if total == 0 {
			t = plain
		}
		return paint(fmt.Sprintf("%d of %d %s", up, total, what), t, color)
	}
	fmt.Fprintf(&b, "peers      %s\n", of(s.PeersUp, s.PeersTotal, "up"))
	site, gate := slices.Contains(s.Roles, "egress"), slices.Contains(s.Roles, "ingress")
	if site {
		fmt.Fprintf(&b, "instances  %s\n", of(s.InstancesUp, s.InstancesTotal, "up"))
	}
	if gate {
		fmt.Fprintf(&b, "sites      %s\n", of(s.SitesUp, s.SitesTotal, "reachable"))
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return err
	}
	if len(s.Services) > 0 {
		fmt.Fprintln(w)
		t := table{columns: []column{{head: "SERVICE"}, {head: "CS-ID"}, {head: "RUNG"}, {head: "ANNOUNCED"}, {head: "INSTANCES", right: true}, {head: "ELIGIBLE", right: true}, {head: "NOTE"}}}
		for _, v := range s.Services {
			announced, up, eligible := opt(v.Announced, yes), "", ""
			if v.Announced != nil {
				up = fmt.Sprintf("%d/%d", v.InstancesUp, v.InstancesTotal)
			}
			if v.Rung != "" {
				eligible = fmt.Sprintf("%d/%d", v.Eligible, v.Candidates)
			}
			t.row(c(v.Name), c(v.CSID), state(v.Rung), state(announced), c(up), c(eligible), c(v.Note))
		}
		if err := t.write(w, a.output == "wide", color); err != nil {
			return err
		}
	}
	if len(s.Drains) > 0 {
		fmt.Fprintln(w)
		t := table{columns: []column{{head: "DRAIN"}, {head: "STATE"}, {head: "SINCE", right: true}, {head: "DEADLINE IN", right: true}, {head: "OPEN", right: true}, {head: "REASON"}}}
		for _, d := range s.Drains {
			t.row(c(d.Target), state(d.State), c(ago(d.Since, now)), c(until(d.DeadlineAt, now)), c(opt(d.Open, number)), c(d.Reason))
		}
		if err := t.write(w, a.output == "wide", color); err != nil {
			return err
		}
	}
	if len(s.Warnings) > 0 {
		fmt.Fprintln(w)
		for _, v := range s.Warnings {
			t := busy
			if v.Severity == api.SeverityCritical {
				t = bad
			}
			line := printable(v.Message)
			if !v.Since.IsZero() {
				line += " (for " + ago(v.Since, now) + ")"
			}
			fmt.Fprintf(w, "%s %s\n", paint(v.Severity+":", t, color), line)
		}
	}
	return nil
}
