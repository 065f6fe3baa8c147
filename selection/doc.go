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
// The package is pure: time is an argument, randomness an argument, results
// do not depend on the order of arrival. It does not know where candidates
// come from and moves no packets.
package selection
