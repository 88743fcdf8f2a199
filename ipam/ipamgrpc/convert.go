package ipamgrpc

import (
	"context"
	"errors"
	"net/netip"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/meridian-federation/meridian/ipam/ipampb"
	"github.com/meridian-federation/meridian/ipam/ledger"
)

// requestOf reads a request; the errors name the field.
func requestOf(m *ipampb.AllocateRequest) (ledger.Request, error) {
	r := ledger.Request{Owner: m.GetOwner(), Pool: m.GetPool(), Length: int(m.GetLength()), Tenant: m.GetTenant(), Note: m.GetNote()}
	switch {
	case r.Pool == "":
		return r, status.Error(codes.InvalidArgument, "pool: say which pool it is to be taken from")
	case len(r.Tenant) > maxTenant:
		return r, status.Errorf(codes.InvalidArgument, "tenant: it is longer than %d bytes", maxTenant)
	case len(r.Note) > maxNote:
		return r, status.Errorf(codes.InvalidArgument, "note: it is longer than %d bytes", maxNote)
	case m.GetPrefix() == "" && (r.Length < 1 || r.Length > 128):
		return r, status.Errorf(codes.InvalidArgument, "length: %d is not between 1 and 32, or 128 in a pool of IPv6; or say which prefix it must be", r.Length)
	case m.GetPrefix() == "":
		return r, nil
	}
	p, err := netip.ParsePrefix(m.GetPrefix())
	switch {
	case err != nil:
		return r, status.Errorf(codes.InvalidArgument, "prefix: %q is no prefix, such as 10.0.0.7/32", m.GetPrefix())
	case p.Addr().Is4In6():
		return r, status.Errorf(codes.InvalidArgument, "prefix: %s is IPv4 written as IPv6; write %s", p, p.Addr().Unmap())
	case p != p.Masked():
		return r, status.Errorf(codes.InvalidArgument, "prefix: %s has bits behind its length; the prefix is %s", p, p.Masked())
	case r.Length != 0 && r.Length != p.Bits():
		return r, status.Errorf(codes.InvalidArgument, "length: %d is not that of the prefix, which is %d; leave it out", r.Length, p.Bits())
	}
	r.Prefix = p
	return r, nil
}

func entryOf(e ledger.Entry) *ipampb.Entry {
	m := &ipampb.Entry{Owner: e.Owner, Pool: e.Pool, Prefix: e.Prefix.String(), Tenant: e.Tenant, Note: e.Note, Revision: e.Revision}
	if !e.Since.IsZero() {
		m.SinceMs = e.Since.UnixMilli()
	}
	if !e.Until.IsZero() {
		m.UntilMs = e.Until.UnixMilli()
	}
	return m
}

// toStatus is an error of the ledger's as a caller gets it, who is not told the names of others.
func toStatus(err error, mine string) error {
	if _, ok := status.FromError(err); ok {
		return err
	}
	var taken *ledger.Taken
	var conflict *ledger.Conflict
	switch {
	case errors.As(err, &taken):
		if !strings.HasPrefix(taken.Owner, mine) {
			other := *taken
			if other.Owner != "" {
				other.Owner = "somebody else"
			}
			taken = &other
		}
		return status.Error(codes.FailedPrecondition, "prefix: "+taken.Error())
	case errors.As(err, &conflict):
		return status.Error(codes.AlreadyExists, "owner: "+conflict.Error())
	case errors.Is(err, ledger.ErrFull):
		return status.Error(codes.ResourceExhausted, "pool: "+err.Error())
	case errors.Is(err, ledger.ErrUnknownPool):
		return status.Error(codes.NotFound, "pool: "+err.Error())
	case errors.Is(err, ledger.ErrNotFound):
		return status.Error(codes.NotFound, "owner: it holds nothing")
	case errors.Is(err, ledger.ErrInvalid):
		return status.Error(codes.InvalidArgument, err.Error())
	case errors.Is(err, context.Canceled):
		return status.Error(codes.Canceled, err.Error())
	case errors.Is(err, context.DeadlineExceeded):
		return status.Error(codes.DeadlineExceeded, err.Error())
	default: // the ledger was lost, or etcd does not answer: whoever asks again is told what he has
		return status.Error(codes.Unavailable, err.Error())
	}
}
