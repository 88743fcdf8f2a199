package ledger_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/meridian-federation/meridian/ipam/ledger"
)

// TestDeposed opens a ledger while another process has it open, which then can do nothing any more.
func TestDeposed(t *testing.T) {
	cfg := alone(t)
	old := open(t, cfg)
	put(t, old, services, block("10.0.0.0/30"))
	held := allocate(t, old, anyOf("a", 32))
	ended := run(t, old)
	next := open(t, cfg)
	if got, err := next.Get(bounded(t), "a"); err != nil || got != held {
		t.Errorf("got %+v, %v, want %+v", got, err, held)
	}
	if err := <-ended; !errors.Is(err, ledger.ErrDeposed) {
		t.Errorf("run: got %v, want %v", err, ledger.ErrDeposed)
	}
	allocate(t, next, anyOf("b", 32))
	sound(t, next, 2)
}

// TestDeposedUnawares opens a ledger while another process has it open and does not watch: whatever that tries is refused
// by etcd, since each act compares what the new process has written.
func TestDeposedUnawares(t *testing.T) {
	tests := []struct {
		name string
		do   func(context.Context, *ledger.Ledger) error
	}{
		{"allocating", func(ctx context.Context, l *ledger.Ledger) error {
			_, err := l.Allocate(ctx, anyOf("b", 32))
			return err
		}},
		{"releasing", func(ctx context.Context, l *ledger.Ledger) error {
			_, err := l.Release(ctx, "a")
			return err
		}},
		{"adding a block", func(ctx context.Context, l *ledger.Ledger) error {
			return l.PutBlock(ctx, services, block("10.1.0.0/30"))
		}},
		{"closing a block", func(ctx context.Context, l *ledger.Ledger) error {
			return l.PutBlock(ctx, services, ledger.Block{Prefix: prefix("10.0.0.0/30"), Closed: true})
		}},
		{"dropping a block", func(ctx context.Context, l *ledger.Ledger) error {
			return l.DropBlock(ctx, services.Name, prefix("10.9.0.0/30"))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := alone(t)
			old := open(t, cfg)
			put(t, old, services, block("10.0.0.0/30"))
			put(t, old, services, block("10.9.0.0/30"))
			allocate(t, old, anyOf("a", 32))
			next := open(t, cfg)
			before := next.Usage(services.Name)
			if err := tt.do(bounded(t), old); !errors.Is(err, ledger.ErrDeposed) || errors.Is(err, ledger.ErrUnknown) {
				t.Errorf("got %v, want %v", err, ledger.ErrDeposed)
			}
			if _, err := old.Allocate(bounded(t), anyOf("c", 32)); !errors.Is(err, ledger.ErrDeposed) {
				t.Errorf("afterwards: got %v, want %v", err, ledger.ErrDeposed)
			}
			sound(t, next, 1)
			if again := open(t, cfg).Usage(services.Name); again.Blocks[0].Taken != before.Blocks[0].Taken || len(again.Blocks) != 2 {
				t.Errorf("in etcd: got %+v, want %+v", again, before)
			}
		})
	}
}

// TestDeposedMidway has a transaction on its way when another process opens the ledger. The old process hears nothing of
// it, and cannot settle it.
func TestDeposedMidway(t *testing.T) {
	l, line, cfg := shaky(t)
	put(t, l, services, block("10.0.0.0/30"))
	var late func(context.Context) error
	taken := make(chan *ledger.Ledger, 1)
	line.next(func(_ context.Context, send func(context.Context) error) error {
		late = send
		taken <- open(t, cfg)
		return errCut
	})
	_, err := l.Allocate(bounded(t), anyOf("a", 32))
	if !errors.Is(err, ledger.ErrDeposed) || !errors.Is(err, ledger.ErrUnknown) {
		t.Errorf("got %v, want %v by %v", err, ledger.ErrUnknown, ledger.ErrDeposed)
	}
	if err := late(bounded(t)); err != nil {
		t.Fatal(err)
	}
	sound(t, <-taken, 0)
}

// TestQuarantine releases what it holds, opens the ledger anew, and waits for the end.
func TestQuarantine(t *testing.T) {
	cfg := alone(t)
	l := open(t, cfg)
	slow := ledger.Pool{Name: services.Name, Quarantine: 2 * time.Second}
	put(t, l, slow, block("10.0.0.0/31"))
	allocate(t, l, exactly("a", "10.0.0.0/32"))
	allocate(t, l, exactly("b", "10.0.0.1/32"))
	e := release(t, l, "a")
	if e.Until.IsZero() {
		t.Fatal("it is not in quarantine")
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, cfg)
	if u := l.Usage(services.Name).Blocks[0]; u.Taken != 2 || u.Quarantined != 1 || u.Idle {
		t.Errorf("got %+v, want 2 taken, one of them in quarantine", u)
	}
	_, err := l.Allocate(bounded(t), exactly("c", "10.0.0.0/32"))
	var taken *ledger.Taken
	if !errors.As(err, &taken) || !taken.Until.Equal(e.Until) || taken.Owner != "a" {
		t.Errorf("got %v, want that it is in quarantine until %v", err, e.Until)
	}
	if _, err := l.Allocate(bounded(t), anyOf("c", 32)); !errors.Is(err, ledger.ErrFull) {
		t.Errorf("got %v, want %v", err, ledger.ErrFull)
	}
	if back := allocate(t, l, exactly("a", "10.0.0.0/32")); back.Prefix != e.Prefix || !back.Until.IsZero() {
		t.Errorf("its last owner asks for it: got %+v, want it back", back)
	}
	release(t, l, "a")
	release(t, l, "b")
	run(t, l)
	until(t, l, "the quarantines' end", func() bool { return l.Usage(services.Name).Blocks[0].Idle })
	if u := l.Usage(services.Name).Blocks[0]; u.Taken != 0 || u.Quarantined != 0 {
		t.Errorf("got %+v, want nothing taken", u)
	}
	allocate(t, l, anyOf("c", 31))
	sound(t, l, 1)
}
