// Package domaintest is a whole CATS domain in one test: the cores of several
// sites and ingresses under one virtual clock, joined by announcements that can
// be late, lost or stuck. It has no code but tests; testdata/*.txt are stories
// of what can go wrong in a domain, with what every agent says and does, to be
// read as documentation.
package domaintest
