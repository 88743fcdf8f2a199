package term_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"go.uber.org/goleak"

	"github.com/meridian-federation/meridian/internal/store"
	"github.com/meridian-federation/meridian/internal/store/mem"
	"github.com/meridian-federation/meridian/internal/term"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestLead shows that work follows terms: it ends when a term is lost, and begins again with the next.
func TestLead(t *testing.T) {
	s := mem.New()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	terms := make(chan store.Term)
	causes := make(chan error, 10)
	done := make(chan error)
	go func() {
		done <- term.Lead(ctx, s, "a", slog.New(slog.DiscardHandler), func(ctx context.Context, t store.Term) error {
			terms <- t
			<-ctx.Done()
			causes <- context.Cause(ctx)
			return ctx.Err()
		})
	}()
	first := <-terms
	if err := first.Resign(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-causes; !errors.Is(err, store.ErrDeposed) {
		t.Errorf("the work ended with %v, want %v", err, store.ErrDeposed)
	}
	<-terms
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Lead = %v, want nil", err)
	}
	if _, err := s.Campaign(context.Background(), "b"); err != nil {
		t.Errorf("the term was not given up: %v", err)
	}
}

// TestLeadAfterFailure shows that work that fails gets another term.
func TestLeadAfterFailure(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	rounds := 0
	err := term.Lead(ctx, mem.New(), "a", slog.New(slog.DiscardHandler), func(context.Context, store.Term) error {
		if rounds++; rounds == 2 {
			cancel()
		}
		return errors.New("broken")
	})
	if err != nil || rounds != 2 {
		t.Errorf("Lead = %v after %d rounds, want nil after 2", err, rounds)
	}
}
