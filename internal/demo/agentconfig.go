package demo

import (
	"fmt"
	"strconv"
	"strings"
	"text/template"
	"time"
)

// ports are the same on every address of the demo.
type ports struct {
	BGP     uint16
	STAMP   uint16 // where reflectors are asked: the relay's
	Reflect uint16 // where they are
	Web     uint16 // where clients go: the relay's
	Serve   uint16 // where instances listen, and their own site asks them
}

// configText is what an agent of the demo is configured with: text as anyone
// could have written it.
func configText(p Plan, at ports, site int, socket string) string {
	t := gateTemplate
	data := struct {
		Plan
		Ports               ports
		Site                Site
		Socket, Service, ID string
		ASN                 int
	}{Plan: p, Ports: at, Socket: socket, Service: serviceName, ID: serviceID, ASN: asn}
	if site >= 0 {
		t, data.Site = siteTemplate, p.Sites[site]
	}
	var b strings.Builder
	if err := t.Execute(&b, data); err != nil {
		panic("BUG: demo: " + err.Error())
	}
	return b.String()
}

var functions = template.FuncMap{
	"q":       strconv.Quote,
	"percent": func(f float64) string { return fmt.Sprintf("%g%%", f*100) },
	"dur":     func(d time.Duration) string { return d.String() },
}

var gateTemplate = template.Must(template.New("gate").Funcs(functions).Parse(`# The ingress of the demo: clients enter here. It hears what the sites say,
# measures how far they are, and splits new flows.
[agent]
name = "gate"
roles = ["ingress"]
locator = "{{.Gate}}"
state_dir = ""                 # nothing outlives the demo

[api]
socket = {{q .Socket}}
socket_mode = "0600"

[bgp]
asn = {{.ASN}}
router_id = "{{.Gate}}"
listen = ["{{.Gate}}"]
port = {{.Ports.BGP}}
{{range .Sites}}
[[bgp.peer]]
name = "{{.Name}}"
address = "{{.Locator}}"
local_address = "{{$.Gate}}"
port = {{$.Ports.BGP}}
asn = {{$.ASN}}                    # iBGP: one CATS domain
connect_retry = "1s"
{{end}}
[[service]]
name = "{{.Service}}"
cs_id = "{{.ID}}"
policy = "balanced"

[selection]
tick = "{{dur .Tick}}"                 # a demo has little time; default: by itself, 0.5 s to 2 s
{{range .Sites}}
[[selection.site]]
locator = "{{.Locator}}"
name = "{{.Name}}"
{{end}}
[netmetric]
reflector = ""
port = {{.Ports.STAMP}}                    # of the relays, which delay what they pass on
interval = "500ms"
unreachable_after = 10         # a laptop may stand still for a moment
`))

var siteTemplate = template.Must(template.New("site").Funcs(functions).Parse(`# A service site of the demo: it measures its instances, decides what is worth
# saying, and announces it.
[agent]
name = "{{.Site.Name}}"
roles = ["egress"]
locator = "{{.Site.Locator}}"
state_dir = ""                 # nothing outlives the demo

[api]
socket = {{q .Socket}}
socket_mode = "0600"

[bgp]
asn = {{.ASN}}
router_id = "{{.Site.Locator}}"
listen = ["{{.Site.Locator}}"]
port = {{.Ports.BGP}}

[[bgp.peer]]
name = "gate"
address = "{{.Gate}}"
local_address = "{{.Site.Locator}}"
port = {{.Ports.BGP}}
asn = {{.ASN}}
passive = true

[dampening]
delta = "{{percent .Delta}}"                  # few requests make a noisy load: do not say every wave of it
high = "{{percent .High}}"
smoothing = "{{dur .Smoothing}}"
min_interval = "{{dur .MinInterval}}"
bucket_per_minute = {{.BucketPerMinute}}
bucket_burst = {{.BucketBurst}}
# So that a penalty can be seen to come and go within a demo. The defaults
# (6000, 15 min, 60 min) are for networks.
presence_suppress = {{.Suppress}}
presence_reuse = {{.Reuse}}
presence_half_life = "{{dur .HalfLife}}"
presence_max_suppress = "{{dur .MaxSuppress}}"

[netmetric]
reflector = "{{.Site.Locator}}:{{.Ports.Reflect}}"

[[service]]
name = "{{.Service}}"
cs_id = "{{.ID}}"
{{range .Site.Instances}}
[[service.instance]]
id = "{{.}}"

[[service.instance.source]]
name = "prom"
type = "prometheus"
url = "http://{{.}}:{{$.Ports.Serve}}/metrics"
interval = "{{dur $.Interval}}"
timeout = "{{dur $.Timeout}}"

[service.instance.source.values]
flow_rate = { metric = "demo_requests_total", rate = true }
service_time = { metric = "demo_service_seconds_sum", rate = true, divide_by = { metric = "demo_service_seconds_count", rate = true } }
in_flight = { metric = "demo_requests_in_flight" }
slots = { metric = "demo_workers" }

[[service.instance.check]]
name = "healthz"
type = "http"
target = "{{.}}:{{$.Ports.Serve}}"
path = "/healthz"
expect_status = "200"
interval = "{{dur $.CheckInterval}}"
fast_interval = "{{dur $.CheckFast}}"
timeout = "{{dur $.CheckTimeout}}"
rise = {{$.CheckFall}}
fall = {{$.CheckFall}}
{{end}}`))
