package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/catsbgp/catsbgp/internal/events"
)

// A Filter selects events. The zero value passes all.
type Filter struct {
	Name     string // a name or its first part: "peer" passes peer.up and peer.down
	Level    events.Level
	Service  string
	Instance string
	Site     string
	Peer     string
}

var levels = map[events.Level]int{events.Debug: 0, events.Info: 1, events.Warn: 2, events.Error: 3}

// Match reports whether an event passes. Level passes that level and above.
func (f Filter) Match(e events.Event) bool {
	is := func(want, have string) bool { return want == "" || want == have }
	return (f.Name == "" || string(e.Name) == f.Name || strings.HasPrefix(string(e.Name), strings.TrimSuffix(f.Name, ".")+".")) &&
		(f.Level == "" || levels[e.Level] >= levels[f.Level]) &&
		is(f.Service, e.Service) && is(f.Instance, e.Instance) && is(f.Site, e.Site) && is(f.Peer, e.Peer)
}

// Query returns the filter as URL parameters.
func (f Filter) Query() url.Values {
	q := url.Values{}
	for _, p := range [...]struct{ key, value string }{
		{"name", f.Name}, {"level", string(f.Level)}, {"service", f.Service},
		{"instance", f.Instance}, {"site", f.Site}, {"peer", f.Peer},
	} {
		if p.value != "" {
			q.Set(p.key, p.value)
		}
	}
	return q
}

func parseFilter(q url.Values) (Filter, error) {
	f := Filter{
		Name: q.Get("name"), Level: events.Level(q.Get("level")), Service: q.Get("service"),
		Instance: q.Get("instance"), Site: q.Get("site"), Peer: q.Get("peer"),
	}
	if _, ok := levels[f.Level]; f.Level != "" && !ok {
		return f, Invalid("level %q is none of debug, info, warn, error", f.Level)
	}
	return f, nil
}

func wantsStream(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "text/event-stream") || r.URL.Query().Has("stream")
}

// stream sends events as server-sent events (WHATWG HTML, section 9.2) from
// Last-Event-ID on, or from now on. Every message is an Event under the
// default type; "missed" says that the reader was too slow for the ring and
// how many are lost. A reader that takes nothing for a while is dropped.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, filter Filter) {
	if s.streams.Add(1) > int64(s.cfg.Streams) {
		s.streams.Add(-1)
		s.writeError(w, &Error{CodeTooMany, fmt.Sprintf("already %d event streams", s.cfg.Streams)})
		return
	}
	defer s.streams.Add(-1)

	ring := s.backend.Events()
	after, err := lastEventID(r, ring.LastID())
	if err != nil {
		s.writeError(w, err)
		return
	}
	sub := ring.Subscribe(after)
	defer sub.Close()

	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.stopping, cancel)()

	rc := http.NewResponseController(w)
	h := w.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	send := func(text string) bool {
		if rc.SetWriteDeadline(time.Now().Add(s.patience)) != nil {
			return false
		}
		if _, err := w.Write([]byte(text)); err != nil {
			return false
		}
		return rc.Flush() == nil
	}
	if !send("retry: 2000\n\n") {
		return
	}
	for {
		beat, done := context.WithTimeout(ctx, s.heartbeat)
		batch, missed, err := sub.Next(beat, 256)
		done()
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, context.DeadlineExceeded):
			if !send(": still here\n\n") {
				return
			}
			continue
		case err != nil:
			return
		}
		var b strings.Builder
		if missed > 0 {
			fmt.Fprintf(&b, "event: missed\ndata: {\"missed\":%d}\n\n", missed)
		}
		for _, e := range batch {
			if !filter.Match(e) {
				continue
			}
			data, err := json.Marshal(e)
			if err != nil {
				s.cfg.Log.Error().Str("name", string(e.Name)).Err(err).Msg("event cannot be encoded")
				continue
			}
			fmt.Fprintf(&b, "id: %d\ndata: %s\n\n", e.ID, data)
		}
		if b.Len() > 0 && !send(b.String()) {
			return
		}
	}
}

func lastEventID(r *http.Request, now uint64) (uint64, error) {
	v := r.Header.Get("Last-Event-ID")
	if v == "" {
		v = r.URL.Query().Get("since")
	}
	if v == "" {
		return now, nil
	}
	id, err := strconv.ParseUint(v, 10, 64)
	if err != nil {
		return 0, Invalid("Last-Event-ID %q is not a number", v)
	}
	return id, nil
}
