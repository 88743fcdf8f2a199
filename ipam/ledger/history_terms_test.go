package ledger_test

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"github.com/meridian-federation/meridian/internal/store/etcd"
	"github.com/meridian-federation/meridian/ipam/ledger"
)

// openWithin bounds what has to succeed.
const openWithin = time.Minute

// term is one process that leads, or thinks so: its ledger, with an etcd client and a link of its own.
type term struct {
	*ledger.Ledger
	link   *link
	client *clientv3.Client
	// life ends when it is killed.
	life context.Context
	stop context.CancelFunc
	work sync.WaitGroup
	// opening and opened are when the ledger began to open, and when it had.
	opening, opened int64
	// ended: it noticed that it was deposed, or somebody heard that from it.
	ended atomic.Bool
}

// terms are the processes that lead in turn over one prefix of an etcd. The last one leads; the one before may not have
// noticed yet; all others have been killed.
type terms struct {
	t      *testing.T
	etcd   string // HOST:PORT
	prefix string
	begun  time.Time

	turn sync.Mutex // held while a term opens
	mu   sync.Mutex
	all  []*term // guarded by mu
}

// serveHistories starts an etcd for a test, and returns HOST:PORT.
func serveHistories(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), openWithin)
	defer cancel()
	server, err := etcd.Embed(ctx, etcd.EmbedConfig{Dir: t.TempDir(), Listen: "http://127.0.0.1:0", NoFsync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Errorf("stopping etcd: %v", err)
		}
	})
	return strings.TrimPrefix(server.Endpoint(), "http://")
}

// now is the clock of ledgers and histories: it never goes back.
func (ts *terms) now() time.Time { return ts.begun.Add(time.Since(ts.begun)) }

func (ts *terms) since(at time.Time) int64 { return at.Sub(ts.begun).Nanoseconds() }

func (ts *terms) stamp() int64 { return ts.since(ts.now()) }

// latest are the term that leads and, if it lives, the one before.
func (ts *terms) latest() (leads, before *term) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	n := len(ts.all)
	if n > 1 && ts.all[n-2].life.Err() == nil {
		before = ts.all[n-2]
	}
	return ts.all[n-1], before
}

// succeed opens the next term, while the one that leads lives on and the one before that is killed. aborted attempts, of
// which etcd's answers are lost, go before.
func (ts *terms) succeed(aborted int) *term {
	ts.turn.Lock()
	defer ts.turn.Unlock()
	return ts.follow(aborted)
}

// follow is succeed with turn held.
func (ts *terms) follow(aborted int) *term {
	next := &term{opening: ts.stamp()}
	for range aborted {
		l := newLink(ts.t, ts.etcd)
		l.lose()
		ctx, cancel := context.WithTimeout(ts.t.Context(), 50*time.Millisecond)
		if _, err := ts.open(ctx, ts.dial(l)); err == nil {
			ts.t.Error("a ledger has opened that heard nothing of its etcd")
		}
		cancel()
	}
	next.link = newLink(ts.t, ts.etcd)
	next.client = ts.dial(next.link)
	ctx, cancel := context.WithTimeout(ts.t.Context(), openWithin)
	defer cancel()
	// An attempt that was given up may come in between, and etcd may be slow: whoever is to lead tries again.
	err := errors.New("not tried")
	for err != nil && ctx.Err() == nil && !errors.Is(err, ledger.ErrSetBack) {
		next.Ledger, err = ts.open(ctx, next.client)
	}
	if err != nil {
		ts.t.Errorf("opening the ledger: %v", err)
		return nil
	}
	next.opened = ts.stamp()
	next.life, next.stop = context.WithCancel(context.Background())
	next.work.Go(func() {
		err := next.Run(next.life)
		next.ended.Store(true)
		if !errors.Is(err, ledger.ErrDeposed) && next.life.Err() == nil {
			ts.t.Errorf("a term ended with %v, want only that it was deposed", err)
		}
	})
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if n := len(ts.all); n > 1 {
		ts.all[n-2].kill()
	}
	ts.all = append(ts.all, next)
	return next
}

// heard remembers what a ledger has answered.
func (one *term) heard(err error) {
	if errors.Is(err, ledger.ErrDeposed) {
		one.ended.Store(true)
	}
}

// kill ends a process in the middle of what it does: its connections break, and nothing that it asks for is done.
func (one *term) kill() {
	if one.life.Err() != nil {
		return
	}
	one.stop()
	one.link.cut()
	_ = one.client.Close()
	one.work.Go(func() { _ = one.Close() }) // what it could not end is what is tested
}

// over tells whether the process was killed, or has noticed that it was deposed.
func (one *term) over() bool { return one.life.Err() != nil || one.ended.Load() }

// replace opens the next term if this one leads, and is over.
func (ts *terms) replace(one *term) {
	ts.turn.Lock()
	defer ts.turn.Unlock()
	if leads, _ := ts.latest(); one == leads && one.over() {
		ts.follow(0)
	}
}

func (ts *terms) open(ctx context.Context, client *clientv3.Client) (*ledger.Ledger, error) {
	return ledger.Open(ctx, ledger.Config{Client: client, Prefix: ts.prefix, Log: slog.New(slog.DiscardHandler), Now: ts.now})
}

// dial is the client of one process. It is closed with the test.
func (ts *terms) dial(l *link) *clientv3.Client {
	again := backoff.Config{BaseDelay: 5 * time.Millisecond, Multiplier: 1.6, MaxDelay: 100 * time.Millisecond}
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{l.endpoint()}, Logger: zap.NewNop(),
		DialOptions: []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{Backoff: again, MinConnectTimeout: time.Second})}})
	if err != nil {
		ts.t.Fatal(err)
	}
	ts.t.Cleanup(func() { _ = client.Close() }) // it says that its context has ended
	return client
}

// end kills all terms.
func (ts *terms) end() {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	for _, one := range ts.all {
		one.kill()
		one.work.Wait()
	}
}

// historyPool is the range of a pool: one /29 after the other.
func historyPool(n int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(n >> 13), byte(n >> 5), byte(n << 3)}), 29)
}
