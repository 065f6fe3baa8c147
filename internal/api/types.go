package api

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/catsbgp/catsbgp/internal/events"
)

// Schema is the version of all documents.
const Schema = "catsbgp/v1"

// A Kind says what the items of a Document are.
type Kind string

const (
	KindStatus       Kind = "Status"
	KindService      Kind = "Service"
	KindInstance     Kind = "Instance"
	KindSite         Kind = "Site"
	KindRoute        Kind = "Route"
	KindHeardRoute   Kind = "HeardRoute"
	KindPeer         Kind = "Peer"
	KindDampening    Kind = "Dampening"
	KindEvent        Kind = "Event"
	KindExplanation  Kind = "Explanation"
	KindReloadResult Kind = "ReloadResult"
	KindDrainResult  Kind = "DrainResult"
	KindPushResult   Kind = "PushResult"
	KindDecoded      Kind = "Decoded"
	KindMetric       Kind = "Metric"
	KindHealth       Kind = "Health"
	KindProblem      Kind = "Problem"
	KindChange       Kind = "Change"
	KindVersion      Kind = "Version"
	KindError        Kind = "Error"
)

// A Document is the envelope of everything said in JSON, by the server and by
// the commands. A kind of which there is one (Status) has one item.
type Document[T any] struct {
	Schema      string    `json:"schema"`
	Kind        Kind      `json:"kind"`
	GeneratedAt time.Time `json:"generated_at"`
	Items       List[T]   `json:"items"`
}

// NewDocument wraps items.
func NewDocument[T any](kind Kind, now time.Time, items ...T) Document[T] {
	return Document[T]{Schema: Schema, Kind: kind, GeneratedAt: now.UTC(), Items: items}
}

// A List is a slice that is [] in JSON when empty, never null.
type List[T any] []T

// MarshalJSON implements json.Marshaler.
func (l List[T]) MarshalJSON() ([]byte, error) {
	if len(l) == 0 {
		return []byte("[]"), nil
	}
	return json.Marshal([]T(l))
}

// Counts are counters by reason or kind; {} in JSON when empty, never null.
type Counts map[string]uint64

// MarshalJSON implements json.Marshaler.
func (c Counts) MarshalJSON() ([]byte, error) {
	if len(c) == 0 {
		return []byte("{}"), nil
	}
	return json.Marshal(map[string]uint64(c))
}

// A pointer field is nil, and absent in JSON, where the value is unknown: zero
// and unknown are different things to an operator. new(0.42) makes one.

// ---- Status ---------------------------------------------------------------

// Status is the agent on one screen.
type Status struct {
	Agent         string       `json:"agent"` // agent.name
	Roles         List[string] `json:"roles"` // "egress", "ingress"
	Version       string       `json:"version"`
	PID           int          `json:"pid"`
	StartedAt     time.Time    `json:"started_at"`
	UptimeSeconds float64      `json:"uptime_seconds"`
	ASN           uint32       `json:"asn"`
	RouterID      string       `json:"router_id"`
	Locator       string       `json:"locator"`
	Domain        uint32       `json:"domain"`
	Profile       uint16       `json:"normalization_profile"`

	Ready    bool         `json:"ready"`
	NotReady List[string] `json:"not_ready"` // what is missing

	PeersUp        int `json:"peers_up"`
	PeersTotal     int `json:"peers_total"`
	InstancesUp    int `json:"instances_up"` // local
	InstancesTotal int `json:"instances_total"`
	SitesUp        int `json:"sites_up"` // heard and reachable
	SitesTotal     int `json:"sites_total"`

	Services List[ServiceStatus] `json:"services"`
	Drains   List[DrainState]    `json:"drains"`
	Config   ConfigStatus        `json:"config"`
	Warnings List[Warning]       `json:"warnings"`
}

// Rungs of the failure ladder of a service at an ingress, best first.
const (
	RungFresh     = "fresh"      // fresh instance metrics
	RungAged      = "aged"       // aged metrics, discounted
	RungAggregate = "aggregates" // site aggregates
	RungMeasured  = "measured"   // the measured network only
	RungAnycast   = "anycast"    // plain anycast routing
)

