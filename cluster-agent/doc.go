// Package clusteragent is the agent of one cluster: it makes the cluster hold exactly the objects that its zone compiled
// for it, puts drift back, and reports how the workloads do.
//
//	zone ──records──▶ apply ──▶ desk ──▶ workers ──▶ API server
//	                             ▲                        │
//	                             └──── watches ◀──────────┘──▶ status ──▶ zone
//
// The desk holds one entry for each object: what the zone wants, what the cluster has, and what is left to do. A batch
// from the zone and an event from a watch both only change entries; workers take entries that have something to do, one
// worker for one entry at a time, and bring the cluster in line.
//
// Of Services that applications elsewhere call, which the zone marks, it also watches the EndpointSlices, and tells how many
// endpoints are ready, and where clusters share a network their addresses (locations.go).
//
// Invariants:
//   - An object that is not Meridian's is never written to or deleted, unless its manifest says adopt. Every write names
//     the UID it is for, or that there must be none.
//   - Nothing is removed but what the zone says to remove, and nothing that guards pods before the last of them is gone
//     (leaving.go).
//   - Nothing is written unless this agent holds the cluster's Lease, and no batch of an earlier owner is applied.
//   - Nothing is kept on disk: what is managed is read from the cluster at start.
//   - Pods are never watched, and never listed but to see whether a namespace to be deleted is empty.
//
// Only cmd/meridian-agent imports it. It links neither etcd nor memberlist.
package clusteragent
