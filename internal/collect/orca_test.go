package collect

import (
	"context"
	"encoding/base64"
	"maps"
	"math"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	orcadata "github.com/cncf/xds/go/xds/data/orca/v3"
	orcaservice "github.com/cncf/xds/go/xds/service/orca/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/orca"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

var exampleReport = &orcadata.OrcaLoadReport{
	CpuUtilization: 0.3, MemUtilization: 0.8, RpsFractional: 120.5, Eps: 1,
	NamedMetrics: map[string]float64{"queue": 7},
	Utilization:  map[string]float64{"disk": 0.2},
	RequestCost:  map[string]float64{"tokens": 99},
}

func TestParseORCAHeader(t *testing.T) {
	wire := must(proto.Marshal(exampleReport))
	full := flat{
		"cpu_utilization": 0.3, "mem_utilization": 0.8, "application_utilization": 0, "rps_fractional": 120.5, "eps": 1,
		"named_metrics.queue": 7, "utilization.disk": 0.2, "request_cost.tokens": 99, "utilisation": 0.3,
	}
	tests := []struct {
		name, header, value string
		want                flat
		err                 string
	}{
		{"json", orcaHeader, `JSON {"cpu_utilization": 0.3, "mem_utilization": 0.8, "rps_fractional": 120.5, "eps": 1, "named_metrics": {"queue": 7}, "utilization": {"disk": 0.2}, "request_cost": {"tokens": 99}, "future": [1]}`, full, ""},
		{"json in camel case", orcaHeader, `JSON {"cpuUtilization": 0.3, "memUtilization": 0.8, "rpsFractional": 120.5, "eps": 1, "namedMetrics": {"queue": 7}, "utilization": {"disk": 0.2}, "requestCost": {"tokens": 99}}`, full, ""},
		{"binary header", orcaBinaryHeader, base64.StdEncoding.EncodeToString(wire), full, ""},
		{"binary header without padding", orcaBinaryHeader, base64.RawStdEncoding.EncodeToString(wire), full, ""},
		{"binary in the text header", orcaHeader, "BIN " + base64.StdEncoding.EncodeToString(wire), full, ""},
		{"text", orcaHeader, "TEXT cpu_utilization=0.3, named_metrics.queue=7", flat{"cpu_utilization": 0.3, "named_metrics.queue": 7, "utilisation": 0.3}, ""},
		{"the application knows better than the processor", orcaHeader, "TEXT cpu_utilization=0.3,application_utilization=0.9", flat{"cpu_utilization": 0.3, "application_utilization": 0.9, "utilisation": 0.9}, ""},
		{"text, beyond a float", orcaHeader, "TEXT cpu_utilization=1e999", flat{"cpu_utilization": math.Inf(1), "utilisation": math.Inf(1)}, ""},

		{"no header", "X", "", nil, "no header endpoint-load-metrics"},
		{"unknown format", orcaHeader, "XML <a/>", nil, `format "XML"; known are JSON, TEXT, BIN`},
		{"bad json", orcaHeader, "JSON {", nil, "load report in JSON"},
		{"json of another type", orcaHeader, `JSON {"cpu_utilization": "high"}`, nil, "load report in JSON"},
		{"twice", orcaHeader, "TEXT a=1,a=2", nil, `"a" twice`},
		{"no value", orcaHeader, "TEXT a", nil, `"a" is not name=value`},
		{"no number", orcaHeader, "TEXT a=b", nil, `a: "b" is not a number`},
		{"nothing", orcaHeader, "TEXT ", nil, "is not name=value"},
		{"bad base64", orcaBinaryHeader, "!", nil, "load report in base64"},
		{"bad protobuf", orcaBinaryHeader, "/////w", nil, "load report in protobuf"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseORCAHeader(http.Header{tt.header: {tt.value}})
			if tt.err != "" {
				wantError(t, tt.value, err, tt.err)
			} else if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
				t.Errorf("%v\n%s", err, diff)
			}
		})
	}
}