// Rungs are the rungs in order, best first.
var Rungs = []string{RungFresh, RungAged, RungAggregate, RungMeasured, RungAnycast}

// ServiceStatus is a service in one line.
type ServiceStatus struct {
	CSID      string `json:"cs_id"`
	Name      string `json:"name"`
	Rung      string `json:"rung,omitempty"`      // ingress; absent at a pure egress
	Announced *bool  `json:"announced,omitempty"` // egress: the anycast route is announced here
	// Local instances, and heard ones that are eligible.
	InstancesUp    int    `json:"instances_up"`
	InstancesTotal int    `json:"instances_total"`
	Eligible       int    `json:"eligible"`
	Candidates     int    `json:"candidates"`
	Note           string `json:"note,omitempty"`
}

// ConfigStatus is where the configuration in force comes from.
type ConfigStatus struct {
	File       string    `json:"file"`
	LoadedAt   time.Time `json:"loaded_at"`
	LastReload *Reload   `json:"last_reload,omitempty"` // absent: never reloaded
}

// Reload is the outcome of the last attempt to reload.
type Reload struct {
	At      time.Time `json:"at"`
	OK      bool      `json:"ok"`
	Message string    `json:"message,omitempty"`
}

// Severities of a Warning.
const (
	SeverityWarning  = "warning"
	SeverityCritical = "critical"
)

// A Warning is something that an operator should know now. Code is stable.
type Warning struct {
	Code     string    `json:"code"` // e.g. "peer_down", "reload_failed", "rfd_budget"
	Severity string    `json:"severity"`
	Message  string    `json:"message"`
	Since    time.Time `json:"since,omitzero"`
	Service  string    `json:"service,omitempty"`
	Instance string    `json:"instance,omitempty"`
	Site     string    `json:"site,omitempty"`
	Peer     string    `json:"peer,omitempty"`
}

// ---- Service (ingress) ----------------------------------------------------

// Service is how new flows of a service are split.
type Service struct {
	CSID             string         `json:"cs_id"`
	Name             string         `json:"name"`
	Policy           string         `json:"policy"`
	PolicyWarning    string         `json:"policy_warning,omitempty"`
	Rung             string         `json:"rung"`
	RungReason       string         `json:"rung_reason,omitempty"`
	Version          uint64         `json:"version"` // of the split; grows with every change
	Since            time.Time      `json:"since"`   // of this version
	Changes          uint64         `json:"changes_total"`
	OpenFlows        float64        `json:"open_flows"`
	FlowRate         float64        `json:"flow_rate"` // own new flows per second
	NextTickSeconds  *float64       `json:"next_tick_seconds,omitempty"`
	Targets          List[Target]   `json:"targets"`
	Excluded         List[Excluded] `json:"excluded"`
	DataplaneVersion *uint64        `json:"dataplane_version,omitempty"` // version the forwarder holds
}

// Target is an instance with a part in the split.
type Target struct {
	CSCIID      string   `json:"csci_id"`
	Egress      string   `json:"egress"` // Egress-Locator
	Site        string   `json:"site"`   // name, or the locator
	Share       float64  `json:"share"`  // 0..1
	Quota       *float64 `json:"quota,omitempty"`
	Open        float64  `json:"open"`               // own open flows
	Capacity    *float64 `json:"capacity,omitempty"` // flows/s
	Utilisation *float64 `json:"utilisation,omitempty"`
	Score       *int     `json:"score,omitempty"` // norm_fi 0..10
	Terms       Terms    `json:"terms"`
	Stale       bool     `json:"stale"`
	Reason      string   `json:"reason,omitempty"`
}

// Terms are the marginal cost of one more flow and its parts (steering:
// φ = RTT + s + ω(W + u·W′) + B·s·(…)²), in seconds.
type Terms struct {
	CostSeconds    float64 `json:"cost_seconds"` // φ, the sum
	RTTSeconds     float64 `json:"rtt_seconds"`
	ServiceSeconds float64 `json:"service_seconds"`
	WaitSeconds    float64 `json:"wait_seconds"`    // ω(W + u·W′)
	PenaltySeconds float64 `json:"penalty_seconds"` // B·s·(…)², of loading beyond eta
}

