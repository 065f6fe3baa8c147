package agent_test

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/catsbgp/catsbgp/internal/agent"
	"github.com/catsbgp/catsbgp/internal/api"
	"github.com/catsbgp/catsbgp/internal/config"
	"github.com/catsbgp/catsbgp/internal/events"
	"github.com/catsbgp/catsbgp/selection"
)

// These tests do to an agent what operators do: reload, drain, push, rotate
// keys, stop and start again. Sessions are real, on loopback.

// An operated is an agent whose configuration file a test writes.
type operated struct {
	*agent.Agent
	t    *testing.T
	file atomic.Value // string
	stop func()
}

var secrets = map[string]string{
	"key1": "0123456789abcdef0123456789abcdef",
	"key2": "fedcba9876543210fedcba9876543210",
	"key3": "00112233445566778899aabbccddeeff",
}

// withPort gives each run of the tests a port of its own, for BGP and STAMP, so
// that two runs at the same time do not meet.
func withPort(text string) string {
	return strings.NewReplacer("17907", port, "18627", port).Replace(text)
}

var port = fmt.Sprint(20000 + os.Getpid()%10000)

func operate(t *testing.T, text string) *operated {
	t.Helper()
	o := &operated{t: t}
	o.file.Store(text)
	load := func() (*config.Config, error) {
		return config.Parse("agent.toml", []byte(withPort(o.file.Load().(string))), func(name string) ([]byte, fs.FileMode, error) {
			if s, ok := secrets[filepath.Base(name)]; ok {
				return []byte(s), 0o600, nil
			}
			return nil, 0, os.ErrNotExist
		})
	}
	cfg, err := load()
	if err != nil {
		t.Fatal(err)
	}
	log := zerolog.Nop()
	if testing.Verbose() {
		log = zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.InfoLevel).With().Str("agent", cfg.Agent.Name).Logger()
	}
	if o.Agent, err = agent.New(cfg, agent.Options{Log: log, File: "agent.toml", Load: load, NoAPI: true}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- o.Run(ctx) }()
	stopped := false
	o.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("%s: %v", cfg.Agent.Name, err)
			}
		case <-time.After(10 * time.Second):
			t.Errorf("%s does not stop", cfg.Agent.Name)
		}
	}
	t.Cleanup(o.stop)
	select {
	case <-o.Ready():
	case err := <-done:
		stopped = true
		t.Fatalf("%s: %v", cfg.Agent.Name, err)
	}
	return o
}

// write writes the file anew, with old replaced by text, and has it read.
func (o *operated) write(replacements ...string) api.ReloadResult {
	o.t.Helper()
	o.file.Store(strings.NewReplacer(replacements...).Replace(o.file.Load().(string)))
	return o.reload()
}

func (o *operated) reload() api.ReloadResult {
	o.t.Helper()
	r, err := o.Backend().Reload(o.t.Context())
	if err != nil {
		o.t.Fatal(err)
	}
	return r
}

func (o *operated) status() api.Status {
	o.t.Helper()
	s, err := o.Backend().Status(o.t.Context())
	if err != nil {
		o.t.Fatal(err)
	}
	return s
}

func (o *operated) peer(name string) api.Peer {
	o.t.Helper()
	ps, err := o.Backend().Peers(o.t.Context())
	if err != nil {
		o.t.Fatal(err)
	}
	for _, p := range ps {
		if p.Name == name {
			return p
		}
	}
	return api.Peer{State: "not configured"}
}

func (o *operated) instance(id string) api.Instance {
	o.t.Helper()
	all, err := o.Backend().Instances(o.t.Context())
	if err != nil {
		o.t.Fatal(err)
	}
	for _, in := range all {
		if in.CSCIID == id {
			return in
		}
	}
	return api.Instance{State: "not configured"}
}

func (o *operated) routes() map[string]api.Route {
	o.t.Helper()
	all, err := o.Backend().Routes(o.t.Context())
	if err != nil {
		o.t.Fatal(err)
	}
	m := map[string]api.Route{}
	for _, r := range all {
		m[r.Prefix] = r
	}
	return m
}

func (o *operated) drain(r api.DrainRequest) api.DrainResult {
	o.t.Helper()
	res, err := o.Backend().Drain(o.t.Context(), r)
	if err != nil {
		o.t.Fatal(err)
	}
	return res
}

