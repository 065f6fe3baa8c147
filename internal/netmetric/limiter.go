package netmetric

import (
	"hash/maphash"
	"net/netip"
	"time"
)

// limiterCells is how many sources a limiter tells apart at most.
const limiterCells = 4096

// A limiter is a token bucket per source in fixed memory. Sources (an IPv4
// address, an IPv6 /64) are hashed to cells with a secret seed; two that meet
// in a cell share its bucket. There is nothing to evict, so that a flood of
// invented sources cannot push out the honest ones, and nobody can choose
// whom to share with.
type limiter struct {
	rate, burst float64 // per second; tokens
	seed        maphash.Seed
	epoch       time.Time
	cells       [limiterCells]cell
}

type cell struct {
	used float32       // tokens taken, so that zero is a full bucket
	at   time.Duration // since epoch
}

func newLimiter(now time.Time, rate, burst float64) *limiter {
	return &limiter{rate: rate, burst: burst, seed: maphash.MakeSeed(), epoch: now}
}

// allow takes a token of source's bucket, if there is one.
func (l *limiter) allow(now time.Time, source netip.Addr) bool {
	c := l.cell(source)
	at := now.Sub(l.epoch)
	if at > c.at {
		c.used = max(0, c.used-float32((at-c.at).Seconds()*l.rate))
		c.at = at
	}
	if float64(c.used)+1 > l.burst {
		return false
	}
	c.used++
	return true
}

func (l *limiter) cell(source netip.Addr) *cell {
	source = source.Unmap()
	b := source.As16()
	key := b[:]
	if source.Is6() {
		key = b[:8] // its owner has the whole /64
	}
	return &l.cells[maphash.Bytes(l.seed, key)%limiterCells]
}
