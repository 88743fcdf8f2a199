package ipamgrpc

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/meridian-federation/meridian/ipam/ipampb"
	"github.com/meridian-federation/meridian/ipam/ledger"
)

// Allocate gives an owner a prefix.
func (s *Service) Allocate(ctx context.Context, m *ipampb.AllocateRequest) (*ipampb.Entry, error) {
	c, err := s.enter(ctx, "Allocate", 1, m.GetOwner())
	if err != nil {
		return nil, err
	}
	results, err := c.allocate(ctx, []string{m.GetOwner()}, []*ipampb.AllocateRequest{m})
	if err == nil {
		err = results[0].Err
	}
	if err != nil {
		return nil, toStatus(err, c.owners())
	}
	return entryOf(results[0].Entry), nil
}

// AllocateBatch gives each owner a prefix, or says why not.
func (s *Service) AllocateBatch(ctx context.Context, m *ipampb.AllocateBatchRequest) (*ipampb.AllocateBatchResponse, error) {
	n := len(m.GetRequests())
	if n < 1 || n > MaxBatch {
		return nil, status.Errorf(codes.InvalidArgument, "requests: %d are not between 1 and %d", n, MaxBatch)
	}
	owners := make([]string, n)
	for i, r := range m.GetRequests() {
		owners[i] = r.GetOwner()
	}
	c, err := s.enter(ctx, "AllocateBatch", n, owners...)
	if err != nil {
		return nil, err
	}
	if err := distinct(owners); err != nil {
		return nil, err
	}
	results, err := c.allocate(ctx, owners, m.GetRequests())
	if err != nil {
		return nil, toStatus(err, c.owners())
	}
	out := &ipampb.AllocateBatchResponse{}
	for _, r := range results {
		if r.Err == nil {
			out.Results = append(out.Results, &ipampb.Result{Entry: entryOf(r.Entry)})
			continue
		}
		st := status.Convert(toStatus(r.Err, c.owners()))
		out.Results = append(out.Results, &ipampb.Result{Code: int32(st.Code()), Message: st.Message()})
	}
	return out, nil
}

// distinct refuses owners of which one is named twice.
func distinct(owners []string) error {
	first := make(map[string]int, len(owners))
	for i, owner := range owners {
		if j, twice := first[owner]; twice {
			return status.Errorf(codes.InvalidArgument, "requests[%d].owner: %.128q is the owner of requests[%d] as well; name each owner once", i, owner, j)
		}
		first[owner] = i
	}
	return nil
}

// order is a request that is made, and what it is charged for.
type order struct {
	at      int // which of the requests it is
	request ledger.Request
	before  share
}

// allocate makes the requests that are sound and that the quotas leave room for, all at once.
func (c caller) allocate(ctx context.Context, owners []string, ms []*ipampb.AllocateRequest) ([]ledger.Result, error) {
	if err := c.account.counted(ctx); err != nil {
		return nil, err
	}
	done, err := c.account.turns.take(ctx, owners)
	if err != nil {
		return nil, err
	}
	defer done()
	results := make([]ledger.Result, len(ms))
	var orders []order
	var requests []ledger.Request
	ipv6 := c.families()
	for i, m := range ms {
		o, err := c.order(m, ipv6)
		if err != nil {
			results[i].Err = err
			continue
		}
		o.at = i
		orders, requests = append(orders, o), append(requests, o.request)
	}
	if c.left(c.path) { // looked at when all is charged: what is charged before is found by Underway
		for _, o := range orders {
			c.account.refund(o.request.Owner, o.before)
		}
		return nil, away(c.path)
	}
	for n, result := range c.ledger.AllocateBatch(ctx, requests) {
		results[orders[n].at] = result
		c.settle(orders[n], result)
	}
	return results, nil
}

// families are the pools that are known, and whether each is of IPv6.
func (c caller) families() map[string]bool {
	ipv6 := map[string]bool{}
	for _, pool := range c.ledger.Pools() {
		ipv6[pool.Name] = pool.IPv6
	}
	return ipv6
}

// order reads a request and charges it.
func (c caller) order(m *ipampb.AllocateRequest, ipv6 map[string]bool) (order, error) {
	r, err := requestOf(m)
	if err != nil {
		return order{}, err
	}
	six, known := ipv6[r.Pool]
	if !known { // nor can it be said what the request counts as
		return order{}, fmt.Errorf("pool %.128q: %w", r.Pool, ledger.ErrUnknownPool)
	}
	before, err := c.account.charge(c.path, six, r)
	return order{request: r, before: before}, err
}

// settle counts what became of a request.
func (c caller) settle(o order, result ledger.Result) {
	var conflict *ledger.Conflict
	switch owner := o.request.Owner; {
	case result.Err == nil:
		c.account.settle(owner, c.share(result.Entry))
	case errors.As(result.Err, &conflict):
		c.account.settle(owner, c.share(conflict.Holds))
	case !errors.Is(result.Err, ledger.ErrUnknown): // else it may be held
		c.account.refund(owner, o.before)
	}
}

// Release gives back what an owner has.
func (s *Service) Release(ctx context.Context, m *ipampb.ReleaseRequest) (*ipampb.Entry, error) {
	c, err := s.enter(ctx, "Release", 1, m.GetOwner())
	if err != nil {
		return nil, err
	}
	e, err := c.release(ctx, m.GetOwner())
	if err != nil {
		return nil, toStatus(err, c.owners())
	}
	return entryOf(e), nil
}

// release waits until all is counted, as well: what it ended would be counted after it otherwise.
func (c caller) release(ctx context.Context, owner string) (ledger.Entry, error) {
	if err := c.account.counted(ctx); err != nil {
		return ledger.Entry{}, err
	}
	done, err := c.account.turns.take(ctx, []string{owner})
	if err != nil {
		return ledger.Entry{}, err
	}
	defer done()
	e, err := c.ledger.Release(ctx, owner)
	if err == nil || errors.Is(err, ledger.ErrNotFound) {
		c.account.settle(owner, share{})
	}
	return e, err
}
