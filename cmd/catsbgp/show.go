package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/catsbgp/catsbgp/internal/api"
	"github.com/catsbgp/catsbgp/internal/events"
)

// A view is one of the tables of show.
type view struct {
	name, short string
	filter      string // what the optional argument is, "" if there is none
	// fetch asks the agent, keeps what the argument names, and returns the
	// document, how many items it has, and the table.
	fetch func(ctx context.Context, c *api.Client, filter string) (doc any, n int, t func() *table, err error)
}

var views = []view{
	{"services", "How new flows of each service are split", "SERVICE",
		viewOf((*api.Client).Services, func(v api.Service, f string) bool { return v.Name == f || v.CSID == f }, servicesTable)},
	{"instances", "Instances of this site: state, what was said, what is held back", "SERVICE|CSCI-ID",
		viewOf((*api.Client).Instances, func(v api.Instance, f string) bool { return v.Service == f || v.CSID == f || v.CSCIID == f }, instancesTable)},
	{"sites", "Sites heard in BGP, and the path to them", "SITE",
		viewOf((*api.Client).Sites, func(v api.Site, f string) bool { return v.Name == f || v.Locator == f }, sitesTable)},
	{"peers", "BGP sessions", "PEER",
		viewOf((*api.Client).Peers, func(v api.Peer, f string) bool { return v.Name == f || v.Address == f }, peersTable)},
	{"routes", "Own routes: intended, and sent to whom", "SERVICE|PREFIX",
		viewOf((*api.Client).Routes, func(v api.Route, f string) bool { return v.Service == f || isPrefix(v.Prefix, f) }, routesTable)},
	{"heard", "Routes heard that concern CATS", "SERVICE|PREFIX|PEER",
		viewOf((*api.Client).Heard, func(v api.HeardRoute, f string) bool { return v.Service == f || isPrefix(v.Prefix, f) || v.Peer == f }, heardTable)},
	{"dampening", "What holds announcements back, per instance", "SERVICE|CSCI-ID",
		viewOf((*api.Client).Dampening, func(v api.Dampening, f string) bool { return v.Service == f || v.CSID == f || v.CSCIID == f }, dampeningTable)},
	{"metrics", "Metrics of this site's instances: raw, normalized, said", "SERVICE|CSCI-ID",
		viewOf((*api.Client).Metrics, func(v api.Metric, f string) bool { return v.Service == f || v.CSCIID == f }, metricsTable)},
}

// isPrefix lets an address stand for its host prefix.
func isPrefix(prefix, f string) bool {
	return prefix == f || strings.TrimSuffix(strings.TrimSuffix(prefix, "/32"), "/128") == f
}

func viewOf[T any](ask func(*api.Client, context.Context) (api.Document[T], error), match func(T, string) bool, tab func([]T, time.Time) *table) func(context.Context, *api.Client, string) (any, int, func() *table, error) {
	return func(ctx context.Context, c *api.Client, filter string) (any, int, func() *table, error) {
		doc, err := ask(c, ctx)
		if err != nil {
			return nil, 0, nil, err
		}
		if filter != "" {
			doc.Items = slices.DeleteFunc(doc.Items, func(v T) bool { return !match(v, filter) })
		}
		return doc, len(doc.Items), func() *table { return tab(doc.Items, doc.GeneratedAt) }, nil
	}
}

func (a *app) showCommand() *cobra.Command {
	show := &cobra.Command{
		Use:   "show",
		Short: "Show what the agent knows",
		Long: `Shows what the agent knows, as a table. More columns: -o wide. Everything: -o json.

Ages count back from the moment the agent answered. A "-" is unknown or does
not apply; zero is shown as 0.`,
		Args: cobra.ArbitraryArgs,
		RunE: needsCommand,
	}
	for _, v := range views {
		show.AddCommand(a.viewCommand(v))
	}
	show.AddCommand(a.eventsCommand())
	return show
}

// watchFlags are --watch and --interval.
type watchFlags struct {
	on       bool
	interval time.Duration
}

func (f *watchFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&f.on, "watch", "w", false, "show again and again until interrupted")
	cmd.Flags().DurationVar(&f.interval, "interval", 2*time.Second, "between two times of --watch")
}

func (a *app) checkWatch(f watchFlags) error {
	if f.on && a.output == "json" {
		return usagef("--watch makes more than one document, -o json exactly one; follow " + api.PathEvents + " instead")
	}
	if f.interval < 100*time.Millisecond {
		return usagef("interval %v is below 100ms", f.interval)
	}
	return nil
}