func (o *operated) push(instance string, values map[string]float64) {
	o.t.Helper()
	err := o.Backend().Push(o.t.Context(), api.PushRequest{Service: "video", Instance: instance, Values: values})
	if err != nil {
		o.t.Fatal(err)
	}
}

// told returns the events of a name.
func (o *operated) told(name events.Name) []events.Event {
	evs, _ := o.Events().Since(0, 1<<20)
	return slices.DeleteFunc(evs, func(e events.Event) bool { return e.Name != name })
}

func (o *operated) tells(name events.Name, about string) {
	o.t.Helper()
	eventually(o.t, fmt.Sprintf("%s, %q", name, about), func() bool {
		return slices.ContainsFunc(o.told(name), func(e events.Event) bool {
			return strings.Contains(e.Instance+" "+e.Service+" "+e.Peer+" "+e.Message, about)
		})
	})
}

// gateAt is an ingress that waits for a site, both on their own addresses:
// 127.0.7.N and 127.0.7.N+100.
func gateAt(n int, more string) string {
	return fmt.Sprintf(`
[agent]
name = "gate"
roles = ["ingress"]
locator = "127.0.7.%[1]d"
state_dir = ""
[api]
socket = "/nowhere"
[bgp]
asn = 65001
router_id = "192.0.2.%[1]d"
listen = ["127.0.7.%[1]d"]
port = 17907
[netmetric]
reflector = ""
port = 18627
interval = "100ms"
[[bgp.peer]]
name = "site"
address = "127.0.7.%[2]d"
asn = 65001
passive = true
`, n, n+100) + more
}

// siteAt is the site of gateAt, with two instances that are pushed to.
func siteAt(n int, more string) string {
	return fmt.Sprintf(`
[agent]
name = "site"
roles = ["egress"]
locator = "127.0.7.%[2]d"
state_dir = ""
[api]
socket = "/nowhere"
[bgp]
asn = 65001
router_id = "192.0.2.%[2]d"
listen = []
port = 17907
[netmetric]
reflector = "127.0.7.%[2]d:18627"
[[bgp.peer]]
name = "gate"
address = "127.0.7.%[1]d"
local_address = "127.0.7.%[2]d"
asn = 65001
port = 17907
connect_retry = "1s"
[dampening]
min_interval = "50ms"
smoothing = "0s"
[[service]]
name = "video"
cs_id = "203.0.113.10"
[[service.instance]]
id = "10.0.7.1"
capacity = 100.0
[[service.instance.source]]
name = "p"
type = "push"
stale_after = "1h"
[[service.instance]]
id = "10.0.7.2"
capacity = 100.0
[[service.instance.source]]
name = "p"
type = "push"
stale_after = "1h"
`, n, n+100) + more
}

var half = map[string]float64{"utilisation": 0.5}

// domain starts a gate and a site and waits until flows go to both instances.
func domain(t *testing.T, n int, gateMore, siteMore string) (gate, site *operated) {
	t.Helper()
	gate = operate(t, gateAt(n, gateMore))
	site = operate(t, siteAt(n, siteMore))
	site.push("10.0.7.1", half)
	site.push("10.0.7.2", half)
	eventually(t, "both instances take flows", func() bool { return gate.targets() == 2 })
	return gate, site
}

// targets counts the instances that take new flows.
func (o *operated) targets() (n int) {
	o.t.Helper()
	all, err := o.Backend().Services(o.t.Context())
	if err != nil {
		o.t.Fatal(err)
	}
	for _, s := range all {
		for _, tg := range s.Targets {
			if tg.CSCIID != "site" && tg.Share > 0 {
				n++
			}
		}
	}
	return n
}

