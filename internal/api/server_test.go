package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/catsbgp/catsbgp/internal/api"
	"github.com/catsbgp/catsbgp/internal/api/apitest"
	"github.com/catsbgp/catsbgp/internal/events"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const token = "0123456789abcdef0123456789abcdef"

// serve runs a server on a fresh socket and a loopback port. When the test
// ends, the server must end without an error.
func serve(t *testing.T, b api.Backend, edit func(*api.Config)) (s *api.Server, socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "run", "catsbgp.sock")
	cfg := api.Config{
		Socket: socket, Listen: "127.0.0.1:0",
		Token: func() (string, error) { return token, nil },
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "catsbgp_build_info 1\n")
		}),
	}
	if edit != nil {
		edit(&cfg)
	}
	s = api.NewServer(b, cfg)
	s.Handle("/web/", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "page\n") }))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	select {
	case <-s.Ready():
	case err := <-done:
		t.Fatalf("Run: %v", err)
	}
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if _, err := os.Lstat(socket); !errors.Is(err, fs.ErrNotExist) && cfg.Socket != "" {
			t.Errorf("the socket is left behind: %v", err)
		}
	})
	return s, socket
}

func client(t *testing.T, where, token string) *api.Client {
	t.Helper()
	c, err := api.NewClient(where, token, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// raw does one request over the Unix socket, or over TCP where addr is set.
type raw struct {
	socket, addr string
}

func (r raw) do(t *testing.T, method, path, body string, header ...string) (int, http.Header, string) {
	t.Helper()
	tr := &http.Transport{DisableKeepAlives: true}
	url := "http://" + r.addr + path
	if r.addr == "" {
		url = "http://catsbgp" + path
		tr.DialContext = func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", r.socket) }
	}
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(b)
}

// wantDocument insists on exactly one document, with the envelope of the
// schema, and returns it.
func wantDocument(t *testing.T, text string) map[string]any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	var doc map[string]any
	if err := d.Decode(&doc); err != nil {
		t.Fatalf("no JSON: %v\n%s", err, text)
	}
	if _, err := d.Token(); err != io.EOF {
		t.Fatalf("more than one document: %s", text)
	}
	if doc["schema"] != api.Schema || doc["kind"] == "" {
		t.Errorf("schema %v, kind %v", doc["schema"], doc["kind"])
	}
	if doc["kind"] != string(api.KindError) {
		if _, ok := doc["items"].([]any); !ok {
			t.Errorf("items is %T, want a list", doc["items"])
		}
		if at, err := time.Parse(time.RFC3339Nano, fmt.Sprint(doc["generated_at"])); err != nil || at.Location() != time.UTC {
			t.Errorf("generated_at %v: %v", doc["generated_at"], err)
		}
	}
	return doc
}

func TestEveryDocumentSurvivesTheWay(t *testing.T) {
	b := apitest.New()
	_, socket := serve(t, b, nil)
	c := client(t, socket, "")
	ctx := t.Context()
	check := func(what string, want, got any, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
			return
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", what, d)
		}
	}
	status, err := c.Status(ctx)
	// An empty list arrives as an empty list, not as nil; cmp tells them apart.
	want := b.StatusDoc
	want.NotReady = api.List[string]{}
	check("status", api.List[api.Status]{want}, status.Items, err)
	services, err := c.Services(ctx)
	check("services", api.List[api.Service](b.ServiceDocs), services.Items, err)
	dampening, err := c.Dampening(ctx)
	if err == nil && len(dampening.Items) == 2 {
		dampening.Items[1].RFD = nil
	}
	check("dampening", api.List[api.Dampening](b.DampeningDocs), dampening.Items, err)
	e, err := c.Explain(ctx, "video")
	check("explain", api.List[api.Explanation]{b.Explanations["video"]}, e.Items, err)
	r, err := c.Reload(ctx)
	b.ReloadDoc.Problems = api.List[api.Problem]{}
	check("reload", api.List[api.ReloadResult]{b.ReloadDoc}, r.Items, err)
	for what, f := range map[string]func() (int, api.Kind, error){
		"instances": func() (int, api.Kind, error) { d, err := c.Instances(ctx); return len(d.Items), d.Kind, err },
		"sites":     func() (int, api.Kind, error) { d, err := c.Sites(ctx); return len(d.Items), d.Kind, err },
		"routes":    func() (int, api.Kind, error) { d, err := c.Routes(ctx); return len(d.Items), d.Kind, err },
		"heard":     func() (int, api.Kind, error) { d, err := c.Heard(ctx); return len(d.Items), d.Kind, err },
		"peers":     func() (int, api.Kind, error) { d, err := c.Peers(ctx); return len(d.Items), d.Kind, err },
		"metrics":   func() (int, api.Kind, error) { d, err := c.Metrics(ctx); return len(d.Items), d.Kind, err },
		"events": func() (int, api.Kind, error) {
			d, err := c.Events(ctx, 99, api.Filter{})
			return len(d.Items), d.Kind, err
		},
	} {
		n, kind, err := f()
		if err != nil || n == 0 || kind == "" {
			t.Errorf("%s: %d items of kind %q, %v", what, n, kind, err)
		}
	}
	d, err := c.Drain(ctx, api.DrainRequest{Target: "10.0.2.11", Deadline: 90 * time.Second, Reason: "test"})
	if err != nil || d.Items[0].Scope != "instance" || !d.Items[0].DeadlineAt.Equal(apitest.Now.Add(90*time.Second)) {
		t.Errorf("drain: %+v, %v", d, err)
	}
	push := api.PushRequest{Service: "video", Instance: "10.0.2.11", Values: map[string]float64{"utilisation": 0.4}, TTLSeconds: 5}
	if err := c.Push(ctx, push); err != nil || cmp.Diff([]api.PushRequest{push}, b.Pushes) != "" {
		t.Errorf("push: %+v, %v", b.Pushes, err)
	}
}

