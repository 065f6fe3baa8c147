// Package metrics is every Prometheus series of an agent, in one place.
//
// Gauges are not kept: they are read from the same documents that `catsbgp
// show` prints, at the moment of the scrape, so the two can never disagree.
// Only what is lost with the thing it counts (updates of an instance that is
// gone) is a counter that the agent increments.
//
// No series has more than five labels, none has a label about clients
// (RFC 10054 R17 and R18), and the number of series is bounded whatever the
// network says: a family beyond its limit is cut, and says so.
package metrics

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/catsbgp/catsbgp/internal/api"
)

// MaxSeries is how many series a family may have. The rest is left out and
// counted in catsbgp_scrape_dropped_series.
const MaxSeries = 20000

// scrapeTimeout bounds one scrape; Prometheus gives up after 10 s by default.
const scrapeTimeout = 8 * time.Second

// A Source is the agent, as far as the series need it. Every api.Backend is one.
type Source interface {
	Status(ctx context.Context) (api.Status, error)
	Services(ctx context.Context) ([]api.Service, error)
	Instances(ctx context.Context) ([]api.Instance, error)
	Sites(ctx context.Context) ([]api.Site, error)
	Routes(ctx context.Context) ([]api.Route, error)
	Heard(ctx context.Context) ([]api.HeardRoute, error)
	Peers(ctx context.Context) ([]api.Peer, error)
	Dampening(ctx context.Context) ([]api.Dampening, error)
	Live() bool
}

// A Build identifies the program.
type Build struct{ Version, Revision, GoVersion string }

// Metrics are the series of one agent, in a registry of their own.
type Metrics struct {
	registry *prometheus.Registry
	source   Source
	build    Build
	descs    map[string]*prometheus.Desc

	sent, suppressed, events *bounded
}

// New returns the series of an agent, with those of the Go runtime and the
// process.
func New(source Source, build Build) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), source: source, build: build, descs: map[string]*prometheus.Desc{}}
	for _, d := range Series {
		if d.counted {
			continue
		}
		m.descs[d.Name] = prometheus.NewDesc(d.Name, d.Help, d.Labels, nil)
	}
	m.sent = newBounded("catsbgp_updates_sent_total")
	m.suppressed = newBounded("catsbgp_updates_suppressed_total")
	m.events = newBounded("catsbgp_events_total")
	m.registry.MustRegister(m, m.sent.vec, m.suppressed.vec, m.events.vec,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Registry returns the registry, for collectors of other packages.
func (m *Metrics) Registry() *prometheus.Registry { return m.registry }

// Handler serves the series, as OpenMetrics where the other side wants it.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		EnableOpenMetrics: true, MaxRequestsInFlight: 4, Timeout: 2 * scrapeTimeout,
	})
}

// UpdateSent counts an announcement of a changed or repeated value.
func (m *Metrics) UpdateSent(service, reason string) { m.sent.inc(service, reason) }

// UpdateSuppressed counts a sample that was not announced.
func (m *Metrics) UpdateSuppressed(service, reason string) { m.suppressed.inc(service, reason) }

// Event counts an event.
func (m *Metrics) Event(name, level string) { m.events.inc(name, level) }

// bounded is a counter vector that cannot grow without limit. Beyond it, the
// last label becomes "other".
type bounded struct {
	vec  *prometheus.CounterVec
	mu   sync.Mutex
	seen map[[2]string]prometheus.Counter
}

const maxCounters = 4096

func newBounded(name string) *bounded {
	i := slices.IndexFunc(Series, func(d Definition) bool { return d.Name == name })
	if i < 0 {
		panic("BUG: metrics: no series " + name)
	}
	d := Series[i]
	return &bounded{
		vec:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: d.Name, Help: d.Help}, d.Labels),
		seen: map[[2]string]prometheus.Counter{},
	}
}

func (b *bounded) inc(first, second string) {
	b.mu.Lock()
	key := [2]string{first, second}
	c, ok := b.seen[key]
	if !ok {
		if len(b.seen) >= maxCounters {
			key = [2]string{"other", "other"}
		}
		c = b.vec.WithLabelValues(valid(key[0]), valid(key[1]))
		b.seen[key] = c
	}
	b.mu.Unlock()
	c.Inc()
}

func valid(label string) string { return strings.ToValidUTF8(label, "\uFFFD") }

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range m.descs {
		ch <- d
	}
}

// Collect implements prometheus.Collector. A document that the agent does not
// deliver leaves its series out and is reported as such; the others stand.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	s := &scrape{m: m, ch: ch, families: map[string]map[string]struct{}{}, dropped: map[string]int{}}
	s.gauge("catsbgp_build_info", 1, m.build.Version, m.build.Revision, m.build.GoVersion)
	s.gauge("catsbgp_live", truth(m.source.Live()))

	ask(ctx, s, "status", m.source.Status, s.status)
	ask(ctx, s, "peers", m.source.Peers, s.peers)
	ask(ctx, s, "instances", m.source.Instances, s.instances)
	ask(ctx, s, "dampening", m.source.Dampening, s.dampening)
	ask(ctx, s, "routes", m.source.Routes, s.routes)
	ask(ctx, s, "heard", m.source.Heard, s.heard)
	ask(ctx, s, "services", m.source.Services, s.services)
	ask(ctx, s, "sites", m.source.Sites, s.sites)

	for _, d := range Series {
		if n := s.dropped[d.Name]; n > 0 {
			s.gauge("catsbgp_scrape_dropped_series", float64(n), d.Name)
		}
	}
}

