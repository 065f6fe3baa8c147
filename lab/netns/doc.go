// Package netns builds small networks of Linux network namespaces for tests:
// hosts, routers and the links between them, with FRR, BIRD and other programs
// running inside.
//
// Nothing outside its namespaces is touched: links are made between
// namespaces, never through the host's own. Everything ends with the test.
// What a killed test leaves behind is removed by the next one that builds a
// lab, which can tell the remains of the dead from the labs of the living.
//
// It needs root and the program ip; see New for what happens without.
package netns
