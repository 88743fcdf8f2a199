package etcd

import (
	"context"
	"log/slog"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

const (
	// streamPause is how long a renewer whose stream broke waits before it opens another.
	streamPause = 200 * time.Millisecond
	// rounds is how often a lease is renewed in its length.
	rounds = 3
	// answerRounds is how many rounds' time the answers of one may take before the stream counts as broken: a busy machine
	// takes more than one, and another stream must yet have its turn while the leases last.
	answerRounds = 2
)

// renewer renews a store's leases, all in one round, and one round after the other: so that it is known when the request
// was sent that an answer belongs to. The client's own KeepAlive would take an answer that waited while the process was
// stopped for a fresh one, and wakes several times a second.
type renewer struct {
	client pb.LeaseClient
	log    *slog.Logger
	added  chan struct{} // holds one token while there may be leases that the pace does not know

	mu      sync.Mutex
	leases  map[*lease]struct{} // guarded by mu
	running bool                // guarded by mu
}

func newRenewer(log *slog.Logger) *renewer {
	return &renewer{log: log, added: make(chan struct{}, 1), leases: map[*lease]struct{}{}}
}

// add takes a lease in. The caller runs the renewer if it has to be started.
func (r *renewer) add(l *lease) (start bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leases[l] = struct{}{}
	select {
	case r.added <- struct{}{}:
	default:
	}
	start, r.running = !r.running, true
	return start
}

// remove ends a lease's renewals.
func (r *renewer) remove(l *lease) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.leases, l)
}

// lose ends the renewals of a lease that is gone.
func (r *renewer) lose(l *lease) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, held := r.leases[l]; held {
		delete(r.leases, l)
		close(l.lost)
	}
}

// run renews until no lease is left or ctx ends.
func (r *renewer) run(ctx context.Context) {
	for r.expire(ctx) {
		if err := r.stream(ctx); err != nil && ctx.Err() == nil {
			r.log.Debug("renewing leases", "error", err)
			_, left := r.round()
			pause(ctx, min(streamPause, left))
		}
	}
}

// expire loses the leases that etcd may have ended by now. It returns false when the renewer stops.
func (r *renewer) expire(ctx context.Context) bool {
	leases, _ := r.round()
	for _, l := range leases {
		if l.left() <= 0 {
			r.lose(l)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running = len(r.leases) > 0 && ctx.Err() == nil
	return r.running
}

// round returns the leases by ID, and how long the first that ends still lasts.
func (r *renewer) round() (leases map[int64]*lease, left time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	leases = make(map[int64]*lease, len(r.leases))
	for l := range r.leases {
		if own := l.left(); len(leases) == 0 || own < left {
			left = own
		}
		leases[int64(l.id)] = l
	}
	return leases, left
}

// stream renews for as long as there are leases and answers come.
func (r *renewer) stream(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	leases, left := r.round()
	patience := time.AfterFunc(min(answerRounds*pace(leases), left), cancel)
	defer patience.Stop()
	stream, err := r.client.LeaseKeepAlive(ctx)
	if err != nil {
		return err
	}
	for len(leases) > 0 {
		sent := time.Now()
		for id := range leases {
			if err := stream.Send(&pb.LeaseKeepAliveRequest{ID: id}); err != nil {
				return err
			}
		}
		for range leases {
			resp, err := stream.Recv()
			if err != nil {
				return err
			}
			r.answered(leases[resp.ID], resp, sent)
		}
		patience.Stop()
		if err := r.wait(ctx, sent); err != nil {
			return err
		}
		leases, left = r.round()
		patience.Reset(min(answerRounds*pace(leases), left))
	}
	return nil
}

func (r *renewer) answered(l *lease, resp *pb.LeaseKeepAliveResponse, sent time.Time) {
	switch {
	case l == nil: // not one that was asked for
	case resp.TTL <= 0:
		r.lose(l)
	default:
		l.renewed.Store(&sent)
	}
}

// wait waits for the next round's time.
func (r *renewer) wait(ctx context.Context, last time.Time) error {
	for {
		leases, _ := r.round()
		timer := time.NewTimer(pace(leases) - time.Since(last))
		select {
		case <-timer.C:
			return ctx.Err()
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-r.added:
			timer.Stop()
		}
	}
}

// pace is the time between two rounds.
func pace(leases map[int64]*lease) time.Duration {
	every := time.Duration(0)
	for _, l := range leases {
		if own := l.ttl / rounds; every == 0 || own < every {
			every = own
		}
	}
	return every
}
