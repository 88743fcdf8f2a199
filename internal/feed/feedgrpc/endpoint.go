package feedgrpc

import (
	"context"
	"fmt"
	"time"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/record"
)

// Endpoint is what a tier supplies for one end of one session, or of one after another. Outbox and Ledger outlive
// sessions. Every function may be nil; all but Fence, Apply and Answer are called from the session's own goroutine, in
// order; none but Apply and Answer may block.
type Endpoint struct {
	// Outbox is what the peer should hold; nil sends nothing.
	Outbox *feed.Outbox
	// Ledger is what is held from the peer; nil takes nothing.
	Ledger *feed.Ledger
	// Rank orders what a comparison finds: puts by ascending, removals by descending rank, then by key.
	Rank func(record.Key) int
	// Fence is this end's fence; while ok is false this end must not send what it holds, since it cannot be sure to be
	// the peer's owner. It is asked for all that carries a fence when it is made and when it goes out, and asked again
	// after feed.HoldPause while it says no. Nil states none, and allows all.
	Fence func() (fence feed.Fence, ok bool)

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
	// NotAfter is when the certificate ends that it has shown, Serial that certificate's number; zero where it has shown none.
	NotAfter time.Time
	Serial   string
}

// Redirect is the error by which an accept function sends a child elsewhere.
type Redirect struct {
	Address string
	// Reason is for people; empty says that another serves the child.
	Reason string
}

func (r *Redirect) Error() string {
	if r.Reason == "" {
		return fmt.Sprintf("another serves this child, at %s", r.Address)
	}
	return fmt.Sprintf("%s; it is served at %s", r.Reason, r.Address)
}
