package demo

import (
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const (
	requestTimeout = 15 * time.Second
	maxOutstanding = 4000 // requests of one crowd; more would only hurt this machine
)

// A crowd makes requests at random times (Poisson), whether or not earlier
// ones were answered: users do not know how busy a server is.
type crowd struct {
	rate   atomic.Uint64 // bits of a float64, requests/s
	choose func() (to netip.AddrPort, instance int, done func())
	record func(Request)
	since  func(time.Time) time.Duration
	client *http.Client
	rng    *rand.Rand // owned by Run
}

func newCrowd(rate float64, seed uint64) *crowd {
	c := &crowd{rng: rand.New(rand.NewPCG(seed, 2))}
	c.set(rate)
	// A connection for each request: it is new connections that an ingress
	// steers.
	c.client = &http.Client{
		Timeout: requestTimeout,
		Transport: &http.Transport{
			DisableKeepAlives: true, DisableCompression: true,
			DialContext: (&net.Dialer{KeepAlive: -1}).DialContext,
		},
	}
	return c
}

// set changes the rate, in requests/s; it must be positive.
func (c *crowd) set(rate float64) { c.rate.Store(math.Float64bits(rate)) }

// Run makes requests until ctx ends, and returns when all are over.
func (c *crowd) Run(ctx context.Context) {
	var group sync.WaitGroup
	defer group.Wait()
	defer c.client.CloseIdleConnections()
	var outstanding atomic.Int64
	next := time.Now()
	for {
		wait := c.rng.ExpFloat64() / math.Float64frombits(c.rate.Load())
		next = next.Add(time.Duration(wait * float64(time.Second)))
		if d := time.Until(next); d > 0 && !pause(ctx, d) {
			return
		}
		if ctx.Err() != nil {
			return
		}
		if outstanding.Load() >= maxOutstanding {
			now := c.since(time.Now())
			c.record(Request{At: now, Done: now, Instance: none, Failure: "too many requests unanswered"})
			continue
		}
		outstanding.Add(1)
		group.Go(func() {
			defer outstanding.Add(-1)
			c.request(ctx)
		})
	}
}

func (c *crowd) request(ctx context.Context) {
	at := time.Now()
	to, instance, done := c.choose()
	r := Request{At: c.since(at), Instance: instance}
	if done == nil {
		r.Failure = "no instance was offered"
	} else {
		defer done()
		r.Failure = c.get(ctx, to)
	}
	if ctx.Err() != nil {
		return // we hung up ourselves
	}
	r.Done = c.since(time.Now())
	c.record(r)
}

// get makes one request and says what was wrong, "" if nothing.
func (c *crowd) get(ctx context.Context, to netip.AddrPort) string {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+to.String()+"/", nil)
	if err != nil {
		return err.Error()
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20)); err != nil {
		return err.Error()
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Sprintf("status %d", resp.StatusCode)
	}
	return ""
}
