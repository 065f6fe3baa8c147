// Package netmetric is the CATS Network Metric Agent (C-NMA, RFC 10053 section
// 3.4.3) of an ingress: it measures the round trip to every egress with STAMP
// (RFC 8762) and reports delay, variation and loss over a window with the
// semantics of RFC 8570.
//
// A [Prober] asks, the [Reflector] of the other agent answers; an [Estimator]
// per egress makes of it what is known of the path, as a [Measurement].
// [Distrust] holds what an instance claims against it.
//
// Delays are round trips. One-way delays would need clocks that agree to better
// than the delays differ, which hosts do not have.
//
// The estimator, the schedule of probes and Distrust are pure. The package
// knows no services and selects nothing.
package netmetric