func TestReload(t *testing.T) {
	t.Parallel()
	gate, site := domain(t, 1, "", "")
	begin := gate.peer("site").Since
	before := site.routes()
	site.tells(events.AgentReady, "")
	run := func(name string, f func(t *testing.T)) {
		t.Run(name, func(sub *testing.T) {
			site.t = sub
			defer func() { site.t = t }()
			f(sub)
		})
	}

	run("nothing changed", func(t *testing.T) {
		r := site.reload()
		if !r.OK || len(r.Changes) != 0 || len(r.Problems) != 0 {
			t.Errorf("%+v", r)
		}
		for p, r := range site.routes() {
			if !r.IntendedAt.Equal(before[p].IntendedAt) {
				t.Errorf("%s was announced anew", p)
			}
		}
	})
	run("a service and a peer more", func(t *testing.T) {
		r := site.write("[dampening]", `[[bgp.peer]]
name = "other"
address = "127.0.7.99"
local_address = "127.0.7.101"
asn = 65001
port = 17907
[dampening]`, "min_interval = \"50ms\"", "min_interval = \"60ms\"", "[[service]]", `[[service]]
name = "audio"
cs_id = "203.0.113.11"
[[service.instance]]
id = "10.0.7.3"
[[service.instance.source]]
name = "p"
type = "push"
[[service]]`)
		if !r.OK || len(r.Changes) != 3 {
			t.Fatalf("%+v", r)
		}
		for _, c := range r.Changes {
			if c.Path == "" || strings.Contains(c.Path, ": ") || c.New == "" {
				t.Errorf("a change that tools cannot read: %+v", c)
			}
		}
		if site.peer("other").State == "not configured" || site.instance("10.0.7.3").State != api.StateStarting {
			t.Error("what was added is not there")
		}
		site.tells(events.AgentUnready, "10.0.7.3")
		site.tells(events.ConfigReloaded, "3 changes")
	})
	run("a bad file", func(t *testing.T) {
		good := site.file.Load()
		r := site.write("asn = 65001", "asm = 65001")
		if r.OK || len(r.Problems) == 0 || r.Problems[0].Line == 0 {
			t.Errorf("%+v", r)
		}
		if site.peer("other").State == "not configured" || site.instance("10.0.7.1").State != api.StateUp {
			t.Error("the configuration of before is not in force")
		}
		if v, why := site.status().Verdict(); v != api.VerdictCritical || !strings.Contains(strings.Join(why, " "), "not accepted") {
			t.Errorf("%v %q", v, why) // critical: 10.0.7.3 was never heard of
		}
		for _, w := range site.status().Warnings {
			if w.Code == "reload_failed" && w.Severity != api.SeverityWarning {
				t.Error("a refused file is no outage: ", w.Severity)
			}
		}
		site.tells(events.ConfigRejected, "asm")
		site.file.Store(good)
	})
	run("needs a restart", func(t *testing.T) {
		good := site.file.Load()
		r := site.write(`router_id = "192.0.2.101"`, `router_id = "192.0.2.102"`)
		if r.OK || len(r.Problems) != 0 || len(r.Changes) != 1 || r.Changes[0].Effect != api.EffectRestart {
			t.Errorf("%+v", r)
		}
		site.file.Store(good)
	})
	run("back to the first file", func(t *testing.T) {
		site.file.Store(siteAt(1, ""))
		if r := site.reload(); !r.OK {
			t.Fatalf("%+v", r)
		}
		eventually(t, "what was removed is gone", func() bool {
			return site.peer("other").State == "not configured" && site.status().PeersTotal == 1 && len(site.routes()) == 3
		})
		eventually(t, "ready again", func() bool { return len(site.told(events.AgentReady)) == 2 })
		if s := site.status(); !s.Ready {
			t.Errorf("not ready: %v", s.NotReady)
		}
	})
	if p := gate.peer("site"); !p.Up || p.Flaps != 0 || !p.Since.Equal(begin) {
		t.Errorf("the session did not stay up: %+v", p)
	}
	if gate.targets() != 2 {
		t.Error("flows went elsewhere meanwhile")
	}
}

// A peer that is removed while up must not count as one that is up.
func TestReadyWithoutRemovedPeers(t *testing.T) {
	t.Parallel()
	_, site := domain(t, 2, "", "")
	site.tells(events.AgentReady, "")
	r := site.write(`name = "gate"`, `name = "nobody"`, `address = "127.0.7.2"`, `address = "127.0.7.98"`)
	if !r.OK {
		t.Fatalf("%+v", r)
	}
	eventually(t, "not ready without a session", func() bool {
		s := site.status()
		return !s.Ready && slices.Contains(s.NotReady, "no BGP session is established")
	})
	site.tells(events.AgentUnready, "no BGP session")
}

