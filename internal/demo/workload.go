package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// A workload is one instance of the service: an HTTP server with a few worker
// slots and a queue before them. A request keeps a slot for its service time;
// that it sleeps there instead of computing is the only thing that is not real.
type workload struct {
	listener net.Listener
	server   *http.Server
	slots    chan struct{}
	sick     atomic.Bool // /healthz says so

	arrived  atomic.Uint64
	inFlight atomic.Int64
	mu       sync.Mutex // guards all below
	served   uint64
	busy     float64 // s, of all served
	rng      *rand.Rand
}

func newWorkload(at netip.AddrPort, seed uint64) (*workload, error) {
	l, err := net.Listen("tcp", at.String())
	if err != nil {
		return nil, fmt.Errorf("demo: instance: %w", err)
	}
	w := &workload{listener: l, slots: make(chan struct{}, slots), rng: rand.New(rand.NewPCG(seed, 1))}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", w.serve)
	mux.HandleFunc("GET /metrics", w.metrics)
	mux.HandleFunc("GET /healthz", w.health)
	w.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	return w, nil
}

// Run serves until ctx ends or the instance is killed, and returns when every
// handler has.
func (w *workload) Run(ctx context.Context) error {
	defer context.AfterFunc(ctx, w.Kill)()
	err := w.server.Serve(w.listener)
	w.Kill()
	for range slots { // what is left of handlers ends with their requests
		w.slots <- struct{}{}
	}
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("demo: instance %s: %w", w.listener.Addr(), err)
	}
	return nil
}

// Kill ends the instance the hard way: no answer, connections reset.
func (w *workload) Kill() { w.server.Close() }

func (w *workload) serve(rw http.ResponseWriter, r *http.Request) {
	w.arrived.Add(1)
	w.inFlight.Add(1)
	defer w.inFlight.Add(-1)
	select {
	case w.slots <- struct{}{}:
	case <-r.Context().Done():
		return
	}
	defer func() { <-w.slots }()
	began := time.Now()
	if !pause(r.Context(), w.draw()) {
		return
	}
	w.mu.Lock()
	w.served++
	w.busy += time.Since(began).Seconds()
	w.mu.Unlock()
	io.WriteString(rw, "one frame of video\n")
}

// draw returns how long the next request takes.
func (w *workload) draw() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return lognormal(w.rng, serviceTime, serviceCV)
}

// lognormal draws a duration with this mean and coefficient of variation, at
// most ten times the mean.
func lognormal(rng *rand.Rand, mean time.Duration, cv float64) time.Duration {
	sigma2 := math.Log(1 + cv*cv)
	x := math.Exp(rng.NormFloat64()*math.Sqrt(sigma2) - sigma2/2)
	return time.Duration(min(x, 10) * float64(mean))
}

func (w *workload) health(rw http.ResponseWriter, _ *http.Request) {
	if w.sick.Load() {
		http.Error(rw, "not well", http.StatusServiceUnavailable)
		return
	}
	io.WriteString(rw, "ok\n")
}

func (w *workload) metrics(rw http.ResponseWriter, _ *http.Request) {
	w.mu.Lock()
	served, busy := w.served, w.busy
	w.mu.Unlock()
	rw.Header().Set("Content-Type", "text/plain; version=0.0.4")
	fmt.Fprintf(rw, `# HELP demo_requests_total Requests that arrived.
# TYPE demo_requests_total counter
demo_requests_total %d
# HELP demo_requests_in_flight Requests being served or waiting.
# TYPE demo_requests_in_flight gauge
demo_requests_in_flight %d
# HELP demo_workers Requests that can be served at once.
# TYPE demo_workers gauge
demo_workers %d
# HELP demo_service_seconds Time in a worker, without waiting.
# TYPE demo_service_seconds summary
demo_service_seconds_sum %g
demo_service_seconds_count %d
`, w.arrived.Load(), w.inFlight.Load(), slots, busy, served)
}
