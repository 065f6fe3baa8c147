// Package demo runs a whole CATS domain on one machine and shows what it does:
// an ingress and three sites on loopback addresses, each a full agent with its
// own GoBGP and its own TCP sessions, and small HTTP services at the sites that
// real requests keep busy. A script overloads a site, lets an instance flap,
// drains a site and kills an instance. What the agents measured, said, held
// back and chose is shown while it happens, and in the end their promises are
// held against their own counters and the requests that were made.
//
// Three things are made up, and the demo says so: the distances (the loopback
// interface has none, so relays delay what passes between clients and sites),
// the work of a request (it sleeps in a worker's slot instead of computing),
// and some periods that are shorter than anyone would configure them (a minute
// is not enough to see a penalty with a half-life of 15 minutes decay).
//
// It steers nothing but its own requests, and needs no privilege.
package demo
