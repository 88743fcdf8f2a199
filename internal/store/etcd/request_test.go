package etcd

import (
	"context"
	"errors"
	"testing"
)

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
