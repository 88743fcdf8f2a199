// Package delegation decides how much address space a place holds. Decide is the child's side: how many prefixes of a pool
// a place wants, and which it gives back. Respond is the parent's: which prefixes a child gets, and which are taken back.
// Both are pure: no I/O, no clock, and the same answer for the same question, so that it may be asked at any time.
//
// A prefix comes and goes in steps that no crash, no late word and no silence can put out of order:
//
//	parent: delegated ──record──▶ child: open ──idle──▶ closed, named as returned
//	                                                        │
//	parent: released ◀──named no more── child: dropped ◀──record taken away
//
// The child takes nothing from what it has named, for good, and the parent gives to nobody what the child still names. A
// prefix that is draining goes the same way as soon as nothing of it is taken.
//
// Only ipam imports the package.
package delegation
