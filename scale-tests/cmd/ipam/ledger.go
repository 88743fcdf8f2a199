package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/meridian-federation/meridian/internal/store/etcd"
	"github.com/meridian-federation/meridian/ipam/ledger"
)

// The contenders.
const (
	bare    = "bare"
	durable = "durable"
	batched = "batched"
	local   = "local"
)

// pool and block are those of every ledger here: as delegated to a zone, which has no word from above.
const pool = "machines"

var block = netip.MustParsePrefix("10.0.0.0/8")

// prefixOf is where a ledger is in etcd's keys. All are of the same length, so that keys are.
func prefixOf(name string) string { return "/" + (name + "-------")[:7] }

// holding is a ledger with the tier's own client.
type holding struct {
	*ledger.Ledger
	store  *etcd.Store
	client *clientv3.Client
	prefix string
	stop   context.CancelFunc
	ran    chan error
}

// open opens a ledger; batch is ledger.Config's.
func open(ctx context.Context, endpoint, prefix string, batch int) (*holding, error) {
	store, err := etcd.Dial(etcd.Config{Endpoints: []string{"http://" + endpoint}, Prefix: prefix})
	if err != nil {
		return nil, err
	}
	h := &holding{store: store, client: store.Client(), prefix: prefix, ran: make(chan error, 1)}
	h.Ledger, err = ledger.Open(ctx, ledger.Config{Client: h.client, Prefix: prefix, Batch: batch, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening the ledger in %s: %w", prefix, err), store.Close())
	}
	ctx, h.stop = context.WithCancel(context.WithoutCancel(ctx))
	go func() { h.ran <- h.Run(ctx) }()
	return h, nil
}

func (h *holding) close() error {
	h.stop()
	err := <-h.ran
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	return errors.Join(err, h.Close(), h.store.Close())
}

func (h *holding) addBlock(ctx context.Context) error {
	return h.PutBlock(ctx, ledger.Pool{Name: pool}, ledger.Block{Pool: pool, Prefix: block})
}

// allocate is what a caller does: one request, or several at once.
func (h *holding) allocate(n int) func(context.Context, int) error {
	if n == 1 {
		return func(ctx context.Context, i int) error {
			_, err := h.Allocate(ctx, request(i))
			return err
		}
	}
	return func(ctx context.Context, i int) error {
		requests := make([]ledger.Request, n)
		for k := range requests {
			requests[k] = request(i*n + k)
		}
		for _, r := range h.AllocateBatch(ctx, requests) {
			if r.Err != nil {
				return r.Err
			}
		}
		return nil
	}
}

// request is that of the n-th machine.
func request(n int) ledger.Request {
	return ledger.Request{Owner: fmt.Sprintf("local/machine-%09d", n), Pool: pool, Length: 32, Tenant: "payments"}
}
