// Package ledger keeps who holds which addresses at one tier, durably, in the tier's etcd. It hands prefixes out of blocks
// that the tier has been given, and never the same address twice: not while etcd pauses or loses replies, nor while two
// processes believe that they lead, nor when etcd was set back to an older copy.
//
// Keys are under PREFIX/space/, behind all that the tier's mirror follows:
//
//	PREFIX/space/epoch              the history's name, drawn when the ledger is first opened, and by Repair
//	PREFIX/space/ended/EPOCH        up to which revision of an epoch before it was accepted, by Repair, what was lost
//	PREFIX/space/holder             rewritten by whoever opens the ledger; its modification revision names that opening
//	PREFIX/space/swept              written with every removal of an entry or a block
//	PREFIX/space/blocks/POOL/RANGE  a block, as JSON; its modification revision is the fence of all that is done in it
//	PREFIX/space/entries/POOL/RANGE an entry: who holds the range, or until when it is in quarantine
//	PREFIX/space/owners/OWNER       POOL/RANGE of what the owner holds
//
// A RANGE is the address in hexadecimal, then / and the length, so that keys are in the order of addresses.
//
// What is free is in memory, as one space.Space for each block; who holds what is in etcd alone. Opening claims the
// blocks: it rewrites the holder's key and each block's, which fences off whoever had them, and then reads what is taken.
// Every change is one transaction that compares its block's revision, so there are no steps between which a crash could
// leave half of it. Invariants, in etcd, at every revision:
//
//   - no two entries of a pool overlap, and each lies in one block;
//   - an entry that is held has its owner's key, written with it, and no owner has two.
//
// In memory all is taken that is taken in etcd, and besides what transactions under way may take. A transaction whose
// reply was lost is settled by fencing its block anew, after which it cannot take effect late, and reading what its
// owners have.
//
// Tiers import this package through package ipam; it knows no tier and no record.
package ledger
