package ipamgrpc

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/meridian-federation/meridian/internal/store/etcd"
	"github.com/meridian-federation/meridian/ipam/ledger"
)

// TestEtcdHangs has etcd answer nothing: whoever asked is told to ask again, not that he had left.
func TestEtcdHangs(t *testing.T) {
	server, err := etcd.Embed(t.Context(), etcd.EmbedConfig{Dir: t.TempDir(), Listen: "http://127.0.0.1:0", NoFsync: true})
	if err != nil {
		t.Fatal(err)
	}
	var hangs atomic.Bool
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{server.Endpoint()}, DialOptions: []grpc.DialOption{
		grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			if hangs.Load() {
				<-ctx.Done()
				return status.FromContextError(ctx.Err()).Err() // as gRPC says it
			}
			return invoke(ctx, method, req, reply, cc, opts...)
		})}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(client.Close(), server.Close()); err != nil {
			t.Error(err)
		}
	})
	l, err := ledger.Open(t.Context(), ledger.Config{Client: client, Prefix: "/tier"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	hangs.Store(true)
	_, err = l.Get(t.Context(), "local/region/west/a")
	if got := status.Code(toStatus(err, "local/region/west/")); got != codes.Unavailable {
		t.Errorf("got %v of %v, want %v", got, err, codes.Unavailable)
	}
}
