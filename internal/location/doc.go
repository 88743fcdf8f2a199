// Package location keeps what a tier knows of where applications run in its own clusters: the location and place records
// that its children tell, written to the tier's store by whoever leads (Keeper), and the part of them that goes up to the
// parent (Export). What goes down to other children is scope's.
//
//	children ──words──▶ Keeper ──▶ store ──▶ mirror ──▶ scope ──▶ the children that depend on it
//	                                           └──────▶ Export ──▶ outbox ──▶ parent
//
// Invariants: nothing is withdrawn because somebody is silent. What is stored stands until the child that speaks for the
// cluster, and no other, says another, or has told all there is of the cluster and that was not among it, or the cluster
// leaves the tier. Whoever tells a cluster's place knows all of its locations: a place is written first when all of them are
// known, told after them and taken back before. So a child that has lost its store withdraws a cluster's locations only when it has
// heard from the cluster; until then they are stale. A child that has been lost for longer than the grace makes the places
// with locations stale, with one write for each. A location never replaces one that was said after it.
//
// Zones, regions and Global import the package; it knows none of them. In a zone the children are its clusters, for which
// their owners speak.
package location
