package ledger

import (
	"context"
	"errors"
	"net/netip"

	"go.etcd.io/etcd/api/v3/mvccpb"
)

func notTorn(err error) bool { return !errors.Is(err, errTorn) }

// forgotten finds what memory has as taken and etcd has no entry of. Only blocks of which another number of entries was
// found than memory has are compared one by one.
func (a *audit) forgotten(ctx context.Context) error {
	for b, n := range a.l.counts() {
		if a.known[b] == n {
			continue
		}
		if err := a.compare(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

// counts are how many prefixes memory has as taken in each block.
func (l *Ledger) counts() map[*block]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := map[*block]int{}
	for _, p := range l.pools {
		for _, b := range p.blocks {
			out[b] = b.taken
		}
	}
	return out
}

// compare reads a block's entries once more.
func (a *audit) compare(ctx context.Context, b *block) error {
	missing := map[netip.Prefix]struct{}{}
	a.l.mu.Lock()
	for p := range b.space.All() {
		if !b.reserves(p) {
			missing[p] = struct{}{}
		}
	}
	a.l.mu.Unlock()
	from, end := a.l.keys.within(b.Pool, b.Prefix)
	if err := a.l.pages(ctx, from, end, func(kv *mvccpb.KeyValue) error {
		if _, p, err := parsePlace(kv.Key[len(a.l.keys.entries):]); err == nil {
			delete(missing, p)
		}
		return nil
	}); err != nil {
		return err
	}
	for p := range missing {
		if a.report.More {
			return nil
		}
		if err := a.missing(ctx, b, p); err != nil {
			return err
		}
	}
	return nil
}

// missing finds fault with a prefix if memory still has it, nothing is under way about it, and etcd still has no entry:
// what comes to be taken or free meanwhile shows in one of these looks.
func (a *audit) missing(ctx context.Context, b *block, p netip.Prefix) error {
	key := a.l.keys.entry(b.Pool, p)
	for range 2 {
		if a.l.moving(b, p) {
			return nil
		}
		resp, err := a.l.get(ctx, key)
		if err != nil || len(resp.Kvs) > 0 {
			return err
		}
	}
	if !a.l.moving(b, p) {
		a.find(Finding{Fault: OnlyInMemory, Pool: b.Pool, Prefix: p, Detail: "by memory it is taken, and there is no entry", Key: key})
	}
	return nil
}

// moving tells whether something is under way about a prefix, or memory has it as free.
func (l *Ledger) moving(b *block, p netip.Prefix) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !b.knows(p) {
		return true
	}
	for _, a := range l.flying {
		if a.entry.Pool == b.Pool && a.entry.Prefix == p {
			return true
		}
	}
	return false
}
