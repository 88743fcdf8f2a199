// Package enrol decides who may enrol as which place of the tree: it keeps the tokens that are out, and the grants, which
// say what certificates of a place are accepted.
//
//	create ──▶ token ──redeemed──▶ grant: enrolled, generation g ──place removed──▶ grant: not enrolled, generation g+1
//	             │                          ▲          │
//	             └ ends, or is revoked      │          └─ a replace token is redeemed: generation g+1, enrolled
//	                                        └──────────── a replica token is redeemed: generation g, enrolled
//
// A use of a token and the grant that follows from it are one transaction, so that a token is never spent for nothing and
// a place never enrolled by a token that can be used again. One key spends one use, however often it asks: a lost reply
// costs nothing. A token, and what it gave, are void once the place was removed or enrolled anew: a late word of it revives
// nothing, and one that was out before a replacement does not undo it.
//
// Only Global imports enrol. Tokens stay at Global, as the hash of their secret; grants travel to the region and the zone
// on their path.
package enrol
