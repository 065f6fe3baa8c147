// Package collect is the CATS Service Metric Agent (C-SMA, RFC 10053 section
// 3.4.2): it asks the configured sources how each instance is doing, checks
// that it answers, and condenses that into the L0, L1 and L2 metrics of
// draft-ietf-cats-metric-definition, per instance and for the site.
//
// Sources and checks run in goroutines and post events; the condensing
// (Accumulator) is pure. The package does not decide what is worth saying.
//
//	sources ─► evaluator ─┐
//	checks ───────────────┴► Event ─► Accumulator ─► Report ─► AggregateReports
//	          Runner
//
// Every type of source delivers a reading, of which selectors pick and
// calculate the values; they need not know where it comes from. To add a type,
// write a function that asks once (see scraper, localReader, command) and name
// it in newSource.
//
// Nobody is trusted. A body is limited, an answer has to come in time, and a
// value that cannot be true (negative, not a number, infinite, above 1e15) is
// refused by name and never gets into a report. Silence is not health: every
// source turns stale, and its policy says what then becomes of the instance.
//
// It does not smooth beyond the measurement window of the scores, which is the
// dampening's business, and it keeps no history.
package collect
