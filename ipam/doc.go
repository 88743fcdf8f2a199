// Package ipam is the address space of one place: Global, a region or a zone. A Tier runs in the place's leader for one term.
// It keeps the blocks that the place was given in its ledger, meets the claims of the place from them, hands prefixes on to
// the places below, and asks the one above for more or gives back what is idle.
//
//	parent's prefix records ──▶ blocks ──▶ entries: of claims, of places below (delegated/…), of machines here (local/…)
//	         ▲                                │                  │
//	         └────────── demand ◀─────────────┘                  └──▶ prefix records for the places below
//
// Invariants:
//
//   - What a place holds and gave is what its ledger says. Records are derived from it: allotments for who claimed, prefix
//     records for the places below. After a crash what is missing is made up from the ledger.
//   - A place takes only from blocks for which there is a prefix record, at Global a range of a pool; blocks for which there
//     is none are dropped when they are empty, and until then closed and reported as stranded.
//   - Nothing is taken from a place because it is silent. Package delegation draws how a prefix comes and goes.
//   - A claim's entry stays as long as the claim, and is released when its record goes.
//
// The tiers import the package; it knows none of them. ipam/ledger keeps the entries, ipam/space finds room.
package ipam
