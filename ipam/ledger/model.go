package ledger

import (
	"net/netip"
	"time"
)

// Pool is what a block is of.
type Pool struct {
	// Name has no slash.
	Name string
	IPv6 bool
	// Quarantine is how long nobody else gets what was released; kept for each block, as it was last put. 0: free at once.
	Quarantine time.Duration
}

// Block is a range of a pool that this ledger hands out.
type Block struct {
	Pool   string
	Prefix netip.Prefix
	// Closed: nothing more is taken from it. What is taken stays until it is released.
	Closed bool
	// Reserved are given to nobody. Those that reach beyond the block are cut to it.
	Reserved []netip.Prefix
}

// Request asks for a prefix.
type Request struct {
	// Owner is whom it is for, unique in the ledger: whoever asks again gets what the owner holds.
	Owner string
	Pool  string
	// Length of the prefix, where Prefix does not say which: 1 to 32 or 128.
	Length int
	// Prefix is exactly the one that is asked for; invalid for any.
	Prefix netip.Prefix
	// Tenant and Note are kept with the entry; they do not tell requests apart.
	Tenant, Note string
}

// Entry is what an owner holds, or held: in quarantine Until is set, and nobody else gets it until then.
type Entry struct {
	Owner, Pool  string
	Prefix       netip.Prefix
	Tenant, Note string
	// Since it is held; Until is the end of its quarantine. Both to the millisecond.
	Since, Until time.Time
	// Revision of etcd at which it was written.
	Revision int64
}

// Result is what became of one request of several.
type Result struct {
	Entry Entry
	Err   error
}

// Query selects entries.
type Query struct {
	// Pool, or empty for all.
	Pool string
	// OwnerPrefix: the owners whose names begin so, in the order of names, and nothing in quarantine. Empty: by pool and
	// address, quarantine included.
	OwnerPrefix string
	// From is where the last page ended; empty for the first.
	From string
	// Limit is how many at most; 0 and all above 1,000 are 1,000.
	Limit int
}

// Event is a change of an entry.
type Event struct {
	Entry Entry
	// Gone: it is free now. Entry is as it was last.
	Gone bool
}

// Usage is how a pool stands here.
type Usage struct {
	// Blocks in the order of addresses; none of a pool that is not known.
	Blocks []BlockUsage
}

// BlockUsage is how a block stands.
type BlockUsage struct {
	Block
	// Addresses that can be given, which leaves out what is reserved, and those of them that are taken, of which some are
	// in quarantine. What has more than 53 bits is rounded.
	Addresses, Taken, Quarantined float64
	// Largest is the length of the largest prefix that can be taken; -1 where none can, as in a closed block.
	Largest int
	// Idle: nothing of it is taken or in quarantine.
	Idle bool
}
