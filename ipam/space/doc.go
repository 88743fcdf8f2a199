// Package space finds room in address space: which prefixes of some ranges are free, the first that fits, and what is
// left. A single address is a prefix of full length. It is pure: no I/O, no clock, no owners. Whoever imports it knows who
// holds what and for how long; to a space, what is reserved, excluded or in quarantine is taken.
//
// A space is a binary tree over the bits of addresses, cut off where all below is free or is taken by one holder. Each
// node knows the largest free prefix below, so that taking, releasing and looking up cost one way down the tree: at most
// 32 or 128 steps, whatever the number of prefixes.
//
// A prefix costs two nodes of 12 bytes where it lies next to others, as Take places them: a million addresses are 28 MB. One
// that TakeAt puts by itself costs two for each bit from where it parts from the others: a million addresses at random in an
// IPv4 /8 are 106 MB, and in an IPv6 /64 1.3 GB, which is for ranges, or for Take, not for such.
//
// A Space is not safe for concurrent use.
package space