// Excluded is a candidate without a part in the split.
type Excluded struct {
	CSCIID string    `json:"csci_id"`
	Egress string    `json:"egress"`
	Site   string    `json:"site"`
	Reason string    `json:"reason"` // stable word: "draining", "unreachable", "stale", …
	Detail string    `json:"detail,omitempty"`
	Since  time.Time `json:"since,omitzero"`
}

// ---- Instance (egress) ----------------------------------------------------

// States of a local instance.
const (
	StateStarting   = "starting"   // not yet known
	StateUp         = "up"         // offered
	StateDown       = "down"       // checks failed, or a source withdrew it
	StateHeld       = "held"       // waits for the create quota
	StateSuppressed = "suppressed" // came and went too often
	StateDraining   = "draining"   // no new flows, open ones go on
	StateDrained    = "drained"    // nothing left
)

// Instance is one instance of this site.
type Instance struct {
	Service     string    `json:"service"`
	CSID        string    `json:"cs_id"`
	CSCIID      string    `json:"csci_id"`
	Aggregate   bool      `json:"aggregate"` // the site as a whole
	State       string    `json:"state"`
	StateReason string    `json:"state_reason,omitempty"`
	Since       time.Time `json:"since,omitzero"` // of the state

	Utilisation *float64 `json:"utilisation,omitempty"`
	Score       *int     `json:"score,omitempty"` // norm_fi 0..10
	Anomalous   bool     `json:"anomalous"`

	Metrics List[Metric] `json:"metrics"`
	Said    *Said        `json:"said,omitempty"` // absent: never announced
	Held    *Held        `json:"held,omitempty"` // absent: nothing is being held back
	Sources List[Source] `json:"sources"`
	Checks  List[Check]  `json:"checks"`
	Drain   *DrainState  `json:"drain,omitempty"`
	Samples uint64       `json:"samples_total"`
}

// Metric is one value on its way from raw to announced.
type Metric struct {
	Service    string   `json:"service,omitempty"` // only in the list `show metrics`
	CSCIID     string   `json:"csci_id,omitempty"`
	Name       string   `json:"name"`  // "utilisation", "computing_comb", "norm_fi", …
	Level      int      `json:"level"` // 0, 1, 2
	Category   string   `json:"category,omitempty"`
	Unit       string   `json:"unit,omitempty"`       // "ratio", "s", "flows/s", "score", ""
	Raw        *float64 `json:"raw,omitempty"`        // L0, as measured over the window
	Normalized *float64 `json:"normalized,omitempty"` // 0..10
	Said       *float64 `json:"said,omitempty"`       // in the last announcement, in Unit
}

// Said is the last announcement of an instance.
type Said struct {
	At         time.Time `json:"at"`
	Why        string    `json:"why"`             // "up", "delta", "high", "low", "refresh", "drain", …
	Level      *float64  `json:"level,omitempty"` // the utilisation announced
	Score      *int      `json:"score,omitempty"`
	Sequence   uint32    `json:"sequence"`
	ValidUntil time.Time `json:"valid_until,omitzero"` // zero: until withdrawn
}

// Held is a changed value that is not announced yet.
type Held struct {
	Why   string    `json:"why"` // "threshold", "min_interval", "bucket", "session_budget", "penalty", "rfd_budget", …
	Since time.Time `json:"since,omitzero"`
	Until time.Time `json:"until,omitzero"` // zero: until it changes further
	Level *float64  `json:"level,omitempty"`
}

// Source is one place where an instance's values come from.
type Source struct {
	Name            string    `json:"name"`
	Type            string    `json:"type"`
	Target          string    `json:"target,omitempty"` // URL, command; no credentials
	Up              bool      `json:"up"`
	LastGoodAt      time.Time `json:"last_good_at,omitzero"`
	AgeSeconds      *float64  `json:"age_seconds,omitempty"` // of the last good sample; absent: none yet
	IntervalSeconds float64   `json:"interval_seconds"`
	Stale           bool      `json:"stale"`
	StalePolicy     string    `json:"stale_policy,omitempty"` // hold, degrade, withdraw
	Error           string    `json:"error,omitempty"`
	Samples         uint64    `json:"samples_total"`
	Errors          uint64    `json:"errors_total"`
}

