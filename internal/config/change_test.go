package config

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What a key of the reference is changed to where another value cannot be
// guessed, and for the files that are then named.
var alternatives = map[string]string{
	"state_dir": `""`, "level": `"debug"`, "format": `"json"`,
	"socket": `"/run/other.sock"`, "socket_mode": `"0600"`, "listen": `["127.0.0.1"]`, "token_file": `"token"`, "gobgp_socket": `"/run/gobgp.sock"`,
	"api.listen": `"[::1]:9477"`, "local_address": `"192.0.2.21"`, "next_hop": `["192.0.2.9"]`, "families": `["ipv6"]`, "password_file": `"token"`,
	"attribute_type": "200", "rfd_budget": `"enforce"`, "sign_with": "7", "profile": `"conservative"`,
	"delta": `"20%"`, "high": "0.95", "low": `"70%"`, "refresh": `"40s"`, "validity": `"61s"`, "eta": "0.8",
	"announce": `"both"`, "aggregate_id": `"192.0.2.99"`, "policy": `"nearest"`, "min_instances": "1", "sites": `["paris"]`,
	"function": `"sigmoid"`, "aggregation": `"min"`, "weights": "{ computing = 2.0, service = 0 }",
	"stale": `"hold"`, "headers": `{ Accept = "text/plain" }`, "via": `"cs-id"`, "path": `"/healthz"`, "host": `"video.example"`,
	"expect_status": `"204"`, "expect_body": `"ok"`, "name": `"other"`, "gain": "0.5", "min_share": "0.001",
	"fast_interval": `"1s"`, "stale_after": `"10s"`, "out_after": `"1h"`, "reflector": `""`, "key_file": `"token"`,
	"presence_reuse": "800", "presence_half_life": `"10m"`, "presence_max_suppress": `"90m"`, "long_lived_graceful_restart": `"0s"`,
	"service.instance.source.interval": `"2s"`, "timeout": `"900ms"`, "service.instance.check.interval": `"3s"`,
}

// Keys whose other values need another key next to them, or a source or check
// of another type than the reference has; others do the same there.
var elsewhere = map[string]string{
	"bgp.peer.route_reflector_client":      "",
	"bgp.peer.multihop_ttl":                "asn = 65009\nmultihop_ttl = 2",
	"bgp.peer.long_lived_graceful_restart": "graceful_restart = \"2m\"\nlong_lived_graceful_restart = \"1h\"",
	"bgp.peer.rfd_suppress":                "rfd_budget = \"warn\"\nrfd_suppress = 3000",
	"bgp.peer.edge_metadata":               "",
	"auth.sign_with":                       "sign_with = 7\n[[auth.key]]\nid = 7\nalgorithm = \"hmac-sha256\"\nfile = \"token\"",
	"auth.require":                         "require = true\n[[auth.key]]\nid = 7\nalgorithm = \"hmac-sha256\"\nfile = \"token\"",
	"service.min_instances":                "-",
	"service.instance.source.command":      "-",
	"service.instance.source.cgroup":       "-",
	"service.instance.check.grpc_service":  "-",
	"service.instance.check.tls_verify":    "-",
	"service.instance.check.ca_file":       "-",
	"api.token_file":                       "listen = \"127.0.0.1:9477\"\ntoken_file = \"token\"",
}

