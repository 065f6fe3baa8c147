package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/catsbgp/catsbgp/internal/api"
)

// Where things are unless somebody says otherwise.
const (
	defaultSocket = "/run/catsbgp/catsbgp.sock"
	defaultConfig = "/etc/catsbgp/catsbgp.toml"
)

// An app is one run of the program: its surroundings and its global flags.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
	now            func() time.Time

	socket, url, tokenFile string
	timeout                time.Duration
	output                 string // table, wide, json
	color                  string // auto, always, never
}

func newApp(stdin io.Reader, stdout, stderr io.Writer) *app {
	return &app{stdin: stdin, stdout: stdout, stderr: stderr, getenv: os.Getenv, now: time.Now}
}

// registered are commands that live in files of their own and add themselves
// by register in an init function: run and demo.
var registered []func(*app) *cobra.Command

// register adds a command. It is called from init functions only.
func register(c func(*app) *cobra.Command) { registered = append(registered, c) }

// run runs one command and returns the exit code. Errors are told on stderr,
// as a document if the output is JSON.
func (a *app) run(ctx context.Context, args []string) int {
	root := a.root()
	root.SetArgs(args)
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	code := exitCode(err)
	a.complain(err, code, wantsJSON(args))
	return code
}

const longHelp = `catsbgp steers clients to the best instance of an anycast service.

At a service site the agent measures instances, decides what is worth saying
and announces it in BGP. At an ingress it hears all sites, measures the network
and splits new flows over the instances (RFC 10053).

Exit codes:
  0  ok
  1  failure
  2  usage: no such command, flag or argument
  3  the configuration is not valid
  4  the agent cannot be reached
  5  not found: no such service, instance, peer
  6  refused: it would do harm (see --force)
"catsbgp diff" and "catsbgp status --check" have codes of their own; their
help lists them.

Output: data goes to stdout, messages to stderr. With -o json, stdout holds
exactly one JSON document (schema ` + api.Schema + `) or nothing, and errors are a
document on stderr. Colour is used on a terminal only, and not if NO_COLOR is
set.

Environment:
  CATSBGP_SOCKET  the agent's Unix socket, instead of ` + defaultSocket + `
  NO_COLOR        no colour`

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "catsbgp",
		Short:         "Computing-aware traffic steering by BGP",
		Long:          longHelp,
		SilenceErrors: true, SilenceUsage: true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		Args:              cobra.ArbitraryArgs, // so that RunE can say what was meant
		RunE:              needsCommand,
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%v; see %s --help", err, cmd.CommandPath())
	})
	f := root.PersistentFlags()
	socket := a.getenv("CATSBGP_SOCKET")
	if socket == "" {
		socket = defaultSocket
	}
	f.StringVar(&a.socket, "socket", socket, "the agent's Unix socket")
	f.StringVar(&a.url, "url", "", "the agent's loopback address instead, such as http://127.0.0.1:9477")
	f.StringVar(&a.tokenFile, "token-file", "", "file with the bearer token for changes by --url")
	f.DurationVar(&a.timeout, "timeout", 10*time.Second, "how long to wait for the agent")
	f.StringVarP(&a.output, "output", "o", "table", "table, wide or json")
	f.StringVar(&a.color, "color", "auto", "auto, always or never")
	root.PersistentPreRunE = func(*cobra.Command, []string) error { return a.checkFlags() }
	choice(root, "output", "table", "wide", "json")
	choice(root, "color", "auto", "always", "never")

	root.AddCommand(
		a.checkCommand(), a.diffCommand(), a.reloadCommand(),
		a.statusCommand(), a.showCommand(), a.explainCommand(),
		a.drainCommand(), a.undrainCommand(), a.withdrawCommand(),
		a.probeCommand(), a.decodeCommand(),
		a.completionCommand(), a.versionCommand(), a.docsCommand(),
	)
	for _, c := range registered {
		root.AddCommand(c(a))
	}
	return root
}

func choice(cmd *cobra.Command, flag string, values ...string) {
	err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	if err != nil {
		panic("BUG: " + err.Error())
	}
}

func (a *app) checkFlags() error {
	if !slices.Contains([]string{"table", "wide", "json"}, a.output) {
		return usagef("output %q is none of table, wide, json", a.output)
	}
	if !slices.Contains([]string{"auto", "always", "never"}, a.color) {
		return usagef("color %q is none of auto, always, never", a.color)
	}
	if a.timeout <= 0 {
		return usagef("timeout %v is not positive", a.timeout)
	}
	return nil
}

// needsCommand is the RunE of a command that only holds others. Without an
// argument it shows its help, but as an error: nothing was done.
func needsCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		cmd.SetOut(cmd.ErrOrStderr())
		if err := cmd.Help(); err != nil {
			return err
		}
		return usagef("a command is missing")
	}
	msg := fmt.Sprintf("%s has no command %q", cmd.CommandPath(), args[0])
	cmd.SuggestionsMinimumDistance = 2
	if s := cmd.SuggestionsFor(args[0]); len(s) > 0 {
		msg += "; did you mean " + strings.Join(s, " or ") + "?"
	}
	return usagef("%s", msg)
}

// args turns complaints about the number of arguments into usage errors.
func args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usagef("%v; usage: %s", err, cmd.UseLine())
		}
		return nil
	}
}

// client returns a client of the agent that the flags name.
func (a *app) client() (*api.Client, error) {
	where := a.socket
	if a.url != "" {
		if !strings.HasPrefix(a.url, "http://") && !strings.HasPrefix(a.url, "https://") {
			return nil, usagef("url %q does not begin with http://", a.url)
		}
		where = a.url
	}
	token := ""
	if a.tokenFile != "" {
		var err error
		if token, err = api.TokenFile(a.tokenFile)(); err != nil {
			return nil, err
		}
	}
	c, err := api.NewClient(where, token, a.timeout)
	if err != nil {
		return nil, usagef("%v", err)
	}
	return c, nil
}

// colorful reports whether to colour what goes to w.
func (a *app) colorful(w io.Writer) bool {
	switch a.color {
	case "always":
		return true
	case "never":
		return false
	}
	return a.getenv("NO_COLOR") == "" && a.getenv("TERM") != "dumb" && isTerminal(w)
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