// Check is one health check of an instance.
type Check struct {
	Name           string    `json:"name"`
	Type           string    `json:"type"`
	Target         string    `json:"target"`
	Up             *bool     `json:"up,omitempty"` // absent: not yet known
	Since          time.Time `json:"since,omitzero"`
	LastAt         time.Time `json:"last_at,omitzero"`
	LatencySeconds *float64  `json:"latency_seconds,omitempty"`
	InARow         int       `json:"in_a_row"` // results against the present state
	Needed         int       `json:"needed"`   // of them, to change it (rise or fall)
	Error          string    `json:"error,omitempty"`
}

// DrainState is a drain in force.
type DrainState struct {
	Target     string    `json:"target"` // as the operator named it
	Scope      string    `json:"scope"`  // "site", "service", "instance"
	State      string    `json:"state"`  // "draining", "drained", "withdrawn"
	Since      time.Time `json:"since"`
	DeadlineAt time.Time `json:"deadline_at,omitzero"`
	Withdraw   bool      `json:"withdraw"`
	Reason     string    `json:"reason,omitempty"`
	Open       *float64  `json:"open,omitempty"` // flows or sessions left, where known
}

// ---- Site (ingress) -------------------------------------------------------

// Site is an egress heard in BGP, with the path to it.
type Site struct {
	Locator     string              `json:"locator"`
	Name        string              `json:"name"`
	Local       bool                `json:"local"`               // this agent itself
	Reachable   *bool               `json:"reachable,omitempty"` // absent: not measured
	Reason      string              `json:"reason,omitempty"`
	RTT         *RTT                `json:"rtt,omitempty"` // absent: no answer in the window
	Sent        uint64              `json:"probes_sent_total"`
	Received    uint64              `json:"probes_received_total"`
	LastHeardAt time.Time           `json:"last_heard_at,omitzero"` // newest announcement
	Preference  *uint32             `json:"site_preference,omitempty"`
	Instances   List[HeardInstance] `json:"instances"`
}

// RTT is the measured path to a site, over the window (RFC 8570 semantics).
type RTT struct {
	EstimateSeconds  float64 `json:"estimate_seconds"` // what selection uses
	MinSeconds       float64 `json:"min_seconds"`
	MeanSeconds      float64 `json:"mean_seconds"`
	MaxSeconds       float64 `json:"max_seconds"`
	VariationSeconds float64 `json:"variation_seconds"`
	Loss             float64 `json:"loss"` // 0..1
}

// HeardInstance is what a site says of one instance.
type HeardInstance struct {
	Service         string       `json:"service"` // name, or the CS-ID
	CSID            string       `json:"cs_id"`
	CSCIID          string       `json:"csci_id"`
	Flags           List[string] `json:"flags"` // "aggregate", "drain", "damped", "anomalous"
	Sequence        uint32       `json:"sequence"`
	GeneratedAt     time.Time    `json:"generated_at"`
	AgeSeconds      float64      `json:"age_seconds"`
	ValiditySeconds float64      `json:"validity_seconds"` // 0: until withdrawn
	Stale           bool         `json:"stale"`
	Score           *int         `json:"score,omitempty"`
	Utilisation     *float64     `json:"utilisation,omitempty"`
	Capacity        *float64     `json:"capacity,omitempty"` // flows/s
	InFlight        *float64     `json:"in_flight,omitempty"`
	Slots           *float64     `json:"slots,omitempty"`
	ServiceSeconds  *float64     `json:"service_seconds,omitempty"`
	DelaySeconds    *float64     `json:"delay_seconds,omitempty"`
	Auth            string       `json:"auth,omitempty"` // "key 7", "none", "bad signature key 7"
	Peer            string       `json:"peer,omitempty"`
	Eligible        bool         `json:"eligible"`
	Why             string       `json:"why,omitempty"` // not eligible because
}

// ---- Routes and peers -----------------------------------------------------

