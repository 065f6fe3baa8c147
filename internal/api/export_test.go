package api

import "time"

// SetHeartbeat changes the heartbeat of event streams and returns the old one.
func SetHeartbeat(s *Server, d time.Duration) (old time.Duration) {
	old, s.heartbeat = s.heartbeat, d
	return old
}

// SetPatience changes how long a reader of a stream may take nothing.
func SetPatience(s *Server, d time.Duration) { s.patience = d }

// Streams returns how many event streams are open.
func Streams(s *Server) int64 { return s.streams.Load() }
