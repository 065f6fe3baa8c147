package selection

import "math"

// A basin is one candidate in the filling: how much of the ingress's flows it
// takes at a price.
//
//	share(λ) = max(0, pref + (f⁻¹((λ - base)/s) - u)·k)
//
// which is û_j(p) = u_j + (p_j - pref_ij)·L_ij/C_j with φ(û) = λ, solved for p.
type basin struct {
	pref  float64 // share in force when u was measured
	u     float64 // utilisation then
	k     float64 // C/L: what a unit of utilisation means as a share; > 0
	base  float64 // round trip and service, s
	s     float64 // service time, s
	s1    float64 // 1/s
	entry float64 // a price up to which the share is zero, close to the highest, s
	curve *curve
}

// prepare sets what follows from the rest.
func (b *basin) prepare() {
	b.s1 = 1 / b.s
	y := b.curve.at(b.u - b.pref/b.k)
	if y > 0 {
		// The two directions of the curve are tabled apart. A little lower is
		// safe: the share is zero from there on as well.
		y = max(0, y*(1-1e-3)-1e-5)
	}
	b.entry = b.base + b.s*y
}

// anticipated returns û at a share.
func (b *basin) anticipated(share float64) float64 { return b.u + (share-b.pref)/b.k }

// take returns the share at a price, and its derivative.
func (b *basin) take(price float64) (share, slope float64) {
	if price <= b.entry {
		return 0, 0
	}
	u, d := b.curve.inverse((price - b.base) * b.s1)
	share = b.pref + (u-b.u)*b.k
	if share <= 0 {
		return 0, 0
	}
	return share, d * b.s1 * b.k
}

// total returns the sum of all shares at a price, and its derivative.
func total(bs []basin, price float64) (sum, slope float64) {
	for i := range bs {
		s, d := bs[i].take(price)
		sum += s
		slope += d
	}
	return sum, slope
}

// fill finds the price λ at which the shares sum to 1, writes the shares and
// returns the price. guess is where to look first, the price of the last time.
// bs is not empty; len(shares) == len(bs).
//
// The sum grows with the price, from 0 at the lowest entry price, so there is a
// bracket; within it Newton's method, and bisection when that does not get on.
// Where floating point cannot tell two prices apart between which the sum steps
// over 1, the shares are mixed from both sides, so the result always sums to 1.
func fill(bs []basin, guess float64, shares []float64) float64 {
	lo := bs[0].entry
	least := bs[0].s
	for i := range bs {
		lo = min(lo, bs[i].entry)
		least = min(least, bs[i].s)
	}
	floor, hi := lo, math.Inf(1)
	x := guess
	if !(x > lo) || math.IsInf(x, 1) {
		x = lo + least
	}
	width := math.Inf(1)
	for i := range 200 {
		sum, slope := total(bs, x)
		if math.Abs(sum-1) < 1e-11 {
			scale(bs, x, sum, shares)
			return x
		}
		if sum < 1 {
			lo = x
		} else {
			hi = x
		}
		next := x + (1-sum)/slope // ±Inf or NaN where flat
		switch {
		case math.IsInf(hi, 1):
			// Still looking for the upper end: at least double the distance
			// now and then, for Newton's steps can be short on a concave sum.
			if far := floor + 2*(x-floor) + least; !(next > lo) || math.IsInf(next, 1) || i%4 == 3 && next < far {
				next = far
			}
		case !(next > lo && next < hi) || i%3 == 2 && hi-lo > width/2:
			next = between(floor, lo, hi)
		}
		if i%3 == 2 {
			width = hi - lo
		}
		if next <= lo || next >= hi || next == x {
			break // neighbours
		}
		x = next
	}
	if math.IsInf(hi, 1) {
		// Not reached: prices are finite and every curve is unbounded.
		sum, _ := total(bs, lo)
		scale(bs, lo, sum, shares)
		return lo
	}
	mix(bs, lo, hi, shares)
	return hi
}

// between is the middle of lo and hi: geometric, from floor, while they are
// orders of magnitude apart, for the sum can rise within a tiny first part.
func between(floor, lo, hi float64) float64 {
	a, b := lo-floor, hi-floor
	if a <= 0 {
		a = b * 1e-6
	}
	if b > 4*a {
		if m := floor + math.Sqrt(a*b); m > lo && m < hi {
			return m
		}
	}
	return lo + (hi-lo)/2
}

func scale(bs []basin, price, sum float64, shares []float64) {
	for i := range bs {
		s, _ := bs[i].take(price)
		shares[i] = s / sum
	}
}

// mix combines the shares at lo, summing to at most 1, and at hi, to at least
// 1, so that they sum to 1.
func mix(bs []basin, lo, hi float64, shares []float64) {
	a, _ := total(bs, lo)
	b, _ := total(bs, hi)
	f := 1.0
	if b > a {
		f = min(max((1-a)/(b-a), 0), 1)
	}
	for i := range bs {
		p, _ := bs[i].take(lo)
		q, _ := bs[i].take(hi)
		shares[i] = p + f*(q-p)
	}
}

// normalise makes shares sum to 1, and returns false when they are all zero or
// not numbers.
func normalise(shares []float64) bool {
	sum := 0.0
	for _, s := range shares {
		sum += s
	}
	if !(sum > 0) || math.IsInf(sum, 1) {
		return false
	}
	for i := range shares {
		shares[i] /= sum
	}
	return true
}
