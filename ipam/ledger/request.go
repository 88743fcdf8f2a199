package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"

	"github.com/meridian-federation/meridian/internal/store"
)

// requestTimeout ends a request that etcd neither answers nor refuses.
const requestTimeout = 5 * time.Second

// pageTimeout ends the reading of a page, which may be much: where it does not suffice no term ever begins.
const pageTimeout = 30 * time.Second

// Causes of a request that was ended so.
var (
	errSilent     = fmt.Errorf("etcd did not answer in %v", requestTimeout)
	errSilentPage = fmt.Errorf("etcd did not answer in %v", pageTimeout)
)

// patient ends with a cause when a time is over. It has no deadline: gRPC would send what is left of it along, a header that
// is another each time, of which HTTP/2 compresses nothing, and etcd would begin a timer for it.
func patient(ctx context.Context, d time.Duration, cause error) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(d, func() { cancel(cause) })
	return ctx, func() {
		timer.Stop()
		cancel(nil)
	}
}

// whyEnded is why a request failed: where patience was over, that alone. That it was then cancelled would tell a caller that he
// had left.
func whyEnded(ctx context.Context, silent, err error) error {
	switch cause := context.Cause(ctx); {
	case cause == nil || errors.Is(err, cause):
		return err
	case cause == silent && errors.Is(err, context.Canceled):
		return cause
	default:
		return fmt.Errorf("%w: %w", cause, err)
	}
}

// txn is one transaction.
type txn struct {
	compare         []clientv3.Cmp
	then, otherwise []clientv3.Op
}

// answers reads the responses of one transaction after another.
type answers struct {
	resp *clientv3.TxnResponse
	at   int
}

func (r *answers) next() *mvccpb.KeyValue {
	kvs := r.resp.Responses[r.at].GetResponseRange().GetKvs()
	r.at++
	if len(kvs) == 0 {
		return nil
	}
	return kvs[0]
}

// modRevision is 0 for no key.
func modRevision(kv *mvccpb.KeyValue) int64 {
	if kv == nil {
		return 0
	}
	return kv.ModRevision
}

// commit does a transaction that writes. Those of which somebody must hear the end are given the ledger's own context.
//
// It reads as well whether etcd still has the last change that was answered: one that is set back beneath a ledger that
// goes on may be past the old revision soon, by what others write.
func (l *Ledger) commit(ctx context.Context, t txn) (*clientv3.TxnResponse, error) {
	last := l.witness.known()
	shown := []clientv3.Op{clientv3.OpGet(l.keys.root + last.key), clientv3.OpGet(l.keys.swept)}
	t.then, t.otherwise = append(shown, t.then...), append(shown, t.otherwise...)
	resp, err := l.send(ctx, t)
	if err != nil {
		return nil, err
	}
	r := &answers{resp: resp}
	f := found{mark: r.next(), swept: modRevision(r.next())}
	f.Epoch, f.Revision = last.Epoch, resp.Header.Revision // another epoch would have another holder
	if err := f.check(last); err != nil {
		l.end(err)
		return nil, err
	}
	resp.Responses = resp.Responses[r.at:]
	return resp, nil
}

// attempt does a transaction that writes, and compares instead of reading whether etcd has the last change as it was written,
// which costs less. Where it is not done that may be for no more than a later change of the same key: commit tells.
func (l *Ledger) attempt(ctx context.Context, t txn) (*clientv3.TxnResponse, error) {
	last := l.witness.known()
	key := l.keys.root + last.key
	shows := unchanged(key, last.Revision)
	if key == l.keys.swept { // many write it at once
		shows = clientv3.Compare(clientv3.ModRevision(key), ">", last.Revision-1)
	}
	t.compare = append(t.compare, shows)
	return l.send(ctx, t)
}

// send does a transaction.
func (l *Ledger) send(ctx context.Context, t txn) (*clientv3.TxnResponse, error) {
	before := l.seen.Load()
	ctx, cancel := patient(ctx, requestTimeout, errSilent)
	defer cancel()
	resp, err := l.client.Txn(ctx).If(t.compare...).Then(t.then...).Else(t.otherwise...).Commit()
	if err != nil {
		return nil, whyEnded(ctx, errSilent, err)
	}
	return resp, l.look(before, resp.Header.Revision)
}

// get reads. It ends with the ledger, too.
func (l *Ledger) get(ctx context.Context, key string, opts ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	return l.getWithin(ctx, requestTimeout, errSilent, key, opts...)
}

func (l *Ledger) getWithin(ctx context.Context, patience time.Duration, silent error, key string, opts ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	if err := l.lost(); err != nil {
		return nil, err
	}
	before := l.seen.Load()
	ctx, cancel := patient(ctx, patience, silent)
	defer cancel()
	defer context.AfterFunc(l.ctx, cancel)()
	resp, err := l.client.Get(ctx, key, opts...)
	if err != nil {
		err = whyEnded(ctx, silent, err)
		if lost := l.lost(); lost != nil {
			err = lost
		}
		return nil, fmt.Errorf("reading etcd: %w", err)
	}
	return resp, l.look(before, resp.Header.Revision)
}

// look ends the ledger where etcd's answer is of before what it had answered when it was asked.
func (l *Ledger) look(before, now int64) error {
	if now < before {
		known := store.Position{Epoch: l.epoch, Revision: before}
		back := &SetBack{Witnessed: known, Found: store.Position{Epoch: l.epoch, Revision: now}}
		l.end(back)
		return back
	}
	for {
		seen := l.seen.Load()
		if now <= seen || l.seen.CompareAndSwap(seen, now) {
			return nil
		}
	}
}

// refused tells whether an error of a transaction means that etcd has not done it, and will not.
func refused(err error) bool {
	var told rpctypes.EtcdError
	if !errors.As(err, &told) {
		return false
	}
	switch told.Code() {
	case codes.InvalidArgument, codes.ResourceExhausted, codes.PermissionDenied, codes.Unauthenticated, codes.FailedPrecondition:
		return true
	default:
		return false
	}
}

// explain says what a person can do about etcd's refusal.
func explain(err error) error {
	if errors.Is(err, rpctypes.ErrNoSpace) {
		return fmt.Errorf("%w: etcd is out of space: compact it, defragment it and disarm its alarm, or raise its quota: %w",
			store.ErrFull, err)
	}
	return fmt.Errorf("writing to etcd: %w", err)
}

// Between two tries while etcd does not answer.
const (
	firstPause = 20 * time.Millisecond
	lastPause  = time.Second
)

// pause is how long to wait before a further try.
func pause(try int) time.Duration { return min(firstPause<<min(try, 10), lastPause) }

// wait returns the reason where ctx or the ledger ends before the time is over.
func (l *Ledger) wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-l.ctx.Done():
		return l.lost()
	case <-ctx.Done():
		return ctx.Err()
	}
}
