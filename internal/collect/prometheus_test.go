package collect

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// ask makes a source and asks it once.
func ask(t *testing.T, c Source) (map[string]float64, error) {
	t.Helper()
	s, err := newSource(Instance{Key: testKey, Name: "video"}, c)
	if err != nil {
		t.Fatal(err)
	}
	ev := s.once(t.Context())
	if ev.Key != testKey || ev.Source != c.Name || ev.At.IsZero() {
		t.Errorf("incomplete event %+v", ev)
	}
	return ev.Values, ev.Err
}

func wantError(t *testing.T, what string, err error, text string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("%s: error %v, want one with %q", what, err, text)
	}
}

func testServer(t *testing.T, h http.HandlerFunc) *httptest.Server {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func TestScrape(t *testing.T) {
	wantNoLeaks(t)
	for name, contentType := range map[string]string{
		"right": "text/plain; version=0.0.4; charset=utf-8", "none": "", "wrong": "text/html", "nonsense": ";;;",
	} {
		t.Run("content type "+name, func(t *testing.T) {
			s := testServer(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header()["Content-Type"] = []string{contentType}
				if r.Header.Get("X-Scope") != "a" || r.Host != "app.example" {
					w.WriteHeader(http.StatusForbidden)
				}
				io.WriteString(w, examplePage)
			})
			got, err := ask(t, Source{Name: "prom", Type: Prometheus, URL: s.URL + "/metrics",
				Headers: map[string]string{"x-scope": "a", "host": "app.example"},
				Values: map[string]Selector{
					"utilisation": {Metric: "busy", DivideBy: "workers"},
					"in_flight":   {Metric: "busy"},
					"wait":        {Metric: "wait_sum", DivideBy: "wait_count"},
				}})
			if diff := cmp.Diff(map[string]float64{"utilisation": 0.5625, "in_flight": 9, "wait": 0.625}, got); diff != "" || err != nil {
				t.Errorf("%v\n%s", err, diff)
			}
		})
	}
}

func TestScrapeRatesTwice(t *testing.T) {
	var n atomic.Int64
	s := testServer(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "c %d\n", n.Add(1_000_000)) })
	got, err := ask(t, Source{Type: Prometheus, URL: s.URL, Interval: time.Millisecond, Values: map[string]Selector{"flow_rate": {Metric: "c", Rate: true}}})
	if err != nil || got["flow_rate"] <= 0 || n.Load() != 2_000_000 {
		t.Errorf("%v, %v after %d", got, err, n.Load())
	}
}

