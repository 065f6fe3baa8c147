package config

// The raw structs mirror config.toml key by key. Their tags are:
//
//	toml    the key; ",required" if the file must set it, ",nonempty" if it may
//	        only not be empty
//	words   the strings it may be
//	range   the numbers it may be, "[" including and "(" excluding the bound
//	reload  what a change of it needs: live, session, restart; inherited
//	id      of a list of tables: the key by which an operator knows an element
//	secret  what of the value must not be shown
//
// Defaults are in defaults.go, rules between keys in the build files.

type rawConfig struct {
	Agent     rawAgent     `toml:"agent,required" reload:"restart"`
	Log       rawLog       `toml:"log" reload:"live"`
	API       rawAPI       `toml:"api" reload:"restart"`
	BGP       rawBGP       `toml:"bgp,required" reload:"restart"`
	Auth      rawAuth      `toml:"auth" reload:"live"`
	Dampening rawDampening `toml:"dampening" reload:"live"`
	Services  []rawService `toml:"service" reload:"live" id:"name"`
	Selection rawSelection `toml:"selection" reload:"live"`
	NetMetric rawNetMetric `toml:"netmetric" reload:"restart"`
}

type rawAgent struct {
	Name                 string   `toml:"name,required"`
	Roles                []string `toml:"roles,required" words:"egress|ingress"`
	Locator              address  `toml:"locator,required"`
	Domain               asn      `toml:"domain"`
	NormalizationProfile uint16   `toml:"normalization_profile" range:"[1..65535]"`
	SiteID               uint16   `toml:"site_id" range:"[0..65535]" reload:"live"`
	SitePreference       uint32   `toml:"site_preference" range:"[0..4294967295]" reload:"live"`
	StateDir             string   `toml:"state_dir"`
}

type rawLog struct {
	Level  string `toml:"level" words:"trace|debug|info|warn|error"`
	Format string `toml:"format" words:"json|console|auto" reload:"restart"`
}

type rawAPI struct {
	Socket      string   `toml:"socket,nonempty"`
	SocketMode  fileMode `toml:"socket_mode"`
	Listen      string   `toml:"listen"`
	TokenFile   string   `toml:"token_file"`
	GoBGPSocket string   `toml:"gobgp_socket"`
	Events      int      `toml:"events" range:"[16..1048576]"`
}

type rawBGP struct {
	ASN                    asn       `toml:"asn,required"`
	RouterID               address   `toml:"router_id,required"`
	Listen                 []address `toml:"listen"`
	Port                   uint16    `toml:"port" range:"[1..65535]"`
	NextHop                []address `toml:"next_hop" reload:"live"`
	AttributeType          uint8     `toml:"attribute_type" range:"[1..255]"`
	Communities            bool      `toml:"communities" reload:"live"`
	MaxRoutesPerPeer       int       `toml:"max_routes_per_peer" range:"[1..100000000]" reload:"live"`
	MaxInstancesPerService int       `toml:"max_instances_per_service" range:"[1..1000000]" reload:"live"`
	Peers                  []rawPeer `toml:"peer" reload:"session" id:"name"`
}

type rawPeer struct {
	Name                 string   `toml:"name,required"`
	Address              address  `toml:"address,required"`
	ASN                  asn      `toml:"asn,required"`
	Port                 uint16   `toml:"port" range:"[1..65535]"`
	LocalAddress         address  `toml:"local_address"`
	Passive              bool     `toml:"passive"`
	HoldTime             duration `toml:"hold_time" range:"[0s..18h]"`
	ConnectRetry         duration `toml:"connect_retry" range:"[1s..1h]"`
	Families             []string `toml:"families,nonempty" words:"ipv4|ipv6"`
	PasswordFile         string   `toml:"password_file"`
	TTLSecurity          bool     `toml:"ttl_security"`
	MultihopTTL          uint8    `toml:"multihop_ttl" range:"[0..255]"`
	RouteReflectorClient bool     `toml:"route_reflector_client"`
	AddPath              bool     `toml:"add_path"`
	GracefulRestart      duration `toml:"graceful_restart" range:"[0s..4095s]"`
	LongLived            duration `toml:"long_lived_graceful_restart" range:"[0s..4660h]"`
	BFD                  bool     `toml:"bfd"`
	Domain               bool     `toml:"domain"`
	EdgeMetadata         bool     `toml:"edge_metadata"`
	RFDBudget            string   `toml:"rfd_budget" words:"off|warn|enforce" reload:"live"`
	RFDSuppress          float64  `toml:"rfd_suppress" range:"(0..50000]" reload:"live"`
}

