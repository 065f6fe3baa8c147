package bgp

import "github.com/prometheus/client_golang/prometheus"

// GoBGP's own collector is used for its timings only: for its routes it runs
// the whole table through the export policies of every peer, under the global
// lock, at every scrape.

var (
	peerLabels = []string{"peer"}

	descUp       = peerDesc("up", "Whether the session is established.")
	descUptime   = peerDesc("uptime_seconds", "How long the session has been established.")
	descFlaps    = peerDesc("flaps_total", "Times the session was lost.")
	descAccepted = peerDesc("routes_accepted", "Routes with CATS information the peer says now.")
	descReceived = peerDesc("routes_received", "Routes the peer says now, of all kinds.")
	descIgnored  = peerDesc("routes_ignored_total", "Announcements beyond the limit.")
	descPlain    = peerDesc("routes_plain_total", "Announcements without CATS information.")
	descUpdates  = peerDesc("announced_total", "Routes the peer has announced.")
	descWithdraw = peerDesc("withdrawn_total", "Routes the peer has withdrawn.")
	descIntended = peerDesc("routes_intended", "Routes the peer should know.")
	descSent     = peerDesc("routes_sent", "Routes handed to GoBGP for the peer.")
	descMsgIn    = peerDesc("messages_received_total", "BGP messages received.")
	descMsgOut   = peerDesc("messages_sent_total", "BGP messages sent.")
)

func peerDesc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName("catsbgp", "bgp_peer", name), help, peerLabels, nil)
}

// Collector returns the metrics of all sessions, and of the GoBGP servers below
// them with the label plane.
func (s *Speaker) Collector() prometheus.Collector { return collector{s} }

type collector struct{ *Speaker }

// Describe sends nothing, as planes come and go with the configuration.
func (collector) Describe(chan<- *prometheus.Desc) {}

func (c collector) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, peer string, v float64) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, peer)
	}
	counter := func(d *prometheus.Desc, peer string, v uint64) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), peer)
	}
	for _, p := range c.Peers() {
		up := 0.0
		if p.Up {
			up = 1
		}
		gauge(descUp, p.Name, up)
		gauge(descUptime, p.Name, p.Uptime.Seconds())
		counter(descFlaps, p.Name, p.Flaps)
		gauge(descAccepted, p.Name, float64(p.Accepted))
		gauge(descReceived, p.Name, float64(p.Received))
		counter(descIgnored, p.Name, p.Ignored)
		counter(descPlain, p.Name, p.Plain)
		counter(descUpdates, p.Name, p.Updates)
		counter(descWithdraw, p.Name, p.Withdrawals)
		gauge(descIntended, p.Name, float64(p.Intended))
		gauge(descSent, p.Name, float64(p.Sent))
		counter(descMsgIn, p.Name, p.MessagesIn)
		counter(descMsgOut, p.Name, p.MessagesOut)
	}
	c.mu.RLock()
	planes := c.planes
	c.mu.RUnlock()
	for _, p := range planes {
		if p != nil {
			labels := prometheus.Labels{"plane": p.kind.String()}
			prometheus.WrapCollectorWith(labels, prometheus.WrapCollectorWithPrefix("catsbgp_gobgp_", p.timings)).Collect(out)
		}
	}
}
