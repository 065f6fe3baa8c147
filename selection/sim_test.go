package selection

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/catsbgp/catsbgp/advert"
)

// A world is a small closed loop: ingresses select by the product's own code,
// instances queue (FIFO, c servers, lognormal service), measure their load and
// advertise it every period. Time is in seconds. Equal seeds give equal runs.
type world struct {
	seed      uint64
	ingresses int
	sites     int
	perSite   int
	load      float64 // of all capacity
	period    float64 // between advertisements
	delta     float64 // ≠ 0: also when the load has changed by so much, after 1 s at least
	delay     float64 // of an advertisement
	length    float64
	swing     float64                        // demand shifts between ingresses by this part, every 60 s
	capacity  func(t float64, j int) float64 // factor, 1 unless set; 0: dead and withdrawn
	policy    Policy
	draws     int  // ≠ 0: replaces the split's
	oracle    bool // choose by the present queues
}

type outcome struct {
	mean, p99 float64 // s
	swing     float64 // standard deviation of an instance's load from second to second, mean of instances
	rtt       float64
	late      float64     // part that waited 50 ms and more
	loads     [][]float64 // per instance and second, from 0.3·length on
}

const simService = 0.040

type simInstance struct {
	key     advert.InstanceKey
	slots   int
	service float64
	free    []float64 // when each server is free
	offered float64   // work that came in since the last sample, s
	rate    float64   // EWMA, servers' worth
	loads   []float64 // per second
	second  float64
	dead    bool
	said    float64 // last advertised
	saidAt  float64
}

// utilisation is offered load, plus what would work off the backlog in 4 s.
func (x *simInstance) utilisation(t float64) float64 {
	backlog := 0.0
	for _, f := range x.free {
		backlog += max(0, f-t)
	}
	return (x.rate + backlog/4) / float64(x.slots)
}

type simEvent struct {
	at        float64
	kind      uint8 // 0 flow ends, 1 arrival, 2 sample, 3 advertise, 4 hear, 5 decide, 6 second
	i, j      int32
	u         float64
	withdrawn bool
}

type simQueue []simEvent

func (q *simQueue) push(e simEvent) {
	*q = append(*q, e)
	h := *q
	i := len(h) - 1
	for i > 0 {
		p := (i - 1) / 2
		if h[p].at <= h[i].at {
			break
		}
		h[p], h[i] = h[i], h[p]
		i = p
	}
}

func (q *simQueue) pop() simEvent {
	h := *q
	top := h[0]
	n := len(h) - 1
	h[0] = h[n]
	h = h[:n]
	*q = h
	for i := 0; ; {
		c := 2*i + 1
		if c >= n {
			break
		}
		if c+1 < n && h[c+1].at < h[c].at {
			c++
		}
		if h[i].at <= h[c].at {
			break
		}
		h[i], h[c] = h[c], h[i]
		i = c
	}
	return top
}

type simIngress struct {
	s       *Service
	split   *Split
	picker  *Picker
	index   []int32 // of the target's instance
	open    []int32 // per target of the split
	flows   []int32 // per instance
	started []uint64
	rtt     []float64
	weight  float64
	phase   float64
}

