package question

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Questions about address space. Those places answer them that hold some: Global, regions and zones, their leaders.
const (
	// KindIPAMShow asks with an IPAMShowRequest what all places hold, and how much of it is taken.
	KindIPAMShow = "ipam-show"
	// KindIPAMFind asks with an IPAMFindRequest all places who has an address.
	KindIPAMFind = "ipam-find"
	// KindIPAMCheck has with an IPAMCheckRequest places audit what they hold, and mend it where that is asked for.
	KindIPAMCheck = "ipam-check"
	// KindIPAMReclaim takes with an IPAMReclaimRequest back what was delegated to a place that is gone for good.
	KindIPAMReclaim = "ipam-reclaim"
	// KindIPAMExport asks with an IPAMExportRequest one place for all that is taken there, page by page.
	KindIPAMExport = "ipam-export"
)

// The bounds of what one node lists.
const (
	// MaxFound is how many entries that overlap a prefix one node names.
	MaxFound = 100
	// MaxFindings is how many findings of an audit one node names.
	MaxFindings = 200
	// MaxEntries is how many entries one page of an export has.
	MaxEntries = 1000
)

// IPAMShowRequest is the payload of KindIPAMShow.
type IPAMShowRequest struct {
	// Pool is the only one that is meant; empty is all.
	Pool string `json:"pool,omitempty"`
}

// IPAMFindRequest is the payload of KindIPAMFind.
type IPAMFindRequest struct {
	// Prefix is the address, as a prefix of its full length, or the prefix that is looked for.
	Prefix netip.Prefix `json:"prefix"`
}

// Validate refuses what is no prefix of addresses as ledgers have them.
func (r IPAMFindRequest) Validate() error {
	switch p := r.Prefix; {
	case !p.IsValid():
		return fmt.Errorf("%w: prefix: say which address or prefix is meant, such as 10.0.0.1 or 10.0.0.0/24", ErrInvalid)
	case p.Addr().Is4In6():
		return fmt.Errorf("%w: prefix: %s is an IPv4 address written as IPv6; write %s", ErrInvalid, p, p.Addr().Unmap())
	case p != p.Masked():
		return fmt.Errorf("%w: prefix: %s has bits behind its length; the prefix is %s, the address %s", ErrInvalid, p, p.Masked(), p.Addr())
	}
	return nil
}

// IPAMCheckRequest is the payload of KindIPAMCheck.
type IPAMCheckRequest struct {
	// Target is the place that is checked, with all below it.
	Target Path `json:"target"`
	// Repair does what the report says would mend what it found.
	Repair bool `json:"repair,omitempty"`
}

// Validate refuses a cluster, which holds nothing by itself.
func (r IPAMCheckRequest) Validate() error { return holds("target", r.Target) }

// IPAMReclaimRequest is the payload of KindIPAMReclaim.
type IPAMReclaimRequest struct {
	// Target is the region or the zone that is gone for good.
	Target Path `json:"target"`
	// Force does it although the place is in the inventory, or connected.
	Force bool `json:"force,omitempty"`
}

// Validate refuses what has nothing delegated to it.
func (r IPAMReclaimRequest) Validate() error {
	if r.Target.Tier() == TierGlobal {
		return fmt.Errorf("%w: target: say REGION or REGION/ZONE: nothing is delegated to Global", ErrInvalid)
	}
	return holds("target", r.Target)
}

// IPAMExportRequest is the payload of KindIPAMExport.
type IPAMExportRequest struct {
	// Target is the place that is asked.
	Target Path `json:"target"`
	// After is the Next of the page before; empty asks for the first.
	After string `json:"after,omitempty"`
}

// Validate refuses a cluster, which holds nothing by itself.
func (r IPAMExportRequest) Validate() error { return holds("target", r.Target) }

func holds(field string, p Path) error {
	if p.Tier() == TierCluster {
		return fmt.Errorf("%w: %s: a cluster holds no address space; ask its zone, region/%s/zone/%s", ErrInvalid, field, p.Region, p.Zone)
	}
	return nil
}

// ParsePlace reads REGION[/ZONE], or the text form of a Path.
func ParsePlace(s string) (Path, error) {
	if s == string(TierGlobal) || strings.HasPrefix(s, string(TierRegion)+"/") {
		return ParsePath(s)
	}
	region, zone, two := strings.Cut(s, "/")
	if region == "" || two && zone == "" || strings.Contains(zone, "/") {
		return Path{}, fmt.Errorf("%w: place %q is neither REGION nor REGION/ZONE", ErrInvalid, s)
	}
	return Path{Region: region, Zone: zone}, nil
}

