// Package selection is the CATS Path Selector (C-PS, RFC 10053 section 3.4.4):
// it turns the candidates for a service into a weighted split of its new
// flows, with a reason for every share and every candidate left out.
//
// The default policy, "balanced", does not chase the best advertised
// instance, which oscillates at every update rate. It moves a damped split
// towards equal marginal cost, anticipates that the other ingresses shift as
// it does, and leaves the last word on each flow to the ingress's own open
// flows and a quota.
//
// A Service is told what is advertised, measured and open, and decides on a
// Split; a Picker chooses a target for each flow as a data plane does; Explain
// says why, and what would tip it. When news fails, a ladder is climbed down:
// fresh metrics, aged ones, sites as a whole, round trips, and at last the
// anycast route, which is always there.
//
// The package is pure: time is an argument, randomness an argument, results
// do not depend on the order of arrival. It does not know where candidates
// come from and moves no packets.
package selection
