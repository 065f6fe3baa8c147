package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/catsbgp/catsbgp/internal/agent"
	"github.com/catsbgp/catsbgp/internal/api"
	"github.com/catsbgp/catsbgp/internal/collect"
	"github.com/catsbgp/catsbgp/internal/config"
)

func (a *app) probeCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "probe [SERVICE]",
		Short: "Ask every source and check once, and show what would be said",
		Long: `Reads a configuration, asks every source and every check of the instances once
and shows raw values, scores and what is wrong. The agent is not needed and is
not disturbed; nothing is announced. Values of push sources are not known here.

Exit code 0 if every source answered and every check passed, else 1.`,
		Args: args(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := a.load(file)
			if err != nil {
				return err
			}
			instances, err := probed(cfg, strings.Join(args, ""))
			if err != nil {
				return err
			}
			docs, ok := a.probe(cmd.Context(), instances)
			if err := cmd.Context().Err(); err != nil {
				return err
			}
			if a.output == "json" {
				err = writeJSON(a.stdout, api.NewDocument(api.KindInstance, a.now(), docs...))
			} else {
				err = a.writeProbe(docs)
			}
			if err == nil && !ok {
				err = told(exitFailure)
			}
			return err
		},
	}
	cmd.Flags().StringVarP(&file, "config", "c", defaultConfig, "the configuration")
	return cmd
}

func probed(cfg *config.Config, service string) ([]collect.Instance, error) {
	var out []collect.Instance
	found := false
	for _, s := range cfg.Services {
		if service != "" && s.Name != service && s.ID.String() != service {
			continue
		}
		found = true
		out = append(out, s.Instances...)
	}
	if service != "" && !found {
		return nil, notFoundf("no service %q in the configuration", service)
	}
	if len(out) == 0 {
		return nil, notFoundf("no instances in the configuration")
	}
	return out, nil
}

// probe asks all instances at once. The result is ok if nothing failed.
func (a *app) probe(ctx context.Context, instances []collect.Instance) (docs []api.Instance, ok bool) {
	runner := collect.NewRunner(zerolog.Nop(), func(collect.Event) {})
	docs = make([]api.Instance, len(instances))
	good := make([]bool, len(instances))
	var wg sync.WaitGroup
	for i, inst := range instances {
		wg.Go(func() { docs[i], good[i] = a.probeOne(ctx, runner, inst) })
	}
	wg.Wait()
	return docs, !slices.Contains(good, false)
}

func (a *app) probeOne(ctx context.Context, runner *collect.Runner, inst collect.Instance) (api.Instance, bool) {
	acc := collect.NewAccumulator(inst)
	acc.Report(a.now()) // silence counts from here
	results := runner.Once(ctx, inst)
	now := a.now()
	doc := api.Instance{Service: inst.Name, CSID: inst.Service.String(), CSCIID: inst.ID.String(), Since: now.UTC()}
	ok := true
	for _, r := range results {
		if r.Check {
			acc.Observe(now, collect.CheckEvent{Key: inst.Key, Check: r.Name, At: now, Up: r.Up, Changed: true, Detail: r.Detail, Latency: r.Took})
			doc.Checks = append(doc.Checks, probedCheck(inst, r, now))
			ok = ok && r.Up
			continue
		}
		doc.Sources = append(doc.Sources, probedSource(inst, r, now))
		if r.Type == string(collect.Push) {
			continue // it speaks, nobody asks it
		}
		acc.Observe(now, collect.SourceEvent{Key: inst.Key, Source: r.Name, At: now, Values: r.Values, Err: r.Err, Down: downWord(r)})
		ok = ok && r.Up
	}
	rep := acc.Report(now)
	doc.State, doc.StateReason, doc.Anomalous = rep.State.String(), rep.Reason, rep.Anomalous
	doc.Samples = 1
	if v := rep.Utilisation; v.Known() {
		doc.Utilisation = new(v.Value)
	}
	doc.Metrics = reportMetrics(inst, rep)
	if s := rep.NormFI; s.Known {
		doc.Score = new(int(s.Octet))
	}
	return doc, ok
}

// downWord is why a source says that the instance is down, "" if it does not.
func downWord(r collect.Result) string {
	if r.Err != nil {
		return ""
	}
	return r.Detail
}

func probedSource(inst collect.Instance, r collect.Result, now time.Time) api.Source {
	s := api.Source{Name: r.Name, Type: r.Type, Up: r.Up, Error: r.Detail}
	for _, c := range inst.Sources {
		if c.Name == r.Name {
			s.IntervalSeconds, s.StalePolicy, s.Target = c.Interval.Seconds(), string(c.Stale), agent.SourceTarget(c)
		}
	}
	if r.Err != nil {
		s.Error, s.Errors = r.Err.Error(), 1
	} else {
		s.LastGoodAt, s.AgeSeconds, s.Samples = now.UTC(), new(0.0), 1
	}
	return s
}