// Route is a route of ours: intended, and what became of it at each peer.
type Route struct {
	Prefix       string          `json:"prefix"`
	Kind         string          `json:"kind"` // "anycast", "instance"
	Service      string          `json:"service"`
	CSCIID       string          `json:"csci_id,omitempty"`
	State        string          `json:"state"` // "announced", "withheld", "withdrawing"
	Reason       string          `json:"reason,omitempty"`
	IntendedAt   time.Time       `json:"intended_at,omitzero"` // when the present form was wanted
	NextHop      string          `json:"next_hop,omitempty"`
	Communities  List[string]    `json:"communities"`
	Attribute    *Decoded        `json:"attribute,omitempty"`
	AttributeHex string          `json:"attribute_hex,omitempty"`
	Peers        List[RoutePeer] `json:"peers"`
}

// RoutePeer is a route at one peer.
type RoutePeer struct {
	Peer   string    `json:"peer"`
	Sent   bool      `json:"sent"` // the present form, on an established session
	SentAt time.Time `json:"sent_at,omitzero"`
	Why    string    `json:"why,omitempty"` // not sent because
}

// HeardRoute is a route that a peer announces and that concerns CATS.
type HeardRoute struct {
	Prefix  string `json:"prefix"`
	PathID  uint32 `json:"path_id,omitempty"`
	Peer    string `json:"peer"`
	Kind    string `json:"kind"` // "anycast", "instance"
	Service string `json:"service,omitempty"`
	Egress  string `json:"egress,omitempty"` // Egress-Locator it leads to
	// HeardAt is when what it says was heard, less its age then.
	HeardAt   time.Time           `json:"heard_at,omitzero"`
	Carrier   string              `json:"carrier,omitempty"` // "attribute", "communities", absent: it says no more than that the site is there
	Used      bool                `json:"used"`
	Why       string              `json:"why,omitempty"` // not used because
	Instances List[HeardInstance] `json:"instances"`     // that it speaks of
}

// Peer is one BGP session.
type Peer struct {
	Name             string       `json:"name"`
	Address          string       `json:"address"`
	ASN              uint32       `json:"asn"`
	Type             string       `json:"type"`  // "ibgp", "ebgp"
	State            string       `json:"state"` // "established", "active", "idle", …
	Up               bool         `json:"up"`
	Since            time.Time    `json:"since,omitzero"` // of the state
	UptimeSeconds    *float64     `json:"uptime_seconds,omitempty"`
	Domain           bool         `json:"domain"` // CATS information is exchanged
	Carrier          string       `json:"carrier,omitempty"`
	Families         List[string] `json:"families"`
	RoutesReceived   uint64       `json:"routes_received"`
	RoutesIgnored    uint64       `json:"routes_ignored"` // beyond max_routes_per_peer
	RoutesAdvertised uint64       `json:"routes_advertised"`
	Flaps            uint64       `json:"flaps_total"`
	LastError        string       `json:"last_error,omitempty"`
	LastDownAt       time.Time    `json:"last_down_at,omitzero"`
	DecodeErrors     Counts       `json:"decode_errors_total"` // by kind
	BFD              string       `json:"bfd,omitempty"`       // "up", "down", absent: not configured
	GracefulRestart  bool         `json:"graceful_restart"`
}

// ---- Dampening (egress) ---------------------------------------------------

// Dampening is the gate of one instance: what holds its announcements back.
type Dampening struct {
	Service string `json:"service"`
	CSID    string `json:"cs_id"`
	CSCIID  string `json:"csci_id"`
	Profile string `json:"profile"` // "domain", "conservative"
	Observe bool   `json:"observe_only"`

	Level  *float64  `json:"level,omitempty"` // smoothed, now
	Said   *float64  `json:"said,omitempty"`  // announced
	Delta  float64   `json:"delta"`           // the difference worth an update
	Held   *Held     `json:"held,omitempty"`
	NextAt time.Time `json:"next_at,omitzero"` // when the gate looks again

	Penalty            float64   `json:"penalty"` // RFC 2439 figure of merit, now
	PenaltySuppress    float64   `json:"penalty_suppress"`
	PenaltyReuse       float64   `json:"penalty_reuse"`
	Suppressed         bool      `json:"suppressed"`
	ReuseAt            time.Time `json:"reuse_at,omitzero"`
	BucketTokens       float64   `json:"bucket_tokens"`
	BucketBurst        float64   `json:"bucket_burst"`
	BucketPerMinute    float64   `json:"bucket_per_minute"`
	Samples            uint64    `json:"samples_total"`
	Sent               Counts    `json:"sent_total"`       // by reason
	SuppressedByReason Counts    `json:"suppressed_total"` // by reason

	RFD List[RFDEstimate] `json:"rfd"`
}

