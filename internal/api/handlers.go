package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/catsbgp/catsbgp/internal/events"
)

// Paths of the API, below the server's root.
const (
	PathStatus    = "/api/v1/status"
	PathServices  = "/api/v1/services"
	PathInstances = "/api/v1/instances"
	PathSites     = "/api/v1/sites"
	PathRoutes    = "/api/v1/routes"
	PathHeard     = "/api/v1/heard"
	PathPeers     = "/api/v1/peers"
	PathDampening = "/api/v1/dampening"
	PathMetrics   = "/api/v1/metrics"
	PathExplain   = "/api/v1/explain" // ?cs_id=
	PathEvents    = "/api/v1/events"  // ?last= ?since= ?name= ?service= …; or a stream
	PathDrain     = "/api/v1/drain"   // POST DrainRequest
	PathReload    = "/api/v1/reload"  // POST
	PathPush      = "/api/v1/push"    // POST PushRequest
)

func (s *Server) routes() {
	b := s.backend
	get := func(path string, h http.HandlerFunc) { s.mux.Handle(path, s.only(h, http.MethodGet, http.MethodHead)) }
	post := func(path string, h http.HandlerFunc) { s.mux.Handle(path, s.only(h, http.MethodPost)) }

	get(PathStatus, one(s, KindStatus, b.Status))
	get(PathServices, list(s, KindService, b.Services))
	get(PathInstances, list(s, KindInstance, b.Instances))
	get(PathSites, list(s, KindSite, b.Sites))
	get(PathRoutes, list(s, KindRoute, b.Routes))
	get(PathHeard, list(s, KindHeardRoute, b.Heard))
	get(PathPeers, list(s, KindPeer, b.Peers))
	get(PathDampening, list(s, KindDampening, b.Dampening))
	get(PathMetrics, list(s, KindMetric, func(ctx context.Context) ([]Metric, error) {
		in, err := b.Instances(ctx)
		return MetricsOf(in), err
	}))
	get(PathExplain, s.explain)
	get(PathEvents, s.events)
	post(PathDrain, s.drain)
	post(PathReload, s.reload)
	post(PathPush, s.push)

	get("/livez", s.health(func(context.Context) (bool, []string) {
		if b.Live() {
			return true, nil
		}
		return false, []string{"the agent's loop stands still"}
	}))
	get("/readyz", s.health(b.Ready))
	get("/healthz", s.health(b.Ready))
	if s.cfg.Metrics != nil {
		get("/metrics", s.cfg.Metrics.ServeHTTP)
	}
	s.mux.HandleFunc("/api/", s.notFound) // even if Handle takes "/"
}

// root answers what nobody serves with a document.
func (s *Server) root() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := s.mux.Handler(r); pattern == "" {
			s.notFound(w, r)
			return
		}
		s.mux.ServeHTTP(w, r)
	})
}

func (s *Server) notFound(w http.ResponseWriter, r *http.Request) {
	s.writeError(w, NotFound("no page %s", r.URL.Path))
}

// only answers other methods with a document, which http.ServeMux would not.
func (s *Server) only(h http.HandlerFunc, methods ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, m := range methods {
			if r.Method == m {
				h(w, r)
				return
			}
		}
		w.Header().Set("Allow", strings.Join(methods, ", "))
		s.writeError(w, &Error{CodeMethodNotAllowed, fmt.Sprintf("method %s is not for %s", r.Method, r.URL.Path)})
	})
}

func one[T any](s *Server, kind Kind, f func(context.Context) (T, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), backendTimeout)
		defer cancel()
		item, err := f(ctx)
		if err != nil {
			s.writeError(w, err)
			return
		}
		s.write(w, http.StatusOK, NewDocument(kind, s.now(), item))
	}
}

func list[T any](s *Server, kind Kind, f func(context.Context) ([]T, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), backendTimeout)
		defer cancel()
		items, err := f(ctx)
		if err != nil {
			s.writeError(w, err)
			return
		}
		s.write(w, http.StatusOK, NewDocument(kind, s.now(), items...))
	}
}

// MetricsOf flattens the metrics of instances, in their order.
func MetricsOf(instances []Instance) []Metric {
	var out []Metric
	for _, i := range instances {
		for _, m := range i.Metrics {
			m.Service, m.CSCIID = i.Service, i.CSCIID
			out = append(out, m)
		}
	}
	return out
}

func (s *Server) explain(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("cs_id")
	if id == "" {
		s.writeError(w, Invalid("explain what? say ?cs_id=ADDRESS"))
		return
	}
	one(s, KindExplanation, func(ctx context.Context) (Explanation, error) { return s.backend.Explain(ctx, id) })(w, r)
}

func (s *Server) drain(w http.ResponseWriter, r *http.Request) {
	var req DrainRequest
	if err := readBody(w, r, &req); err != nil {
		s.writeError(w, err)
		return
	}
	if strings.TrimSpace(req.Target) == "" {
		s.writeError(w, Invalid("drain what? target is empty"))
		return
	}
	if req.Undo && req.Withdraw {
		s.writeError(w, Invalid("undo and withdraw exclude each other"))
		return
	}
	one(s, KindDrainResult, func(ctx context.Context) (DrainResult, error) { return s.backend.Drain(ctx, req) })(w, r)
}

func (s *Server) reload(w http.ResponseWriter, r *http.Request) {
	if err := readBody(w, r, nil); err != nil {
		s.writeError(w, err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), backendTimeout)
	defer cancel()
	res, err := s.backend.Reload(ctx)
	if err != nil {
		s.writeError(w, err)
		return
	}
	status := http.StatusOK
	if !res.OK { // for curl -f; the document still says all
		status = http.StatusUnprocessableEntity
	}
	s.write(w, status, NewDocument(KindReloadResult, s.now(), res))
}