// TestEveryKeyHasAnEffect sets one key of the reference at a time to another
// value: something else must come out, and Diff must tell what.
func TestEveryKeyHasAnEffect(t *testing.T) {
	lines := strings.Split(readReference(t), "\n")
	f := files{"token": {strings.Repeat("t-", 20), 0o600}}
	before := mustParse(t, strings.Join(lines, "\n"), f)
	table, tried := "", 0
	for i, line := range lines {
		if strings.HasPrefix(line, "[") {
			table = strings.Trim(strings.SplitN(line, "#", 2)[0], "[] ")
		}
		m := commented.FindStringSubmatch(line)
		if m == nil || isExample(lines, i) {
			continue
		}
		key, value, _ := strings.Cut(m[1], " = ")
		path := table + "." + key
		text, special := elsewhere[path]
		switch {
		case text == "-":
			continue // TestOtherTypes
		case !special || text == "":
			text = key + " = " + another(t, path, key, value)
		}
		tried++
		changed := slices.Clone(lines)
		changed[i] = text
		if strings.HasPrefix(text, "asn = ") { // replaces a line that is there
			j := slices.Index(changed[:i], "asn = 65001                    # equal to bgp.asn: iBGP")
			changed[j] = ""
		}
		after, err := Parse("config.toml", []byte(strings.Join(changed, "\n")), f.open)
		if err != nil {
			t.Errorf("line %d, %s:\n%v", i+1, text, err)
			continue
		}
		d := Diff(before, after)
		if d.Empty() {
			t.Errorf("line %d: Diff does not see %s", i+1, text)
		}
		if again := Diff(after, after); !again.Empty() {
			t.Errorf("line %d: a configuration differs from itself: %v", i+1, again)
		}
		if cmp.Equal(*before, *after, append(cmpOptions, ignoreWarnings)...) {
			t.Errorf("line %d: %s changes nothing", i+1, text)
		}
		for _, l := range d.Lines() {
			if !strings.Contains(l, key) && !strings.Contains(text, "\n") && key != "profile" && key != "name" {
				t.Errorf("line %d: %s is told as %q", i+1, text, l)
			}
		}
	}
	if tried < 90 {
		t.Errorf("only %d keys tried", tried)
	}
}

var ignoreWarnings = cmp.FilterPath(func(p cmp.Path) bool { return p.String() == "Warnings" }, cmp.Ignore())

// another returns a value that is not the default.
func another(t *testing.T, path, key, value string) string {
	t.Helper()
	for _, k := range []string{path, key} {
		if v, ok := alternatives[k]; ok {
			return v
		}
	}
	value = strings.TrimSpace(strings.SplitN(value, "#", 2)[0])
	tree, err := decode("x = " + value)
	if err != nil {
		t.Fatalf("%s = %s: %v", path, value, err)
	}
	switch v := tree["x"].(type) {
	case bool:
		return strconv.FormatBool(!v)
	case int64:
		return strconv.FormatInt(v+1, 10)
	case float64:
		return strconv.FormatFloat(v+0.5, 'f', 2, 64)
	case string:
		var d duration
		if d.parse(v) == nil {
			return `"` + duration(2*d.d()+1e9).String() + `"`
		}
	}
	t.Fatalf("%s: nothing in alternatives, and nothing to guess from %s", path, value)
	return ""
}

// TestOtherTypes: keys that sources and checks of other types than the
// reference's have.
func TestOtherTypes(t *testing.T) {
	const head = `
[agent]
name = "a"
roles = ["egress"]
locator = "192.0.2.21"
[bgp]
asn = 65001
router_id = "192.0.2.21"
[[service]]
name = "video"
cs_id = "203.0.113.10"
min_instances = 2
[[service.instance]]
id = "10.0.2.10"
check = [ { type = "tcp", target = "10.0.2.10:80" } ]
[[service.instance]]
id = "10.0.2.11"
`
	f := files{"ca.pem": {testCA, 0o644}}
	c := mustParse(t, head+`
source = [
  { name = "e", type = "exec", command = ["/bin/health", ""] },
  { name = "l", type = "local", cgroup = "/system.slice/nginx.service/" },
  { name = "o", type = "orca-stream", url = "10.0.2.11:50051", values = { queue = { rate = true, divide_by = { metric = "m", scale = 2 } } } },
  { name = "p", type = "push" },
]
check = [
  { type = "grpc", target = "10.0.2.11:50051", grpc_service = "video.Video", ca_file = "ca.pem", tls_verify = true },
  { type = "tls", target = "video.example:443", tls_verify = false, name = "handshake" },
  { type = "tcp", target = ":80", via = "cs-id" },
]`, f)
	s := c.Services[0]
	if s.MinInstances != 2 {
		t.Errorf("min_instances: %d", s.MinInstances)
	}
	in := s.Instances[1]
	for _, test := range []struct {
		what      string
		got, want any
	}{
		{"command", in.Sources[0].Command, []string{"/bin/health", ""}},
		{"cgroup", in.Sources[1].CGroup, "system.slice/nginx.service"},
		{"stream url", in.Sources[2].URL, "10.0.2.11:50051"},
		{"a selector without a metric", in.Sources[2].Values["queue"].Metric, ""},
		{"rate", in.Sources[2].Values["queue"].Rate, true},
		{"divisor", in.Sources[2].Values["queue"].DivideSel.Metric, "m"},
		{"divisor's scale", in.Sources[2].Values["queue"].DivideSel.Scale, 2.0},
		{"grpc_service", in.Checks[0].GRPCService, "video.Video"},
		{"ca_file", in.Checks[0].CAFile, "ca.pem"},
		{"tls_verify", in.Checks[1].TLSVerify, false},
		{"names", fmt.Sprint(in.Checks[0].Name, " ", in.Checks[1].Name, " ", in.Checks[2].Name), "grpc-1 handshake tcp-3"},
		{"via", in.Checks[2].ViaCSID, true},
		{"key", in.Key.String(), "203.0.113.10 10.0.2.11"},
		{"site", s.AggregateID.String(), "192.0.2.21"},
	} {
		if !reflect.DeepEqual(test.got, test.want) {
			t.Errorf("%s: got %v, want %v", test.what, test.got, test.want)
		}
	}
}

