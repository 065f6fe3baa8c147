package apitest

import (
	"time"

	"github.com/catsbgp/catsbgp/internal/api"
)

func ago(d time.Duration) time.Time { return Now.Add(-d) }
func in(d time.Duration) time.Time  { return Now.Add(d) }

func status() api.Status {
	return api.Status{
		Agent: "madrid", Roles: api.List[string]{"egress", "ingress"}, Version: "v0.1.0-test", PID: 4711,
		StartedAt: ago(10 * time.Minute), UptimeSeconds: 600,
		ASN: 65001, RouterID: "192.0.2.21", Locator: "192.0.2.21", Domain: 65001, Profile: 1,
		Ready: true, PeersUp: 1, PeersTotal: 2, InstancesUp: 1, InstancesTotal: 2, SitesUp: 2, SitesTotal: 3,
		Services: api.List[api.ServiceStatus]{
			{CSID: "203.0.113.10", Name: "video", Rung: api.RungFresh, Announced: new(true), InstancesUp: 1, InstancesTotal: 2, Eligible: 2, Candidates: 4},
			{CSID: "2001:db8:cafe::/64", Name: "übersetzung", Rung: api.RungAnycast, Announced: new(false), Candidates: 1, Note: "no instance answers"},
		},
		Drains: api.List[api.DrainState]{
			{Target: "10.0.2.12", Scope: "instance", State: api.StateDraining, Since: ago(time.Minute), DeadlineAt: in(4 * time.Minute), Reason: "kernel update", Open: new(3.0)},
		},
		Config: api.ConfigStatus{File: "/etc/catsbgp/catsbgp.toml", LoadedAt: ago(10 * time.Minute), LastReload: &api.Reload{At: ago(3 * time.Minute), OK: false, Message: "line 12: unknown key"}},
		Warnings: api.List[api.Warning]{
			{Code: "peer_down", Severity: api.SeverityWarning, Message: "peer rr2 is down: hold timer expired", Since: ago(90 * time.Second), Peer: "rr2"},
			{Code: "rfd_budget", Severity: api.SeverityWarning, Message: "peer rr1: estimated damping penalty 1450 of 2000 for 10.0.2.11", Service: "video", Instance: "10.0.2.11", Peer: "rr1"},
		},
	}
}

func services() []api.Service {
	return []api.Service{{
		CSID: "203.0.113.10", Name: "video", Policy: "balanced", Rung: api.RungFresh,
		Version: 37, Since: ago(5 * time.Second), Changes: 36, OpenFlows: 214, FlowRate: 31.5, NextTickSeconds: new(0.8), DataplaneVersion: new(uint64(37)),
		Targets: api.List[api.Target]{
			{CSCIID: "10.0.3.11", Egress: "192.0.2.22", Site: "paris", Share: 0.58, Quota: new(161.0), Open: 121, Capacity: new(400.0), Utilisation: new(0.35), Score: new(7), Terms: api.Terms{CostSeconds: 0.0497, RTTSeconds: 0.0084, ServiceSeconds: 0.040, WaitSeconds: 0.0013}},
			{CSCIID: "10.0.2.11", Egress: "192.0.2.21", Site: "madrid", Share: 0.42, Quota: new(118.0), Open: 93, Capacity: new(200.0), Utilisation: new(0.42), Score: new(6), Terms: api.Terms{CostSeconds: 0.0478, RTTSeconds: 0.0003, ServiceSeconds: 0.045, WaitSeconds: 0.0025}},
		},
		Excluded: api.List[api.Excluded]{
			{CSCIID: "10.0.2.12", Egress: "192.0.2.21", Site: "madrid", Reason: "draining", Detail: "since 1m0s", Since: ago(time.Minute)},
			{CSCIID: "10.0.4.11", Egress: "192.0.2.23", Site: "lyon", Reason: "unreachable", Detail: "5 probes lost in a row", Since: ago(20 * time.Second)},
		},
	}}
}