func probedCheck(inst collect.Instance, r collect.Result, now time.Time) api.Check {
	k := api.Check{Name: r.Name, Type: r.Type, Up: new(r.Up), LastAt: now.UTC(), LatencySeconds: new(r.Took.Seconds())}
	for _, c := range inst.Checks {
		if c.Name == r.Name {
			k.Target = c.Target
		}
	}
	if !r.Up {
		k.Error = r.Detail
	}
	if r.Err != nil {
		k.Error = r.Err.Error()
	}
	return k
}

// reportMetrics lists a report by level. Raw values without a meaning of their
// own follow those that have one.
func reportMetrics(inst collect.Instance, rep collect.Report) []api.Metric {
	category := map[string]string{}
	for _, in := range inst.Normalization.Inputs {
		category[in.Metric] = string(in.Category)
	}
	var out []api.Metric
	named := map[string]bool{}
	for _, v := range []struct {
		name, unit string
		value      collect.Value
	}{
		{collect.ValueUtilisation, "ratio", rep.Utilisation}, {collect.ValueInFlight, "", rep.InFlight},
		{collect.ValueCapacity, "flows/s", rep.Capacity}, {collect.ValueSlots, "", rep.Slots},
		{collect.ValueServiceTime, "s", rep.ServiceTime}, {collect.ValueDelay, "s", rep.Delay}, {collect.ValueFlowRate, "flows/s", rep.FlowRate},
	} {
		named[v.name] = true
		if v.value.Known() {
			out = append(out, api.Metric{Name: v.name, Level: 0, Category: category[v.name], Unit: v.unit, Raw: new(v.value.Value)})
		}
	}
	var others []string
	for name := range rep.Raw {
		if !named[name] {
			others = append(others, name)
		}
	}
	slices.Sort(others)
	for _, name := range others {
		out = append(out, api.Metric{Name: name, Level: 0, Category: category[name], Raw: new(rep.Raw[name])})
	}
	for _, v := range []struct {
		name  string
		level int
		score collect.Score
	}{{"computing_comb", 1, rep.Computing}, {"communication_comb", 1, rep.Communication}, {"service_comb", 1, rep.L1.Service}, {"norm_fi", 2, rep.NormFI}} {
		if v.score.Known {
			out = append(out, api.Metric{Name: v.name, Level: v.level, Unit: "score", Normalized: new(v.score.Value)})
		}
	}
	return out
}

func (a *app) writeProbe(docs []api.Instance) error {
	color := a.colorful(a.stdout)
	for i, d := range docs {
		if i > 0 {
			fmt.Fprintln(a.stdout)
		}
		fmt.Fprintf(a.stdout, "%s %s %s: %s", paint(printable(d.Service), bold, color), d.CSID, d.CSCIID, paint(d.State, stateTone(d.State), color))
		if d.StateReason != "" {
			fmt.Fprintf(a.stdout, " (%s)", printable(d.StateReason))
		}
		fmt.Fprintln(a.stdout)
		t := table{columns: []column{{head: "  ASKED"}, {head: "TYPE"}, {head: "TARGET"}, {head: "RESULT"}, {head: "TOOK", right: true}, {head: "DETAIL"}}}
		for _, s := range d.Sources {
			result := toned(good, "ok")
			switch {
			case s.Type == string(collect.Push):
				result = c("not asked")
			case !s.Up:
				result = toned(bad, "failed")
			}
			t.row(c("  "+s.Name), c(s.Type), c(s.Target), result, c(""), c(s.Error))
		}
		for _, k := range d.Checks {
			result := toned(good, "passed")
			if k.Up == nil || !*k.Up {
				result = toned(bad, "failed")
			}
			t.row(c("  "+k.Name), c(k.Type), c(k.Target), result, c(opt(k.LatencySeconds, millis)), c(k.Error))
		}
		if err := t.write(a.stdout, a.output == "wide", color); err != nil {
			return err
		}
		if len(d.Metrics) == 0 {
			fmt.Fprintln(a.stdout, "  no values")
			continue
		}
		m := table{columns: []column{{head: "  METRIC"}, {head: "LEVEL"}, {head: "CATEGORY"}, {head: "RAW", right: true}, {head: "SCORE", right: true}, {head: "UNIT"}}}
		for _, v := range d.Metrics {
			m.row(c("  "+v.Name), cf("L%d", v.Level), c(v.Category), c(opt(v.Raw, number)), c(opt(v.Normalized, number)), c(v.Unit))
		}
		if err := m.write(a.stdout, a.output == "wide", color); err != nil {
			return err
		}
	}
	return nil
}
