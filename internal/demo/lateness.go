package demo

import (
	"context"
	"sync"
	"time"
)

// A Lateness records how late this machine runs what is due: the worst of each
// tenth of a second. Promises in seconds are only worth something on a machine
// that keeps up, so what it is late by is allowed for.
type Lateness struct {
	mu    sync.Mutex
	worst []time.Duration // by tenth of a second since the start
}

const (
	latenessTick   = 10 * time.Millisecond
	latenessBucket = 100 * time.Millisecond
)

// Run measures until ctx ends.
func (l *Lateness) Run(ctx context.Context, start time.Time) {
	for {
		due := time.Now().Add(latenessTick)
		if !pause(ctx, latenessTick) {
			return
		}
		now := time.Now()
		l.add(now.Sub(start), now.Sub(due))
	}
}

// add notes that at some time something was late. It was late all the while
// since it was due.
func (l *Lateness) add(at, late time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := int(max(at, 0) / latenessBucket)
	for len(l.worst) <= last {
		l.worst = append(l.worst, 0)
	}
	for i := int(max(at-late, 0) / latenessBucket); i <= last; i++ {
		l.worst[i] = max(l.worst[i], late)
	}
}

// Worst returns the worst lateness between two times since the start.
func (l *Lateness) Worst(from, to time.Duration) (worst time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := int(max(from, 0) / latenessBucket); i < len(l.worst) && time.Duration(i)*latenessBucket <= to; i++ {
		worst = max(worst, l.worst[i])
	}
	return worst
}

// Slack is what to allow for between two times: a reaction is a chain of about
// eight things that each may come late, and it is looked at ten times a second.
func (l *Lateness) Slack(from, to time.Duration) time.Duration {
	return 2*sampleEvery + 8*l.Worst(from, to)
}
