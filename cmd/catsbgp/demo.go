package main

import (
	"context"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/catsbgp/catsbgp/internal/api"
	"github.com/catsbgp/catsbgp/internal/demo"
	"github.com/catsbgp/catsbgp/internal/metrics"
)

func init() { register((*app).demoCommand) }

func (a *app) demoCommand() *cobra.Command {
	var opt demo.Options
	length, noUI := 60, false
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "See it work: a whole domain on this machine",
		Long: `Starts an ingress and three service sites on loopback addresses (127.0.1.x),
each a full agent with its own BGP speaker, and small HTTP services with real
requests. A site gets crowded, an instance flaps, a site is drained, an
instance dies. Needs no privilege, no router and no container; ends by itself.

In the end it says how every promise was kept: updates within budget, the
crowded site left in time, the flapping instance suppressed and reused, no BGP
session reset, nothing lost but what the dead instance had. Exit code 1 if one
was not, or if the demo was interrupted.

On a terminal it draws a screen; otherwise, or with --no-ui, it tells the story
line by line. With -o json that goes to stderr.`,
		Example: `  catsbgp demo
  catsbgp demo --seconds 20 --no-ui -o json`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			opt.Length = time.Duration(length) * time.Second
			if opt.Length < demo.MinLength || opt.Length > demo.MaxLength {
				return usagef("--seconds must be %.0f to %.0f, not %d", demo.MinLength.Seconds(), demo.MaxLength.Seconds(), length)
			}
			return a.demo(cmd.Context(), opt, noUI)
		},
	}
	f := cmd.Flags()
	f.IntVar(&length, "seconds", length, "how long the story takes, from 20 on")
	f.BoolVar(&noUI, "no-ui", false, "line by line also on a terminal")
	f.StringVar(&opt.Keep, "keep", "", "keep the agents' configurations and logs in this `directory`")
	return cmd
}

func (a *app) demo(ctx context.Context, opt demo.Options, noUI bool) error {
	opt.Out = a.stdout
	if a.output == "json" {
		opt.Out = a.stderr
	}
	opt.Color = a.colorful(opt.Out)
	if !noUI && isTerminal(opt.Out) && a.getenv("TERM") != "dumb" {
		opt.Screen = func() (int, int) { return terminalSize(opt.Out) }
	}
	if exe, err := os.Executable(); err == nil && strings.Contains(exe, string(os.PathSeparator)+"go-build") {
		opt.Program = "go run ./cmd/catsbgp"
	}
	b := buildOf()
	opt.Build = metrics.Build{Version: b.Version, Revision: b.Revision, GoVersion: b.GoVersion}
	report, err := demo.Run(ctx, opt)
	if err != nil {
		return err
	}
	if a.output == "json" {
		if err := writeJSON(a.stdout, api.NewDocument(demo.KindDemo, a.now(), report)); err != nil {
			return err
		}
	}
	if !report.OK {
		return told(exitFailure)
	}
	return nil
}

// terminalSize returns the size of the terminal that w is, or what terminals
// had before they had sizes.
func terminalSize(w io.Writer) (width, height int) {
	if f, ok := w.(*os.File); ok {
		if s, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil && s.Col > 0 && s.Row > 0 {
			return int(s.Col), int(s.Row)
		}
	}
	return 80, 24
}
