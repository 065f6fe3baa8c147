package selection

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// The formulas written down as they stand, with bisection for everything: what
// the tables and Newton's method must agree with.

func literalW(u, c float64) float64 {
	w := func(u float64) float64 { return math.Pow(u, math.Sqrt(2*(c+1))-1) / (c * (1 - u)) }
	switch {
	case u <= 0:
		return 0
	case u <= 0.97:
		return w(u)
	}
	return w(0.97) + literalWSlope(0.97, c)*(u-0.97)
}

func literalWSlope(u, c float64) float64 {
	u = min(u, 0.97)
	if u <= 0 {
		return 0
	}
	a := math.Sqrt(2*(c+1)) - 1
	return (a*math.Pow(u, a-1)*(1-u) + math.Pow(u, a)) / (c * (1 - u) * (1 - u))
}

type literal struct {
	rtt, s, c     float64
	u, pref, k    float64
	omega, b, eta float64
}

func (l literal) phi(u float64) float64 {
	if u < 0 {
		return l.rtt + l.s + l.s*u
	}
	over := max(0, u-l.eta) / (1 - l.eta)
	return l.rtt + l.s + l.omega*l.s*(literalW(u, l.c)+u*literalWSlope(u, l.c)) + l.b*l.s*over*over
}

func (l literal) inverse(lambda float64) float64 {
	lo, hi := -1e3, 1e3
	for range 70 {
		mid := (lo + hi) / 2
		if l.phi(mid) < lambda {
			lo = mid
		} else {
			hi = mid
		}
	}
	return (lo + hi) / 2
}

func (l literal) share(lambda float64) float64 {
	return max(0, l.pref+(l.inverse(lambda)-l.u)*l.k)
}

// literalFill returns the shares at the price where they sum to 1, and by how
// much the sum jumps there between two neighbouring floating point numbers.
func literalFill(ls []literal) (shares []float64, jump float64) {
	sum := func(lambda float64) (t float64) {
		for _, l := range ls {
			t += l.share(lambda)
		}
		return t
	}
	lo, hi := -300.0, 10.0
	for sum(hi) < 1 {
		hi *= 10
	}
	for range 70 {
		mid := (lo + hi) / 2
		if sum(mid) < 1 {
			lo = mid
		} else {
			hi = mid
		}
	}
	for _, l := range ls {
		shares = append(shares, l.share(hi))
	}
	return shares, sum(hi) - sum(lo-1e-15)
}

func drawBasins(t *rapid.T, cv *Curves) ([]basin, []literal) {
	p := Default()
	p.Omega = rapid.SampledFrom([]float64{0.5, 1, 0.1}).Draw(t, "omega")
	p.Penalty = rapid.SampledFrom([]float64{64, 0, 10}).Draw(t, "penalty")
	p.Eta = rapid.SampledFrom([]float64{0.9, 0.8, 0.97}).Draw(t, "eta")
	n := rapid.IntRange(1, 12).Draw(t, "n")
	var bs []basin
	var ls []literal
	for range n {
		slots := rapid.SampledFrom([]int{1, 2, 4, 8, 16, 64, 300}).Draw(t, "slots")
		l := literal{
			rtt: rapid.Float64Range(0, 0.3).Draw(t, "rtt"), s: rapid.Float64Range(0.001, 0.2).Draw(t, "s"),
			c: float64(curveSlots(slots)), u: rapid.Float64Range(0, 1.5).Draw(t, "u"),
			pref: rapid.Float64Range(0, 1).Draw(t, "pref") / float64(n), k: rapid.Float64Range(0.005, 2).Draw(t, "k"),
			omega: p.Omega, b: p.Penalty, eta: p.Eta,
		}
		b := basin{pref: l.pref, u: l.u, k: l.k, base: l.rtt + l.s, s: l.s, curve: cv.get(slots, &p)}
		b.prepare()
		bs, ls = append(bs, b), append(ls, l)
	}
	return bs, ls
}

