package collect

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"time"
)

const localCPUUtilisation = "cpu_utilisation"

// A localReader reads how the host, or a cgroup (v2) of it, is doing. These
// names can be selected; those that the kernel does not offer are missing.
//
//	cpu_utilisation           busy share of the processors since the last reading;
//	                          of a cgroup: of its quota, or of all processors without one
//	cpus                      processors; of a cgroup: its quota, in processors
//	cpu_usage                 s of processor time used, counter (cgroup)
//	cpu_throttled             s throttled by the quota, counter (cgroup)
//	load1, load5, load15      tasks that run or wait (host)
//	load1_per_cpu             load1 / cpus (host)
//	memory_total              octets; of a cgroup: memory.max, or the host's
//	memory_used               octets; of the host: total - available; of a cgroup: memory.current
//	memory_available          octets, total - used
//	memory_available_ratio    available / total
//	memory_utilisation        used / total
//	psi_R_K_avg10             share of the last 10 s in which tasks stalled (pressure
//	                          stall information); R: cpu, memory, io; K: some, full
//	psi_R_K_avg60             the same of 60 s
//	psi_R_K_total             s stalled, counter: with rate, the share since the last reading
//
// All shares are 0..1. memory.current counts the page cache too, so a cgroup's
// memory_utilisation is near 1 for whoever reads many files; its pressure says
// more.
type localReader struct {
	proc   fs.FS
	cgroup fs.FS
	path   string // of the cgroup; "": the host

	// The last reading, for cpu_utilisation.
	at         time.Time
	busy, all  float64 // host: jiffies of all processors
	usage      float64 // cgroup: s
	everLooked bool
}

func newLocal(c Source) (func(context.Context) (answer, error), error) {
	return newLocalAt(c, os.DirFS("/proc"), os.DirFS("/sys/fs/cgroup"))
}

func newLocalAt(c Source, proc, cgroup fs.FS) (func(context.Context) (answer, error), error) {
	l := &localReader{proc: proc, cgroup: cgroup}
	if p := strings.Trim(c.CGroup, "/"); p != "" {
		if l.path = path.Clean(p); !fs.ValidPath(l.path) || l.path == "." {
			return nil, fmt.Errorf("cgroup %q: want a path below /sys/fs/cgroup", c.CGroup)
		}
	}
	return func(context.Context) (answer, error) {
		f, err := l.read(time.Now())
		return answer{reading: f}, err
	}, nil
}

func (l *localReader) read(now time.Time) (localReading, error) {
	f := flat{}
	read := l.readHost
	if l.path != "" {
		read = l.readCGroup
	}
	if err := read(now, f); err != nil {
		return localReading{}, err
	}
	if total, ok := f["memory_total"]; ok && total > 0 {
		used := f["memory_used"]
		f["memory_available"] = max(0, total-used)
		f["memory_available_ratio"] = max(0, total-used) / total
		f["memory_utilisation"] = used / total
	}
	return localReading{f}, nil
}

// A localReading is flat, except that processor utilisation, being a
// difference, may be pending: it is not there, but will be.
type localReading struct{ flat }

func (r localReading) pending(name string) bool {
	_, ok := r.flat["cpus"]
	return ok && name == localCPUUtilisation
}

func (l *localReader) readHost(_ time.Time, f flat) error {
	stat, err := fs.ReadFile(l.proc, "stat")
	if err != nil {
		return err
	}
	busy, all, cpus, err := parseStat(stat)
	if err != nil {
		return err
	}
	f["cpus"] = float64(cpus)
	if l.everLooked && all > l.all {
		f[localCPUUtilisation] = min(max(0, (busy-l.busy)/(all-l.all)), 1)
	}
	l.busy, l.all, l.everLooked = busy, all, true

	if b, err := fs.ReadFile(l.proc, "loadavg"); err == nil {
		fields := strings.Fields(string(b))
		for i, name := range []string{"load1", "load5", "load15"} {
			if i < len(fields) {
				f.set(name, fields[i], 1)
			}
		}
		if v, ok := f["load1"]; ok && cpus > 0 {
			f["load1_per_cpu"] = v / float64(cpus)
		}
	}
	if total, available, ok := l.hostMemory(); ok {
		f["memory_total"], f["memory_used"] = total, total-available
	}
	for _, r := range []string{"cpu", "memory", "io"} {
		if b, err := fs.ReadFile(l.proc, "pressure/"+r); err == nil {
			f.addPressure(r, b)
		}
	}
	return nil
}

