package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/catsbgp/catsbgp/internal/agent"
	"github.com/catsbgp/catsbgp/internal/api"
	"github.com/catsbgp/catsbgp/internal/config"
)

func (a *app) checkCommand() *cobra.Command {
	var file string
	var quiet bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check a configuration file",
		Long: `Checks a configuration file, and the files it names, without asking the agent.
All problems are shown, each with its place and a hint.

Exit code 0 if the file can be used (warnings allowed), 3 if not.`,
		Example: `  catsbgp check -c catsbgp.toml
  catsbgp check -q                 # for ExecStartPre: silent if all is well`,
		Args: args(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			cfg, err := config.Load(file)
			var problems config.Problems
			if err != nil && !errors.As(err, &problems) {
				return err
			}
			code := exitOK
			if err != nil {
				code = exitConfig
			} else {
				problems = cfg.Warnings
			}
			if a.output == "json" {
				doc := api.NewDocument(api.KindProblem, a.now(), apiProblems(problems)...)
				if err := writeJSON(a.stdout, doc); err != nil {
					return err
				}
				return exitWith(code)
			}
			if quiet && code == exitOK {
				return nil
			}
			if len(problems) > 0 {
				if err := problems.Render(a.stderr, a.colorful(a.stderr)); err != nil {
					return err
				}
				fmt.Fprintln(a.stderr)
			}
			if code != exitOK {
				fmt.Fprintf(a.stderr, "%s: %s\n", file, tally(problems))
				return exitWith(code)
			}
			fmt.Fprintf(a.stdout, "%s: %s\n", file, join("ok", tally(problems)))
			return nil
		},
	}
	cmd.Flags().StringVarP(&file, "config", "c", defaultConfig, "the file")
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "say nothing if the file can be used")
	return cmd
}

func exitWith(code int) error {
	if code == exitOK {
		return nil
	}
	return told(code)
}

// tally is "2 errors, 1 warning".
func tally(problems config.Problems) string {
	var errs, warnings int
	for _, p := range problems {
		if p.Severity == config.Warning {
			warnings++
		} else {
			errs++
		}
	}
	var parts []string
	if errs > 0 {
		parts = append(parts, plural(errs, "error"))
	}
	if warnings > 0 {
		parts = append(parts, plural(warnings, "warning"))
	}
	return strings.Join(parts, ", ")
}

func apiProblems(problems config.Problems) []api.Problem {
	var out []api.Problem
	for _, p := range problems {
		out = append(out, api.Problem{
			Severity: string(p.Severity), File: p.File, Line: p.Line, Column: p.Column, Path: p.Key, Message: p.Message, Hint: p.Hint,
		})
	}
	return out
}

func (a *app) diffCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "diff NEW",
		Short: "What would change if a file were loaded",
		Long: `Compares the configuration file with a new one and says what a reload would do:
what takes effect at once, which BGP sessions are reset, what needs a restart
of the agent. Nothing is changed, and the agent is not asked.

Exit codes, as of diff(1):
  0  the same
  1  they differ
  2  usage
  3  one of the files is not valid`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			before, err := a.load(file)
			if err != nil {
				return err
			}
			after, err := a.load(args[0])
			if err != nil {
				return err
			}
			changes := agent.Changes(config.Diff(before, after))
			if a.output == "json" {
				if err := writeJSON(a.stdout, api.NewDocument(api.KindChange, a.now(), changes...)); err != nil {
					return err
				}
			} else {
				a.writeChanges(changes)
			}
			if len(changes) > 0 {
				return told(exitFailure)
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&file, "config", "c", defaultConfig, "the present file")
	return cmd
}

// load loads a file; problems are told at once, in full.
func (a *app) load(file string) (*config.Config, error) {
	cfg, err := config.Load(file)
	var problems config.Problems
	if errors.As(err, &problems) {
		if a.output == "json" {
			return nil, err
		}
		if err := problems.Render(a.stderr, a.colorful(a.stderr)); err != nil {
			return nil, err
		}
		return nil, &exitError{exitConfig, fmt.Errorf("%s: %s", file, tally(problems))}
	}
	if err != nil {
		return nil, &exitError{exitConfig, err}
	}
	return cfg, nil
}

func (a *app) writeChanges(changes []api.Change) {
	color := a.colorful(a.stdout)
	titles := []struct{ effect, title string }{
		{api.EffectRestart, "needs a restart of the agent"},
		{api.EffectPeerReset, "resets BGP sessions"},
		{api.EffectLive, "takes effect at once"},
	}
	for _, t := range titles {
		var lines []string
		for _, ch := range changes {
			if ch.Effect != t.effect {
				continue
			}
			text := ch.New
			switch {
			case ch.Old != "" && ch.New != "":
				text = ch.Old + " → " + ch.New
			case ch.Old != "":
				text = "removed (was " + ch.Old + ")"
			}
			lines = append(lines, "  "+ch.Path+": "+text)
		}
		if len(lines) == 0 {
			continue
		}
		fmt.Fprintf(a.stdout, "%s\n", paint(t.title, bold, color))
		for _, l := range lines {
			fmt.Fprintln(a.stdout, printable(l))
		}
	}
	if len(changes) == 0 {
		fmt.Fprintln(a.stdout, "no changes")
	}
}

func (a *app) reloadCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "reload",
		Short: "Have the agent read its configuration again",
		Long: `Has the agent read its configuration file again, as SIGHUP does, and shows what
changed. A file that is not valid changes nothing (exit code 3); a change that
needs a restart is refused as a whole (exit code 6).`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cl, err := a.client()
			if err != nil {
				return err
			}
			defer cl.Close()
			doc, err := cl.Reload(cmd.Context())
			if err != nil {
				return err
			}
			if len(doc.Items) != 1 {
				return fmt.Errorf("the agent sent %d results", len(doc.Items))
			}
			r := doc.Items[0]
			if a.output == "json" {
				if err := writeJSON(a.stdout, doc); err != nil {
					return err
				}
			} else {
				a.writeReload(r)
			}
			if r.OK {
				return nil
			}
			return told(reloadCode(r))
		},
	}
}

// reloadCode tells a file that is not valid from one that only a restart can
// bring into force.
func reloadCode(r api.ReloadResult) int {
	for _, p := range r.Problems {
		if p.Severity != string(config.Warning) {
			return exitConfig
		}
	}
	return exitRefused
}

func (a *app) writeReload(r api.ReloadResult) {
	for _, p := range r.Problems {
		text := fmt.Sprintf("%s: %s:%d:%d: ", p.Severity, p.File, p.Line, p.Column)
		if p.Path != "" {
			text += p.Path + ": "
		}
		text += p.Message
		if p.Hint != "" {
			text += " (" + p.Hint + ")"
		}
		fmt.Fprintln(a.stderr, printable(text))
	}
	if !r.OK {
		fmt.Fprintf(a.stderr, "%s was not accepted, the configuration of before stays in force\n", printable(r.File))
	} else {
		fmt.Fprintf(a.stdout, "%s is in force\n", printable(r.File))
	}
	if r.OK || len(r.Changes) > 0 {
		a.writeChanges(r.Changes)
	}
}
