package collect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

const (
	maxHeader    = 64 << 10 // octets of a response's header
	maxRedirects = 3
	drainBody    = 64 << 10 // octets read and thrown away to keep a connection
)

// A fetcher gets one page again and again, over one connection if the server
// likes.
//
// It uses no proxy, since what is measured is here, and follows redirects only
// within the same scheme and host: nobody but the operator says whom we ask,
// and who sees the configured headers.
type fetcher struct {
	client  *http.Client
	request *http.Request
	maxBody int64
}

func newFetcher(c Source, headers map[string]string) (*fetcher, error) {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil:
		return nil, fmt.Errorf("url: %w", errors.Unwrap(err)) // without the URL, which may hold a password
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, fmt.Errorf("url %q: want http://host or https://host", u.Redacted())
	}
	request, err := http.NewRequest(http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", "catsbgp")
	for _, more := range []map[string]string{headers, c.Headers} {
		for name, value := range more {
			request.Header.Set(name, value)
			if http.CanonicalHeaderKey(name) == "Host" {
				request.Host = value
			}
		}
	}
	return &fetcher{
		request: request,
		maxBody: c.MaxBody,
		client: &http.Client{
			Transport: &http.Transport{
				// A dial goes on after the request that wanted it has given up, so
				// it needs an end of its own.
				DialContext:            (&net.Dialer{Timeout: c.Timeout}).DialContext,
				TLSHandshakeTimeout:    c.Timeout,
				MaxIdleConns:           1,
				MaxConnsPerHost:        2,
				IdleConnTimeout:        3*c.Interval + time.Minute,
				MaxResponseHeaderBytes: maxHeader,
				ForceAttemptHTTP2:      true,
			},
			CheckRedirect: func(next *http.Request, via []*http.Request) error {
				if next.URL.Scheme != u.Scheme || next.URL.Host != u.Host {
					return fmt.Errorf("redirected to %s://%s, which was not asked for", next.URL.Scheme, next.URL.Host)
				}
				if len(via) > maxRedirects {
					return errors.New("redirected too often")
				}
				return nil
			},
		},
	}, nil
}

// fetch calls use with a response whose status is 2xx. The body that use reads
// is decompressed, and ends with an error where it exceeds the limit.
func (f *fetcher) fetch(ctx context.Context, use func(http.Header, io.Reader) error) error {
	response, err := f.client.Do(f.request.WithContext(ctx))
	if err != nil {
		// The URL is known, and may hold what is not for logs.
		if wrapped, ok := errors.AsType[*url.Error](err); ok {
			err = wrapped.Err
		}
		return err
	}
	body := &limited{r: response.Body, left: f.maxBody, limit: f.maxBody}
	defer func() {
		io.CopyN(io.Discard, body, drainBody)
		response.Body.Close()
	}()
	if response.StatusCode > 299 {
		return fmt.Errorf("status %s", printable(response.Status))
	}
	return use(response.Header, body)
}

func (f *fetcher) close() { f.client.CloseIdleConnections() }

// A limited reader fails, instead of ending as io.LimitReader does, where there
// is more than the limit: half a page must not pass for the whole.
type limited struct {
	r           io.Reader
	left, limit int64
	err         error // what ended it, other than io.EOF; from then on it is all there is
}

func (l *limited) Read(p []byte) (int, error) {
	if l.err != nil {
		return 0, l.err
	}
	if int64(len(p)) > l.left+1 {
		p = p[:l.left+1]
	}
	n, err := l.r.Read(p)
	if l.left -= int64(n); l.left < 0 {
		err = fmt.Errorf("body is larger than %d octets", l.limit)
		n--
	}
	if err != nil && err != io.EOF {
		l.err = err
	}
	return n, err
}
