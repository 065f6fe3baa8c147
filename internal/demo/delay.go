package demo

import (
	"context"
	"time"
)

// pass hands on what comes, each item a fixed time after it came. It returns
// when in is closed and all is handed on, when out refuses an item, or ctx
// ends.
func pass[T any](ctx context.Context, delay time.Duration, in <-chan stamped[T], out func(T) error) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C
	for {
		var item stamped[T]
		var more bool
		select {
		case item, more = <-in:
		case <-ctx.Done():
			return ctx.Err()
		}
		if !more {
			return nil
		}
		if wait := time.Until(item.at.Add(delay)); wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if err := out(item.value); err != nil {
			return err
		}
	}
}

// stamped is an item with the time at which it came.
type stamped[T any] struct {
	at    time.Time
	value T
}

// pause waits, and reports whether it did so to the end.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