// No list is ever null, in an agent that has nothing to tell.
func TestEmptyListsAreNotNull(t *testing.T) {
	b := &apitest.Backend{Ring: events.NewRing(1), Explanations: map[string]api.Explanation{"x": {}}}
	b.ServiceDocs = []api.Service{{}}
	b.InstanceDocs = []api.Instance{{}}
	b.SiteDocs = []api.Site{{}}
	b.RouteDocs = []api.Route{{Attribute: &api.Decoded{}}}
	b.PeerDocs = []api.Peer{{}}
	b.DampeningDocs = []api.Dampening{{}}
	_, socket := serve(t, b, nil)
	for _, path := range []string{
		api.PathStatus, api.PathServices, api.PathInstances, api.PathSites, api.PathRoutes, api.PathHeard, api.PathPeers,
		api.PathDampening, api.PathMetrics, api.PathEvents, api.PathExplain + "?cs_id=x", "/readyz?verbose",
	} {
		_, _, body := raw{socket: socket}.do(t, "GET", path, "")
		wantDocument(t, body)
		if strings.Contains(body, "null") {
			t.Errorf("%s has a null: %s", path, body)
		}
		if strings.Contains(body, "0001-01-01") && path != api.PathStatus && path != api.PathInstances &&
			path != api.PathServices && path != api.PathExplain+"?cs_id=x" {
			t.Errorf("%s shows a zero time: %s", path, body)
		}
	}
}

