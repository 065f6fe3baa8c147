package config

import (
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// readAs parses the TOML value into a scalar and returns its notation, or "!"
// and the complaint.
func readAs(t *testing.T, s scalar, value string) string {
	t.Helper()
	tree, err := decode("x = " + value)
	if err != nil {
		t.Fatalf("%s: %v", value, err)
	}
	if err := s.parse(tree["x"]); err != nil {
		message, hint := asComplaint(err)
		return "!" + strings.TrimSuffix(message+" — "+hint, " — ")
	}
	return s.String()
}

func TestScalars(t *testing.T) {
	for _, test := range []struct {
		scalar      scalar
		value, want string
	}{
		{new(duration), `"250ms"`, "250ms"},
		{new(duration), `"1h30m"`, "1h30m"},
		{new(duration), `"3600s"`, "1h"},
		{new(duration), `"90s"`, "1m30s"},
		{new(duration), `"0s"`, "0s"},
		{new(duration), `"10m0.5s"`, "10m0.5s"},
		{new(duration), `"2us"`, "2µs"},
		{new(duration), `5`, `!expected a duration like "250ms", "10s" or "5m", found the integer 5 without a unit — "5s" if seconds are meant`},
		{new(duration), `"7d"`, `!expected a duration like "250ms", "10s" or "5m", found the string "7d" — write "168h"`},

		{new(ratio), `"10%"`, "10%"},
		{new(ratio), `"7 %"`, "7%"},
		{new(ratio), `0.07`, "7%"},
		{new(ratio), `"12.5%"`, "12.5%"},
		{new(ratio), `1`, "100%"},
		{new(ratio), `-1`, `!expected a ratio like "10%" or 0.10, found the integer -1 — for per cent write "-1%"`},
		{new(ratio), `"0.1"`, `!expected a ratio like "10%" or 0.10, found the string "0.1"`},

		{new(asn), `65001`, "65001"},
		{new(asn), `"1.10"`, "65546"},
		{new(asn), `"AS65001"`, "65001"},
		{new(asn), `"0.65001"`, "65001"},
		{new(asn), `"65535.65534"`, "4294967294"},
		{new(asn), `4294967295`, "!AS number 4294967295 is reserved (RFC 7300)"},
		{new(asn), `4294967296`, "!AS number 4294967296 is not within 1 to 4294967295"},
		{new(asn), `-1`, "!AS number -1 is not within 1 to 4294967295"},
		{new(asn), `"1.65536"`, `!expected an AS number like 65001 or "1.10", found the string "1.65536"`},
		{new(asn), `1.5`, `!expected an AS number like 65001 or "1.10", found the number 1.5 — quote it: "1.5"; TOML drops the last 0 of 1.10`},

		{new(address), `"2001:DB8::1"`, "2001:db8::1"},
		{new(address), `""`, ""},
		{new(address), `"192.0.2.01"`, `!expected an address like "192.0.2.1" or "2001:db8::1", found the string "192.0.2.01"`},
		{new(address), `"ff02::1"`, `!"ff02::1" is a multicast address`},

		{new(serviceID), `"203.0.113.10"`, "203.0.113.10/32"},
		{new(serviceID), `"2001:db8:1::/48"`, "2001:db8:1::/48"},
		{new(serviceID), `"224.0.0.0/24"`, `!CS-ID "224.0.0.0/24": not a unicast prefix`},
		{new(serviceID), `"::/0"`, `!CS-ID "::/0": not a unicast prefix`},
		{new(serviceID), `""`, `!CS-ID "": neither an address nor a prefix`},

		{new(fileMode), `"0660"`, "0660"},
		{new(fileMode), `"0o600"`, "0600"},
		{new(fileMode), `"1777"`, `!expected a file mode like "0660", found the string "1777"`},
		{new(fileMode), `"rw-r-----"`, `!expected a file mode like "0660", found the string "rw-r-----"`},
		{new(fileMode), `true`, `!expected a file mode like "0660", found the boolean true`},

		{new(moment), `2026-01-01T02:00:00+02:00`, "2026-01-01T00:00:00Z"},
		{new(moment), `2026-01-01 00:00:00Z`, "2026-01-01T00:00:00Z"},
		{new(moment), `2026-01-01`, "!expected a date with time and zone like 2026-01-01T00:00:00Z, found one half of it"},
		{new(moment), `10:00:00`, "!expected a date with time and zone like 2026-01-01T00:00:00Z, found one half of it"},
		{new(moment), `"tomorrow"`, `!expected a date with time and zone like 2026-01-01T00:00:00Z, found the string "tomorrow"`},
	} {
		if got := readAs(t, test.scalar, test.value); got != test.want {
			t.Errorf("%T %s:\ngot  %s\nwant %s", test.scalar, test.value, got, test.want)
		}
	}
}

// What a scalar writes, it reads as the same.
func TestScalarsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := duration(rapid.Int64Range(0, math.MaxInt64).Draw(t, "duration"))
		var d2 duration
		if err := d2.parse(d.String()); err != nil || d2 != d {
			t.Errorf("duration %d as %q: %d, %v", d, d, d2, err)
		}
		r := ratio(float64(rapid.IntRange(0, 1_000_000).Draw(t, "ratio")) / 1e5)
		var r2 ratio
		if err := r2.parse(r.String()); err != nil || math.Abs(float64(r2-r)) > 1e-9 {
			t.Errorf("ratio %v as %q: %v, %v", float64(r), r, float64(r2), err)
		}
		m := moment{time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "moment"), 0).UTC()}
		var m2 moment
		if tree, err := decode("x = " + m.String()); err != nil || m2.parse(tree["x"]) != nil || !m2.Equal(m.Time) {
			t.Errorf("moment %v: %v, %v", m, m2, err)
		}
		a := address{netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.ByteRange(1, 223), 4, 4).Draw(t, "address")))}
		var a2 address
		if err := a2.parse(a.String()); err != nil || a2 != a {
			t.Errorf("address %v: %v, %v", a, a2, err)
		}
	})
}

func TestSuggest(t *testing.T) {
	known := []string{"interval", "fast_interval", "timeout", "password_file", "rise", "fall", "id"}
	for _, test := range [][2]string{
		{"intervall", "interval"}, {"Interval", "interval"}, {"itnerval", "interval"}, {"timeuot", "timeout"}, {"raise", "rise"},
		{"password", "password_file"}, {"interval_seconds", "interval"}, {"rises", "rise"},
		{"colour", ""}, {"x", ""}, {"zz", ""}, {"", ""}, {"passwort_datei", ""},
	} {
		if got := suggest(test[0], known); got != test[1] {
			t.Errorf("%q: got %q, want %q", test[0], got, test[1])
		}
	}
}

func TestEditDistance(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"a", "", 1}, {"", "ab", 2}, {"abc", "abc", 0}, {"abc", "acb", 1}, {"kitten", "sitting", 3}, {"ab", "ba", 1},
	} {
		if got := editDistance(test.a, test.b); got != test.want {
			t.Errorf("%q, %q: %d", test.a, test.b, got)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringMatching(`[a-c]{0,6}`)
		a, b := word.Draw(t, "a"), word.Draw(t, "b")
		d := editDistance(a, b)
		if d != editDistance(b, a) || (d == 0) != (a == b) || d > max(len(a), len(b)) {
			t.Errorf("%q, %q: %d", a, b, d)
		}
	})
}
