package config

import (
	"crypto/x509"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/catsbgp/catsbgp/advert"
	"github.com/catsbgp/catsbgp/internal/collect"
)

// What only some types of sources and checks understand. A key that would be
// ignored is an error: its writer believes that it does something.
var (
	sourceKeys = map[string][]string{
		"url":      {"prometheus", "orca-stream", "orca-header"},
		"headers":  {"prometheus", "orca-header"},
		"max_body": {"prometheus", "orca-stream", "orca-header", "exec", "push"},
		"command":  {"exec"},
		"cgroup":   {"local"},
		"timeout":  {"prometheus", "orca-stream", "orca-header", "exec", "local"},
		"interval": {"prometheus", "orca-stream", "orca-header", "exec", "local"},
	}
	checkKeys = map[string][]string{
		"path":          {"http", "https"},
		"host":          {"http", "https", "tls", "grpc"},
		"expect_status": {"http", "https"},
		"expect_body":   {"http", "https"},
		"grpc_service":  {"grpc"},
		"tls_verify":    {"https", "tls", "grpc"},
		"ca_file":       {"https", "tls", "grpc"},
	}
)

// applicable reports the keys that the type does not have and that are set to
// something else than their default. Both r and initial are pointers to raw
// structs.
func (b *builder) applicable(at, kind string, keys map[string][]string, r, initial any) {
	if !b.good(at + ".type") {
		return
	}
	is, was := reflect.ValueOf(r).Elem(), reflect.ValueOf(initial).Elem()
	for _, f := range fieldsOf(is.Type()) {
		kinds, some := keys[f.name]
		same := reflect.DeepEqual(is.Field(f.index).Interface(), was.Field(f.index).Interface())
		if some && !same && !slices.Contains(kinds, kind) {
			b.failKey(at+"."+f.name, "", "does not apply to type %q, only to %s", kind, oneOf(kinds))
		}
	}
}

func (b *builder) source(at string, r *rawSource) collect.Source {
	s := collect.Source{
		Name: r.Name, Type: collect.SourceType(r.Type), URL: r.URL, Command: r.Command, CGroup: r.CGroup, Headers: r.Headers,
		Interval: r.Interval.d(), Timeout: r.Timeout.d(), StaleAfter: r.StaleAfter.d(), Stale: collect.StalePolicy(r.Stale),
		MaxBody: r.MaxBody,
	}
	b.word(at+".name", r.Name)
	var initial rawSource
	initial.defaults(nil)
	b.applicable(at, r.Type, sourceKeys, r, &initial)
	switch s.Type {
	case collect.Prometheus, collect.ORCAHeader:
		b.httpURL(at, r.URL)
		b.headers(at+".headers", r.Headers)
		if len(r.Values) == 0 && s.Type == collect.Prometheus && b.good(at+".values") {
			b.failKey(at+".values", "", "is required: it says which series mean what")
		}
	case collect.ORCAStream:
		if b.needs(at+".url", r.URL != "") {
			b.target(at+".url", r.URL)
		}
	case collect.Exec:
		if b.needs(at+".command", len(r.Command) > 0) && r.Command[0] == "" {
			b.fail(at+".command", "", "must name a program")
		}
	case collect.Local:
		if slices.Contains(strings.Split(r.CGroup, "/"), "..") {
			b.fail(at+".cgroup", "", "must be a path below /sys/fs/cgroup")
		}
		s.CGroup = strings.TrimPrefix(path.Clean("/"+strings.TrimPrefix(r.CGroup, "/sys/fs/cgroup")), "/")
	}
	if s.StaleAfter < s.Interval {
		b.conflict([]string{at + ".stale_after", at + ".interval"}, "", "stale_after (%s) must not be shorter than interval (%s): every sample would be stale", r.StaleAfter, r.Interval)
	}
	if s.Timeout >= s.Interval && s.Type != collect.ORCAStream && s.Type != collect.Push {
		b.warn(b.first(at+".timeout", at+".interval"), "", "timeout (%s) should be shorter than interval (%s), or samples come late", r.Timeout, r.Interval)
	}
	if len(r.Values) > 0 {
		s.Values = map[string]collect.Selector{}
	}
	for name, sel := range r.Values {
		p := joinPath(at+".values", name)
		if name == "" || strings.ContainsAny(name, " \t\r\n=\"") {
			b.failKey(p, "", "a value's name is one word")
		}
		s.Values[name] = *b.selector(p, &sel, s.Type)
	}
	return s
}

func (b *builder) selector(at string, r *rawSelector, kind collect.SourceType) *collect.Selector {
	s := &collect.Selector{Metric: r.Metric, Labels: r.Labels, Aggregate: r.Aggregate, Rate: r.Rate, DivideBy: r.DivideBy.Name, Scale: r.Scale}
	if kind != collect.Prometheus {
		for _, key := range []string{".labels", ".aggregate"} {
			if b.has(at + key) {
				b.failKey(at+key, "", "does not apply to type %q, whose values have no labels", kind)
			}
		}
	}
	if r.Scale == 0 && b.good(at+".scale") {
		b.fail(at+".scale", "", "must not be 0: the value would always be 0")
	}
	if r.DivideBy.Selector != nil {
		s.DivideSel = b.selector(at+".divide_by", r.DivideBy.Selector, kind)
	}
	return s
}

