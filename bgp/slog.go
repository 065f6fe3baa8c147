package bgp

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"

	"github.com/rs/zerolog"
)

// newLogger is a logger for GoBGP that writes to log. What GoBGP calls info is
// the life of sessions, which the agent knows from events and logs in its own
// words, so it comes out one level lower.
// Once mute is true nothing is written.
//
// Looking at mute has a second use. GoBGP reads routes for our callbacks without
// a lock that its sessions take, and a session that restarts gracefully marks
// the same routes. Sessions log before they do, so what a callback has seen
// comes before the mark if every callback touches mute (see onPaths). What
// remains is the mark of a route that is being delivered at that moment: one
// bool, which we do not use.
func newLogger(log zerolog.Logger, mute *atomic.Bool) *slog.Logger {
	return slog.New(slogHandler{log: log, mute: mute})
}

type slogHandler struct {
	log   zerolog.Logger
	mute  *atomic.Bool
	attrs []slog.Attr
	group string // prefix of keys, with a dot
}

func zerologLevel(l slog.Level) zerolog.Level {
	switch {
	case l >= slog.LevelError:
		return zerolog.ErrorLevel
	case l >= slog.LevelWarn:
		return zerolog.WarnLevel
	case l >= slog.LevelInfo:
		return zerolog.DebugLevel
	default:
		return zerolog.TraceLevel
	}
}

func (h slogHandler) Enabled(_ context.Context, l slog.Level) bool {
	if h.mute.Load() {
		return false
	}
	level := zerologLevel(l)
	return level >= h.log.GetLevel() && level >= zerolog.GlobalLevel()
}

func (h slogHandler) Handle(_ context.Context, r slog.Record) error {
	e := h.log.WithLevel(zerologLevel(r.Level))
	for _, a := range h.attrs {
		e = addAttr(e, "", a)
	}
	r.Attrs(func(a slog.Attr) bool {
		e = addAttr(e, h.group, a)
		return true
	})
	e.Msg(r.Message)
	return nil
}

func (h slogHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	all := make([]slog.Attr, 0, len(h.attrs)+len(attrs))
	all = append(all, h.attrs...)
	for _, a := range attrs {
		a.Key = h.group + a.Key
		all = append(all, a)
	}
	h.attrs = all
	return h
}

func (h slogHandler) WithGroup(name string) slog.Handler {
	if name != "" {
		h.group += name + "."
	}
	return h
}

func addAttr(e *zerolog.Event, prefix string, a slog.Attr) *zerolog.Event {
	a.Value = a.Value.Resolve()
	key := prefix + a.Key
	if a.Value.Kind() == slog.KindGroup {
		for _, m := range a.Value.Group() {
			e = addAttr(e, key+".", m)
		}
		return e
	}
	if a.Equal(slog.Attr{}) {
		return e
	}
	if isSecret(key) {
		return e.Str(strings.ToLower(key), "(not shown)")
	}
	return e.Str(strings.ToLower(key), a.Value.String())
}

// isSecret errs on the side of hiding. GoBGP v4.8.0 logs no password, but what
// its next version logs is not ours to know.
func isSecret(key string) bool {
	key = strings.ToLower(key)
	for _, s := range []string{"password", "secret", "md5", "auth"} {
		if strings.Contains(key, s) {
			return true
		}
	}
	return false
}
