// Package global is the top tier: it watches the resources on the hub's API server, decides, and writes what it decided
// as records.
//
// One loop, the planner, owns the decisions. It takes a spec through admission (admit.go), its placement (place.go), its
// tenant's quotas (quota.go), the claims on object keys (claims.go) and its dependencies (dependency.go) to the records that
// should exist (plan.go), and writes those that differ from the ones in force; the store's mirror feeds the regions from there (serve.go).
// ExternalServices are planned beside applications (externalplan.go), which depend on them as on each other. What
// regions report comes back as conditions and counts (condition.go, board.go). Nothing here knows a cluster's objects.
//
// Invariants: a restart with nothing changed writes nothing; what cannot be accepted or placed keeps what it has; records
// are removed only for a spec that a person removed, and when many are gone at once with nobody seen to remove them, or
// the hub's API server is another one than before, nothing is touched until an operator confirms.
//
// cmd/meridian-global alone imports it.
package global
