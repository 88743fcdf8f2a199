// Package term keeps a process leading its tier: it campaigns, does the leader's work for as long as the term lasts, and
// campaigns again. Tiers import it; it knows none of them.
package term

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/meridian-federation/meridian/internal/store"
)

// Pauses between two tries, when the store cannot be reached or the work failed: doubling from the first to the last.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
	// resigning is how long giving up a term may take.
	resigning = 2 * time.Second
)

// Campaigner grants terms; store.Store is one.
type Campaigner interface {
	Campaign(ctx context.Context, id string) (store.Term, error)
}

// Lead does work in each term that this process gets, until ctx ends, and returns nil then. The context of work ends with
// the term. Work that fails gives the term up, so that another process may try.
func Lead(ctx context.Context, s Campaigner, id string, log *slog.Logger, work func(context.Context, store.Term) error) error {
	pause := firstPause
	for ctx.Err() == nil {
		term, err := s.Campaign(ctx, id)
		if err != nil {
			if ctx.Err() == nil {
				log.Warn("campaigning", "error", err, "again", pause)
				pause = rest(ctx, pause)
			}
			continue
		}
		began := time.Now()
		log.Info("leading", "id", id)
		err = serve(ctx, term, work)
		resign(ctx, term, log)
		if ctx.Err() != nil {
			break
		}
		if time.Since(began) > lastPause {
			pause = firstPause
		}
		log.Warn("no longer leading", "error", err, "again", pause)
		pause = rest(ctx, pause)
	}
	return nil
}

// serve works until the work, the term or ctx ends.
func serve(ctx context.Context, term store.Term, work func(context.Context, store.Term) error) error {
	group, ctx := errgroup.WithContext(ctx)
	finished := make(chan struct{})
	group.Go(func() error {
		select {
		case <-term.Done():
			return store.ErrDeposed
		case <-finished:
			return nil
		}
	})
	group.Go(func() error {
		defer close(finished)
		if err := work(ctx, term); err != nil {
			return fmt.Errorf("leading: %w", err)
		}
		return nil
	})
	return group.Wait()
}

func resign(ctx context.Context, term store.Term, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), resigning)
	defer cancel()
	if err := term.Resign(ctx); err != nil && !errors.Is(err, store.ErrDeposed) {
		log.Warn("resigning", "error", err)
	}
}

// rest pauses, and returns the next pause.
func rest(ctx context.Context, pause time.Duration) time.Duration {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return min(2*pause, lastPause)
}
