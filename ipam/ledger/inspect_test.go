package ledger_test

import (
	"context"
	"errors"
	"testing"

	"github.com/meridian-federation/meridian/ipam/ledger"
)

// TestInTheWayNoMore takes away what was in the way of an allocation before the ledger can look what it was.
func TestInTheWayNoMore(t *testing.T) {
	l, line, cfg := shaky(t)
	put(t, l, services, block("10.0.0.0/24"))
	const key = "/tier/space/owners/a"
	line.next(func(ctx context.Context, send func(context.Context) error) error {
		if _, err := cfg.Client.Put(ctx, key, "services/0a000001/32"); err != nil {
			t.Error(err)
		}
		err := send(ctx)
		if _, err := cfg.Client.Delete(ctx, key); err != nil {
			t.Error(err)
		}
		return err
	})
	before := line.transactions()
	allocate(t, l, anyOf("a", 32))
	if n := line.transactions() - before; n != 3 {
		t.Errorf("got %d transactions, want the first, one that reads, and another", n)
	}
	sound(t, l, 1)
}

// TestInspectionLost has etcd answer for a while nothing of what was in the way.
func TestInspectionLost(t *testing.T) {
	l, line, _ := shaky(t)
	put(t, l, services, block("10.0.0.0/24"))
	has := allocate(t, l, anyOf("a", 32))
	left := 3
	line.next(func(ctx context.Context, send func(context.Context) error) error {
		line.always(func(ctx context.Context, send func(context.Context) error) error {
			if left--; left == 0 {
				line.always(nil)
			}
			return replyLost(ctx, send)
		})
		return send(ctx)
	})
	var conflict *ledger.Conflict
	if e, err := l.Allocate(bounded(t), anyOf("a", 31)); !errors.As(err, &conflict) || conflict.Holds != has {
		t.Errorf("got %+v, %v, want a conflict with %+v", e, err, has)
	}
	if left != 0 {
		t.Errorf("%d replies were left to be lost, want none", left)
	}
	sound(t, l, 1)
}

// TestLastChangeWrittenAgain has what the last change wrote written again by another: nothing is lost by that, and the
// ledger goes on.
func TestLastChangeWrittenAgain(t *testing.T) {
	l, _, cfg := shaky(t)
	put(t, l, services, block("10.0.0.0/24"))
	allocate(t, l, exactly("a", "10.0.0.1/32"))
	key := "/tier/space/entries/services/0a000001/32"
	is, err := cfg.Client.Get(bounded(t), key)
	if err != nil || len(is.Kvs) != 1 {
		t.Fatalf("reading %s: got %v, %v", key, is, err)
	}
	if _, err := cfg.Client.Put(bounded(t), key, string(is.Kvs[0].Value)); err != nil {
		t.Fatal(err)
	}
	allocate(t, l, exactly("b", "10.0.0.2/32"))
	if e, err := l.Get(bounded(t), "b"); err != nil || e.Prefix != prefix("10.0.0.2/32") {
		t.Errorf("got %+v, %v, want what was allocated", e, err)
	}
}
