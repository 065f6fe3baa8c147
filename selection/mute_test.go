package selection

import (
	"math"
	"testing"

	"github.com/catsbgp/catsbgp/advert"
)

// Where instances are known but say nothing of their load, they are what a
// flow is sent to, not the site as a whole beside them.
func TestInstancesWithoutLoadStandForTheirSite(t *testing.T) {
	sc := newScene(t, Default())
	sc.rtt("a", 5*ms)
	sc.hear("a", math.NaN(), func(c *Candidate) { c.Level, c.Key.ID = LevelSite, advert.CSCIID{} })
	sc.hear("a1", math.NaN())
	sc.hear("a2", math.NaN())
	sp := sc.decide()
	if sp.Rung != RungMeasured || len(sp.Targets) != 2 {
		t.Fatalf("rung %s, targets %+v", sp.Rung, sp.Targets)
	}
	for _, tg := range sp.Targets {
		if tg.Level != LevelInstance || tg.Share != 0.5 {
			t.Errorf("%s has %.2f", tg.Key, tg.Share)
		}
	}
}
