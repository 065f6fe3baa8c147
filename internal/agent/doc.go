// Package agent is a catsbgp agent: the loop that owns the egress and the
// ingress core, and the goroutines around it that collect, probe, speak BGP
// and answer the API.
//
// Facts come in through mailboxes that never block who brings them. Run is the
// one goroutine that touches the cores and reads the clock. What the cores
// want goes out as values: routes to the BGP speaker, splits to the classifier
// and whoever subscribed, events to the ring, counters to the metrics.
package agent
