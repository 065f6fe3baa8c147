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
// The package is pure: the caller passes the time in and is told when to come
// back. It does not know what a value means, nor BGP.
package dampening