func TestRequestsThatAreWrong(t *testing.T) {
	b := apitest.New()
	_, socket := serve(t, b, nil)
	tests := []struct {
		what, method, path, body string
		status                   int
		code                     api.Code
	}{
		{"no such page", "GET", "/nowhere", "", 404, api.CodeNotFound},
		{"no such page below the API", "GET", "/api/v2/status", "", 404, api.CodeNotFound},
		{"the root has no page unless somebody serves one", "GET", "/", "", 404, api.CodeNotFound},
		{"reading what is for changing", "GET", api.PathDrain, "", 405, api.CodeMethodNotAllowed},
		{"changing what is for reading", "POST", api.PathStatus, "{}", 405, api.CodeMethodNotAllowed},
		{"a method nobody knows", "BREW", api.PathStatus, "", 405, api.CodeMethodNotAllowed},
		{"explain nothing", "GET", api.PathExplain, "", 400, api.CodeInvalid},
		{"explain what is not there", "GET", api.PathExplain + "?cs_id=192.0.2.99", "", 404, api.CodeNotFound},
		{"a number that is none", "GET", api.PathEvents + "?last=many", "", 400, api.CodeInvalid},
		{"a level that is none", "GET", api.PathEvents + "?level=loud", "", 400, api.CodeInvalid},
		{"no body", "POST", api.PathDrain, "", 400, api.CodeInvalid},
		{"half a body", "POST", api.PathDrain, `{"target":"video"`, 400, api.CodeInvalid},
		{"two bodies", "POST", api.PathDrain, `{"target":"10.0.2.11"}{"target":"10.0.2.12"}`, 400, api.CodeInvalid},
		{"a misspelt key", "POST", api.PathDrain, `{"target":"10.0.2.11","dedline_seconds":3}`, 400, api.CodeInvalid},
		{"a negative deadline", "POST", api.PathDrain, `{"target":"10.0.2.11","deadline_seconds":-3}`, 400, api.CodeInvalid},
		{"a deadline beyond time.Duration", "POST", api.PathDrain, `{"target":"10.0.2.11","deadline_seconds":1e300}`, 400, api.CodeInvalid},
		{"drain nothing", "POST", api.PathDrain, `{"target":" "}`, 400, api.CodeInvalid},
		{"undo and withdraw", "POST", api.PathDrain, `{"target":"site","undo":true,"withdraw":true}`, 400, api.CodeInvalid},
		{"drain what is not there", "POST", api.PathDrain, `{"target":"audio"}`, 404, api.CodeNotFound},
		{"drain what would leave nothing", "POST", api.PathDrain, `{"target":"video"}`, 409, api.CodeRefused},
		{"a body where none belongs", "POST", api.PathReload, `{}`, 400, api.CodeInvalid},
		{"push nothing", "POST", api.PathPush, `{"service":"video","instance":"10.0.2.11"}`, 400, api.CodeInvalid},
		{"push to nobody", "POST", api.PathPush, `{"values":{"utilisation":1}}`, 400, api.CodeInvalid},
		{"push what is no number", "POST", api.PathPush, `{"service":"v","instance":"i","values":{"u":"1"}}`, 400, api.CodeInvalid},
		{"push for ever", "POST", api.PathPush, `{"service":"v","instance":"i","values":{"u":1},"ttl_seconds":1e9}`, 400, api.CodeInvalid},
		{"too much", "POST", api.PathPush, `{"service":"` + strings.Repeat("x", 70000) + `"}`, 413, api.CodeTooLarge},
	}
	for _, tt := range tests {
		status, h, body := raw{socket: socket}.do(t, tt.method, tt.path, tt.body)
		doc := wantDocument(t, body)
		e, _ := doc["error"].(map[string]any)
		if status != tt.status || doc["kind"] != "Error" || e["code"] != string(tt.code) || e["message"] == "" {
			t.Errorf("%s: status %d, document %s", tt.what, status, body)
		}
		if h.Get("Content-Type") != "application/json" || h.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: header %v", tt.what, h)
		}
		if status == 405 && h.Get("Allow") == "" {
			t.Errorf("%s: no Allow header", tt.what)
		}
	}
	if len(b.Drains)+len(b.Pushes) != 0 {
		t.Errorf("a wrong request had an effect: %v %v", b.Drains, b.Pushes)
	}
	status, _, body := raw{socket: socket}.do(t, "POST", api.PathDrain, `{"target":"10.0.2.11"}`, "Content-Type", "text/plain")
	if status != 400 {
		t.Errorf("a body that a web form could send is accepted: %s", body)
	}
}

func TestBackendErrors(t *testing.T) {
	b := apitest.New()
	_, socket := serve(t, b, nil)
	c := client(t, socket, "")
	set := func(err error) { b.Lock(); b.Err = err; b.Unlock() }

	set(errors.New("agent: the loop is busy"))
	_, err := c.Services(t.Context())
	var e *api.Error
	if !errors.As(err, &e) || e.Code != api.CodeInternal || e.Message != "agent: the loop is busy" {
		t.Errorf("plain error: %#v", err)
	}
	set(fmt.Errorf("agent: %w", context.DeadlineExceeded))
	if _, err = c.Services(t.Context()); !errors.As(err, &e) || e.Code != api.CodeUnavailable {
		t.Errorf("deadline: %#v", err)
	}
	set(fmt.Errorf("drain: %w", api.Refused("no")))
	if _, err = c.Status(t.Context()); !errors.Is(err, &api.Error{Code: api.CodeRefused}) {
		t.Errorf("wrapped: %#v", err)
	}

	t.Logf("# a document that cannot be encoded is an error, not half a document")
	set(nil)
	b.Lock()
	b.StatusDoc.UptimeSeconds = math.NaN()
	b.Unlock()
	status, _, body := raw{socket: socket}.do(t, "GET", api.PathStatus, "")
	if doc := wantDocument(t, body); status != 500 || doc["kind"] != "Error" {
		t.Errorf("NaN: status %d: %s", status, body)
	}
}

