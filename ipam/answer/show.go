package answer

import (
	"context"
	"errors"
	"fmt"

	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/ipam"
	"github.com/meridian-federation/meridian/ipam/ledger"
)

// show says what a place holds of pools, how much of it is taken, and what it delegated.
func show(t *ipam.Tier, r question.IPAMShowRequest, node *question.Node) error {
	node.Space = begin(t)
	delegations := map[string][]question.SpaceEntry{}
	for _, d := range t.Delegations() {
		delegations[d.Pool] = append(delegations[d.Pool], question.SpaceEntry{Pool: d.Pool, Prefix: d.Prefix, Owner: d.Owner})
	}
	for _, p := range t.Pools() {
		if (r.Pool == "" || r.Pool == p.Name) && len(p.Usage.Blocks) > 0 {
			node.Space.Pools = append(node.Space.Pools, poolOf(p, delegations[p.Name]))
		}
	}
	return nil
}

// begin is an answer with the ledger's position.
func begin(t *ipam.Tier) *question.Space {
	epoch, revision := t.Ledger().Position()
	return &question.Space{Epoch: question.EpochText(epoch), Revision: revision}
}

func poolOf(p ipam.PoolState, delegations []question.SpaceEntry) question.SpacePool {
	out := question.SpacePool{Pool: p.Name, Largest: -1, LowWater: p.Spec.LowWater, Delegations: delegations}
	for _, b := range p.Usage.Blocks {
		out.Addresses += b.Addresses
		out.Taken += b.Taken
		if b.Largest >= 0 && (out.Largest < 0 || b.Largest < out.Largest) {
			out.Largest = b.Largest
		}
		out.Blocks = append(out.Blocks, question.SpaceBlock{Prefix: b.Prefix, Closed: b.Closed, Addresses: b.Addresses, Taken: b.Taken})
	}
	return out
}

// find says what of a place overlaps a prefix.
func find(ctx context.Context, t *ipam.Tier, r question.IPAMFindRequest, node *question.Node) error {
	found := &question.SpaceFound{}
	for _, pool := range t.Ledger().Pools() {
		for _, b := range t.Ledger().Usage(pool.Name).Blocks {
			if !b.Prefix.Overlaps(r.Prefix) {
				continue
			}
			if len(found.Blocks) == question.MaxFound {
				found.More = true
				break
			}
			found.Blocks = append(found.Blocks, question.SpaceBlock{Pool: pool.Name, Prefix: b.Prefix, Closed: b.Closed})
		}
	}
	entries, err := t.Ledger().Find(ctx, r.Prefix)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if len(found.Entries) == question.MaxFound {
			found.More = true
			break
		}
		found.Entries = append(found.Entries, entryOf(e))
	}
	node.Space = begin(t)
	if len(found.Blocks)+len(found.Entries) > 0 {
		node.Space.Found = found
	}
	return nil
}

func entryOf(e ledger.Entry) question.SpaceEntry {
	return question.SpaceEntry{Pool: e.Pool, Prefix: e.Prefix, Owner: e.Owner, Tenant: e.Tenant, Note: e.Note, Since: e.Since, Until: e.Until}
}

// export is a page of what is taken at a place.
func export(ctx context.Context, t *ipam.Tier, r question.IPAMExportRequest, node *question.Node) error {
	entries, next, err := t.Ledger().List(ctx, ledger.Query{From: r.After, Limit: question.MaxEntries})
	if err != nil {
		return err
	}
	page := &question.SpacePage{Next: next, Entries: make([]question.SpaceEntry, 0, len(entries))}
	for _, e := range entries {
		page.Entries = append(page.Entries, entryOf(e))
	}
	node.Space = begin(t)
	node.Space.Page = page
	return nil
}

// reclaim takes back what a place below was given.
func reclaim(ctx context.Context, t *ipam.Tier, r question.IPAMReclaimRequest, node *question.Node) error {
	child := r.Target.Region
	if r.Target.Zone != "" {
		child += "/" + r.Target.Zone
	}
	taken, err := t.Reclaim(ctx, child, r.Force)
	for _, d := range taken {
		node.Confirmed = append(node.Confirmed, fmt.Sprintf("%s of pool %s is taken back from %s", d.Prefix, d.Pool, r.Target))
	}
	switch {
	case errors.Is(err, ipam.ErrNotReclaimed):
		return fmt.Errorf("%w: %w", question.ErrInvalid, err)
	case err != nil:
		return err
	}
	return nil
}