// RFDEstimate is what a peer's route-flap damping probably thinks of the
// instance's prefix.
type RFDEstimate struct {
	Peer     string    `json:"peer"`
	Mode     string    `json:"mode"` // "warn", "enforce"
	Penalty  float64   `json:"penalty"`
	Suppress float64   `json:"suppress"`
	Until    time.Time `json:"until,omitzero"` // silent until then
}

// ---- Explanation (ingress) ------------------------------------------------

// Explanation answers "why does new traffic of this service go there".
type Explanation struct {
	CSID        string    `json:"cs_id"`
	Name        string    `json:"name"`
	At          time.Time `json:"at"`
	Policy      string    `json:"policy"`
	Rung        string    `json:"rung"`
	RungReason  string    `json:"rung_reason,omitempty"`
	Verdict     string    `json:"verdict"`          // one sentence
	Winner      string    `json:"winner,omitempty"` // "CSCI-ID@egress" of the largest share; absent: none
	RunnerUp    string    `json:"runner_up,omitempty"`
	MarginShare *float64  `json:"margin_share,omitempty"` // between the two
	// MarginSeconds is the cost of the runner-up minus that of the winner, for
	// the next flow.
	MarginSeconds *float64        `json:"margin_seconds,omitempty"`
	LambdaSeconds *float64        `json:"lambda_seconds,omitempty"` // marginal cost the split moves to
	TotalLoad     *float64        `json:"total_load,omitempty"`     // Λ, flows/s in the whole domain
	FlowRate      *float64        `json:"flow_rate,omitempty"`      // own, flows/s
	Constants     Constants       `json:"constants"`
	Candidates    List[Candidate] `json:"candidates"` // best first
	Tips          List[string]    `json:"tips"`       // what would tip it
}

// Constants are the constants of the policy in force.
type Constants struct {
	Gain        float64 `json:"gain"`
	Omega       float64 `json:"omega"`
	Penalty     float64 `json:"penalty"`
	Eta         float64 `json:"eta"`
	Draws       int     `json:"draws"`
	TickSeconds float64 `json:"tick_seconds"`
}

// Candidate is one instance considered for a service.
type Candidate struct {
	CSCIID   string `json:"csci_id"`
	Egress   string `json:"egress"`
	Site     string `json:"site"`
	Eligible bool   `json:"eligible"`
	// Reason is a stable word: "chosen", "dearer", "below_min_share", or why not
	// eligible ("draining", "unreachable", "stale", "max_delay", …).
	Reason string `json:"reason"`
	WhyNot string `json:"why_not,omitempty"` // a sentence, for all but the winner
	Tip    string `json:"tip,omitempty"`     // what would give it more

	Terms                Terms    `json:"terms"`                           // at û
	Utilisation          *float64 `json:"utilisation,omitempty"`           // u, advertised
	EstimatedUtilisation *float64 `json:"estimated_utilisation,omitempty"` // û
	Pref                 float64  `json:"pref"`                            // share in force when u was measured
	Share                float64  `json:"share"`                           // p, in force
	WantedShare          *float64 `json:"wanted_share,omitempty"`          // p*, p moves towards it
	Open                 float64  `json:"open"`
	Quota                *float64 `json:"quota,omitempty"`
	FlowRate             float64  `json:"flow_rate"` // x, own flows/s to it
	Capacity             *float64 `json:"capacity,omitempty"`
	Slots                *float64 `json:"slots,omitempty"`
	Score                *int     `json:"score,omitempty"`
	Weight               *float64 `json:"weight,omitempty"`
	Preference           *int     `json:"preference,omitempty"`
	AgeSeconds           *float64 `json:"age_seconds,omitempty"`
	Stale                bool     `json:"stale"`
}

