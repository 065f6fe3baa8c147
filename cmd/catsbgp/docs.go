package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/catsbgp/catsbgp/internal/events"
	"github.com/catsbgp/catsbgp/internal/metrics"
)

func (a *app) completionCommand() *cobra.Command {
	shells := []string{"bash", "zsh", "fish"}
	return &cobra.Command{
		Use:       "completion bash|zsh|fish",
		Short:     "Print a shell completion script",
		Example:   `  source <(catsbgp completion bash)`,
		ValidArgs: shells,
		Args:      args(cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs)),
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(a.stdout, true)
			case "zsh":
				return root.GenZshCompletion(a.stdout)
			}
			return root.GenFishCompletion(a.stdout, true)
		},
	}
}

func (a *app) docsCommand() *cobra.Command {
	docs := &cobra.Command{
		Use:   "docs",
		Short: "Write documentation made from the program itself",
		Args:  cobra.ArbitraryArgs,
		RunE:  needsCommand,
	}
	docs.AddCommand(
		&cobra.Command{
			Use:   "man DIR",
			Short: "Write the manual pages of all commands",
			Args:  args(cobra.ExactArgs(1)),
			RunE: func(cmd *cobra.Command, args []string) error {
				if err := os.MkdirAll(args[0], 0o755); err != nil {
					return fmt.Errorf("docs: %w", err)
				}
				root := cmd.Root()
				root.DisableAutoGenTag = true
				// The page must be the same wherever it is made.
				root.PersistentFlags().Lookup("socket").DefValue = defaultSocket
				// Without a date: two builds of one version are the same.
				header := &doc.GenManHeader{Title: "CATSBGP", Section: "8", Source: "catsbgp", Manual: "catsbgp"}
				if err := doc.GenManTree(root, header, args[0]); err != nil {
					return fmt.Errorf("docs: %w", err)
				}
				return nil
			},
		},
		&cobra.Command{
			Use:   "events",
			Short: "Print all event names as a Markdown table",
			Args:  args(cobra.NoArgs),
			RunE: func(*cobra.Command, []string) error {
				fmt.Fprint(a.stdout, "| Event | Level | Meaning |\n|---|---|---|\n")
				for _, d := range events.Names {
					fmt.Fprintf(a.stdout, "| `%s` | %s | %s |\n", d.Name, d.Level, d.Meaning)
				}
				return nil
			},
		},
		&cobra.Command{
			Use:   "metrics",
			Short: "Print all Prometheus series as a Markdown table",
			Args:  args(cobra.NoArgs),
			RunE: func(*cobra.Command, []string) error {
				fmt.Fprint(a.stdout, "| Series | Labels | Meaning |\n|---|---|---|\n")
				for _, d := range metrics.Series {
					fmt.Fprintf(a.stdout, "| `%s` | %s | %s |\n", d.Name, strings.Join(d.Labels, ", "), d.Help)
				}
				return nil
			},
		},
	)
	return docs
}
