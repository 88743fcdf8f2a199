// Package az is the zone: the tier that decides which of its clusters run what, compiles what they run, and serves
// their agents.
//
// A zone's process does two jobs. The leader (leader.go) takes in the region's records and splits assignments over the
// clusters into bindings (schedule.go, scheduler.go). The shard (shard.go) claims clusters, compiles the units of its own
// clusters from the mirror (compile.go, unit.go, spec.go), keeps each cluster's object set in an Outbox, serves agents
// (agents.go), and accounts for what they acknowledge and report (progress.go, status.go). The sums go up to the region.
//
//	region ──feed──▶ intake ──▶ store ──▶ mirror ──▶ scheduler ──▶ store (bindings)
//	                                        │
//	                                        └─────▶ compiler ──▶ outbox of each cluster ──feed──▶ agent
//	region ◀──feed── outbox ◀── rollup ◀── progress ◀────────────── acks, status, health ◀──────────┘
//
// Invariants: nothing is removed before all inputs are known; an application whose revision is missing or cannot be
// compiled keeps its last good objects; moves make before they break; a zone that restarts with nothing changed writes
// nothing and sends nothing. Only cmd/meridian-zone imports it.
package az
