package metrics

// A Definition is one family of series.
type Definition struct {
	Name   string
	Help   string
	Labels []string

	counted bool // incremented by the agent instead of read from a document
}

// Series are all families, in the order of documentation. Names follow
// prometheus.io/docs/practices/naming: base units, _total for counters.
// A peer is its configured name everywhere; join with catsbgp_peer_info for
// the rest. An instance of a service is the label csci_id, since Prometheus
// gives "instance" to the scraped agent.
var Series = []Definition{
	{Name: "catsbgp_build_info", Help: "1; what runs.", Labels: []string{"version", "revision", "goversion"}},
	{Name: "catsbgp_agent_info", Help: "1; who runs.", Labels: []string{"agent", "roles", "locator"}},
	{Name: "catsbgp_start_time_seconds", Help: "When the agent started, in seconds since 1970."},
	{Name: "catsbgp_live", Help: "1 if the agent's loop turns."},
	{Name: "catsbgp_ready", Help: "1 if the agent is ready, see /readyz?verbose."},
	{Name: "catsbgp_warnings", Help: "Warnings in `catsbgp status`, by severity.", Labels: []string{"severity"}},
	{Name: "catsbgp_config_last_reload_successful", Help: "1 unless the last reload was not accepted."},
	{Name: "catsbgp_config_last_reload_success_timestamp_seconds", Help: "When the configuration in force was loaded, in seconds since 1970."},
	{Name: "catsbgp_events_total", Help: "Events, by name and level, also those the ring left out.", Labels: []string{"name", "level"}, counted: true},

	{Name: "catsbgp_peer_info", Help: "1; what is configured of a peer.", Labels: []string{"peer", "address", "asn", "type"}},
	{Name: "catsbgp_peer_up", Help: "1 if the BGP session is Established.", Labels: []string{"peer"}},
	{Name: "catsbgp_peer_uptime_seconds", Help: "How long the session has been Established; absent if it is not.", Labels: []string{"peer"}},
	{Name: "catsbgp_peer_routes", Help: "Routes of a session: received, ignored beyond max_routes_per_peer, advertised.", Labels: []string{"peer", "direction"}},
	{Name: "catsbgp_peer_flaps_total", Help: "Times the session was lost.", Labels: []string{"peer"}},
	{Name: "catsbgp_decode_errors_total", Help: "CATS information that could not be read or used, by kind.", Labels: []string{"peer", "kind"}},

	{Name: "catsbgp_service_announced", Help: "1 if the service's anycast route is announced here.", Labels: []string{"service"}},
	{Name: "catsbgp_instance_up", Help: "1 if the local instance is offered.", Labels: []string{"service", "csci_id"}},
	{Name: "catsbgp_instance_state", Help: "1 for the state the local instance is in.", Labels: []string{"service", "csci_id", "state"}},
	{Name: "catsbgp_service_metric", Help: "A metric of a local instance: raw as measured, normalized to 0..10, said as last announced.", Labels: []string{"service", "csci_id", "metric", "stage"}},
	{Name: "catsbgp_metric_samples_total", Help: "Samples taken of a local instance.", Labels: []string{"service", "csci_id"}},
	{Name: "catsbgp_source_up", Help: "1 if the last question to the source was answered.", Labels: []string{"service", "csci_id", "source"}},
	{Name: "catsbgp_source_stale", Help: "1 if the source has been silent for stale_after.", Labels: []string{"service", "csci_id", "source"}},
	{Name: "catsbgp_source_age_seconds", Help: "Age of the last good sample.", Labels: []string{"service", "csci_id", "source"}},
	{Name: "catsbgp_source_samples_total", Help: "Good samples of a source.", Labels: []string{"service", "csci_id", "source"}},
	{Name: "catsbgp_source_errors_total", Help: "Questions to a source without a good answer.", Labels: []string{"service", "csci_id", "source"}},
	{Name: "catsbgp_check_up", Help: "1 if the health check holds the instance for up.", Labels: []string{"service", "csci_id", "check"}},
	{Name: "catsbgp_check_latency_seconds", Help: "How long the last health check took.", Labels: []string{"service", "csci_id", "check"}},

	{Name: "catsbgp_updates_sent_total", Help: "Values announced, by reason.", Labels: []string{"service", "reason"}, counted: true},
	{Name: "catsbgp_updates_suppressed_total", Help: "Samples not announced, by reason.", Labels: []string{"service", "reason"}, counted: true},
	{Name: "catsbgp_dampening_penalty", Help: "RFC 2439 figure of merit of a local instance.", Labels: []string{"service", "csci_id"}},
	{Name: "catsbgp_dampening_suppressed", Help: "1 if the instance is held down by its penalty.", Labels: []string{"service", "csci_id"}},
	{Name: "catsbgp_dampening_bucket_tokens", Help: "Updates the token bucket would let through at once.", Labels: []string{"service", "csci_id"}},
	{Name: "catsbgp_rfd_estimated_penalty", Help: "Estimated route-flap-damping penalty of the instance route at a peer.", Labels: []string{"service", "csci_id", "peer"}},
	{Name: "catsbgp_rfd_suppress_threshold", Help: "The peer's suppress threshold, as configured.", Labels: []string{"peer"}},
	{Name: "catsbgp_routes", Help: "Own routes, by kind and state.", Labels: []string{"kind", "state"}},
	{Name: "catsbgp_drain_state", Help: "1 draining, 2 drained or withdrawn; absent: no drain.", Labels: []string{"target", "scope"}},

	{Name: "catsbgp_heard_routes", Help: "Routes heard that concern CATS.", Labels: []string{"peer", "kind", "used"}},
	{Name: "catsbgp_heard_age_seconds", Help: "Age of what a site said last of an instance.", Labels: []string{"service", "site", "csci_id"}},
	{Name: "catsbgp_heard_eligible", Help: "1 if the instance may be selected.", Labels: []string{"service", "site", "csci_id"}},

	{Name: "catsbgp_selection_share", Help: "Share of the service's new flows, 0..1.", Labels: []string{"service", "site", "csci_id"}},
	{Name: "catsbgp_selection_cost_seconds", Help: "Marginal cost of one more flow.", Labels: []string{"service", "site", "csci_id"}},
	{Name: "catsbgp_selection_open_flows", Help: "Own open flows.", Labels: []string{"service", "site", "csci_id"}},
	{Name: "catsbgp_selection_quota", Help: "Open flows beyond which new ones go elsewhere.", Labels: []string{"service", "site", "csci_id"}},
	{Name: "catsbgp_selection_excluded", Help: "Candidates without a share, by reason.", Labels: []string{"service", "reason"}},
	{Name: "catsbgp_selection_flow_rate", Help: "New flows per second that enter here.", Labels: []string{"service"}},
	{Name: "catsbgp_selection_changes_total", Help: "Changes of the split.", Labels: []string{"service"}},
	{Name: "catsbgp_selection_rung", Help: "Rung of the failure ladder: 0 fresh, 1 aged, 2 aggregates, 3 measured, 4 anycast.", Labels: []string{"service"}},

	{Name: "catsbgp_netmetric_reachable", Help: "1 if the site answers probes.", Labels: []string{"site"}},
	{Name: "catsbgp_netmetric_rtt_seconds", Help: "Round trip to a site over the window; estimate is what selection uses.", Labels: []string{"site", "statistic"}},
	{Name: "catsbgp_netmetric_variation_seconds", Help: "Delay variation over the window (RFC 8570 section 4.3).", Labels: []string{"site"}},
	{Name: "catsbgp_netmetric_loss_ratio", Help: "Probes lost over the window, 0..1.", Labels: []string{"site"}},
	{Name: "catsbgp_netmetric_probes_sent_total", Help: "STAMP probes sent.", Labels: []string{"site"}},
	{Name: "catsbgp_netmetric_probes_received_total", Help: "STAMP probes answered.", Labels: []string{"site"}},

	{Name: "catsbgp_scrape_document_success", Help: "1 if the agent delivered the document that series are read from.", Labels: []string{"document"}},
	{Name: "catsbgp_scrape_dropped_series", Help: "Series left out of a family that is too large; absent: none.", Labels: []string{"family"}},
}
