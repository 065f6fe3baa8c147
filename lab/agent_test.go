package lab_test

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/catsbgp/catsbgp/internal/api"
	"github.com/catsbgp/catsbgp/internal/events"
	"github.com/catsbgp/catsbgp/lab/netns"
)

// limit is for what takes a second or two on an idle machine.
const limit = 30 * time.Second

// BinaryEnv names a catsbgp program to try instead of one built from this tree.
const BinaryEnv = "CATSBGP_BINARY"

var built struct {
	once sync.Once
	dir  string
	path string
	err  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if built.dir != "" {
		os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

// program builds the program, once.
func program(t testing.TB) string {
	t.Helper()
	built.once.Do(func() {
		if built.path = os.Getenv(BinaryEnv); built.path != "" {
			return
		}
		if built.dir, built.err = os.MkdirTemp("", "catsbgp-bin-*"); built.err != nil {
			return
		}
		built.path = filepath.Join(built.dir, "catsbgp")
		cmd := exec.Command("go", "build", "-o", built.path, "github.com/catsbgp/catsbgp/cmd/catsbgp")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			built.err = fmt.Errorf("go build: %w\n%s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.path
}

// An agent is the program running on a node.
type agent struct {
	*netns.Process
	*api.Client
	t    testing.TB
	node *netns.Node
	lab  *netns.Lab
	file string
}

// startAgent runs the program with a configuration, in which SOCKET and DIR
// stand for places of its own, and waits until its API answers.
func startAgent(t testing.TB, l *netns.Lab, n *netns.Node, config string) *agent {
	t.Helper()
	a := &agent{t: t, node: n, lab: l, file: filepath.Join(l.Dir(), n.Name+".toml")}
	a.configure(config)
	client, err := api.NewClient(a.socket(), "", 20*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	a.Client = client
	l.OnFailure(func() string {
		return a.words("status") + a.words("show", "peers") + a.words("show", "sites") + a.words("show", "services")
	})
	a.start()
	return a
}

func (a *agent) socket() string { return filepath.Join(a.lab.Dir(), a.node.Name+".sock") }

// configure writes the configuration file.
func (a *agent) configure(config string) {
	a.t.Helper()
	config = strings.NewReplacer("SOCKET", a.socket(), "DIR", a.lab.Dir()).Replace(config)
	if err := os.WriteFile(a.file, []byte(config), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

// start runs the program; again, after it was killed.
func (a *agent) start() {
	a.t.Helper()
	a.Process = a.node.Start("catsbgp", nil, program(a.t), "run", "-c", a.file)
	a.eventually("the API answers", func() string {
		_, err := a.Status(a.t.Context())
		return text(err)
	})
}

// words is what a command of the program says.
func (a *agent) words(args ...string) string {
	out, err := a.command(args...)
	if err != nil {
		out += err.Error() + "\n"
	}
	return fmt.Sprintf("---- %s: catsbgp %s\n%s", a.node.Name, strings.Join(args, " "), out)
}

func (a *agent) command(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, program(a.t), args...)
	cmd.Env = append(os.Environ(), "CATSBGP_SOCKET="+a.socket())
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// reload changes the configuration as an operator does.
func (a *agent) reload(config string) {
	a.t.Helper()
	before := a.last(events.ConfigReloaded)
	a.configure(config)
	a.Signal(syscall.SIGHUP)
	a.eventually("the new configuration is in force", func() string {
		if rejected := a.last(events.ConfigRejected); rejected > before {
			a.t.Fatalf("refused: %+v", a.events(events.ConfigRejected))
		}
		if a.last(events.ConfigReloaded) == before {
			return "no event"
		}
		return ""
	})
}

func (a *agent) eventually(what string, ok func() string) {
	a.t.Helper()
	netns.Eventually(a.t, limit, a.node.Name+": "+what, ok)
}

// events returns the kept events of a name, oldest first.
func (a *agent) events(name events.Name) []api.Event {
	a.t.Helper()
	doc, err := a.Client.Events(a.t.Context(), 4096, api.Filter{Name: string(name)})
	if err != nil {
		a.t.Fatal(err)
	}
	return doc.Items
}

// last is the number of the newest event of a name, 0 if there is none.
func (a *agent) last(name events.Name) uint64 {
	a.t.Helper()
	if all := a.events(name); len(all) > 0 {
		return all[len(all)-1].ID
	}
	return 0
}

// peer returns a session by name.
func (a *agent) peer(name string) api.Peer {
	a.t.Helper()
	doc, err := a.Peers(a.t.Context())
	if err != nil {
		a.t.Fatal(err)
	}
	for _, p := range doc.Items {
		if p.Name == name {
			return p
		}
	}
	a.t.Fatalf("%s: no peer %q", a.node.Name, name)
	return api.Peer{}
}

// share returns what part of a service's new flows goes to a site, by name.
func (a *agent) share(service, site string) float64 {
	a.t.Helper()
	doc, err := a.Services(a.t.Context())
	if err != nil {
		a.t.Fatal(err)
	}
	sum := 0.0
	for _, s := range doc.Items {
		for _, tg := range s.Targets {
			if tg.Site == site && s.Name == service {
				sum += tg.Share
			}
		}
	}
	return sum
}

// wantShare waits until a site has a share within [low, high] of a service.
func (a *agent) wantShare(service, site string, low, high float64) {
	a.t.Helper()
	a.eventually(fmt.Sprintf("%s gets %.0f..%.0f %% of %s", site, low*100, high*100, service), func() string {
		if s := a.share(service, site); s < low || s > high {
			return fmt.Sprintf("%.1f %%", s*100)
		}
		return ""
	})
}

// wantUp waits until a session is established.
func (a *agent) wantUp(peers ...string) {
	a.t.Helper()
	for _, name := range peers {
		a.eventually("session to "+name, func() string {
			if p := a.peer(name); !p.Up {
				return p.State + " " + p.LastError
			}
			return ""
		})
	}
}

// attribute returns the CATS attribute that a site says now with a prefix, in
// hexadecimal; "" if it does not announce it.
func (a *agent) attribute(prefix string) string {
	a.t.Helper()
	doc, err := a.Routes(a.t.Context())
	if err != nil {
		a.t.Fatal(err)
	}
	for _, r := range doc.Items {
		if r.Prefix == prefix {
			return r.AttributeHex
		}
	}
	return ""
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// A workload is a service's instances at one site, and what they say of
// themselves: how busy they are.
type workload struct {
	t       testing.TB
	percent atomic.Int64
	handler atomic.Pointer[http.HandlerFunc]
}

// serve answers as a service does on an address of a node: with its name on /,
// with metrics on /metrics.
func serve(t testing.TB, n *netns.Node, addrs ...string) *workload {
	w := &workload{t: t}
	w.percent.Store(20)
	honest := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(rw, "load_ratio %g\ninflight 3\n", float64(w.percent.Load())/100)
	})
	w.handler.Store(&honest)
	mux := http.NewServeMux()
	mux.HandleFunc("/metrics", func(rw http.ResponseWriter, r *http.Request) { (*w.handler.Load())(rw, r) })
	mux.HandleFunc("/", func(rw http.ResponseWriter, r *http.Request) { fmt.Fprint(rw, n.Name) })
	server := &http.Server{Handler: mux}
	t.Cleanup(func() { server.Close() })
	for _, s := range addrs {
		l := n.Listen("tcp", netip.AddrPortFrom(netip.MustParseAddr(s), 8080).String())
		go server.Serve(l)
	}
	return w
}

// say has the metrics page be written by f from now on.
func (w *workload) say(f http.HandlerFunc) { w.handler.Store(&f) }
