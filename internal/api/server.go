package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"
)

// Limits of the server. Requests are small and answers are made at once, so
// whoever exceeds them is broken or hostile.
const (
	maxBody        = 64 << 10 // octets of a request body
	maxHeader      = 16 << 10
	readTimeout    = 10 * time.Second // of a whole request
	writeTimeout   = 30 * time.Second // of a whole answer; event streams: of one write
	idleTimeout    = 60 * time.Second
	backendTimeout = 10 * time.Second // the agent answers within this, or 503
	shutdownGrace  = 3 * time.Second
	defaultStreams = 64
)

// A Config is where and how to listen.
type Config struct {
	Socket     string      // Unix socket; "": none. Missing parent directories are made, a stale socket is removed
	SocketMode fs.FileMode // 0: 0660. Whoever may open the socket may drain

	Listen string // loopback "address:port"; "": none
	// Token returns the bearer token that changes over TCP need. It is called
	// for every such request, so that a token can be replaced while running.
	// Nil: no changes over TCP.
	Token func() (string, error)

	Metrics http.Handler // serves /metrics; nil: none
	Streams int          // event streams at a time; 0: 64

	Log zerolog.Logger   // zero: silent
	Now func() time.Time // of generated_at; nil: time.Now
}

// A Server serves a Backend. It is a task: Run, Ready, String.
type Server struct {
	backend Backend
	cfg     Config
	mux     *http.ServeMux
	now     func() time.Time
	streams atomic.Int64
	ready   chan struct{}
	tcp     atomic.Pointer[netip.AddrPort]
	// stopping ends event streams, which otherwise never end by themselves.
	stopping context.Context
	stop     context.CancelFunc
	// heartbeat of event streams, so that both ends notice a dead path.
	heartbeat time.Duration
	// patience with a reader of a stream that takes nothing.
	patience time.Duration
}

// NewServer returns a server that does not listen yet.
func NewServer(b Backend, cfg Config) *Server {
	if cfg.SocketMode == 0 {
		cfg.SocketMode = 0o660
	}
	if cfg.Streams == 0 {
		cfg.Streams = defaultStreams
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &Server{
		backend: b, cfg: cfg, mux: http.NewServeMux(), now: cfg.Now,
		ready: make(chan struct{}), heartbeat: 15 * time.Second, patience: writeTimeout,
	}
	s.stopping, s.stop = context.WithCancel(context.Background())
	s.routes()
	return s
}

// Handle serves further paths, say of a web page. Call it before Run.
func (s *Server) Handle(pattern string, h http.Handler) { s.mux.Handle(pattern, h) }

// String names the task.
func (s *Server) String() string { return "api" }

// Ready is closed when the server listens.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// TCPAddr returns the TCP address once Ready, invalid if there is none. It
// tells the port when the configuration said 0.
func (s *Server) TCPAddr() netip.AddrPort {
	if a := s.tcp.Load(); a != nil {
		return *a
	}
	return netip.AddrPort{}
}

// Run listens and serves until the context ends, then closes: requests in
// flight get a few seconds, event streams none. The socket is removed.
func (s *Server) Run(ctx context.Context) error {
	defer s.stop()
	var servers []*http.Server
	var listeners []net.Listener
	add := func(l net.Listener, h http.Handler) {
		listeners = append(listeners, l)
		servers = append(servers, &http.Server{
			Handler: h, ReadHeaderTimeout: readTimeout / 2, ReadTimeout: readTimeout,
			WriteTimeout: writeTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
			ErrorLog: log.New(s.cfg.Log.With().Str("level", "warn").Logger(), "", 0),
		})
	}
	closeAll := func() {
		for _, l := range listeners {
			l.Close()
		}
	}
	if s.cfg.Socket != "" {
		l, err := listenUnix(ctx, s.cfg.Socket, s.cfg.SocketMode)
		if err != nil {
			return err
		}
		add(l, s.root())
	}
	if s.cfg.Listen != "" {
		l, err := listenLoopback(ctx, s.cfg.Listen)
		if err != nil {
			closeAll()
			return err
		}
		a := l.Addr().(*net.TCPAddr).AddrPort()
		s.tcp.Store(&a)
		add(l, s.guardTCP(s.root()))
	}
	close(s.ready)

	var g errgroup.Group
	for i, srv := range servers {
		g.Go(func() error {
			if err := srv.Serve(listeners[i]); !errors.Is(err, http.ErrServerClosed) {
				s.stop() // one listener lost: stop the whole task, the agent decides
				return fmt.Errorf("api: serve %s: %w", listeners[i].Addr(), err)
			}
			return nil
		})
	}
	g.Go(func() error {
		select {
		case <-ctx.Done():
		case <-s.stopping.Done():
		}
		s.stop()
		grace, cancel := context.WithTimeout(context.Background(), shutdownGrace)
		defer cancel()
		for _, srv := range servers {
			if srv.Shutdown(grace) != nil {
				srv.Close()
			}
		}
		return nil
	})
	return g.Wait()
}

// listenUnix listens on a path that may hold the socket of an agent that died.
// The socket never has more rights than mode, not even for a moment: on Linux
// it inherits the mode that its descriptor has when it is bound.
func listenUnix(ctx context.Context, path string, mode fs.FileMode) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("api: listen: %w", err)
	}
	if err := removeStale(path); err != nil {
		return nil, fmt.Errorf("api: listen: %w", err)
	}
	lc := net.ListenConfig{Control: bindWithMode(mode)}
	l, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("api: listen: %w", err)
	}
	if err := os.Chmod(path, mode.Perm()); err != nil { // the umask may have taken bits away
		l.Close()
		return nil, fmt.Errorf("api: listen: %w", err)
	}
	return l, nil
}

