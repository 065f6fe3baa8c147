package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/catsbgp/catsbgp/internal/api"
)

const targetHelp = `TARGET is a service name, a CS-ID, "CS-ID CSCI-ID", a CSCI-ID, or "site" for all
of this site.`

func (a *app) drainCommand() *cobra.Command {
	var r api.DrainRequest
	cmd := &cobra.Command{
		Use:   "drain TARGET",
		Short: "Take no new flows, let open ones end",
		Long: `Asks all ingresses to send no new flows to the target. Open flows go on, BGP
sessions stay up. At the deadline, if one is given, the routes are withdrawn
whatever is left. "catsbgp undrain" ends it.

` + targetHelp + `

Refused (exit code 6) if nothing would be left of a service; --force overrides.`,
		Example: `  catsbgp drain video --deadline 5m --reason "kernel update"
  catsbgp drain 203.0.113.10 10.0.2.11
  catsbgp drain site`,
		Args: args(cobra.RangeArgs(1, 2)),
		RunE: func(cmd *cobra.Command, args []string) error { return a.drain(cmd, args, r) },
	}
	cmd.Flags().DurationVar(&r.Deadline, "deadline", 0, "withdraw then, whatever is left; 0: never")
	a.drainFlags(cmd, &r)
	return cmd
}

func (a *app) withdrawCommand() *cobra.Command {
	r := api.DrainRequest{Withdraw: true}
	cmd := &cobra.Command{
		Use:   "withdraw TARGET",
		Short: "Withdraw the routes now",
		Long: `Withdraws the routes of the target at once. Open flows to it may break: drain
first if there is time. "catsbgp undrain" announces them again.

` + targetHelp + `

Refused (exit code 6) if nothing would be left of a service; --force overrides.`,
		Args: args(cobra.RangeArgs(1, 2)),
		RunE: func(cmd *cobra.Command, args []string) error { return a.drain(cmd, args, r) },
	}
	a.drainFlags(cmd, &r)
	return cmd
}

func (a *app) undrainCommand() *cobra.Command {
	r := api.DrainRequest{Undo: true}
	cmd := &cobra.Command{
		Use:   "undrain TARGET",
		Short: "End a drain or withdrawal",
		Long: `Offers the target again.

` + targetHelp,
		Args: args(cobra.RangeArgs(1, 2)),
		RunE: func(cmd *cobra.Command, args []string) error { return a.drain(cmd, args, r) },
	}
	cmd.Flags().StringVar(&r.Reason, "reason", "", "why, for the events")
	return cmd
}

func (a *app) drainFlags(cmd *cobra.Command, r *api.DrainRequest) {
	cmd.Flags().StringVar(&r.Reason, "reason", "", "why, for the events")
	cmd.Flags().BoolVar(&r.Force, "force", false, "even if nothing is left of a service")
}

func (a *app) drain(cmd *cobra.Command, args []string, r api.DrainRequest) error {
	if r.Deadline < 0 {
		return usagef("deadline %v is negative", r.Deadline)
	}
	r.Target = strings.Join(args, " ")
	if strings.TrimSpace(r.Target) == "" {
		return usagef("the target is empty")
	}
	cl, err := a.client()
	if err != nil {
		return err
	}
	defer cl.Close()
	doc, err := cl.Drain(cmd.Context(), r)
	if err != nil {
		return err
	}
	if a.output == "json" {
		return writeJSON(a.stdout, doc)
	}
	for _, d := range doc.Items {
		if err := a.writeDrain(d, doc.GeneratedAt); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) writeDrain(d api.DrainResult, now time.Time) error {
	did := map[string]string{"drain": "draining", "withdraw": "withdrawn", "undo": "offered again"}[d.Action]
	line := fmt.Sprintf("%s %s: %s", d.Scope, d.Target, did)
	if d.Scope == d.Target {
		line = fmt.Sprintf("%s: %s", d.Scope, did)
	}
	if !d.Changed {
		line += " already"
	}
	if u := until(d.DeadlineAt, now); u != "" {
		line += ", withdrawn in " + u
	}
	fmt.Fprintln(a.stdout, printable(line))
	if d.Note != "" {
		fmt.Fprintln(a.stderr, printable(d.Note))
	}
	if len(d.Affected) == 0 {
		return nil
	}
	t := table{columns: []column{{head: "SERVICE"}, {head: "CS-ID"}, {head: "INSTANCE"}, {head: "STATE"}, {head: "OPEN", right: true}}}
	for _, v := range d.Affected {
		t.row(c(v.Service), c(v.CSID), c(v.CSCIID), state(v.State), c(opt(v.Open, number)))
	}
	return t.write(a.stdout, a.output == "wide", a.colorful(a.stdout))
}