// Name returns "CSCI-ID@egress".
func (c Candidate) Name() string { return c.CSCIID + "@" + c.Egress }

// ---- Changes --------------------------------------------------------------

// ReloadResult is the outcome of reading the configuration again. If it is not
// OK, the old configuration is still in force.
type ReloadResult struct {
	OK       bool          `json:"ok"`
	File     string        `json:"file"`
	At       time.Time     `json:"at"`
	Changes  List[Change]  `json:"changes"`
	Problems List[Problem] `json:"problems"`
}

// Effects of a Change.
const (
	EffectLive      = "live"       // in force at once
	EffectPeerReset = "peer-reset" // a BGP session is reset
	EffectRestart   = "restart"    // only after a restart of the agent
)

// Change is one difference between two configurations.
type Change struct {
	Path   string `json:"path"`          // "service[video].policy"
	Old    string `json:"old,omitempty"` // absent: added
	New    string `json:"new,omitempty"` // absent: removed
	Effect string `json:"effect"`
}

// Problem is one thing wrong with a configuration.
type Problem struct {
	Severity string `json:"severity"` // "error", "warning"
	File     string `json:"file"`
	Line     int    `json:"line"`   // from 1; 0: the file as a whole
	Column   int    `json:"column"` // from 1; 0: the line as a whole
	Path     string `json:"path,omitempty"`
	Message  string `json:"message"`
	Hint     string `json:"hint,omitempty"`
}

// DrainRequest asks to drain, withdraw or offer again. In JSON the deadline is
// deadline_seconds.
type DrainRequest struct {
	// Target is a service name, a CS-ID, "CS-ID CSCI-ID", an instance's CSCI-ID
	// or "site".
	Target   string
	Undo     bool
	Withdraw bool          // withdraw the routes at once instead of draining first
	Deadline time.Duration // withdraw then, whatever is left; 0: never
	Reason   string
	Force    bool // even if nothing is left of the service
}

type drainRequestJSON struct {
	Target          string  `json:"target"`
	Undo            bool    `json:"undo,omitempty"`
	Withdraw        bool    `json:"withdraw,omitempty"`
	DeadlineSeconds float64 `json:"deadline_seconds,omitempty"`
	Reason          string  `json:"reason,omitempty"`
	Force           bool    `json:"force,omitempty"`
}

// MarshalJSON implements json.Marshaler.
func (r DrainRequest) MarshalJSON() ([]byte, error) {
	return json.Marshal(drainRequestJSON{r.Target, r.Undo, r.Withdraw, r.Deadline.Seconds(), r.Reason, r.Force})
}

// UnmarshalJSON implements json.Unmarshaler. Unknown fields are an error: a
// misspelt "force" must not drain something by accident.
func (r *DrainRequest) UnmarshalJSON(b []byte) error {
	var j drainRequestJSON
	if err := unmarshalStrict(b, &j); err != nil {
		return fmt.Errorf("api: drain request: %w", err)
	}
	const limit = 365 * 24 * 3600
	if !(j.DeadlineSeconds >= 0 && j.DeadlineSeconds <= limit) {
		return fmt.Errorf("api: drain request: deadline_seconds %v is not within 0..%d", j.DeadlineSeconds, limit)
	}
	*r = DrainRequest{j.Target, j.Undo, j.Withdraw, time.Duration(j.DeadlineSeconds * float64(time.Second)), j.Reason, j.Force}
	return nil
}

// DrainResult says what a DrainRequest led to.
type DrainResult struct {
	Target     string              `json:"target"`
	Action     string              `json:"action"` // "drain", "withdraw", "undo"
	Scope      string              `json:"scope"`  // "site", "service", "instance"
	Changed    bool                `json:"changed"`
	DeadlineAt time.Time           `json:"deadline_at,omitzero"`
	Affected   List[DrainAffected] `json:"affected"`
	Note       string              `json:"note,omitempty"`
}

// DrainAffected is an instance touched by a drain.
type DrainAffected struct {
	Service string   `json:"service"`
	CSID    string   `json:"cs_id"`
	CSCIID  string   `json:"csci_id"`
	State   string   `json:"state"`
	Open    *float64 `json:"open,omitempty"`
}