func (l *localReader) readCGroup(now time.Time, f flat) error {
	file := func(name string) ([]byte, error) { return fs.ReadFile(l.cgroup, l.path+"/"+name) }
	stat, err := file("cpu.stat")
	if err != nil {
		return err
	}
	fields := keyValues(stat)
	f.set("cpu_usage", fields["usage_usec"], 1e-6)
	f.set("cpu_throttled", fields["throttled_usec"], 1e-6)
	usage, ok := f["cpu_usage"]
	if !ok {
		return errors.New("cpu.stat has no usage_usec")
	}
	if cpus, ok := l.quota(file); ok {
		f["cpus"] = cpus
		if elapsed := now.Sub(l.at).Seconds(); l.everLooked && elapsed > 0 && usage >= l.usage {
			f[localCPUUtilisation] = (usage - l.usage) / elapsed / cpus
		}
	}
	l.at, l.usage, l.everLooked = now, usage, true

	if b, err := file("memory.current"); err == nil {
		f.set("memory_used", string(b), 1)
		if b, err := file("memory.max"); err == nil {
			f.set("memory_total", string(b), 1) // "max" is no number
		}
		if _, limited := f["memory_total"]; !limited {
			if total, _, ok := l.hostMemory(); ok {
				f["memory_total"] = total
			}
		}
	}
	for _, r := range []string{"cpu", "memory", "io"} {
		if b, err := file(r + ".pressure"); err == nil {
			f.addPressure(r, b)
		}
	}
	return nil
}

// quota returns how many processors a cgroup may use.
func (l *localReader) quota(file func(string) ([]byte, error)) (float64, bool) {
	if b, err := file("cpu.max"); err == nil {
		if fields := strings.Fields(string(b)); len(fields) == 2 {
			quota, err1 := strconv.ParseFloat(fields[0], 64) // "max" is no number
			period, err2 := strconv.ParseFloat(fields[1], 64)
			if err1 == nil && err2 == nil && quota > 0 && period > 0 {
				return quota / period, true
			}
		}
	}
	b, err := fs.ReadFile(l.proc, "stat")
	if err != nil {
		return 0, false
	}
	_, _, cpus, err := parseStat(b)
	return float64(cpus), err == nil && cpus > 0
}

// hostMemory returns octets.
func (l *localReader) hostMemory() (total, available float64, ok bool) {
	b, err := fs.ReadFile(l.proc, "meminfo")
	if err != nil {
		return 0, 0, false
	}
	f := flat{}
	for name, value := range keyValues(b) {
		f.set(name, value, 1024)
	}
	total, ok = f["MemTotal:"]
	available, also := f["MemAvailable:"]
	return total, available, ok && also
}

// parseStat reads /proc/stat: jiffies in which processors did something, and
// all jiffies, and the number of processors. Waiting for I/O is idle; guest time
// is part of user time already; stolen time is busy, as it was not ours to use.
func parseStat(b []byte) (busy, all float64, cpus int, err error) {
	for line := range bytes.Lines(b) {
		fields := strings.Fields(string(line))
		if len(fields) == 0 || !strings.HasPrefix(fields[0], "cpu") {
			continue
		}
		if fields[0] != "cpu" {
			cpus++
			continue
		}
		if len(fields) < 5 {
			return 0, 0, 0, errors.New("stat: line cpu is too short")
		}
		for i, field := range fields[1:min(len(fields), 9)] {
			v, err := strconv.ParseUint(field, 10, 64)
			if err != nil {
				return 0, 0, 0, fmt.Errorf("stat: line cpu: %w", err)
			}
			all += float64(v)
			if i != 3 && i != 4 { // idle, iowait
				busy += float64(v)
			}
		}
	}
	if all == 0 {
		return 0, 0, 0, errors.New("stat has no line cpu")
	}
	return busy, all, cpus, nil
}

// addPressure reads a file of pressure stall information, which has lines like
// "some avg10=1.53 avg60=0.87 avg300=0.40 total=157656722": percent, and µs.
func (f flat) addPressure(resource string, b []byte) {
	for line := range bytes.Lines(b) {
		fields := strings.Fields(string(line))
		if len(fields) == 0 || fields[0] != "some" && fields[0] != "full" {
			continue
		}
		for _, field := range fields[1:] {
			name, value, _ := strings.Cut(field, "=")
			switch full := "psi_" + resource + "_" + fields[0] + "_" + name; name {
			case "avg10", "avg60":
				f.set(full, value, 0.01)
			case "total":
				f.set(full, value, 1e-6)
			}
		}
	}
}

// set adds a number, if it is one.
func (f flat) set(name, text string, scale float64) {
	if v, err := strconv.ParseFloat(strings.TrimSpace(text), 64); err == nil {
		f[name] = v * scale
	}
}

// keyValues reads lines of "key value", and what follows is ignored.
func keyValues(b []byte) map[string]string {
	m := map[string]string{}
	lines := bufio.NewScanner(bytes.NewReader(b))
	for lines.Scan() {
		if fields := strings.Fields(lines.Text()); len(fields) >= 2 {
			m[fields[0]] = fields[1]
		}
	}
	return m
}
