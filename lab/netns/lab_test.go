package netns

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Two hosts behind a router talk to each other until they are cut off.
func TestNetwork(t *testing.T) {
	l := New(t, NFT)
	a, r, b := l.Node("a"), l.Node("r"), l.Node("b")
	l.Link(r, a, "192.0.2.0/30", "2001:db8:1::/64")
	l.Link(r, b, "192.0.2.4/30", "2001:db8:2::/64")
	r.Forward()
	for _, via := range []string{"192.0.2.1", "2001:db8:1::1"} {
		a.Route("default", via)
	}
	for _, via := range []string{"192.0.2.5", "2001:db8:2::1"} {
		b.Route("default", via)
	}
	b.Loopback("198.51.100.1", "2001:db8::1")
	r.Route("198.51.100.1/32", "192.0.2.6")
	r.Route("2001:db8::1/128", "2001:db8:2::2")

	for _, host := range []string{"198.51.100.1", "2001:db8::1"} {
		listener := b.Listen("tcp", net.JoinHostPort(host, "80"))
		go func() {
			for {
				c, err := listener.Accept()
				if err != nil {
					return
				}
				io.WriteString(c, "hello")
				c.Close()
			}
		}()
		dial := func(n *Node) (string, error) {
			var c net.Conn
			err := n.Do(func() (err error) {
				ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
				defer cancel()
				c, err = (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(host, "80"))
				return err
			})
			if err != nil {
				return "", err
			}
			defer c.Close()
			b, err := io.ReadAll(c)
			return string(b), err
		}
		Eventually(t, startLimit, "a reaches b", func() string {
			if got, err := dial(a); err != nil || got != "hello" {
				return fmt.Sprintf("%q, %v", got, err)
			}
			return ""
		})
		b.Block("tcp dport 80")
		if got, err := dial(a); err == nil {
			t.Errorf("through a block came %q", got)
		}
		b.Unblock()
		Eventually(t, startLimit, "a reaches b again", func() string {
			if _, err := dial(a); err != nil {
				return err.Error()
			}
			return ""
		})
	}
}

// Whoever was in a namespace is back afterwards, and the host has seen nothing.
func TestDoComesBack(t *testing.T) {
	where := func() string {
		s, err := os.Readlink("/proc/thread-self/ns/net")
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	l := New(t)
	n := l.Node("n")
	home, links := where(), hostLinks(t)
	var inside string
	if err := n.Do(func() error { inside = where(); return nil }); err != nil {
		t.Fatal(err)
	}
	if inside == home || where() != home {
		t.Errorf("inside %s, before %s, after %s", inside, home, where())
	}
	l.Link(n, l.Node("m"), "192.0.2.0/30")
	if now := hostLinks(t); now != links {
		t.Errorf("the host's interfaces changed from\n%s\nto\n%s", links, now)
	}
}

func hostLinks(t *testing.T) string {
	out, err := exec.Command("ip", "-br", "address").Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// Nothing is left of a lab whose test was killed, and nothing happens to one
// that lives.
func TestSweep(t *testing.T) {
	alive := New(t)
	alive.Node("n")

	var dead *Lab
	t.Run("killed", func(t *testing.T) {
		dead = &Lab{t: t}
		if err := dead.claim(); err != nil {
			t.Fatal(err)
		}
		n := dead.Node("n")
		p := n.Start("sleep", nil, "sleep", "60")
		// The kernel drops the lock of a dead process, as it does here.
		dead.lock.Close()
		n.fd.Close()
		New(t)
		<-p.done
	})
	if left := namespaces(prefix(dead.id)); len(left) != 0 {
		t.Errorf("namespaces left: %v", left)
	}
	if _, err := os.Stat(dead.dir); err == nil {
		t.Errorf("%s is left", dead.dir)
	}
	if len(namespaces(prefix(alive.id))) != 1 {
		t.Error("the namespace of a living lab is gone")
	}
	if _, err := os.Stat(filepath.Join(alive.dir, lockName)); err != nil {
		t.Error(err)
	}
}

// Each test that lacks something says what.
func TestLacking(t *testing.T) {
	got := lacking([]string{"sh", "no-such-program", "/no/such/file"})
	if strings.Join(got, " ") != "no-such-program /no/such/file" {
		t.Errorf("%q", got)
	}
}
