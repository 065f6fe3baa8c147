package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"github.com/catsbgp/catsbgp/dampening"
	"github.com/catsbgp/catsbgp/internal/netmetric"
)

// A builder makes the Config of the raw structs, and checks on the way what
// concerns more than one key. It goes on after a problem; what it returns then
// is thrown away.
type builder struct {
	*binder
	raw      *rawConfig
	open     func(path string) ([]byte, fs.FileMode, error)
	dir      string
	contents map[string]string
}

func (b *builder) build() *Config {
	c := &Config{}
	c.Agent = b.agent()
	c.Log = Log{Level: b.raw.Log.Level, Format: b.raw.Log.Format}
	c.API = b.api()
	c.BGP = b.bgp()
	c.Auth = b.auth()
	c.Dampening = b.dampening()
	c.Selection = b.selection()
	c.Sites = b.sites()
	c.Services = b.services(c)
	c.NetMetric = b.netmetric()
	b.together(c)
	return c
}

func (b *builder) agent() Agent {
	r := &b.raw.Agent
	if !b.has("agent.domain") {
		r.Domain = b.raw.BGP.ASN
	}
	a := Agent{
		Name: r.Name, Locator: r.Locator.Addr, Domain: uint32(r.Domain),
		NormalizationProfile: r.NormalizationProfile, SiteID: r.SiteID, SitePreference: r.SitePreference,
		StateDir: b.file(r.StateDir),
	}
	for i, role := range r.Roles {
		again := role == "egress" && a.Egress || role == "ingress" && a.Ingress
		if again {
			b.fail(elementPath("agent.roles", i), "", "%q stands there twice", role)
		}
		a.Egress = a.Egress || role == "egress"
		a.Ingress = a.Ingress || role == "ingress"
	}
	if a.Locator.IsUnspecified() {
		b.fail("agent.locator", "", "%s is no address that others can send to", a.Locator)
	}
	b.word("agent.name", a.Name)
	return a
}

func (b *builder) api() API {
	r := &b.raw.API
	a := API{
		Socket: b.file(r.Socket), SocketMode: fs.FileMode(r.SocketMode),
		GoBGPSocket: b.file(r.GoBGPSocket), Events: r.Events,
	}
	b.socket("api.socket", a.Socket)
	b.socket("api.gobgp_socket", a.GoBGPSocket)
	if a.Socket == a.GoBGPSocket {
		b.fail("api.gobgp_socket", "", "is the same as api.socket")
	}
	if a.SocketMode&0o002 != 0 {
		b.warn("api.socket_mode", `"0660" and a group`, "every user of this host may drain services")
	}
	if r.Listen != "" {
		ap, err := netip.ParseAddrPort(r.Listen)
		switch {
		case err != nil:
			b.fail("api.listen", "", `expected an address and port like "127.0.0.1:9477" or "[::1]:9477", found %q`, r.Listen)
		case !ap.Addr().Unmap().IsLoopback():
			b.fail("api.listen", "to reach it from elsewhere, forward it through SSH or a TLS proxy", "%s is not a loopback address, and this API has no TLS", ap.Addr())
		default:
			a.Listen = ap
		}
	}
	if r.TokenFile != "" {
		a.Token = b.secret("api.token_file", r.TokenFile, parseToken)
		if r.Listen == "" {
			b.warn("api.token_file", "", "has no use while api.listen is not set")
		}
	} else if a.Listen.IsValid() {
		b.warn("api.listen", "set api.token_file", "without a token, every user of this host can read here, and nobody can change anything")
	}
	return a
}

func (b *builder) dampening() dampening.Params {
	const at = "dampening."
	r := &b.raw.Dampening
	p := dampening.Params{
		ObserveOnly: r.ObserveOnly,
		Delta:       float64(r.Delta), High: float64(r.High), Low: float64(r.Low), Smoothing: r.Smoothing.d(),
		MinInterval: r.MinInterval.d(), Refresh: r.Refresh.d(), Validity: r.Validity.d(),
		BucketPerMinute: r.BucketPerMinute, BucketBurst: r.BucketBurst, SessionPerSec: r.SessionPerSec,
		PresencePenalty: r.PresencePenalty, PresenceSuppress: r.PresenceSuppress, PresenceReuse: r.PresenceReuse,
		PresenceHalfLife: r.PresenceHalfLife.d(), PresenceMaxSuppress: r.PresenceMaxSuppress.d(),
		CreatePerMinute: r.CreatePerMinute,
	}
	b.wholeSeconds(at+"validity", r.Validity)
	if p.Low >= p.High {
		b.conflict([]string{at + "low", at + "high"}, "", "low (%s) must be below high (%s)", r.Low, r.High)
	}
	if p.Validity < 2*p.Refresh {
		b.conflict([]string{at + "validity", at + "refresh"}, "one lost update must not make a value stale",
			"validity (%s) must be at least twice refresh (%s)", r.Validity, r.Refresh)
	}
	if p.MinInterval > p.Refresh {
		b.conflict([]string{at + "min_interval", at + "refresh"}, "", "min_interval (%s) must not be longer than refresh (%s)", r.MinInterval, r.Refresh)
	}
	if need := 60 / p.Refresh.Seconds(); p.BucketPerMinute < need {
		b.conflict([]string{at + "bucket_per_minute", at + "refresh"}, "",
			"%s per minute do not even pay for the refreshes, one every %s", number(p.BucketPerMinute), r.Refresh)
	}
	if p.PresenceReuse >= p.PresenceSuppress {
		b.conflict([]string{at + "presence_reuse", at + "presence_suppress"}, "", "presence_reuse (%s) must be below presence_suppress (%s)",
			number(p.PresenceReuse), number(p.PresenceSuppress))
	} else if ceiling := ceiling(p); ceiling <= p.PresenceSuppress {
		// RFC 2439 section 4.2: the ceiling follows from the longest suppression.
		b.conflict([]string{at + "presence_max_suppress", at + "presence_half_life", at + "presence_suppress"}, "",
			"nothing is ever suppressed: the penalty ends at %s = presence_reuse × 2^(presence_max_suppress/presence_half_life), not above presence_suppress (%s)",
			number(ceiling), number(p.PresenceSuppress))
	}
	if err := p.Validate(); err != nil && !slices.ContainsFunc(b.problems, func(p Problem) bool {
		return p.Severity == Error && strings.HasPrefix(p.Key, at)
	}) {
		b.fail("dampening", "", "%s", strings.TrimPrefix(err.Error(), "dampening: "))
	}
	if p.ObserveOnly {
		b.warn(at+"observe_only", "", "everything is said, nothing is held back")
	}
	return p
}

