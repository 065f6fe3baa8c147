package ingress

import (
	"testing"
	"time"

	"github.com/catsbgp/catsbgp/advert"
)

// Clocks that are wrong. A site refreshes every 30 s; validity is 90 s.

// A liveSite says its instance every 30 s, by its own clock.
type liveSite struct {
	*scene
	seq   uint32
	clock time.Duration // its clock ahead of ours
	lost  time.Duration // for how long its instance had no fresh metrics
}

func (l *liveSite) refresh(n int) {
	for range n {
		l.seq++
		l.says("r1", say{site: siteA, id: instA, seq: l.seq, load: 0.3, at: l.now.Add(l.clock)})
		for range 30 {
			l.pass(time.Second)
			if l.targets() != instA+"@"+siteA {
				l.lost += time.Second
			}
		}
	}
}

func (l *liveSite) wantLost(why string, most time.Duration) {
	l.t.Helper()
	if l.lost > most {
		l.t.Errorf("%s: lost for %s, want at most %s", why, l.lost, most)
	}
	l.lost = 0
}

func TestClocksThatDisagree(t *testing.T) {
	const hour, refresh = time.Hour, 30 * time.Second
	for _, tt := range []struct {
		name  string
		first time.Duration // the site's clock ahead of ours when the ingress starts
		then  time.Duration // and after a while
		jump  time.Duration // of our own clock, as the core gets to see it
		start time.Duration // most that may be lost at the start
		lost  time.Duration // and after the change
		note  string
	}{
		{name: "in step"},
		{name: "a little behind", first: -20 * time.Second},
		{name: "nearly a validity behind", first: -80 * time.Second, start: refresh},
		{name: "nearly a validity ahead", first: 80 * time.Second},
		{name: "an hour behind from the start", first: -hour, start: refresh, then: -hour, note: "1h0m0s behind"},
		{name: "an hour ahead from the start", first: hour, then: hour, note: "1h0m0s ahead"},
		{name: "set back by an hour", then: -hour, note: "1h0m0s behind"},
		{name: "set forward by an hour", then: hour, note: "1h0m0s ahead"},
		{name: "put right, from behind", first: -hour, start: refresh, note: "agrees with ours again"},
		{name: "put right, from ahead", first: hour, note: "agrees with ours again"},
		// With monotonic readings in its times, the core only sees that of our
		// clock which it compares with the sites': as if all of theirs were set.
		// Without, all that it knows grows an hour old, until it is said again.
		{name: "ours is set forward by an hour", jump: hour, then: -hour, lost: refresh, note: "1h0m0s behind, or ours ahead"},
		{name: "ours is set back by an hour", jump: -hour, then: hour, note: "1h0m0s ahead, or ours behind"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := &liveSite{scene: newScene(t), clock: tt.first}
			l.refresh(10)
			l.wantLost("at the start", tt.start)
			l.pass(15 * time.Second)
			l.now = l.now.Add(tt.jump)
			l.clock = tt.then
			for range 15 {
				l.pass(time.Second)
				if l.targets() != instA+"@"+siteA {
					l.lost += time.Second
				}
			}
			l.refresh(10)
			l.wantLost("after the change", tt.lost)
			if tt.note != "" {
				l.wantNote("an operator hears of it", "agent.warning", " a ", tt.note)
			}
		})
	}
}

func TestAWrongClockIsToldOnce(t *testing.T) {
	l := &liveSite{scene: newScene(t), clock: time.Hour}
	l.refresh(1)
	l.wantNote("told", "ahead")
	l.refresh(20)
	l.wantQuiet("not again")
	if skew := l.c.Sites(l.now)[0].ClockSkew; (skew + time.Hour).Abs() > 2*time.Second {
		t.Errorf("skew %s, want about an hour ahead", skew)
	}
}

func TestAnotherInstanceOfASiteWithAWrongClock(t *testing.T) {
	l := &liveSite{scene: newScene(t), clock: -time.Hour}
	l.refresh(3)
	l.says("r1", say{site: siteA, id: instB, seq: 1, load: 0.2, at: l.now.Add(l.clock)})
	l.want("what was found out about the clock holds for it as well", instA+"@"+siteA+", "+instB+"@"+siteA)
	l.says("r2", say{site: siteB, id: instB, seq: 1, load: 0.2, at: l.now.Add(l.clock)})
	l.want("but not for another site", instA+"@"+siteA+", "+instB+"@"+siteA+", ("+instB+"@"+siteB+" stale)")
}

