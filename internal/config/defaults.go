package config

import (
	"time"

	"github.com/catsbgp/catsbgp/dampening"
	"github.com/catsbgp/catsbgp/selection"
)

// All defaults stand here; those of dampening and selection come from their
// packages. What a default takes from another key (agent.domain from bgp.asn,
// a service's aggregate_id from the locator, a check's name) is set where the
// other key is known, in the build files.

func (r *rawAgent) defaults(map[string]any) {
	*r = rawAgent{NormalizationProfile: 1, StateDir: "/var/lib/catsbgp"}
}

func (r *rawLog) defaults(map[string]any) { *r = rawLog{Level: "info", Format: "auto"} }

func (r *rawAPI) defaults(map[string]any) {
	*r = rawAPI{Socket: "/run/catsbgp/catsbgp.sock", SocketMode: 0o660, Events: 4096}
}

func (r *rawBGP) defaults(map[string]any) {
	*r = rawBGP{
		Listen: addresses("0.0.0.0", "::"), Port: 179, AttributeType: 255,
		MaxRoutesPerPeer: 600_000, MaxInstancesPerService: 1024,
	}
}

const defaultRFDSuppress = 2000 // Cisco's; the lowest of those in use

func (r *rawPeer) defaults(map[string]any) {
	*r = rawPeer{
		Port: 179, HoldTime: duration(90 * time.Second), ConnectRetry: duration(5 * time.Second),
		Families: []string{"ipv4", "ipv6"}, Domain: true,
		RFDBudget: "off", RFDSuppress: defaultRFDSuppress,
	}
}

func (r *rawDampening) defaults(node map[string]any) {
	profile, p := "domain", dampening.Domain()
	if node["profile"] == "conservative" {
		profile, p = "conservative", dampening.Conservative()
	}
	*r = rawDampening{
		Profile: profile, ObserveOnly: p.ObserveOnly,
		Delta: ratio(p.Delta), High: ratio(p.High), Low: ratio(p.Low), Smoothing: duration(p.Smoothing),
		MinInterval: duration(p.MinInterval), Refresh: duration(p.Refresh), Validity: duration(p.Validity),
		BucketPerMinute: p.BucketPerMinute, BucketBurst: p.BucketBurst, SessionPerSec: p.SessionPerSec,
		PresencePenalty: p.PresencePenalty, PresenceSuppress: p.PresenceSuppress, PresenceReuse: p.PresenceReuse,
		PresenceHalfLife: duration(p.PresenceHalfLife), PresenceMaxSuppress: duration(p.PresenceMaxSuppress),
		CreatePerMinute: p.CreatePerMinute,
	}
}

func (r *rawService) defaults(map[string]any) {
	*r = rawService{Announce: "per-instance", MinInstances: 1, Policy: string(selection.Balanced)}
}

func (r *rawNormalization) defaults(map[string]any) {
	*r = rawNormalization{Window: duration(10 * time.Second), Function: "min-max", Aggregation: "weighted-mean"}
}

func (r *rawWeights) defaults(map[string]any) { *r = rawWeights{Computing: 1, Service: 1} }

func (r *rawInput) defaults(map[string]any) { *r = rawInput{Weight: 1} }

func (r *rawSource) defaults(map[string]any) {
	*r = rawSource{
		Interval: duration(time.Second), Timeout: duration(800 * time.Millisecond), StaleAfter: duration(5 * time.Second),
		Stale: "degrade", MaxBody: 4 << 20,
	}
}

func (r *rawSelector) defaults(map[string]any) { *r = rawSelector{Aggregate: "sum", Scale: 1} }

func (r *rawCheck) defaults(map[string]any) {
	*r = rawCheck{
		Path: "/", ExpectStatus: "200-399", TLSVerify: true,
		Interval: duration(2 * time.Second), FastInterval: duration(500 * time.Millisecond), Timeout: duration(time.Second),
		Rise: 3, Fall: 3,
	}
}

func (r *rawSelection) defaults(map[string]any) {
	p := selection.Default()
	*r = rawSelection{
		Tick: duration(p.Tick), Gain: p.Gain, Omega: p.Omega, Penalty: p.Penalty, Eta: ratio(p.Eta),
		Draws: p.Draws, MinShare: p.MinShare, RateWindow: duration(p.RateWindow),
		NewInstanceHold: duration(p.NewInstanceHold), DefaultSlots: p.DefaultSlots,
		DefaultServiceTime: duration(p.DefaultServiceTime),
		StaleAfter:         duration(p.StaleAfter), OutAfter: duration(p.OutAfter),
	}
}

func (r *rawSite) defaults(map[string]any) { *r = rawSite{Weight: 1} }

func (r *rawNetMetric) defaults(map[string]any) {
	*r = rawNetMetric{
		Reflector: ":862", Port: 862,
		Interval: duration(time.Second), Window: duration(30 * time.Second), Timeout: duration(time.Second),
		UnreachableAfter: 5, MaxTargets: 1024,
	}
}
