package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/catsbgp/catsbgp/internal/events"
)

// ErrUnreachable is wrapped by every error of a Client that got no answer: no
// socket, no permission, nobody listening, no answer in time.
var ErrUnreachable = errors.New("agent unreachable")

// maxAnswer bounds what a client reads; far more than a full table.
const maxAnswer = 512 << 20

// A Client asks an agent. It may be used from any goroutine.
type Client struct {
	base    string
	where   string
	token   string
	timeout time.Duration
	http    *http.Client
}

// NewClient returns a client of a Unix socket, or of "http://127.0.0.1:9477"
// if where begins with "http://" or "https://". Token may be empty. Timeout is
// for each request, 0 means 10 s; event streams have none.
func NewClient(where, token string, timeout time.Duration) (*Client, error) {
	if timeout == 0 {
		timeout = backendTimeout
	}
	c := &Client{where: where, token: token, timeout: timeout}
	transport := &http.Transport{
		Proxy:                 nil, // an agent is never behind a proxy
		DisableCompression:    true,
		MaxIdleConns:          2,
		ResponseHeaderTimeout: timeout,
	}
	dialer := &net.Dialer{Timeout: timeout}
	if strings.HasPrefix(where, "http://") || strings.HasPrefix(where, "https://") {
		u, err := url.Parse(where)
		if err != nil || u.Host == "" {
			return nil, fmt.Errorf("api: client: %q is not a URL of an agent", where)
		}
		c.base = strings.TrimSuffix(where, "/")
		transport.DialContext = dialer.DialContext
	} else {
		c.base = "http://localhost"
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", where)
		}
	}
	c.http = &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// String returns the socket or URL.
func (c *Client) String() string { return c.where }

// Status asks for the agent on one screen.
func (c *Client) Status(ctx context.Context) (Document[Status], error) {
	return get[Status](ctx, c, PathStatus, nil)
}

// Services asks for the split of every service.
func (c *Client) Services(ctx context.Context) (Document[Service], error) {
	return get[Service](ctx, c, PathServices, nil)
}

// Instances asks for the instances of this site.
func (c *Client) Instances(ctx context.Context) (Document[Instance], error) {
	return get[Instance](ctx, c, PathInstances, nil)
}

// Sites asks for the sites heard.
func (c *Client) Sites(ctx context.Context) (Document[Site], error) {
	return get[Site](ctx, c, PathSites, nil)
}

// Routes asks for the agent's own routes.
func (c *Client) Routes(ctx context.Context) (Document[Route], error) {
	return get[Route](ctx, c, PathRoutes, nil)
}

// Heard asks for the routes heard of peers.
func (c *Client) Heard(ctx context.Context) (Document[HeardRoute], error) {
	return get[HeardRoute](ctx, c, PathHeard, nil)
}

// Peers asks for the BGP sessions.
func (c *Client) Peers(ctx context.Context) (Document[Peer], error) {
	return get[Peer](ctx, c, PathPeers, nil)
}

// Dampening asks for the gates of this site's instances.
func (c *Client) Dampening(ctx context.Context) (Document[Dampening], error) {
	return get[Dampening](ctx, c, PathDampening, nil)
}

// Metrics asks for the metrics of this site's instances, one per item.
func (c *Client) Metrics(ctx context.Context) (Document[Metric], error) {
	return get[Metric](ctx, c, PathMetrics, nil)
}

// Explain asks why the flows of a service go where they go.
func (c *Client) Explain(ctx context.Context, csid string) (Document[Explanation], error) {
	return get[Explanation](ctx, c, PathExplain, url.Values{"cs_id": {csid}})
}

// Events asks for the newest events that pass a filter, oldest first.
func (c *Client) Events(ctx context.Context, last int, f Filter) (Document[Event], error) {
	q := f.Query()
	q.Set("last", fmt.Sprint(last))
	return get[Event](ctx, c, PathEvents, q)
}

// Drain drains, withdraws or offers again.
func (c *Client) Drain(ctx context.Context, r DrainRequest) (Document[DrainResult], error) {
	return call[DrainResult](ctx, c, http.MethodPost, PathDrain, nil, r)
}

// Reload has the configuration read again. A configuration that was not
// accepted is a result that is not OK.
func (c *Client) Reload(ctx context.Context) (Document[ReloadResult], error) {
	return call[ReloadResult](ctx, c, http.MethodPost, PathReload, nil, nil)
}

