package main

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/catsbgp/catsbgp/internal/api"
)

// span is a duration as people say it, in at most two units: 400ms, 12s, 9m30s,
// 3h20m, 4d2h.
func span(d time.Duration) string {
	if d < 0 {
		return "-" + span(-d)
	}
	two := func(big, small time.Duration, b, s string) string {
		n, rest := d/big, d%big/small
		if rest == 0 {
			return fmt.Sprintf("%d%s", n, b)
		}
		return fmt.Sprintf("%d%s%d%s", n, b, rest, s)
	}
	const day = 24 * time.Hour
	switch {
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < 10*time.Second && d%time.Second >= 100*time.Millisecond:
		return strconv.FormatFloat(d.Truncate(100*time.Millisecond).Seconds(), 'f', 1, 64) + "s"
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return two(time.Minute, time.Second, "m", "s")
	case d < day:
		return two(time.Hour, time.Minute, "h", "m")
	}
	return two(day, time.Hour, "d", "h")
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// ago is how long before the document was made something was, "" if never.
func ago(at, now time.Time) string {
	if at.IsZero() {
		return ""
	}
	return span(now.Sub(at))
}

// until is how long after the document was made something will be, "" if
// never or not any more.
func until(at, now time.Time) string {
	if at.IsZero() || at.Before(now) {
		return ""
	}
	d := at.Sub(now)
	if d > 10*time.Second { // a deadline of 5m is not "4m59s" for having been answered later
		d = d.Round(time.Second)
	}
	return span(d)
}

// millis is a short time with three digits: 0.300ms, 8.40ms, 49.7ms, 1388ms.
func millis(s float64) string {
	ms := s * 1000
	switch a := math.Abs(ms); {
	case ms == 0:
		return "0ms"
	case a < 1:
		return strconv.FormatFloat(ms, 'f', 2, 64) + "ms"
	case a < 100:
		return strconv.FormatFloat(ms, 'f', 1, 64) + "ms"
	}
	return strconv.FormatFloat(ms, 'f', 0, 64) + "ms"
}

// percent is a ratio.
func percent(r float64) string {
	p := r * 100
	if math.Abs(p) < 10 && p != math.Trunc(p) {
		return strconv.FormatFloat(p, 'f', 1, 64) + "%"
	}
	return strconv.FormatFloat(p, 'f', 0, 64) + "%"
}

// number is a number without needless digits.
func number(v float64) string {
	if math.Abs(v) >= 1000 || v == math.Trunc(v) {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// opt is the text of a value that may be unknown: "" then, which a table shows
// as "-".
func opt[T any](v *T, f func(T) string) string {
	if v == nil {
		return ""
	}
	return f(*v)
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func score(v *int) string { return opt(v, strconv.Itoa) }

// counts is "delta 9, refresh 14", sorted by name.
func counts(c api.Counts) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(c)) {
		parts = append(parts, fmt.Sprintf("%s %d", k, c[k]))
	}
	return strings.Join(parts, ", ")
}

// clock is the time of day in the local zone, with the date if it is not that
// of now.
func clock(t, now time.Time) string {
	t, now = t.Local(), now.Local()
	if t.YearDay() == now.YearDay() && t.Year() == now.Year() {
		return t.Format("15:04:05")
	}
	return t.Format("2006-01-02 15:04:05")
}

// stateTone is the tone of a word for a state.
func stateTone(state string) tone {
	switch state {
	case api.StateUp, "established", "announced", api.RungFresh, "chosen", "ok", "yes":
		return good
	case api.StateDown, "idle", "active", "connect", "opensent", "openconfirm", "withheld", api.RungAnycast, api.RungMeasured, "unreachable", "no":
		return bad
	case api.StateDraining, api.StateDrained, api.StateHeld, api.StateSuppressed, api.StateStarting, "withdrawing", api.RungAged, api.RungAggregate:
		return busy
	}
	return plain
}

func state(word string) cell { return cell{word, stateTone(word)} }

// plural is "1 instance", "2 instances".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func join(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ", ")
}
