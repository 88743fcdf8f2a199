package store_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/meridian-federation/meridian/internal/store"
)

// TestUnbroken tells who began before a store was set back, and not who begins after, nor anybody when the store has only
// forgotten its history.
func TestUnbroken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, nil)
		if err := f.mirror.WaitReady(f.ctx); err != nil {
			t.Fatal(err)
		}
		backup := f.store.Copy()
		f.commit(t, put("a", "1"))
		f.commit(t, put("a", "2"))
		synctest.Wait()
		unbroken := f.mirror.Unbroken()
		told := make(chan error, 1)
		go func() { told <- unbroken(f.ctx) }()

		f.store.Compact()
		f.commit(t, put("a", "3"))
		synctest.Wait()
		select {
		case err := <-told:
			t.Fatalf("a store that forgot its history: got %v, want nothing", err)
		default:
		}

		f.store.Restore(backup)
		if err := <-told; !errors.Is(err, store.ErrSetBack) {
			t.Errorf("a store that was set back: got %v, want ErrSetBack", err)
		}
		ended, end := context.WithCancel(f.ctx)
		end()
		if err := f.mirror.Unbroken()(ended); !errors.Is(err, context.Canceled) {
			t.Errorf("who begins after: got %v, want to wait until the context ends", err)
		}
	})
}
