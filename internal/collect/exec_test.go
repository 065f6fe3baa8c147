package collect

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func sh(script string) []string { return []string{"/bin/sh", "-c", script} }

// life runs a script as a sign of life.
func life(t *testing.T, timeout time.Duration, argv ...string) SourceEvent {
	t.Helper()
	s, err := newSource(Instance{Key: testKey, Name: "video"}, Source{Name: "health", Type: Exec, Command: argv, Timeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	ev := s.once(t.Context())
	if len(ev.Values) != 0 {
		t.Errorf("values of a sign of life: %v", ev.Values)
	}
	return ev
}

func TestExecSignOfLife(t *testing.T) {
	wantNoLeaks(t)
	const long = 10 * time.Second
	for _, tt := range []struct {
		name   string
		script string
		down   string
	}{
		{"up", "exit 0", ""},
		{"up, and chatty", "echo all is well; echo warning >&2", ""},
		{"up, with a shower of output", "head -c 10000000 /dev/zero; head -c 1000000 /dev/zero >&2", ""},
		{"down", "exit 3", "exit status 3"},
		{"down with reasons", "echo not this; echo >&2; echo '  disk full  ' >&2; echo more >&2; exit 1", "exit status 1: disk full"},
		{"down, colourful", `printf '\033[31mred\033[0m\n' >&2; exit 1`, "exit status 1:  [31mred [0m"},
		{"killed", "kill -9 $$", "signal: killed"},
	} {
		if ev := life(t, long, sh(tt.script)...); ev.Err != nil || ev.Down != tt.down {
			t.Errorf("%s: down because %q, error %v; want %q", tt.name, ev.Down, ev.Err, tt.down)
		}
	}
	ev := life(t, 100*time.Millisecond, sh("sleep 60")...)
	if ev.Err != nil || ev.Down != "/bin/sh did not end within 100ms" {
		t.Errorf("a script that hangs: %q, %v", ev.Down, ev.Err)
	}
	ev = life(t, long, "/nonexistent/health")
	if ev.Down != "" {
		t.Errorf("a script that is not there says nothing of the instance: %q", ev.Down)
	}
	wantError(t, "missing", ev.Err, "no such file")
}

// A timeout must also end what a script started.
func TestExecKillsTheGroup(t *testing.T) {
	wantNoLeaks(t)
	pidFile := filepath.Join(t.TempDir(), "pid")
	for name, script := range map[string]string{
		"child in the foreground":   "sleep 60 & echo $! >" + pidFile + "; wait",
		"child ignoring SIGTERM":    "(trap '' TERM INT HUP; sleep 60) & echo $! >" + pidFile + "; sleep 60",
		"child that has the output": "sleep 60 & echo $! >" + pidFile + "; exec sleep 60",
	} {
		_, err := ask(t, Source{Name: "s", Type: Exec, Command: sh(script), Timeout: 300 * time.Millisecond, Values: map[string]Selector{"v": {}}})
		wantError(t, name, err, "no answer within 300ms")
		pid, err := strconv.Atoi(strings.TrimSpace(string(must(os.ReadFile(pidFile)))))
		if err != nil {
			t.Fatal(err)
		}
		// Init reaps the orphan in its own time, so it may be a zombie for a moment.
		for range 200 {
			if !alive(pid) {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		if alive(pid) {
			t.Errorf("%s: process %d is still there", name, pid)
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// alive reports whether a process runs; a zombie does not.
func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return !strings.HasPrefix(rest, "Z") && !strings.HasPrefix(rest, "X")
}

func TestExecValues(t *testing.T) {
	wantNoLeaks(t)
	v := map[string]Selector{"utilisation": {Metric: "busy", DivideBy: "workers"}, "in_flight": {}}
	got, err := ask(t, Source{Name: "s", Type: Exec, Command: sh("echo busy=3; echo workers 4; echo in_flight = 7"), Timeout: 10 * time.Second, Values: v})
	if diff := cmp.Diff(map[string]float64{"utilisation": 0.75, "in_flight": 7}, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	for script, text := range map[string]string{
		"echo busy=3; echo oops >&2; exit 2": "exit status 2: oops",
		"echo busy=3":                        "in_flight: nothing matches in_flight; utilisation: nothing matches workers",
		"echo all is well":                   `output line 1: "all is well" is not key=value`,
		"yes":                                "output is larger than 65536 octets",
		"exec 2>&-; trap '' PIPE; yes 2>/dev/null || exit 0":                    "output is larger than 65536 octets",
		"echo busy=3; echo workers=4; echo in_flight=-1":                        "in_flight: -1 is negative",
		"sleep 2 & echo busy=1":                                                 "left a process behind", // the child has the pipe
		"echo $CATSBGP_SERVICE $CATSBGP_CS_ID $CATSBGP_CSCI_ID $CATSBGP_SOURCE": `"video 203.0.113.10 192.0.2.11 s" is not`,
		"echo x$CATSBGP_TEST_SECRET y":                                          `"x y" is not`,
		"cat; echo end of input":                                                `"end of input" is not`,
	} {
		t.Setenv("CATSBGP_TEST_SECRET", "secret")
		_, err := ask(t, Source{Name: "s", Type: Exec, Command: sh(script), Timeout: 10 * time.Second, MaxBody: 65536, Values: v})
		wantError(t, script, err, text)
	}
}

func TestParseOutput(t *testing.T) {
	for text, want := range map[string]flat{
		"":                                      {},
		" \n\t\n":                               {},
		"a=1":                                   {"a": 1},
		"a=1\r\nb 2\n\n# comment\n c\t 3e-3 \n": {"a": 1, "b": 2, "c": 0.003},
		"a = -1\nb=1e999\n":                     {"a": -1, "b": math.Inf(1)},
		`{"a": 1, "b": 2.5, "ok": true, "no": false, "text": "x", "list": [1], "nil": null, "deep": {"a": 2}}`: {"a": 1, "b": 2.5, "ok": 1, "no": 0},
		"\n {\"a\": 1e999} \n": {"a": math.Inf(1)},
		"{}":                   {},
	} {
		got, err := parseOutput([]byte(text))
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%q: %v\n%s", text, err, diff)
		}
	}
	for text, want := range map[string]string{
		"a": "output line 1", "\n\na b c": "output line 1", "x 1\na=b": "output line 2", "=1": "output line 1",
		"a=1\na 2": `output line 2: "a" twice`,
		"{":        "unexpected EOF", `{"a":1} x`: "something follows", `{"a":1}{`: "something follows", "[1]": "output line 1",
	} {
		_, err := parseOutput([]byte(text))
		wantError(t, text, err, want)
	}
}

func FuzzParseOutput(f *testing.F) {
	f.Add([]byte("a=1\nb 2\n# c\n"))
	f.Add([]byte(`{"a": 1, "b": true, "c": [1, {"d": null}]}`))
	f.Add([]byte("a=NaN\nb=+Inf\nc=0x1p-2\nd=1_000"))
	f.Add([]byte("{\"a\": 1}\n{\"b\": 2}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := parseOutput(b)
		if err != nil {
			if got != nil || strings.ContainsAny(err.Error(), "\n\r\x00\x1b") {
				t.Fatalf("%v, %q", got, err)
			}
			return
		}
		var text strings.Builder
		for name, v := range got {
			if strings.ContainsAny(name, "= \n") || strings.TrimSpace(name) != name || name == "" || name[0] == '#' || name[0] == '{' {
				return // JSON can say names that lines cannot
			}
			fmt.Fprintf(&text, "%s=%v\n", name, v)
		}
		again, err := parseOutput([]byte(text.String()))
		if err != nil || len(again) != len(got) {
			t.Fatalf("%v became %v, %v", got, again, err)
		}
	})
}