type rawAuth struct {
	SignWith uint32   `toml:"sign_with" range:"[0..4294967295]"`
	Require  bool     `toml:"require"`
	Keys     []rawKey `toml:"key" id:"id"`
}

type rawKey struct {
	ID        uint32 `toml:"id,required" range:"[1..4294967295]"`
	Algorithm string `toml:"algorithm,required" words:"ed25519|hmac-sha256"`
	File      string `toml:"file,required"`
	Public    bool   `toml:"public"`
	NotBefore moment `toml:"not_before"`
	NotAfter  moment `toml:"not_after"`
}

type rawDampening struct {
	Profile             string   `toml:"profile" words:"domain|conservative"`
	ObserveOnly         bool     `toml:"observe_only"`
	Delta               ratio    `toml:"delta" range:"(0..10]"`
	High                ratio    `toml:"high" range:"(0..10]"`
	Low                 ratio    `toml:"low" range:"(0..10]"`
	Smoothing           duration `toml:"smoothing" range:"[0s..1h]"`
	MinInterval         duration `toml:"min_interval" range:"[0s..1h]"`
	Refresh             duration `toml:"refresh" range:"[1s..9h]"`
	Validity            duration `toml:"validity" range:"[2s..65535s]"`
	BucketPerMinute     float64  `toml:"bucket_per_minute" range:"(0..60000]"`
	BucketBurst         float64  `toml:"bucket_burst" range:"[1..60000]"`
	SessionPerSec       float64  `toml:"session_budget_per_second" range:"(0..100000]"`
	PresencePenalty     float64  `toml:"presence_penalty" range:"[0..100000]"`
	PresenceSuppress    float64  `toml:"presence_suppress" range:"(0..1000000]"`
	PresenceReuse       float64  `toml:"presence_reuse" range:"(0..1000000]"`
	PresenceHalfLife    duration `toml:"presence_half_life" range:"[1s..24h]"`
	PresenceMaxSuppress duration `toml:"presence_max_suppress" range:"[1s..24h]"`
	CreatePerMinute     float64  `toml:"create_quota_per_minute" range:"(0..60000]"`
}

type rawService struct {
	Name          string           `toml:"name,required"`
	ID            serviceID        `toml:"cs_id,required"`
	Announce      string           `toml:"announce" words:"per-instance|aggregate|both"`
	AggregateID   address          `toml:"aggregate_id"`
	MinInstances  int              `toml:"min_instances" range:"[1..1000000]"`
	Policy        string           `toml:"policy" words:"balanced|nearest|least-cost|weighted|lexicographic|static"`
	MaxDelay      duration         `toml:"max_delay"`
	MinScore      int              `toml:"min_score" range:"[0..10]"`
	Sites         []string         `toml:"sites"`
	Normalization rawNormalization `toml:"normalization"`
	Instances     []rawInstance    `toml:"instance" id:"id"`
}

type rawNormalization struct {
	Window      duration   `toml:"window" range:"[100ms..1h]"`
	Function    string     `toml:"function" words:"min-max|sigmoid"`
	Aggregation string     `toml:"aggregation" words:"weighted-mean|mean|min"`
	Weights     rawWeights `toml:"weights"`
	Inputs      []rawInput `toml:"input" id:"metric"`
}

type rawWeights struct {
	Computing     float64 `toml:"computing" range:"[0..1000000]"`
	Communication float64 `toml:"communication" range:"[0..1000000]"`
	Service       float64 `toml:"service" range:"[0..1000000]"`
}

type rawInput struct {
	Metric   string  `toml:"metric,required"`
	Category string  `toml:"category,required" words:"computing|communication|service"`
	Best     float64 `toml:"best,required"`
	Worst    float64 `toml:"worst,required"`
	Weight   float64 `toml:"weight" range:"(0..1000000]"`
}

type rawInstance struct {
	ID          address     `toml:"id,required"`
	Capacity    float64     `toml:"capacity" range:"[0..42949672]"`
	Slots       int         `toml:"slots" range:"[0..4294967295]"`
	ServiceTime duration    `toml:"service_time" range:"[0s..1h]"`
	Sources     []rawSource `toml:"source" id:"name"`
	Checks      []rawCheck  `toml:"check" id:"name"`
}

