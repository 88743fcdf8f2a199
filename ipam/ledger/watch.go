package ledger

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Watch calls fn with all entries that q selects (its From and Limit mean nothing), and then with each change, until ctx
// ends, fn fails, whose error it returns, or etcd does not answer any more. A release is an entry with Until, unless its
// pool has no quarantine.
func (l *Ledger) Watch(ctx context.Context, q Query, fn func(Event) error) error {
	at, err := l.tellAll(ctx, q, fn)
	if err != nil {
		return err
	}
	under := l.keys.entries
	if q.Pool != "" {
		under += q.Pool + "/"
	}
	wctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	defer context.AfterFunc(l.ctx, cancel)()
	for resp := range l.client.Watch(wctx, under, clientv3.WithPrefix(), clientv3.WithRev(at+1), clientv3.WithPrevKV()) {
		if err := resp.Err(); err != nil {
			return fmt.Errorf("watching entries: %w", err)
		}
		for _, ev := range resp.Events {
			if err := l.tellEvent(q, ev, fn); err != nil {
				return err
			}
		}
	}
	return errors.Join(ctx.Err(), l.lost())
}

// tellAll tells what there is at one revision, and which that is.
func (l *Ledger) tellAll(ctx context.Context, q Query, fn func(Event) error) (at int64, err error) {
	q.Limit, q.From = 0, ""
	for {
		entries, next, now, err := l.page(ctx, q, at)
		if err != nil {
			return 0, fmt.Errorf("watching entries: %w", err)
		}
		for _, e := range entries {
			if err := fn(Event{Entry: e}); err != nil {
				return 0, err
			}
		}
		if q.From, at = next, now; next == "" {
			return at, nil
		}
	}
}

func (l *Ledger) tellEvent(q Query, ev *clientv3.Event, fn func(Event) error) error {
	kv, gone := ev.Kv, ev.Type == mvccpb.Event_DELETE
	if gone && ev.PrevKv != nil {
		kv = ev.PrevKv
	}
	var e Entry
	var err error
	if len(kv.Value) > 0 {
		e, err = l.keys.decodeEntry(kv)
	} else { // what it was is no longer kept
		e.Pool, e.Prefix, err = parsePlace(kv.Key[len(l.keys.entries):])
	}
	if err != nil {
		return fmt.Errorf("watching entries: %w", err)
	}
	if !strings.HasPrefix(e.Owner, q.OwnerPrefix) {
		return nil
	}
	e.Revision = ev.Kv.ModRevision
	return fn(Event{Entry: e, Gone: gone})
}
