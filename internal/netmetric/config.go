package netmetric

import (
	"fmt"
	"net/netip"
	"time"
)

// A Config is one agent's measuring. The zero value means the defaults.
type Config struct {
	Reflector        string        // address:port to reflect on; "": off
	Port             uint16        // of the reflectors probed; 0: 862
	Source           netip.Addr    // source address of probes of its family; zero: the kernel's choice
	Interval         time.Duration // per egress; 0: 1 s
	Window           time.Duration // 0: 30 s
	Timeout          time.Duration // a later answer counts as lost; 0: 1 s
	Key              []byte        // authenticated mode (HMAC-SHA-256/128), at least 16 octets; nil: open
	UnreachableAfter int           // probes lost in a row; 0: 5
	MaxTargets       int           // 0: 1024
}

const (
	defaultPort             = 862 // RFC 8762 section 4.1
	defaultInterval         = time.Second
	defaultWindow           = 30 * time.Second
	defaultTimeout          = time.Second
	defaultUnreachableAfter = 5
	defaultMaxTargets       = 1024

	minInterval = 10 * time.Millisecond
	minKey      = 16 // octets
)

func (c Config) withDefaults() Config {
	if c.Port == 0 {
		c.Port = defaultPort
	}
	if c.Interval <= 0 {
		c.Interval = defaultInterval
	}
	c.Interval = max(c.Interval, minInterval)
	if c.Window <= 0 {
		c.Window = defaultWindow
	}
	if c.Timeout <= 0 {
		c.Timeout = defaultTimeout
	}
	if c.UnreachableAfter <= 0 {
		c.UnreachableAfter = defaultUnreachableAfter
	}
	if c.MaxTargets <= 0 {
		c.MaxTargets = defaultMaxTargets
	}
	return c
}

func (c Config) validKey() error {
	if n := len(c.Key); n > 0 && n < minKey {
		return fmt.Errorf("key has %d octets, at least %d are needed", n, minKey)
	}
	return nil
}

// A Measurement is what is known of the path to one egress.
type Measurement struct {
	Egress    netip.Addr
	At        time.Time
	Decided   bool          // Reachable was measured; before that nothing is known
	Reachable bool          // false also before the first answer
	Known     bool          // at least one answer in the window; without, the durations are 0
	RTT       time.Duration // outlier-robust estimate of the round trip; what selection uses
	Min       time.Duration // over the window
	Mean      time.Duration
	Max       time.Duration
	Variation time.Duration // mean absolute difference of consecutive answers (RFC 8570 section 4.3)
	Loss      float64       // 0..1 over the window, of the probes whose fate is known
	LostInRow int           // the latest probes whose fate is known
	Sent      uint64        // since the target was added
	Received  uint64        // in time
}
