// Package lab holds the proof that the control plane works beside real
// routers and survives faults: its tests run the real program in networks of
// Linux namespaces, next to FRR and BIRD. See README.md.
package lab
