package ipamgrpc

import (
	"context"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/meridian-federation/meridian/ipam/ipampb"
	"github.com/meridian-federation/meridian/ipam/ledger"
)

// queued is how many events wait for a watcher that reads slowly, and patience for how long the next one does: it is cut off
// then, for etcd's client would keep the others without bound.
const (
	queued   = 4096
	patience = 30 * time.Second
)

// List is a page of what the caller's owners have.
func (s *Service) List(ctx context.Context, m *ipampb.ListRequest) (*ipampb.ListResponse, error) {
	c, q, err := s.query(ctx, "List", m.GetOwnerPrefix(), m.GetPool())
	if err != nil {
		return nil, err
	}
	q.From, q.Limit = m.GetPageToken(), int(m.GetPageSize())
	switch {
	case q.Limit < 0 || q.Limit > MaxBatch:
		return nil, status.Errorf(codes.InvalidArgument, "page_size: %d is not between 0 and %d", q.Limit, MaxBatch)
	case q.From != "" && !strings.HasPrefix(q.From, q.OwnerPrefix):
		return nil, status.Error(codes.InvalidArgument, "page_token: it is of another list")
	}
	entries, next, err := c.ledger.List(ctx, q)
	if err != nil {
		return nil, toStatus(err, c.owners())
	}
	out := &ipampb.ListResponse{NextPageToken: next}
	for _, e := range entries {
		out.Entries = append(out.Entries, entryOf(e))
	}
	return out, nil
}

// query lets a caller in who asks for many, by default for all that are its own.
func (s *Service) query(ctx context.Context, method, prefix, pool string) (caller, ledger.Query, error) {
	var asked []string
	if prefix != "" {
		asked = append(asked, prefix)
	}
	c, err := s.enter(ctx, method, 1, asked...)
	if prefix == "" {
		prefix = c.owners()
	}
	return c, ledger.Query{Pool: pool, OwnerPrefix: prefix}, err
}

// Watch tells all that the caller's owners have, and then each change, until the caller or the ledger ends. A caller that
// reads too slowly is cut off.
func (s *Service) Watch(m *ipampb.WatchRequest, stream grpc.ServerStreamingServer[ipampb.Event]) error {
	c, q, err := s.query(stream.Context(), "Watch", m.GetOwnerPrefix(), m.GetPool())
	if err != nil {
		return err
	}
	if !s.begin(c.path) {
		return status.Errorf(codes.ResourceExhausted, "watch: %s has one already", c.path)
	}
	defer s.end(c.path)
	group, ctx := errgroup.WithContext(stream.Context())
	events := make(chan ledger.Event, queued)
	group.Go(func() error {
		return c.ledger.Watch(ctx, q, func(e ledger.Event) error { return enqueue(ctx, events, e) })
	})
	group.Go(func() error { return send(ctx, events, stream) })
	return toStatus(group.Wait(), c.owners())
}

// enqueue hands an event on.
func enqueue(ctx context.Context, events chan<- ledger.Event, e ledger.Event) error {
	select {
	case events <- e:
		return nil
	default:
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case events <- e:
		return nil
	case <-timer.C:
		return status.Errorf(codes.ResourceExhausted, "watch: nothing was read for %s while %d events wait; begin again", patience, queued)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func send(ctx context.Context, events <-chan ledger.Event, stream grpc.ServerStreamingServer[ipampb.Event]) error {
	for {
		select {
		case e := <-events:
			if err := stream.Send(&ipampb.Event{Entry: entryOf(e.Entry), Gone: e.Gone}); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// begin notes that a place watches; false if it does already.
func (s *Service) begin(path string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watching[path] {
		return false
	}
	s.watching[path] = true
	return true
}

func (s *Service) end(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.watching, path)
}