// bindWithMode sets the mode of a socket's descriptor before it is bound.
func bindWithMode(mode fs.FileMode) func(network, address string, c syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) (err error) {
		if cerr := c.Control(func(fd uintptr) { err = syscall.Fchmod(int(fd), uint32(mode.Perm())) }); cerr != nil {
			return cerr
		}
		return err
	}
}

// removeStale removes a socket that nobody listens on. Anything else in that
// place is somebody's.
func removeStale(path string) error {
	fi, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if fi.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s exists and is not a socket", path)
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		c.Close()
		return fmt.Errorf("%s: another agent listens there", path)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}

func listenLoopback(ctx context.Context, addr string) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("api: listen: %w", err)
	}
	if a := l.Addr().(*net.TCPAddr).AddrPort(); !a.Addr().Unmap().IsLoopback() {
		l.Close()
		return nil, fmt.Errorf("api: listen: %s is not a loopback address", addr)
	}
	return l, nil
}

// guardTCP keeps web pages out. A page that the operator happens to look at
// can make the browser talk to a loopback address: by naming it (stopped by
// the token for changes, and for reading by the browser, since no answer
// allows other origins), or by a name of its own that it rebinds to loopback
// (stopped by the Host check).
func (s *Server) guardTCP(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !loopbackHost(r.Host) {
			s.writeError(w, &Error{CodeForbidden, fmt.Sprintf("host %q is not a loopback address", r.Host)})
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			if err := s.authorize(r); err != nil {
				w.Header().Set("WWW-Authenticate", `Bearer realm="catsbgp"`)
				s.writeError(w, err)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

func loopbackHost(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if strings.EqualFold(host, "localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

// TokenFile returns a Config.Token that reads a file. Space around the token
// is ignored; a token shorter than 16 characters is an error.
func TokenFile(path string) func() (string, error) {
	return func() (string, error) {
		f, err := os.Open(path)
		if err != nil {
			return "", fmt.Errorf("api: token: %w", err)
		}
		defer f.Close()
		b, err := io.ReadAll(io.LimitReader(f, 4096))
		if err != nil {
			return "", fmt.Errorf("api: token: %w", err)
		}
		t := strings.TrimSpace(string(b))
		if len(t) < 16 {
			return "", fmt.Errorf("api: token: %s holds less than 16 characters", path)
		}
		return t, nil
	}
}