const testCA = `-----BEGIN CERTIFICATE-----
` + testCertificate + `
-----END CERTIFICATE-----
`

func TestDiff(t *testing.T) {
	const base = `
[agent]
name = "a"
roles = ["egress", "ingress"]
locator = "192.0.2.21"
[bgp]
asn = 65001
router_id = "192.0.2.21"
[[bgp.peer]]
name = "rr1"
address = "192.0.2.1"
asn = 65001
password_file = "md5"
[[service]]
name = "video"
cs_id = "203.0.113.10"
[[service.instance]]
id = "10.0.2.11"
`
	const second = "[[bgp.peer]]\nname = \"rr2\"\naddress = \"192.0.2.2\"\nasn = 65001\n"
	f := files{"md5": {"secret one", 0o600}}
	for _, test := range []struct {
		name          string
		before, after string
		files         files // after
		want          Changes
	}{
		{"nothing", base, base, f, Changes{}},
		{"a comment, and a default made explicit", base, base + "# hello\n[log]\nlevel = \"info\"\n", f, Changes{}},
		{"another threshold", base, base + "[dampening]\ndelta = 0.2\n", f, Changes{Live: []string{"dampening.delta: 10% → 20%"}}},
		{"a profile brings its values", base, base + "[dampening]\nprofile = \"conservative\"\n", f, Changes{Live: []string{
			"dampening.profile: domain → conservative", "dampening.min_interval: 1s → 30s", "dampening.refresh: 30s → 1m",
			"dampening.validity: 1m30s → 3m", "dampening.bucket_per_minute: 12 → 2",
		}}},
		{"a peer is new", base, base + second, f, Changes{Live: []string{"bgp.peer[rr2]: added"}}},
		{"a peer is gone", base + second, base, f, Changes{ResetSessions: []string{"rr2"}, Peers: []string{"bgp.peer[rr2]: removed"}}},
		{"a peer has another name", base, strings.Replace(base, `"rr1"`, `"core"`, 1), f, Changes{
			Live: []string{"bgp.peer[core]: added"}, ResetSessions: []string{"rr1"}, Peers: []string{"bgp.peer[rr1]: removed"},
		}},
		{"a session's settings", base, strings.Replace(base, "password_file", "hold_time = \"30s\"\nbfd = true\npassword_file", 1), f, Changes{
			ResetSessions: []string{"rr1"}, Peers: []string{"bgp.peer[rr1].hold_time: 1m30s → 30s", "bgp.peer[rr1].bfd: false → true"},
		}},
		{"what we may send to a peer does not touch the session", base, strings.Replace(base, "password_file", "rfd_budget = \"warn\"\npassword_file", 1), f,
			Changes{Live: []string{"bgp.peer[rr1].rfd_budget: off → warn"}}},
		{"a password in the same file", base, base, files{"md5": {"secret two", 0o600}}, Changes{
			ResetSessions: []string{"rr1"}, Peers: []string{"bgp.peer[rr1].password_file: content changed"},
		}},
		{"the same password in another file", base, strings.Replace(base, `"md5"`, `"tcp"`, 1), files{"tcp": {"secret one", 0o600}}, Changes{
			ResetSessions: []string{"rr1"}, Peers: []string{"bgp.peer[rr1].password_file: md5 → tcp"},
		}},
		{"another locator, and what follows from it", base, strings.Replace(base, `locator = "192.0.2.21"`, `locator = "192.0.2.22"`, 1), f, Changes{
			Restart: []string{"agent.locator: 192.0.2.21 → 192.0.2.22"}, Live: []string{"service[video].aggregate_id: 192.0.2.21 → 192.0.2.22"},
		}},
		{"an instance comes, a service goes with all that it had", base,
			strings.Replace(base, "video", "audio", 1) + "[[service.instance]]\nid = \"10.0.2.12\"\n", f,
			Changes{Live: []string{"service[video]: removed", "service[audio]: added"}}},
		{"an instance comes and one is changed", base, base + "capacity = 100\n[[service.instance]]\nid = \"10.0.2.12\"\n", f,
			Changes{Live: []string{"service[video].instance[10.0.2.11].capacity: 0 → 100", "service[video].instance[10.0.2.12]: added"}}},
		{"the order of peers does not matter", base + second,
			strings.Replace(strings.Replace(strings.Replace(base+second, `"rr1"`, `"x"`, 1), `"rr2"`, `"rr1"`, 1), `"x"`, `"rr2"`, 1), f, Changes{
				ResetSessions: []string{"rr2", "rr1"},
				Peers: []string{
					"bgp.peer[rr2].address: 192.0.2.2 → 192.0.2.1", `bgp.peer[rr2].password_file: "" → md5`,
					"bgp.peer[rr1].address: 192.0.2.1 → 192.0.2.2", `bgp.peer[rr1].password_file: md5 → ""`,
				},
			}},
		{"the table that listens is another", base, strings.Replace(base, "password_file", "domain = false\npassword_file", 1), f, Changes{
			ResetSessions: []string{"rr1"}, Peers: []string{"bgp.peer[rr1].domain: true → false"},
			Restart: []string{"bgp.peer: the sessions that others open are now for peers outside the domain, no longer for peers in the domain without edge_metadata"},
		}},
		{"the first peer with edge metadata", base, strings.Replace(base, "[[service]]", second+"edge_metadata = true\n[[service]]", 1), f, Changes{
			Live: []string{"bgp.peer[rr2]: added"}, Restart: []string{"bgp.peer: the first one with edge_metadata"},
		}},
		{"another header, unseen", base + `source = [ { name = "p", type = "prometheus", url = "http://x/", headers = { A = "secret one" }, values = { delay = {} } } ]`,
			base + `source = [ { name = "p", type = "prometheus", url = "http://x/", headers = { A = "secret two" }, values = { delay = {} } } ]`, f,
			Changes{Live: []string{"service[video].instance[10.0.2.11].source[p].headers: content changed"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := Diff(mustParse(t, test.before, f), mustParse(t, test.after, test.files))
			for _, l := range []*[]string{&test.want.Live, &test.want.ResetSessions, &test.want.Peers, &test.want.Restart} {
				if *l == nil {
					*l = []string{}
				}
			}
			slices.Sort(got.Live)
			slices.Sort(test.want.Live)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			if strings.Contains(strings.Join(got.Lines(), "\n"), "secret") {
				t.Errorf("a secret is shown: %v", got)
			}
			if got.Empty() != (len(got.Lines()) == 0) {
				t.Error("Empty and Lines disagree")
			}
		})
	}
}

// TestEveryKeySaysWhatAChangeNeeds: nothing is forgotten in the schema's tags.
func TestEveryKeySaysWhatAChangeNeeds(t *testing.T) {
	c := mustParse(t, readReference(t), nil)
	in := c.inventory()
	for _, s := range in.settings {
		if !slices.Contains([]string{"live", "session", "restart"}, s.reload) {
			t.Errorf("%s: %q", s.path, s.reload)
		}
	}
	for _, it := range in.items {
		if !slices.Contains([]string{"live", "session"}, it.reload) {
			t.Errorf("%s: %q", it.path, it.reload)
		}
	}
}

func TestDiffFromNothing(t *testing.T) {
	c := mustParse(t, string(Minimal()), nil)
	if d := Diff(nil, c); len(d.Restart) == 0 {
		t.Errorf("everything is new: %v", d)
	}
	if d := Diff(nil, nil); !d.Empty() {
		t.Errorf("nothing is no change: %v", d)
	}
}
