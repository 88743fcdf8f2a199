package clusteragent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/meridian-federation/meridian/internal/feed"
)

// run renews the Lease until ctx ends, or returns errLost.
func (l *lease) run(ctx context.Context) error {
	tick := time.NewTicker(renewEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		for {
			err := l.write(ctx)
			if err == nil || ctx.Err() != nil {
				break
			}
			if errors.Is(err, errLost) {
				return err
			}
			l.log.Warn("renewing the lease", "error", err)
			pause(ctx, leaseRetry)
		}
	}
}

// enter is the workers' gate: a worker writes only so long after a renewal.
func (l *lease) enter(ctx context.Context) (context.Context, context.CancelFunc, error) {
	for {
		l.mu.Lock()
		renewed, opened := l.renewed, l.opened
		l.mu.Unlock()
		if !renewed.IsZero() && time.Since(renewed) < writeFor {
			ctx, cancel := context.WithDeadline(ctx, renewed.Add(leaseDuration))
			return ctx, cancel, nil
		}
		select {
		case <-opened:
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
	}
}

// holding tells whether this agent may write now.
func (l *lease) holding() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.renewed.IsZero() && time.Since(l.renewed) < writeFor
}

// keep takes a new state. It returns when the Lease says so, or at once where the next renewal is soon enough.
func (l *lease) keep(ctx context.Context, state feed.State) error {
	l.mu.Lock()
	l.state = state
	now := urgent(l.kept, state)
	l.mu.Unlock()
	if !now {
		return nil
	}
	for {
		err := l.write(ctx)
		if err == nil || errors.Is(err, errLost) {
			return err
		}
		l.log.Warn("keeping the state", "error", err)
		pause(ctx, leaseRetry)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// accept is keep for the state of a batch: a fence below the one that is kept is of an earlier owner of this cluster.
func (l *lease) accept(ctx context.Context, state feed.State) error {
	l.mu.Lock()
	kept := l.kept.Fence
	l.mu.Unlock()
	if state.Fence.Epoch == kept.Epoch && state.Fence.Fence < kept.Fence {
		return fmt.Errorf("the batch has the fence %s, and %s was seen", state.Fence, kept)
	}
	return l.keep(ctx, state)
}

// learn takes the addresses of the zone's replicas, which the next renewal keeps.
func (l *lease) learn(addresses []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.peers = addresses
}

// addresses are those that were learned, here or in an earlier run.
func (l *lease) addresses() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.peers
}

// close closes the gate.
func (l *lease) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.renewed = time.Time{}
}

// release writes the state and gives the Lease up, so that a standby need not wait. Nothing is written after it.
func (l *lease) release(ctx context.Context) error {
	if !l.holding() {
		return nil
	}
	l.writing.Lock()
	defer l.writing.Unlock()
	l.close()
	next, _, err := l.next("")
	if err != nil {
		return err
	}
	if _, err := l.send(ctx, next); err != nil {
		return fmt.Errorf("releasing the lease: %w", err)
	}
	return nil
}
