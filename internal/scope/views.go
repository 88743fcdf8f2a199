package scope

import (
	"context"
	"fmt"
	"sync"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/store"
)

// Views keeps an Outbox for each child of a tier up to date with the tier's mirror.
type Views struct {
	index *Index

	mu       sync.Mutex // guards all below
	outboxes map[string]*feed.Outbox
	position feed.Position
	complete bool
}

// NewViews returns the views of a tier whose children are of the given level. They are empty and incomplete until Run
// has seen the mirror's first snapshot.
func NewViews(level Level) *Views {
	return &Views{index: NewIndex(level), outboxes: map[string]*feed.Outbox{}}
}

// Outbox returns a child's view. A child that nothing is in scope for has an empty one.
func (v *Views) Outbox(child string) *feed.Outbox {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.outbox(child)
}

// Sizes yields the number of records in each child's view. It holds up changes meanwhile.
func (v *Views) Sizes(yield func(records int) bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, o := range v.outboxes {
		if !yield(o.Len()) {
			return
		}
	}
}

func (v *Views) outbox(child string) *feed.Outbox {
	o := v.outboxes[child]
	if o == nil {
		o = feed.NewOutbox()
		o.SetPosition(v.position)
		o.SetComplete(v.complete)
		v.outboxes[child] = o
	}
	return o
}

// Run follows the mirror until ctx ends.
func (v *Views) Run(ctx context.Context, mirror *store.Mirror) error {
	sub := mirror.Subscribe()
	defer sub.Close()
	for {
		update, err := sub.Next(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("following the mirror: %w", err)
		}
		v.apply(update.Delta)
	}
}

// apply moves every view to the delta's position. A view that nothing changed in moves too, since a child's floor must
// not run ahead of a replica that only has nothing to say.
func (v *Views) apply(delta store.Delta) {
	edits := v.index.Apply(delta.Changes)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.position = feed.Position{Epoch: delta.Position.Epoch, Revision: delta.Position.Revision}
	for child := range edits {
		v.outbox(child)
	}
	for child, o := range v.outboxes {
		o.Update(v.position, edits[child]...)
	}
	if v.complete {
		return
	}
	v.complete = true
	for _, o := range v.outboxes {
		o.SetComplete(true)
	}
}
