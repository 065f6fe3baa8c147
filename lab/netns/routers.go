package netns

import (
	"encoding/json"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// startLimit is for a router to answer its command line, on a busy machine.
const startLimit = 30 * time.Second

// A Router answers its own command line.
type Router struct {
	*Node
	shell   []string // its command line takes the command as the last argument
	daemons []*Process
}

// Crash ends the router's daemons as kill -9 does. Its kernel goes on
// forwarding.
func (r *Router) Crash() {
	for _, p := range r.daemons {
		p.Kill()
	}
}

// Ask runs a command of the router's own command line.
func (r *Router) Ask(command string) (string, error) {
	return r.Output(append(append([]string{}, r.shell...), command)...)
}

// JSON runs a command of FRR's command line and decodes its answer.
func (r *Router) JSON(command string, into any) error {
	out, err := r.Ask(command)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(out), into); err != nil {
		return fmt.Errorf("lab: %s: %s: %w: %s", r.Name, command, err, out)
	}
	return nil
}

// file writes a file of the node and returns its path.
func (n *Node) file(name, text string) string {
	n.lab.t.Helper()
	path := filepath.Join(n.lab.dir, n.Name, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		n.lab.t.Fatalf("lab: %v", err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		n.lab.t.Fatalf("lab: %v", err)
	}
	return path
}

// own gives a directory to a user.
func (n *Node) own(dir, name string) {
	n.lab.t.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		n.lab.t.Fatalf("lab: %v", err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	if err := os.Chown(dir, uid, gid); err != nil {
		n.lab.t.Fatalf("lab: %v", err)
	}
}

// FRR runs zebra and bgpd on the node, with bgpd configured by text, and waits
// until they answer. The node forwards.
func (n *Node) FRR(text string) *Router {
	t := n.lab.t
	t.Helper()
	n.Forward()
	dir := filepath.Dir(n.file("vtysh.conf", "no service integrated-vtysh-config\n"))
	n.own(dir, "frr") // the daemons give up root, and make their sockets here
	common := []string{
		"-z", dir + "/zserv.api", "--vty_socket", dir, "-P", "0", "--log", "stdout",
	}
	r := &Router{Node: n, shell: []string{"vtysh", "--vty_socket", dir, "--config_dir", dir, "-c"}}
	start := func(name, conf string) {
		argv := []string{frrDir + "/" + name, "-f", n.file(name+".conf", conf), "-i", dir + "/" + name + ".pid"}
		r.daemons = append(r.daemons, n.Start(name, nil, append(argv, common...)...))
	}
	start("zebra", "frr defaults traditional\n")
	waitFor(n, "zebra", func() error {
		_, err := os.Stat(dir + "/zserv.api")
		return err
	})
	start("bgpd", text)
	waitFor(n, "bgpd", func() error {
		var any map[string]any
		return r.JSON("show bgp summary json", &any)
	})
	n.lab.OnFailure(func() string {
		return r.tables("show bgp summary", "show bgp ipv4 unicast", "show bgp ipv6 unicast", "show ip route", "show ipv6 route")
	})
	return r
}

// BIRD runs bird on the node, configured by text, and waits until it answers.
// The node forwards.
func (n *Node) BIRD(text string) *Router {
	t := n.lab.t
	t.Helper()
	n.Forward()
	conf := n.file("bird.conf", text)
	socket := filepath.Join(filepath.Dir(conf), "bird.ctl")
	r := &Router{Node: n, shell: []string{"birdc", "-s", socket}}
	r.daemons = append(r.daemons, n.Start("bird", nil, "bird", "-f", "-c", conf, "-s", socket, "-P", filepath.Join(filepath.Dir(conf), "bird.pid")))
	waitFor(n, "bird", func() error {
		_, err := r.Ask("show status")
		return err
	})
	n.lab.OnFailure(func() string {
		return r.tables("show protocols", "show route all")
	})
	return r
}

func (r *Router) tables(commands ...string) string {
	var b strings.Builder
	for _, c := range commands {
		out, err := r.Ask(c)
		fmt.Fprintf(&b, "---- %s: %s\n%s", r.Name, c, out)
		if err != nil {
			fmt.Fprintf(&b, "%v\n", err)
		}
	}
	return b.String()
}

func waitFor(n *Node, what string, ready func() error) {
	n.lab.t.Helper()
	Eventually(n.lab.t, startLimit, n.Name+": "+what+" answers", func() string {
		for _, p := range n.lab.procs {
			if err, over := p.over(); over && !p.mayEnd.Load() {
				n.lab.t.Fatalf("lab: %s ended: %v", p.name, err)
			}
		}
		if err := ready(); err != nil {
			return err.Error()
		}
		return ""
	})
}
