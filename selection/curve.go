package selection

import "math"

// kneeLoad is where the waiting time turns linear, so that it stays finite
// for loads of 1 and more.
const kneeLoad = 0.97

// A curve is the marginal cost of one more flow at an instance, in units of its
// service time and without the round trip and the service itself:
//
//	f(u) = ω(w + u·w′) + B(max(0, u-η)/(1-η))²
//	w(u) = u^a / (c(1-u)), a = sqrt(2(c+1))-1    linear beyond u = 0.97
//
// the waiting time of M/M/c by Sakasegawa (1977). It depends on the number of
// slots c and the policy's constants only, so that instances share curves. Below
// zero (others are expected to take away more load than there is) f(u) = u, so
// that f is continuous and strictly increasing everywhere.
//
// Both directions are tabled: finding the price of a split needs the inverse
// some thousand times, and powers are what a decision would spend its time on.
// A curve is immutable.
type curve struct {
	c, a            float64
	omega, bend     float64 // bend: B/(1-η)²
	eta             float64
	wKnee, dKnee    float64 // w, w′ at the knee
	yEta, yKnee     float64 // f at η, at the knee
	upLow, upHigh   ramp    // f on [0, η], [η, knee]
	low, high       table   // f⁻¹ on what these give
	slopeEta        float64 // f′ at η
	hiSpan, hiSpan1 float64 // yKnee - yEta, and 1 over it
	yEta1           float64 // 1 / yEta
}

// The tables are cubic in 8 bins per octave of the argument, from 2^-40 to 1 of
// its range.
const (
	binBits = 3
	octaves = 40
	bins    = octaves << binBits
	fine    = 52 - binBits // bits of the mantissa that are within a bin
)

type table [bins][4]float64

var firstBin = math.Float64bits(math.Ldexp(1, -octaves)) >> fine

func newCurve(slots int, omega, penalty, eta float64) *curve {
	k := &curve{c: float64(slots), omega: omega, eta: eta, bend: penalty / ((1 - eta) * (1 - eta))}
	k.a = math.Sqrt(2*(k.c+1)) - 1
	k.wKnee = k.wait(kneeLoad)
	k.dKnee = k.wKnee * (k.a/kneeLoad + 1/(1-kneeLoad))
	k.yEta, k.slopeEta = k.smooth(eta)
	k.yKnee, _ = k.smooth(kneeLoad)
	k.yEta1 = 1 / k.yEta
	k.hiSpan = k.yKnee - k.yEta
	k.hiSpan1 = 1 / k.hiSpan
	k.upLow.fill(0, eta, k.smooth)
	k.upHigh.fill(eta, kneeLoad, k.smooth)
	k.low.fill(func(t float64) (float64, float64) {
		u := k.solveLow(t * k.yEta)
		_, d := k.smooth(u)
		return u, k.yEta / d
	})
	if k.hiSpan > 0 {
		k.high.fill(func(t float64) (float64, float64) {
			u := k.solveHigh(t * k.hiSpan)
			_, d := k.smooth(u)
			return u, k.hiSpan / d
		})
	}
	return k
}

// wait is w below the knee.
func (k *curve) wait(u float64) float64 {
	if u <= 0 {
		return 0
	}
	return math.Exp(k.a*math.Log(u)) / (k.c * (1 - u))
}

// smooth returns f and f′ on [0, knee], where they are smooth but for a step
// in f″ at η.
func (k *curve) smooth(u float64) (y, slope float64) {
	if u <= 0 { // the limit
		if k.c == 1 {
			slope = 2 * k.omega
		}
		return 0, slope
	}
	w, r := k.wait(u), 1/(1-u)
	d := k.a/u + r
	v := max(0, u-k.eta)
	y = k.omega*w*(1+u*d) + k.bend*v*v
	// (w(1+a+u·r))′, with r′ = r² and u·r = r-1
	slope = k.omega*w*(d*(1+u*d)+r*r) + 2*k.bend*v
	return y, slope
}

