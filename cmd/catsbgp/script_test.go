package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/catsbgp/catsbgp/internal/api"
	"github.com/catsbgp/catsbgp/internal/api/apitest"
	"github.com/catsbgp/catsbgp/internal/metrics"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"catsbgp": main,
	})
}

// TestScripts runs testdata/script/*.txtar. Each has an agent of its own, the
// story of apitest, on $CATSBGP_SOCKET and on $URL with the token in $WORK/token.
//
//	exits CODE command…        runs a command that must exit with that code
//	document FILE KIND [N]     FILE holds exactly one document of that kind, of N items
//	agent busy|empty|notready|badreload|ok   changes what the agent answers
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Setup: func(env *testscript.Env) error {
			backend := apitest.New()
			env.Values["backend"] = backend
			socket := filepath.Join(env.WorkDir, "catsbgp.sock")
			const token = "0123456789abcdef0123"
			if err := os.WriteFile(filepath.Join(env.WorkDir, "token"), []byte(token+"\n"), 0o600); err != nil {
				return err
			}
			series := metrics.New(backend, metrics.Build{Version: "test"})
			server := api.NewServer(backend, api.Config{
				Socket: socket, Listen: "127.0.0.1:0", Metrics: series.Handler(),
				Token: func() (string, error) { return token, nil },
				Now:   func() time.Time { return apitest.Now },
			})
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan error, 1)
			go func() { done <- server.Run(ctx) }()
			env.Defer(func() {
				cancel()
				if err := <-done; err != nil {
					t.Errorf("agent: %v", err)
				}
			})
			select {
			case <-server.Ready():
			case err := <-done:
				done <- nil
				return err
			}
			env.Setenv("CATSBGP_SOCKET", socket)
			env.Setenv("URL", "http://"+server.TCPAddr().String())
			env.Setenv("TZ", "UTC")
			env.Setenv("TERM", "xterm")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":    exits,
			"document": document,
			"agent":    changeAgent,
		},
		UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != "",
	})
}

// exits CODE command…
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE command…")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	if err != nil {
		if n, serr := fmt.Sscanf(err.Error(), "exit status %d", &code); n != 1 {
			ts.Fatalf("%v: %v", err, serr)
		}
	}
	if fmt.Sprint(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

// document FILE KIND [N]
func document(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: document FILE KIND [N]")
	}
	d := json.NewDecoder(strings.NewReader(ts.ReadFile(args[0])))
	var doc struct {
		Schema string
		Kind   string
		Items  []json.RawMessage
		Error  *api.Error
	}
	if err := d.Decode(&doc); err != nil {
		ts.Fatalf("no document: %v", err)
	}
	if _, err := d.Token(); err != io.EOF {
		ts.Fatalf("more than one document")
	}
	if doc.Schema != api.Schema || doc.Kind != args[1] {
		ts.Fatalf("schema %q kind %q, want %q %q", doc.Schema, doc.Kind, api.Schema, args[1])
	}
	if doc.Kind == "Error" && (doc.Error == nil || doc.Error.Code == "" || doc.Error.Message == "") {
		ts.Fatalf("an error without a code or message")
	}
	if len(args) > 2 && fmt.Sprint(len(doc.Items)) != args[2] {
		ts.Fatalf("%d items, want %s", len(doc.Items), args[2])
	}
}

// agent WORD
func changeAgent(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: agent WORD")
	}
	b := ts.Value("backend").(*apitest.Backend)
	fresh := apitest.New()
	b.Lock()
	defer b.Unlock()
	switch args[0] {
	case "busy":
		b.Err = api.Unavailable("the agent is starting")
	case "broken":
		b.Err = fmt.Errorf("agent: something unheard-of")
	case "empty":
		b.ServiceDocs, b.InstanceDocs, b.SiteDocs, b.RouteDocs, b.HeardDocs, b.PeerDocs, b.DampeningDocs = nil, nil, nil, nil, nil, nil, nil
	case "healthy":
		b.StatusDoc = fresh.StatusDoc
		b.StatusDoc.PeersUp, b.StatusDoc.Warnings, b.StatusDoc.Config.LastReload = 2, nil, nil
		b.StatusDoc.Services = b.StatusDoc.Services[:1]
	case "notready":
		b.StatusDoc.Ready, b.StatusDoc.NotReady = false, api.List[string]{"no BGP session yet"}
	case "badreload":
		b.ReloadDoc = api.ReloadResult{File: "/etc/catsbgp/catsbgp.toml", At: apitest.Now, Problems: api.List[api.Problem]{
			{Severity: "error", File: "/etc/catsbgp/catsbgp.toml", Line: 12, Column: 1, Path: "bgp.asnn", Message: "unknown key", Hint: "did you mean asn?"},
		}}
	case "restartreload":
		b.ReloadDoc = api.ReloadResult{File: "/etc/catsbgp/catsbgp.toml", At: apitest.Now, Changes: api.List[api.Change]{
			{Path: "bgp.asn", Old: "65001", New: "65002", Effect: api.EffectRestart},
		}}
	default:
		ts.Fatalf("no agent is %s", args[0])
	}
}
