package netns

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// RequireEnv is the environment variable that, set to "1", turns the lack of a
// program from a reason to skip into a failure.
const RequireEnv = "CATSBGP_REQUIRE_LAB"

// DumpEnv is the environment variable that, set to "1", has everything logged
// that is otherwise only logged when a test fails.
const DumpEnv = "CATSBGP_LAB_DUMP"

// A Need is a program that a test cannot do without.
type Need string

const (
	FRR  Need = "frr"      // zebra, bgpd and vtysh
	BIRD Need = "bird2"    // bird and birdc
	NFT  Need = "nftables" // nft
)

// frrDir is where Debian, and FRR's own packages, put the daemons.
const frrDir = "/usr/lib/frr"

// programs are the files of a Need, each by a name or a path.
var programs = map[Need][]string{
	FRR:  {frrDir + "/zebra", frrDir + "/bgpd", "vtysh"},
	BIRD: {"bird", "birdc"},
	NFT:  {"nft"},
}

// A Lab is one network, for one test.
type Lab struct {
	t     testing.TB
	id    string
	dir   string // short: Unix sockets have at most 107 octets
	lock  *os.File
	nodes []*Node
	procs []*Process
	dumps []func() string
}

// New returns an empty network that ends with the test. It skips the test if
// the process is not root, if the kernel has no network namespaces, or if a
// program is missing; the latter fails the test where RequireEnv is set.
func New(t testing.TB, needs ...Need) *Lab {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("lab: needs root, to make network namespaces")
	}
	findSbin()
	missing := lacking(append([]string{"ip"}, files(needs)...))
	if len(missing) > 0 {
		text := fmt.Sprintf("lab: needs %s (Debian: apt install iproute2 frr bird2 nftables)", strings.Join(missing, ", "))
		if os.Getenv(RequireEnv) == "1" {
			t.Fatal(text)
		}
		t.Skip(text)
	}
	sweep(t)
	l := &Lab{t: t}
	if err := l.claim(); err != nil {
		t.Fatalf("lab: %v", err)
	}
	t.Cleanup(l.end)
	return l
}

// findSbin has programs of administrators be found by whoever runs the tests.
var findSbin = sync.OnceFunc(func() {
	os.Setenv("PATH", os.Getenv("PATH")+":/usr/local/sbin:/usr/sbin:/sbin")
})

func files(needs []Need) (all []string) {
	for _, n := range needs {
		all = append(all, programs[n]...)
	}
	return all
}

func lacking(names []string) (missing []string) {
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			missing = append(missing, name)
		}
	}
	return missing
}

// root holds a directory for every lab. A lab holds a lock in its own as long
// as it lives, so that the remains of a dead one can be told from a living one
// of another process, whatever became of process ids.
var root = filepath.Join(os.TempDir(), "catsbgp-lab")

const lockName = "lock"

func (l *Lab) claim() error {
	var b [3]byte
	if _, err := rand.Read(b[:]); err != nil {
		return err
	}
	l.id = hex.EncodeToString(b[:])
	l.dir = filepath.Join(root, l.id)
	// Made elsewhere and moved into place with its lock held: a sweep must not
	// find it without.
	tmp, err := os.MkdirTemp("", "catsbgp-lab-*")
	if err != nil {
		return err
	}
	l.lock, err = os.Create(filepath.Join(tmp, lockName))
	if err != nil {
		return err
	}
	if err := unix.Flock(int(l.lock.Fd()), unix.LOCK_EX); err != nil {
		return err
	}
	// Routers that give up root must get at their sockets.
	return errors.Join(os.MkdirAll(root, 0o755), os.Chmod(tmp, 0o755), os.Rename(tmp, l.dir))
}

// prefix begins the names of all namespaces of a lab.
func prefix(id string) string { return "catsbgp-" + id + "-" }

// sweep removes what killed runs left behind.
func sweep(t testing.TB) {
	left, _ := filepath.Glob(filepath.Join(root, "*", lockName))
	for _, name := range left {
		f, err := os.Open(name)
		if err != nil {
			continue
		}
		if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			dir := filepath.Dir(name)
			t.Logf("lab: removing what an earlier run left: %s", filepath.Base(dir))
			for _, ns := range namespaces(prefix(filepath.Base(dir))) {
				remove(ns)
			}
			os.RemoveAll(dir)
		}
		f.Close()
	}
}

func namespaces(prefix string) (names []string) {
	entries, _ := os.ReadDir("/run/netns")
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) {
			names = append(names, e.Name())
		}
	}
	return names
}

// remove ends every process in a namespace and removes it.
func remove(ns string) {
	out, _ := exec.Command("ip", "netns", "pids", ns).Output()
	for _, s := range strings.Fields(string(out)) {
		if pid, err := strconv.Atoi(s); err == nil && pid != os.Getpid() {
			unix.Kill(pid, unix.SIGKILL)
		}
	}
	exec.Command("ip", "netns", "del", ns).Run()
}

// Dir is a directory of the lab for files; its path is short.
func (l *Lab) Dir() string { return l.dir }

// OnFailure has what f returns logged if the test fails, before anything is
// torn down.
func (l *Lab) OnFailure(f func() string) { l.dumps = append(l.dumps, f) }

// end tears everything down.
func (l *Lab) end() {
	for _, p := range l.procs {
		if err, over := p.over(); over && !p.mayEnd.Load() {
			l.t.Errorf("lab: %s ended by itself: %v", p.name, err)
		}
	}
	if l.t.Failed() || os.Getenv(DumpEnv) == "1" {
		for _, f := range l.dumps {
			l.t.Log(f())
		}
		for _, p := range l.procs {
			l.t.Logf("---- last words of %s\n%s", p.name, tail(p.Log(), 200))
		}
	}
	for _, p := range l.procs {
		p.Kill()
	}
	for _, n := range l.nodes {
		n.close()
	}
	os.RemoveAll(l.dir)
	l.lock.Close()
}

func tail(s string, lines int) string {
	all := strings.Split(strings.TrimRight(s, "\n"), "\n")
	if len(all) > lines {
		all = append([]string{fmt.Sprintf("(%d lines left out)", len(all)-lines)}, all[len(all)-lines:]...)
	}
	return strings.Join(all, "\n")
}

// Eventually waits until ok returns "", at most for the limit, and fails the
// test with what it returned last.
func Eventually(t testing.TB, limit time.Duration, what string, ok func() string) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for {
		missing := ok()
		if missing == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s: %s", limit, what, missing)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
