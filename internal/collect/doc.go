// Package collect is the CATS Service Metric Agent (C-SMA, RFC 10053 section
// 3.4.2): it asks the configured sources how each instance is doing, checks
// that it answers, and condenses that into the L0, L1 and L2 metrics of
// draft-ietf-cats-metric-definition, per instance and for the site.
//
// Sources and checks run in goroutines and post events; the condensing
// (Accumulator) is pure. The package does not decide what is worth saying.
package collect