func (w world) run() outcome {
	rng := rand.New(rand.NewPCG(w.seed, 99))
	n := w.sites * w.perSite
	if w.capacity == nil {
		w.capacity = func(float64, int) float64 { return 1 }
	}
	inst := make([]simInstance, n)
	total := 0.0
	for j := range inst {
		in := &inst[j]
		in.slots = []int{4, 8, 16}[rng.IntN(3)]
		in.service = simService / []float64{0.7, 1, 1.4}[rng.IntN(3)]
		in.free = make([]float64, in.slots)
		in.key = advert.InstanceKey{ID: advert.InstanceNumber(uint32(j)), Egress: netip.AddrFrom4([4]byte{192, 0, 2, byte(j / w.perSite)})}
		total += float64(in.slots) / in.service
	}
	// Sites and ingresses on a plane of 60 ms.
	type point struct{ x, y float64 }
	place := func() point { return point{rng.Float64() * 0.030, rng.Float64() * 0.030} }
	at := make([]point, w.sites)
	for i := range at {
		at[i] = place()
	}
	ing := make([]simIngress, w.ingresses)
	weights := 0.0
	base := time.Unix(1_800_000_000, 0)
	clock := func(t float64) time.Time { return base.Add(time.Duration(t * 1e9)) }
	var q simQueue
	cv := NewCurves()
	for i := range ing {
		in := &ing[i]
		p := place()
		in.s = NewShared(advert.ServicePrefix(netip.MustParsePrefix("203.0.113.10/32")), w.policy, uint64(i), cv)
		in.weight = 0.5 + rng.Float64()
		in.phase = rng.Float64() * 60
		weights += in.weight
		in.flows, in.started = make([]int32, n), make([]uint64, n)
		for j := range n {
			site := at[j/w.perSite]
			rtt := 0.002 + 2*math.Hypot(site.x-p.x, site.y-p.y)
			in.rtt = append(in.rtt, rtt)
			in.s.Measure(clock(0), inst[j].key.Egress, Path{RTT: seconds(rtt), Known: true, Reachable: true})
		}
		q.push(simEvent{at: 0.01, kind: 5, i: int32(i)})
		q.push(simEvent{at: 0.02 + rng.Float64()*0.01, kind: 1, i: int32(i)})
	}
	for j := range inst {
		q.push(simEvent{at: 0.001, kind: 3, j: int32(j)})
	}
	q.push(simEvent{at: 0.1, kind: 2})
	q.push(simEvent{at: 1, kind: 6})

	var responses []float64
	var sumRTT, late float64
	decide := func(in *simIngress, t float64) {
		for j := range inst {
			in.s.Own(clock(t), inst[j].key, int(in.flows[j]), in.started[j])
		}
		sp := in.s.Decide(clock(t))
		if sp != in.split {
			if w.draws != 0 {
				c := *sp
				c.Draws = w.draws
				sp = &c
			}
			in.split, in.picker = sp, NewPicker(sp)
			in.index, in.open = in.index[:0], in.open[:0]
			for k := range sp.Targets {
				j := int32(sp.Targets[k].Key.ID.Number())
				in.index = append(in.index, j)
				in.open = append(in.open, in.flows[j])
			}
		}
	}
	for len(q) > 0 {
		e := q.pop()
		t := e.at
		if t > w.length {
			break
		}
		switch e.kind {
		case 0:
			in := &ing[e.i]
			in.flows[e.j]--
			if k := slices.Index(in.index, e.j); k >= 0 {
				in.open[k]--
			}
		case 1:
			in := &ing[e.i]
			rate := w.load * total * in.weight / weights * (1 + w.swing*math.Sin(2*math.Pi*(t+in.phase)/60))
			q.push(simEvent{at: t + rng.ExpFloat64()/rate, kind: 1, i: e.i})
			j := -1
			if w.oracle {
				least := math.Inf(1)
				for k := range inst {
					if inst[k].dead {
						continue
					}
					c := in.rtt[k] + inst[k].service + max(0, slices.Min(inst[k].free)-t)
					if c < least {
						j, least = k, c
					}
				}
			} else if k := in.picker.PickCounts(rng, in.open); k >= 0 {
				in.open[k]++
				j = int(in.index[k])
			}
			if j < 0 {
				continue
			}
			// Mean and standard deviation of the service time are equal.
			work := inst[j].service * math.Exp(math.Sqrt(math.Ln2)*rng.NormFloat64()-math.Ln2/2)
			factor := w.capacity(t, j)
			x := &inst[j]
			server := 0
			for k := range x.free {
				if x.free[k] < x.free[server] {
					server = k
				}
			}
			wait := max(0, x.free[server]-t)
			took := 3.0 // refused, or lost
			if wait < 3 && factor > 0 {
				x.offered += work / factor
				x.free[server] = t + wait + work/factor
				took = in.rtt[j] + wait + work/factor
			} else {
				x.offered += work
			}
			in.flows[j]++
			in.started[j]++
			q.push(simEvent{at: t + took, kind: 0, i: e.i, j: int32(j)})
			if t > 0.3*w.length {
				responses = append(responses, took)
				sumRTT += in.rtt[j]
				if wait > 0.05 {
					late++
				}
			}
		case 2:
			for j := range inst {
				x := &inst[j]
				x.rate += decay(100*time.Millisecond, 2*time.Second) * (x.offered/0.1 - x.rate)
				x.second += x.offered
				x.offered = 0
				if w.delta > 0 && t-x.saidAt >= 1 && math.Abs(x.utilisation(t)-x.said) >= w.delta {
					q.push(simEvent{at: t, kind: 3, i: 1, j: int32(j)})
				}
				if dead := w.capacity(t, j) == 0; dead != x.dead {
					x.dead = dead
					if dead {
						q.push(simEvent{at: t + w.delay, kind: 4, j: int32(j), withdrawn: true})
					} else {
						clear(x.free)
						x.rate = 0
						q.push(simEvent{at: t, kind: 3, i: 1, j: int32(j)})
					}
				}
			}
			q.push(simEvent{at: t + 0.1, kind: 2})
		case 3:
			x := &inst[e.j]
			u := x.utilisation(t)
			if !x.dead {
				x.said, x.saidAt = u, t
				q.push(simEvent{at: t + w.delay*(0.5+rng.Float64()), kind: 4, j: e.j, u: u})
			}
			if e.i == 0 { // not a repetition out of turn
				next := w.period
				if t < 0.01 {
					next *= rng.Float64()
				}
				q.push(simEvent{at: t + next, kind: 3, j: e.j})
			}
		case 4:
			x := &inst[e.j]
			for i := range ing {
				if e.withdrawn {
					ing[i].s.Forget(clock(t), x.key)
				} else {
					ing[i].s.Hear(clock(t), Candidate{
						Key: x.key, Site: x.key.Egress.String(), Utilisation: e.u, Score: -1, Weight: 1,
						Capacity: float64(x.slots) / x.service, Slots: x.slots, ServiceTime: seconds(x.service),
						Window: 2 * time.Second, Age: seconds(w.delay),
					})
				}
				if due := ing[i].s.Due(); !due.IsZero() && !due.After(clock(t)) {
					decide(&ing[i], t)
				}
			}
		case 5:
			in := &ing[e.i]
			decide(in, t)
			next := 0.1
			if due := in.s.Due(); !due.IsZero() {
				next = max(0.001, due.Sub(clock(t)).Seconds())
			}
			q.push(simEvent{at: t + next, kind: 5, i: e.i})
		case 6:
			for j := range inst {
				if t > 0.3*w.length {
					inst[j].loads = append(inst[j].loads, inst[j].second/float64(inst[j].slots))
				}
				inst[j].second = 0
			}
			q.push(simEvent{at: t + 1, kind: 6})
		}
	}
	var o outcome
	slices.Sort(responses)
	for _, r := range responses {
		o.mean += r
	}
	count := float64(len(responses))
	o.mean /= count
	o.p99 = responses[len(responses)*99/100]
	o.rtt, o.late = sumRTT/count, late/count
	for j := range inst {
		o.loads = append(o.loads, inst[j].loads)
		var m, v float64
		for _, l := range inst[j].loads {
			m += l
		}
		m /= float64(len(inst[j].loads))
		for _, l := range inst[j].loads {
			v += (l - m) * (l - m)
		}
		o.swing += math.Sqrt(v/float64(len(inst[j].loads))) / float64(n)
	}
	return o
}