func TestFillAgreesWithTheFormulas(t *testing.T) {
	cv := NewCurves()
	rapid.Check(t, func(t *rapid.T) {
		bs, ls := drawBasins(t, cv)
		got := make([]float64, len(bs))
		guess := rapid.Float64Range(-1, 2).Draw(t, "guess")
		price := fill(bs, guess, got)

		sum := 0.0
		for i, l := range ls {
			sum += got[i]
			cost := l.phi(l.u + (got[i]-l.pref)/l.k)
			if got[i] < 0 || got[i] > 0 && math.Abs(cost-price) > 1e-9+2e-4*l.s+1e-4*math.Abs(price-l.rtt-l.s) || got[i] == 0 && cost < price-1e-9 {
				t.Fatalf("candidate %d: share %v costs %v at a price of %v", i, got[i], cost, price)
			}
		}
		if math.Abs(sum-1) > 1e-9 {
			t.Fatalf("shares sum to %.12f", sum)
		}
		want, jump := literalFill(ls)
		if jump > 1e-6 {
			return // costs are flat there: many shares have this price
		}
		for i := range got {
			if math.Abs(got[i]-want[i]) > 2e-5 {
				t.Fatalf("candidate %d of %d: share %.9f, by the formulas %.9f", i, len(got), got[i], want[i])
			}
		}
	})
}

func TestCurveIsTheFormula(t *testing.T) {
	cv := NewCurves()
	for _, slots := range []int{1, 2, 3, 8, 16, 64, 1000, 4096} {
		for _, eta := range []float64{0.1, 0.5, 0.8, 0.9, 0.97} {
			p := Default()
			p.Eta = eta
			k := cv.get(slots, &p)
			l := literal{s: 1, c: float64(curveSlots(slots)), omega: p.Omega, b: p.Penalty, eta: eta}
			// Tighter where η usually is.
			last, tolerance, forth := -1e9, 1e-4, 1e-4
			if eta == 0.8 || eta == 0.9 {
				tolerance, forth = 5e-6, 1e-5
			}
			for u := -0.5; u < 4; u += 0.0005 {
				y := k.at(u)
				if want := l.phi(u) - 1; math.Abs(y-want) > 1e-5+forth*math.Abs(want) {
					t.Fatalf("c %d η %v: f(%v) = %v, by the formula %v", slots, eta, u, y, want)
				}
				if y < last-1e-9 {
					t.Fatalf("c %d η %v: f falls at %v", slots, eta, u)
				}
				last = y
				if u > 0 && u <= kneeLoad {
					y, _ = k.smooth(u) // to the last digit, for the way back
				}
				back, slope := k.inverse(y)
				if u > 0 && y < 1e-13 {
					continue // flat: below what a price can tell apart
				}
				if math.Abs(back-u) > tolerance {
					t.Fatalf("c %d η %v: f⁻¹(f(%v)) = %v", slots, eta, u, back)
				}
				h := 1e-6 * max(math.Abs(y), 1e-12)
				a, _ := k.inverse(y - h)
				b, _ := k.inverse(y + h)
				if fd := (b - a) / (2 * h); math.Abs(slope-fd) > 0.05*fd+1e-9 && math.Abs(u-kneeLoad) > 1e-3 && math.Abs(u-eta) > 1e-3 && math.Abs(u) > 1e-3 {
					t.Fatalf("c %d η %v: slope of the inverse at %v is %v, by differences %v", slots, eta, u, slope, fd)
				}
			}
		}
	}
}

func TestCurvesAreBounded(t *testing.T) {
	cv := NewCurves()
	for _, omega := range []float64{0.1, 0.2, 0.3, 0.4, 0.5, 0.6} {
		p := Default()
		p.Omega = omega
		for slots := -3; slots < 20000; slots += 7 {
			cv.get(slots, &p)
		}
	}
	if len(cv.sets) != keptSets {
		t.Errorf("%d sets kept, want %d", len(cv.sets), keptSets)
	}
	for _, s := range cv.sets {
		if len(s.bySlots) > 112 {
			t.Errorf("%d curves in a set, want 112 at most", len(s.bySlots))
		}
	}
	for n := 1; n <= exactSlots; n++ {
		if curveSlots(n) != n {
			t.Errorf("%d slots count as %d", n, curveSlots(n))
		}
	}
	for n := exactSlots; n <= maxSlots; n++ {
		if r := float64(curveSlots(n)) / float64(n); r < 0.95 || r > 1.05 {
			t.Errorf("%d slots count as %d", n, curveSlots(n))
		}
	}
}
