package demo

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	"github.com/catsbgp/catsbgp/internal/api"
)

// sample asks all agents how things are. What an agent does not answer in time
// stays as it was before.
func (d *domain) sample(ctx context.Context, r *recorder) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	s := Sample{Instances: make([]InstanceSample, len(d.instances))}
	if last, ok := r.last(); ok {
		copy(s.Instances, last.Instances)
		s.Changes = last.Changes
	}
	index := map[string]int{}
	for i, in := range d.instances {
		index[in.ID.String()] = i
	}
	for _, site := range d.sites {
		b := site.Backend()
		if docs, err := b.Instances(ctx); err == nil {
			for _, doc := range docs {
				if i, ok := index[doc.CSCIID]; ok {
					s.Instances[i].fromSite(doc, r)
				}
			}
		}
		if docs, err := b.Dampening(ctx); err == nil {
			for _, doc := range docs {
				if i, ok := index[doc.CSCIID]; ok {
					s.Instances[i].fromGate(doc)
				}
			}
		}
	}
	services, err := d.gate.Backend().Services(ctx)
	// The moment after the ingress answered: what it no longer offers then, no
	// later flow is given.
	s.At = r.now()
	if err == nil {
		for i := range s.Instances {
			in := &s.Instances[i]
			in.Target, in.Share, in.Open, in.Why = false, 0, 0, ""
		}
		for _, doc := range services {
			s.Changes = doc.Changes
			for _, t := range doc.Targets {
				if i, ok := index[t.CSCIID]; ok {
					in := &s.Instances[i]
					in.Target, in.Share, in.Open = true, t.Share, int(t.Open)
				}
			}
			for _, x := range doc.Excluded {
				if i, ok := index[x.CSCIID]; ok {
					s.Instances[i].Why = x.Reason
				}
			}
		}
	}
	r.update(func(h *History) { h.Samples = append(h.Samples, s) })
}

func orNaN(v *float64) float64 {
	if v == nil {
		return math.NaN()
	}
	return *v
}

func (in *InstanceSample) fromSite(doc api.Instance, r *recorder) {
	in.State, in.Measured = doc.State, orNaN(doc.Utilisation)
	in.Drained = doc.Drain != nil
	in.Said, in.SaidWhy = math.NaN(), ""
	if doc.Said != nil {
		in.Said, in.SaidWhy, in.SaidAt = orNaN(doc.Said.Level), doc.Said.Why, r.since(doc.Said.At)
	}
}

func (in *InstanceSample) fromGate(doc api.Dampening) {
	in.Level, in.Samples = orNaN(doc.Level), doc.Samples
	in.Sent, in.Held, in.Tokens = doc.Sent, doc.SuppressedByReason, doc.BucketTokens
	in.Penalty, in.Suppressed = doc.Penalty, doc.Suppressed
	in.Waits = ""
	if doc.Held != nil {
		in.Waits = doc.Held.Why
	}
}

// follow takes in the events of all agents since the last time.
func (d *domain) follow(r *recorder, seen map[string]uint64) []Happening {
	var news []Happening
	agents, names := d.all()
	for i, a := range agents {
		evs, _ := a.Events().Since(seen[names[i]], 1000)
		for _, ev := range evs {
			seen[names[i]] = ev.ID
			news = append(news, Happening{At: r.since(ev.At), Agent: names[i], Event: ev})
		}
	}
	slices.SortStableFunc(news, func(a, b Happening) int { return cmp.Compare(a.At, b.At) })
	r.update(func(h *History) { h.Events = append(h.Events, news...) })
	return news
}

// sessions looks at both ends of every BGP session.
func (d *domain) sessions(ctx context.Context) ([]Session, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var all []Session
	agents, names := d.all()
	for i, a := range agents {
		peers, err := a.Backend().Peers(ctx)
		if err != nil {
			return nil, err
		}
		for _, p := range peers {
			s := Session{Agent: names[i], Peer: p.Name, Up: p.Up, Flaps: p.Flaps}
			if p.UptimeSeconds != nil {
				s.Uptime = time.Duration(*p.UptimeSeconds * float64(time.Second))
			}
			all = append(all, s)
		}
	}
	return all, nil
}