func instances() []api.Instance {
	return []api.Instance{
		{
			Service: "video", CSID: "203.0.113.10", CSCIID: "10.0.2.11", State: api.StateUp, Since: ago(9 * time.Minute),
			Utilisation: new(0.47), Score: new(6), Samples: 540,
			Metrics: api.List[api.Metric]{
				{Name: "utilisation", Level: 0, Category: "computing", Unit: "ratio", Raw: new(0.47), Normalized: new(5.3), Said: new(0.42)},
				{Name: "in_flight", Level: 0, Raw: new(38.0), Said: new(35.0)},
				{Name: "computing_comb", Level: 1, Unit: "score", Normalized: new(5.0), Said: new(6.0)},
				{Name: "norm_fi", Level: 2, Unit: "score", Normalized: new(6.0), Said: new(6.0)},
			},
			Said: &api.Said{At: ago(12 * time.Second), Why: "delta", Level: new(0.42), Score: new(6), Sequence: 42, ValidUntil: in(78 * time.Second)},
			Held: &api.Held{Why: "threshold", Since: ago(3 * time.Second), Level: new(0.47)},
			Sources: api.List[api.Source]{
				{Name: "prom", Type: "prometheus", Target: "http://10.0.2.11:9100/metrics", Up: true, LastGoodAt: ago(400 * time.Millisecond), AgeSeconds: new(0.4), IntervalSeconds: 1, StalePolicy: "degrade", Samples: 540},
			},
			Checks: api.List[api.Check]{
				{Name: "http-1", Type: "http", Target: "10.0.2.11:8080", Up: new(true), Since: ago(9 * time.Minute), LastAt: ago(time.Second), LatencySeconds: new(0.0021), Needed: 3},
			},
		},
		{
			Service: "video", CSID: "203.0.113.10", CSCIID: "10.0.2.12", State: api.StateDraining, StateReason: "kernel update", Since: ago(time.Minute),
			Utilisation: new(0.08), Score: new(9), Samples: 540,
			Metrics: api.List[api.Metric]{{Name: "utilisation", Level: 0, Category: "computing", Unit: "ratio", Raw: new(0.08), Normalized: new(9.2), Said: new(0.31)}},
			Said:    &api.Said{At: ago(time.Minute), Why: "drain", Level: new(0.31), Score: new(2), Sequence: 17, ValidUntil: in(30 * time.Second)},
			Sources: api.List[api.Source]{
				{Name: "prom", Type: "prometheus", Target: "http://10.0.2.12:9100/metrics", Up: false, LastGoodAt: ago(7 * time.Second), AgeSeconds: new(7.0), IntervalSeconds: 1, Stale: true, StalePolicy: "degrade", Error: "connection refused", Samples: 533, Errors: 7},
			},
			Checks: api.List[api.Check]{
				{Name: "http-1", Type: "http", Target: "10.0.2.12:8080", Up: new(true), Since: ago(9 * time.Minute), LastAt: ago(time.Second), InARow: 1, Needed: 3, Error: "status 503"},
			},
			Drain: &api.DrainState{Target: "10.0.2.12", Scope: "instance", State: api.StateDraining, Since: ago(time.Minute), DeadlineAt: in(4 * time.Minute), Reason: "kernel update", Open: new(3.0)},
		},
	}
}

func sites() []api.Site {
	return []api.Site{
		{
			Locator: "192.0.2.21", Name: "madrid", Local: true, LastHeardAt: ago(12 * time.Second),
			Instances: api.List[api.HeardInstance]{
				{Service: "video", CSID: "203.0.113.10", CSCIID: "10.0.2.11", Sequence: 42, GeneratedAt: ago(12 * time.Second), AgeSeconds: 12, ValiditySeconds: 90, Score: new(6), Utilisation: new(0.42), Capacity: new(200.0), Auth: "none", Eligible: true},
			},
		},
		{
			Locator: "192.0.2.22", Name: "paris", Reachable: new(true), Sent: 600, Received: 598, LastHeardAt: ago(8 * time.Second), Preference: new(uint32(100)),
			RTT: &api.RTT{EstimateSeconds: 0.0084, MinSeconds: 0.0081, MeanSeconds: 0.0085, MaxSeconds: 0.0123, VariationSeconds: 0.0004, Loss: 0.0033},
			Instances: api.List[api.HeardInstance]{
				{Service: "video", CSID: "203.0.113.10", CSCIID: "10.0.3.11", Sequence: 8, GeneratedAt: ago(8 * time.Second), AgeSeconds: 8, ValiditySeconds: 90, Score: new(7), Utilisation: new(0.35), Capacity: new(400.0), Slots: new(16.0), ServiceSeconds: new(0.040), Auth: "key 7", Peer: "rr1", Eligible: true},
			},
		},
		{
			Locator: "192.0.2.23", Name: "lyon", Reachable: new(false), Reason: "5 probes lost in a row", Sent: 600, Received: 580, LastHeardAt: ago(100 * time.Second),
			Instances: api.List[api.HeardInstance]{
				{Service: "video", CSID: "203.0.113.10", CSCIID: "10.0.4.11", Flags: api.List[string]{"damped"}, Sequence: 3, GeneratedAt: ago(100 * time.Second), AgeSeconds: 100, ValiditySeconds: 90, Stale: true, Score: new(9), Utilisation: new(0.1), Auth: "key 7", Peer: "rr1", Why: "unreachable"},
			},
		},
	}
}