// terms returns the waiting ω(w + u·w′) and the penalty B(…)², whose sum is f,
// for u ≥ 0; for u < 0 the waiting is f.
func (k *curve) terms(u float64) (waiting, penalty float64) {
	if v := u - k.eta; v > 0 {
		penalty = k.bend * v * v
	}
	return k.at(u) - penalty, penalty
}

// plain returns w(u), the mean wait itself, linear beyond the knee.
func (k *curve) plain(u float64) float64 {
	if u < kneeLoad {
		return k.wait(u)
	}
	return k.wKnee + k.dKnee*(u-kneeLoad)
}

// at returns f(u).
func (k *curve) at(u float64) float64 {
	switch {
	case u <= 0:
		return u
	case u < k.eta:
		return max(0, k.upLow.at(u)) // the cubic of the first bin dips below
	case u < kneeLoad:
		return k.upHigh.at(u)
	}
	v := u - k.eta
	return k.omega*(k.wKnee+k.dKnee*(2*u-kneeLoad)) + k.bend*v*v
}

// inverse returns u with f(u) = y, and du/dy.
func (k *curve) inverse(y float64) (u, slope float64) {
	switch {
	case y <= 0:
		return y, 1
	case y < k.yEta:
		if t := y * k.yEta1; t < 1 {
			if u, slope, ok := k.low.at(t); ok {
				return u, slope * k.yEta1
			}
			u := k.solveLow(y)
			_, d := k.smooth(u)
			return u, 1 / d
		}
		return k.eta, 1 / k.slopeEta
	case y < k.yKnee:
		z := y - k.yEta
		if u, slope, ok := k.high.at(z * k.hiSpan1); ok {
			return u, slope * k.hiSpan1
		}
		u := k.solveHigh(z)
		_, d := k.smooth(u)
		return u, 1 / d
	}
	// Beyond the knee f is a parabola: A v² + 2h v + g = y with v = u-η.
	h := k.omega * k.dKnee
	g := k.omega*(k.wKnee+k.dKnee*(2*k.eta-kneeLoad)) - y
	root := math.Sqrt(max(0, h*h-k.bend*g))
	return k.eta - g/(h+root), 1 / (2 * root)
}

// solveLow inverts f on (0, η) to full precision. Newton's method on ln f over
// ln u, which is nearly a line with slope a.
func (k *curve) solveLow(y float64) float64 {
	u := min(math.Pow(y*k.c/(k.omega*(1+k.a)), 1/k.a), k.eta)
	for range 50 {
		f, d := k.smooth(u)
		if !(f > 0) || !(u > 0) {
			return 0 // y is next to nothing
		}
		step := math.Log(y/f) * f / (u * d)
		u = min(u*math.Exp(step), k.eta)
		if math.Abs(step) < 1e-14 {
			break
		}
	}
	return u
}

// solveHigh inverts f(η + v) - f(η) = z on [η, knee]. Convex and increasing, so
// Newton's method from the right never oversteps.
func (k *curve) solveHigh(z float64) float64 {
	if k.hiSpan <= 0 {
		return k.eta
	}
	// The penalty's parabola alone is below f: its root is to the right.
	v := 2 * z / (k.slopeEta + math.Sqrt(k.slopeEta*k.slopeEta+4*k.bend*z))
	v = min(v, kneeLoad-k.eta)
	for range 50 {
		f, d := k.smooth(k.eta + v)
		step := (f - k.yEta - z) / d
		v = min(max(0, v-step), kneeLoad-k.eta)
		if math.Abs(step) < 1e-15 {
			break
		}
	}
	return k.eta + v
}

// fill tables a function on (0, 1) from its values and derivatives.
func (t *table) fill(f func(t float64) (y, slope float64)) {
	for i := range t {
		lo := math.Float64frombits((firstBin + uint64(i)) << fine)
		hi := math.Float64frombits((firstBin + uint64(i) + 1) << fine)
		y0, d0 := f(lo)
		y1, d1 := f(hi)
		d0, d1 = d0*(hi-lo), d1*(hi-lo)
		t[i] = [4]float64{y0, d0, 3*(y1-y0) - 2*d0 - d1, 2*(y0-y1) + d0 + d1}
	}
}

