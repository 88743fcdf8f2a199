package ipamgrpc

import (
	"context"

	"github.com/meridian-federation/meridian/ipam/ledger"
)

// Underway are the owners of a place right below, by its path, for whom something is being taken, or of whom nobody heard whether it
// was. Of a place that Left tells of there are no more after that.
func (s *Service) Underway(l *ledger.Ledger, path string) []string {
	if a := s.open(); a != nil && a.ledger == l {
		return a.underway(path)
	}
	return nil
}

// TakeBack releases what an owner has whose place has left the inventory, and counts that. l is the place's ledger, open in this
// process; while it is not served from, nothing is counted.
func (s *Service) TakeBack(ctx context.Context, l *ledger.Ledger, owner string) error {
	if a := s.open(); a != nil && a.ledger == l {
		_, err := caller{ledger: l, account: a}.release(ctx, owner)
		return err
	}
	_, err := l.Release(ctx, owner)
	return err
}

// underway are a place's owners of whom something is pending.
func (a *account) underway(peer string) (owners []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for owner, s := range a.pending {
		if s.peer == peer {
			owners = append(owners, owner)
		}
	}
	return owners
}
