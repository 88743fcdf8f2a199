package ipamgrpc

import (
	"context"
	"fmt"
	"sync"
)

// turns has one call at a time work on an owner, from charge to settle: what is counted is then in the order of what the
// ledger did.
type turns struct {
	mu    sync.Mutex
	taken map[string]chan struct{} // guarded by mu: closed when the turn has ended
}

// take waits until it is the turn of all owners, none of which is named twice; done ends it.
func (t *turns) take(ctx context.Context, owners []string) (done func(), err error) {
	for {
		busy, done := t.try(owners)
		if busy == nil {
			return done, nil
		}
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for another request of the same owner: %w", ctx.Err())
		}
	}
}

// try takes all turns or none; busy is then one that is in the way.
func (t *turns) try(owners []string) (busy <-chan struct{}, done func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, owner := range owners {
		if c := t.taken[owner]; c != nil {
			return c, nil
		}
	}
	turn := make(chan struct{})
	for _, owner := range owners {
		t.taken[owner] = turn
	}
	return nil, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		for _, owner := range owners {
			delete(t.taken, owner)
		}
		close(turn)
	}
}
