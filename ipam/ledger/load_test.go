package ledger_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"

	"github.com/meridian-federation/meridian/ipam/ledger"
)

// TestPatience: a page, which may be 50,000 keys, is given much longer than a single key.
func TestPatience(t *testing.T) {
	s := startEtcd(t, t.TempDir(), "http://127.0.0.1:0")
	t.Cleanup(func() { s.stop(t) })
	var pages, short atomic.Int32
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{s.Endpoint()}, DialOptions: []grpc.DialOption{
		grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker,
			opts ...grpc.CallOption) error {
			if r, ok := req.(*pb.RangeRequest); ok && r.Limit > 1000 {
				pages.Add(1)
				if end, ok := ctx.Deadline(); ok && time.Until(end) < 10*time.Second {
					short.Add(1)
				}
			}
			return invoke(ctx, method, req, reply, cc, opts...)
		})}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	open(t, ledger.Config{Client: client, Prefix: "/tier"})
	if pages.Load() == 0 || short.Load() > 0 {
		t.Errorf("of %d pages %d were given less than 10s", pages.Load(), short.Load())
	}
}