func (s *Server) push(w http.ResponseWriter, r *http.Request) {
	var req PushRequest
	if err := readBody(w, r, &req); err != nil {
		s.writeError(w, err)
		return
	}
	if req.Service == "" || req.Instance == "" {
		s.writeError(w, Invalid("push needs service and instance"))
		return
	}
	if len(req.Values) == 0 {
		s.writeError(w, Invalid("push needs values"))
		return
	}
	if !(req.TTLSeconds >= 0 && req.TTLSeconds <= maxTTL) {
		s.writeError(w, Invalid("ttl_seconds %v is not within 0..%v", req.TTLSeconds, maxTTL))
		return
	}
	one(s, KindPushResult, func(ctx context.Context) (PushResult, error) {
		err := s.backend.Push(ctx, req)
		return PushResult{Accepted: err == nil}, err
	})(w, r)
}

func (s *Server) health(f func(context.Context) (bool, []string)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), backendTimeout)
		defer cancel()
		ok, reasons := f(ctx)
		status := http.StatusOK
		if !ok {
			status = http.StatusServiceUnavailable
		}
		if _, verbose := r.URL.Query()["verbose"]; verbose {
			s.write(w, status, NewDocument(KindHealth, s.now(), Health{ok, reasons}))
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(status)
		if ok {
			io.WriteString(w, "ok\n")
		} else {
			io.WriteString(w, "not ok; ask with ?verbose\n")
		}
	}
}

// events answers with the last events (?last=, ?since=), or with a stream if
// the other side asks for one, as an EventSource does.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	filter, err := parseFilter(r.URL.Query())
	if err != nil {
		s.writeError(w, err)
		return
	}
	if wantsStream(r) {
		s.stream(w, r, filter)
		return
	}
	ring := s.backend.Events()
	q := r.URL.Query()
	last, err := queryUint(q.Get("last"), maxEvents)
	if err != nil {
		s.writeError(w, Invalid("last: %v", err))
		return
	}
	since, err := queryUint(q.Get("since"), 0)
	if err != nil {
		s.writeError(w, Invalid("since: %v", err))
		return
	}
	all, _ := ring.Since(since, maxEvents)
	out := make([]events.Event, 0, len(all))
	for _, e := range all {
		if filter.Match(e) {
			out = append(out, e)
		}
	}
	out = out[len(out)-int(min(uint64(len(out)), last)):]
	s.write(w, http.StatusOK, NewDocument(KindEvent, s.now(), out...))
}

const (
	maxEvents = 1 << 20
	maxTTL    = 24 * 3600.0 // s; a value older than a day is no measurement
)

func queryUint(v string, absent uint64) (uint64, error) {
	if v == "" {
		return absent, nil
	}
	n, err := strconv.ParseUint(v, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number", v)
	}
	return n, nil
}

// readBody reads exactly one JSON value; nothing but space if v is nil. It
// insists on the media type, which a web page cannot send to another origin
// without being asked about it first.
func readBody(w http.ResponseWriter, r *http.Request, v any) error {
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return &Error{CodeTooLarge, fmt.Sprintf("request body exceeds %d octets", maxBody)}
		}
		return Invalid("request body: %v", err)
	}
	if v == nil {
		if len(bytes.TrimSpace(b)) != 0 {
			return Invalid("this request takes no body")
		}
		return nil
	}
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return Invalid("Content-Type must be application/json")
	}
	if err := unmarshalStrict(b, v); err != nil {
		return Invalid("request body: %v", err)
	}
	return nil
}

// authorize compares digests, so that the time taken tells nothing about the
// token, not even its length.
func (s *Server) authorize(r *http.Request) error {
	if s.cfg.Token == nil {
		return &Error{CodeForbidden, "no changes over TCP without api.token_file; use the Unix socket"}
	}
	want, err := s.cfg.Token()
	if err != nil || want == "" {
		s.cfg.Log.Error().Err(err).Msg("no usable API token")
		return &Error{CodeUnauthorized, "the agent has no usable token"}
	}
	scheme, got, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	a, b := sha256.Sum256([]byte(want)), sha256.Sum256([]byte(strings.TrimSpace(got)))
	if !strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare(a[:], b[:]) != 1 {
		return &Error{CodeUnauthorized, "bearer token missing or wrong"}
	}
	return nil
}

// write sends one document. It is encoded before the first octet is sent, so
// a document is whole or an error.
func (s *Server) write(w http.ResponseWriter, status int, doc any) {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(doc); err != nil {
		s.cfg.Log.Error().Err(err).Msg("document cannot be encoded")
		buf.Reset()
		status = http.StatusInternalServerError
		if err := e.Encode(NewErrorDocument(fmt.Errorf("document cannot be encoded: %w", err))); err != nil {
			panic("BUG: api: an error document cannot be encoded: " + err.Error())
		}
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(buf.Len()))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	w.Write(buf.Bytes()) // the other side may be gone; nobody is left to tell
}

func (s *Server) writeError(w http.ResponseWriter, err error) {
	if errors.Is(err, context.DeadlineExceeded) {
		err = Unavailable("the agent did not answer within %v", backendTimeout)
	}
	doc := NewErrorDocument(err)
	if doc.Error.Code == CodeInternal {
		s.cfg.Log.Error().Err(err).Msg("request went wrong")
	}
	s.write(w, doc.Error.Code.status(), doc)
}
