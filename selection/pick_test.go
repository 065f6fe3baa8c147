package selection

import (
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

func splitOf(draws int, targets ...Target) *Split { return &Split{Draws: draws, Targets: targets} }

func TestPick(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	count := func(sp *Split, open ...int32) []float64 {
		k := NewPicker(sp)
		n := make([]float64, len(sp.Targets))
		const picks = 200_000
		for range picks {
			n[k.PickCounts(rng, open)] += 1.0 / picks
		}
		return n
	}
	want := func(what string, got []float64, want ...float64) {
		t.Helper()
		for i := range want {
			if math.Abs(got[i]-want[i]) > 0.005 {
				t.Errorf("%s: picked %.3f, want %.3f", what, got, want)
				return
			}
		}
	}
	a, b, c := Target{Share: 0.5, Capacity: 1}, Target{Share: 0.3, Capacity: 1}, Target{Share: 0.2, Capacity: 2}
	want("one draw: the shares", count(splitOf(1, a, b, c), 9, 0, 0), 0.5, 0.3, 0.2)
	want("two draws, nothing open: the first drawn, so the shares", count(splitOf(2, a, b, c), 0, 0, 0), 0.5, 0.3, 0.2)
	want("three draws, a has more open than its share: only if all three draw it", count(splitOf(3, a, b, c), 9, 0, 0),
		0.125, 0.875*0.6, 0.875*0.4)
	want("open flows count per share: 5, 3, 2 are alike", count(splitOf(3, a, b, c), 5, 3, 2), 0.5, 0.3, 0.2)

	a.Quota, b.Quota, c.Quota = 4, 4, 4
	want("a at its quota: whoever draws it draws four more by capacity, 1:1:2", count(splitOf(1, a, b, c), 4, 0, 0),
		0.5*math.Pow(0.25, 4), 0.3+0.5*(1-math.Pow(0.25, 4))/3, 0.2+0.5*(1-math.Pow(0.25, 4))*2/3)
	want("all at their quota: the least over it", count(splitOf(1, a, b, c), 40, 40, 4), 0.5/16, 0.3/16, 1-0.8/16)
	d := Target{Share: 0, Capacity: 4, Quota: 4}
	want("without a share, only what is spilled", count(splitOf(1, a, d), 0, 0), 1, 0)
	if n := count(splitOf(1, a, d), 4, 0); n[1] < 0.99 {
		t.Errorf("spilled to d: %v", n)
	}

	if i := NewPicker(splitOf(3)).PickCounts(rng, nil); i != -1 {
		t.Errorf("picked %d of nothing", i)
	}
	if i := NewPicker(splitOf(3)).Pick(rng, nil); i != -1 {
		t.Errorf("picked %d of nothing", i)
	}
	if i := NewPicker(splitOf(3, a, b)).PickCounts(rng, []int32{9}); i < 0 {
		t.Errorf("counts that lack a target: picked %d", i)
	}
}

func TestPickFormsAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sp := splitOf(rapid.IntRange(1, maxDraws).Draw(t, "draws"))
		n := rapid.IntRange(1, 30).Draw(t, "n")
		open := make([]int32, n)
		for i := range n {
			sp.Targets = append(sp.Targets, Target{
				Share: rapid.Float64Range(0, 1).Draw(t, "share"), Capacity: rapid.Float64Range(1, 100).Draw(t, "capacity"),
				Quota: rapid.Float64Range(1, 20).Draw(t, "quota"),
			})
			open[i] = rapid.Int32Range(0, 30).Draw(t, "open")
		}
		k := NewPicker(sp)
		a, b := rand.New(rand.NewPCG(1, 2)), rand.New(rand.NewPCG(1, 2))
		for range 50 {
			x, y := k.PickCounts(a, open), k.Pick(b, func(t int) int { return int(open[t]) })
			if x != y {
				t.Fatalf("picked %d from counts, %d by func", x, y)
			}
		}
	})
}

func TestLotteryIsFair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weights := rapid.SliceOfN(rapid.SampledFrom([]float64{0, 0, 1e-6, 0.1, 0.5, 1, 3, 1000}), 1, 40).Draw(t, "weights")
		l := newLottery(weights)
		// Every ticket's halves, without drawing.
		chance := make([]float64, len(weights))
		for i, tk := range l {
			keep := float64(tk.keep) / (1 << 32)
			chance[i] += keep / float64(len(l))
			chance[tk.other] += (1 - keep) / float64(len(l))
		}
		sum := 0.0
		for _, w := range weights {
			sum += w
		}
		for i, w := range weights {
			want := 1 / float64(len(weights))
			if sum > 0 {
				want = w / sum
			}
			if math.Abs(chance[i]-want) > 1e-8 || w == 0 && sum > 0 && chance[i] != 0 {
				t.Fatalf("%d of %v wins with %v, want %v", i, weights, chance[i], want)
			}
		}
	})
}

func TestPickDoesNotAllocate(t *testing.T) {
	s, _, now := benchService(1, 24, NewCurves())
	k := NewPicker(s.Decide(now))
	rng := rand.New(rand.NewPCG(1, 2))
	open := make([]int32, 24)
	if n := testing.AllocsPerRun(100, func() { k.PickCounts(rng, open) }); n != 0 {
		t.Errorf("%v allocations per pick", n)
	}
}