func ask[T any](ctx context.Context, s *scrape, name string, question func(context.Context) (T, error), use func(T)) {
	doc, err := question(ctx)
	s.gauge("catsbgp_scrape_document_success", truth(err == nil), name)
	if err == nil {
		use(doc)
	}
}

// scrape is one collection. It leaves out what would make the whole scrape
// fail: a second series of the same labels, and what exceeds MaxSeries.
type scrape struct {
	m        *Metrics
	ch       chan<- prometheus.Metric
	families map[string]map[string]struct{}
	dropped  map[string]int
}

func (s *scrape) gauge(name string, v float64, labels ...string) {
	s.emit(name, prometheus.GaugeValue, v, labels)
}

func (s *scrape) counter(name string, v float64, labels ...string) {
	s.emit(name, prometheus.CounterValue, v, labels)
}

// known emits a gauge unless the value is unknown.
func (s *scrape) known(name string, v *float64, labels ...string) {
	if v != nil {
		s.gauge(name, *v, labels...)
	}
}

func (s *scrape) emit(name string, t prometheus.ValueType, v float64, labels []string) {
	desc := s.m.descs[name]
	if desc == nil {
		panic("BUG: metrics: no series " + name)
	}
	family := s.families[name]
	if family == nil {
		family = map[string]struct{}{}
		s.families[name] = family
	}
	for i, l := range labels {
		labels[i] = valid(l)
	}
	key := strings.Join(labels, "\xff") // not in valid UTF-8
	if _, twice := family[key]; twice {
		return
	}
	if len(family) >= MaxSeries {
		s.dropped[name]++
		return
	}
	family[key] = struct{}{}
	s.ch <- prometheus.MustNewConstMetric(desc, t, v, labels...)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func unix(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

func (s *scrape) status(d api.Status) {
	s.gauge("catsbgp_agent_info", 1, d.Agent, strings.Join(d.Roles, ","), d.Locator)
	s.gauge("catsbgp_start_time_seconds", unix(d.StartedAt))
	s.gauge("catsbgp_ready", truth(d.Ready))
	count := map[string]int{api.SeverityWarning: 0, api.SeverityCritical: 0}
	for _, w := range d.Warnings {
		if _, ok := count[w.Severity]; ok {
			count[w.Severity]++
		}
	}
	for severity, n := range count {
		s.gauge("catsbgp_warnings", float64(n), severity)
	}
	s.gauge("catsbgp_config_last_reload_successful", truth(d.Config.LastReload == nil || d.Config.LastReload.OK))
	s.gauge("catsbgp_config_last_reload_success_timestamp_seconds", unix(d.Config.LoadedAt))
	for _, v := range d.Services {
		if v.Announced != nil {
			s.gauge("catsbgp_service_announced", truth(*v.Announced), v.Name)
		}
	}
	for _, v := range d.Drains {
		state := 1.0
		if v.State != api.StateDraining {
			state = 2
		}
		s.gauge("catsbgp_drain_state", state, v.Target, v.Scope)
	}
}

func (s *scrape) peers(docs []api.Peer) {
	for _, p := range docs {
		s.gauge("catsbgp_peer_info", 1, p.Name, p.Address, strconv.FormatUint(uint64(p.ASN), 10), p.Type)
		s.gauge("catsbgp_peer_up", truth(p.Up), p.Name)
		s.known("catsbgp_peer_uptime_seconds", p.UptimeSeconds, p.Name)
		s.gauge("catsbgp_peer_routes", float64(p.RoutesReceived), p.Name, "received")
		s.gauge("catsbgp_peer_routes", float64(p.RoutesIgnored), p.Name, "ignored")
		s.gauge("catsbgp_peer_routes", float64(p.RoutesAdvertised), p.Name, "advertised")
		s.counter("catsbgp_peer_flaps_total", float64(p.Flaps), p.Name)
		for kind, n := range p.DecodeErrors {
			s.counter("catsbgp_decode_errors_total", float64(n), p.Name, kind)
		}
	}
}

func (s *scrape) instances(docs []api.Instance) {
	for _, i := range docs {
		s.gauge("catsbgp_instance_up", truth(i.State == api.StateUp), i.Service, i.CSCIID)
		s.gauge("catsbgp_instance_state", 1, i.Service, i.CSCIID, i.State)
		s.counter("catsbgp_metric_samples_total", float64(i.Samples), i.Service, i.CSCIID)
		for _, m := range i.Metrics {
			s.known("catsbgp_service_metric", m.Raw, i.Service, i.CSCIID, m.Name, "raw")
			s.known("catsbgp_service_metric", m.Normalized, i.Service, i.CSCIID, m.Name, "normalized")
			s.known("catsbgp_service_metric", m.Said, i.Service, i.CSCIID, m.Name, "said")
		}
		for _, v := range i.Sources {
			s.gauge("catsbgp_source_up", truth(v.Up), i.Service, i.CSCIID, v.Name)
			s.gauge("catsbgp_source_stale", truth(v.Stale), i.Service, i.CSCIID, v.Name)
			s.known("catsbgp_source_age_seconds", v.AgeSeconds, i.Service, i.CSCIID, v.Name)
			s.counter("catsbgp_source_samples_total", float64(v.Samples), i.Service, i.CSCIID, v.Name)
			s.counter("catsbgp_source_errors_total", float64(v.Errors), i.Service, i.CSCIID, v.Name)
		}
		for _, c := range i.Checks {
			if c.Up != nil {
				s.gauge("catsbgp_check_up", truth(*c.Up), i.Service, i.CSCIID, c.Name)
			}
			s.known("catsbgp_check_latency_seconds", c.LatencySeconds, i.Service, i.CSCIID, c.Name)
		}
	}
}

func (s *scrape) dampening(docs []api.Dampening) {
	for _, d := range docs {
		s.gauge("catsbgp_dampening_penalty", d.Penalty, d.Service, d.CSCIID)
		s.gauge("catsbgp_dampening_suppressed", truth(d.Suppressed), d.Service, d.CSCIID)
		s.gauge("catsbgp_dampening_bucket_tokens", d.BucketTokens, d.Service, d.CSCIID)
		for _, r := range d.RFD {
			s.gauge("catsbgp_rfd_estimated_penalty", r.Penalty, d.Service, d.CSCIID, r.Peer)
			s.gauge("catsbgp_rfd_suppress_threshold", r.Suppress, r.Peer)
		}
	}
}

func (s *scrape) routes(docs []api.Route) {
	type key struct{ kind, state string }
	n := map[key]int{}
	for _, r := range docs {
		n[key{r.Kind, r.State}]++
	}
	for k, n := range n {
		s.gauge("catsbgp_routes", float64(n), k.kind, k.state)
	}
}

func (s *scrape) heard(docs []api.HeardRoute) {
	type key struct {
		peer, kind string
		used       bool
	}
	n := map[key]int{}
	for _, r := range docs {
		n[key{r.Peer, r.Kind, r.Used}]++
	}
	for k, n := range n {
		s.gauge("catsbgp_heard_routes", float64(n), k.peer, k.kind, strconv.FormatBool(k.used))
	}
}

func (s *scrape) services(docs []api.Service) {
	for _, v := range docs {
		if rung := slices.Index(api.Rungs, v.Rung); rung >= 0 {
			s.gauge("catsbgp_selection_rung", float64(rung), v.Name)
		}
		s.counter("catsbgp_selection_changes_total", float64(v.Changes), v.Name)
		s.gauge("catsbgp_selection_flow_rate", v.FlowRate, v.Name)
		for _, t := range v.Targets {
			s.gauge("catsbgp_selection_share", t.Share, v.Name, t.Site, t.CSCIID)
			s.gauge("catsbgp_selection_cost_seconds", t.Terms.CostSeconds, v.Name, t.Site, t.CSCIID)
			s.gauge("catsbgp_selection_open_flows", t.Open, v.Name, t.Site, t.CSCIID)
			s.known("catsbgp_selection_quota", t.Quota, v.Name, t.Site, t.CSCIID)
		}
		excluded := map[string]int{}
		for _, e := range v.Excluded {
			excluded[e.Reason]++
		}
		for reason, n := range excluded {
			s.gauge("catsbgp_selection_excluded", float64(n), v.Name, reason)
		}
	}
}

func (s *scrape) sites(docs []api.Site) {
	for _, v := range docs {
		for _, i := range v.Instances {
			s.gauge("catsbgp_heard_age_seconds", i.AgeSeconds, i.Service, v.Name, i.CSCIID)
			s.gauge("catsbgp_heard_eligible", truth(i.Eligible), i.Service, v.Name, i.CSCIID)
		}
		if v.Local || v.Reachable == nil {
			continue
		}
		s.gauge("catsbgp_netmetric_reachable", truth(*v.Reachable), v.Name)
		s.counter("catsbgp_netmetric_probes_sent_total", float64(v.Sent), v.Name)
		s.counter("catsbgp_netmetric_probes_received_total", float64(v.Received), v.Name)
		if r := v.RTT; r != nil {
			s.gauge("catsbgp_netmetric_rtt_seconds", r.EstimateSeconds, v.Name, "estimate")
			s.gauge("catsbgp_netmetric_rtt_seconds", r.MinSeconds, v.Name, "min")
			s.gauge("catsbgp_netmetric_rtt_seconds", r.MeanSeconds, v.Name, "mean")
			s.gauge("catsbgp_netmetric_rtt_seconds", r.MaxSeconds, v.Name, "max")
			s.gauge("catsbgp_netmetric_variation_seconds", r.VariationSeconds, v.Name)
			s.gauge("catsbgp_netmetric_loss_ratio", r.Loss, v.Name)
		}
	}
}
