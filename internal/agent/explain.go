package agent

import (
	"context"
	"time"

	"github.com/catsbgp/catsbgp/internal/api"
	"github.com/catsbgp/catsbgp/internal/ingress"
	"github.com/catsbgp/catsbgp/selection"
)

func (b backend) Explain(ctx context.Context, service string) (api.Explanation, error) {
	return ask(ctx, b.a, func(now time.Time) (api.Explanation, error) {
		if b.a.ingress == nil {
			return api.Explanation{}, api.NotFound("this agent has no ingress role: it selects nothing")
		}
		id, ok := b.a.ingress.Find(service)
		if !ok {
			return api.Explanation{}, api.NotFound("no service %q is known here", service)
		}
		v, ex, _ := b.a.ingress.Explain(now, id)
		return explanationDoc(v, ex), nil
	})
}

func explanationDoc(v ingress.ServiceView, ex selection.Explanation) api.Explanation {
	p := ex.Policy
	d := api.Explanation{
		CSID: v.ID.String(), Name: v.Name, At: ex.At, Policy: string(p.Kind), Rung: ex.Rung.String(), RungReason: ex.Rung.Explain(),
		Verdict: ex.Verdict, TotalLoad: known(ex.Demand), FlowRate: known(ex.OwnRate),
		Constants: api.Constants{Gain: p.Gain, Omega: p.Omega, Penalty: p.Penalty, Eta: p.Eta, Draws: p.Draws, TickSeconds: p.Tick.Seconds()},
	}
	if ex.Lambda > 0 {
		d.LambdaSeconds = known(ex.Lambda.Seconds())
	}
	if ex.Winner >= 0 {
		d.Winner = ex.Candidates[ex.Winner].Key.String()
	}
	if ex.RunnerUp >= 0 {
		d.RunnerUp = ex.Candidates[ex.RunnerUp].Key.String()
		d.MarginShare, d.MarginSeconds = known(ex.MarginShare), known(ex.MarginCost.Seconds())
	}
	for i := range ex.Candidates {
		d.Candidates = append(d.Candidates, candidateDoc(&ex.Candidates[i]))
	}
	for _, t := range ex.Tips {
		d.Tips = append(d.Tips, t.String())
	}
	return d
}

func candidateDoc(c *selection.Explained) api.Candidate {
	d := api.Candidate{
		CSCIID: c.Key.ID.String(), Egress: c.Key.Egress.String(), Site: c.Site, Eligible: c.Eligible,
		Reason: string(c.Reason), WhyNot: c.WhyNot, Terms: termsDoc(c.Terms),
		Pref: c.Terms.Pref, Share: c.Share, WantedShare: known(c.Wanted), Open: float64(c.Terms.Open), FlowRate: c.Terms.Rate,
		Score: score(c.Score), AgeSeconds: known(c.Age.Seconds()), Stale: c.Aged,
	}
	if c.Known {
		d.Utilisation = known(c.Advertised)
		if c.Eligible {
			d.EstimatedUtilisation = known(c.Terms.Anticipated)
		}
	}
	if c.Quota > 0 {
		d.Quota = known(c.Quota)
	}
	if c.Capacity > 0 {
		d.Capacity = known(c.Capacity)
	}
	if c.Slots > 0 {
		d.Slots = known(float64(c.Slots))
	}
	if c.Weight > 0 {
		d.Weight = known(c.Weight)
	}
	if c.Preference != 0 {
		d.Preference = &c.Preference
	}
	if len(c.Tips) > 0 {
		d.Tip = c.Tips[0].String()
	}
	return d
}