func decoded() *api.Decoded {
	return &api.Decoded{
		AttributeType: new(255), AttributeFlags: "0xc0", Length: 62,
		Profile: &api.DecodedProfile{Version: 1, Complete: true, Profile: 1, Domain: 65001}, Locator: "192.0.2.21", Service: "203.0.113.10",
		Instances: api.List[api.DecodedInstance]{{
			Service: "203.0.113.10", CSCIID: "10.0.2.11", Sequence: 42, GeneratedAt: ago(12 * time.Second), ValiditySeconds: 90, WindowSeconds: 10,
			Metrics: api.List[api.DecodedMetric]{{Type: 65, Name: "utilisation", Statistic: "current", Source: api.List[string]{"measured"}, Value: 0.42, Unit: "ratio", Text: "42 %"}},
		}},
	}
}

func routes() []api.Route {
	return []api.Route{
		{
			Prefix: "203.0.113.10/32", Kind: "anycast", Service: "video", State: "announced", Reason: "1 of 1 instances needed", IntendedAt: ago(9 * time.Minute), NextHop: "192.0.2.21",
			Peers: api.List[api.RoutePeer]{{Peer: "rr1", Sent: true, SentAt: ago(9 * time.Minute)}, {Peer: "rr2", Why: "session is down"}},
		},
		{
			Prefix: "10.0.2.11/32", Kind: "instance", Service: "video", CSCIID: "10.0.2.11", State: "announced", Reason: "delta", IntendedAt: ago(12 * time.Second), NextHop: "192.0.2.21",
			Attribute: decoded(), AttributeHex: "ca000c43415453018000010000fde9",
			Peers: api.List[api.RoutePeer]{{Peer: "rr1", Sent: true, SentAt: ago(12 * time.Second)}, {Peer: "rr2", Why: "session is down"}},
		},
	}
}

func heard() []api.HeardRoute {
	return []api.HeardRoute{
		{Prefix: "10.0.3.11/32", Peer: "rr1", Kind: "instance", Service: "video", Egress: "192.0.2.22", HeardAt: ago(8 * time.Second), Carrier: "attribute", Used: true,
			Instances: api.List[api.HeardInstance]{{Service: "video", CSID: "203.0.113.10", CSCIID: "10.0.3.11", Score: new(8), Utilisation: new(0.31), Eligible: true}}},
		{Prefix: "203.0.113.10/32", Peer: "rr1", Kind: "anycast", Service: "video", HeardAt: ago(8 * time.Minute), Why: "signature"},
	}
}

func peers() []api.Peer {
	return []api.Peer{
		{Name: "rr1", Address: "192.0.2.1", ASN: 65001, Type: "ibgp", State: "established", Up: true, Since: ago(598 * time.Second), UptimeSeconds: new(598.0), Domain: true, Carrier: "attribute", Families: api.List[string]{"ipv4", "ipv6"}, RoutesReceived: 6, RoutesAdvertised: 3, BFD: "up", DecodeErrors: api.Counts{"framing": 2}},
		{Name: "rr2", Address: "2001:db8::2", ASN: 65001, Type: "ibgp", State: "active", Since: ago(90 * time.Second), Domain: true, Carrier: "attribute", Families: api.List[string]{"ipv4"}, Flaps: 1, LastError: "hold timer expired", LastDownAt: ago(90 * time.Second)},
	}
}