func (a *app) viewCommand(v view) *cobra.Command {
	var watch watchFlags
	cmd := &cobra.Command{
		Use:   v.name + " [" + v.filter + "]",
		Short: v.short,
		Args:  args(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.checkWatch(watch); err != nil {
				return err
			}
			filter := strings.Join(args, "")
			cl, err := a.client()
			if err != nil {
				return err
			}
			defer cl.Close()
			if !watch.on {
				return a.view(cmd.Context(), v, cl, filter)
			}
			return a.watch(cmd.Context(), watch.interval, "show "+v.name+" "+filter, func() error {
				return a.view(cmd.Context(), v, cl, filter)
			})
		},
	}
	watch.add(cmd)
	return cmd
}

func (a *app) view(ctx context.Context, v view, cl *api.Client, filter string) error {
	doc, n, tab, err := v.fetch(ctx, cl, filter)
	if err != nil {
		return err
	}
	if n == 0 && filter != "" {
		return notFoundf("no %s %q", strings.TrimSuffix(v.name, "s"), filter)
	}
	if a.output == "json" {
		return writeJSON(a.stdout, doc)
	}
	if n == 0 {
		fmt.Fprintf(a.stderr, "no %s\n", v.name)
		return nil
	}
	return tab().write(a.stdout, a.output == "wide", a.colorful(a.stdout))
}

// watch calls f until the context ends, which is no error. An agent that is
// gone for a moment is waited for.
func (a *app) watch(ctx context.Context, interval time.Duration, what string, f func() error) error {
	for {
		if isTerminal(a.stdout) {
			fmt.Fprint(a.stdout, "\x1b[H\x1b[2J")
		}
		fmt.Fprintf(a.stdout, "%s  %s, every %v\n", a.now().Local().Format("15:04:05"), strings.TrimSpace(what), interval)
		switch err := f(); {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, api.ErrUnreachable):
			fmt.Fprintf(a.stdout, "%s\n", printable(err.Error()))
		case err != nil:
			return err
		}
		fmt.Fprintln(a.stdout)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(interval):
		}
	}
}

func servicesTable(docs []api.Service, now time.Time) *table {
	t := &table{columns: []column{
		{head: "SERVICE"}, {head: "CS-ID", wide: true}, {head: "POLICY", wide: true}, {head: "RUNG"}, {head: "SITE"}, {head: "INSTANCE"},
		{head: "EGRESS", wide: true}, {head: "SHARE", right: true}, {head: "OPEN", right: true}, {head: "QUOTA", right: true},
		{head: "UTIL", right: true}, {head: "SCORE", right: true}, {head: "CAPACITY", right: true, wide: true}, {head: "COST", right: true}, {head: "RTT", right: true},
		{head: "SINCE", right: true, wide: true}, {head: "NOTE"},
	}}
	for _, v := range docs {
		head := []cell{c(v.Name), c(v.CSID), c(v.Policy), state(v.Rung)}
		since := c(ago(v.Since, now))
		if len(v.Targets)+len(v.Excluded) == 0 {
			t.row(append(head, c(""), c(""), c(""), c(""), c(""), c(""), c(""), c(""), c(""), c(""), c(""), since, toned(bad, join("no candidate", v.RungReason)))...)
		}
		for _, g := range v.Targets {
			note := g.Reason
			if g.Stale {
				note = join("stale", note)
			}
			t.row(append(slices.Clip(head), c(g.Site), c(g.CSCIID), c(g.Egress), c(percent(g.Share)), c(number(g.Open)), c(opt(g.Quota, number)),
				c(opt(g.Utilisation, percent)), c(score(g.Score)), c(opt(g.Capacity, number)), c(millis(g.Terms.CostSeconds)), c(millis(g.Terms.RTTSeconds)), since, c(note))...)
		}
		for _, x := range v.Excluded {
			why := x.Reason
			if x.Detail != "" {
				why += ": " + x.Detail
			}
			t.row(append(slices.Clip(head), c(x.Site), c(x.CSCIID), c(x.Egress), c(""), c(""), c(""), c(""), c(""), c(""), c(""), c(""), since, toned(busy, why))...)
		}
	}
	return t
}

