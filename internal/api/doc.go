// Package api is what an agent tells its operator, and what the operator may
// ask of it: JSON documents over HTTP on a Unix socket, optionally on a
// loopback TCP address, with a stream of events, Prometheus series and health.
//
// The documents in types.go are a contract (schema catsbgp/v1): snake_case,
// durations in seconds as *_seconds, times in RFC 3339, empty lists as [],
// unknown values absent. A field is never renamed within v1; new ones may
// appear. A response is always exactly one document.
//
// The package decides nothing and imports none of the deciding packages: the
// agent fills the documents (Backend). Nothing in it identifies a client.
package api
