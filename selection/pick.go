package selection

import (
	"math"
	"math/rand/v2"
)

const (
	maxDraws   = 8
	spillDraws = 4 // by capacity, when the target drawn has its quota
)

// A Picker chooses a target for each new flow of a split: of a few draws by
// share the one with the least open flows per share, and if that has its quota,
// of four more draws by capacity the one with the least open flows per quota.
// It is the reference for what a data plane does. Immutable and safe for
// concurrent use; picking does not allocate.
type Picker struct {
	shares   lottery
	room     lottery
	perShare []float64 // 1/share
	quota    []float64
	draws    int
	spills   bool
}

// NewPicker prepares the picks of a split.
func NewPicker(sp *Split) *Picker {
	n := len(sp.Targets)
	weights := make([]float64, 2*n)
	shares, room := weights[:n], weights[n:]
	k := &Picker{perShare: make([]float64, n), quota: make([]float64, n), draws: min(max(sp.Draws, 1), maxDraws)}
	for i := range sp.Targets {
		t := &sp.Targets[i]
		shares[i], room[i] = t.Share, t.Capacity
		k.perShare[i] = 1 / max(t.Share, math.SmallestNonzeroFloat32)
		k.quota[i] = t.Quota
		k.spills = k.spills || t.Quota > 0
	}
	k.shares = newLottery(shares)
	if k.spills {
		k.room = newLottery(room)
	}
	return k
}

// Pick returns the index of a target in Split.Targets; -1 if there is none.
// open returns the open flows of this ingress to a target.
func (k *Picker) Pick(rng *rand.Rand, open func(target int) int) int {
	if len(k.shares) == 0 {
		return -1
	}
	bits := rng.Uint64()
	best := k.shares.draw(uint32(bits))
	flows := float64(open(best))
	if k.draws > 1 {
		least := flows * k.perShare[best]
		for i := 1; i < k.draws; i++ {
			if bits >>= 32; i&1 == 0 {
				bits = rng.Uint64()
			}
			t := k.shares.draw(uint32(bits))
			if t == best {
				continue
			}
			n := float64(open(t))
			if load := n * k.perShare[t]; load < least {
				best, flows, least = t, n, load
			}
		}
	}
	if !k.spills || flows < k.quota[best] {
		return best
	}
	least := flows / k.quota[best]
	for i := range spillDraws {
		if bits >>= 32; i&1 == 0 {
			bits = rng.Uint64()
		}
		t := k.room.draw(uint32(bits))
		if load := float64(open(t)) / k.quota[t]; load < least {
			best, least = t, load
		}
	}
	return best
}

// PickCounts is Pick with the open flows in a slice, one per target; what it
// lacks counts as 0. It is written out, since a simulator does little else and
// the calls of open take as long as all the rest.
func (k *Picker) PickCounts(rng *rand.Rand, open []int32) int {
	n := len(k.shares)
	if n == 0 {
		return -1
	}
	if len(open) < n {
		return k.Pick(rng, func(t int) int {
			if t < len(open) {
				return int(open[t])
			}
			return 0
		})
	}
	bits := rng.Uint64()
	best := k.shares.draw(uint32(bits))
	flows := float64(open[best])
	if k.draws > 1 {
		least := flows * k.perShare[best]
		for i := 1; i < k.draws; i++ {
			if bits >>= 32; i&1 == 0 {
				bits = rng.Uint64()
			}
			t := k.shares.draw(uint32(bits))
			n := float64(open[t])
			if load := n * k.perShare[t]; load < least {
				best, flows, least = t, n, load
			}
		}
	}
	if !k.spills || flows < k.quota[best] {
		return best
	}
	least := flows / k.quota[best]
	for i := range spillDraws {
		if bits >>= 32; i&1 == 0 {
			bits = rng.Uint64()
		}
		t := k.room.draw(uint32(bits))
		if load := float64(open[t]) / k.quota[t]; load < least {
			best, least = t, load
		}
	}
	return best
}

// A lottery draws an index in proportion to weights, in constant time
// (Walker's alias method). One 32-bit random number is both the ticket and the
// coin: its product with the number of tickets has the ticket in the upper half
// and a fraction in the lower.
type lottery []ticket

type ticket struct {
	keep  uint32 // coin below which the ticket wins for itself
	other uint32 // who wins else
}

// newLottery prepares draws by weight. Weights that are not positive never win
// unless none is.
func newLottery(weights []float64) lottery {
	n := len(weights)
	if n == 0 {
		return nil
	}
	sum, heaviest := 0.0, 0
	for i, w := range weights {
		if w > 0 {
			sum += w
		}
		if w > weights[heaviest] {
			heaviest = i
		}
	}
	l := make(lottery, n)
	scaled := make([]float64, n) // mean 1
	queue := make([]int, n)      // short ones from the left, long ones from the right
	short, long := 0, n
	for i, w := range weights {
		switch {
		case !(sum > 0) || math.IsInf(sum, 1):
			scaled[i] = 1
		case w > 0:
			scaled[i] = w / sum * float64(n)
		}
		if scaled[i] < 1 {
			queue[short] = i
			short++
		} else {
			long--
			queue[long] = i
		}
	}
	for short > 0 && long < n {
		short--
		s, g := queue[short], queue[long]
		l[s] = ticket{uint32(min(scaled[s]*(1<<32), math.MaxUint32)), uint32(g)}
		if scaled[g] -= 1 - scaled[s]; scaled[g] < 1 {
			long++
			queue[short] = g
			short++
		}
	}
	// Left over by rounding: they win for themselves, unless they must not.
	for _, i := range queue[:short] {
		l[i] = ticket{math.MaxUint32, uint32(i)}
		if scaled[i] == 0 {
			l[i] = ticket{0, uint32(heaviest)}
		}
	}
	for _, i := range queue[long:] {
		l[i] = ticket{math.MaxUint32, uint32(i)}
	}
	return l
}

func (l lottery) draw(r uint32) int {
	x := uint64(r) * uint64(len(l))
	i := x >> 32
	t := &l[i]
	if uint32(x) < t.keep {
		return int(i)
	}
	return int(t.other)
}
