package store

import (
	"fmt"

	"github.com/meridian-federation/meridian/internal/record"
)

// Bounds of one Batch: those of an etcd server with its default settings, with room for keys and the term.
const (
	MaxBatch      = 100
	MaxBatchBytes = 1 << 20
)

// Size is what a write counts towards MaxBatchBytes.
func (w Write) Size() int { return len(w.Key.Kind) + len(w.Key.Name) + len(w.Content) }

// Check holds a batch to its bounds and to naming each key at most once; its errors wrap ErrBounds.
func (b Batch) Check() error {
	if n := len(b.Writes) + len(b.Meta); n > MaxBatch {
		return fmt.Errorf("%w: %d writes, more than %d", ErrBounds, n, MaxBatch)
	}
	size := metaSize(b.Meta)
	seen := make(map[record.Key]struct{}, len(b.Writes))
	for _, w := range b.Writes {
		if _, twice := seen[w.Key]; twice {
			return fmt.Errorf("%w: %s is written twice", ErrBounds, w.Key)
		}
		seen[w.Key] = struct{}{}
		size += w.Size()
	}
	if size > MaxBatchBytes {
		return fmt.Errorf("%w: %d bytes, more than %d", ErrBounds, size, MaxBatchBytes)
	}
	return nil
}

func metaSize(meta map[string][]byte) int {
	n := 0
	for name, value := range meta {
		n += len(name) + len(value)
	}
	return n
}
