package ledger

import (
	"net/netip"

	"github.com/meridian-federation/meridian/internal/store"
)

// Fault is a kind of finding.
type Fault string

// What an audit finds.
const (
	// OwnerWithoutEntry: an owner's key that leads to no entry of that owner. Leaked: Mend removes it.
	OwnerWithoutEntry Fault = "OwnerWithoutEntry"
	// EntryWithoutOwner: an entry that nobody can release. Leaked: Mend puts it in quarantine.
	EntryWithoutOwner Fault = "EntryWithoutOwner"
	// Overlap: an entry overlaps the one before.
	Overlap Fault = "Overlap"
	// OutsideBlocks: an entry lies in no block.
	OutsideBlocks Fault = "OutsideBlocks"
	// OnlyInStore: etcd has an entry of what is free by this process's memory.
	OnlyInStore Fault = "OnlyInStore"
	// OnlyInMemory: by this process's memory it is taken, and etcd has no entry.
	OnlyInMemory Fault = "OnlyInMemory"
	// Unreadable: a key or a value that is none of a ledger's.
	Unreadable Fault = "Unreadable"
)

// Report is what an audit looked at and found.
type Report struct {
	// Position at which it ended.
	Position store.Position
	// Blocks, Entries (in quarantine or not) and Owners are how many there are.
	Blocks, Entries, Owners int
	// Findings are at most 1,000; More tells that there are others.
	Findings []Finding
	More     bool
}

// Finding is one thing that should not be.
type Finding struct {
	Fault  Fault
	Pool   string
	Prefix netip.Prefix
	Owner  string
	// Detail is for people.
	Detail string
	// Key of etcd that it is about, and the revision at which that was written.
	Key      string
	Revision int64
}
