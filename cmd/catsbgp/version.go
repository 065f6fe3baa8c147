package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/catsbgp/catsbgp/internal/api"
)

// A build is what is known of how the program was made.
type build struct {
	Version   string `json:"version"`
	Revision  string `json:"revision,omitempty"`
	Time      string `json:"time,omitempty"`
	Modified  bool   `json:"modified"`
	GoVersion string `json:"go_version"`
	Platform  string `json:"platform"`
}

// version is set by release builds: -ldflags "-X main.version=v0.1.0". Others
// go by what the Go tool recorded.
var version string

// buildOf reads the record of the Go tool.
func buildOf() build {
	b := build{Version: version, GoVersion: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if ok {
		if b.Version == "" {
			b.Version = info.Main.Version
		}
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				b.Revision = s.Value
			case "vcs.time":
				b.Time = s.Value
			case "vcs.modified":
				b.Modified = s.Value == "true"
			}
		}
	}
	if b.Version == "" {
		b.Version = "(devel)"
	}
	return b
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Show the version of this program",
		Args:  args(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			b := buildOf()
			if a.output == "json" {
				return writeJSON(a.stdout, api.NewDocument(api.KindVersion, a.now(), b))
			}
			fmt.Fprintf(a.stdout, "catsbgp %s\n", b.Version)
			if b.Revision != "" {
				dirty := ""
				if b.Modified {
					dirty = ", modified"
				}
				fmt.Fprintf(a.stdout, "revision %s of %s%s\n", b.Revision, b.Time, dirty)
			}
			fmt.Fprintf(a.stdout, "%s %s\n", b.GoVersion, b.Platform)
			return nil
		},
	}
}
