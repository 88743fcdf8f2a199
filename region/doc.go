// Package region is the middle tier: a relay that keeps what Global sends, serves each of its zones the part that the
// zone needs, and sums what the zones report.
//
//	Global ──feed──▶ intake ──▶ store ──▶ mirror ──▶ scope ──▶ outbox of each zone ──feed──▶ zone
//	Global ◀──feed── outbox ◀── sums ◀────────────────────────────── status, health ◀────────┘
//
// The leader alone takes records in and reports; any replica serves. Invariants: it decides nothing and changes no
// record; it serves its zones with what it has while Global is away, after its own restarts too; a zone that is away
// keeps what it last reported. Only cmd/meridian-region imports it.
package region
