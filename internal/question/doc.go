// Package question defines what people ask of the tree, and what comes back.
//
// A question enters at Global, goes down the sessions of the feed, and its answers are merged on the way up: each tier
// answers for itself and hangs its children's answers below as Nodes. The payloads are JSON, because the rate is low
// and people read them. Every answer is bounded: in time (the deadline shrinks with each hop), in the number of
// children asked at once, and in size. A child that did not answer is a Node that says so, so that an answer is never
// silently a part.
//
// The kinds are application (what became of one application, everywhere), overview (the tree itself: sessions, what is
// held back, what is refused), confirm (a person confirms what a tier held back), can-i (whether a call is allowed, by
// one node's records), export (what is compiled for one cluster, in pages), the token and rotate kinds, which Global answers
// alone, and the ipam kinds (who holds which addresses). Every tier and the CLI may import question; it knows none of them,
// and no store.
package question