func instancesTable(docs []api.Instance, now time.Time) *table {
	t := &table{columns: []column{
		{head: "SERVICE"}, {head: "CS-ID", wide: true}, {head: "INSTANCE"}, {head: "STATE"}, {head: "SINCE", right: true}, {head: "UTIL", right: true}, {head: "SCORE", right: true},
		{head: "SAID", right: true}, {head: "WHY"}, {head: "AGO", right: true}, {head: "HELD"}, {head: "SOURCES"}, {head: "CHECKS"},
		{head: "SAMPLES", right: true, wide: true}, {head: "SEQUENCE", right: true, wide: true}, {head: "NOTE"},
	}}
	for _, v := range docs {
		said, why, when, seq, held := "", "", "", "", ""
		if v.Said != nil {
			said, why, when, seq = opt(v.Said.Level, percent), v.Said.Why, ago(v.Said.At, now), fmt.Sprint(v.Said.Sequence)
		}
		if v.Held != nil {
			held = v.Held.Why
			if u := until(v.Held.Until, now); u != "" {
				held += " for " + u
			}
		}
		id := v.CSCIID
		if v.Aggregate {
			id += " (site)"
		}
		t.row(c(v.Service), c(v.CSID), c(id), state(v.State), c(ago(v.Since, now)), c(opt(v.Utilisation, percent)), c(score(v.Score)),
			c(said), c(why), c(when), toned(busy, held), sourcesCell(v.Sources), checksCell(v.Checks), c(fmt.Sprint(v.Samples)), c(seq), c(instanceNote(v, now)))
	}
	return t
}

// sourcesCell is "2 ok", or what is wrong with how many.
func sourcesCell(sources []api.Source) cell {
	if len(sources) == 0 {
		return c("")
	}
	down, stale := 0, 0
	for _, s := range sources {
		if s.Stale {
			stale++
		} else if !s.Up {
			down++
		}
	}
	switch {
	case stale > 0:
		return toned(bad, fmt.Sprintf("%d/%d stale", stale, len(sources)))
	case down > 0:
		return toned(busy, fmt.Sprintf("%d/%d failing", down, len(sources)))
	}
	return toned(good, fmt.Sprintf("%d ok", len(sources)))
}

func checksCell(checks []api.Check) cell {
	if len(checks) == 0 {
		return c("")
	}
	down, unknown := 0, 0
	for _, k := range checks {
		switch {
		case k.Up == nil:
			unknown++
		case !*k.Up:
			down++
		}
	}
	switch {
	case down > 0:
		return toned(bad, fmt.Sprintf("%d/%d down", down, len(checks)))
	case unknown > 0:
		return toned(busy, fmt.Sprintf("%d/%d unknown", unknown, len(checks)))
	}
	return toned(good, fmt.Sprintf("%d ok", len(checks)))
}

// instanceNote says what an operator would ask next: why is it not simply up?
func instanceNote(v api.Instance, now time.Time) string {
	var notes []string
	add := func(s string) {
		if s != "" && !slices.Contains(notes, s) {
			notes = append(notes, s)
		}
	}
	add(v.StateReason)
	if v.Anomalous && v.StateReason == "" {
		add("values contradict each other")
	}
	if v.Drain != nil {
		if u := until(v.Drain.DeadlineAt, now); u != "" {
			add("withdrawn in " + u)
		}
	}
	for _, s := range v.Sources {
		if s.Error != "" && !strings.Contains(v.StateReason, s.Error) {
			add(s.Name + ": " + s.Error)
		}
	}
	for _, k := range v.Checks {
		if k.Error != "" && !strings.Contains(v.StateReason, k.Error) {
			add(k.Name + ": " + k.Error)
		}
	}
	return strings.Join(notes, "; ")
}

