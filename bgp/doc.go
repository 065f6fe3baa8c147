// Package bgp speaks BGP for a catsbgp agent. It is the only package that
// knows GoBGP.
//
// The agent hands over whole sets of wanted announcements (Set) and receives
// what peers announce and how sessions do as events. Between the two, changes
// are conflated: a slow peer sees the latest value, not every value.
//
// It does not know what the CATS attribute says, and does not touch the
// kernel's routing table.
package bgp