// Space is what one node answers of address space: what was asked for.
type Space struct {
	// Epoch and Revision are the position of the node's ledger; Epoch as EpochText has it.
	Epoch    string `json:"epoch,omitempty"`
	Revision int64  `json:"revision,omitempty"`
	// Pools answer KindIPAMShow, by name.
	Pools []SpacePool `json:"pools,omitempty"`
	// Found answers KindIPAMFind; nil where nothing of the node overlaps.
	Found *SpaceFound `json:"found,omitempty"`
	// Check answers KindIPAMCheck.
	Check *SpaceCheck `json:"check,omitempty"`
	// Page answers KindIPAMExport, at the node that it was for.
	Page *SpacePage `json:"page,omitempty"`
}

// SpacePool is what a node holds of a pool.
type SpacePool struct {
	Pool string `json:"pool"`
	// Addresses that the node holds, and those of them that are taken, delegated ones and those in quarantine included.
	Addresses float64 `json:"addresses"`
	Taken     float64 `json:"taken"`
	// Largest is the length of the largest prefix that is free; -1 if none is.
	Largest int `json:"largest"`
	// LowWater is the percentage of what is held below which the node asks for more; 0 where it does not.
	LowWater int          `json:"lowWater,omitempty"`
	Blocks   []SpaceBlock `json:"blocks,omitempty"`
	// Delegations are what the node handed on to places below it.
	Delegations []SpaceEntry `json:"delegations,omitempty"`
}

// SpaceBlock is a prefix that a node holds.
type SpaceBlock struct {
	Pool   string       `json:"pool,omitempty"`
	Prefix netip.Prefix `json:"prefix"`
	// Closed: nothing more is taken from it.
	Closed    bool    `json:"closed,omitempty"`
	Addresses float64 `json:"addresses,omitempty"`
	Taken     float64 `json:"taken,omitempty"`
}

// SpaceEntry is a prefix that somebody has, or had until its quarantine began.
type SpaceEntry struct {
	Pool   string       `json:"pool"`
	Prefix netip.Prefix `json:"prefix"`
	Owner  string       `json:"owner"`
	Tenant string       `json:"tenant,omitempty"`
	Note   string       `json:"note,omitempty"`
	Since  time.Time    `json:"since,omitzero"`
	// Until is the end of the quarantine; zero while the owner has it.
	Until time.Time `json:"until,omitzero"`
}

// SpaceFound is what of a node overlaps the prefix that is looked for.
type SpaceFound struct {
	Blocks  []SpaceBlock `json:"blocks,omitempty"`
	Entries []SpaceEntry `json:"entries,omitempty"`
	// More: there are others than the first MaxFound.
	More bool `json:"more,omitempty"`
}

// SpaceCheck is what an audit of a node found.
type SpaceCheck struct {
	// Entries and Blocks that were looked at.
	Entries int64 `json:"entries"`
	Blocks  int   `json:"blocks"`
	// Total findings, of which Findings are the first MaxFindings.
	Total    int       `json:"total"`
	Findings []Finding `json:"findings,omitempty"`
	// Repaired says what was mended, one sentence for each thing done.
	Repaired []string `json:"repaired,omitempty"`
}

// Finding is one thing that an audit finds wrong.
type Finding struct {
	// Kind is what is wrong, one word.
	Kind   string       `json:"kind"`
	Pool   string       `json:"pool,omitempty"`
	Prefix netip.Prefix `json:"prefix,omitzero"`
	Owner  string       `json:"owner,omitempty"`
	// Message says it in a sentence, and what a repair would do.
	Message string `json:"message"`
	// Mendable: a repair mends it.
	Mendable bool `json:"mendable,omitempty"`
}

// SpacePage is a part of what is taken at a node, by pool and address.
type SpacePage struct {
	Entries []SpaceEntry `json:"entries"`
	// Next asks for the page after this one; empty if this is the last.
	Next string `json:"next,omitempty"`
}

// brief is a copy without the lists that are detail.
func (s *Space) brief() *Space {
	if s == nil || len(s.Pools) == 0 {
		return s
	}
	out := *s
	out.Pools = slices.Clone(s.Pools)
	for i := range out.Pools {
		out.Pools[i].Blocks, out.Pools[i].Delegations = nil, nil
	}
	return &out
}
