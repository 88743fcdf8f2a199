package record

import (
	"net/netip"
	"time"
)

// Purpose is what a pool's addresses are for.
type Purpose string

// The purposes of pools.
const (
	PurposeService      Purpose = "Service"
	PurposePod          Purpose = "Pod"
	PurposeNode         Purpose = "Node"
	PurposeLoadBalancer Purpose = "LoadBalancer"
)

// Range is a part of a pool.
type Range struct {
	Prefix netip.Prefix
	// Draining: nothing more is taken from it, here or by those that it is delegated to.
	Draining bool
}

// Pool is address space of one family, and how it is handed down the tiers.
type Pool struct {
	Name string
	// Ranges are disjoint, and sorted.
	Ranges []Range
	// Reserved lie in ranges, and are given to nobody.
	Reserved []netip.Prefix
	Purpose  Purpose
	// Network is the routing domain that the addresses are of; empty is the one of all clusters.
	Network string
	// RegionLength and ZoneLength are the lengths of the prefixes delegated to a region and on to a zone. 0: none is.
	RegionLength, ZoneLength int
	// ClaimLength is what a claim gets that says no length.
	ClaimLength int
	// LowWater and HighWater are percentages of what a place holds that are free: below the one it asks for a prefix more,
	// and an idle prefix goes back while what is left stays above the other.
	LowWater, HighWater int
	// Quarantine is how long nobody else gets what was released.
	Quarantine time.Duration
}

// Prefix is a part of a pool delegated to a region, or with a zone by its region to that.
type Prefix struct {
	Pool         string
	Region, Zone string
	Prefix       netip.Prefix
	// Draining: nothing more is taken from it; it goes back when nothing is.
	Draining bool
	// Epoch is that of the place's ledger which holds it, as the place said last (Demand.Held); 0 while it has not. To a ledger of
	// another epoch that does not hold it, it is one of which addresses may be in use that the ledger knows nothing of.
	Epoch uint64
}

// Claim asks for an address or a prefix, for as long as it exists: of a zone, or without one of Global.
type Claim struct {
	// Owner is whom the result is for, such as ipclaim/NAMESPACE/NAME; the same at every tier.
	Owner        string
	Region, Zone string
	// Pool to take it from; empty is any of the purpose and the network.
	Pool    string
	Purpose Purpose
	Network string
	// IPv6 is the family, where no pool is named.
	IPv6 bool
	// Length of the prefix; 0 is the pool's ClaimLength.
	Length int
	// Prefix is the one that it must be; invalid for any.
	Prefix netip.Prefix
	Tenant string
}

// Allotment is what became of a claim.
type Allotment struct {
	Owner        string
	Region, Zone string
	// Pool and Prefix are what the owner has; invalid while it waits.
	Pool   string
	Prefix netip.Prefix
	// Reason and Message say why the owner has nothing.
	Reason, Message string
}

// Demand is what a region or a zone wants of a pool, and how it stands there.
type Demand struct {
	Pool         string
	Region, Zone string
	// Want is how many prefixes it wants to hold in all, those that it returns not counted.
	Want int
	// Length is the shortest that it needs, where that is shorter than what the pool delegates; 0 otherwise.
	Length int
	// Returned are prefixes that it takes nothing from any more and that may be taken back. They are named until they are
	// gone.
	Returned []netip.Prefix
	// Held are prefixes that its ledger holds and whose records do not say so yet: their Epoch is to be that of the Demand.
	Held []netip.Prefix
	// Addresses that it holds, and those of them that are taken; rounded.
	Addresses, Taken float64
	// Epoch and Revision are the position of its ledger.
	Epoch    uint64
	Revision int64
	// Problems say what of the pool's record cannot be done there or below, and why: the first few, at most MaxPoolProblems.
	Problems []string
}

// MaxPoolProblems bounds the problems in one Demand.
const MaxPoolProblems = 4