func sitesTable(docs []api.Site, now time.Time) *table {
	t := &table{columns: []column{
		{head: "SITE"}, {head: "LOCATOR"}, {head: "PATH"}, {head: "RTT", right: true}, {head: "MIN", right: true}, {head: "MEAN", right: true, wide: true}, {head: "MAX", right: true},
		{head: "VARIATION", right: true, wide: true}, {head: "LOSS", right: true}, {head: "PROBES", right: true, wide: true}, {head: "INSTANCES", right: true}, {head: "HEARD", right: true}, {head: "NOTE"},
	}}
	for _, v := range docs {
		path := c("not measured")
		switch {
		case v.Local:
			path = c("this site")
		case v.Reachable != nil && *v.Reachable:
			path = toned(good, "reachable")
		case v.Reachable != nil:
			path = toned(bad, "unreachable")
		}
		var rtt, lo, mean, hi, variation, loss string
		if r := v.RTT; r != nil {
			rtt, lo, mean, hi = millis(r.EstimateSeconds), millis(r.MinSeconds), millis(r.MeanSeconds), millis(r.MaxSeconds)
			variation, loss = millis(r.VariationSeconds), percent(r.Loss)
		}
		probes := ""
		if v.Sent > 0 {
			probes = fmt.Sprintf("%d/%d", v.Received, v.Sent)
		}
		eligible, stale := 0, 0
		for _, i := range v.Instances {
			if i.Eligible {
				eligible++
			}
			if i.Stale {
				stale++
			}
		}
		note := v.Reason
		if stale > 0 {
			note = join(note, fmt.Sprintf("%d stale", stale))
		}
		t.row(c(v.Name), c(v.Locator), path, c(rtt), c(lo), c(mean), c(hi), c(variation), c(loss), c(probes),
			cf("%d/%d", eligible, len(v.Instances)), c(ago(v.LastHeardAt, now)), c(note))
	}
	return t
}

func peersTable(docs []api.Peer, now time.Time) *table {
	t := &table{columns: []column{
		{head: "PEER"}, {head: "ADDRESS"}, {head: "ASN", right: true}, {head: "TYPE", wide: true}, {head: "STATE"}, {head: "SINCE", right: true}, {head: "DOMAIN"},
		{head: "FAMILIES", wide: true}, {head: "RECEIVED", right: true}, {head: "IGNORED", right: true, wide: true}, {head: "SENT", right: true}, {head: "FLAPS", right: true},
		{head: "BFD", wide: true}, {head: "DECODE ERRORS", wide: true}, {head: "NOTE"},
	}}
	for _, v := range docs {
		var errs uint64
		for _, n := range v.DecodeErrors {
			errs += n
		}
		note := ""
		if !v.Up {
			note = v.LastError
		}
		if errs > 0 {
			note = join(note, plural(int(errs), "decode error"))
		}
		if v.RoutesIgnored > 0 {
			note = join(note, plural(int(v.RoutesIgnored), "route")+" beyond the limit")
		}
		t.row(c(v.Name), c(v.Address), c(strconv.FormatUint(uint64(v.ASN), 10)), c(v.Type), state(v.State), c(ago(v.Since, now)), c(yes(v.Domain)),
			c(strings.Join(v.Families, ",")), c(fmt.Sprint(v.RoutesReceived)), c(fmt.Sprint(v.RoutesIgnored)), c(fmt.Sprint(v.RoutesAdvertised)), c(fmt.Sprint(v.Flaps)),
			c(v.BFD), c(counts(v.DecodeErrors)), c(note))
	}
	return t
}

func routesTable(docs []api.Route, now time.Time) *table {
	t := &table{columns: []column{
		{head: "PREFIX"}, {head: "KIND"}, {head: "SERVICE"}, {head: "STATE"}, {head: "FOR", right: true}, {head: "SENT TO"}, {head: "SAYS"},
		{head: "NEXT HOP", wide: true}, {head: "COMMUNITIES", wide: true}, {head: "ATTRIBUTE", wide: true}, {head: "NOTE"},
	}}
	for _, v := range docs {
		var sent, not []string
		for _, p := range v.Peers {
			if p.Sent {
				sent = append(sent, p.Peer)
			} else {
				not = append(not, "not to "+p.Peer+": "+p.Why)
			}
		}
		t.row(c(v.Prefix), c(v.Kind), c(v.Service), state(v.State), c(ago(v.IntendedAt, now)), c(strings.Join(sent, ",")), c(says(v.Attribute)),
			c(v.NextHop), c(strings.Join(v.Communities, " ")), c(v.AttributeHex), c(join(v.Reason, strings.Join(not, ", "))))
	}
	return t
}

// says is an attribute in a few words.
func says(d *api.Decoded) string {
	if d == nil {
		return ""
	}
	var parts []string
	for _, i := range d.Instances {
		var words []string
		for _, m := range i.Metrics {
			switch m.Name {
			case "utilisation", "norm_fi", "capacity":
				text := m.Text
				if text == "" {
					text = strings.TrimSpace(number(m.Value) + " " + m.Unit)
				}
				words = append(words, m.Name+" "+text)
			}
		}
		words = append(words, i.Flags...)
		parts = append(parts, i.CSCIID+" "+strings.Join(words, " "))
	}
	if len(parts) > 2 {
		return plural(len(parts), "instance")
	}
	return strings.Join(parts, "; ")
}