// bind reads a divisor: a name, or a table.
func (d *rawDivisor) bind(b *binder, path string, v any) {
	switch v := v.(type) {
	case string:
		if d.Name = v; v == "" {
			b.fail(path, "leave it out", "must not be empty")
		}
	case map[string]any:
		d.Selector = &rawSelector{}
		b.tableInto(path, v, d.Selector)
	default:
		b.fail(path, "", "%s", expected("the name of a series or a table", v))
	}
}

func (b *builder) check(at string, r *rawCheck, service advert.CSID) collect.Check {
	c := collect.Check{
		Name: r.Name, Type: collect.CheckType(r.Type), Target: r.Target, ViaCSID: r.Via == "cs-id",
		Path: r.Path, Host: r.Host, Body: r.ExpectBody, GRPCService: r.GRPCService,
		TLSVerify: r.TLSVerify, CAFile: b.file(r.CAFile),
		Interval: r.Interval.d(), FastInterval: r.FastInterval.d(), Timeout: r.Timeout.d(), Rise: r.Rise, Fall: r.Fall,
	}
	b.word(at+".name", r.Name)
	var initial rawCheck
	initial.defaults(nil)
	b.applicable(at, r.Type, checkKeys, r, &initial)
	if b.good(at + ".target") {
		target := r.Target
		if c.ViaCSID && strings.HasPrefix(target, ":") { // the CS-ID's address is the host
			target = "localhost" + target
		}
		b.target(at+".target", target)
	}
	if c.ViaCSID && service.IsValid() && !service.Prefix().IsSingleIP() {
		b.warn(at+".via", "", "only %s, the first address of %s, is checked", service.Prefix().Addr(), service)
	}
	if !strings.HasPrefix(r.Path, "/") {
		b.fail(at+".path", "", "must start with /, found %q", r.Path)
	} else if _, err := url.ParseRequestURI(r.Path); err != nil {
		b.fail(at+".path", "", "is no path that can be asked for: %q", r.Path)
	}
	var ok bool
	if c.StatusFrom, c.StatusTo, ok = statusRange(r.ExpectStatus); !ok {
		b.fail(at+".expect_status", "", `expected a range like "200-399" or a code like "204", found %q`, r.ExpectStatus)
	}
	if c.FastInterval > c.Interval {
		b.conflict([]string{at + ".fast_interval", at + ".interval"}, "", "fast_interval (%s) must not be longer than interval (%s)", r.FastInterval, r.Interval)
	}
	if c.Timeout > c.Interval {
		b.warn(b.first(at+".timeout", at+".interval"), "", "timeout (%s) should not be longer than interval (%s)", r.Timeout, r.Interval)
	}
	if c.CAFile != "" {
		pem, _, err := b.read(c.CAFile)
		switch {
		case err != nil:
			b.fail(at+".ca_file", "", "%s", fileError(c.CAFile, err))
		case !x509.NewCertPool().AppendCertsFromPEM(pem):
			b.fail(at+".ca_file", "", "%s: holds no certificate in PEM", c.CAFile)
		}
		if !r.TLSVerify {
			b.warn(at+".ca_file", "", "has no effect while tls_verify is off")
		}
	}
	return c
}

// needs reports a key that the type cannot do without.
func (b *builder) needs(path string, there bool) bool {
	if !there && b.good(path) {
		b.failKey(path, "", "is required for this type")
	}
	return there
}

// target checks a "host:port" to connect to.
func (b *builder) target(at, s string) {
	host, _, err := hostPort(s)
	switch {
	case strings.Contains(s, "://"):
		b.fail(at, "", `expected host:port without a scheme, like "10.0.2.11:8080", found %q`, s)
	case err != nil || host == "" || strings.ContainsAny(host, " /?#@"):
		b.fail(at, "", `expected host:port, like "10.0.2.11:8080" or "[2001:db8::1]:8080", found %q`, s)
	default:
		if a, err := netip.ParseAddr(host); err == nil && a.IsUnspecified() {
			b.fail(at, "", "%s is no address to connect to", a)
		}
	}
}

func (b *builder) httpURL(at, s string) {
	if !b.needs(at+".url", s != "") || !b.good(at+".url") {
		return
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Fragment != "" {
		// Not quoted: it may hold a password.
		b.fail(at+".url", "", `expected a URL like "http://10.0.2.11:9100/metrics"`)
		return
	}
	if p := u.Port(); p != "" {
		if _, _, err := hostPort(u.Host); err != nil {
			b.fail(at+".url", "", "port %s is not within 1 to 65535", p)
		}
	}
}

func (b *builder) headers(at string, headers map[string]string) {
	for name, value := range headers {
		path := joinPath(at, name)
		valid := name != "" && strings.IndexFunc(name, func(r rune) bool {
			return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r) // RFC 9110 section 5.6.2
		}) < 0
		if !valid {
			b.failKey(path, "", "is not the name of an HTTP header")
		}
		if strings.ContainsAny(value, "\r\n\x00") {
			b.fail(path, "", "must be one line")
		}
		if http.CanonicalHeaderKey(name) == "Content-Length" {
			b.failKey(path, "", "cannot be set")
		}
	}
}

// statusRange reads "200-399" or "204".
func statusRange(s string) (from, to int, ok bool) {
	low, high, isRange := strings.Cut(s, "-")
	if !isRange {
		high = low
	}
	from, err1 := strconv.Atoi(low)
	to, err2 := strconv.Atoi(high)
	return from, to, err1 == nil && err2 == nil && len(low) == 3 && len(high) == 3 && from >= 100 && to <= 599 && from <= to
}
