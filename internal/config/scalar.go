package config

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/catsbgp/catsbgp/advert"
)

// A scalar is a value with a notation of its own in the file.
type scalar interface {
	// parse reads a TOML value. The error is a *complaint.
	parse(v any) error
	// String writes the value as in the file.
	String() string
}

// A complaint is a message and what to do about it.
type complaint struct{ message, hint string }

func (c *complaint) Error() string { return c.message }

func complain(hint, format string, args ...any) error {
	return &complaint{fmt.Sprintf(format, args...), hint}
}

// expected complains about a value of the wrong type.
func expected(what string, v any) error {
	return complain("", "expected %s, found %s", what, describe(v))
}

// describe names a TOML value for a message.
func describe(v any) string {
	switch v := v.(type) {
	case string:
		return fmt.Sprintf("the string %q", v)
	case bool:
		return fmt.Sprintf("the boolean %t", v)
	case int64:
		return fmt.Sprintf("the integer %d", v)
	case float64:
		return "the number " + formatFloat(v)
	case time.Time:
		return "a date"
	case map[string]any:
		return "a table"
	}
	return "an array"
}

func formatFloat(f float64) string {
	s := strconv.FormatFloat(f, 'g', -1, 64)
	if !strings.ContainsAny(s, ".eIN") {
		s += ".0"
	}
	return s
}

// A duration is "250ms", "10s", "1h30m".
type duration time.Duration

func (d *duration) parse(v any) error {
	const what = `a duration like "250ms", "10s" or "5m"`
	switch v := v.(type) {
	case int64:
		return complain(fmt.Sprintf(`"%ds" if seconds are meant`, v), "expected %s, found %s without a unit", what, describe(v))
	case float64:
		return complain(fmt.Sprintf(`"%ss" if seconds are meant`, strconv.FormatFloat(v, 'g', -1, 64)), "expected %s, found %s without a unit", what, describe(v))
	case string:
		p, err := time.ParseDuration(v)
		if err != nil {
			hint := "units are ns, us, ms, s, m, h"
			if n, err := strconv.ParseUint(strings.TrimSuffix(v, "d"), 10, 16); err == nil && strings.HasSuffix(v, "d") {
				hint = fmt.Sprintf(`write "%dh"`, n*24)
			}
			return complain(hint, "expected %s, found %s", what, describe(v))
		}
		*d = duration(p)
		return nil
	}
	return expected(what, v)
}

