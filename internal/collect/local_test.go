package collect

import (
	"maps"
	"math"
	"os"
	"slices"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func files(pairs ...string) fstest.MapFS {
	m := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return m
}

const (
	stat1     = "cpu  100 0 100 700 100 0 0 0 50 0\ncpu0 50 0 50 350 50 0 0 0 0 0\ncpu1 50 0 50 350 50 0 0 0 0 0\nintr 5 6\nctxt 7\n"
	stat2     = "cpu  130 0 110 740 110 5 5 0 60 0\ncpu0 65 0 55 370 55 0 0 0 0 0\ncpu1 65 0 55 370 55 0 0 0 0 0\n"
	meminfo   = "MemTotal:        1000 kB\nMemFree:          100 kB\nMemAvailable:    250 kB\nHugePages_Total:       0\n"
	pressure  = "some avg10=1.50 avg60=0.50 avg300=0.10 total=2500000\nfull avg10=0.25 avg60=0.00 avg300=0.00 total=1000\n"
	maxMemory = 1000 * 1024
)

func TestLocalHost(t *testing.T) {
	proc := files("stat", stat1, "loadavg", "1.50 0.75 0.25 2/345 6789\n", "meminfo", meminfo, "pressure/cpu", pressure)
	l := &localReader{proc: proc, cgroup: files()}
	now := time.Unix(1700000000, 0)
	want := flat{
		"cpus": 2, "load1": 1.5, "load5": 0.75, "load15": 0.25, "load1_per_cpu": 0.75,
		"memory_total": maxMemory, "memory_used": 750 * 1024, "memory_available": 250 * 1024, "memory_available_ratio": 0.25, "memory_utilisation": 0.75,
		"psi_cpu_some_avg10": 0.015, "psi_cpu_some_avg60": 0.005, "psi_cpu_some_total": 2.5,
		"psi_cpu_full_avg10": 0.0025, "psi_cpu_full_avg60": 0, "psi_cpu_full_total": 0.001,
	}
	read := func(what string) localReading {
		t.Helper()
		r, err := l.read(now)
		if diff := cmp.Diff(want, r.flat, cmpopts.EquateApprox(1e-9, 0)); diff != "" || err != nil {
			t.Errorf("%s: %v\n%s", what, err, diff)
		}
		return r
	}
	r := read("the first reading cannot know the processors' share")
	if v, err := newEvaluator(Source{Type: Local}.values()).evaluate(now, r); len(v) != 0 || err != nil {
		t.Errorf("which is no error: %v, %v", v, err)
	}
	proc["stat"] = files("stat", stat2)["stat"]
	want["cpu_utilisation"] = 0.5 // 50 busy of 100 jiffies; iowait is idle, guest time is counted already
	r = read("the second does")
	if v, err := newEvaluator(Source{Type: Local}.values()).evaluate(now, r); v["utilisation"] != 0.5 || err != nil {
		t.Errorf("and it is the default: %v, %v", v, err)
	}
}

func TestLocalCGroup(t *testing.T) {
	proc := files("stat", stat1, "meminfo", meminfo)
	cgroup := files(
		"app.slice/cpu.stat", "usage_usec 10000000\nuser_usec 1\nsystem_usec 2\nthrottled_usec 500000\n",
		"app.slice/cpu.max", "50000 100000\n",
		"app.slice/memory.current", "409600\n",
		"app.slice/memory.max", "819200\n",
		"app.slice/io.pressure", pressure,
	)
	l := &localReader{proc: proc, cgroup: cgroup, path: "app.slice"}
	now := time.Unix(1700000000, 0)
	read := func(what string, want flat) {
		t.Helper()
		r, err := l.read(now)
		got := flat{}
		for name := range want {
			got[name] = math.NaN()
			if v, ok := r.flat[name]; ok {
				got[name] = v
			}
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateApprox(1e-9, 0), cmpopts.EquateNaNs()); diff != "" || err != nil {
			t.Errorf("%s: %v\n%s", what, err, diff)
		}
	}
	missing := math.NaN()
	read("first", flat{"cpus": 0.5, "cpu_usage": 10, "cpu_throttled": 0.5, "cpu_utilisation": missing, "load1": missing,
		"memory_used": 409600, "memory_total": 819200, "memory_utilisation": 0.5, "psi_io_some_avg10": 0.015})
	now = now.Add(2 * time.Second)
	maps.Copy(cgroup, files("app.slice/cpu.stat", "usage_usec 10800000\n", "app.slice/memory.max", "max\n"))
	read("0.8 s of 2 s × half a processor; no limit: the host's memory", flat{"cpu_utilisation": 0.8, "memory_utilisation": 0.4})
	now = now.Add(2 * time.Second)
	maps.Copy(cgroup, files("app.slice/cpu.stat", "usage_usec 12800000\n", "app.slice/cpu.max", "max 100000\n"))
	read("2 s of 2 s × both processors", flat{"cpu_utilisation": 0.5, "cpus": 2})
	now = now.Add(2 * time.Second)
	maps.Copy(cgroup, files("app.slice/cpu.stat", "usage_usec 100\n"))
	read("made anew: no share this time", flat{"cpu_utilisation": missing})

	delete(cgroup, "app.slice/cpu.stat")
	_, err := l.read(now)
	wantError(t, "gone", err, "app.slice/cpu.stat")
}

func TestLocalBroken(t *testing.T) {
	for stat, text := range map[string]string{
		"": "stat has no line cpu", "cpu 1 2\n": "too short", "cpu a b c d e\n": "line cpu", "cpux\n": "stat has no line cpu",
	} {
		_, err := (&localReader{proc: files("stat", stat)}).read(time.Time{})
		wantError(t, stat, err, text)
	}
	_, err := (&localReader{proc: files()}).read(time.Time{})
	wantError(t, "no /proc", err, "stat")
	v, err := newEvaluator(map[string]Selector{"x": {Metric: "psi_gpu_some_avg10"}}).evaluate(time.Time{},
		must((&localReader{proc: files("stat", stat1)}).read(time.Time{})))
	if len(v) != 0 {
		t.Error(v)
	}
	wantError(t, "what the kernel does not offer", err, "x: nothing matches psi_gpu_some_avg10")
}

// The kernel that this runs on.
func TestLocalHere(t *testing.T) {
	if _, err := os.Stat("/proc/stat"); err != nil {
		t.Skip("no /proc/stat: not Linux")
	}
	got, err := ask(t, Source{Name: "local", Type: Local, Interval: 50 * time.Millisecond, Values: map[string]Selector{
		"utilisation": {Metric: "cpu_utilisation"}, "cpus": {Metric: "cpus"}, "memory": {Metric: "memory_utilisation"}, "load": {Metric: "load1_per_cpu"},
	}})
	if err != nil || got["cpus"] < 1 || !(got["utilisation"] <= 1) || !(got["memory"] > 0 && got["memory"] < 1) || len(got) != 4 {
		t.Errorf("%v, %v", got, err)
	}
}

// FuzzLocal feeds the parsers of kernel files anything.
func FuzzLocal(f *testing.F) {
	f.Add(stat1, meminfo, pressure, "50000 100000\n")
	f.Add("cpu 18446744073709551615 1 1 1 1\n", "MemTotal: -1\n", "some avg10=nan total=inf\n", "1 0\n")
	f.Fuzz(func(t *testing.T, stat, mem, psi, quota string) {
		proc := files("stat", stat, "meminfo", mem, "loadavg", psi, "pressure/io", psi)
		cgroup := files("x/cpu.stat", mem, "x/cpu.max", quota, "x/memory.current", quota, "x/memory.max", mem, "x/cpu.pressure", psi)
		for _, path := range []string{"", "x"} {
			l := &localReader{proc: proc, cgroup: cgroup, path: path}
			for i := range 2 {
				r, err := l.read(time.Unix(int64(i), 0))
				if err != nil {
					continue
				}
				s := map[string]Selector{}
				for name := range r.flat {
					s[name] = Selector{}
				}
				v, _ := newEvaluator(s).evaluate(time.Unix(0, 0), r)
				if slices.ContainsFunc(slices.Collect(maps.Values(v)), func(x float64) bool { return !plausible(x) }) {
					t.Fatal(v)
				}
			}
		}
	})
}