func TestHeaderProbe(t *testing.T) {
	wantNoLeaks(t)
	s := testServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("endpoint-load-metrics-format") == "json" { // as vLLM has it
			w.Header().Set("endpoint-load-metrics", `JSON {"application_utilization": 0.4, "named_metrics": {"kv_cache_usage_perc": 0.25, "bad": "NaN"}}`)
		}
		for range 100 { // a body is of no interest, however long
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				return
			}
		}
	})
	got, err := ask(t, Source{Name: "probe", Type: ORCAHeader, URL: s.URL, Timeout: 5 * time.Second})
	if diff := cmp.Diff(map[string]float64{"utilisation": 0.4}, got); diff != "" || err != nil {
		t.Errorf("without values: %v\n%s", err, diff)
	}
	got, err = ask(t, Source{Name: "probe", Type: ORCAHeader, URL: s.URL, Timeout: 5 * time.Second, Values: map[string]Selector{
		"kv": {Metric: "named_metrics.kv_cache_usage_perc", Scale: 100}, "bad": {Metric: "named_metrics.bad"},
	}})
	if diff := cmp.Diff(map[string]float64{"kv": 25}, got); diff != "" || !refused(err) {
		t.Errorf("%v\n%s", err, diff)
	}
	wantError(t, "a lie", err, "bad: not a number")
}

// orcaServer runs a gRPC server on a loopback port.
func orcaServer(t *testing.T, address string, register func(*grpc.Server)) (addr string, stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	register(s)
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(l) }()
	stop = func() { s.Stop(); <-done }
	t.Cleanup(stop)
	return l.Addr().String(), stop
}

// listen runs a source and returns its events.
func listen(t *testing.T, c Source) <-chan SourceEvent {
	t.Helper()
	src, err := newSource(Instance{Key: testKey}, c)
	if err != nil {
		t.Fatal(err)
	}
	events := make(chan SourceEvent, 1000)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); src.run(ctx, func(ev Event) { events <- ev.(SourceEvent) }) }()
	t.Cleanup(func() { cancel(); <-done })
	return events
}

// until returns the first event that is as wanted.
func until(t *testing.T, what string, events <-chan SourceEvent, wanted func(SourceEvent) bool) {
	t.Helper()
	timeout := time.After(20 * time.Second)
	for {
		select {
		case ev := <-events:
			if wanted(ev) {
				return
			}
		case <-timeout:
			t.Fatalf("%s: never happened", what)
		}
	}
}

// gRPC's own implementation reports every 30 s, whatever is asked, but at once
// on a new stream: that must do for values every few hundred milliseconds, and
// a server that restarts must be found again.
func TestORCAStream(t *testing.T) {
	wantNoLeaks(t)
	recorder := orca.NewServerMetricsRecorder()
	recorder.SetCPUUtilization(0.25)
	recorder.SetNamedUtilization("disk", 0.5)
	register := func(s *grpc.Server) {
		if err := orca.Register(s, orca.ServiceOptions{ServerMetricsProvider: recorder}); err != nil {
			t.Error(err)
		}
	}
	addr, stop := orcaServer(t, "127.0.0.1:0", register)
	c := Source{Name: "orca", Type: ORCAStream, URL: addr, Interval: 20 * time.Millisecond, StaleAfter: 200 * time.Millisecond, Timeout: 5 * time.Second,
		Values: map[string]Selector{"utilisation": {Metric: "utilisation"}, "disk": {Metric: "utilization.disk"}}}
	events := listen(t, c)
	until(t, "a report", events, func(ev SourceEvent) bool {
		return ev.Err == nil && maps.Equal(ev.Values, values{"utilisation": 0.25, "disk": 0.5})
	})
	for range 5 {
		until(t, "the next report, without a hitch", events, func(ev SourceEvent) bool {
			if ev.Err != nil {
				t.Errorf("a stream that is opened anew is no failure: %v", ev.Err)
			}
			return true
		})
	}
	recorder.SetApplicationUtilization(0.75)
	until(t, "a new value", events, func(ev SourceEvent) bool { return ev.Err == nil && ev.Values["utilisation"] == 0.75 })
	stop()
	until(t, "an error", events, func(ev SourceEvent) bool { return ev.Err != nil && strings.Contains(ev.Err.Error(), "Unavailable") })
	orcaServer(t, addr, register)
	until(t, "it is back", events, func(ev SourceEvent) bool { return ev.Err == nil && ev.Values["utilisation"] == 0.75 })

	got, err := ask(t, c)
	if err != nil || got["utilisation"] != 0.75 {
		t.Errorf("once: %v, %v", got, err)
	}
}

// A streamer reports what it likes.
type streamer struct {
	orcaservice.UnimplementedOpenRcaServiceServer
	stream func(*orcaservice.OrcaLoadReportRequest, grpc.ServerStreamingServer[orcadata.OrcaLoadReport]) error
}

func (s streamer) StreamCoreMetrics(r *orcaservice.OrcaLoadReportRequest, out grpc.ServerStreamingServer[orcadata.OrcaLoadReport]) error {
	return s.stream(r, out)
}

