package ledger_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/status"

	"github.com/meridian-federation/meridian/ipam/ledger"
)

func shaky(t *testing.T) (*ledger.Ledger, *line, ledger.Config) {
	t.Helper()
	s := startEtcd(t, t.TempDir(), "http://127.0.0.1:0")
	t.Cleanup(func() { s.stop(t) })
	cfg, line := s.faulty(t, "/tier")
	return open(t, cfg), line, cfg
}

// TestLost loses a transaction's request, or its reply: each act is done once, and its caller hears of it as if nothing
// had been.
func TestLost(t *testing.T) {
	l, line, _ := shaky(t)
	put(t, l, services, block("10.0.0.0/24"))
	taken := 0
	for name, fault := range map[string]treatment{"reply": replyLost, "request": requestLost} {
		t.Run(name, func(t *testing.T) {
			line.next(fault)
			e := allocate(t, l, anyOf(name, 32))
			if got, err := l.Get(bounded(t), name); err != nil || got != e {
				t.Errorf("allocated: got %+v, %v, want %+v", got, err, e)
			}
			line.next(fault)
			if again := allocate(t, l, anyOf(name, 32)); again != e {
				t.Errorf("again: got %+v, want %+v", again, e)
			}
			line.next(fault)
			if gone := release(t, l, name); gone.Prefix != e.Prefix {
				t.Errorf("released: got %+v, want %s", gone, e.Prefix)
			}
			slow := ledger.Pool{Name: "slow " + name, Quarantine: time.Hour}
			line.next(fault)
			put(t, l, slow, block("10.1.0.0/24"))
			r := ledger.Request{Owner: name, Pool: slow.Name, Length: 32}
			allocate(t, l, r)
			line.next(fault)
			release(t, l, name)
			taken++
			line.next(fault)
			put(t, l, services, block("10.2.0.0/24"))
			line.next(fault)
			if err := l.DropBlock(bounded(t), services.Name, prefix("10.2.0.0/24")); err != nil {
				t.Errorf("dropping a block: %v", err)
			}
			sound(t, l, taken)
		})
	}
}

// TestLostMend loses the transaction that mends a leaked entry, or its reply: the entry is in quarantine, also in memory.
func TestLostMend(t *testing.T) {
	for name, fault := range map[string]treatment{"reply": replyLost, "request": requestLost} {
		t.Run(name, func(t *testing.T) {
			l, line, cfg := shaky(t)
			put(t, l, ledger.Pool{Name: services.Name, Quarantine: time.Hour}, block("10.0.0.0/24"))
			allocate(t, l, anyOf("a", 32))
			if _, err := cfg.Client.Delete(bounded(t), cfg.Prefix+"/space/owners/a"); err != nil {
				t.Fatal(err)
			}
			report, err := l.Audit(bounded(t))
			if err != nil {
				t.Fatal(err)
			}
			line.next(fault)
			if n, err := l.Mend(bounded(t), report); err != nil || n != 1 {
				t.Errorf("mending: got %d, %v, want 1", n, err)
			}
			if u := l.Usage(services.Name).Blocks[0]; u.Quarantined != 1 {
				t.Errorf("got %v addresses in quarantine, want 1", u.Quarantined)
			}
			sound(t, l, 1)
		})
	}
}

// TestLate has a transaction reach etcd long after it was given up: it is refused there, since its block was fenced anew.
func TestLate(t *testing.T) {
	l, line, _ := shaky(t)
	put(t, l, services, block("10.0.0.0/30"))
	var late func(context.Context) error
	line.next(func(_ context.Context, send func(context.Context) error) error {
		late = send
		return errCut
	})
	allocate(t, l, exactly("a", "10.0.0.1/32"))
	release(t, l, "a")
	if err := late(bounded(t)); err != nil {
		t.Fatal(err)
	}
	if e, err := l.Get(bounded(t), "a"); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("got %+v, %v, want %v", e, err, ledger.ErrNotFound)
	}
	sound(t, l, 0)
}

