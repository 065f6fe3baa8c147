// Package netmetric is the CATS Network Metric Agent (C-NMA, RFC 10053 section
// 3.4.3) of an ingress: it measures the round trip to every egress with STAMP
// (RFC 8762) and reports delay, variation and loss over a window with the
// semantics of RFC 8570.
//
// The estimator is pure. The package knows no services and selects nothing.
package netmetric