func TestORCAStreamOfOddServers(t *testing.T) {
	wantNoLeaks(t)
	serve := func(f func(*orcaservice.OrcaLoadReportRequest, grpc.ServerStreamingServer[orcadata.OrcaLoadReport]) error) Source {
		addr, _ := orcaServer(t, "127.0.0.1:0", func(s *grpc.Server) { orcaservice.RegisterOpenRcaServiceServer(s, streamer{stream: f}) })
		return Source{Name: "orca", Type: ORCAStream, URL: addr, Interval: 30 * time.Millisecond, Timeout: 300 * time.Millisecond}
	}

	t.Log("# the interval is asked for, and an eager server is followed")
	c := serve(func(r *orcaservice.OrcaLoadReportRequest, out grpc.ServerStreamingServer[orcadata.OrcaLoadReport]) error {
		if got := r.GetReportInterval().AsDuration(); got != 30*time.Millisecond {
			t.Errorf("asked for a report every %v", got)
		}
		for i := 0; ; i++ {
			if err := out.Send(&orcadata.OrcaLoadReport{CpuUtilization: float64(i)}); err != nil {
				return err
			}
			time.Sleep(time.Millisecond)
		}
	})
	until(t, "many reports", listen(t, c), func(ev SourceEvent) bool { return ev.Values["utilisation"] == 50 })

	t.Log("# one that hangs")
	var streams atomic.Int64
	c = serve(func(_ *orcaservice.OrcaLoadReportRequest, out grpc.ServerStreamingServer[orcadata.OrcaLoadReport]) error {
		streams.Add(1)
		<-out.Context().Done()
		return nil
	})
	until(t, "silence is an error", listen(t, c), func(ev SourceEvent) bool { return ev.Err == errSilent && streams.Load() >= 2 })
	_, err := ask(t, c)
	wantError(t, "once", err, "no report in time")

	t.Log("# one that lies")
	c = serve(func(_ *orcaservice.OrcaLoadReportRequest, out grpc.ServerStreamingServer[orcadata.OrcaLoadReport]) error {
		out.Send(&orcadata.OrcaLoadReport{CpuUtilization: math.NaN()})
		<-out.Context().Done()
		return nil
	})
	until(t, "refused", listen(t, c), func(ev SourceEvent) bool { return refused(ev.Err) && len(ev.Values) == 0 })

	t.Log("# one that sends too much")
	c = serve(func(_ *orcaservice.OrcaLoadReportRequest, out grpc.ServerStreamingServer[orcadata.OrcaLoadReport]) error {
		return out.Send(&orcadata.OrcaLoadReport{NamedMetrics: map[string]float64{strings.Repeat("x", 100_000): 1}})
	})
	c.MaxBody = 50_000
	until(t, "refused", listen(t, c), func(ev SourceEvent) bool {
		return ev.Err != nil && strings.Contains(ev.Err.Error(), "ResourceExhausted")
	})

	t.Log("# one that does not know the service, and one that is not there")
	c = serve(func(_ *orcaservice.OrcaLoadReportRequest, out grpc.ServerStreamingServer[orcadata.OrcaLoadReport]) error {
		return status.Error(codes.Unimplemented, "never heard of it")
	})
	_, err = ask(t, c)
	wantError(t, "once", err, "Unimplemented: never heard of it")
	c.URL = closedPort(t)
	_, err = ask(t, c)
	wantError(t, "once", err, "connection refused")
}

func FuzzORCAText(f *testing.F) {
	f.Add("TEXT cpu_utilization=0.3, named_metrics.foo=1")
	f.Add("TEXT a=1,a=2")
	f.Add(`JSON {"named_metrics": {"a": 1, "b": "Infinity"}}`)
	f.Add("BIN CQAAAAAAAOA/")
	f.Add("BIN")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		report, err := parseORCA(text)
		if err != nil {
			if report != nil || strings.ContainsAny(err.Error(), "\n\r\x00\x1b") {
				t.Fatalf("%v, %q", report, err)
			}
			return
		}
		s := map[string]Selector{}
		for name := range report {
			s[name] = Selector{Metric: name}
		}
		v, err := newEvaluator(s).evaluate(time.Unix(0, 0), report)
		if len(v) != len(report) && err == nil {
			t.Fatalf("%v became %v without a word", report, v)
		}
		for name, x := range v {
			if !plausible(x) {
				t.Fatalf("%s = %v", name, x)
			}
		}
	})
}