// Push delivers values of a source of type "push".
func (c *Client) Push(ctx context.Context, r PushRequest) error {
	_, err := call[PushResult](ctx, c, http.MethodPost, PathPush, nil, r)
	return err
}

// Ready asks whether the agent is ready, and otherwise why not.
func (c *Client) Ready(ctx context.Context) (Document[Health], error) {
	return get[Health](ctx, c, "/readyz", url.Values{"verbose": {""}})
}

// Follow calls f with every event after the given one that passes the filter,
// and with how many were missed before it, until the stream ends (nil), the
// context ends or f returns an error. After 0 means from the oldest kept.
func (c *Client) Follow(ctx context.Context, after uint64, filter Filter, f func(e events.Event, missed uint64) error) error {
	req, err := c.request(ctx, http.MethodGet, PathEvents, filter.Query(), nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("Last-Event-ID", fmt.Sprint(after))
	resp, err := c.http.Do(req)
	if err != nil {
		return c.unreachable(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		_, err := decodeAnswer[Event](resp)
		return err
	}
	var missed uint64
	var kind string
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch key {
		case "event":
			kind = value
		case "data":
			if kind == "missed" {
				var m struct{ Missed uint64 }
				if err := json.Unmarshal([]byte(value), &m); err != nil {
					return fmt.Errorf("api: event stream: %w", err)
				}
				missed += m.Missed
				continue
			}
			var e events.Event
			if err := json.Unmarshal([]byte(value), &e); err != nil {
				return fmt.Errorf("api: event stream: %w", err)
			}
			if err := f(e, missed); err != nil {
				return err
			}
			missed = 0
		case "":
			kind = ""
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := lines.Err(); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return c.unreachable(ctx, err)
	}
	return nil
}

func get[T any](ctx context.Context, c *Client, path string, q url.Values) (Document[T], error) {
	return call[T](ctx, c, http.MethodGet, path, q, nil)
}

func call[T any](ctx context.Context, c *Client, method, path string, q url.Values, body any) (Document[T], error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	req, err := c.request(ctx, method, path, q, body)
	if err != nil {
		return Document[T]{}, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return Document[T]{}, c.unreachable(ctx, err)
	}
	defer resp.Body.Close()
	return decodeAnswer[T](resp)
}

func (c *Client) request(ctx context.Context, method, path string, q url.Values, body any) (*http.Request, error) {
	var r io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("api: client: %w", err)
		}
		r = bytes.NewReader(b)
	}
	u := c.base + path
	if len(q) > 0 {
		u += "?" + q.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, u, r)
	if err != nil {
		return nil, fmt.Errorf("api: client: %w", err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	return req, nil
}

// unreachable says what an operator can act on, without net/http's wrapping.
func (c *Client) unreachable(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	var u *url.Error
	if errors.As(err, &u) {
		if u.Timeout() {
			return fmt.Errorf("%w: %s: no answer within %v", ErrUnreachable, c.where, c.timeout)
		}
		err = u.Err
	}
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	return fmt.Errorf("%w: %s: %w", ErrUnreachable, c.where, err)
}

// decodeAnswer reads the one document of an answer, whichever kind it is.
func decodeAnswer[T any](resp *http.Response) (Document[T], error) {
	var none Document[T]
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return none, fmt.Errorf("%w: answer cut short: %w", ErrUnreachable, err)
	}
	if len(b) > maxAnswer {
		return none, fmt.Errorf("api: client: answer exceeds %d octets", maxAnswer)
	}
	var head struct {
		Schema string `json:"schema"`
		Kind   Kind   `json:"kind"`
		Error  *Error `json:"error"`
	}
	if err := json.Unmarshal(b, &head); err != nil {
		return none, fmt.Errorf("api: client: the other side is no catsbgp agent (HTTP status %s)", resp.Status)
	}
	if head.Schema != Schema {
		return none, fmt.Errorf("api: client: the agent speaks schema %q, not %q", head.Schema, Schema)
	}
	if head.Kind == KindError && head.Error != nil {
		return none, head.Error
	}
	var doc Document[T]
	if err := json.Unmarshal(b, &doc); err != nil {
		return none, fmt.Errorf("api: client: %s: %w", head.Kind, err)
	}
	return doc, nil
}
