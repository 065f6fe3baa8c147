package demo

import (
	"io/fs"
	"testing"

	"github.com/catsbgp/catsbgp/internal/config"
)

// The configurations are what any agent would accept, at every length, and say
// what the plan says.
func TestConfigurations(t *testing.T) {
	for _, length := range []int{20, 33, 60, 600} {
		p := plan(t, length)
		for site := -1; site < len(p.Sites); site++ {
			at := ports{BGP: 1790, STAMP: 1862, Reflect: 2862, Web: 8080, Serve: 8180}
			cfg, err := config.Parse("demo.toml", []byte(configText(p, at, site, "/tmp/x.sock")), func(string) ([]byte, fs.FileMode, error) {
				return nil, 0, fs.ErrNotExist
			})
			if err != nil {
				t.Fatalf("%d s, site %d: %v", length, site, err)
			}
			for _, w := range cfg.Warnings {
				t.Errorf("%d s, site %d: %v", length, site, w)
			}
			if cfg.Agent.StateDir != "" || cfg.API.SocketMode != 0o600 {
				t.Error("a demo keeps no state, and its socket is its user's")
			}
			if site < 0 {
				if !cfg.Agent.Ingress || cfg.Agent.Egress || len(cfg.BGP.Peers) != 3 || cfg.Selection.Tick != p.Tick {
					t.Errorf("gate: %+v", cfg.Agent)
				}
				continue
			}
			d := cfg.Dampening
			if d.BucketPerMinute != p.BucketPerMinute || d.BucketBurst != p.BucketBurst || d.Smoothing != p.Smoothing || d.MinInterval != p.MinInterval ||
				d.PresenceHalfLife != p.HalfLife || d.PresenceSuppress != p.Suppress || d.PresenceReuse != p.Reuse || d.High != p.High || d.Delta != p.Delta {
				t.Errorf("dampening differs from the plan: %+v", d)
			}
			if n := len(cfg.Services[0].Instances); n != 2 {
				t.Errorf("%d instances", n)
			}
		}
	}
}

func TestPlanLimits(t *testing.T) {
	for _, length := range []int{0, 19, 601} {
		if _, err := NewPlan(seconds1(length)); err == nil {
			t.Errorf("%d s is accepted", length)
		}
	}
	long, short := plan(t, 600), plan(t, 20)
	if long.BucketPerMinute != 12 || long.MinInterval.Seconds() != 1 || long.Smoothing.Seconds() != 2 {
		t.Errorf("from a minute on, the defaults of the domain profile apply: %+v", long)
	}
	if short.Promise() >= short.Duration(Busy) {
		t.Errorf("madrid is busy for %v, less than the promise of %v", short.Duration(Busy), short.Promise())
	}
}