func TestDrain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	gate := operate(t, gateAt(3, ""))
	text := strings.Replace(siteAt(3, ""), `state_dir = ""`, fmt.Sprintf("state_dir = %q", dir), 1)
	site := operate(t, text)
	both := func() {
		site.push("10.0.7.1", half)
		site.push("10.0.7.2", half)
	}
	both()
	eventually(t, "both instances take flows", func() bool { return gate.targets() == 2 })
	begin := gate.peer("site").Since

	res := site.drain(api.DrainRequest{Target: "video 10.0.7.1", Reason: "new kernel"})
	if !res.Changed || res.Scope != "instance" || len(res.Affected) != 1 {
		t.Errorf("%+v", res)
	}
	eventually(t, "the draining instance takes no new flows", func() bool { return gate.targets() == 1 })
	if r := site.routes()["10.0.7.1/32"]; !slices.Contains(r.Communities, "graceful-shutdown") {
		t.Errorf("GRACEFUL_SHUTDOWN is missing: %v", r.Communities)
	}
	if r := site.routes()["203.0.113.10/32"]; slices.Contains(r.Communities, "graceful-shutdown") {
		t.Error("the anycast route drains although one instance is left")
	}
	if _, err := site.Backend().Drain(t.Context(), api.DrainRequest{Target: "audio"}); err == nil {
		t.Error("no complaint about a service that is not here")
	}

	res = site.drain(api.DrainRequest{Target: "video", Deadline: 300 * time.Millisecond})
	if res.DeadlineAt.IsZero() {
		t.Errorf("%+v", res)
	}
	eventually(t, "withdrawn at the deadline", func() bool { return len(site.routes()) == 0 })
	site.tells(events.DrainFinished, "203.0.113.10")
	if site.instance("10.0.7.2").State != api.StateDrained {
		t.Error("state: ", site.instance("10.0.7.2").State)
	}
	if v, why := site.status().Verdict(); v != api.VerdictOK {
		t.Errorf("a drain is no alarm: %v %q", v, why)
	}
	eventually(t, "the ingress has nobody", func() bool { return gate.targets() == 0 })
	if p := gate.peer("site"); !p.Up || !p.Since.Equal(begin) {
		t.Errorf("the drain reset the session: %+v", p)
	}
	if res := site.drain(api.DrainRequest{Target: "video"}); res.Changed || res.Note == "" || len(site.routes()) != 0 {
		t.Errorf("draining what is withdrawn offers it again: %+v", res)
	}

	// The same after a restart, until told otherwise.
	site.stop()
	site = operate(t, text)
	both()
	site.tells(events.DrainRestored, "203.0.113.10")
	eventually(t, "the session is back", func() bool { return site.peer("gate").Up })
	if n := len(site.routes()); n != 0 || site.instance("10.0.7.2").State != api.StateDrained {
		t.Errorf("%d routes after a restart", n)
	}
	if res := site.drain(api.DrainRequest{Target: "video", Undo: true}); !res.Changed {
		t.Errorf("%+v", res)
	}
	eventually(t, "one instance is back, the other drains", func() bool { return gate.targets() == 1 })
	if res := site.drain(api.DrainRequest{Target: "video 10.0.7.1", Undo: true}); !res.Changed {
		t.Errorf("%+v", res)
	}
	if res := site.drain(api.DrainRequest{Target: "video 10.0.7.1", Undo: true}); res.Changed || res.Note == "" {
		t.Errorf("%+v", res)
	}
	eventually(t, "all is as before", func() bool { return gate.targets() == 2 })
	site.drain(api.DrainRequest{Target: "site", Withdraw: true})
	eventually(t, "withdrawn at once", func() bool { return len(site.routes()) == 0 })
}

