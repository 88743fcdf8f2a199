package tiertest

import (
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

// Allocate asks for an address of a pool for an owner.
func (c Caller) Allocate(t testing.TB, address, server, owner string) error {
	t.Helper()
	conn, ctx := c.reach(t, address, server)
	_, err := ipampb.NewIPAMClient(conn).Allocate(ctx, &ipampb.AllocateRequest{Owner: owner, Pool: "p", Length: 32})
	return err
}

// Holds asks what an owner has.
func (c Caller) Holds(t testing.TB, address, server, owner string) error {
	t.Helper()
	conn, ctx := c.reach(t, address, server)
	_, err := ipampb.NewIPAMClient(conn).Get(ctx, &ipampb.GetRequest{Owner: owner})
	return err
}
