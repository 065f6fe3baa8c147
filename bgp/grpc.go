package bgp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/osrg/gobgp/v4/api"
	"github.com/osrg/gobgp/v4/pkg/server"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const grpcSocketMode = 0o660

// A grpcSocket is where GoBGP serves its own gRPC API, read-only. GoBGP listens
// in a directory that only we may enter; publish then moves the socket to its
// place with its mode, so that nobody can connect too early, and a socket left
// over by a crash is replaced.
type grpcSocket struct {
	path string // of the published socket
	dir  string // private
}

func prepareGRPCSocket(path string) (*grpcSocket, error) {
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		c.Close()
		return nil, fmt.Errorf("bgp: gRPC socket %s: another process serves it", path)
	}
	if fi, err := os.Lstat(path); err == nil && fi.Mode()&os.ModeSocket == 0 {
		return nil, fmt.Errorf("bgp: gRPC socket %s: exists and is not a socket", path)
	}
	dir, err := os.MkdirTemp(filepath.Dir(path), ".g*") // mode 0700
	if err != nil {
		return nil, fmt.Errorf("bgp: gRPC socket: %w", err)
	}
	return &grpcSocket{path: path, dir: dir}, nil
}

func (g *grpcSocket) private() string { return filepath.Join(g.dir, "s") }

func (g *grpcSocket) options() []server.ServerOption {
	return []server.ServerOption{
		server.GrpcListenAddress("unix://" + g.private()),
		server.GrpcOption([]grpc.ServerOption{
			grpc.UnaryInterceptor(readOnlyUnary), grpc.StreamInterceptor(readOnlyStream),
		}),
	}
}

// publish waits until GoBGP listens, which it does in a goroutine of its own.
func (g *grpcSocket) publish(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	for {
		err := os.Chmod(g.private(), grpcSocketMode)
		if err == nil {
			break
		}
		if !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("bgp: gRPC socket: %w", err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("bgp: gRPC socket %s: GoBGP does not listen: %w", g.path, ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
	if err := os.Rename(g.private(), g.path); err != nil {
		return fmt.Errorf("bgp: gRPC socket: %w", err)
	}
	return nil
}

func (g *grpcSocket) remove() {
	os.Remove(g.path)
	os.RemoveAll(g.dir)
}

// readOnly refuses what is not known to change nothing: the method must be
// called Get…, List… or Watch….
func readOnly(fullMethod string) error {
	_, method, _ := strings.Cut(strings.TrimPrefix(fullMethod, "/"), "/")
	for _, verb := range []string{"Get", "List", "Watch"} {
		if strings.HasPrefix(method, verb) {
			return nil
		}
	}
	return status.Errorf(codes.PermissionDenied, "%s: this socket is read-only; use catsbgp to change things", method)
}

func readOnlyUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if err := readOnly(info.FullMethod); err != nil {
		return nil, err
	}
	return handler(ctx, req)
}

func readOnlyStream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if err := readOnly(info.FullMethod); err != nil {
		return err
	}
	return handler(srv, redactingStream{stream})
}

// A redactingStream keeps passwords out of answers: whoever may look at
// sessions need not be able to forge them.
type redactingStream struct{ grpc.ServerStream }

func (s redactingStream) SendMsg(m any) error {
	switch m := m.(type) {
	case *api.ListPeerResponse:
		redactPeer(m.GetPeer())
	case *api.WatchEventResponse:
		redactPeer(m.GetPeer().GetPeer())
	case *api.ListPeerGroupResponse:
		if c := m.GetPeerGroup().GetConf(); c != nil {
			c.AuthPassword = redact(c.AuthPassword)
		}
	}
	return s.ServerStream.SendMsg(m)
}

func redactPeer(p *api.Peer) {
	if c := p.GetConf(); c != nil {
		c.AuthPassword = redact(c.AuthPassword)
	}
	if st := p.GetState(); st != nil {
		st.AuthPassword = redact(st.AuthPassword)
	}
}

func redact(secret string) string {
	if secret == "" {
		return ""
	}
	return "(not shown)"
}