// PushRequest delivers values for a source of type "push". They are good for
// TTLSeconds, 0 meaning the source's stale_after: a pusher that dies must not
// be believed for ever.
type PushRequest struct {
	Service    string             `json:"service"`          // name or CS-ID
	Instance   string             `json:"instance"`         // CSCI-ID
	Source     string             `json:"source,omitempty"` // name; empty if there is one push source
	Values     map[string]float64 `json:"values"`
	TTLSeconds float64            `json:"ttl_seconds,omitempty"`
}

// PushResult acknowledges a PushRequest.
type PushResult struct {
	Accepted bool `json:"accepted"`
}

// ---- Decoded attribute ----------------------------------------------------

// Decoded is a CATS attribute in words.
type Decoded struct {
	AttributeType    *int                  `json:"attribute_type,omitempty"`
	AttributeFlags   string                `json:"attribute_flags,omitempty"` // "0xc0"
	Length           int                   `json:"length"`                    // of the value, octets
	Profile          *DecodedProfile       `json:"profile,omitempty"`
	Locator          string                `json:"locator,omitempty"`
	Service          string                `json:"cs_id,omitempty"`
	SitePreference   *uint32               `json:"site_preference,omitempty"`
	SiteID           *uint16               `json:"site_id,omitempty"`
	SiteAvailability *int                  `json:"site_availability_percent,omitempty"`
	Site             List[DecodedSite]     `json:"site"` // all that is said of the site, in words
	Instances        List[DecodedInstance] `json:"instances"`
	Auth             *DecodedAuth          `json:"auth,omitempty"`
	TLVs             List[DecodedTLV]      `json:"tlvs"`     // all, in order, as on the wire
	Problems         List[string]          `json:"problems"` // what was ignored and why
}

// DecodedProfile is the Profile TLV.
type DecodedProfile struct {
	Version      int    `json:"version"`
	Complete     bool   `json:"complete_list"`
	Aggregated   bool   `json:"aggregated_only"`
	Profile      uint16 `json:"normalization_profile"`
	Domain       uint32 `json:"domain"`
	ReservedBits string `json:"reserved_flags,omitempty"`
}

// DecodedSite is one fact about the site.
type DecodedSite struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// DecodedInstance is an Instance TLV.
type DecodedInstance struct {
	Service         string              `json:"cs_id,omitempty"`
	CSCIID          string              `json:"csci_id"`
	Flags           List[string]        `json:"flags"`
	Sequence        uint32              `json:"sequence"`
	GeneratedAt     time.Time           `json:"generated_at"`
	ValiditySeconds float64             `json:"validity_seconds"`
	WindowSeconds   float64             `json:"window_seconds"`
	Metrics         List[DecodedMetric] `json:"metrics"`
}

// DecodedMetric is one metric of an Instance TLV, in a unit for people.
type DecodedMetric struct {
	Type      int          `json:"type"`
	Name      string       `json:"name"`
	Level     int          `json:"level"`
	Statistic string       `json:"statistic"`
	Source    List[string] `json:"source"`
	Value     float64      `json:"value"` // in Unit
	Unit      string       `json:"unit,omitempty"`
	Text      string       `json:"text"` // "41.75 %", "8.25 ms"
}

// DecodedAuth is the Auth TLV.
type DecodedAuth struct {
	Algorithm    string `json:"algorithm"`
	KeyID        uint32 `json:"key_id"`
	SignatureHex string `json:"signature_hex"`
}

// DecodedTLV is one TLV as it stands on the wire.
type DecodedTLV struct {
	Offset   int    `json:"offset"`
	Type     int    `json:"type"`
	Name     string `json:"name"`
	Length   int    `json:"length"`
	ValueHex string `json:"value_hex"`
}

// ---- Health and events ----------------------------------------------------

// Health is the answer of /livez and /readyz with ?verbose.
type Health struct {
	OK      bool         `json:"ok"`
	Reasons List[string] `json:"reasons"` // why not
}

// Event is one event.
type Event = events.Event
