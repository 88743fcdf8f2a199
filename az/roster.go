package az

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/meridian-federation/meridian/internal/store"
)

const (
	// proofAfter is how long after gossip lost a member its lease must still be there for it to count as alive: a member
	// that is gone cannot have renewed it in that time.
	proofAfter = store.MemberLease + time.Second
	// calmAfter is how long the members must have been the same before a cluster is taken from a member that lives.
	calmAfter = time.Second
	// joinPause is how long a replica waits after it lost its place among the members, or did not get it, or could not depose
	// a leader.
	joinPause = 200 * time.Millisecond
	// deposeWithin bounds a try to depose a leader that is gone: by then its lease has ended, too.
	deposeWithin = store.MemberLease
)

// Gossip finds out quickly who is gone; internal/shard/gossip is one.
type Gossip interface {
	Run(ctx context.Context) error
	// Changed is closed when what Lost says may have changed.
	Changed() <-chan struct{}
	// Lost tells whether a member that was there is gone, and when that was noticed.
	Lost(id string) (at time.Time, lost bool)
}

// roster is this replica's picture of who takes part in its zone: the store's roster, corrected by gossip. A member takes
// part while its lease lives and gossip has not lost it. Gossip may be wrong, or cut off by itself: a member that it lost
// is back as soon as it shows that it lives, by a claim, by joining again, or by a lease that outlives it.
type roster struct {
	self     store.Member
	registry store.Registry
	gossip   Gossip // nil where the replica is alone by configuration
	log      *slog.Logger

	mu         sync.Mutex // guards all below
	members    map[string]store.Member
	leaderID   string
	claims     map[string]store.Claim
	proofs     map[string]time.Time // when a member was last seen to act
	membership store.Membership
	// joined counts the memberships: what the store says in one may be older than what it said in the last.
	joined int
	// certain: what is known of claims is not older than the membership.
	certain bool
	// stirred is when the members last changed.
	stirred time.Time
	// changed is closed and replaced at each change, moved only where members or leader may be others.
	changed, moved chan struct{}
}

func newRoster(self store.Member, registry store.Registry, gossip Gossip, log *slog.Logger) *roster {
	return &roster{self: self, registry: registry, gossip: gossip, log: log, members: map[string]store.Member{},
		claims: map[string]store.Claim{}, proofs: map[string]time.Time{},
		changed: make(chan struct{}), moved: make(chan struct{})}
}

