package ledger

import (
	"context"
	"fmt"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"
)

// pageSize is how many keys are read at once. For each page etcd counts all the keys that remain, which speaks for large
// ones.
const pageSize = 50_000

// pages calls fn with the keys in [from, end), the next page being read meanwhile. What is written while it reads may be
// among them or not.
func (l *Ledger) pages(ctx context.Context, from, end string, fn func(*mvccpb.KeyValue) error) error {
	group, ctx := errgroup.WithContext(ctx)
	read := make(chan []*mvccpb.KeyValue)
	group.Go(func() error {
		defer close(read)
		for {
			resp, err := l.getWithin(ctx, pageTimeout, errSilentPage, from, clientv3.WithRange(end), clientv3.WithLimit(pageSize))
			if err != nil {
				return fmt.Errorf("reading %s: %w", from, err)
			}
			select {
			case read <- resp.Kvs:
			case <-ctx.Done():
				return ctx.Err()
			}
			if !resp.More {
				return nil
			}
			from = string(resp.Kvs[len(resp.Kvs)-1].Key) + "\x00"
		}
	})
	group.Go(func() error {
		for kvs := range read {
			for _, kv := range kvs {
				if err := fn(kv); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return group.Wait()
}

// loadEntries has memory say what is taken. An entry that cannot be, by the blocks or by another entry, is left to Audit
// to tell of; it stays in etcd, and nothing there is ever overwritten.
func (l *Ledger) loadEntries(ctx context.Context) error {
	strange := 0
	err := l.pages(ctx, l.keys.entries, clientv3.GetPrefixRangeEnd(l.keys.entries), func(kv *mvccpb.KeyValue) error {
		if !l.know(kv) {
			strange++
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading entries: %w", err)
	}
	if strange > 0 {
		l.log.Warn("entries that lie in no block, overlap others or cannot be read; an audit names them", "entries", strange)
	}
	return nil
}

// know has memory know an entry: taken, or in quarantine. It tells whether that makes sense.
func (l *Ledger) know(kv *mvccpb.KeyValue) bool {
	name, prefix, err := parsePlace(kv.Key[len(l.keys.entries):])
	if err != nil {
		return false
	}
	until, err := untilOf(kv.Value)
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.pool(name, prefix)
	b := p.at(prefix)
	sound := b != nil && b.space.TakeAt(prefix) == nil
	if sound {
		b.taken++
	}
	if err == nil && until != 0 {
		l.rest(quarantine{until, p, prefix, kv.ModRevision})
	}
	return sound && err == nil
}
