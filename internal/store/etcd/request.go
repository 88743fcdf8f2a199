package etcd

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/meridian-federation/meridian/internal/store"
)

// request bounds one request in time, and by the store's own end.
func request[T any](ctx context.Context, s *Store, do func(context.Context) (T, error)) (T, error) {
	if s.ctx.Err() != nil {
		var none T
		return none, errClosed
	}
	ctx, cancel := context.WithTimeoutCause(ctx, requestTimeout, fmt.Errorf("etcd did not answer in %v", requestTimeout))
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	out, err := do(ctx)
	if errors.Is(err, rpctypes.ErrNoSpace) {
		err = fmt.Errorf("%w: etcd is out of space: compact it, defragment it and disarm its alarm, or raise its quota: %w",
			store.ErrFull, err)
	}
	if timedOut(err) {
		err = fmt.Errorf("%w: %w", context.DeadlineExceeded, err)
	}
	if err != nil && s.ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", errClosed, err)
	}
	if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(err, cause) {
		err = fmt.Errorf("%w: %w", cause, err)
	}
	return out, err
}

// timedOut tells whether etcd answered that it could not do in its own time what was asked, as one without quorum does.
func timedOut(err error) bool {
	for _, is := range []error{rpctypes.ErrTimeout, rpctypes.ErrTimeoutDueToLeaderFail, rpctypes.ErrTimeoutDueToConnectionLost,
		rpctypes.ErrTimeoutWaitAppliedIndex} {
		if errors.Is(err, is) {
			return true
		}
	}
	return false
}

func (s *Store) get(ctx context.Context, key string, opts ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	return request(ctx, s, func(ctx context.Context) (*clientv3.GetResponse, error) {
		return s.client.Get(ctx, key, opts...)
	})
}

// txn writes, or reads instead, depending on one comparison.
func (s *Store) txn(ctx context.Context, cmp clientv3.Cmp, then []clientv3.Op, otherwise ...clientv3.Op) (*clientv3.TxnResponse, error) {
	return request(ctx, s, func(ctx context.Context) (*clientv3.TxnResponse, error) {
		return s.client.Txn(ctx).If(cmp).Then(then...).Else(otherwise...).Commit()
	})
}
