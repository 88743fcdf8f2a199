package mem

import (
	"context"
	"fmt"

	"github.com/meridian-federation/meridian/internal/store"
)

// membership lasts, without any lease, until something ends it.
type membership struct {
	owner  *Store
	member store.Member  // guarded by the data's mutex
	done   chan struct{} // closed under the data's mutex, which takes the membership out of the data's
}

// Join implements store.Registry.
func (s *Store) Join(ctx context.Context, m store.Member) (store.Membership, error) {
	if err := s.usable(ctx); err != nil {
		return nil, fmt.Errorf("joining as %s: %w", m.ID, err)
	}
	d := s.data
	d.mu.Lock()
	defer d.mu.Unlock()
	if before := d.members[m.ID]; before != nil {
		before.end()
	}
	joined := &membership{owner: s, member: m, done: make(chan struct{})}
	d.members[m.ID] = joined
	d.rev++
	d.wakeRoster()
	return joined, nil
}

// Expire ends a membership as a lost lease does: nobody said so to the member before.
func (s *Store) Expire(id string) {
	d := s.data
	d.mu.Lock()
	defer d.mu.Unlock()
	if m := d.members[id]; m != nil {
		m.end()
		d.rev++
		d.wakeRoster()
	}
}

// end takes a membership off the roster. The caller holds the lock.
func (m *membership) end() {
	delete(m.owner.data.members, m.member.ID)
	close(m.done)
}

func (m *membership) ended() bool {
	select {
	case <-m.done:
		return true
	default:
		return false
	}
}

// Fresh implements store.Membership.
func (m *membership) Fresh() bool { return !m.ended() }

// Done implements store.Membership.
func (m *membership) Done() <-chan struct{} { return m.done }

// Update implements store.Membership.
func (m *membership) Update(ctx context.Context, now store.Member) error {
	d := m.owner.data
	d.mu.Lock()
	defer d.mu.Unlock()
	err := m.owner.usable(ctx)
	switch {
	case m.ended():
		err = store.ErrEnded
	case err == nil:
		now.ID = m.member.ID
		m.member = now
		d.rev++
		d.wakeRoster()
		return nil
	}
	return fmt.Errorf("describing %s anew: %w", m.member.ID, err)
}

// Leave implements store.Membership.
func (m *membership) Leave(context.Context) error {
	d := m.owner.data
	d.mu.Lock()
	defer d.mu.Unlock()
	if !m.ended() {
		m.end()
		d.rev++
		d.wakeRoster()
	}
	return nil
}
