package main

import (
	"bytes"
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/catsbgp/catsbgp/internal/api"
	"github.com/catsbgp/catsbgp/internal/demo"
)

// GoBGP may leave this one behind, idle, after a stop in the middle.
var ofGoBGP = goleak.IgnoreTopFunction("github.com/eapache/channels.(*InfiniteChannel).infiniteBuffer")

// The demo is also the test of the whole: all agents, real sessions, real
// requests, in one story.
func TestDemo(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 25 s")
	}
	defer goleak.VerifyNone(t, ofGoBGP)
	var stdout, stderr bytes.Buffer
	dir := t.TempDir()
	code := testApp(&stdout, &stderr, nil).run(t.Context(), []string{"demo", "--seconds", "20", "--no-ui", "-o", "json", "--keep", dir})
	t.Log(stderr.String())
	var doc api.Document[demo.Report]
	d := json.NewDecoder(&stdout)
	if err := d.Decode(&doc); err != nil || d.More() {
		t.Fatalf("stdout does not hold exactly one document: %v", err)
	}
	if doc.Schema != api.Schema || doc.Kind != demo.KindDemo || len(doc.Items) != 1 {
		t.Fatalf("envelope: %s %s, %d items", doc.Schema, doc.Kind, len(doc.Items))
	}
	r := doc.Items[0]
	if code != exitOK || !r.OK || !r.Complete {
		t.Errorf("exit code %d, ok %v, complete %v", code, r.OK, r.Complete)
	}
	for _, v := range r.Invariants {
		if v.Verdict != demo.Kept {
			t.Errorf("%s: %s: %s", v.Name, v.Verdict, v.Measured)
		}
	}
	if len(r.Invariants) < 8 || len(r.Chapters) != 7 {
		t.Errorf("%d invariants, %d chapters", len(r.Invariants), len(r.Chapters))
	}
	if r.Totals.Requests < 1000 || r.Totals.LocalRequests < 100 || r.Totals.Samples < 100 || r.Totals.Updates < 10 || r.Totals.Held < r.Totals.Updates {
		t.Errorf("totals: %+v", r.Totals)
	}
	if strings.Contains(stderr.String(), "\x1b") {
		t.Error("escape sequences into something that is no terminal")
	}
	for _, name := range []string{"gate", "madrid", "paris", "lyon"} {
		var stderr bytes.Buffer
		if code := testApp(&bytes.Buffer{}, &stderr, nil).run(t.Context(), []string{"check", "-c", filepath.Join(dir, name+".toml")}); code != exitOK {
			t.Errorf("the kept configuration of %s is not valid: %s", name, &stderr)
		}
	}
}

func TestDemoInterrupted(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a whole domain")
	}
	defer goleak.VerifyNone(t, ofGoBGP)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	// As soon as there are sessions, somebody presses ^C.
	out := &lines{f: func(all string) {
		if strings.Contains(all, "BGP sessions are up") {
			cancel()
		}
	}}
	var stderr bytes.Buffer
	began := time.Now()
	code := testApp(out, &stderr, nil).run(ctx, []string{"demo"})
	if code != exitFailure || stderr.Len() > 0 {
		t.Errorf("exit code %d, stderr %q", code, &stderr)
	}
	text := out.text.String()
	if !strings.Contains(text, "interrupted") || strings.Contains(text, "\n  FAILED  ") {
		t.Errorf("after %v:\n%s", time.Since(began), text)
	}
}

func TestDemoUsage(t *testing.T) {
	for _, args := range [][]string{{"demo", "--seconds", "5"}, {"demo", "--seconds", "3600"}, {"demo", "now"}} {
		var stdout, stderr bytes.Buffer
		if code := testApp(&stdout, &stderr, nil).run(t.Context(), args); code != exitUsage || stdout.Len() > 0 {
			t.Errorf("%v: exit code %d, stdout %q", args, code, &stdout)
		}
	}
}