func TestOldStatementsAreNotTakenForAWrongClock(t *testing.T) {
	old := func(s *scene, seq uint32, age time.Duration) {
		s.says("r1", say{site: siteA, id: instA, seq: seq, load: 0.3, at: s.now.Add(-age)})
	}
	t.Run("all at once", func(t *testing.T) {
		t.Log("# some router was stuck, and now sends what it had: an hour old, and a little less")
		s := newScene(t)
		for i := range uint32(10) {
			old(s, i+1, time.Hour-time.Duration(i)*30*time.Second)
		}
		s.want("stale, all of them", "("+instA+"@"+siteA+" stale)")
		old(s, 11, 0)
		s.want("until a fresh one comes", instA+"@"+siteA)
		s.c.Step(s.now)
		for _, n := range s.notes {
			if n.Name == "agent.warning" {
				t.Errorf("blames a clock: %s", n.Text)
			}
		}
	})
	t.Run("late, of a site that was fresh", func(t *testing.T) {
		s := newScene(t)
		old(s, 1, 0)
		s.pass(3 * time.Minute)
		s.want("silent for three minutes", "("+instA+"@"+siteA+" stale)")
		old(s, 2, 150*time.Second)
		s.want("what was said half a minute after is old", instA+"@"+siteA+" aged")
	})
	t.Run("one, again and again", func(t *testing.T) {
		s := newScene(t)
		value := encode(t, s.attribute(say{site: siteA, id: instA, seq: 5, at: s.now.Add(-time.Hour)}), instA+"/32", nil)
		for range 5 {
			s.hear("r1", instA+"/32", value)
			s.want("stale", "("+instA+"@"+siteA+" stale)")
			s.pass(30 * time.Second)
		}
	})
}

func TestTicksGoOnWhenTheClockIsSetBack(t *testing.T) {
	s := newScene(t)
	s.says("r1", say{site: siteA, id: instA, seq: 1})
	s.pass(10 * time.Second)
	s.now = s.now.Add(-time.Hour)
	if next := s.step(); next.Sub(s.now) > 3*time.Second {
		t.Errorf("wants to be called in %s", next.Sub(s.now))
	}
}

func TestUptime(t *testing.T) {
	var c Core
	at := func(d time.Duration) uptime { c.tick(epoch.Add(d)); return c.up }
	for _, step := range []struct {
		at, want time.Duration
		why      string
	}{
		{0, 0, "starts"},
		{time.Second, time.Second, "runs"},
		{time.Hour, time.Second, "a jump does not count"},
		{time.Hour + time.Second, 2 * time.Second, "runs on from there"},
		{time.Second, 2 * time.Second, "nor does one back"},
		{2 * time.Second, 3 * time.Second, "runs on from there"},
	} {
		if got := at(step.at); got != step.want {
			t.Errorf("%s: %s, want %s", step.why, got, step.want)
		}
	}
}

func TestGraveyardIsBounded(t *testing.T) {
	var g graveyard
	e := &entry{service: &service{id: webID}, egress: &egress{}}
	for i := range graveCount + 100 {
		e.id = advert.InstanceNumber(uint32(i))
		g.bury(0, e)
	}
	if len(g.graves) != graveCount || len(g.order) != graveCount {
		t.Errorf("%d graves, %d burials, want %d", len(g.graves), len(g.order), graveCount)
	}
	e.id = advert.InstanceNumber(99)
	if _, ok := g.last(0, e); ok {
		t.Error("the oldest is not forgotten")
	}
	e.id = advert.InstanceNumber(100)
	if _, ok := g.last(0, e); !ok {
		t.Error("one too many is forgotten")
	}
	t.Log("# buried again, it lasts as long as the last burial")
	g.bury(time.Minute, e)
	g.sweep(sequenceTime(0))
	if _, ok := g.last(sequenceTime(0), e); !ok || len(g.graves) != 1 {
		t.Errorf("%d graves left, want the younger one", len(g.graves))
	}
	if _, ok := g.last(sequenceTime(0)+time.Minute, e); ok {
		t.Error("remembered for too long")
	}
	g.sweep(sequenceTime(0) + time.Minute)
	if len(g.graves) != 0 || g.order != nil {
		t.Errorf("%d graves left, want none", len(g.graves))
	}
}
