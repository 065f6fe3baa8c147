// Package bgp speaks BGP for a catsbgp agent. It is the only package that
// knows GoBGP.
//
// The agent hands over what it wants to be announced (Set, Put, Remove) and
// takes what peers announce and how sessions do as events (Wake, Take). Between
// the two, changes are conflated: a slow peer, or a slow agent, sees the latest
// value, not every value.
//
// It does not know what the CATS attribute says, decides nothing, and does not
// touch the kernel's routing table. Consumers that want to be tested without
// sockets define the few methods of Speaker they need as an interface of their
// own; all types of these methods are plain values.
//
// # Planes
//
// There is one GoBGP server for each way in which CATS information travels,
// because GoBGP has export policies for all peers of a server, not for one:
//
//   - domain: the attribute of Config.AttributeType, optional transitive;
//   - edge: the same information as EdgeMetadataType, optional non-transitive;
//   - boundary: peers outside the domain. Only Boundary announcements are ever
//     put into that server's table, and those without the attribute and without
//     large communities, and what its peers say is not even watched. So nothing
//     can leak, whatever a policy or a bug does.
//
// Servers of one process cannot share a socket: one plane listens (the first of
// domain, boundary, edge that has peers), the peers of the others cannot be
// passive.
//
// What peers say is kept out of the tables, which is where GoBGP passes routes
// on: an agent is no transit router. With route-reflector clients it must be in
// the table, and GoBGP reflects it, known to us or not.
//
// # Heard routes
//
// Routes come from the Adj-RIB-In, before any policy. Routes without the
// attribute and without CATS large communities are counted and dropped; GoBGP
// itself keeps them all the same, and it keeps what is beyond
// Config.MaxRoutesPerPeer.
//
// GoBGP does not say everything, and package-level memory of what the agent has
// been told fills the gaps: routes that a restarted peer does not say again,
// routes that lose their CATS information, the last update of a session that is
// just being removed.
//
// # Limits of GoBGP v4.8.0
//
//   - After a loss a session waits 5 s before it is tried again, and the first
//     connection takes up to 2 s, whatever ConnectRetry says.
//   - A hold time of 0 cannot be offered; 65535 s is offered instead, and the
//     smaller of the two offers counts, so that a peer can still get 0.
//   - When it restarts itself it does not set the Restart State and Forwarding
//     State bits (RFC 4724 section 3). Peers that insist on these drop our routes
//     during a restart, even with graceful restart.
//   - A route that comes back with our own AS in its path is silently ignored: the
//     one it replaces stays until it is withdrawn, so values need a validity.
//   - An attribute longer than the rest of its UPDATE is ignored with the whole
//     UPDATE (RFC 7606 wants a withdrawal). An unknown attribute with the
//     well-known flag resets the session (RFC 4271 section 6.3).
//   - Its queues have no bound; Speaker paces what it hands over, and ends
//     sessions that take nothing (RFC 9687).
//   - The goroutine of a send queue stays for ever if a session ends while
//     something is in it.
//   - Attribute 42 can only be made known to it while no speaker of the process
//     runs, see New and Reconfigure.
package bgp
