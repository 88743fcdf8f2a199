package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// verb is what is done to an application.
type verb int

const (
	create verb = iota
	update
	remove
)

func (v verb) String() string { return [...]string{"creating", "updating", "deleting"}[v] }

// target is where applications are created, updated and deleted.
type target interface {
	// lanes is the number of API servers to which each application is written, each by workers of its own.
	lanes() int
	// do does one thing to one application at one API server.
	do(ctx context.Context, lane int, v verb, a app) error
	// settle returns when nothing is left to be done for the applications, all of which are in every cluster. It is
	// called after the clusters have been seen to be right, and is counted in CPU time, not in walls.
	settle(ctx context.Context, present int) error
}

// write does one thing to all applications, in their order, with so many workers for each lane, and returns when each
// was begun.
func write(ctx context.Context, t target, v verb, list []app, workers int) (map[string]time.Time, error) {
	var mu sync.Mutex
	begun := make(map[string]time.Time, len(list))
	g, ctx := errgroup.WithContext(ctx)
	for lane := range t.lanes() {
		var next atomic.Int64
		for range workers {
			g.Go(func() error {
				for i := int(next.Add(1)) - 1; i < len(list); i = int(next.Add(1)) - 1 {
					now := time.Now()
					mu.Lock()
					if before, ok := begun[list[i].name]; !ok || now.Before(before) {
						begun[list[i].name] = now
					}
					mu.Unlock()
					if err := t.do(ctx, lane, v, list[i]); err != nil {
						return fmt.Errorf("%s %s: %w", v, list[i].name, err)
					}
				}
				return nil
			})
		}
	}
	return begun, g.Wait()
}
