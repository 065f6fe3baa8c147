// Package netns builds small networks of Linux network namespaces for tests:
// hosts, routers and the links between them, with FRR, BIRD and catsbgp agents
// running inside.
//
// Nothing outside its namespaces is touched: links are made between
// namespaces, never through the host's own. Everything ends with the test.
// Should the test be killed, its processes die with it, and the next test that
// builds a lab removes the namespaces it left behind.
//
// It needs root and the program ip; see New for what happens without.
package netns
