package main

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/catsbgp/catsbgp/internal/api"
)

func TestTable(t *testing.T) {
	tab := table{columns: []column{{head: "NAME"}, {head: "N", right: true}, {head: "MORE", wide: true}, {head: "NOTE"}}}
	tab.row(c("übersetzung"), c("7"), c("x"), c("first"))
	tab.row(c("映像"), toned(bad, "1234"), c("y"), c(""))
	tab.row(c("e\u0301"), c("0"))
	render := func(wide, color bool) string {
		var b strings.Builder
		if err := tab.write(&b, wide, color); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	want := "" +
		"NAME            N  NOTE\n" +
		"übersetzung     7  first\n" +
		"映像         1234  -\n" +
		"e\u0301               0  -\n"
	if d := cmp.Diff(want, render(false, false)); d != "" {
		t.Error(d)
	}
	want = "" +
		"NAME            N  MORE  NOTE\n" +
		"übersetzung     7  x     first\n" +
		"映像         1234  y     -\n" +
		"e\u0301               0  -     -\n"
	if d := cmp.Diff(want, render(true, false)); d != "" {
		t.Error(d)
	}
	t.Logf("# colour changes nothing but colour")
	plainAgain := strings.NewReplacer("\x1b[1m", "", "\x1b[31m", "", "\x1b[0m", "").Replace(render(true, true))
	if d := cmp.Diff(want, plainAgain); d != "" {
		t.Error(d)
	}
	if !strings.Contains(render(false, true), "\x1b[31m1234\x1b[0m") {
		t.Error("no colour")
	}
}

// Whatever the cells hold: as many lines as rows, no trailing blanks, no
// control characters, and every line's cells begin in the same column.
func TestTableProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringN(0, 12, -1)
		n := rapid.IntRange(1, 4).Draw(t, "columns")
		var tab table
		for range n {
			tab.columns = append(tab.columns, column{head: "H", right: rapid.Bool().Draw(t, "right")})
		}
		rows := rapid.IntRange(0, 4).Draw(t, "rows")
		for range rows {
			var r []cell
			for range n {
				r = append(r, c(text.Draw(t, "cell")))
			}
			tab.row(r...)
		}
		var b strings.Builder
		if err := tab.write(&b, false, false); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
		if len(lines) != rows+1 {
			t.Fatalf("%d lines for %d rows: %q", len(lines), rows, b.String())
		}
		for _, l := range lines {
			for _, r := range l {
				if r < ' ' || r >= 0x7f && r < 0xa0 {
					t.Fatalf("control character in %q", l)
				}
			}
		}
	})
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"plain":            "plain",
		"two\nlines\there": "two lines here",
		"\x1b[2Jgone":      "\uFFFD[2Jgone",
		"bell\a del\x7f":   "bell\uFFFD del\uFFFD",
		"\u202egnp.exe":    "\uFFFDgnp.exe",
		"half\xff":         "half\uFFFD",
		"überall 映像":       "überall 映像",
	} {
		if got := printable(in); got != want {
			t.Errorf("printable(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestNumbersForPeople(t *testing.T) {
	for in, want := range map[time.Duration]string{
		0: "0ms", 400 * time.Millisecond: "400ms", 999 * time.Millisecond: "999ms", time.Second: "1s", 1500 * time.Millisecond: "1.5s",
		12*time.Second + 900*time.Millisecond: "12s", time.Minute: "1m", 9*time.Minute + 58*time.Second: "9m58s",
		3*time.Hour + 20*time.Minute + 59*time.Second: "3h20m", 24 * time.Hour: "1d", 98 * time.Hour: "4d2h", -time.Minute: "-1m",
	} {
		if got := span(in); got != want {
			t.Errorf("span(%d) = %q, want %q", in, got, want)
		}
	}
	for in, want := range map[float64]string{0: "0ms", 0.0003: "0.30ms", 0.0084: "8.4ms", 0.0497: "49.7ms", 1.388: "1388ms", -0.0019: "-1.9ms"} {
		if got := millis(in); got != want {
			t.Errorf("millis(%v) = %q, want %q", in, got, want)
		}
	}
	for in, want := range map[float64]string{0: "0%", 0.0033: "0.3%", 0.05: "5%", 0.585: "58%", 1: "100%", 1.25: "125%"} {
		if got := percent(in); got != want {
			t.Errorf("percent(%v) = %q, want %q", in, got, want)
		}
	}
	for in, want := range map[float64]string{0: "0", 31.5: "31.5", 161: "161", 1480: "1480", 0.1234: "0.123", 12345.6: "12346"} {
		if got := number(in); got != want {
			t.Errorf("number(%v) = %q, want %q", in, got, want)
		}
	}
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.Local)
	if got := clock(now.Add(-time.Hour), now) + " " + clock(now.AddDate(0, 0, -1), now); got != "04:06:07 2026-03-03 05:06:07" {
		t.Errorf("clock: %q", got)
	}
	if ago(time.Time{}, now) != "" || until(now.Add(-1), now) != "" || until(time.Time{}, now) != "" || until(now.Add(time.Minute-20*time.Millisecond), now) != "1m" {
		t.Error("never and not any more are not empty")
	}
}

// A note says each thing once, however many ways it was learnt.
func TestInstanceNoteOnce(t *testing.T) {
	v := api.Instance{StateReason: "source app is silent: timeout", Anomalous: true,
		Sources: []api.Source{{Name: "app", Error: "timeout"}}, Checks: []api.Check{{Name: "http-1", Error: "status 500"}}}
	if got, want := instanceNote(v, time.Now()), "source app is silent: timeout; http-1: status 500"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// The screen has no zeros for roles that the agent does not have.
func TestStatusOfOneRole(t *testing.T) {
	var out bytes.Buffer
	a := newApp(nil, &out, io.Discard)
	s := api.Status{Agent: "gate", Roles: []string{"ingress"}, Services: []api.ServiceStatus{{Name: "video", Rung: api.RungFresh, Eligible: 2, Candidates: 3}}}
	if err := a.writeStatus(&out, s, time.Now()); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); strings.Contains(text, "\ninstances") || strings.Contains(text, "0/0") || !strings.Contains(text, "2/3") {
		t.Error(text)
	}
}
