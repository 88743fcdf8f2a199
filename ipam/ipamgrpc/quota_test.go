package ipamgrpc_test

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/ipam/ipamgrpc"
	"github.com/meridian-federation/meridian/ipam/ipampb"
)

// TestQuotaOfOneOwner tries to get more for one owner than is counted.
func TestQuotaOfOneOwner(t *testing.T) {
	z := startZone(t, ipamgrpc.Limits{PeerAddresses: 16}, 1e6, 1e6)
	ctx, c, owner := t.Context(), z.client(one), "local/"+one+"/x"
	ask := func(pool string, length int32) *ipampb.AllocateRequest {
		return &ipampb.AllocateRequest{Owner: owner, Pool: pool, Length: length}
	}
	t.Run("named twice", func(t *testing.T) {
		for _, requests := range [][]*ipampb.AllocateRequest{{ask("nope", 32), ask("p", 24)}, {ask("p", 32), ask("p", 32)}} {
			got, err := c.AllocateBatch(ctx, &ipampb.AllocateBatchRequest{Requests: requests})
			wantCode(t, fmt.Sprint(got), err, codes.InvalidArgument, "requests[1].owner: ")
		}
	})
	t.Run("twice at once", func(t *testing.T) {
		for range 200 {
			var both sync.WaitGroup
			both.Go(func() { _, _ = c.Allocate(ctx, ask("p", 29)) })
			both.Go(func() { _, _ = c.Allocate(ctx, ask("p", 24)) })
			both.Wait()
			if got, err := c.Release(ctx, &ipampb.ReleaseRequest{Owner: owner}); err != nil || netip.MustParsePrefix(got.Prefix).Bits() != 29 {
				t.Fatalf("it held %v, %v, want a /29", got, err)
			}
		}
	})
	t.Run("more than it holds", func(t *testing.T) {
		if _, err := c.Allocate(ctx, ask("p", 32)); err != nil {
			t.Fatal(err)
		}
		if _, err := z.open.Load().Release(ctx, owner); err != nil { // as a repair does
			t.Fatal(err)
		}
		_, err := c.Allocate(ctx, ask("p", 24))
		wantCode(t, "a /24", err, codes.ResourceExhausted, "quota: "+one+" holds 1 addresses, and with 255 more")
	})
}

// TestCountedAsHeld has an owner's calls overlap: what it holds in the end is what is counted of it.
func TestCountedAsHeld(t *testing.T) {
	z := startZone(t, ipamgrpc.Limits{PeerAddresses: 8}, 1e6, 1e6)
	ctx, c := t.Context(), z.client(one)
	allocate := func(name string, length int32) error {
		_, err := c.Allocate(ctx, &ipampb.AllocateRequest{Owner: "local/" + one + "/" + name, Pool: "p", Length: length})
		return err
	}
	release := func(name string) {
		_, _ = c.Release(ctx, &ipampb.ReleaseRequest{Owner: "local/" + one + "/" + name})
	}
	for round := range 300 {
		if err := allocate("x", 29); err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		all.Go(func() { release("x") })
		all.Go(func() { _ = allocate("x", 29) })
		all.Go(func() { release("x") })
		all.Go(func() { _ = allocate("x", 29) })
		all.Wait()
		_, err := c.Get(ctx, &ipampb.GetRequest{Owner: "local/" + one + "/x"})
		holds, more := err == nil, allocate("y", 32) == nil
		if holds == more {
			t.Fatalf("round %d: it holds eight of eight: %t; one more was given: %t", round, holds, more)
		}
		release("x")
		release("y")
	}
}

// TestQuotaOfPaths has a region name its own as if they were of places below: they are the region's, in the next term, too.
func TestQuotaOfPaths(t *testing.T) {
	for _, tt := range []struct {
		name, place, child string
		at                 question.Path
	}{
		{"Global", "global", "region/west", question.Path{}},
		{"a region", "region/west", "region/west/zone/a", question.Path{Region: "west"}},
		{"a zone", place, one, question.Path{Region: "west", Zone: "a"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			z := startAt(t, tt.at, ipamgrpc.Limits{PeerAddresses: 4}, 1e6, 1e6)
			c := z.client(tt.child)
			ask := func(name string) error {
				_, err := c.Allocate(context.Background(), &ipampb.AllocateRequest{Owner: "local/" + tt.child + "/" + name, Pool: "p", Length: 31})
				return err
			}
			for _, name := range []string{"zone/b/cluster/x/n1", "cluster/x/n1"} {
				if err := ask(name); err != nil {
					t.Fatal(err)
				}
			}
			z.lead()
			wantCode(t, "two more in the next term", ask("n2"), codes.ResourceExhausted, "quota: "+tt.child+" holds 4 addresses")
		})
	}
}
