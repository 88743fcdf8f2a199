package ledger

import (
	"context"
	"fmt"
	"hash/maphash"
	"net/netip"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// mostFindings is how many a report has.
const mostFindings = 1000

// Audit reads all of the ledger, compares it with itself and with this process's memory, and changes nothing. It goes on
// while others allocate and release: what looks wrong is looked at again by itself.
func (l *Ledger) Audit(ctx context.Context) (Report, error) {
	a := &audit{l: l, seed: maphash.MakeSeed(), memory: true}
	if err := a.run(ctx); err != nil {
		return Report{}, fmt.Errorf("auditing the ledger: %w", err)
	}
	a.report.Position.Epoch, a.report.Position.Revision = l.Position()
	return a.report, nil
}

// audit is one under way.
type audit struct {
	l      *Ledger
	memory bool // compare with that, too
	report Report

	blocks map[string][]netip.Prefix // by pool, sorted
	// pairs are hashes of owners' keys and of entries for which the other was not seen. Two different ones with one hash
	// would hide each other; with 64 bits and a seed of this audit's own that is not to be had on purpose.
	pairs map[uint64]struct{}
	seed  maphash.Seed
	last  Entry // of those read, the one that reaches furthest
	known map[*block]int
}

func (a *audit) run(ctx context.Context) error {
	a.pairs, a.known = map[uint64]struct{}{}, map[*block]int{}
	if err := a.readBlocks(ctx, a.find); err != nil {
		return err
	}
	if err := a.l.pages(ctx, a.l.keys.entries, clientv3.GetPrefixRangeEnd(a.l.keys.entries), func(kv *mvccpb.KeyValue) error {
		a.report.Entries++
		return a.entry(ctx, kv)
	}); err != nil {
		return err
	}
	if err := a.l.pages(ctx, a.l.keys.owners, clientv3.GetPrefixRangeEnd(a.l.keys.owners), func(kv *mvccpb.KeyValue) error {
		a.report.Owners++
		a.pair(string(kv.Key[len(a.l.keys.owners):]), string(kv.Value))
		return nil
	}); err != nil {
		return err
	}
	if len(a.pairs) > 0 {
		if err := a.torn(ctx); err != nil {
			return err
		}
	}
	if a.memory {
		return a.forgotten(ctx)
	}
	return nil
}

func (a *audit) find(f Finding) {
	if len(a.report.Findings) == mostFindings {
		a.report.More = true
		return
	}
	a.report.Findings = append(a.report.Findings, f)
}

// readBlocks reads the blocks, and tells what is wrong with them. One that overlaps the one before counts for none.
func (a *audit) readBlocks(ctx context.Context, find func(Finding)) error {
	a.blocks, a.report.Blocks = map[string][]netip.Prefix{}, 0
	keys := a.l.keys
	return a.l.pages(ctx, keys.blocks, clientv3.GetPrefixRangeEnd(keys.blocks), func(kv *mvccpb.KeyValue) error {
		a.report.Blocks++
		b, _, err := keys.decodeBlock(kv)
		if err != nil {
			find(Finding{Fault: Unreadable, Detail: err.Error(), Key: string(kv.Key), Revision: kv.ModRevision})
			return nil
		}
		before := a.blocks[b.Pool]
		if n := len(before); n > 0 && before[n-1].Overlaps(b.Prefix) {
			find(Finding{Fault: Overlap, Pool: b.Pool, Prefix: b.Prefix, Detail: fmt.Sprintf("block %s overlaps block %s", b.Prefix, before[n-1]),
				Key: string(kv.Key), Revision: kv.ModRevision})
			return nil
		}
		a.blocks[b.Pool] = append(before, b.Prefix)
		return nil
	})
}

// pair counts an owner's key, or an entry that is held.
func (a *audit) pair(owner, place string) {
	h := maphash.Comparable(a.seed, [2]string{owner, place})
	if _, seen := a.pairs[h]; seen {
		delete(a.pairs, h)
	} else {
		a.pairs[h] = struct{}{}
	}
}

// entry looks at one.
func (a *audit) entry(ctx context.Context, kv *mvccpb.KeyValue) error {
	e, err := a.l.keys.decodeEntry(kv)
	if err != nil {
		a.find(Finding{Fault: Unreadable, Detail: err.Error(), Key: string(kv.Key), Revision: kv.ModRevision})
		return nil
	}
	if e.Until.IsZero() {
		a.pair(e.Owner, place(e.Pool, e.Prefix))
	}
	if e.Pool == a.last.Pool && e.Prefix.Overlaps(a.last.Prefix) {
		err = a.suspect(ctx, Overlap, e, fmt.Sprintf("it overlaps %s of %s", a.last.Prefix, a.last.Owner))
	}
	if e.Pool != a.last.Pool || !a.last.Prefix.Contains(e.Prefix.Addr()) || a.last.Prefix.Bits() > e.Prefix.Bits() {
		a.last = e
	}
	switch outside := !a.inside(e); {
	case err != nil:
		return err
	case outside && a.report.More: // enough was told, and looking again costs a reading of all blocks
	case outside:
		// It may lie in a block that was added since; what is wrong with blocks was told.
		if err := a.readBlocks(ctx, func(Finding) {}); err != nil || a.inside(e) {
			return err
		}
		return a.suspect(ctx, OutsideBlocks, e, "it lies in no block")
	case a.memory && !a.remembered(e):
		return a.suspect(ctx, OnlyInStore, e, "by memory it is free")
	}
	return nil
}

func (a *audit) inside(e Entry) bool {
	blocks := a.blocks[e.Pool]
	i, found := slices.BinarySearchFunc(blocks, e.Prefix.Addr(), func(b netip.Prefix, at netip.Addr) int { return b.Addr().Compare(at) })
	if !found {
		i--
	}
	return i >= 0 && blocks[i].Bits() <= e.Prefix.Bits() && blocks[i].Contains(e.Prefix.Addr())
}

// remembered tells whether memory has an entry, and counts it.
func (a *audit) remembered(e Entry) bool {
	a.l.mu.Lock()
	defer a.l.mu.Unlock()
	p := a.l.pools[e.Pool]
	if p == nil {
		return false
	}
	b := p.at(e.Prefix)
	if b == nil || !b.knows(e.Prefix) {
		return false
	}
	a.known[b]++
	return true
}

// suspect finds fault with an entry if it still is as it was. Memory has what etcd has, always, so that what memory lacked
// between two reads that show the same entry is missing there.
func (a *audit) suspect(ctx context.Context, fault Fault, e Entry, detail string) error {
	if a.report.More {
		return nil // enough was told; each look costs a request
	}
	key := a.l.keys.entry(e.Pool, e.Prefix)
	resp, err := a.l.get(ctx, key)
	if err != nil || len(resp.Kvs) == 0 || resp.Kvs[0].ModRevision != e.Revision {
		return err
	}
	a.find(Finding{Fault: fault, Pool: e.Pool, Prefix: e.Prefix, Owner: e.Owner, Detail: detail, Key: key, Revision: e.Revision})
	return nil
}

// torn names the owners' keys and entries that were found without the other, if they still are.
func (a *audit) torn(ctx context.Context) error {
	keys := a.l.keys
	if err := a.l.pages(ctx, keys.owners, clientv3.GetPrefixRangeEnd(keys.owners), func(kv *mvccpb.KeyValue) error {
		owner, place := string(kv.Key[len(keys.owners):]), string(kv.Value)
		if a.report.More || !a.unpaired(owner, place) {
			return nil
		}
		return a.tornOwner(ctx, owner, place)
	}); err != nil {
		return err
	}
	return a.l.pages(ctx, keys.entries, clientv3.GetPrefixRangeEnd(keys.entries), func(kv *mvccpb.KeyValue) error {
		e, unreadable := keys.decodeEntry(kv) // which was told already
		if unreadable != nil || a.report.More || !e.Until.IsZero() || !a.unpaired(e.Owner, strings.TrimPrefix(string(kv.Key), keys.entries)) {
			return nil
		}
		resp, err := a.l.get(ctx, keys.owners+e.Owner)
		if err != nil || len(resp.Kvs) > 0 && string(resp.Kvs[0].Value) == place(e.Pool, e.Prefix) {
			return err
		}
		return a.suspect(ctx, EntryWithoutOwner, e, "its owner's key is not there, or leads elsewhere")
	})
}

func (a *audit) unpaired(owner, place string) bool {
	_, is := a.pairs[maphash.Comparable(a.seed, [2]string{owner, place})]
	return is
}

func (a *audit) tornOwner(ctx context.Context, owner, place string) error {
	_, first, err := a.l.holding(ctx, owner)
	if notTorn(err) {
		return ctx.Err()
	}
	_, rev, err := a.l.holding(ctx, owner)
	if notTorn(err) || rev != first {
		return ctx.Err()
	}
	pool, p, _ := parsePlace([]byte(place)) // neither is known of a value that is none
	a.find(Finding{Fault: OwnerWithoutEntry, Pool: pool, Prefix: p, Owner: owner, Detail: fmt.Sprintf("its key leads to %q", place),
		Key: a.l.keys.owners + owner, Revision: rev})
	return nil
}
