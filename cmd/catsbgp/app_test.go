package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/goleak"

	"github.com/catsbgp/catsbgp/internal/api"
	"github.com/catsbgp/catsbgp/internal/api/apitest"
	"github.com/catsbgp/catsbgp/internal/events"
)

// serve runs the story on a socket until stop is called.
func serve(t *testing.T, b api.Backend, socket string) (stop func()) {
	t.Helper()
	s := api.NewServer(b, api.Config{Socket: socket, Now: func() time.Time { return apitest.Now }})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	<-s.Ready()
	return sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("agent: %v", err)
		}
	})
}

// lines calls f for every line written to it.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
	f    func(all string)
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(b)
	if l.f != nil {
		l.f(l.text.String())
	}
	return len(b), nil
}

func testApp(stdout, stderr io.Writer, env map[string]string) *app {
	a := newApp(strings.NewReader(""), stdout, stderr)
	a.getenv = func(k string) string { return env[k] }
	a.now = func() time.Time { return apitest.Now }
	return a
}

func TestWatchUntilInterrupted(t *testing.T) {
	defer goleak.VerifyNone(t)
	socket := filepath.Join(t.TempDir(), "s")
	defer serve(t, apitest.New(), socket)()
	ctx, cancel := context.WithCancel(t.Context())
	out := &lines{f: func(all string) {
		if strings.Count(all, "PEER ") == 3 {
			cancel()
		}
	}}
	var stderr bytes.Buffer
	code := testApp(out, &stderr, map[string]string{"CATSBGP_SOCKET": socket}).run(ctx, []string{"show", "peers", "--watch", "--interval", "100ms"})
	if code != exitOK || stderr.Len() > 0 {
		t.Errorf("exit code %d, stderr %q", code, &stderr)
	}
	if strings.Contains(out.text.String(), "\x1b") {
		t.Error("escape sequences into something that is no terminal")
	}
}

// A watch survives a restart of the agent: it says that it is gone and goes on.
func TestWatchWaitsForTheAgent(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var stop func()
	start := sync.OnceFunc(func() { stop = serve(t, apitest.New(), socket) })
	out := &lines{f: func(all string) {
		if strings.Contains(all, "agent unreachable") {
			start()
		}
		if strings.Contains(all, "PEER ") {
			cancel()
		}
	}}
	code := testApp(out, io.Discard, map[string]string{"CATSBGP_SOCKET": socket}).run(ctx, []string{"show", "peers", "--watch", "--interval", "100ms"})
	if code != exitOK {
		t.Errorf("exit code %d", code)
	}
	stop()
}

func TestFollowEvents(t *testing.T) {
	defer goleak.VerifyNone(t)
	socket := filepath.Join(t.TempDir(), "s")
	b := apitest.New()
	b.Ring = events.NewRing(4)
	stop := serve(t, b, socket)
	b.Ring.Append(events.Event{At: apitest.Now, Name: events.PeerUp, Peer: "rr1", Message: "one\x1b[2J"})
	b.Ring.Append(events.Event{At: apitest.Now, Name: events.AgentReady, Message: "not asked for"})
	ctx, cancel := context.WithCancel(t.Context())
	second := sync.OnceFunc(func() {
		b.Ring.Append(events.Event{At: apitest.Now, Name: events.PeerDown, Peer: "rr1", Message: "two", Fields: events.Fields{events.F("why", "hold")}})
	})
	third := sync.OnceFunc(func() {
		go func() { // the agent restarts, with a ring of its own
			stop()
			b2 := apitest.New()
			b2.Ring = events.NewRing(4)
			b2.Ring.Append(events.Event{At: apitest.Now, Name: events.PeerUp, Peer: "rr1", Message: "three"})
			stop2 := serve(t, b2, socket)
			context.AfterFunc(ctx, stop2)
		}()
	})
	out := &lines{f: func(all string) {
		switch {
		case strings.Contains(all, "three"):
			cancel()
		case strings.Contains(all, "two"):
			third()
		case strings.Contains(all, "one"):
			second()
		}
	}}
	var stderr lines
	code := testApp(out, &stderr, map[string]string{"CATSBGP_SOCKET": socket}).run(ctx, []string{"show", "events", "--watch", "--name", "peer", "-o", "wide"})
	if code != exitOK {
		t.Errorf("exit code %d, stderr %s", code, stderr.text.String())
	}
	got := regexp.MustCompile(`(?m)^\S+ \S+  `).ReplaceAllString(out.text.String(), "")
	want := "info   peer.up               rr1: one\uFFFD[2J\n" +
		"warn   peer.down             rr1: two  why=hold\n" +
		"info   peer.up               rr1: three\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	for range 100 { // the second server closes in the background
		if _, err := os.Lstat(socket); err != nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestColorful(t *testing.T) {
	var b bytes.Buffer
	tests := []struct {
		what, color string
		env         map[string]string
		want        bool
	}{
		{"a pipe", "auto", nil, false},
		{"always is always", "always", map[string]string{"NO_COLOR": "1"}, true},
		{"never is never", "never", nil, false},
	}
	for _, tt := range tests {
		a := testApp(&b, &b, tt.env)
		a.color = tt.color
		if got := a.colorful(&b); got != tt.want {
			t.Errorf("%s: %v", tt.what, got)
		}
	}
	t.Logf("# a terminal, where the machine gives us one")
	tty, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no pseudo terminal: %v", err)
	}
	defer tty.Close()
	for _, tt := range []struct {
		env  map[string]string
		want bool
	}{{nil, true}, {map[string]string{"NO_COLOR": "1"}, false}, {map[string]string{"TERM": "dumb"}, false}} {
		a := testApp(tty, tty, tt.env)
		a.color = "auto"
		if got := a.colorful(tty); got != tt.want {
			t.Errorf("terminal with %v: %v, want %v", tt.env, got, tt.want)
		}
	}
}

