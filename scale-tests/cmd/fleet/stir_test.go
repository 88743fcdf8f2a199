package main

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestStirring changes ten applications a second for two seconds.
func TestStirring(t *testing.T) {
	for name, c := range map[string]struct {
		apps, writers   int
		each            time.Duration // what the hub takes to write one
		changes, merged int
		slowest         time.Duration // from due to acknowledged
	}{
		"the hub keeps up":           {50, 8, 100 * time.Millisecond, 20, 0, 100 * time.Millisecond},
		"writes lag, none is lost":   {50, 1, 200 * time.Millisecond, 20, 0, 2100 * time.Millisecond},
		"few applications, in time":  {2, 2, 100 * time.Millisecond, 20, 0, 100 * time.Millisecond},
		"few applications, too slow": {2, 2, 550 * time.Millisecond, 8, 12, 550 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &stirring{rate: 10, write: func(context.Context, *application, int) error {
					time.Sleep(c.each)
					return nil
				}}
				for range c.apps {
					s.apps = append(s.apps, &application{})
				}
				s.start(t.Context(), c.writers)
				time.Sleep(2050 * time.Millisecond)
				changes, figures, err := s.stop(nil)
				if err != nil {
					t.Fatal(err)
				}
				if figures.Changes != c.changes || len(changes) != c.changes || figures.Merged != c.merged {
					t.Errorf("got %d changes and %d merged, want %d and %d", figures.Changes, figures.Merged, c.changes, c.merged)
				}
				if got := time.Duration(figures.Acknowledged.Max * float64(time.Millisecond)); got != c.slowest {
					t.Errorf("the slowest was acknowledged after %s, want %s", got, c.slowest)
				}
				for _, change := range changes {
					if d := change.at.Sub(s.begun); d%(100*time.Millisecond) != 0 {
						t.Errorf("a change was due after %s, want a multiple of 100 ms", d)
					}
				}
			})
		})
	}
}

func TestStirringEndsWithTheFirstFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		s := &stirring{apps: []*application{{}, {}}, rate: 10, write: func(_ context.Context, _ *application, round int) error {
			if round == 3 {
				return broken
			}
			return nil
		}}
		ctx := s.start(t.Context(), 2)
		<-ctx.Done()
		changes, figures, err := s.stop(context.Cause(ctx))
		if err == nil || err.Error() != "broken" {
			t.Errorf("got %v, want %q once", err, broken)
		}
		if len(changes) != 4 || figures.Changes != 4 {
			t.Errorf("got %d changes, %d in the figures; want the 4 before", len(changes), figures.Changes)
		}
	})
}
