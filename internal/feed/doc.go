// Package feed is the one protocol of every hop between tiers, as a pure machine: two ends agree on what one of them
// should hold, then changes stream, and the same session carries config down and status up.
//
// The parts:
//
//	Outbox    what one child (or the parent) should hold; outlives sessions, feeds any number of them
//	Ledger    what this end holds of the other's Outbox; outlives sessions, serves one at a time
//	Session   one connection: a sender over the Outbox, a receiver over the Ledger, and questions both ways
//
// A Session has no goroutine, no clock and does no I/O. Its owner calls Tick, Step and the like from one goroutine and
// carries out what Ready returns; feed/feedgrpc is such an owner. Outbox and Ledger are safe for concurrent use.
//
// One direction of a session, S sending and R receiving:
//
//	S  Root      ──▶  R   digest of the whole view, with S's position and fence
//	S  ◀── Equal      R   same: stream
//	S  ◀── Differ     R   its 1,024 bucket digests
//	S  Select    ──▶  R   the buckets that differ
//	S  ◀── Lists      R   their keys and versions; S now knows what is missing, changed and too much
//	S  Batch     ──▶  R   at most a window of them unacknowledged
//	S  ◀── Ack        R   in order, when the batch has taken effect, naming what was rejected or held back
//	S  Told       ──▶  R   once: R has acknowledged all that S's complete Outbox holds
//	S  ◀── Refused    R   in place of any of these: S's history is not the one accepted; S waits
//	S  ◀── Again      R   compare again (after a confirmation)
//	S  ◀── Want       R   send these keys again
//	S  ◀── Report     R   results that came outside an Ack
//
//	        ┌────────────────────── due, Again ─────────────────────┐
//	        ▼                                                       │
//	    comparing ── Equal, or Lists and the difference queued ──▶ streaming
//	        │  ▲                                                    │
//	 Refused│  │ S's position and fence suffice, or Again           │Refused
//	        ▼  │                                                    │
//	      refused ◀─────────────────────────────────────────────────┘
//
// Invariants, held by the simulation test:
//   - Nothing is queued twice: a slow receiver costs its sender a set of keys, whatever changes under them.
//   - A comparison starts only when nothing is in flight, and no batch is sent before it ends.
//   - A removal is sent only while the Outbox is complete.
//   - What R applied, the Ledger says; what may or may not have been applied, the Ledger holds at no version, so that
//     it is sent again.
//   - A receiver never accepts a lower revision, an unknown epoch or a lower fence unless somebody confirmed it.
//
// The protocol messages are the Message types; feed/feedpb is their wire form. Every tier and the cluster agent may
// import feed; it imports record alone.
package feed