func heardTable(docs []api.HeardRoute, now time.Time) *table {
	t := &table{columns: []column{
		{head: "PREFIX"}, {head: "PATH ID", right: true, wide: true}, {head: "KIND"}, {head: "SERVICE"}, {head: "PEER"}, {head: "EGRESS"},
		{head: "CARRIER"}, {head: "FOR", right: true}, {head: "USED"}, {head: "SAYS"}, {head: "NOTE"},
	}}
	for _, v := range docs {
		t.row(c(v.Prefix), c(fmt.Sprint(v.PathID)), c(v.Kind), c(v.Service), c(v.Peer), c(v.Egress),
			c(v.Carrier), c(ago(v.HeardAt, now)), state(yes(v.Used)), c(heardText(v.Instances)), c(v.Why))
	}
	return t
}

// heardText is what a route says of instances, in brief.
func heardText(instances []api.HeardInstance) string {
	var parts []string
	for i, in := range instances {
		if i == 3 {
			parts = append(parts, fmt.Sprintf("%d more", len(instances)-i))
			break
		}
		text := in.CSCIID
		if in.Utilisation != nil {
			text += " " + percent(*in.Utilisation)
		}
		if in.Score != nil {
			text += fmt.Sprintf(" score %d", *in.Score)
		}
		for _, f := range in.Flags {
			text += " " + f
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, "; ")
}

func dampeningTable(docs []api.Dampening, now time.Time) *table {
	t := &table{columns: []column{
		{head: "SERVICE"}, {head: "INSTANCE"}, {head: "LEVEL", right: true}, {head: "SAID", right: true}, {head: "DELTA", right: true}, {head: "HELD"},
		{head: "NEXT IN", right: true, wide: true}, {head: "PENALTY", right: true}, {head: "SUPPRESSED"}, {head: "REUSE IN", right: true}, {head: "BUCKET", right: true},
		{head: "SAMPLES", right: true}, {head: "SENT"}, {head: "NOT SENT"}, {head: "RFD"},
	}}
	for _, v := range docs {
		held := ""
		if v.Held != nil {
			held = v.Held.Why
			if u := until(v.Held.Until, now); u != "" {
				held += " for " + u
			}
		}
		suppressed := c("no")
		if v.Suppressed {
			suppressed = toned(bad, "yes")
		}
		var rfd []string
		t2 := plain
		for _, r := range v.RFD {
			rfd = append(rfd, fmt.Sprintf("%s %s of %s", r.Peer, number(r.Penalty), number(r.Suppress)))
			if r.Penalty > 0.7*r.Suppress {
				t2 = busy
			}
		}
		t.row(c(v.Service), c(v.CSCIID), c(opt(v.Level, percent)), c(opt(v.Said, percent)), c(percent(v.Delta)), toned(busy, held), c(until(v.NextAt, now)),
			cf("%s/%s", number(v.Penalty), number(v.PenaltySuppress)), suppressed, c(until(v.ReuseAt, now)), cf("%s/%s", number(v.BucketTokens), number(v.BucketBurst)),
			c(fmt.Sprint(v.Samples)), c(counts(v.Sent)), c(counts(v.SuppressedByReason)), toned(t2, strings.Join(rfd, ", ")))
	}
	return t
}

func metricsTable(docs []api.Metric, _ time.Time) *table {
	t := &table{columns: []column{
		{head: "SERVICE"}, {head: "INSTANCE"}, {head: "LEVEL"}, {head: "METRIC"}, {head: "CATEGORY"}, {head: "RAW", right: true}, {head: "NORMALIZED", right: true}, {head: "SAID", right: true}, {head: "UNIT"},
	}}
	for _, v := range docs {
		t.row(c(v.Service), c(v.CSCIID), cf("L%d", v.Level), c(v.Name), c(v.Category), c(opt(v.Raw, number)), c(opt(v.Normalized, number)), c(opt(v.Said, number)), c(v.Unit))
	}
	return t
}

func (a *app) eventsCommand() *cobra.Command {
	var watch bool
	var last int
	var f api.Filter
	cmd := &cobra.Command{
		Use:   "events",
		Short: "The last events, and with --watch those to come",
		Long: `Shows the last events, oldest first, and with --watch goes on with those to come.

"catsbgp docs events" lists all names.`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.checkWatch(watchFlags{watch, time.Second}); err != nil {
				return err
			}
			if last < 0 {
				return usagef("last %d is negative", last)
			}
			cl, err := a.client()
			if err != nil {
				return err
			}
			defer cl.Close()
			doc, err := cl.Events(cmd.Context(), last, f)
			if err != nil {
				return err
			}
			if a.output == "json" {
				return writeJSON(a.stdout, doc)
			}
			if len(doc.Items) == 0 && !watch {
				fmt.Fprintln(a.stderr, "no events")
				return nil
			}
			if !watch {
				return a.writeEvents(a.stdout, doc.Items, doc.GeneratedAt)
			}
			return a.followEvents(cmd.Context(), cl, doc, f)
		},
	}
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "go on with those to come until interrupted")
	cmd.Flags().IntVarP(&last, "last", "n", 50, "how many of the past")
	cmd.Flags().StringVar(&f.Name, "name", "", "a name or its first part: peer, peer.down")
	cmd.Flags().StringVar((*string)(&f.Level), "level", "", "this level and above: debug, info, warn, error")
	cmd.Flags().StringVar(&f.Service, "service", "", "about this service")
	cmd.Flags().StringVar(&f.Instance, "instance", "", "about this instance")
	cmd.Flags().StringVar(&f.Site, "site", "", "about this site")
	cmd.Flags().StringVar(&f.Peer, "peer", "", "about this peer")
	choice(cmd, "level", "debug", "info", "warn", "error")
	return cmd
}