// at returns the tabled function and its derivative; false below the table.
// 0 ≤ x < 1.
func (t *table) at(x float64) (y, slope float64, ok bool) {
	bits := math.Float64bits(x)
	i := bits>>fine - firstBin
	if i >= bins {
		return 0, 0, false
	}
	c := &t[i]
	// The position in the bin, 0..1: the rest of the mantissa.
	r := float64(bits&(1<<fine-1)) * (1.0 / (1 << fine))
	y = c[0] + r*(c[1]+r*(c[2]+r*c[3]))
	// Bins are 2^(e-binBits) wide, e the exponent of x.
	perBin := math.Float64frombits((1023+1023+binBits)<<52 - bits&(0x7ff<<52))
	slope = (c[1] + r*(2*c[2]+3*r*c[3])) * perBin
	return y, slope, true
}

// A ramp is a function tabled in bins of equal width.
type ramp struct {
	from, perBin float64
	bin          [rampBins][4]float64
}

const rampBins = 256

func (r *ramp) fill(from, to float64, f func(u float64) (y, slope float64)) {
	h := (to - from) / rampBins
	if h <= 0 {
		return // η is at the knee: never asked
	}
	r.from, r.perBin = from, 1/h
	for i := range r.bin {
		y0, d0 := f(from + h*float64(i))
		y1, d1 := f(from + h*float64(i+1))
		d0, d1 = d0*h, d1*h
		r.bin[i] = [4]float64{y0, d0, 3*(y1-y0) - 2*d0 - d1, 2*(y0-y1) + d0 + d1}
	}
}

func (r *ramp) at(u float64) float64 {
	x := (u - r.from) * r.perBin
	i := min(int(x), rampBins-1)
	c := &r.bin[i]
	x -= float64(i)
	return c[0] + x*(c[1]+x*(c[2]+x*c[3]))
}

// Curves are the cost curves that services have in common. They are built when
// first needed and take about 36 kB each; there are at most 112 per set of
// policy constants, and of sets the last 4 are kept. Not safe for concurrent
// use: one Curves per goroutine that decides.
type Curves struct {
	sets []curveSet

	// plan is the working space of whichever service decides now: a decision
	// leaves nothing in it that a later one needs.
	plan plan
}

type curveSet struct {
	omega, penalty, eta float64
	bySlots             map[int]*curve
}

// NewCurves returns an empty set of curves.
func NewCurves() *Curves { return &Curves{} }

const (
	exactSlots = 64   // up to here every number of slots has its own curve
	maxSlots   = 4096 // more change nothing: there is no wait before overload
	keptSets   = 4
)

// curveSlots rounds a number of slots so that the number of curves is bounded
// whatever is advertised: exact up to 64, then in steps of 2^(1/8).
func curveSlots(n int) int {
	n = min(max(n, 1), maxSlots)
	if n <= exactSlots {
		return n
	}
	return int(math.Round(math.Exp2(math.Round(8*math.Log2(float64(n))) / 8)))
}

func (cv *Curves) get(slots int, p *Policy) *curve {
	i := 0
	for ; i < len(cv.sets); i++ {
		if s := &cv.sets[i]; s.omega == p.Omega && s.penalty == p.Penalty && s.eta == p.Eta {
			break
		}
	}
	if i == len(cv.sets) {
		if i == keptSets {
			cv.sets = append(cv.sets[:0], cv.sets[1:]...)
			i--
		}
		cv.sets = append(cv.sets, curveSet{p.Omega, p.Penalty, p.Eta, map[int]*curve{}})
	}
	n := curveSlots(slots)
	k := cv.sets[i].bySlots[n]
	if k == nil {
		k = newCurve(n, p.Omega, p.Penalty, p.Eta)
		cv.sets[i].bySlots[n] = k
	}
	return k
}
