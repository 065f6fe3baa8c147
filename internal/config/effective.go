package config

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// Redacted returns the whole configuration as it is in force, in the words of
// the file: tables as map[string]any, lists as []any, durations and addresses
// as strings, defaults filled in. Secrets are not in it: of secret files it has
// the names, and what a header or URL may hide is "***".
func (c Config) Redacted() any {
	if c.raw == nil {
		return map[string]any{}
	}
	return tree(reflect.ValueOf(c.raw).Elem(), field{})
}

// MarshalJSON writes what Redacted returns.
func (c Config) MarshalJSON() ([]byte, error) { return json.Marshal(c.Redacted()) }

// Format writes what MarshalJSON returns, whatever the verb, so that no log
// line ever has a password in it.
func (c Config) Format(f fmt.State, _ rune) {
	b, err := json.Marshal(c.Redacted())
	if err != nil {
		panic("BUG: config: " + err.Error())
	}
	f.Write(b)
}

// Format writes the ASN and the names of the peers, whatever the verb, since
// the peers have passwords.
func (b BGP) Format(f fmt.State, _ rune) {
	var peers []string
	for _, p := range b.Peers {
		peers = append(peers, p.Name)
	}
	fmt.Fprintf(f, "AS %d, peers %s", b.ASN, peers)
}

// MarshalJSON writes what Format writes.
func (b BGP) MarshalJSON() ([]byte, error) { return json.Marshal(fmt.Sprint(b)) }

// tree turns a raw value into what encoding/json understands.
func tree(v reflect.Value, f field) any {
	if !v.CanAddr() {
		copied := reflect.New(v.Type()).Elem()
		copied.Set(v)
		v = copied
	}
	switch x := v.Addr().Interface().(type) {
	case *asn:
		return uint32(*x)
	case *rawDivisor:
		if x.Selector != nil {
			return tree(reflect.ValueOf(x.Selector).Elem(), field{})
		}
		return x.Name
	case scalar:
		return x.String()
	}
	switch v.Kind() {
	case reflect.Struct:
		t := map[string]any{}
		for _, f := range fieldsOf(v.Type()) {
			t[f.name] = tree(v.Field(f.index), f)
		}
		return t
	case reflect.Slice:
		items := []any{}
		for i := range v.Len() {
			items = append(items, tree(v.Index(i), field{}))
		}
		return items
	case reflect.Map:
		t := map[string]any{}
		for _, k := range v.MapKeys() {
			if t[k.String()] = redacted; f.secret != "values" {
				t[k.String()] = tree(v.MapIndex(k), field{})
			}
		}
		return t
	case reflect.String:
		if f.secret == "url" {
			return RedactURL(v.String())
		}
	}
	return v.Interface()
}

var secretParameter = regexp.MustCompile(`(?i)token|key|secret|pass|auth|sig|cred`)

// RedactURL hides the password of a URL and parameters that sound like one, for
// whoever shows it. An address without a scheme has neither.
func RedactURL(s string) string {
	if !strings.Contains(s, "://") {
		return s
	}
	u, err := url.Parse(s)
	if err != nil {
		return redacted
	}
	if _, has := u.User.Password(); has {
		u.User = url.UserPassword(u.User.Username(), redacted)
	}
	pairs := strings.Split(u.RawQuery, "&")
	for i, p := range pairs {
		if name, _, ok := strings.Cut(p, "="); ok && secretParameter.MatchString(name) {
			pairs[i] = name + "=" + redacted
		}
	}
	u.RawQuery = strings.Join(pairs, "&")
	return strings.ReplaceAll(u.String(), "%2A%2A%2A", redacted)
}

// A setting is one key with its value in force.
type setting struct {
	path   string // bgp.peer[rr1].hold_time
	value  string // to compare; has the fingerprint of a secret file
	shown  string
	reload string
}

// An item is an element of a list of tables: bgp.peer[rr1].
type item struct {
	path, name, reload string
}

// An inventory lists a configuration in the order of the schema.
type inventory struct {
	contents map[string]string
	settings []setting
	items    []item
}

func (c *Config) inventory() *inventory {
	in := &inventory{}
	if c != nil && c.raw != nil {
		in.contents = c.contents
		in.table(reflect.ValueOf(c.raw).Elem(), "", "", "")
	}
	return in
}

// table lists a raw struct. It is called by two paths: with the elements' names,
// and with their numbers as in the file.
func (in *inventory) table(v reflect.Value, path, numbered, reload string) {
	for _, f := range fieldsOf(v.Type()) {
		f.reload = orElse(f.reload, reload)
		in.value(v.Field(f.index), f, joinPath(path, f.name), joinPath(numbered, f.name))
	}
}

func (in *inventory) value(v reflect.Value, f field, path, numbered string) {
	switch {
	case isScalar(v):
	case v.Kind() == reflect.Struct:
		in.table(v, path, numbered, f.reload)
		return
	case f.id != "":
		seen := map[string]int{}
		for i := range v.Len() {
			name := idOf(v.Index(i), f.id)
			if seen[name]++; seen[name] > 1 {
				name = fmt.Sprintf("%s#%d", name, seen[name])
			}
			it := item{path: path + "[" + name + "]", name: name, reload: f.reload}
			in.items = append(in.items, it)
			in.table(v.Index(i), it.path, elementPath(numbered, i), f.reload)
		}
		return
	}
	s := setting{path: path, value: text(raw(v)), shown: text(tree(v, f)), reload: f.reload}
	s.value += in.contents[numbered]
	in.settings = append(in.settings, s)
}

// raw is a value that does not hide anything, to compare.
func raw(v reflect.Value) any { return tree(v, field{}) }

func idOf(v reflect.Value, id string) string {
	for _, f := range fieldsOf(v.Type()) {
		if f.name == id {
			return text(tree(v.Field(f.index), field{}))
		}
	}
	panic("BUG: config: no key " + id)
}

// text writes a tree in one line.
func text(v any) string {
	var b strings.Builder
	writeText(&b, v)
	return b.String()
}

func writeText(w io.StringWriter, v any) {
	list := func(open, end string, n int, each func(i int)) {
		w.WriteString(open)
		for i := range n {
			if i > 0 {
				w.WriteString(", ")
			}
			each(i)
		}
		w.WriteString(end)
	}
	switch v := v.(type) {
	case []any:
		list("[", "]", len(v), func(i int) { writeText(w, v[i]) })
	case map[string]any:
		names := slices.Sorted(maps.Keys(v))
		list("{", "}", len(names), func(i int) {
			w.WriteString(names[i] + " = ")
			writeText(w, v[names[i]])
		})
	default:
		w.WriteString(fmt.Sprint(v))
	}
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