func TestReloadThatIsNotAccepted(t *testing.T) {
	b := apitest.New()
	b.ReloadDoc = api.ReloadResult{File: "x.toml", Problems: api.List[api.Problem]{{Severity: "error", File: "x.toml", Line: 3, Column: 1, Message: "unknown key"}}}
	_, socket := serve(t, b, nil)
	res, err := client(t, socket, "").Reload(t.Context())
	if err != nil || res.Items[0].OK || len(res.Items[0].Problems) != 1 {
		t.Errorf("%+v, %v", res, err)
	}
	if status, _, _ := (raw{socket: socket}).do(t, "POST", api.PathReload, ""); status != 422 {
		t.Errorf("status %d, want 422", status)
	}
}

func TestHealth(t *testing.T) {
	b := apitest.New()
	_, socket := serve(t, b, nil)
	r := raw{socket: socket}
	want := func(path string, status int, contains string) {
		t.Helper()
		got, _, body := r.do(t, "GET", path, "")
		if got != status || !strings.Contains(body, contains) {
			t.Errorf("%s: %d %q, want %d %q", path, got, body, status, contains)
		}
	}
	want("/livez", 200, "ok\n")
	want("/readyz", 200, "ok\n")
	want("/healthz", 200, "ok\n")
	want("/metrics", 200, "catsbgp_build_info")
	want("/web/app.js", 200, "page")
	b.Lock()
	b.Alive, b.StatusDoc.Ready, b.StatusDoc.NotReady = false, false, api.List[string]{"source prom was not asked yet"}
	b.Unlock()
	want("/livez", 503, "not ok")
	want("/readyz", 503, "not ok")
	want("/readyz?verbose", 503, "source prom was not asked yet")
	want("/livez?verbose=1", 503, "stands still")
}

func TestTCPIsForThisHostOnly(t *testing.T) {
	b := apitest.New()
	s, _ := serve(t, b, nil)
	r := raw{addr: s.TCPAddr().String()}
	drain := `{"target":"10.0.2.11"}`
	tests := []struct {
		what, method, path, body string
		header                   []string
		status                   int
	}{
		{"reading needs no token", "GET", api.PathStatus, "", nil, 200},
		{"localhost is fine", "GET", api.PathStatus, "", []string{"Host", "localhost:9477"}, 200},
		{"so is IPv6 loopback", "GET", api.PathStatus, "", []string{"Host", "[::1]:9477"}, 200},
		{"and one without a port", "GET", api.PathStatus, "", []string{"Host", "127.0.0.1"}, 200},
		{"a rebound name is not", "GET", api.PathStatus, "", []string{"Host", "evil.example"}, 403},
		{"nor one that only begins well", "GET", api.PathStatus, "", []string{"Host", "127.0.0.1.evil.example:80"}, 403},
		{"nor another address", "GET", api.PathStatus, "", []string{"Host", "192.0.2.1:9477"}, 403},
		{"the check comes before the token", "POST", api.PathDrain, drain, []string{"Host", "evil.example", "Authorization", "Bearer " + token}, 403},
		{"changing needs a token", "POST", api.PathDrain, drain, nil, 401},
		{"the right one", "POST", api.PathDrain, drain, []string{"Authorization", "Bearer " + token[1:]}, 401},
		{"as a bearer token", "POST", api.PathDrain, drain, []string{"Authorization", "Basic " + token}, 401},
		{"not an empty one", "POST", api.PathDrain, drain, []string{"Authorization", "Bearer "}, 401},
		{"with it, it works", "POST", api.PathDrain, drain, []string{"Authorization", "bearer " + token}, 200},
	}
	for _, tt := range tests {
		if got, _, body := r.do(t, tt.method, tt.path, tt.body, tt.header...); got != tt.status {
			t.Errorf("%s: status %d, want %d: %s", tt.what, got, tt.status, body)
		}
	}
	if len(b.Drains) != 1 {
		t.Errorf("%d drains, want 1", len(b.Drains))
	}
	if _, err := client(t, "http://"+s.TCPAddr().String(), token).Drain(t.Context(), api.DrainRequest{Target: "10.0.2.11"}); err != nil {
		t.Errorf("client with token: %v", err)
	}

	s, _ = serve(t, b, func(c *api.Config) { c.Token = nil })
	if got, _, _ := (raw{addr: s.TCPAddr().String()}).do(t, "POST", api.PathReload, ""); got != 403 {
		t.Errorf("without a token file: status %d, want 403", got)
	}
	s, _ = serve(t, b, func(c *api.Config) { c.Token = func() (string, error) { return "", nil } })
	if got, _, _ := (raw{addr: s.TCPAddr().String()}).do(t, "POST", api.PathReload, "", "Authorization", "Bearer "); got != 401 {
		t.Errorf("an empty token opens: status %d, want 401", got)
	}
}