func (b *builder) netmetric() netmetric.Config {
	const at = "netmetric."
	r := &b.raw.NetMetric
	c := netmetric.Config{
		Reflector: r.Reflector, Port: r.Port, Interval: r.Interval.d(), Window: r.Window.d(), Timeout: r.Timeout.d(),
		UnreachableAfter: r.UnreachableAfter, MaxTargets: r.MaxTargets,
	}
	if r.Reflector != "" {
		host, _, err := hostPort(r.Reflector)
		if err == nil && host != "" {
			_, err = netip.ParseAddr(host)
		}
		if err != nil {
			b.fail(at+"reflector", "", `expected a port with or without an address, like ":862" or "192.0.2.21:862", found %q`, r.Reflector)
		}
	}
	if r.KeyFile != "" {
		c.Key = b.secret(at+"key_file", r.KeyFile, parseHMACKey).Reveal()
	}
	if c.Window < 2*c.Interval {
		b.conflict([]string{at + "window", at + "interval"}, "", "window (%s) must hold at least two probes, one every interval (%s)", r.Window, r.Interval)
	}
	return c
}

// together checks what concerns the whole file.
func (b *builder) together(c *Config) {
	instances := 0
	for i, s := range c.Services {
		at := elementPath("service", i)
		instances += len(s.Instances)
		if len(s.Instances) > 0 && !c.Agent.Egress && b.good("agent.roles") {
			b.warn(at+".instance", `add "egress" to agent.roles`, "is not used: this agent announces nothing")
		}
	}
	if c.Agent.Egress && instances == 0 && b.good("service") {
		b.fail("agent.roles", "add [[service]] with a [[service.instance]], or leave the role out", `role "egress" needs a service with an instance`)
	}
	b.nextHops(c)
	if len(c.BGP.Peers) == 0 && b.good("bgp.peer") {
		b.warn("bgp", "add a [[bgp.peer]]", "has no peer: nothing is announced and nothing is heard")
	}
	if rate := float64(instances) / c.Dampening.Refresh.Seconds(); rate > c.Dampening.SessionPerSec {
		b.warn("dampening.session_budget_per_second", "", "the refreshes of %d instances alone need %.1f per second", instances, rate)
	}
}

// file returns where a file that the configuration names is.
func (b *builder) file(name string) string {
	if name == "" || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(b.dir, name)
}

// socket checks a Unix socket's path.
func (b *builder) socket(at, path string) {
	// sun_path of unix(7) less the terminating NUL, less "unix:///" in gRPC.
	if len(path) > 99 {
		b.fail(at, "", "is too long for a Unix socket: %d octets, at most 99", len(path))
	}
}

// word checks a name that goes into tables, logs and metrics.
func (b *builder) word(at, name string) {
	if len(name) > 64 {
		b.fail(at, "", "is too long: %d octets, at most 64", len(name))
		return
	}
	for _, r := range name {
		if r <= ' ' || r == 0x7f || r == '"' || r == '\'' || r == '\\' || r == '/' || r == '�' {
			b.fail(at, "", "must not contain %q: names stand in tables, addresses and labels", r)
			return
		}
	}
}

func (b *builder) wholeSeconds(at string, d duration) {
	if d.d()%1e9 != 0 {
		b.fail(at, "", "must be whole seconds, found %s", d)
	}
}

// A register finds what stands twice.
type register[K comparable] map[K]string

// add reports whether k is new, and complains at path if it is not.
func (r register[K]) add(b *builder, path, what string, k K) bool {
	first, again := r[k]
	if again {
		b.fail(path, "", "%s %v is already that of %s on line %d", what, k, parentPath(first), b.value(first).line)
		return false
	}
	r[k] = path
	return true
}

// secret reads a file that only its owner and group may read.
func (b *builder) secret(at, name string, parse func([]byte) ([]byte, error)) Secret {
	path := b.file(name)
	text, mode, err := b.read(path)
	if err != nil {
		b.fail(at, "", "%s", fileError(path, err))
		return Secret{}
	}
	if mode&0o007 != 0 {
		b.fail(at, "chmod o-rwx "+path, "%s is open to every user of this host (mode %04o)", path, mode.Perm())
		return Secret{}
	}
	octets, err := parse(text)
	if err != nil {
		message, hint := asComplaint(err)
		b.fail(at, hint, "%s: %s", path, message)
		return Secret{}
	}
	s := NewSecret(octets)
	b.contents[at] = s.fingerprint()
	return s
}

func (b *builder) read(path string) ([]byte, fs.FileMode, error) {
	if b.open == nil {
		return nil, 0, errors.New("files cannot be read here")
	}
	return b.open(path)
}

// fileError says what the operating system said, with the path once.
func fileError(path string, err error) string {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		err = pe.Err
	}
	return fmt.Sprintf("%s: %v", path, err)
}
