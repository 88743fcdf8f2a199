package etcd

import (
	"context"
	"errors"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/meridian-federation/meridian/internal/store"
)

func TestRequestErrors(t *testing.T) {
	s := newStore(Config{}.withDefaults())
	defer s.stop()
	tests := map[string]struct {
		got, want error
	}{
		"too long":             {rpctypes.ErrTimeout, context.DeadlineExceeded},
		"too long, no leader":  {rpctypes.ErrTimeoutDueToLeaderFail, context.DeadlineExceeded},
		"too long, alone":      {rpctypes.ErrTimeoutDueToConnectionLost, context.DeadlineExceeded},
		"too long, behind":     {rpctypes.ErrTimeoutWaitAppliedIndex, context.DeadlineExceeded},
		"full":                 {rpctypes.ErrNoSpace, store.ErrFull},
		"anything else":        {rpctypes.ErrNoLeader, rpctypes.ErrNoLeader},
		"nothing, so no error": {nil, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := request(t.Context(), s, func(context.Context) (int, error) { return 0, tt.got })
			if !errors.Is(err, tt.want) || !errors.Is(err, tt.got) {
				t.Errorf("got %v, want %v and %v", err, tt.want, tt.got)
			}
			if late := errors.Is(err, context.DeadlineExceeded); late != (tt.want == context.DeadlineExceeded) {
				t.Errorf("%v counts as too late: %t", err, late)
			}
		})
	}
}

// TestRequestEndsWithTheStore has a request that etcd does not answer when the store is closed.
func TestRequestEndsWithTheStore(t *testing.T) {
	s := newStore(Config{}.withDefaults())
	_, err := request(t.Context(), s, func(ctx context.Context) (int, error) {
		s.stop()
		<-ctx.Done()
		return 0, ctx.Err()
	})
	if !errors.Is(err, errClosed) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want %v before the request's own end", err, errClosed)
	}
}
