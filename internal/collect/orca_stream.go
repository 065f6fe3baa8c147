package collect

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	orcaservice "github.com/cncf/xds/go/xds/service/orca/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

const maxReconnect = 5 * time.Second // between two attempts, at most

// An orcaStream listens to a server's out-of-band load reports
// (xds.service.orca.v3.OpenRcaService/StreamCoreMetrics), in plaintext.
//
// A server may report less often than asked: gRPC's own implementation never
// reports more than every 30 s. But every server reports at once when a stream
// opens, so a stream that is silent for half of StaleAfter is opened anew. That
// also finds out servers that went away without a word.
type orcaStream struct {
	key       Key
	source    Source // with defaults filled in
	evaluator *evaluator
}

func newORCAStream(k Key, c Source) (*orcaStream, error) {
	if _, _, err := net.SplitHostPort(c.URL); err != nil {
		return nil, fmt.Errorf("collect: source %q of %s: url %q: want host:port", c.Name, k, c.URL)
	}
	return &orcaStream{k, c, newEvaluator(c.values())}, nil
}

func (o *orcaStream) run(ctx context.Context, emit func(Event)) {
	wait := time.Duration(0)
	for {
		heard, err := o.connection(ctx, emit)
		if ctx.Err() != nil {
			return
		}
		emit(SourceEvent{Key: o.key, Source: o.source.Name, At: time.Now(), Err: err})
		if heard {
			wait = 0
		}
		wait = min(max(2*wait, o.source.Interval), maxReconnect)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait/2 + rand.N(wait/2+1)):
		}
	}
}

func (o *orcaStream) once(ctx context.Context) SourceEvent {
	ctx, cancel := context.WithTimeout(ctx, o.source.Timeout+time.Second)
	defer cancel()
	ev := SourceEvent{Key: o.key, Source: o.source.Name}
	left := 1
	if o.source.rated() {
		left = 2
	}
	_, err := o.connection(ctx, func(got Event) {
		ev = got.(SourceEvent)
		if left--; left == 0 {
			cancel()
		}
	})
	if left > 0 && ev.Err == nil {
		ev.At, ev.Err = time.Now(), err
	}
	return ev
}

// connection keeps one connection for as long as it is any good, and reports
// whether anything came over it. The error is never nil.
func (o *orcaStream) connection(ctx context.Context, emit func(Event)) (heard bool, err error) {
	conn, err := grpc.NewClient("passthrough:///"+o.source.URL,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithNoProxy(),
		grpc.WithDisableServiceConfig(),
		grpc.WithUserAgent("catsbgp"),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(int(o.source.MaxBody))),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: time.Second, Multiplier: 1, MaxDelay: time.Second},
			MinConnectTimeout: o.source.Timeout,
		}),
	)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	client := orcaservice.NewOpenRcaServiceClient(conn)
	for {
		n, err := o.stream(ctx, client, emit)
		heard = heard || n > 0
		if !errors.Is(err, errSilent) || n == 0 || ctx.Err() != nil {
			return heard, err
		}
	}
}

// errSilent ends a stream that nothing more comes from.
var errSilent = errors.New("no report in time")

// stream listens to one stream and returns how many reports came, and why it
// ended.
func (o *orcaStream) stream(ctx context.Context, client orcaservice.OpenRcaServiceClient, emit func(Event)) (n int, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watchdog := time.AfterFunc(o.source.Timeout, func() { cancel(errSilent) })
	defer watchdog.Stop()
	defer func() {
		if errors.Is(context.Cause(ctx), errSilent) {
			err = errSilent
		} else {
			err = plainStatus(err)
		}
	}()

	stream, err := client.StreamCoreMetrics(ctx, &orcaservice.OrcaLoadReportRequest{
		ReportInterval: durationpb.New(o.source.Interval),
	})
	if err != nil {
		return 0, err
	}
	for {
		report, err := stream.Recv()
		if err != nil {
			return n, err
		}
		watchdog.Reset(max(o.source.StaleAfter/2, 2*o.source.Interval))
		n++
		now := time.Now()
		values, err := o.evaluator.evaluate(now, flattenORCA(report))
		if ctx.Err() != nil {
			return n, ctx.Err()
		}
		emit(SourceEvent{Key: o.key, Source: o.source.Name, At: now, Values: values, Err: err})
	}
}

// plainStatus writes a gRPC error for an operator.
func plainStatus(err error) error {
	if s, ok := status.FromError(err); ok && err != nil {
		return fmt.Errorf("%s: %s", s.Code(), printable(s.Message()))
	}
	return err
}