type rawSource struct {
	Name       string                 `toml:"name,required"`
	Type       string                 `toml:"type,required" words:"prometheus|orca-stream|orca-header|local|exec|push"`
	URL        string                 `toml:"url" secret:"url"`
	Interval   duration               `toml:"interval" range:"[10ms..1h]"`
	Timeout    duration               `toml:"timeout" range:"[1ms..1h]"`
	StaleAfter duration               `toml:"stale_after" range:"[10ms..24h]"`
	Stale      string                 `toml:"stale" words:"hold|degrade|withdraw"`
	MaxBody    int64                  `toml:"max_body" range:"[1024..1073741824]"`
	Headers    map[string]string      `toml:"headers" secret:"values"`
	Command    []string               `toml:"command"`
	CGroup     string                 `toml:"cgroup"`
	Values     map[string]rawSelector `toml:"values"`
}

type rawSelector struct {
	Metric    string            `toml:"metric"` // the value's own name
	Labels    map[string]string `toml:"labels"`
	Aggregate string            `toml:"aggregate" words:"sum|mean|max|min"`
	Rate      bool              `toml:"rate"`
	DivideBy  rawDivisor        `toml:"divide_by"`
	Scale     float64           `toml:"scale"`
}

// A rawDivisor is the name of another series, or a whole selector.
type rawDivisor struct {
	Name     string
	Selector *rawSelector
}

type rawCheck struct {
	Name         string   `toml:"name"`
	Type         string   `toml:"type,required" words:"tcp|http|https|grpc|tls"`
	Target       string   `toml:"target,required"`
	Via          string   `toml:"via" words:"|cs-id"`
	Path         string   `toml:"path"`
	Host         string   `toml:"host"`
	ExpectStatus string   `toml:"expect_status"`
	ExpectBody   string   `toml:"expect_body"`
	GRPCService  string   `toml:"grpc_service"`
	TLSVerify    bool     `toml:"tls_verify"`
	CAFile       string   `toml:"ca_file"`
	Interval     duration `toml:"interval" range:"[10ms..1h]"`
	FastInterval duration `toml:"fast_interval" range:"[10ms..1h]"`
	Timeout      duration `toml:"timeout" range:"[1ms..10m]"`
	Rise         int      `toml:"rise" range:"[1..1000]"`
	Fall         int      `toml:"fall" range:"[1..1000]"`
}

type rawSelection struct {
	Tick               duration  `toml:"tick" range:"[0s..1m]"`
	Gain               float64   `toml:"gain" range:"[0.001..1]"`
	Omega              float64   `toml:"omega" range:"[0.001..1000]"`
	Penalty            float64   `toml:"penalty" range:"[0..1000000]"`
	Eta                ratio     `toml:"eta" range:"[0.1..0.97]"`
	Draws              int       `toml:"draws" range:"[1..8]"`
	MinShare           float64   `toml:"min_share" range:"[0..0.1]"`
	RateWindow         duration  `toml:"rate_window" range:"[100ms..10m]"`
	NewInstanceHold    duration  `toml:"new_instance_hold" range:"[0s..1h]"`
	DefaultSlots       int       `toml:"default_slots" range:"[1..1000000]"`
	DefaultServiceTime duration  `toml:"default_service_time" range:"(0s..1h]"`
	StaleAfter         duration  `toml:"stale_after" range:"[0s..24h]"`
	OutAfter           duration  `toml:"out_after" range:"[0s..48h]"`
	Sites              []rawSite `toml:"site" id:"locator"`
}

type rawSite struct {
	Locator    address `toml:"locator,required"`
	Name       string  `toml:"name,required"`
	Weight     float64 `toml:"weight" range:"[0..1000000]"`
	Preference uint32  `toml:"preference" range:"[0..4294967295]"`
}

type rawNetMetric struct {
	Reflector        string   `toml:"reflector"`
	Port             uint16   `toml:"port" range:"[1..65535]"`
	Interval         duration `toml:"interval" range:"[10ms..1m]"`
	Window           duration `toml:"window" range:"[1s..1h]"`
	Timeout          duration `toml:"timeout" range:"[1ms..1m]"`
	KeyFile          string   `toml:"key_file"`
	UnreachableAfter int      `toml:"unreachable_after" range:"[1..1000]"`
	MaxTargets       int      `toml:"max_targets" range:"[1..65536]"`
}
