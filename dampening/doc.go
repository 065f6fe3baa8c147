// Package dampening decides when a site may say a changed value again.
//
// Every instance has a gate. It smooths the value, lets through what changed
// enough (send-on-delta), what crossed a boundary (with hysteresis) and what
// must be repeated before it expires, never faster than a minimum interval,
// with token buckets as guards. Up, down and drain pass at once. An instance
// that keeps appearing and disappearing collects an RFC 2439 penalty and is
// held down until it decays. For routers that damp routes themselves, an
// estimate of their penalty says when to stay silent (the RFD budget).
//
// # What may wait, and for what
//
//	             min-interval  bucket  suppressed  create-quota  rfd-budget  session-budget
//	down, removed, drain
//	first                         x        x            x                          x
//	up, reuse                     x        x                                       x
//	undrain                       x                                                x
//	high, low, delta,
//	changed, refresh      x       x                                   x            x
//
// A row without a mark is safety: taking traffic away never waits. It still
// empties the buckets it finds, so what follows it waits. When more is ready
// than the session budget allows, state changes go first, then what would
// expire soonest, then crossings, then deltas by size, then refreshes.
//
// # Observe only
//
// With Params.ObserveOnly every observation passes, and the books are kept as
// if it did not: Decision.Reason and Decision.Held are what the rules would
// have decided had they been in force all along, buckets and penalties
// included, so thresholds can be tried on live load and the counters compared.
// What is really out is kept apart; when the rules come into force they start
// from there.
//
// # Time
//
// The package is pure: the caller passes the time in and is told when to come
// back. Times up to two seconds older than the newest count as that one (events
// that overtook each other); a larger step back counts as no time at all, and
// a step forward as at most thirty days. So no clock can lock a gate, and none
// can let out more than the buckets hold.
//
// It does not know what a value means, nor BGP.
package dampening
