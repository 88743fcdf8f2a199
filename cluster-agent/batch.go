package clusteragent

import (
	"context"
	"fmt"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
)

// batches makes the zone's batches effective, one at a time.
type batches struct {
	desk *desk
	// persist keeps a batch's state before the batch is applied; an error means that it must not be.
	persist func(ctx context.Context, state feed.State) error
}

// wish is one put or removal of a batch.
type wish struct {
	key     record.Key
	id      object.ID
	record  *record.Record // nil removes
	invalid error
}

// apply returns when everything in the batch has taken effect or is rejected: puts by class, each class at once, then
// removals in the opposite order.
func (b *batches) apply(ctx context.Context, batch feed.Batch) ([]feed.Rejection, error) {
	if err := b.persist(ctx, batch.State); err != nil {
		return nil, fmt.Errorf("keeping the state of batch %d: %w", batch.ID, err)
	}
	b.desk.begin()
	var puts, removals [object.Classes][]wish
	for _, r := range batch.Puts {
		sort(&puts, wish{key: r.Key, record: r})
	}
	for _, r := range batch.Removals {
		sort(&removals, wish{key: r.Key})
	}
	var rejections []feed.Rejection
	for class := range object.Classes {
		rejected, err := b.settle(ctx, puts[class])
		if err != nil {
			return nil, err
		}
		rejections = append(rejections, rejected...)
	}
	for class := object.Classes - 1; class >= 0; class-- {
		rejected, err := b.settle(ctx, removals[class])
		if err != nil {
			return nil, err
		}
		rejections = append(rejections, rejected...)
	}
	return rejections, nil
}

func sort(classes *[object.Classes][]wish, w wish) {
	class := object.ClassConfig
	if w.id, w.invalid = object.FromKey(w.key); w.invalid == nil {
		class = object.ClassOf(w.id.Group, w.id.Kind)
	}
	classes[class] = append(classes[class], w)
}

// settle waits for the outcome of all wishes, and returns those that were rejected.
func (b *batches) settle(ctx context.Context, wishes []wish) ([]feed.Rejection, error) {
	outcomes := make(chan *feed.Rejection, len(wishes))
	done := func(r *feed.Rejection) { outcomes <- r }
	for _, w := range wishes {
		switch {
		case w.invalid != nil:
			r := feed.Rejection{Key: w.key, Reason: reasonManifest, Message: w.invalid.Error()}
			if w.record != nil {
				r.Version = w.record.Version
			}
			done(&r)
		case w.record == nil:
			b.desk.remove(w.id, done)
		default:
			b.desk.put(w.id, w.record, done)
		}
	}
	var rejections []feed.Rejection
	for range wishes {
		select {
		case r := <-outcomes:
			if r != nil {
				rejections = append(rejections, *r)
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return rejections, nil
}
