package mem

import (
	"context"
	"fmt"

	"github.com/meridian-federation/meridian/internal/store"
)

type term struct {
	id    string
	owner *Store
	since store.Position
	done  chan struct{}
}

// Campaign implements store.Store.
func (s *Store) Campaign(ctx context.Context, id string) (store.Term, error) {
	for {
		if err := s.usable(ctx); err != nil {
			return nil, fmt.Errorf("campaigning as %s: %w", id, err)
		}
		t, changed := s.lead(id)
		if t != nil {
			return t, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
		case <-s.closed:
		}
	}
}

// lead takes the leadership if it is free or of the same id; else it returns what to wait for.
func (s *Store) lead(id string) (*term, <-chan struct{}) {
	d := s.data
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.leader != nil && d.leader.id != id {
		return nil, d.changed
	}
	d.depose()
	d.rev++
	d.leader = &term{id: id, owner: s, since: d.position(), done: make(chan struct{})}
	d.wakeRoster()
	return d.leader, nil
}

// depose ends the leader's term, if there is one. The caller holds the lock.
func (d *data) depose() {
	if d.leader == nil {
		return
	}
	close(d.leader.done)
	d.leader = nil
}

// Done implements store.Term.
func (t *term) Done() <-chan struct{} { return t.done }

// Since implements store.Term.
func (t *term) Since() store.Position { return t.since }

// Resign implements store.Term.
func (t *term) Resign(context.Context) error {
	d := t.owner.data
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.leader == t {
		d.depose()
		d.rev++
		d.wakeRoster()
	}
	return nil
}

// Depose implements store.Registry.
func (s *Store) Depose(ctx context.Context, id string) error {
	if err := s.usable(ctx); err != nil {
		return fmt.Errorf("deposing %s: %w", id, err)
	}
	d := s.data
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.leader != nil && d.leader.id == id {
		d.depose()
		d.rev++
		d.wakeRoster()
	}
	return nil
}