func TestListen(t *testing.T) {
	b := apitest.New()
	dir := t.TempDir()
	wantErr := func(what string, err error, text string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v, want %q", what, err, text)
		}
	}
	start := func(cfg api.Config) error {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		s := api.NewServer(b, cfg)
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		select {
		case err := <-done:
			return err
		case <-s.Ready():
			cancel()
			return <-done
		}
	}

	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantErr("a file in its place is not removed", start(api.Config{Socket: file}), "is not a socket")
	if b, _ := os.ReadFile(file); string(b) != "precious" {
		t.Error("the file was touched")
	}

	stale := filepath.Join(dir, "stale")
	l, err := net.Listen("unix", stale)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	wantErr("a socket in use is not taken over", start(api.Config{Socket: stale}), "another agent")
	l.Close()
	if err := start(api.Config{Socket: stale}); err != nil {
		t.Errorf("a stale socket: %v", err)
	}

	wantErr("all addresses", start(api.Config{Listen: "0.0.0.0:0"}), "not a loopback address")
	wantErr("no address", start(api.Config{Listen: "127.0.0.1"}), "missing port")
	if err := start(api.Config{Listen: "[::1]:0"}); err != nil && !errors.Is(err, syscall.EADDRNOTAVAIL) && !errors.Is(err, syscall.EAFNOSUPPORT) {
		t.Errorf("IPv6 loopback: %v", err)
	}

	for _, mode := range []fs.FileMode{0o600, 0o660, 0o666} {
		_, socket := serve(t, b, func(c *api.Config) { c.SocketMode = mode })
		fi, err := os.Stat(socket)
		if err != nil || fi.Mode().Perm() != mode {
			t.Errorf("mode %v, %v, want %v", fi.Mode(), err, mode)
		}
	}
}

// stream opens an event stream and returns its lines.
func stream(t *testing.T, socket string, header ...string) (lines <-chan string, cancel func()) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	tr := &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", socket) }}
	req, _ := http.NewRequestWithContext(ctx, "GET", "http://catsbgp"+api.PathEvents, nil)
	req.Header.Set("Accept", "text/event-stream")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != 200 || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		t.Fatalf("%s, %v", resp.Status, resp.Header)
	}
	out := make(chan string, 1024)
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(out)
		defer resp.Body.Close()
		sc := bufio.NewScanner(resp.Body)
		for sc.Scan() {
			out <- sc.Text()
		}
		if err := sc.Err(); err != nil && ctx.Err() == nil {
			t.Errorf("the stream broke off: %v", err)
		}
	})
	return out, func() { stop(); wg.Wait() }
}

