package ledger

import (
	"context"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"
)

// syncEvery bounds how often the witness goes to the disk.
const syncEvery = time.Second

// Run ends quarantines at their time, until ctx ends, whose error it returns, the ledger is closed (ErrClosed), or another
// process has opened it (ErrDeposed), or etcd was set back (ErrSetBack).
func (l *Ledger) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return l.sweep(ctx) })
	group.Go(func() error { return l.guard(ctx) })
	group.Go(func() error { return l.keep(ctx) })
	return group.Wait()
}

// guard watches for another process that opens the ledger.
func (l *Ledger) guard(ctx context.Context) error {
	for try := 0; ; try++ {
		resp, err := l.get(ctx, l.keys.holder)
		if err == nil {
			try = 0
			if len(resp.Kvs) == 0 || resp.Kvs[0].ModRevision != l.holder {
				l.end(ErrDeposed)
				return l.lost()
			}
			l.watchHolder(ctx, resp.Header.Revision)
		}
		if err := l.wait(ctx, pause(try)); err != nil {
			return err
		}
	}
}

// watchHolder returns when the holder's key has changed since a revision, or etcd does not answer any more.
func (l *Ledger) watchHolder(ctx context.Context, since int64) {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	defer context.AfterFunc(l.ctx, cancel)()
	for resp := range l.client.Watch(ctx, l.keys.holder, clientv3.WithRev(since+1)) {
		if resp.Err() != nil || len(resp.Events) > 0 {
			return
		}
	}
}

// keep has the witness on the disk soon after it was written.
func (l *Ledger) keep(ctx context.Context) error {
	for {
		select {
		case <-l.witness.dirty:
			if err := l.witness.sync(); err != nil {
				l.often.Do(func() { l.log.Error("an etcd that is set back may go unnoticed", "error", err) })
			}
		case <-l.ctx.Done():
			return l.lost()
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := l.wait(ctx, syncEvery); err != nil {
			return err
		}
	}
}
