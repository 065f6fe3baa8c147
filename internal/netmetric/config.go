package netmetric

import (
	"net/netip"
	"time"
)

// A Config is one agent's measuring.
type Config struct {
	Reflector        string        // address:port to reflect on; "": off
	Port             uint16        // of the reflectors probed; 0: 862
	Source           netip.Addr    // source address of probes; zero: the kernel's choice
	Interval         time.Duration // per egress
	Window           time.Duration
	Timeout          time.Duration // a later answer counts as lost
	Key              []byte        // authenticated mode (HMAC-SHA-256/128); nil: open
	UnreachableAfter int           // probes lost in a row
	MaxTargets       int
}

// A Measurement is what is known of the path to one egress.
type Measurement struct {
	Egress    netip.Addr
	At        time.Time
	Reachable bool          // false also before the first answer
	Known     bool          // at least one answer in the window
	RTT       time.Duration // outlier-robust estimate of the round trip; what selection uses
	Min       time.Duration // over the window
	Mean      time.Duration
	Max       time.Duration
	Variation time.Duration // mean absolute difference of consecutive answers (RFC 8570 section 4.3)
	Loss      float64       // 0..1 over the window
	Sent      uint64        // since the target was added
	Received  uint64
}