func TestEventStream(t *testing.T) {
	b := apitest.New()
	_, socket := serve(t, b, func(c *api.Config) { c.Streams = 2 })
	lines, cancel := stream(t, socket, "Last-Event-ID", "3")
	want := func(text string) {
		t.Helper()
		got, ok := <-lines
		if !ok || !strings.HasPrefix(got, text) {
			t.Fatalf("line %q, want %q", got, text)
		}
	}
	want("retry: 2000")
	want("")
	want("id: 4")
	want(`data: {"id":4,"at":"2026-03-04T05:05:55Z","name":"metric.said"`)
	want("")
	want("id: 5")
	want(`data: {"id":5,`)
	want("")
	b.Ring.Append(events.Event{At: apitest.Now, Name: events.AgentReady})
	want("id: 6")
	want(`data: {"id":6,"at":"2026-03-04T05:06:07Z","name":"agent.ready"`)
	want("")

	t.Logf("# a reader who comes back too late is told what it missed")
	for range 300 {
		b.Ring.Append(events.Event{At: apitest.Now, Name: events.AgentReady})
	}
	late, cancelLate := stream(t, socket, "Last-Event-ID", "6")
	<-late // retry
	<-late
	if got := <-late; got != "event: missed" {
		t.Errorf("line %q", got)
	}
	if got := <-late; got != `data: {"missed":44}` {
		t.Errorf("line %q", got)
	}

	t.Logf("# one stream too many")
	if status, _, body := (raw{socket: socket}).do(t, "GET", api.PathEvents+"?stream", ""); status != 429 {
		t.Errorf("status %d, want 429: %s", status, body)
	}
	cancelLate()
	cancel()
}

func TestStreamsEndWithTheServer(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	s := api.NewServer(apitest.New(), api.Config{Socket: socket})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	<-s.Ready()
	lines, stop := stream(t, socket)
	<-lines // it is open
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for range lines { // until the end
	}
	stop()
}

