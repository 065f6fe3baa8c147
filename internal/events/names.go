package events

// A Name is the stable name of a kind of event: dotted, lower case, the noun
// first. Operators filter and alert on names, so one is never renamed or
// given another meaning.
type Name string

// The names. Names describes them; a test holds the two together.
const (
	AgentStarted Name = "agent.started"
	AgentReady   Name = "agent.ready"
	AgentUnready Name = "agent.unready"
	AgentStopped Name = "agent.stopped"
	AgentWarning Name = "agent.warning"

	ConfigReloaded Name = "config.reloaded"
	ConfigRejected Name = "config.rejected"
	ConfigWarning  Name = "config.warning"

	PeerUp       Name = "peer.up"
	PeerDown     Name = "peer.down"
	PeerOverflow Name = "peer.overflow"

	SourceUp    Name = "source.up"
	SourceDown  Name = "source.down"
	SourceStale Name = "source.stale"
	CheckUp     Name = "check.up"
	CheckDown   Name = "check.down"

	InstanceUp         Name = "instance.up"
	InstanceDown       Name = "instance.down"
	InstanceHeld       Name = "instance.held"
	InstanceReleased   Name = "instance.released"
	InstanceSuppressed Name = "instance.suppressed"
	InstanceReused     Name = "instance.reused"
	InstanceAnomalous  Name = "instance.anomalous"

	MetricSaid Name = "metric.said"
	MetricHeld Name = "metric.held"
	RFDBudget  Name = "rfd.budget"

	ServiceUp   Name = "service.up"
	ServiceDown Name = "service.down"

	RouteAnnounced Name = "route.announced"
	RouteWithdrawn Name = "route.withdrawn"
	RouteRefused   Name = "route.refused"

	DrainStarted  Name = "drain.started"
	DrainFinished Name = "drain.finished"
	DrainUndone   Name = "drain.undone"
	DrainRefused  Name = "drain.refused"
	DrainRestored Name = "drain.restored"

	HeardStale    Name = "heard.stale"
	HeardInvalid  Name = "heard.invalid"
	HeardReplay   Name = "heard.replay"
	HeardForeign  Name = "heard.foreign"
	HeardUnsigned Name = "heard.unsigned"

	SiteReachable   Name = "site.reachable"
	SiteUnreachable Name = "site.unreachable"

	SelectionChanged Name = "selection.changed"
	SelectionRung    Name = "selection.rung"
	SelectionEmpty   Name = "selection.empty"

	EventsSuppressed Name = "events.suppressed"
)

// A Description is a row of the table of names.
type Description struct {
	Name    Name
	Level   Level  // of an event that does not say
	Meaning string // one line, for documentation
	// Always: never suppressed by the rate limit, because an operator did it or
	// must be able to find it. All others are limited per name.
	Always bool
}

// Names describes every event name there is, in the order of documentation.
var Names = []Description{
	{AgentStarted, Info, "the agent started", true},
	{AgentReady, Info, "BGP is up, and every source and check has been asked", true},
	{AgentUnready, Warn, "the agent is no longer ready, the message says why", true},
	{AgentStopped, Info, "the agent stopped; an error if it had to", true},
	{AgentWarning, Warn, "something an operator should know that has no name of its own", false},

	{ConfigReloaded, Info, "a new configuration is in force; fields list what changed", true},
	{ConfigRejected, Error, "a new configuration was not accepted, the old one stays in force", true},
	{ConfigWarning, Warn, "something in the configuration in force is allowed, and probably not meant", true},

	{PeerUp, Info, "a BGP session became Established", false},
	{PeerDown, Warn, "a BGP session was lost; the message holds the reason both sides gave", false},
	{PeerOverflow, Error, "a peer sent more routes than bgp.max_routes_per_peer; the rest is ignored", false},

	{SourceUp, Info, "a source delivers again", false},
	{SourceDown, Warn, "a source did not answer or answered nonsense", false},
	{SourceStale, Warn, "no good sample for stale_after; the policy in the fields applies", false},
	{CheckUp, Info, "a health check succeeded rise times in a row", false},
	{CheckDown, Warn, "a health check failed fall times in a row", false},

	{InstanceUp, Info, "an instance of this site is available", false},
	{InstanceDown, Warn, "an instance of this site is not available any more", false},
	{InstanceHeld, Info, "a new or lost instance waits for the create quota", false},
	{InstanceReleased, Info, "an instance that waited for the create quota was let through", false},
	{InstanceSuppressed, Warn, "an instance came and went too often and is held down (RFC 2439)", false},
	{InstanceReused, Info, "an instance that was held down is offered again", false},
	{InstanceAnomalous, Warn, "the values of an instance contradict each other; said with the anomalous flag", false},

	{MetricSaid, Info, "a value of an instance was announced; fields hold the level and the reason", false},
	{MetricHeld, Debug, "a changed value was not announced; fields hold the reason and until when", false},
	{RFDBudget, Warn, "a peer's route-flap damping would soon suppress a prefix of ours", false},

	{ServiceUp, Info, "enough instances are healthy, the anycast route is announced here", false},
	{ServiceDown, Error, "fewer than min_instances are healthy, the anycast route is withdrawn here", false},

	{RouteAnnounced, Info, "a route was handed to BGP that was not there before", false},
	{RouteWithdrawn, Info, "an instance is announced no more; the message says why", false},
	{RouteRefused, Error, "a route could not be announced", false},

	{DrainStarted, Info, "an operator drains a service, an instance or the site", true},
	{DrainFinished, Info, "nothing is left of a drained target, or its deadline passed", true},
	{DrainUndone, Info, "an operator ended a drain", true},
	{DrainRefused, Warn, "a drain was refused since nothing would be left; --force overrides", true},
	{DrainRestored, Info, "a drain of an earlier run is in force again", true},

	{HeardStale, Warn, "what a site says of an instance is older than its validity", false},
	{HeardInvalid, Warn, "a CATS attribute or a part of it could not be read and is not used", false},
	{HeardReplay, Warn, "a CATS attribute was not newer than what is known and is ignored", false},
	{HeardForeign, Info, "a CATS attribute belongs to another domain or profile and is ignored", false},
	{HeardUnsigned, Warn, "a signature is missing, unknown or wrong; the instance is not eligible", false},

	{SiteReachable, Info, "a site answers probes", false},
	{SiteUnreachable, Warn, "a site stopped answering probes", false},

	{SelectionChanged, Info, "the split of a service changed noticeably; fields hold the shares", false},
	{SelectionRung, Warn, "a service moved on the failure ladder (fresh, aged, aggregate, network, anycast)", false},
	{SelectionEmpty, Error, "no candidate is left for a service; plain anycast routing applies", false},

	{EventsSuppressed, Info, "events of one name came too fast; the count says how many were left out", true},
}

// Describe returns the row of a name.
func Describe(n Name) (Description, bool) {
	for _, d := range Names {
		if d.Name == n {
			return d, true
		}
	}
	return Description{}, false
}
