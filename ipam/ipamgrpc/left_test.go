package ipamgrpc_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/meridian-federation/meridian/ipam/ipamgrpc"
	"github.com/meridian-federation/meridian/ipam/ipampb"
	"github.com/meridian-federation/meridian/ipam/ledger"
)

// leaves says whether cluster c1 has left.
func (z *zone) leaves(is bool) {
	said := func() bool { return is }
	z.left.Store(&said)
}

// evict releases what cluster c1 has, as an ipam.Tier does.
func (z *zone) evict() {
	z.t.Helper()
	l := z.open.Load()
	owners := z.service.Underway(l, one)
	for _, e := range z.held() {
		owners = append(owners, e.Owner)
	}
	slices.Sort(owners)
	for _, owner := range slices.Compact(owners) {
		if err := z.service.TakeBack(z.t.Context(), l, owner); err != nil && !errors.Is(err, ledger.ErrNotFound) {
			z.t.Fatal(err)
		}
	}
}

// held are the entries of cluster c1.
func (z *zone) held() []ledger.Entry {
	z.t.Helper()
	entries, _, err := z.open.Load().List(z.t.Context(), ledger.Query{OwnerPrefix: "local/" + one + "/"})
	if err != nil {
		z.t.Fatal(err)
	}
	return entries
}

// TestLeft: a place that has left gets nothing, and what was released of it counts no more when it comes back.
func TestLeft(t *testing.T) {
	z := startZone(t, ipamgrpc.Limits{PeerAddresses: 2}, 1e6, 1e6)
	c := z.client(one)
	allocate := func(name string) error {
		_, err := c.Allocate(t.Context(), &ipampb.AllocateRequest{Owner: "local/" + one + "/" + name, Pool: "p", Length: 32})
		return err
	}
	if err := errors.Join(allocate("x"), allocate("y")); err != nil {
		t.Fatal(err)
	}
	z.leaves(true)
	wantCode(t, "of a place that has left", allocate("z"), codes.Unavailable, one+" is not in the inventory")
	z.evict()
	if got := z.held(); len(got) > 0 {
		t.Errorf("it holds %v, want nothing", got)
	}
	z.leaves(false)
	if err := errors.Join(allocate("v"), allocate("w")); err != nil {
		t.Errorf("when it is back: %v", err)
	}
	wantCode(t, "more than the quota", allocate("u"), codes.ResourceExhausted, "quota: ")
}

// TestLeavingWhileItAsks: of what a place asks for at the moment when it leaves, nothing stays.
func TestLeavingWhileItAsks(t *testing.T) {
	z := startZone(t, ipamgrpc.Limits{}, 1e6, 1e6)
	c := z.client(one)
	for round := range 40 {
		var all sync.WaitGroup
		asked := make(chan struct{}, 1)
		for n := range 8 {
			all.Go(func() {
				for i := 0; ; i++ {
					owner := fmt.Sprintf("local/%s/%d-%d-%d", one, round, n, i)
					if _, err := c.Allocate(t.Context(), &ipampb.AllocateRequest{Owner: owner, Pool: "p", Length: 32}); err != nil {
						return
					}
					select {
					case asked <- struct{}{}:
					default:
					}
				}
			})
		}
		<-asked
		z.leaves(true)
		z.evict()
		all.Wait()
		if got := z.held(); len(got) > 0 {
			t.Fatalf("round %d: it holds %v, want nothing", round, got)
		}
		z.leaves(false)
	}
}

// TestLeavingBeforeItIsServed: a place that is let in, and has left by when it is its turn, gets nothing, nor is anything counted of it.
func TestLeavingBeforeItIsServed(t *testing.T) {
	z := startZone(t, ipamgrpc.Limits{PeerAddresses: 1}, 1e6, 1e6)
	asked := 0
	later := func() bool {
		asked++
		return asked > 1
	}
	z.left.Store(&later)
	request := &ipampb.AllocateRequest{Owner: "local/" + one + "/x", Pool: "p", Length: 32}
	_, err := z.client(one).Allocate(t.Context(), request)
	wantCode(t, "of a place that leaves", err, codes.Unavailable, one+" is not in the inventory")
	if got, underway := z.held(), z.service.Underway(z.open.Load(), one); len(got)+len(underway) > 0 {
		t.Errorf("it holds %v, and %v is under way; want nothing", got, underway)
	}
	z.leaves(false)
	request.Owner += "y"
	if _, err := z.client(one).Allocate(t.Context(), request); err != nil {
		t.Errorf("when it is back: %v", err)
	}
}