// An idle stream shows that it lives, well within the time after which a
// proxy or a browser would give it up.
func TestHeartbeat(t *testing.T) {
	b := apitest.New()
	socket := filepath.Join(t.TempDir(), "s")
	s := api.NewServer(b, api.Config{Socket: socket})
	if got := api.SetHeartbeat(s, 10*time.Millisecond); got != 15*time.Second {
		t.Errorf("heartbeat %v, want 15s", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	<-s.Ready()
	lines, stop := stream(t, socket)
	want := []string{"retry: 2000", ""}
	for range 2 {
		want = append(want, ": still here", "")
	}
	for _, want := range want {
		if got := <-lines; got != want {
			t.Fatalf("line %q, want %q", got, want)
		}
	}
	stop()
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// A reader that takes nothing is dropped; the writer of events never notices.
func TestSlowStreamIsDropped(t *testing.T) {
	b := apitest.New()
	b.Ring = events.NewRing(4096)
	socket := filepath.Join(t.TempDir(), "s")
	s := api.NewServer(b, api.Config{Socket: socket})
	api.SetPatience(s, 20*time.Millisecond)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	<-s.Ready()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n", api.PathEvents)
	for api.Streams(s) == 0 {
		time.Sleep(time.Millisecond)
	}
	text := strings.Repeat("x", 1<<10)
	for api.Streams(s) != 0 { // until its buffers are full and its time is over
		for range 64 {
			b.Ring.Append(events.Event{At: apitest.Now, Name: events.AgentReady, Message: text})
		}
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestFollow(t *testing.T) {
	b := apitest.New()
	_, socket := serve(t, b, nil)
	c := client(t, socket, "")
	stop := errors.New("enough")
	var got []events.Name
	err := c.Follow(t.Context(), 0, api.Filter{Name: "peer"}, func(e events.Event, missed uint64) error {
		got = append(got, e.Name)
		if missed != 0 {
			t.Errorf("missed %d", missed)
		}
		if len(got) == 2 {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) || !cmp.Equal(got, []events.Name{events.PeerUp, events.PeerDown}) {
		t.Errorf("%v, %v", got, err)
	}
	t.Logf("# the ring ends: so does the stream, without an error")
	b.Ring.Close()
	n := 0
	if err := c.Follow(t.Context(), 0, api.Filter{}, func(events.Event, uint64) error { n++; return nil }); err != nil || n != 5 {
		t.Errorf("%d events, %v", n, err)
	}
	if err := c.Follow(t.Context(), 0, api.Filter{Level: "loud"}, nil); !errors.Is(err, &api.Error{Code: api.CodeInvalid}) {
		t.Errorf("a wrong filter: %v", err)
	}
}

func TestClientWithoutAgent(t *testing.T) {
	ctx := t.Context()
	dir := t.TempDir()
	for _, where := range []string{filepath.Join(dir, "none"), "http://127.0.0.1:1"} {
		if _, err := client(t, where, "").Status(ctx); !errors.Is(err, api.ErrUnreachable) || !strings.Contains(err.Error(), where) {
			t.Errorf("%s: %v", where, err)
		}
		if err := client(t, where, "").Follow(ctx, 0, api.Filter{}, nil); !errors.Is(err, api.ErrUnreachable) {
			t.Errorf("follow %s: %v", where, err)
		}
	}
	t.Logf("# somebody else answers")
	socket := filepath.Join(dir, "other")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	answers := []string{"<html>", `{"schema":"catsbgp/v9","kind":"Status","items":[]}`, `{"schema":"catsbgp/v1","kind":"Status","items":"x"}`}
	i := 0
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, answers[i]) })}
	go srv.Serve(l)
	defer srv.Close()
	for ; i < len(answers); i++ {
		if _, err := client(t, socket, "").Status(ctx); err == nil || errors.Is(err, api.ErrUnreachable) {
			t.Errorf("answer %q: %v", answers[i], err)
		}
	}
	t.Logf("# nobody answers in time")
	silent := filepath.Join(dir, "silent")
	sl, err := net.Listen("unix", silent)
	if err != nil {
		t.Fatal(err)
	}
	defer sl.Close()
	c, err := api.NewClient(silent, "", 10*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Status(ctx); !errors.Is(err, api.ErrUnreachable) {
		t.Errorf("silent: %v", err)
	}
	if _, err := api.NewClient("http://", "", 0); err == nil {
		t.Error("a URL without a host is accepted")
	}
}

func TestVerdict(t *testing.T) {
	ok := api.Status{Ready: true, PeersUp: 2, PeersTotal: 2, Services: api.List[api.ServiceStatus]{{Name: "v", Rung: api.RungFresh}}}
	tests := []struct {
		what string
		edit func(*api.Status)
		want api.Verdict
	}{
		{"all well", func(*api.Status) {}, api.VerdictOK},
		{"a drain is no fault", func(s *api.Status) { s.Drains = append(s.Drains, api.DrainState{Target: "site"}) }, api.VerdictOK},
		{"no peers configured", func(s *api.Status) { s.PeersUp, s.PeersTotal = 0, 0 }, api.VerdictOK},
		{"aged metrics are no fault yet", func(s *api.Status) { s.Services[0].Rung = api.RungAged }, api.VerdictOK},
		{"a session is down", func(s *api.Status) { s.PeersUp = 1 }, api.VerdictWarning},
		{"all sessions are down", func(s *api.Status) { s.PeersUp = 0 }, api.VerdictCritical},
		{"not ready", func(s *api.Status) { s.Ready = false }, api.VerdictCritical},
		{"plain anycast", func(s *api.Status) { s.Services[0].Rung = api.RungAnycast }, api.VerdictWarning},
		{"reload failed", func(s *api.Status) { s.Config.LastReload = &api.Reload{} }, api.VerdictWarning},
		{"a warning", func(s *api.Status) { s.Warnings = api.List[api.Warning]{{Severity: "warning", Message: "x"}} }, api.VerdictWarning},
		{"a critical one", func(s *api.Status) { s.Warnings = api.List[api.Warning]{{Severity: "critical", Message: "x"}} }, api.VerdictCritical},
		{"the worst counts", func(s *api.Status) { s.PeersUp = 0; s.Config.LastReload = &api.Reload{} }, api.VerdictCritical},
	}
	for _, tt := range tests {
		s := ok
		s.Services = append(api.List[api.ServiceStatus](nil), ok.Services...)
		tt.edit(&s)
		got, why := s.Verdict()
		if got != tt.want || (got != api.VerdictOK) != (len(why) > 0) {
			t.Errorf("%s: %s %v, want %s", tt.what, got, why, tt.want)
		}
	}
}

func TestTokenFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	get := api.TokenFile(path)
	if _, err := get(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	for text, want := range map[string]string{" " + token + "\n": token, "short\n": "", "": "", "                    ": ""} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := get(); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}
