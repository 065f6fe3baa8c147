package collect

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	maxStderr = 4 << 10                // octets; more is thrown away
	waitDelay = 100 * time.Millisecond // for output that a process left behind keeps open
)

// A command is a program that is run for each reading. It is run directly, not
// by a shell, in a process group of its own that is killed as a whole when the
// timeout passes; what it leaves behind when it ends by itself is left alone. Standard input is empty. Of our environment it gets PATH,
// HOME, LANG, TZ and TMPDIR, and besides
//
//	CATSBGP_SERVICE   the service's name
//	CATSBGP_CS_ID     its CS-ID, "203.0.113.10"
//	CATSBGP_CSCI_ID   the instance's CSCI-ID, "10.0.2.11"
//	CATSBGP_SOURCE    the source's name
//
// A source without values is a sign of life: exit code 0 is up; any other, or
// no end within the timeout, is down, for the reason in the first line of
// standard error. What it prints on standard output does not matter. This is
// what health scripts for ExaBGP and birdwatcher do.
//
// A source with values prints them, see parseOutput, and exits with 0. Any
// other exit code means that there is no reading; it says nothing of the
// instance.
type command struct {
	argv    []string
	env     []string
	life    bool // sign of life
	timeout time.Duration
	maxBody int64
}

func newCommand(inst Instance, c Source) (func(context.Context) (answer, error), error) {
	if len(c.Command) == 0 || c.Command[0] == "" {
		return nil, errors.New("no command")
	}
	m := &command{argv: c.Command, life: c.signalsLife(), timeout: c.Timeout, maxBody: c.MaxBody}
	for _, name := range []string{"PATH", "HOME", "LANG", "TZ", "TMPDIR"} {
		if v, ok := os.LookupEnv(name); ok {
			m.env = append(m.env, name+"="+v)
		}
	}
	m.env = append(m.env,
		"CATSBGP_SERVICE="+inst.Name,
		"CATSBGP_CS_ID="+inst.Service.String(),
		"CATSBGP_CSCI_ID="+inst.ID.String(),
		"CATSBGP_SOURCE="+c.Name,
	)
	return m.ask, nil
}

func (m *command) ask(ctx context.Context) (answer, error) {
	stdout, stderr := &limitedBuffer{limit: m.maxBody}, &firstLine{}
	cmd := exec.CommandContext(ctx, m.argv[0], m.argv[1:]...)
	cmd.Env, cmd.Stderr, cmd.WaitDelay = m.env, stderr, waitDelay
	if !m.life {
		cmd.Stdout = stdout
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error {
		// Called before the process is waited for, so its id is still its own.
		if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); err != nil {
			return os.ErrProcessDone
		}
		return nil
	}
	if err := cmd.Start(); err != nil {
		return answer{}, err
	}
	err := cmd.Wait()
	if m.life && errors.Is(err, exec.ErrWaitDelay) {
		err = nil // it said 0, and left somebody behind
	}
	if err == nil {
		if m.life {
			return answer{}, nil
		}
		f, err := parseOutput(stdout.b.Bytes())
		return answer{reading: f}, err
	}
	switch {
	case stdout.err != nil:
		return answer{}, stdout.err // which may have killed it
	case errors.Is(err, exec.ErrWaitDelay):
		return answer{}, errors.New("it ended, but left a process behind that keeps its output open")
	}
	why := err.Error()
	if line := stderr.String(); line != "" {
		why += ": " + line
	}
	_, exited := errors.AsType[*exec.ExitError](err)
	switch {
	case m.life && ctx.Err() == context.DeadlineExceeded:
		return answer{down: fmt.Sprintf("%s did not end within %v", m.argv[0], m.timeout)}, nil
	case m.life && exited && ctx.Err() == nil:
		return answer{down: why}, nil
	}
	return answer{}, errors.New(why)
}

// parseOutput reads what a program printed: nothing, or one JSON object, of
// which numbers are values and booleans 1 or 0 and everything else is ignored,
// or lines of "key=value" or "key value", with "#" comments. A key said twice
// is an error in lines, as is a line that is something else.
func parseOutput(b []byte) (flat, error) {
	b = bytes.TrimSpace(b)
	if len(b) > 0 && b[0] == '{' {
		return parseObject(b)
	}
	f := flat{}
	n := 0
	for line := range bytes.Lines(b) {
		n++
		text := strings.TrimSpace(string(line))
		if text == "" || text[0] == '#' {
			continue
		}
		key, value, ok := strings.Cut(text, "=")
		if !ok {
			if fields := strings.Fields(text); len(fields) == 2 {
				key, value, ok = fields[0], fields[1], true
			}
		}
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		v, err := strconv.ParseFloat(value, 64)
		if !ok || key == "" || err != nil && !errors.Is(err, strconv.ErrRange) {
			return nil, fmt.Errorf("output line %d: %q is not key=value", n, printable(text))
		}
		if _, twice := f[key]; twice {
			return nil, fmt.Errorf("output line %d: %q twice", n, printable(key))
		}
		f[key] = v
	}
	return f, nil
}

func parseObject(b []byte) (flat, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var object map[string]any
	if err := d.Decode(&object); err != nil {
		return nil, fmt.Errorf("output: %s", printable(err.Error()))
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("output: something follows the JSON object")
	}
	f := flat{}
	for key, value := range object {
		switch value := value.(type) {
		case json.Number:
			f[key], _ = value.Float64() // out of range is ±Inf, which is refused by name
		case bool:
			f[key] = 0
			if value {
				f[key] = 1
			}
		}
	}
	return f, nil
}

// A firstLine keeps the beginning of what is written to it, and is read as its
// first line that is not empty.
type firstLine struct{ b []byte }

func (f *firstLine) Write(p []byte) (int, error) {
	f.b = append(f.b, p[:min(len(p), maxStderr-len(f.b))]...)
	return len(p), nil
}

func (f *firstLine) String() string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(f.b)), "\n")
	return printable(strings.TrimSpace(line))
}

// A limitedBuffer fails once more than the limit is written, which ends the
// pipe that the writer writes to.
type limitedBuffer struct {
	b     bytes.Buffer
	limit int64
	err   error // once it is too much
}

func (l *limitedBuffer) Write(p []byte) (int, error) {
	if int64(l.b.Len()+len(p)) > l.limit {
		l.err = fmt.Errorf("output is larger than %d octets", l.limit)
		return 0, l.err
	}
	return l.b.Write(p)
}