func dampening() []api.Dampening {
	return []api.Dampening{{
		Service: "video", CSID: "203.0.113.10", CSCIID: "10.0.2.11", Profile: "domain",
		Level: new(0.47), Said: new(0.42), Delta: 0.1, Held: &api.Held{Why: "threshold", Since: ago(3 * time.Second), Level: new(0.47)}, NextAt: in(18 * time.Second),
		Penalty: 1480, PenaltySuppress: 6000, PenaltyReuse: 750, BucketTokens: 3.4, BucketBurst: 5, BucketPerMinute: 12,
		Samples: 540, Sent: api.Counts{"up": 1, "delta": 9, "refresh": 14}, SuppressedByReason: api.Counts{"threshold": 498, "min_interval": 18},
		RFD: api.List[api.RFDEstimate]{{Peer: "rr1", Mode: "warn", Penalty: 1450, Suppress: 2000}},
	}, {
		Service: "video", CSID: "203.0.113.10", CSCIID: "10.0.2.12", Profile: "domain",
		Delta: 0.1, Penalty: 6200, PenaltySuppress: 6000, PenaltyReuse: 750, Suppressed: true, ReuseAt: in(45 * time.Minute), BucketTokens: 5, BucketBurst: 5, BucketPerMinute: 12,
		Samples: 540, Sent: api.Counts{"up": 4, "down": 3}, SuppressedByReason: api.Counts{"penalty": 40},
	}}
}

func explanation() api.Explanation {
	return api.Explanation{
		CSID: "203.0.113.10", Name: "video", At: Now, Policy: "balanced", Rung: api.RungFresh,
		Verdict: "paris takes 58 % of new flows: it has twice madrid's capacity and costs 1.9 ms more per flow",
		Winner:  "10.0.3.11@192.0.2.22", RunnerUp: "10.0.2.11@192.0.2.21", MarginShare: new(0.16), MarginSeconds: new(-0.0019),
		LambdaSeconds: new(0.0489), TotalLoad: new(224.0), FlowRate: new(31.5),
		Constants: api.Constants{Gain: 0.7, Omega: 0.5, Penalty: 64, Eta: 0.9, Draws: 3, TickSeconds: 1},
		Candidates: api.List[api.Candidate]{
			{CSCIID: "10.0.3.11", Egress: "192.0.2.22", Site: "paris", Eligible: true, Reason: "chosen", Terms: api.Terms{CostSeconds: 0.0497, RTTSeconds: 0.0084, ServiceSeconds: 0.040, WaitSeconds: 0.0013}, Utilisation: new(0.35), EstimatedUtilisation: new(0.36), Pref: 0.57, Share: 0.58, WantedShare: new(0.585), Open: 121, Quota: new(161.0), FlowRate: 18.3, Capacity: new(400.0), Slots: new(16.0), Score: new(7), AgeSeconds: new(8.0)},
			{CSCIID: "10.0.2.11", Egress: "192.0.2.21", Site: "madrid", Eligible: true, Reason: "dearer", WhyNot: "marginal cost is balanced against paris; more flows would raise it above 48.9 ms", Tip: "takes half when its utilisation falls below 0.31", Terms: api.Terms{CostSeconds: 0.0478, RTTSeconds: 0.0003, ServiceSeconds: 0.045, WaitSeconds: 0.0025}, Utilisation: new(0.42), EstimatedUtilisation: new(0.41), Pref: 0.43, Share: 0.42, WantedShare: new(0.415), Open: 93, Quota: new(118.0), FlowRate: 13.2, Capacity: new(200.0), Slots: new(8.0), Score: new(6), AgeSeconds: new(12.0)},
			{CSCIID: "10.0.2.12", Egress: "192.0.2.21", Site: "madrid", Reason: "draining", WhyNot: "the site asks for no new flows"},
			{CSCIID: "10.0.4.11", Egress: "192.0.2.23", Site: "lyon", Reason: "unreachable", WhyNot: "5 probes lost in a row", AgeSeconds: new(100.0), Stale: true},
		},
		Tips: api.List[string]{"madrid takes half when its utilisation falls below 0.31", "lyon returns with the first answered probe"},
	}
}