func TestPush(t *testing.T) {
	t.Parallel()
	site := operate(t, strings.ReplaceAll(siteAt(4, ""), `stale_after = "1h"`, "stale_after = \"1h\"\nstale = \"withdraw\""))
	push := func(r api.PushRequest) error { return site.Backend().Push(t.Context(), r) }
	for name, r := range map[string]api.PushRequest{
		"no such service":  {Service: "audio", Instance: "10.0.7.1", Values: half},
		"no such instance": {Service: "video", Instance: "10.0.7.9", Values: half},
		"no instance":      {Service: "video", Instance: "ten", Values: half},
		"no such source":   {Service: "video", Instance: "10.0.7.1", Source: "q", Values: half},
		"a lie":            {Service: "video", Instance: "10.0.7.1", Values: map[string]float64{"utilisation": -1}},
	} {
		if push(r) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := push(api.PushRequest{Service: "203.0.113.10", Instance: "10.0.7.1", Values: half, TTLSeconds: 0.2}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "up", func() bool { return site.instance("10.0.7.1").State == api.StateUp })
	if in := site.instance("10.0.7.1"); in.Utilisation == nil || *in.Utilisation != 0.5 {
		t.Errorf("%+v", in)
	}
	eventually(t, "down, once the value is too old", func() bool { return site.instance("10.0.7.1").State == api.StateDown })
	site.tells(events.SourceStale, "10.0.7.1")
	if e := site.told(events.SourceStale); len(e[0].Fields) != 1 || e[0].Fields[0].Value != "withdraw" {
		t.Errorf("the policy that applies is not told: %+v", e[0])
	}
}

// An instance of which there are only signs of life is not said to be idle.
func TestUnknownLoadIsNotZero(t *testing.T) {
	t.Parallel()
	site := operate(t, strings.Replace(siteAt(5, ""), "type = \"push\"\nstale_after = \"1h\"", "type = \"exec\"\ncommand = [\"/bin/true\"]", 1))
	eventually(t, "up", func() bool { return site.instance("10.0.7.1").State == api.StateUp })
	eventually(t, "said", func() bool { return site.instance("10.0.7.1").Said != nil })
	if in := site.instance("10.0.7.1"); in.Said.Level != nil || in.Utilisation != nil {
		t.Errorf("said %v, utilisation %v", in.Said.Level, in.Utilisation)
	}
	for _, e := range site.told(events.MetricSaid) {
		if strings.Contains(e.Message, "0 %") {
			t.Error(e.Message)
		}
	}
	site.tells(events.RouteAnnounced, "10.0.7.1/32")
}

// The time of a state is that of its beginning, not of the last announcement.
func TestStateSince(t *testing.T) {
	t.Parallel()
	site := operate(t, siteAt(6, ""))
	site.push("10.0.7.1", half)
	eventually(t, "a state with a time", func() bool {
		in := site.instance("10.0.7.1")
		return in.State == api.StateUp && !in.Since.IsZero() && in.Said != nil
	})
	was := site.instance("10.0.7.1")
	site.push("10.0.7.1", map[string]float64{"utilisation": 0.8})
	eventually(t, "said anew", func() bool { return site.instance("10.0.7.1").Said.At.After(was.Said.At) })
	if is := site.instance("10.0.7.1"); !is.Since.Equal(was.Since) {
		t.Errorf("up since %v, now since %v", was.Since, is.Since)
	}
}

func TestSignatures(t *testing.T) {
	t.Parallel()
	const keys = `
[auth]
require = true
[[auth.key]]
id = 1
algorithm = "hmac-sha256"
file = "key1"
[[auth.key]]
id = 2
algorithm = "hmac-sha256"
file = "key2"
`
	signing := strings.NewReplacer("require = true", "sign_with = 1").Replace(keys)
	gate, site := domain(t, 7, keys, signing)

	// Rotation leaves no gap.
	if r := site.write("sign_with = 1", "sign_with = 2"); !r.OK {
		t.Fatalf("%+v", r)
	}
	eventually(t, "signed with key 2", func() bool {
		for _, r := range site.routes() {
			if r.Attribute == nil || r.Attribute.Auth == nil || r.Attribute.Auth.KeyID != 2 {
				return false
			}
		}
		return true
	})
	for _, e := range gate.told(events.SelectionChanged) {
		if strings.Contains(e.Message, string(selection.BadSignature)) {
			t.Errorf("the rotation was seen: %s", e.Message)
		}
	}

	// A reload that is not about keys says nothing anew.
	before := site.routes()
	if r := site.write(`min_interval = "50ms"`, `min_interval = "70ms"`); !r.OK {
		t.Fatalf("%+v", r)
	}
	for p, r := range site.routes() {
		if !r.IntendedAt.Equal(before[p].IntendedAt) {
			t.Errorf("%s was announced anew", p)
		}
	}

	// A key of the right number with another content is found out.
	if r := site.write(`file = "key2"`, `file = "key3"`); !r.OK {
		t.Fatalf("%+v", r)
	}
	eventually(t, "not believed", func() bool { return gate.targets() == 0 })
	gate.tells(events.HeardUnsigned, "key 2")
	if r := site.write(`file = "key3"`, `file = "key2"`); !r.OK {
		t.Fatalf("%+v", r)
	}
	eventually(t, "believed again", func() bool { return gate.targets() == 2 })
}

// What was heard before keys changed is judged by the new ones at once, also
// the anycast route, which is hardly ever announced anew.
func TestRequireByReload(t *testing.T) {
	t.Parallel()
	gate, _ := domain(t, 18, "", "")
	if r := gate.write("[netmetric]", "[auth]\nrequire = true\n[[auth.key]]\nid = 1\nalgorithm = \"hmac-sha256\"\nfile = \"key1\"\n[netmetric]"); !r.OK {
		t.Fatalf("%+v", r)
	}
	used := func() (n int) {
		all, err := gate.Backend().Services(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range all {
			n += len(s.Targets)
		}
		return n
	}
	eventually(t, "nothing unsigned is believed", func() bool { return used() == 0 })
	heard, err := gate.Backend().Heard(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range heard {
		if r.Kind == "instance" && (r.Used || r.Why != "signature" || r.Carrier != "") {
			t.Errorf("%+v", r)
		}
	}
	if r := gate.write("require = true", "require = false"); !r.OK {
		t.Fatalf("%+v", r)
	}
	eventually(t, "believed again", func() bool { return gate.targets() == 2 })
}

// An agent with both roles takes its own site into account like any other,
// and finds what it says of itself believable under any keys.
func TestBothRoles(t *testing.T) {
	t.Parallel()
	text := strings.Replace(siteAt(8, ""), `roles = ["egress"]`, `roles = ["egress", "ingress"]`, 1)
	one := operate(t, text)
	one.push("10.0.7.1", half)
	one.push("10.0.7.2", half)
	eventually(t, "both instances take flows", func() bool { return one.targets() == 2 })
	sites, err := one.Backend().Sites(t.Context())
	if err != nil || len(sites) != 1 || !sites[0].Local || sites[0].Name != "site" {
		t.Errorf("%v %+v", err, sites)
	}
	// Nothing else is known: to drain it all would leave nothing.
	_, err = one.Backend().Drain(t.Context(), api.DrainRequest{Target: "video"})
	if err == nil {
		t.Fatal("the last of a service was drained without --force")
	}
	one.tells(events.DrainRefused, "video")
	if res := one.drain(api.DrainRequest{Target: "video 10.0.7.1"}); !res.Changed {
		t.Errorf("%+v", res)
	}
	eventually(t, "one is left", func() bool { return one.targets() == 1 })
	one.drain(api.DrainRequest{Target: "10.0.7.1", Undo: true})
	eventually(t, "both again", func() bool { return one.targets() == 2 })

	// Its own routes are judged anew at once when signatures become required.
	if r := one.write("[dampening]", "[auth]\nrequire = true\nsign_with = 1\n[[auth.key]]\nid = 1\nalgorithm = \"hmac-sha256\"\nfile = \"key1\"\n[dampening]"); !r.OK {
		t.Fatalf("%+v", r)
	}
	eventually(t, "signed, and believed", func() bool { return one.targets() == 2 })
	if r := one.write("sign_with = 1\n", ""); !r.OK {
		t.Fatalf("%+v", r)
	}
	eventually(t, "unsigned, and not believed", func() bool { return one.targets() == 0 })
}

// An ingress that starts is not alarmed because its first probe has not come
// back yet.
func TestNoAlarmAtStart(t *testing.T) {
	t.Parallel()
	gate, site := domain(t, 9, "", "")
	if es := gate.told(events.SelectionEmpty); len(es) > 0 {
		t.Errorf("alarmed at the start: %+v", es)
	}
	site.drain(api.DrainRequest{Target: "site"})
	gate.tells(events.SelectionEmpty, "203.0.113.10")
}

// What an ingress shows of a route that it heard.
func TestHeard(t *testing.T) {
	t.Parallel()
	gate, _ := domain(t, 13, "", "")
	all, err := gate.Backend().Heard(t.Context())
	if err != nil || len(all) != 3 {
		t.Fatalf("%v %+v", err, all)
	}
	for _, r := range all {
		switch r.Kind {
		case "anycast":
			if r.Prefix != "203.0.113.10/32" || r.Carrier != "" || r.Service != "203.0.113.10" || !r.Used {
				t.Errorf("%+v", r)
			}
		default:
			if len(r.Instances) != 1 || r.Instances[0].Utilisation == nil || r.Prefix != r.Instances[0].CSCIID+"/32" ||
				r.Carrier != "attribute" || r.Egress != "127.0.7.113" || r.Peer != "site" || r.HeardAt.IsZero() || !r.Used {
				t.Errorf("%+v", r)
			}
		}
	}
}

// An instance that nobody ever pushes to does not keep the agent from being
// ready for ever.
func TestReadyWithoutAPusher(t *testing.T) {
	t.Parallel()
	gate, site := domain(t, 14, "", "")
	if r := site.write("capacity = 100.0\n[[service.instance.source]]\nname = \"p\"\ntype = \"push\"\nstale_after = \"1h\"\n[[service.instance]]", `capacity = 100.0
[[service.instance.source]]
name = "p"
type = "push"
stale_after = "1h"
[[service.instance]]
id = "10.0.7.3"
[[service.instance.source]]
name = "p"
type = "push"
stale_after = "1s"
[[service.instance]]`); !r.OK {
		t.Fatalf("%+v", r)
	}
	if s := site.status(); s.Ready {
		t.Error("ready although there was no time to push yet")
	}
	eventually(t, "ready", func() bool { return site.status().Ready })
	if state := site.instance("10.0.7.3").State; state != api.StateStarting {
		t.Error("state: ", state)
	}
	if gate.targets() != 2 {
		t.Error("the other instances do not take flows")
	}
}

// What an ingress warns of.
func TestIngressWarnings(t *testing.T) {
	t.Parallel()
	gate, _ := domain(t, 15, "[[service]]\nname = \"video\"\ncs_id = \"203.0.113.10\"\n", "")
	warned := func(code, about string) bool {
		return slices.ContainsFunc(gate.status().Warnings, func(w api.Warning) bool { return w.Code == code && w.Site+w.Service == about })
	}
	if ws := gate.status().Warnings; len(ws) != 0 {
		t.Errorf("%+v", ws)
	}
	if r := gate.write(`name = "video"`, "name = \"video\"\nsites = [\"192.0.2.200\"]"); !r.OK {
		t.Fatalf("%+v", r)
	}
	eventually(t, "no target", func() bool { return warned("no_target", "video") })
	if r := gate.write("sites = [\"192.0.2.200\"]\n", ""); !r.OK {
		t.Fatalf("%+v", r)
	}
	eventually(t, "a target again", func() bool { return !warned("no_target", "video") && gate.targets() == 2 })
}

// A site whose reflector does not answer is warned of.
func TestSiteUnreachable(t *testing.T) {
	t.Parallel()
	gate := operate(t, gateAt(16, ""))
	site := operate(t, strings.Replace(siteAt(16, ""), `reflector = "127.0.7.116:18627"`, `reflector = ""`, 1))
	site.push("10.0.7.1", half)
	eventually(t, "warned", func() bool {
		return slices.ContainsFunc(gate.status().Warnings, func(w api.Warning) bool { return w.Code == "site_unreachable" && w.Site == "127.0.7.116" })
	})
}

// In the mode "warn" nothing is held back for a router that damps, but the
// operator hears of it.
func TestRFDWarning(t *testing.T) {
	t.Parallel()
	gate := operate(t, gateAt(17, ""))
	site := operate(t, strings.Replace(siteAt(17, ""), "connect_retry", "rfd_budget = \"warn\"\nconnect_retry", 1))
	eventually(t, "a session", func() bool { return gate.peer("site").Up })
	for i := range 5 {
		was := site.instance("10.0.7.1").Said
		site.push("10.0.7.1", map[string]float64{"utilisation": 0.1 + 0.5*float64(i%2)})
		eventually(t, "said", func() bool {
			is := site.instance("10.0.7.1").Said
			return is != nil && (was == nil || is.Sequence != was.Sequence)
		})
	}
	site.tells(events.RFDBudget, "10.0.7.1")
	if !slices.ContainsFunc(site.status().Warnings, func(w api.Warning) bool { return w.Code == "rfd_budget" && w.Peer == "gate" }) {
		t.Errorf("%+v", site.status().Warnings)
	}
}

// Values that contradict each other are told once.
func TestAnomalous(t *testing.T) {
	t.Parallel()
	site := operate(t, siteAt(10, ""))
	site.push("10.0.7.1", map[string]float64{"utilisation": 70})
	site.tells(events.InstanceAnomalous, "10.0.7.1")
	site.push("10.0.7.1", map[string]float64{"utilisation": 71})
	site.tells(events.AgentStarted, "site")
	if n := len(site.told(events.InstanceAnomalous)); n != 1 {
		t.Errorf("told %d times", n)
	}
}

// Not parallel: it looks at all goroutines.
func TestStop(t *testing.T) {
	leaks := []goleak.Option{goleak.IgnoreCurrent(), goleak.IgnoreTopFunction("github.com/eapache/channels.(*InfiniteChannel).infiniteBuffer")} // GoBGP leaves one behind for each peer
	gate, site := domain(t, 11, "", "")
	busy := make(chan struct{})
	go func() {
		defer close(busy)
		for i := range 5000 {
			err := site.Backend().Push(context.Background(), api.PushRequest{Service: "video", Instance: "10.0.7.1", Values: map[string]float64{"utilisation": float64(i%2) * 0.9}, TTLSeconds: 60})
			if err != nil {
				return
			}
		}
	}()
	<-busy
	site.stop()
	gate.stop()
	goleak.VerifyNone(t, leaks...)
	if e := site.told(events.AgentStopped); len(e) != 1 || e[0].Level != events.Info {
		t.Errorf("%+v", e)
	}
	// Who asks an agent that is gone gets an answer.
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := site.Backend().Status(ctx); err == nil {
		t.Error("an agent that is stopped answered")
	}
}

// A part that cannot start ends the agent, and it says so.
func TestStartFails(t *testing.T) {
	t.Parallel()
	operate(t, gateAt(12, ""))
	cfg, err := config.Parse("second.toml", []byte(withPort(gateAt(12, ""))), noFiles)
	if err != nil {
		t.Fatal(err)
	}
	second, err := agent.New(cfg, agent.Options{Log: zerolog.Nop(), NoAPI: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Run(t.Context()); err == nil || strings.Contains(err.Error(), "bgp: bgp:") {
		t.Errorf("%v", err)
	}
	evs, _ := second.Events().Since(0, 1<<20)
	if last := evs[len(evs)-1]; last.Name != events.AgentStopped || last.Level != events.Error || !strings.Contains(last.Message, "in use") {
		t.Errorf("%+v", last)
	}
}

func noFiles(string) ([]byte, fs.FileMode, error) { return nil, 0, os.ErrNotExist }

// The rungs that the selection knows are those that documents, metrics and
// alerts know.
func TestRungNames(t *testing.T) {
	for i, name := range api.Rungs {
		if got := selection.Rung(i).String(); got != name {
			t.Errorf("rung %d is %q to the selection and %q to the API", i, got, name)
		}
	}
	if beyond := selection.Rung(len(api.Rungs)).String(); !strings.HasPrefix(beyond, "rung(") {
		t.Errorf("the API does not know rung %q", beyond)
	}
}

// Every name of an event in the table is used somewhere: an operator who
// alerts on one must not wait for ever.
func TestEveryEventHappens(t *testing.T) {
	used := map[string]bool{"EventsSuppressed": true} // by the ring itself
	for _, dir := range []string{".", "../egress", "../ingress"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if strings.HasSuffix(f, "_test.go") {
				continue
			}
			tree, err := parser.ParseFile(token.NewFileSet(), f, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(tree, func(n ast.Node) bool {
				if s, ok := n.(*ast.SelectorExpr); ok {
					if p, ok := s.X.(*ast.Ident); ok && p.Name == "events" {
						used[s.Sel.Name] = true
					}
				}
				return true
			})
		}
	}
	tree, err := parser.ParseFile(token.NewFileSet(), "../events/names.go", nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	names := 0
	ast.Inspect(tree, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok {
			if typ, ok := v.Type.(*ast.Ident); ok && typ.Name == "Name" {
				names++
				if !used[v.Names[0].Name] {
					t.Errorf("no code emits events.%s", v.Names[0].Name)
				}
			}
		}
		return true
	})
	if names != len(events.Names) {
		t.Errorf("found %d names of %d", names, len(events.Names))
	}
}
