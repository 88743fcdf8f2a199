package ledger

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"math/rand/v2"
	"os"
	"strconv"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/meridian-federation/meridian/internal/store"
)

// Repair accepts an etcd that was set back: it gives the ledger a new epoch, deposes whoever has it open, and reports what
// in it contradicts itself. After it Open succeeds. What was allocated and lost is not known here: its owners have to ask
// again, and what others were given meanwhile has to be looked for where it is used. An etcd that has lost nothing keeps
// its epoch. Once is enough for all processes that remember no more than this one does, or than etcd has by now; one that
// remembers more is refused until it is accepted there as well.
func Repair(ctx context.Context, cfg Config) (Report, error) {
	report, err := repair(ctx, cfg)
	if err != nil {
		return Report{}, fmt.Errorf("repairing the ledger: %w", err)
	}
	return report, nil
}

func repair(ctx context.Context, cfg Config) (report Report, err error) {
	l, err := newLedger(cfg)
	if errors.Is(err, errDamaged) {
		if err := os.Remove(cfg.Witness); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return Report{}, fmt.Errorf("removing the damaged witness: %w", err)
		}
		l, err = newLedger(cfg)
	}
	if err != nil {
		return Report{}, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	found, err := l.find(ctx)
	if err != nil {
		return Report{}, err
	}
	a := &audit{l: l, seed: maphash.MakeSeed()}
	if err := a.run(ctx); err != nil {
		return Report{}, err
	}
	a.report.Position = found.Position
	if found.check(l.witness.known()) != nil {
		a.report.Position, err = l.renew(ctx, found)
	}
	return a.report, err
}

// renew writes a new epoch, and the holder's key, which fences off whoever has the ledger open. It notes how the epochs before it
// ended, the one that is found and the one that is remembered, so that other processes, with witnesses of those, open the ledger.
func (l *Ledger) renew(ctx context.Context, f found) (store.Position, error) {
	l.epoch = rand.Uint64() | 1 // never zero
	known := l.witness.known()
	ends := map[uint64]int64{f.Epoch: 0}
	ends[known.Epoch] = max(known.Revision, f.accepted)
	delete(ends, 0)
	ops := []clientv3.Op{
		clientv3.OpPut(l.keys.epoch, encodeEpoch(l.epoch)),
		clientv3.OpPut(l.keys.holder, "repaired "+l.now().UTC().Format(time.RFC3339)),
	}
	for epoch, revision := range ends {
		ops = append(ops, clientv3.OpPut(l.keys.endOf(epoch), strconv.FormatInt(revision, 10)))
	}
	resp, err := l.send(ctx, txn{
		compare: []clientv3.Cmp{unchanged(l.keys.epoch, f.epoch), unchanged(l.keys.holder, f.holder)},
		then:    ops,
	})
	switch {
	case err != nil:
		return store.Position{}, fmt.Errorf("writing a new epoch: %w", err)
	case !resp.Succeeded:
		return store.Position{}, fmt.Errorf("writing a new epoch: %w", ErrDeposed)
	}
	m := mark{store.Position{Epoch: l.epoch, Revision: resp.Header.Revision}, l.keys.relative(l.keys.epoch)}
	if err := l.witness.record(m); err != nil {
		return store.Position{}, err
	}
	l.log.Warn("the ledger of addresses was given a new epoch", "epoch", fmt.Sprintf("%x", l.epoch), "was", fmt.Sprintf("%x", f.Epoch))
	return m.Position, nil
}

// Mend removes what a report names as leaked, if it still is as reported, and returns how many that were: owners' keys
// that lead to no entry go, and entries that nobody can release go into quarantine, or are free where there is none.
func (l *Ledger) Mend(ctx context.Context, r Report) (int, error) {
	mended := 0
	for _, f := range r.Findings {
		var done bool
		var err error
		switch f.Fault {
		case OwnerWithoutEntry:
			done, err = l.mendOwner(ctx, f)
		case EntryWithoutOwner:
			done, err = l.mendEntry(ctx, f)
		}
		if err != nil {
			return mended, fmt.Errorf("mending %s: %w", f.Key, err)
		}
		if done {
			mended++
		}
	}
	return mended, nil
}

// mendOwner removes an owner's key. That is always written with its entry, so that as long as it has not changed there is
// no entry for it.
func (l *Ledger) mendOwner(ctx context.Context, f Finding) (bool, error) {
	resp, err := l.commit(ctx, txn{
		compare: []clientv3.Cmp{unchanged(l.keys.holder, l.holder), unchanged(l.keys.owners+f.Owner, f.Revision)},
		then:    []clientv3.Op{clientv3.OpDelete(l.keys.owners + f.Owner)},
	})
	if err != nil {
		return false, unknown(err)
	}
	return resp.Succeeded, nil
}

// mendEntry begins the quarantine of an entry.
func (l *Ledger) mendEntry(ctx context.Context, f Finding) (bool, error) {
	resp, err := l.get(ctx, l.keys.entry(f.Pool, f.Prefix))
	if err != nil || len(resp.Kvs) == 0 || resp.Kvs[0].ModRevision != f.Revision {
		return false, err
	}
	e, err := l.keys.decodeEntry(resp.Kvs[0])
	if err != nil {
		return false, err
	}
	a := newAsk(mend)
	l.mu.Lock()
	a.pool, a.held, a.entry = l.pool(e.Pool, e.Prefix), e.Revision, e
	a.entry.Until = l.until(a)
	if err := l.lost(); err != nil || l.flying[a.flight()] != nil {
		l.mu.Unlock()
		return false, err
	}
	l.flying[a.flight()] = a
	l.enqueue(a)
	l.mu.Unlock()
	select {
	case <-a.done:
	case <-ctx.Done():
		return false, unknown(ctx.Err())
	}
	if errors.Is(a.err, errAgain) {
		return false, nil
	}
	return a.err == nil, a.err
}
