package feedgrpc

import (
	"context"
	"fmt"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/record"
)

// Endpoint is what a tier supplies for one end of one session, or of one after another. Outbox and Ledger outlive
// sessions. Every function may be nil; all but Apply and Answer are called from the session's own goroutine, in order,
// and must not block.
type Endpoint struct {
	// Outbox is what the peer should hold; nil sends nothing.
	Outbox *feed.Outbox
	// Ledger is what is held from the peer; nil takes nothing.
	Ledger *feed.Ledger
	// Rank orders what a comparison finds: puts by ascending, removals by descending rank, then by key.
	Rank func(record.Key) int
	// Fence is this end's fence, asked for each batch.
	Fence func() feed.Fence

	// Apply makes a batch effective: puts, then removals, and persists Batch.State with it. A batch may be empty but
	// for its State. It is called for one batch at a time, in order; puts and removals that cannot be made effective
	// are returned as rejections. An error ends the session, and what the batch names is sent again by the next.
	Apply func(ctx context.Context, batch feed.Batch) ([]feed.Rejection, error)
	// Answer answers a question of the peer. ctx ends with the asker's patience. Questions are answered concurrently.
	Answer func(ctx context.Context, question feed.Question) ([]byte, error)

	// Opened is called first, Closed last, with the reason; Closed follows every Opened.
	Opened func(link *Link)
	Closed func(err error)
	// Acked tells what the peer holds now, rejected, or holds back.
	Acked func(outcomes []feed.Outcome)
	// State is called when any of InSync, Heard, RefusedBy and Refuses changed.
	State func(status feed.Status)
}

// Identity is who the peer is, as far as the transport can tell.
type Identity struct {
	Role string
	// Path is the place in the hierarchy, such as region/west/zone/west-a/cluster/west-a-1.
	Path string
}

// Redirect is the error by which an accept function sends a child elsewhere.
type Redirect struct{ Address string }

func (r *Redirect) Error() string { return fmt.Sprintf("served at %s", r.Address) }
