package tiertest

import (
	"context"
	"testing"

	"google.golang.org/grpc"

	"github.com/meridian-federation/meridian/ipam/ipampb"
)

// Conn is a connection to a server that must be a place, until the test ends.
func (c Caller) Conn(t testing.TB, address, server string) *grpc.ClientConn {
	t.Helper()
	conn, _ := c.reach(t, address, server)
	return conn
}

// Addresses are all calls about addresses for an owner, by their methods' names.
func (c Caller) Addresses(address, server, owner string) map[string]func(testing.TB) error {
	calls := map[string]func(context.Context, ipampb.IPAMClient) error{
		"Allocate": func(ctx context.Context, s ipampb.IPAMClient) error {
			_, err := s.Allocate(ctx, &ipampb.AllocateRequest{Owner: owner, Pool: "p", Length: 32})
			return err
		},
		"AllocateBatch": func(ctx context.Context, s ipampb.IPAMClient) error {
			_, err := s.AllocateBatch(ctx, &ipampb.AllocateBatchRequest{Requests: []*ipampb.AllocateRequest{{Owner: owner, Pool: "p", Length: 32}}})
			return err
		},
		"Release": func(ctx context.Context, s ipampb.IPAMClient) error {
			_, err := s.Release(ctx, &ipampb.ReleaseRequest{Owner: owner})
			return err
		},
		"Get": func(ctx context.Context, s ipampb.IPAMClient) error {
			_, err := s.Get(ctx, &ipampb.GetRequest{Owner: owner})
			return err
		},
		"List": func(ctx context.Context, s ipampb.IPAMClient) error {
			_, err := s.List(ctx, &ipampb.ListRequest{OwnerPrefix: owner})
			return err
		},
		"Watch": func(ctx context.Context, s ipampb.IPAMClient) error {
			stream, err := s.Watch(ctx, &ipampb.WatchRequest{OwnerPrefix: owner})
			if err == nil {
				_, err = stream.Recv()
			}
			return err
		},
	}
	out := map[string]func(testing.TB) error{}
	for method, call := range calls {
		out[method] = func(t testing.TB) error {
			t.Helper()
			conn, ctx := c.reach(t, address, server)
			return call(ctx, ipampb.NewIPAMClient(conn))
		}
	}
	return out
}
