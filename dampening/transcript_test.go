package dampening

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the results in testdata/*.txt")

// TestTranscripts runs testdata/*.txt. A file is blocks separated by empty
// lines: commands, a line "----", and what they print. Lines that start with
// "#" are prose.
//
//	params PROFILE [FIELD=VALUE...]      the rules; all state is kept
//	budget PEER MODE SUPPRESS            one more RFD budget
//	observe KEY[..KEY] STATE [LEVEL]     a01..a10 is ten keys
//	remove KEY, resay KEY
//	storm N KEY                          down and up again, N times, unseen by anyone
//	pass DURATION                        time passes, nobody calls
//	clock DURATION                       the caller's clock jumps
//	advance                              Advance now
//	run DURATION                         Advance now and whenever it is due
//	sample DURATION EVERY KEY STATE L1 L2 observes each EVERY, levels in turn
//	only KEY                             sample prints this key's decisions, counts the rest
//	status KEY, validity, summary
//
// Times are printed since the start of the file.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			runTranscript(t, file)
		})
	}
}

func runTranscript(t *testing.T, file string) {
	have, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	tr := newTranscript()
	for i, block := range strings.Split(strings.TrimRight(string(have), "\n"), "\n\n") {
		if i > 0 {
			got.WriteString("\n")
		}
		commands, _, isCommand := strings.Cut(block+"\n", "----\n")
		got.WriteString(commands)
		if !isCommand {
			continue
		}
		got.WriteString("----\n")
		for line := range strings.Lines(commands) {
			line = strings.TrimSpace(line)
			if line == "" || strings.HasPrefix(line, "#") {
				continue
			}
			if err := tr.do(&got, strings.Fields(line)); err != nil {
				t.Fatalf("%s: %q: %v", file, line, err)
			}
		}
	}
	if *update {
		if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got.String() == string(have) {
		return
	}
	wantLines, gotLines := strings.Split(string(have), "\n"), strings.Split(got.String(), "\n")
	for i := range min(len(wantLines), len(gotLines)) {
		if wantLines[i] != gotLines[i] {
			t.Fatalf("%s:%d:\n got %s\nwant %s", file, i+1, gotLines[i], wantLines[i])
		}
	}
	t.Fatalf("%s: %d lines, want %d", file, len(gotLines), len(wantLines))
}

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

type transcript struct {
	table   *Table
	start   time.Time
	now     time.Time
	budgets []RFDBudget
	only    string
	others  int
}

func newTranscript() *transcript {
	return &transcript{table: NewTable(Domain(), 1), start: epoch, now: epoch}
}

func (tr *transcript) do(w *bytes.Buffer, args []string) error {
	arg := func(i int) string {
		if i < len(args) {
			return args[i]
		}
		return ""
	}
	switch args[0] {
	case "params":
		p, err := parseParams(arg(1), args[2:])
		if err != nil {
			return err
		}
		tr.table.SetParams(tr.now, p)
	case "budget":
		suppress, err := strconv.ParseFloat(arg(3), 64)
		if err != nil {
			return err
		}
		mode := map[string]RFDMode{"off": RFDOff, "warn": RFDWarn, "enforce": RFDEnforce}[arg(2)]
		tr.budgets = append(tr.budgets, RFDBudget{Peer: arg(1), Mode: mode, Suppress: suppress})
		tr.table.SetBudgets(tr.now, tr.budgets)
	case "observe":
		o, err := parseObservation(args[2:])
		if err != nil {
			return err
		}
		for _, key := range keyRange(arg(1)) {
			tr.table.Observe(tr.now, key, o)
		}
	case "storm":
		n, err := strconv.Atoi(arg(1))
		if err != nil {
			return err
		}
		for range n {
			tr.table.Observe(tr.now, arg(2), Observation{State: Down})
			tr.table.Observe(tr.now, arg(2), Observation{State: Up, Level: 0.5})
		}
	case "remove":
		tr.table.Remove(tr.now, arg(1))
	case "resay":
		tr.table.Resay(tr.now, arg(1))
	case "pass":
		return tr.pass(arg(1))
	case "clock":
		d, err := time.ParseDuration(arg(1))
		tr.now = tr.now.Add(d)
		tr.start = tr.start.Add(d)
		return err
	case "advance":
		ds, next := tr.table.Advance(tr.now)
		tr.print(w, ds)
		fmt.Fprintf(w, "next %s\n", tr.since(next))
	case "run":
		d, err := time.ParseDuration(arg(1))
		if err != nil {
			return err
		}
		tr.run(w, tr.now.Add(d))
	case "only":
		tr.only = arg(1)
	case "sample":
		return tr.sample(w, args[1:])
	case "status":
		return tr.status(w, arg(1))
	case "validity":
		refresh, validity := tr.table.Validity()
		fmt.Fprintf(w, "refresh %v, validity %v\n", refresh.Round(time.Second), validity.Round(time.Second))
	case "summary":
		s := tr.table.Summary()
		fmt.Fprintf(w, "%d instances, %d remembered, %d waiting, session tokens %.0f, create tokens %.0f\n",
			s.Instances, s.Remembered, s.Waiting, s.SessionTokens, s.CreateTokens)
	default:
		return fmt.Errorf("unknown command")
	}
	return nil
}

func (tr *transcript) pass(arg string) error {
	d, err := time.ParseDuration(arg)
	tr.now = tr.now.Add(d)
	return err
}

// run advances now and whenever the table asks for it.
func (tr *transcript) run(w *bytes.Buffer, end time.Time) {
	for {
		ds, next := tr.table.Advance(tr.now)
		tr.print(w, ds)
		if next.IsZero() || next.After(end) {
			tr.now = end
			return
		}
		tr.now = next
	}
}

func (tr *transcript) sample(w *bytes.Buffer, args []string) error {
	if len(args) < 4 {
		return fmt.Errorf("want DURATION EVERY KEY STATE [LEVEL...]")
	}
	total, err := time.ParseDuration(args[0])
	if err != nil {
		return err
	}
	every, err := time.ParseDuration(args[1])
	if err != nil {
		return err
	}
	levels := args[4:]
	for i := range int(total / every) {
		o, err := parseObservation(append([]string{args[3]}, levels[i%len(levels)]))
		if err != nil {
			return err
		}
		for _, key := range keyRange(args[2]) {
			tr.table.Observe(tr.now, key, o)
		}
		ds, _ := tr.table.Advance(tr.now)
		tr.printSaid(w, ds)
		tr.now = tr.now.Add(every)
	}
	if tr.only != "" {
		fmt.Fprintf(w, "and %d of others\n", tr.others)
		tr.others = 0
	}
	return nil
}

func (tr *transcript) since(when time.Time) string {
	if when.IsZero() {
		return "never"
	}
	return when.Sub(tr.start).Round(time.Millisecond).String()
}

func (tr *transcript) print(w *bytes.Buffer, ds []Decision) {
	for _, d := range ds {
		verb, held := "say ", ""
		if !d.Say {
			verb = "hold"
		}
		if d.Held != NoReason {
			held = ", held by " + d.Held.String()
		}
		if !d.Until.IsZero() {
			held += " until " + tr.since(d.Until)
		}
		fmt.Fprintf(w, "%s %s %s %s %.3f: %s%s\n", tr.since(tr.now), verb, d.Key, d.State, d.Level, d.Reason, held)
	}
}

func (tr *transcript) printSaid(w *bytes.Buffer, ds []Decision) {
	for i := range ds {
		switch {
		case !ds[i].Say:
		case tr.only != "" && tr.only != ds[i].Key:
			tr.others++
		default:
			tr.print(w, ds[i:i+1])
		}
	}
}

func (tr *transcript) status(w *bytes.Buffer, key string) error {
	s, ok := tr.table.Status(key)
	if !ok {
		fmt.Fprintln(w, "unknown")
		return nil
	}
	fmt.Fprintf(w, "observed %s %.3f at %s\n", s.Observed, s.Level, tr.since(s.ObservedAt))
	for _, line := range []struct {
		name string
		said Said
	}{{"said", s.Said}, {"out", s.Out}} {
		if line.name == "out" && s.Out == s.Said {
			continue
		}
		if line.said.At.IsZero() {
			fmt.Fprintf(w, "%s nothing\n", line.name)
			continue
		}
		fmt.Fprintf(w, "%s %s %.3f at %s: %s, refresh %s, expires %s\n", line.name, line.said.State, line.said.Level,
			tr.since(line.said.At), line.said.Reason, tr.since(line.said.Refresh), tr.since(line.said.Expires))
	}
	fmt.Fprintf(w, "pending %s since %s, held by %s until %s\n", s.Pending, tr.since(s.PendingSince), s.Held, tr.since(s.Until))
	fmt.Fprintf(w, "bucket %.2f of %.0f, penalty %.0f, suppressed %v, reuse %s\n", s.Tokens, s.Burst, s.Penalty, s.Suppressed, tr.since(s.ReuseAt))
	for _, e := range s.RFD {
		fmt.Fprintf(w, "rfd %s (%s): estimated %.0f, limit %.0f, suppress %.0f\n", e.Peer, e.Mode, e.Penalty, e.Limit, e.Suppress)
	}
	fmt.Fprintf(w, "observations %d", s.Observations)
	for _, r := range Reasons() {
		if n := s.Counts[r]; n > 0 {
			fmt.Fprintf(w, ", %s %d", r, n)
		}
	}
	fmt.Fprintln(w)
	return nil
}

func parseParams(profile string, fields []string) (Params, error) {
	p := Domain()
	switch profile {
	case "domain":
	case "conservative":
		p = Conservative()
	default:
		return p, fmt.Errorf("unknown profile")
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, "=")
		v := reflect.ValueOf(&p).Elem().FieldByName(name)
		switch {
		case !v.IsValid():
			return p, fmt.Errorf("no field %s", name)
		case v.Type() == reflect.TypeFor[time.Duration]():
			d, err := time.ParseDuration(value)
			if err != nil {
				return p, err
			}
			v.SetInt(int64(d))
		case v.Kind() == reflect.Bool:
			v.SetBool(value == "true")
		default:
			x, err := strconv.ParseFloat(value, 64)
			if err != nil {
				return p, err
			}
			v.SetFloat(x)
		}
	}
	return p, p.Validate()
}

func parseObservation(args []string) (o Observation, err error) {
	switch args[0] {
	case "up":
		o.State = Up
	case "down":
	case "draining":
		o.State = Draining
	default:
		return o, fmt.Errorf("unknown state")
	}
	if len(args) > 1 {
		o.Level, err = strconv.ParseFloat(args[1], 64)
	}
	return o, err
}

// keyRange expands a01..a10.
func keyRange(arg string) []string {
	first, last, ok := strings.Cut(arg, "..")
	if !ok {
		return []string{arg}
	}
	prefix := strings.TrimRight(first, "0123456789")
	digits := len(first) - len(prefix)
	from, _ := strconv.Atoi(first[len(prefix):])
	to, _ := strconv.Atoi(last[len(prefix):])
	var keys []string
	for i := from; i <= to; i++ {
		keys = append(keys, fmt.Sprintf("%s%0*d", prefix, digits, i))
	}
	return keys
}
