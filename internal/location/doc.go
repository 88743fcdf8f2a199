// Package location keeps what a tier knows of where applications run in its own clusters: the location and place records
// that its children tell, written to the tier's store by whoever leads (Keeper), and the part of them that goes up to the
// parent (Export). What goes down to other children is scope's.
//
//	children ──words──▶ Keeper ──▶ store ──▶ mirror ──▶ scope ──▶ the children that depend on it
//	                                           └──────▶ Export ──▶ outbox ──▶ parent
//
// Invariants: nothing is withdrawn because somebody is silent. What is stored stands until the child that speaks for the
// cluster says another, or has told all there is and that was not among it, or the cluster leaves the tier. A child that
// has been lost for longer than the grace makes its places stale, with one write for each. A location never replaces one
// that was said after it.
//
// Zones, regions and Global import the package; it knows none of them. In a zone the children are its clusters, for which
// their owners speak.
package location