// smallWorld is 3 ingresses, 3 sites and 6 instances, loaded to 75 %.
func smallWorld(seed uint64) world {
	return world{
		seed: seed, ingresses: 3, sites: 3, perSite: 2, load: 0.75, period: 5, delay: 0.1,
		length: 60, swing: 0.2, policy: Default(),
	}
}

func TestBalancedStaysNearAnOracleWhereLeastCostOscillates(t *testing.T) {
	for seed := range uint64(3) {
		balanced, least, oracle := smallWorld(seed), smallWorld(seed), smallWorld(seed)
		least.policy.Kind = LeastCost
		oracle.oracle = true
		b, l, o := balanced.run(), least.run(), oracle.run()
		t.Logf("seed %d: mean %.0f ms balanced, %.0f least-cost, %.0f with all queues known; p99 %.0f, %.0f, %.0f; swing %.2f, %.2f, %.2f",
			seed, 1e3*b.mean, 1e3*l.mean, 1e3*o.mean, 1e3*b.p99, 1e3*l.p99, 1e3*o.p99, b.swing, l.swing, o.swing)
		if b.mean > 1.35*o.mean {
			t.Errorf("seed %d: balanced takes %.1f ms on average, an oracle %.1f", seed, 1e3*b.mean, 1e3*o.mean)
		}
		if b.p99 > 1.6*o.p99 {
			t.Errorf("seed %d: the 99th percentile is %.0f ms, an oracle's %.0f", seed, 1e3*b.p99, 1e3*o.p99)
		}
		if l.mean < 4*b.mean || l.swing < 2*b.swing {
			t.Errorf("seed %d: least-cost takes %.1f ms and swings by %.2f, balanced %.1f and %.2f: it should be far worse",
				seed, 1e3*l.mean, l.swing, 1e3*b.mean, b.swing)
		}
	}
}

