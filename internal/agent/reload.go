package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/catsbgp/catsbgp/bgp"
	"github.com/catsbgp/catsbgp/internal/api"
	"github.com/catsbgp/catsbgp/internal/config"
	"github.com/catsbgp/catsbgp/internal/events"
	"github.com/catsbgp/catsbgp/internal/ingress"
)

func (b backend) Reload(ctx context.Context) (api.ReloadResult, error) {
	if b.a.opt.Load == nil {
		return api.ReloadResult{}, api.Refused("this agent was not started from a file")
	}
	// One at a time: else the file as it was read first could come into force
	// last.
	select {
	case b.a.reloading <- struct{}{}:
		defer func() { <-b.a.reloading }()
	case <-ctx.Done():
		return api.ReloadResult{}, api.Unavailable("another reload is under way: %v", ctx.Err())
	}
	// Reading files may take its time: not in the loop.
	cfg, err := b.a.opt.Load()
	return ask(ctx, b.a, func(now time.Time) (api.ReloadResult, error) { return b.a.applyConfig(now, cfg, err), nil })
}

// applyConfig puts a new configuration in force, or says why not. What was
// wrong leaves the old one running, whole.
func (a *Agent) applyConfig(now time.Time, cfg *config.Config, err error) api.ReloadResult {
	res := api.ReloadResult{File: a.opt.File, At: now}
	rejected := func(why string) api.ReloadResult {
		a.reload = &api.Reload{At: now, Message: why}
		a.event(events.Event{Name: events.ConfigRejected, Message: why})
		return res
	}
	invalid := func(err error) api.ReloadResult {
		var ps config.Problems
		if errors.As(err, &ps) {
			res.Problems = problems(ps, "error")
		} else {
			res.Problems = append(res.Problems, api.Problem{Severity: "error", File: a.opt.File, Message: err.Error()})
		}
		return rejected(strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	if err != nil {
		return invalid(err)
	}
	diff := config.Diff(a.cfg, cfg)
	if len(diff.Restart) > 0 {
		// The file is right, and none of it comes into force: the changes say why.
		res.Changes = Changes(diff)
		return rejected("needs a restart of the agent: " + strings.Join(diff.Restart, "; "))
	}
	ks := a.keys
	if slices.ContainsFunc(diff.Live, func(line string) bool { return strings.HasPrefix(line, "auth.") }) {
		if ks, err = newKeys(cfg.Auth); err != nil {
			return invalid(err)
		}
	}
	if _, err := a.speaker.Reconfigure(cfg.BGP.Config); err != nil {
		return invalid(err)
	}
	moved := onLink(&a.cfg.BGP.Config) != onLink(&cfg.BGP.Config) ||
		a.cfg.BGP.NextHop4 != cfg.BGP.NextHop4 || a.cfg.BGP.NextHop6 != cfg.BGP.NextHop6
	a.cfg, a.keys, a.loaded = cfg, ks, now
	if a.egress != nil {
		a.egress.Configure(now, egressOptions(cfg, ks))
		a.runner.Set(a.instances())
		a.counters.keep(a.instances())
	}
	if moved {
		a.announceAgain()
	}
	if a.ingress != nil && a.ingress.Configure(now, ingressOptions(cfg, ks)) {
		a.hearAgain(now)
	}
	if a.opt.Reloaded != nil {
		a.opt.Reloaded(cfg)
	}
	res.OK = true
	res.Changes = Changes(diff)
	res.Problems = problems(cfg.Warnings, "warning")
	a.reload = &api.Reload{At: now, OK: true}
	e := events.Event{Name: events.ConfigReloaded, Message: fmt.Sprintf("%d changes", len(res.Changes))}
	if len(res.Changes) > 0 {
		e.Fields = events.Fields{{Key: "changes", Value: some(diff.Lines())}}
	}
	a.event(e)
	a.configWarnings()
	return res
}

// configWarnings tells what is questionable in the configuration in force.
func (a *Agent) configWarnings() {
	for _, w := range a.cfg.Warnings {
		a.event(events.Event{Name: events.ConfigWarning, Message: w.String()})
	}
}

// announceAgain hands all routes to BGP again, with another next hop.
func (a *Agent) announceAgain() {
	put := make([]bgp.Announcement, 0, len(a.intended))
	for _, in := range a.intended {
		put = append(put, a.announcement(in.route))
	}
	a.speaker.Put(put...)
}

// hearAgain judges what was heard before by the configuration in force.
func (a *Agent) hearAgain(now time.Time) {
	for _, in := range a.intended {
		a.echo(now, ingress.Announcement{Prefix: in.route.Prefix, Attribute: in.route.Attribute})
	}
	select {
	case a.again <- struct{}{}:
	default: // asked for already
	}
}

// redeliver has BGP deliver all routes once more whenever that is asked for.
// It walks whole tables, so it is not for the loop.
func (a *Agent) redeliver(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.again:
			a.speaker.Redeliver()
		}
	}
}

// Changes lists the differences between two configurations, the gravest first.
func Changes(c config.Changes) []api.Change {
	var out []api.Change
	for _, group := range []struct {
		effect string
		lines  []string
	}{{api.EffectRestart, c.Restart}, {api.EffectPeerReset, c.Peers}, {api.EffectLive, c.Live}} {
		for _, line := range group.lines {
			path, text, _ := strings.Cut(line, ": ")
			change := api.Change{Path: path, Effect: group.effect, New: text}
			if before, after, arrow := strings.Cut(text, " → "); arrow {
				change.Old, change.New = before, after
			}
			out = append(out, change)
		}
	}
	return out
}

func problems(ps config.Problems, severity string) (docs []api.Problem) {
	for _, p := range ps {
		docs = append(docs, api.Problem{Severity: severity, File: p.File, Line: p.Line, Column: p.Column, Path: p.Key, Message: p.Message, Hint: p.Hint})
	}
	return docs
}
