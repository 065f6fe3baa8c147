// Package events keeps the last things that happened to an agent, each with a
// stable name, so that an operator can ask afterwards what went on, a log line
// and a line of `catsbgp show events` can be matched by their number, and a
// late subscriber can catch up.
//
// It does not read the clock (the writer says when), does not log and does not
// decide what is worth an event. It never holds anything about clients: fields
// that would name one are dropped (RFC 10054 R17 and R18).
package events
