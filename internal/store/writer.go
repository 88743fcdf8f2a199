package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/meridian-federation/meridian/internal/record"
)

// Writer writes a leader's records: it leaves out what would change nothing, splits the rest into batches, and returns
// when the mirror shows them. It writes nothing once its term has ended. All methods may be called from several
// goroutines; calls take turns, and the writes of those that wait are all that is kept of them.
type Writer struct {
	store  Store
	mirror *Mirror
	term   Term

	turn    chan struct{} // holds a token while a call has its turn
	sure    bool          // guarded by turn; all that this and earlier terms may have written is at or before reached
	reached int64         // guarded by turn; the revision that the mirror must show before anything is compared with it
}

// NewWriter makes the writer of one term. The mirror must be running, on the same store.
func NewWriter(s Store, m *Mirror, term Term) *Writer {
	return &Writer{store: s, mirror: m, term: term, turn: make(chan struct{}, 1), sure: true, reached: term.Since().Revision}
}

// Apply writes what differs from the store, in order (of several writes of one key the last), and the meta values in
// the last transaction. A removal of what is not there and content that is there already are left out; if nothing is
// left, nothing is written. It returns how many records changed, also with an error, and then any number of the
// transactions, from the first on, have happened.
func (w *Writer) Apply(ctx context.Context, writes []Write, meta map[string][]byte) (changed int, err error) {
	ctx, cancel := w.whileLeading(ctx)
	defer cancel()
	select {
	case w.turn <- struct{}{}:
		defer func() { <-w.turn }()
	case <-ctx.Done():
		return 0, fmt.Errorf("waiting for a turn to write: %w", context.Cause(ctx))
	}
	if err := w.settle(ctx); err != nil {
		return 0, err
	}
	batches, err := split(differing(w.mirror.Snapshot(), writes, meta))
	if err != nil {
		return 0, err
	}
	for _, batch := range batches {
		if err := w.commit(ctx, batch); err != nil {
			return changed, err
		}
		changed += len(batch.Writes)
	}
	began := time.Now()
	if err := w.settle(ctx); err != nil {
		return changed, err
	}
	if len(batches) > 0 {
		w.mirror.stats.MirrorTimes.add(time.Since(began))
	}
	return changed, nil
}

// whileLeading ends a context with the term.
func (w *Writer) whileLeading(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-w.term.Done():
			cancel(ErrDeposed)
		case <-stop:
		}
	}()
	return ctx, func() {
		close(stop)
		<-done
		cancel(nil)
	}
}

// settle makes sure that the mirror shows all that was written. After an error that left a batch in doubt, a barrier
// finds out where that is.
func (w *Writer) settle(ctx context.Context) error {
	if !w.sure {
		if err := w.commit(ctx, Batch{}); err != nil {
			return err
		}
	}
	if err := w.mirror.WaitRevision(ctx, w.reached); err != nil {
		return fmt.Errorf("waiting for the mirror to reach revision %d: %w", w.reached, context.Cause(ctx))
	}
	return nil
}

func (w *Writer) commit(ctx context.Context, batch Batch) error {
	began := time.Now()
	pos, err := w.store.Commit(ctx, w.term, batch)
	w.mirror.stats.committed(batch, began, err)
	if err != nil {
		w.sure = w.sure && (errors.Is(err, ErrDeposed) || errors.Is(err, ErrBounds) || errors.Is(err, ErrFull))
		if cause := context.Cause(ctx); errors.Is(cause, ErrDeposed) {
			return fmt.Errorf("%w: %w", cause, err)
		}
		return err
	}
	w.sure, w.reached = true, pos.Revision
	return nil
}

// differing leaves out the writes that would change nothing.
func differing(snap *Snapshot, writes []Write, meta map[string][]byte) Batch {
	last := make(map[record.Key]int, len(writes))
	for i, w := range writes {
		last[w.Key] = i
	}
	var b Batch
	for i, w := range writes {
		if last[w.Key] != i {
			continue
		}
		held, ok := snap.Get(w.Key)
		if w.Delete && !ok || !w.Delete && ok && held.Version == w.Version {
			continue
		}
		b.Writes = append(b.Writes, w)
	}
	for name, value := range meta {
		held := snap.Meta(name)
		if (held == nil) == (value == nil) && bytes.Equal(held, value) {
			continue
		}
		if b.Meta == nil {
			b.Meta = map[string][]byte{}
		}
		b.Meta[name] = value
	}
	return b
}

// split cuts a batch into those that a store takes, in order, the meta values in the last.
func split(all Batch) ([]Batch, error) {
	var batches []Batch
	var b Batch
	size := 0
	room := func(count, bytes int) {
		if len(b.Writes)+count > MaxBatch || size+bytes > MaxBatchBytes {
			batches = append(batches, b)
			b, size = Batch{}, 0
		}
	}
	for _, w := range all.Writes {
		if w.Size() > MaxBatchBytes {
			return nil, fmt.Errorf("writing %s: %w: %d bytes, more than %d", w.Key, ErrBounds, w.Size(), MaxBatchBytes)
		}
		room(1, w.Size())
		b.Writes = append(b.Writes, w)
		size += w.Size()
	}
	if len(all.Meta) > 0 {
		if err := (Batch{Meta: all.Meta}).Check(); err != nil {
			return nil, fmt.Errorf("writing meta values: %w", err)
		}
		room(len(all.Meta), metaSize(all.Meta))
		b.Meta = all.Meta
	}
	if len(b.Writes)+len(b.Meta) > 0 {
		batches = append(batches, b)
	}
	return batches, nil
}
