package ledger_test

import (
	"context"
	"sync"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/meridian-federation/meridian/ipam/ledger"
)

const (
	txnMethod   = "/etcdserverpb.KV/Txn"
	rangeMethod = "/etcdserverpb.KV/Range"
)

// line is a connection to etcd that a test makes worse.
type line struct {
	mu    sync.Mutex
	treat treatment // guarded by mu; what happens to each transaction; nil: nothing
	reads treatment // guarded by mu; what happens to each read outside of them; nil: nothing
	sent  int       // guarded by mu; transactions
	last  any       // guarded by mu; the last of them
}

// treatment sends a transaction, or does not, and says what its sender hears.
type treatment func(ctx context.Context, send func(context.Context) error) error

var errCut = status.Error(codes.Unavailable, "the connection was cut")

// faulty is the configuration of a ledger whose connection is a line.
func (s *server) faulty(t testing.TB, prefix string) (ledger.Config, *line) {
	t.Helper()
	l := &line{}
	client, err := clientv3.New(clientv3.Config{
		Endpoints:   []string{s.Endpoint()},
		DialOptions: []grpc.DialOption{grpc.WithChainUnaryInterceptor(l.intercept)},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return ledger.Config{Client: client, Prefix: prefix}, l
}

func (l *line) intercept(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	send := func(ctx context.Context) error { return invoke(ctx, method, req, reply, cc, opts...) }
	l.mu.Lock()
	var treat treatment
	switch method {
	case txnMethod:
		l.sent++
		l.last = req
		treat = l.treat
	case rangeMethod:
		treat = l.reads
	}
	l.mu.Unlock()
	if treat == nil {
		return send(ctx)
	}
	return treat(ctx, send)
}

// next has the next transaction treated so, and those after it not.
func (l *line) next(treat treatment) {
	l.always(func(ctx context.Context, send func(context.Context) error) error {
		l.always(nil)
		return treat(ctx, send)
	})
}

// always has all transactions treated so.
func (l *line) always(treat treatment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.treat = treat
}

// reading has all reads outside of transactions treated so.
func (l *line) reading(treat treatment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reads = treat
}

func (l *line) transactions() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sent
}

// comparisons are those of the last transaction.
func (l *line) comparisons() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.last.(*pb.TxnRequest).Compare)
}

// What may happen to a transaction.
func replyLost(ctx context.Context, send func(context.Context) error) error {
	_ = send(ctx) // whatever it is, nobody hears it
	return errCut
}

func requestLost(context.Context, func(context.Context) error) error { return errCut }
