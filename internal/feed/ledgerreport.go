package feed

import (
	"maps"
	"slices"

	"github.com/meridian-federation/meridian/internal/record"
)

// Standing is what a ledger says of itself, for status.
type Standing struct {
	// Keys held, rejected ones included, those whose removal is held back not.
	Keys  int
	Floor Position
	Fence Fence
	// Refusal is set while the sender is not believed.
	Refusal  *Refusal
	Rejected []Rejection
	// Tripped: the guard holds removals back; Held are those known since the start of this process.
	Tripped bool
	Held    []HeldRemoval
}

// Standing lists rejections and held removals in key order.
func (l *Ledger) Standing() Standing {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := Standing{Keys: l.table.size, Floor: l.state.Floor, Fence: l.state.Fence, Tripped: l.state.Guard.Tripped}
	if l.refusal != nil {
		refusal := *l.refusal
		s.Refusal = &refusal
	}
	s.Rejected = slices.SortedFunc(maps.Values(l.rejected), func(a, b Rejection) int { return a.Key.Compare(b.Key) })
	s.Held = slices.SortedFunc(maps.Values(l.held), func(a, b HeldRemoval) int { return a.Key.Compare(b.Key) })
	return s
}

// Holds returns the version that is held under a key as the sender should believe it; zero where it is not known.
func (l *Ledger) Holds(key record.Key) (record.Version, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r, ok := l.table.get(key); ok {
		return r.Version, true
	}
	return record.Version{}, false
}

// Root is the digest of everything, as the sender should believe it.
func (l *Ledger) Root() Digest {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.table.root
}
