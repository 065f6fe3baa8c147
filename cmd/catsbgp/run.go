package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/catsbgp/catsbgp/internal/agent"
	"github.com/catsbgp/catsbgp/internal/api"
	"github.com/catsbgp/catsbgp/internal/config"
	"github.com/catsbgp/catsbgp/internal/metrics"
)

func init() { register((*app).runCommand) }

func (a *app) runCommand() *cobra.Command {
	file := defaultConfig
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the agent",
		Long: `Run the agent in the foreground until SIGINT or SIGTERM.

SIGHUP reads the configuration again, as "catsbgp reload" does. A file that is
not valid is refused and the old configuration stays in force; BGP sessions
that the new file does not change stay up.

Logs go to stderr: JSON, or for people on a terminal (log.format). Under
systemd (Type=notify) readiness, reloads and the watchdog are told.`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runAgent(cmd.Context(), file) },
	}
	cmd.Flags().StringVarP(&file, "config", "c", file, "configuration file")
	return cmd
}

func (a *app) runAgent(ctx context.Context, file string) error {
	cfg, err := a.load(file)
	if err != nil {
		return err
	}
	log := newLog(a.stderr, cfg.Log, a.colorful(a.stderr))
	b := buildOf()
	ag, err := agent.New(cfg, agent.Options{
		Log: log, Build: metrics.Build{Version: b.Version, Revision: b.Revision, GoVersion: b.GoVersion},
		File: file, Load: func() (*config.Config, error) { return config.Load(file) },
		Reloaded: func(cfg *config.Config) { zerolog.SetGlobalLevel(level(cfg.Log)) },
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	supervised := make(chan struct{})
	go func() {
		defer close(supervised)
		supervise(ctx, ag)
	}()
	err = ag.Run(ctx)
	cancel()
	<-supervised
	return err
}

// supervise tells systemd how the agent does, and reloads on SIGHUP.
func supervise(ctx context.Context, ag *agent.Agent) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	defer notify(daemon.SdNotifyStopping)

	select {
	case <-ag.Ready():
		notify(daemon.SdNotifyReady)
	case <-ctx.Done():
		return
	}
	watchdog := make(<-chan time.Time)
	if every, err := daemon.SdWatchdogEnabled(false); err == nil && every > 0 {
		t := time.NewTicker(every / 2)
		defer t.Stop()
		watchdog = t.C
	}
	backend := ag.Backend()
	for {
		select {
		case <-ctx.Done():
			return
		case <-hup:
			notify(fmt.Sprintf("%s\nMONOTONIC_USEC=%d", daemon.SdNotifyReloading, monotonic()))
			reload(ctx, backend)
			notify(daemon.SdNotifyReady)
		case <-watchdog:
			if backend.Live() {
				notify(daemon.SdNotifyWatchdog)
			}
		}
	}
}

// reload has a limit, so that a stuck agent does not keep SIGHUP from being
// noticed again. What came of it is an event, and in the log.
func reload(ctx context.Context, b api.Backend) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	_, _ = b.Reload(ctx)
}

// notify tells systemd; without it this does nothing.
func notify(state string) { _, _ = daemon.SdNotify(false, state) }

// monotonic is CLOCK_MONOTONIC in µs, which systemd wants with RELOADING=1.
func monotonic() int64 {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) != nil {
		return 0
	}
	return ts.Nano() / 1000
}

// newLog returns the log that the configuration asks for. Its level is the
// global one, so that a reload can change it.
func newLog(w io.Writer, cfg config.Log, color bool) zerolog.Logger {
	zerolog.TimeFieldFormat = time.RFC3339Nano
	zerolog.SetGlobalLevel(level(cfg))
	if cfg.Format == "console" || cfg.Format == "auto" && isTerminal(w) {
		w = zerolog.ConsoleWriter{Out: w, TimeFormat: time.TimeOnly, NoColor: !color}
	}
	return zerolog.New(w).With().Timestamp().Logger()
}

// level is the level of a configuration, which knows no others.
func level(cfg config.Log) zerolog.Level {
	l, err := zerolog.ParseLevel(cfg.Level)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return l
}