func TestHostileExporters(t *testing.T) {
	wantNoLeaks(t)
	zeros := make([]byte, 1<<20)
	line := bytes.Repeat([]byte("v 1\n"), 1<<18) // 1 MiB
	var sent atomic.Int64
	other := testServer(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "v 666\n") })
	s := testServer(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/hang":
			<-r.Context().Done()
		case "/trickle":
			for r.Context().Err() == nil {
				io.WriteString(w, "# v\n")
				w.(http.Flusher).Flush()
				time.Sleep(time.Millisecond)
			}
		case "/100MB":
			for range 100 {
				n, err := w.Write(line)
				if sent.Add(int64(n)); err != nil {
					return
				}
			}
		case "/oneline":
			for range 100 {
				if _, err := w.Write(zeros); err != nil {
					return
				}
			}
		case "/bomb":
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			for range 100 {
				z.Write(zeros)
			}
			z.Close()
		case "/goodgzip":
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			io.WriteString(z, "v 1\n")
			z.Close()
		case "/away":
			http.Redirect(w, r, other.URL, http.StatusFound)
		case "/near":
			http.Redirect(w, r, "/good", http.StatusFound)
		case "/round":
			http.Redirect(w, r, "/round", http.StatusFound)
		case "/good":
			io.WriteString(w, "v 1\n")
		case "/half":
			w.Header().Set("Content-Length", "1000")
			io.WriteString(w, "v 1\n")
		case "/cut":
			io.WriteString(w, "v 1\nv 2")
		case "/garbage":
			io.WriteString(w, "# HELP v is\nw 1\nv {{{{\n")
		case "/html":
			io.WriteString(w, "<html><body>hello</body></html>\n")
		case "/500":
			w.WriteHeader(500)
			io.WriteString(w, "v 1\n")
		case "/header":
			w.Header().Set("X", strings.Repeat("x", 200_000))
		case "/empty":
		}
	})
	get := func(path string) (map[string]float64, error) {
		return ask(t, Source{Type: Prometheus, URL: s.URL + path, Timeout: 300 * time.Millisecond, MaxBody: 1 << 20, Values: map[string]Selector{"v": {Metric: "v"}}})
	}
	for path, text := range map[string]string{
		"/hang":    "no answer within 300ms",
		"/trickle": "no answer within 300ms",
		"/away":    "redirected to http://127.0.0.1",
		"/round":   "redirected too often",
		"/half":    "unexpected EOF",
		"/cut":     "unexpected end of input",
		"/garbage": "text format parsing error in line 3",
		"/html":    "nothing matches v",
		"/500":     "status 500 Internal Server Error",
		"/empty":   "v: nothing matches v",
		"/header":  "header",
	} {
		v, err := get(path)
		wantError(t, path, err, text)
		if len(v) != 0 {
			t.Errorf("%s: values %v", path, v)
		}
	}
	for _, path := range []string{"/good", "/near", "/goodgzip"} {
		if v, err := get(path); err != nil || v["v"] != 1 {
			t.Errorf("%s: %v, %v", path, v, err)
		}
	}

	// What is too large is refused at the limit, whatever it is, without keeping it.
	for _, path := range []string{"/100MB", "/bomb", "/oneline"} {
		c := Source{Type: Prometheus, URL: s.URL + path, Timeout: 20 * time.Second, MaxBody: 1 << 20, Values: map[string]Selector{"w": {Metric: "w"}}}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := ask(t, c)
		runtime.ReadMemStats(&after)
		wantError(t, path, err, "body is larger than 1048576 octets")
		if path != "/bomb" && after.TotalAlloc-before.TotalAlloc > 40<<20 {
			t.Errorf("%s: %d octets allocated", path, after.TotalAlloc-before.TotalAlloc)
		}
	}
	if n := sent.Load(); n > 50<<20 {
		t.Errorf("%d octets of 100 MB were taken", n)
	}
}

func TestScrapeReusesItsConnection(t *testing.T) {
	conns := map[string]bool{}
	s := testServer(t, func(w http.ResponseWriter, r *http.Request) {
		conns[r.RemoteAddr] = true
		io.WriteString(w, examplePage)
	})
	src, err := newSource(Instance{Key: testKey}, Source{Type: Prometheus, URL: s.URL, Values: map[string]Selector{"v": {Metric: "plain"}}})
	if err != nil {
		t.Fatal(err)
	}
	p := src.(*poller)
	defer p.release()
	for range 10 {
		if ev := p.poll(t.Context()); ev.Err != nil {
			t.Fatal(ev.Err)
		}
	}
	if len(conns) != 1 {
		t.Errorf("%d connections for 10 readings", len(conns))
	}
}

func TestNewSourceRefuses(t *testing.T) {
	v := map[string]Selector{"v": {}}
	for _, tt := range []struct {
		c    Source
		text string
	}{
		{Source{Type: "snmp"}, `unknown type "snmp"`},
		{Source{Type: Prometheus, URL: "http://192.0.2.1/"}, "no values are selected"},
		{Source{Type: Prometheus, URL: "192.0.2.1:9100", Values: v}, "url"},
		{Source{Type: Prometheus, URL: "ftp://192.0.2.1/", Values: v}, "want http://host or https://host"},
		{Source{Type: ORCAHeader, URL: "http:///x"}, "want http://host or https://host"},
		{Source{Type: ORCAStream, URL: "192.0.2.1"}, "want host:port"},
		{Source{Type: Local, CGroup: "../../etc"}, "want a path below /sys/fs/cgroup"},
		{Source{Type: Exec}, "no command"},
	} {
		tt.c.Name = "s"
		_, err := newSource(Instance{Key: testKey}, tt.c)
		wantError(t, fmt.Sprint(tt.c), err, tt.text)
		wantError(t, fmt.Sprint(tt.c), err, `collect: source "s" of 203.0.113.10 192.0.2.11: `)
	}
}