func TestWantsJSON(t *testing.T) {
	for args, want := range map[string]bool{
		"": false, "status": false, "status -o json": true, "-o json status": true, "status -ojson": true, "status -o=json": true,
		"status --output json": true, "status --output=json": true, "status -o table": false, "decode -- -o json": false, "status -o": false,
	} {
		if got := wantsJSON(strings.Fields(args)); got != want {
			t.Errorf("%q: %v", args, got)
		}
	}
}

// Every command says in its help what it takes, and every leaf can run.
func TestCommandsAreDescribed(t *testing.T) {
	root := testApp(io.Discard, io.Discard, nil).root()
	n := 0
	for _, cmd := range below(root) {
		n++
		if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: short %q", cmd.CommandPath(), cmd.Short)
		}
		if cmd.RunE == nil && cmd.Run == nil {
			t.Errorf("%s does nothing", cmd.CommandPath())
		}
		if cmd.Args == nil {
			t.Errorf("%s takes any arguments silently", cmd.CommandPath())
		}
	}
	if n < 25 {
		t.Errorf("only %d commands", n)
	}
}

func below(cmd *cobra.Command) []*cobra.Command {
	var out []*cobra.Command
	for _, sub := range cmd.Commands() {
		out = append(append(out, sub), below(sub)...)
	}
	return out
}

// What is pasted into decode comes from anywhere.
func FuzzDecodeCommand(f *testing.F) {
	f.Add("c0ff1fca000c43415453018000010000fde9")
	f.Add("ca000c43415453018000010000fde9ca020501c0000215")
	f.Add("0x00:zz")
	f.Add("d0ff0000")
	f.Fuzz(func(t *testing.T, text string) {
		var out, errs bytes.Buffer
		a := testApp(&out, &errs, nil)
		a.stdin = strings.NewReader(text)
		code := a.run(t.Context(), []string{"decode", "-"})
		switch code {
		case exitOK:
			if out.Len() == 0 || errs.Len() > 0 {
				t.Errorf("ok with stdout %q, stderr %q", &out, &errs)
			}
		case exitFailure, exitUsage:
			if out.Len() > 0 || errs.Len() == 0 {
				t.Errorf("%d with stdout %q, stderr %q", code, &out, &errs)
			}
		default:
			t.Errorf("exit code %d", code)
		}
		if bytes.ContainsFunc(out.Bytes(), func(r rune) bool { return r < ' ' && r != '\n' }) {
			t.Errorf("control characters: %q", &out)
		}
	})
}

func ExampleMain() {
	fmt.Println(Main([]string{"decode", "ca000c43415453018000010000fde9"}, nil, os.Stdout, os.Stderr))
	// Output:
	// attribute value, 15 octets
	// profile  version 1, domain 65001, normalization 1, complete list
	// 0
}
