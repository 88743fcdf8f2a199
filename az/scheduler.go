package az

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/meridian-federation/meridian/internal/intake"
	"github.com/meridian-federation/meridian/internal/store"
)

// schedulerPause is how long the scheduler waits after a write that failed.
const schedulerPause = 200 * time.Millisecond

// scheduler turns assignments into bindings, for one term.
type scheduler struct {
	mirror *store.Mirror
	writer intake.Writer
	intake *intake.Intake
	sums   *sums
	news   *news
	log    *slog.Logger
}

// run decides whenever something changed, until ctx or the term ends.
func (s *scheduler) run(ctx context.Context) error {
	w, err := decodeWeights(s.mirror.Snapshot().Meta(metaWeights))
	if err != nil {
		return err
	}
	p := newPlanner(w, s.sums.settled, s.intake.Retained)
	s.sums.recount()
	group, ctx := errgroup.WithContext(ctx)
	updates := make(chan store.Update)
	group.Go(func() error { return follow(ctx, s.mirror, updates) })
	group.Go(func() error {
		for {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case u := <-updates:
				p.apply(u.Changes)
				s.sums.apply(u.Changes)
			case <-s.news.wake:
			}
			s.hear(p)
			if err := s.decide(ctx, p); err != nil {
				return err
			}
		}
	})
	return group.Wait()
}

// hear takes in the news.
func (s *scheduler) hear(p *planner) {
	apps, nodes := s.news.take()
	for cluster, n := range nodes {
		p.observe(cluster, n)
	}
	for app := range apps {
		if p.leaving(app) {
			p.mark(app)
		}
	}
}

// decide writes what follows from all that is known. A write that fails is tried again until the term ends; what it is
// is decided anew each time.
func (s *scheduler) decide(ctx context.Context, p *planner) error {
	for {
		d := p.decide(s.mirror.Snapshot())
		err := s.write(ctx, d)
		if err == nil {
			s.sums.scheduled(d.problems)
			return nil
		}
		if errors.Is(err, store.ErrDeposed) || ctx.Err() != nil {
			return err
		}
		s.log.Warn("writing bindings", "error", err, "again", schedulerPause)
		p.again(d)
		timer := time.NewTimer(schedulerPause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

func (s *scheduler) write(ctx context.Context, d decision) error {
	if len(d.writes)+len(d.meta) > 0 {
		changed, err := s.writer.Apply(ctx, d.writes, d.meta)
		if err != nil {
			return fmt.Errorf("writing %d bindings: %w", len(d.writes), err)
		}
		s.log.Debug("bindings written", "changed", changed)
	}
	if len(d.spent) > 0 {
		return s.intake.Sweep(ctx, d.spent)
	}
	return nil
}

// follow hands on a mirror's updates until ctx ends.
func follow(ctx context.Context, mirror *store.Mirror, out chan<- store.Update) error {
	sub := mirror.Subscribe()
	defer sub.Close()
	for {
		u, err := sub.Next(ctx)
		if err != nil {
			return fmt.Errorf("following the mirror: %w", err)
		}
		select {
		case out <- u:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