func (d duration) String() string {
	s := time.Duration(d).String() // "1h0m0s"
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// A ratio is "10%" or 0.10.
type ratio float64

func (r *ratio) parse(v any) error {
	const what = `a ratio like "10%" or 0.10`
	switch v := v.(type) {
	case float64:
		*r = ratio(v)
		return nil
	case int64:
		if v < 0 || v > 1 {
			return complain(fmt.Sprintf(`for per cent write "%d%%"`, v), "expected %s, found %s", what, describe(v))
		}
		*r = ratio(v)
		return nil
	case string:
		number, percent := strings.CutSuffix(v, "%")
		f, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil || !percent {
			return expected(what, v)
		}
		*r = ratio(f / 100)
		return nil
	}
	return expected(what, v)
}

func (r ratio) String() string {
	// Rounded, since 0.07 × 100 is not 7 in binary.
	return strconv.FormatFloat(math.Round(float64(r)*1e10)/1e8, 'f', -1, 64) + "%"
}

// An asn is 65001 or "1.10" (RFC 5396).
type asn uint32

func (a *asn) parse(v any) error {
	const what = `an AS number like 65001 or "1.10"`
	var n uint64
	switch v := v.(type) {
	case int64:
		if v < 0 || v > math.MaxUint32 {
			return complain("", "AS number %d is not within 1 to 4294967295", v)
		}
		n = uint64(v)
	case float64:
		return complain(`quote it: "`+strconv.FormatFloat(v, 'f', -1, 64)+`"; TOML drops the last 0 of 1.10`, "expected %s, found %s", what, describe(v))
	case string:
		high, low, dotted := strings.Cut(strings.TrimPrefix(v, "AS"), ".")
		bits := 32
		if dotted {
			bits = 16
		}
		h, err := strconv.ParseUint(high, 10, bits)
		n = h
		if dotted && err == nil {
			l, lerr := strconv.ParseUint(low, 10, 16)
			n, err = h<<16|l, lerr
		}
		if err != nil {
			return expected(what, v)
		}
	default:
		return expected(what, v)
	}
	switch n {
	case 0:
		return complain("", "AS number 0 is reserved (RFC 7607)")
	case 23456:
		return complain("", "AS number 23456 is AS_TRANS, a placeholder (RFC 6793)")
	case math.MaxUint16, math.MaxUint32:
		return complain("", "AS number %d is reserved (RFC 7300)", n)
	}
	*a = asn(n)
	return nil
}

func (a asn) String() string { return strconv.FormatUint(uint64(a), 10) }

// An address is an IPv4 or IPv6 unicast address without a zone. "" is none;
// what must be there is checked as missing.
type address struct{ netip.Addr }

func (a *address) parse(v any) error {
	const what = `an address like "192.0.2.1" or "2001:db8::1"`
	s, ok := v.(string)
	if !ok {
		return expected(what, v)
	}
	if s == "" {
		*a = address{}
		return nil
	}
	p, err := netip.ParseAddr(s)
	switch {
	case err != nil:
		if host, perr := netip.ParsePrefix(s); perr == nil {
			return complain(fmt.Sprintf("the address alone is %q", host.Addr()), "expected %s, found the prefix %q", what, s)
		}
		return expected(what, v)
	case p.Zone() != "":
		return complain("", "%q has a zone: link-local addresses are not usable here", s)
	case p.Is4In6():
		return complain(fmt.Sprintf("write %q", p.Unmap()), "%q is an IPv4-mapped address", s)
	case p.IsMulticast():
		return complain("", "%q is a multicast address", s)
	}
	*a = address{p}
	return nil
}

// addresses parses constants.
func addresses(texts ...string) []address {
	as := make([]address, len(texts))
	for i, t := range texts {
		as[i] = address{netip.MustParseAddr(t)}
	}
	return as
}

func (a address) String() string {
	if !a.IsValid() {
		return ""
	}
	return a.Addr.String()
}

// A serviceID is a CS-ID: an anycast prefix or address.
type serviceID struct{ advert.CSID }

func (s *serviceID) parse(v any) error {
	text, ok := v.(string)
	if !ok {
		return expected(`a prefix like "203.0.113.10/32"`, v)
	}
	id, err := advert.ParseCSID(text)
	if err != nil {
		return complain("", "%s", strings.TrimPrefix(err.Error(), "advert: "))
	}
	if p := id.Prefix(); p.Bits() == 0 || p.Addr().IsMulticast() || p.Addr().IsUnspecified() {
		return complain("", "CS-ID %q: not a unicast prefix", text)
	}
	*s = serviceID{id}
	return nil
}

func (s serviceID) String() string {
	if !s.IsValid() {
		return ""
	}
	return s.Prefix().String()
}

// A fileMode is "0660", octal.
type fileMode fs.FileMode

func (m *fileMode) parse(v any) error {
	const what = `a file mode like "0660"`
	s, ok := v.(string)
	if !ok {
		if n, is := v.(int64); is {
			return complain(fmt.Sprintf(`quote it: "%04d"`, n), "expected %s, found %s", what, describe(v))
		}
		return expected(what, v)
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(s, "0o"), 8, 32)
	if err != nil || n > 0o777 {
		return expected(what, v)
	}
	*m = fileMode(n)
	return nil
}

func (m fileMode) String() string { return fmt.Sprintf("%04o", uint32(m)) }

// A moment is a TOML date with time and offset; the zero value is "not set".
type moment struct{ time.Time }

func (m *moment) parse(v any) error {
	const what = "a date with time and zone like 2026-01-01T00:00:00Z"
	t, ok := v.(time.Time)
	if !ok {
		if s, is := v.(string); is {
			if _, err := time.Parse(time.RFC3339, s); err == nil {
				return complain("write it without quotes", "expected %s, found %s", what, describe(v))
			}
		}
		return expected(what, v)
	}
	// The library marks dates without an offset by these names.
	switch t.Location().String() {
	case "datetime-local":
		return complain("append Z for UTC", "expected %s, found a local time", what)
	case "date-local", "time-local":
		return complain("", "expected %s, found one half of it", what)
	}
	*m = moment{t.UTC()}
	return nil
}

func (m moment) String() string {
	if m.IsZero() {
		return ""
	}
	return m.Time.Format(time.RFC3339Nano)
}

// asComplaint returns the message and the hint of an error.
func asComplaint(err error) (message, hint string) {
	if c, ok := errors.AsType[*complaint](err); ok {
		return c.message, c.hint
	}
	return err.Error(), ""
}