func TestLossAndReturnOfAnInstance(t *testing.T) {
	// One of six dies for twenty seconds, and comes back empty: neither may
	// overload the others, nor may all rush to the one that is back.
	w := smallWorld(1)
	w.load = 0.6
	steady := w.run()
	w.capacity = func(t float64, j int) float64 {
		if j == 0 && t > 25 && t < 45 {
			return 0
		}
		return 1
	}
	broken := w.run()
	t.Logf("mean %.1f ms, %.1f with the loss; p99 %.0f, %.0f; late %.3f, %.3f",
		1e3*steady.mean, 1e3*broken.mean, 1e3*steady.p99, 1e3*broken.p99, steady.late, broken.late)
	if broken.mean > 1.5*steady.mean || broken.late > 0.1 {
		t.Errorf("the loss of an instance costs too much: mean %.1f ms, %.1f without; %.1f %% wait",
			1e3*broken.mean, 1e3*steady.mean, 100*broken.late)
	}
}

func TestReturningInstancesAreNotOverrun(t *testing.T) {
	// Four of 24 instances come back empty at 45 s, before 24 ingresses of which
	// none has sent them anything for long: each must expect the others to come
	// as well. (With L_ij from the formula alone, next to nothing for an empty
	// instance, one of them gets 1.06 of its capacity at once.)
	w := world{
		seed: 2, ingresses: 24, sites: 8, perSite: 3, load: 0.8, period: 30, delta: 0.1, delay: 0.1,
		length: 60, swing: 0.2, policy: Default(),
	}
	w.capacity = func(t float64, j int) float64 {
		if j%3 == 0 && j < 12 && t > 30 && t < 45 {
			return 0
		}
		return 1
	}
	o := w.run()
	for j := 0; j < 12; j += 3 {
		loads := o.loads[j]
		back := loads[45-18:]
		t.Logf("instance %d: %.2f", j, back)
		for _, l := range back {
			if l > 0.97 {
				t.Errorf("instance %d is loaded to %.2f within a second of its return", j, l)
			}
		}
		if last := back[len(back)-1]; last < 0.15 {
			t.Errorf("instance %d is hardly used 15 s after its return: %.2f", j, last)
		}
	}
}
