package netns

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// A Process runs in a namespace until the test ends.
type Process struct {
	name   string
	cmd    *exec.Cmd
	log    string
	done   chan struct{}
	err    error // why it ended; after done
	mayEnd atomic.Bool
}

// Start starts a program in the namespace. Its output goes to a file that is
// shown if the test fails. A program that ends before the test does, and not
// because the test wants it to, fails the test.
func (n *Node) Start(name string, env []string, argv ...string) *Process {
	t := n.lab.t
	t.Helper()
	p := &Process{name: n.Name + " " + name, done: make(chan struct{})}
	p.log = filepath.Join(n.lab.dir, fmt.Sprintf("%s-%s-%d.log", n.Name, name, len(n.lab.procs)))
	out, err := os.Create(p.log)
	if err != nil {
		t.Fatalf("lab: %v", err)
	}
	defer out.Close()
	p.cmd = exec.Command(argv[0], argv[1:]...)
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	// Dies with us, however we die, unless it changes its user as FRR does.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := n.Do(p.cmd.Start); err != nil {
		t.Fatalf("lab: %s: start %s: %v", n.Name, argv[0], err)
	}
	n.lab.procs = append(n.lab.procs, p)
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p
}

// Signal sends a signal.
func (p *Process) Signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

// Kill ends the process as kill -9 does, and waits until it is gone.
func (p *Process) Kill() {
	p.mayEnd.Store(true)
	p.Signal(syscall.SIGKILL)
	<-p.done
}

// Stop asks the process to end (SIGTERM) and returns how it did.
func (p *Process) Stop() error {
	p.mayEnd.Store(true)
	p.Signal(syscall.SIGTERM)
	<-p.done
	return p.err
}

// over reports whether the process has ended, and how.
func (p *Process) over() (error, bool) {
	select {
	case <-p.done:
		return p.err, true
	default:
		return nil, false
	}
}

// Log returns all that the process wrote so far.
func (p *Process) Log() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// RSS returns the resident memory in octets.
func (p *Process) RSS() uint64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "VmRSS:" {
			kb, _ := strconv.ParseUint(f[1], 10, 64)
			return kb << 10
		}
	}
	return 0
}