func levelCell(l events.Level) cell {
	switch l {
	case events.Error:
		return toned(bad, string(l))
	case events.Warn:
		return toned(busy, string(l))
	case events.Debug:
		return toned(faint, string(l))
	}
	return c(string(l))
}

// about is what an event is about.
func about(e api.Event) string {
	return strings.Join(slices.DeleteFunc([]string{e.Service, e.Instance, e.Site, e.Peer}, func(s string) bool { return s == "" }), " ")
}

func (a *app) writeEvents(w io.Writer, items []api.Event, now time.Time) error {
	t := table{columns: []column{{head: "ID", right: true, wide: true}, {head: "TIME"}, {head: "LEVEL"}, {head: "EVENT"}, {head: "ABOUT"}, {head: "MESSAGE"}, {head: "FIELDS", wide: true}}}
	for _, e := range items {
		t.row(c(fmt.Sprint(e.ID)), c(clock(e.At, now)), levelCell(e.Level), c(string(e.Name)), c(about(e)), c(e.Message), c(fieldText(e.Fields)))
	}
	return t.write(w, a.output == "wide", a.colorful(w))
}

func fieldText(f events.Fields) string {
	var parts []string
	for _, p := range f {
		parts = append(parts, fmt.Sprintf("%s=%v", p.Key, p.Value))
	}
	return strings.Join(parts, " ")
}

// followEvents prints events one by one, in columns of a fixed width since the
// next line is not known yet. It comes back to an agent that restarts.
func (a *app) followEvents(ctx context.Context, cl *api.Client, doc api.Document[api.Event], f api.Filter) error {
	color := a.colorful(a.stdout)
	var last uint64
	line := func(e api.Event) {
		last = e.ID
		level := levelCell(e.Level)
		text := fmt.Sprintf("%s  %s  %-20s  %s", e.At.Local().Format(time.DateTime), paint(fmt.Sprintf("%-5s", level.text), level.tone, color), e.Name, printable(join(about(e))))
		if e.Message != "" {
			text += ": " + printable(e.Message)
		}
		if a.output == "wide" && len(e.Fields) > 0 {
			text += "  " + printable(fieldText(e.Fields))
		}
		fmt.Fprintln(a.stdout, text)
	}
	for _, e := range doc.Items {
		line(e)
	}
	for {
		err := cl.Follow(ctx, last, f, func(e events.Event, missed uint64) error {
			if missed > 0 {
				fmt.Fprintf(a.stdout, "… %d events missed …\n", missed)
			}
			line(e)
			return nil
		})
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && !errors.Is(err, api.ErrUnreachable):
			return err
		case err != nil:
			fmt.Fprintf(a.stderr, "catsbgp: %s; trying again\n", printable(err.Error()))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
	}
}