// TestSilence has etcd answer nothing for a while. Whoever does not wait for it hears that nobody knows what became of
// the request; asking again, when etcd is back, gives what was allocated.
func TestSilence(t *testing.T) {
	l, line, _ := shaky(t)
	put(t, l, services, block("10.0.0.0/24"))
	cut := make(chan struct{}, 100)
	line.always(func(ctx context.Context, send func(context.Context) error) error {
		err := replyLost(ctx, send)
		select {
		case cut <- struct{}{}:
		default:
		}
		return err
	})
	ctx, cancel := context.WithCancel(bounded(t))
	done := make(chan error, 2)
	go func() {
		_, err := l.Allocate(ctx, anyOf("a", 32))
		done <- err
	}()
	go func() { done <- l.PutBlock(ctx, services, block("10.1.0.0/24")) }()
	for range 4 {
		<-cut
	}
	cancel()
	for range 2 {
		if err := <-done; !errors.Is(err, ledger.ErrUnknown) || !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want %v by %v", err, ledger.ErrUnknown, context.Canceled)
		}
	}
	line.always(nil)
	allocate(t, l, anyOf("a", 32))
	put(t, l, services, block("10.1.0.0/24"))
	sound(t, l, 1)
}

// TestClosedUnderWay closes a ledger of which etcd does not answer.
func TestClosedUnderWay(t *testing.T) {
	l, line, cfg := shaky(t)
	put(t, l, services, block("10.0.0.0/24"))
	cut := make(chan struct{}, 100)
	line.always(func(context.Context, func(context.Context) error) error {
		select {
		case cut <- struct{}{}:
		default:
		}
		return errCut
	})
	done := make(chan error, 1)
	go func() {
		_, err := l.Allocate(bounded(t), anyOf("a", 32))
		done <- err
	}()
	<-cut
	if err := l.Close(); err != nil {
		t.Errorf("closing: %v", err)
	}
	if err := <-done; !errors.Is(err, ledger.ErrUnknown) || !errors.Is(err, ledger.ErrClosed) {
		t.Errorf("got %v, want %v by %v", err, ledger.ErrUnknown, ledger.ErrClosed)
	}
	if _, err := l.Allocate(bounded(t), anyOf("b", 32)); !errors.Is(err, ledger.ErrClosed) || errors.Is(err, ledger.ErrUnknown) {
		t.Errorf("after the end: got %v, want %v", err, ledger.ErrClosed)
	}
	line.always(nil)
	sound(t, open(t, cfg), 0)
}

// hanging has etcd neither answer nor refuse: a request is given up in time, by this side alone.
func hanging(t *testing.T) treatment {
	return func(ctx context.Context, _ func(context.Context) error) error {
		if at, told := ctx.Deadline(); told {
			t.Errorf("etcd is told of a deadline, %v", at)
		}
		<-ctx.Done()
		return status.FromContextError(ctx.Err()).Err() // as gRPC says it
	}
}

// TestHanging has a transaction hang: it is done after all.
func TestHanging(t *testing.T) {
	t.Parallel()
	l, line, _ := shaky(t)
	put(t, l, services, block("10.0.0.0/24"))
	line.next(hanging(t))
	allocate(t, l, anyOf("a", 32))
	sound(t, l, 1)
}

// TestHangingReads has reads hang: who waits hears that etcd does not answer, not that he had left himself.
func TestHangingReads(t *testing.T) {
	t.Parallel()
	l, line, _ := shaky(t)
	put(t, l, services, block("10.0.0.0/24"))
	allocate(t, l, anyOf("a", 32))
	line.reading(hanging(t))
	ctx, cancel := context.WithCancel(context.Background()) // a deadline would be told of
	defer cancel()
	_, err := l.Get(ctx, "a")
	if err == nil || errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "etcd did not answer in 5s") {
		t.Errorf("got %v, want that etcd did not answer, and nothing of a context that was cancelled", err)
	}
	cancel()
	if _, err := l.Get(ctx, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("the caller leaves: got %v, want %v", err, context.Canceled)
	}
}