// run takes part until ctx ends.
func (r *roster) run(ctx context.Context) error {
	for ctx.Err() == nil {
		err := r.attend(ctx)
		if ctx.Err() != nil {
			return nil
		}
		r.log.Warn("not listed among the zone's replicas", "error", err, "again", joinPause)
		timer := time.NewTimer(joinPause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
	return nil
}

// attend joins, and follows the roster for as long as the membership lasts.
func (r *roster) attend(ctx context.Context) error {
	m, err := r.registry.Join(ctx, r.described())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	lost := make(chan struct{})
	go func() {
		defer close(lost)
		select {
		case <-m.Done():
			cancel()
		case <-ctx.Done():
		}
	}()
	first := true
	err = r.registry.WatchRoster(ctx, func(now *store.Roster) error {
		r.take(now, m, first)
		first = false
		return nil
	})
	cancel()
	<-lost
	r.doubt()
	last, done := context.WithTimeout(context.WithoutCancel(ctx), joinPause)
	defer done()
	if left := m.Leave(last); left != nil {
		r.log.Debug("leaving the roster", "error", left)
	}
	return err
}

func (r *roster) described() store.Member {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.self
}

// take takes the store's roster in. The first of a membership replaces what was known of claims: the store may have been
// set back to an older copy meanwhile.
func (r *roster) take(now *store.Roster, m store.Membership, first bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := time.Now()
	moved := r.leaderID != now.Leader
	if !maps.Equal(r.members, now.Members) {
		moved = true
		for id := range now.Members {
			if _, was := r.members[id]; !was {
				r.proofs[id] = at
			}
		}
		for id := range r.proofs {
			if _, is := now.Members[id]; !is {
				delete(r.proofs, id)
			}
		}
		r.members, r.stirred = maps.Clone(now.Members), at
	}
	if first {
		r.claims, r.stirred = maps.Clone(now.Claims), at
		r.joined++
	}
	for name, c := range now.Claims {
		if c.Fence > r.claims[name].Fence {
			if r.claims[name].Fence > 0 {
				r.proofs[c.Owner] = at
			}
			r.claims[name] = c
		}
	}
	r.leaderID, r.membership, r.certain = now.Leader, m, true
	r.wake(moved)
}

// doubt notes that others may have taken claims unseen. A replica that is alone goes on: nobody could have.
func (r *roster) doubt() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.certain = r.alone()
	r.wake(false)
}

// wake tells of a change, with mu held.
func (r *roster) wake(moved bool) {
	close(r.changed)
	r.changed = make(chan struct{})
	if moved {
		close(r.moved)
		r.moved = make(chan struct{})
	}
}

// alone tells, with mu held, whether no other replica is known.
func (r *roster) alone() bool {
	for id := range r.members {
		if id != r.self.ID {
			return false
		}
	}
	return true
}

// live tells, with mu held, whether a member takes part.
func (r *roster) live(id string, now time.Time) bool {
	if _, listed := r.members[id]; !listed {
		return false
	}
	gone, _ := r.gone(id, now)
	return !gone
}

// attendance is who takes part at one moment.
type attendance struct {
	// dealt are the members that clusters are dealt to, sorted.
	dealt []string
	// calm: they have been the same for a while.
	calm bool
	// again is when to look again although nothing changed; zero is never.
	again time.Time
	// joined tells one membership of this replica's from another.
	joined int
}

// attendance returns who takes part; ok is false while that is not known, as it is to one whose own lease is not fresh.
func (r *roster) attendance(now time.Time) (a attendance, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a.joined = r.joined
	for _, id := range slices.Sorted(maps.Keys(r.members)) {
		gone, until := r.gone(id, now)
		if gone && (a.again.IsZero() || until.Before(a.again)) {
			a.again = until
		}
		if !gone && !r.members[id].Leaving {
			a.dealt = append(a.dealt, id)
		}
	}
	calm := r.stirred.Add(calmAfter)
	if a.calm = !now.Before(calm); !a.calm && (a.again.IsZero() || calm.Before(a.again)) {
		a.again = calm
	}
	return a, r.certain && (r.alone() || r.membership.Fresh())
}

// claim is who has claimed a cluster. keeps tells whether that one lives and means to keep it.
func (r *roster) claim(cluster string) (c store.Claim, keeps bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c = r.claims[cluster]
	return c, r.live(c.Owner, time.Now()) && !r.members[c.Owner].Leaving
}

// claimed notes a claim of this replica's own, before the store's roster tells of it. It returns false if the claim was
// decided on in another membership: the store may have been set back since, so only its roster can tell.
func (r *roster) claimed(c store.Claim, joined int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if joined != r.joined {
		return false
	}
	if c.Fence > r.claims[c.Name].Fence {
		r.claims[c.Name] = c
	}
	return true
}

// holds tells whether this replica is sure to own a cluster by a fence: its lease is fresh, and nobody has taken the claim
// as far as the store said since. Another replica may yet take it the next moment; then the agent's fence decides.
func (r *roster) holds(cluster string, fence int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.certain || !r.alone() && !r.membership.Fresh() {
		return false
	}
	c := r.claims[cluster]
	return c.Owner == r.self.ID && c.Fence == fence
}

// owner is where the agent of a cluster is served, if that is known to be another replica that lives.
func (r *roster) owner(cluster string) (address string, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	id := r.claims[cluster].Owner
	if id == r.self.ID || !r.live(id, time.Now()) {
		return "", false
	}
	return r.members[id].Address, true
}

// leader is who leads the zone, and where it is reached: both empty while that is not known. changed is closed when it
// may be another.
func (r *roster) leader() (id, address string, changed <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, listed := r.members[r.leaderID]
	if !listed {
		return "", "", r.moved
	}
	return r.leaderID, m.Address, r.moved
}

// addresses are those of all replicas that agents may turn to, sorted.
func (r *roster) addresses() (all []string, changed <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	for id, m := range r.members {
		if r.live(id, now) && !m.Leaving {
			all = append(all, m.Address)
		}
	}
	slices.Sort(all)
	return all, r.moved
}

// replicas are all members, sorted by ID.
func (r *roster) replicas() (members []store.Member) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(r.members)) {
		members = append(members, r.members[id])
	}
	return members
}

// leave tells the others that this replica is about to end.
func (r *roster) leave(ctx context.Context) error {
	r.mu.Lock()
	r.self.Leaving = true
	m, membership := r.self, r.membership
	r.mu.Unlock()
	if membership == nil {
		return nil
	}
	return membership.Update(ctx, m)
}

// last tells whether nobody is left who could take this replica's clusters over.
func (r *roster) last() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	for id, m := range r.members {
		if id != r.self.ID && !m.Leaving && r.live(id, now) {
			return false
		}
	}
	return true
}

// wait is closed at the next change.
func (r *roster) wait() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changed
}
