package netns

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// A Node is a host or router: a network namespace.
type Node struct {
	Name string

	lab   *Lab
	ns    string   // of the namespace, for "ip netns"
	fd    *os.File // holds the namespace
	links int
}

// Node adds a host whose loopback interface is up.
func (l *Lab) Node(name string) *Node {
	l.t.Helper()
	n := &Node{Name: name, lab: l, ns: prefix(l.id) + name}
	if out, err := exec.Command("ip", "netns", "add", n.ns).CombinedOutput(); err != nil {
		l.t.Skipf("lab: this kernel (or container) makes no network namespaces: %s", strings.TrimSpace(string(out)))
	}
	l.nodes = append(l.nodes, n)
	fd, err := os.Open("/run/netns/" + n.ns)
	if err != nil {
		l.t.Fatalf("lab: %v", err)
	}
	n.fd = fd
	// Link-local addresses are there at once: FRR opens no session before.
	err = n.Do(func() error {
		return os.WriteFile("/proc/sys/net/ipv6/conf/default/accept_dad", []byte("0"), 0)
	})
	if err != nil {
		l.t.Skipf("lab: this container cannot change settings of a namespace: %v", err)
	}
	n.ip("link set lo up")
	return n
}

func (n *Node) close() {
	if n.fd != nil {
		n.fd.Close()
	}
	remove(n.ns)
}

// ip runs one command of ip in the namespace.
func (n *Node) ip(command string) {
	n.lab.t.Helper()
	args := append([]string{"-n", n.ns}, strings.Fields(command)...)
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		n.lab.t.Fatalf("lab: %s: ip %s: %s", n.Name, command, strings.TrimSpace(string(out)))
	}
}

// Link connects two nodes. Of each prefix the first host address is a's, the
// second b's.
func (l *Lab) Link(a, b *Node, prefixes ...string) {
	l.t.Helper()
	at, bt := fmt.Sprintf("eth%d", a.links), fmt.Sprintf("eth%d", b.links)
	a.links++
	b.links++
	a.ip(fmt.Sprintf("link add %s type veth peer name %s netns %s", at, bt, b.ns))
	for _, s := range prefixes {
		p := netip.MustParsePrefix(s)
		first := p.Masked().Addr().Next()
		a.address(netip.PrefixFrom(first, p.Bits()), at)
		b.address(netip.PrefixFrom(first.Next(), p.Bits()), bt)
	}
	a.ip("link set " + at + " up")
	b.ip("link set " + bt + " up")
}

func (n *Node) address(p netip.Prefix, dev string) {
	n.lab.t.Helper()
	flags := ""
	if p.Addr().Is6() {
		flags = " nodad" // an address that is tentative cannot be bound
	}
	n.ip(fmt.Sprintf("address add %s dev %s%s", p, dev, flags))
}

// Loopback puts host addresses on the node's loopback interface.
func (n *Node) Loopback(addrs ...string) {
	n.lab.t.Helper()
	for _, s := range addrs {
		a := netip.MustParseAddr(s)
		n.address(netip.PrefixFrom(a, a.BitLen()), "lo")
	}
}

// Route adds a static route; the destination may be "default".
func (n *Node) Route(dst, via string) {
	n.lab.t.Helper()
	family := "-4 "
	if strings.Contains(via, ":") {
		family = "-6 "
	}
	args := strings.Fields(family + "-n " + n.ns + " route add " + dst + " via " + via)
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		n.lab.t.Fatalf("lab: %s: ip %s: %s", n.Name, strings.Join(args, " "), strings.TrimSpace(string(out)))
	}
}

// Forward makes the node a router.
func (n *Node) Forward() {
	n.lab.t.Helper()
	err := n.Do(func() error {
		return errors.Join(
			os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0),
			os.WriteFile("/proc/sys/net/ipv6/conf/all/forwarding", []byte("1"), 0))
	})
	if err != nil {
		n.lab.t.Skipf("lab: this container cannot change settings of a namespace: %v", err)
	}
}

// Do calls f in a thread that is in the node's namespace. Sockets that f opens
// and processes that it starts stay there; goroutines that it starts are not.
func (n *Node) Do(f func() error) error {
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer home.Close()
	if err := unix.Setns(int(n.fd.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("lab: enter %s: %w", n.Name, err)
	}
	err = f()
	if herr := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); herr != nil {
		// The thread stays locked, so that nothing else ever runs in it.
		return errors.Join(err, fmt.Errorf("lab: leave %s: %w", n.Name, herr))
	}
	runtime.UnlockOSThread()
	return err
}

// Listen listens in the namespace.
func (n *Node) Listen(network, address string) net.Listener {
	n.lab.t.Helper()
	var l net.Listener
	err := n.Do(func() (err error) { l, err = net.Listen(network, address); return err })
	if err != nil {
		n.lab.t.Fatalf("lab: %s: %v", n.Name, err)
	}
	n.lab.t.Cleanup(func() { l.Close() })
	return l
}

// Output runs a program in the namespace to its end and returns what it wrote.
func (n *Node) Output(argv ...string) (string, error) {
	cmd := exec.Command(argv[0], argv[1:]...)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	err := n.Do(cmd.Start)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		err = fmt.Errorf("lab: %s: %s: %w: %s", n.Name, strings.Join(argv, " "), err, strings.TrimSpace(out.String()))
	}
	return out.String(), err
}

const blockTable = "catsbgp_block"

// Block drops what comes in and goes out at the node, as a broken link does
// that no interface notices. The match is nft's, such as "tcp dport 179"; ""
// matches everything.
func (n *Node) Block(matches ...string) {
	n.lab.t.Helper()
	rules := "table inet " + blockTable + " {\n"
	for _, hook := range []string{"input", "output"} {
		rules += " chain " + hook + " { type filter hook " + hook + " priority 0;\n"
		for _, m := range matches {
			rules += "  " + m + " drop\n"
		}
		rules += " }\n"
	}
	if out, err := n.Output("nft", rules+"}"); err != nil {
		n.lab.t.Fatalf("%v %s", err, out)
	}
}

// Unblock ends all Blocks.
func (n *Node) Unblock() {
	n.lab.t.Helper()
	if out, err := n.Output("nft", "delete table inet "+blockTable); err != nil {
		n.lab.t.Fatalf("%v %s", err, out)
	}
}
