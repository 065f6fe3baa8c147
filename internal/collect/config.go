package collect

import (
	"time"

	"github.com/catsbgp/catsbgp/advert"
)

// A Key names one instance of one service at this site.
type Key struct {
	Service advert.CSID
	ID      advert.CSCIID
}

// String returns "CS-ID CSCI-ID".
func (k Key) String() string { return k.Service.String() + " " + k.ID.String() }

// An Instance is what to collect about one instance.
type Instance struct {
	Key
	Name          string  // the service's configured name
	Capacity      float64 // flows/s, nominal; 0: measured or unknown
	Slots         int     // nominal; 0: measured or unknown
	ServiceTime   time.Duration
	Normalization Normalization
	Sources       []Source
	Checks        []Check
}

// A Normalization is how a service's raw values become scores. It must be the
// same in the whole domain.
type Normalization struct {
	Window      time.Duration // measurement window; 0: 10 s
	Sigmoid     bool          // instead of min-max
	Aggregation Aggregation
	Computing   float64 // weights of the L1 categories in norm_fi
	Communication,
	Service float64
	Inputs []Input
}

// An Aggregation condenses several scores into one.
type Aggregation string

const (
	WeightedMean Aggregation = "weighted-mean"
	Mean         Aggregation = "mean"
	Min          Aggregation = "min"
)

// A Category is an L1 category.
type Category string

const (
	CategoryComputing     Category = "computing"
	CategoryCommunication Category = "communication"
	CategoryService       Category = "service"
)

// An Input is a raw value that counts towards a category: Best maps to 10,
// Worst to 0, whichever is the larger.
type Input struct {
	Metric      string
	Category    Category
	Best, Worst float64
	Weight      float64 // among the inputs of the category; 0: 1
}

// A SourceType names a way to learn values.
type SourceType string

const (
	Prometheus SourceType = "prometheus"
	ORCAStream SourceType = "orca-stream"
	ORCAHeader SourceType = "orca-header"
	Local      SourceType = "local"
	Exec       SourceType = "exec"
	Push       SourceType = "push"
)

// A StalePolicy says what becomes of an instance whose source is silent.
type StalePolicy string

const (
	StaleHold     StalePolicy = "hold"     // keep saying the last value
	StaleDegrade  StalePolicy = "degrade"  // utilisation at least 0.9 (the default)
	StaleWithdraw StalePolicy = "withdraw" // the instance is down
)

// A Source is one configured source of one instance. Where several sources of
// an instance deliver a value of the same name, the first that is not stale has
// the word; a stale source of which every value has such a stand-in is not
// missed.
type Source struct {
	Name       string // unique in the instance
	Type       SourceType
	URL        string            // prometheus, orca-header: http(s)://; orca-stream: host:port
	Command    []string          // exec
	CGroup     string            // local: cgroup v2 path below /sys/fs/cgroup; "": the host
	Headers    map[string]string // prometheus, orca-header
	Interval   time.Duration     // 0: 1 s
	Timeout    time.Duration     // 0: 800 ms
	StaleAfter time.Duration     // without a good answer; 0: 5 s
	Stale      StalePolicy
	MaxBody    int64 // octets, decompressed; 0: 4 MiB

	// Values is what the source delivers, by name. Empty means, for
	//
	//	prometheus   an error
	//	orca-*       utilisation = application_utilization, or else cpu_utilization
	//	local        utilisation = cpu_utilisation
	//	exec         a sign of life: the exit code says up or down
	//	push         whatever has a meaning, or is an input of the normalization
	Values map[string]Selector
}

// A Selector finds one value in what a source delivers.
type Selector struct {
	Metric    string            // series, ORCA field or key name; "": the value's own name
	Labels    map[string]string // equality matches
	Aggregate string            // sum (default), mean, max, min over the matching series
	Rate      bool              // per second, of a counter; resets are recognised
	DivideBy  string            // another series, same labels and aggregation
	DivideSel *Selector         // or a whole selector
	Scale     float64           // multiplied at the end; 0: 1
}

// Names of values that have a meaning of their own.
const (
	ValueUtilisation = "utilisation"  // offered load / capacity
	ValueInFlight    = "in_flight"    // requests
	ValueCapacity    = "capacity"     // flows/s
	ValueSlots       = "slots"        // parallel
	ValueServiceTime = "service_time" // s
	ValueDelay       = "delay"        // s, predicted service delay
	ValueFlowRate    = "flow_rate"    // flows/s offered
)

// A CheckType names a health check.
type CheckType string

const (
	CheckTCP   CheckType = "tcp"
	CheckHTTP  CheckType = "http"
	CheckHTTPS CheckType = "https"
	CheckGRPC  CheckType = "grpc"
	CheckTLS   CheckType = "tls"
)

// A Check is one configured health check of one instance.
type Check struct {
	Name         string // unique in the instance
	Type         CheckType
	Target       string // host:port
	ViaCSID      bool   // dial the CS-ID's address instead of the target's
	Path         string
	Host         string
	StatusFrom   int
	StatusTo     int
	Body         string
	GRPCService  string
	TLSVerify    bool
	CAFile       string
	Interval     time.Duration
	FastInterval time.Duration // while rising or falling
	Timeout      time.Duration
	Rise, Fall   int
}