func TestLineFilter(t *testing.T) {
	const page = "# HELP a text\n# TYPE a histogram\na_bucket{le=\"1\"} 1\r\n  a_sum 1\n#TYPE a_x gauge\na_x 1\nab 2\n" +
		"# EOF\n\n{\"a.b\"} 1\nother_total{x=\"y\"} 1\nb 1"
	for wanted, want := range map[string]string{
		"a":     "# TYPE a histogram\na_bucket{le=\"1\"} 1\r\n  a_sum 1\n{\"a.b\"} 1\n",
		"a_sum": "# TYPE a histogram\na_bucket{le=\"1\"} 1\r\n  a_sum 1\n{\"a.b\"} 1\n",
		"a_x":   "#TYPE a_x gauge\na_x 1\n{\"a.b\"} 1\n",
		"b":     "{\"a.b\"} 1\nb 1",
	} {
		for _, size := range []int{1, 7, 4096} {
			f := newLineFilter(iotest{strings.NewReader(page), size}, map[string]bool{wanted: true})
			got, err := io.ReadAll(f)
			if lines := bytes.Count(got, []byte("\n")); lines != strings.Count(page, "\n") {
				t.Errorf("%s: %d lines", wanted, lines)
			}
			got = bytes.TrimLeft(blankLines.ReplaceAll(got, []byte("\n")), "\n")
			if string(got) != want || err != nil {
				t.Errorf("%s: %q, %v; want %q", wanted, got, err, want)
			}
		}
	}
	t.Log("# a line longer than the buffer is one line")
	long := "b{x=\"" + strings.Repeat("y\\n", 20_000) + "\"} 1\nc{x=\"" + strings.Repeat("b 1 ", 20_000) + "\"} 1\n"
	got, err := io.ReadAll(newLineFilter(strings.NewReader(long), map[string]bool{"b": true}))
	if err != nil || string(got) != long[:strings.IndexByte(long, '\n')+1]+"\n" {
		t.Errorf("%d octets, %v", len(got), err)
	}
	t.Log("# an error is passed on")
	_, err = io.ReadAll(newLineFilter(io.MultiReader(strings.NewReader("b 1\nb"), failing{}), map[string]bool{"b": true}))
	wantError(t, "failing reader", err, "broken")
}

var blankLines = regexp.MustCompile("\n+")

type iotest struct {
	r io.Reader
	n int
}

func (i iotest) Read(p []byte) (int, error) { return i.r.Read(p[:min(len(p), i.n)]) }

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("broken") }

// A page as of a busy exporter: 20,000 series, of which two are wanted.
func BenchmarkScrape(b *testing.B) {
	var text strings.Builder
	for f := range 400 {
		fmt.Fprintf(&text, "# HELP m%d A metric of some kind.\n# TYPE m%d counter\n", f, f)
		for s := range 50 {
			fmt.Fprintf(&text, "m%d{namespace=\"default\",pod=\"pod-%d\",container=\"main\"} %d.5\n", f, s, s)
		}
	}
	wanted := map[string]bool{"m7": true, "m300": true}
	for name, open := range map[string]func() io.Reader{
		"filtered": func() io.Reader { return newLineFilter(strings.NewReader(text.String()), wanted) },
		"whole":    func() io.Reader { return strings.NewReader(text.String()) },
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(text.Len()))
			for b.Loop() {
				if _, err := parseFamilies(open()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
