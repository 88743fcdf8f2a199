package az

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/shard"
	"github.com/meridian-federation/meridian/internal/store"
)

const (
	// claimsAtOnce bounds the claims that are being made at a time: enough to fill etcd's batches.
	claimsAtOnce = 16
	// claimPause is how long a shard waits after claims that the store did not take.
	claimPause = 500 * time.Millisecond
	// doubtFor is how long a replica that is no longer listed keeps its agents at first: a lease that a busy machine
	// lost is back by then. doubtMost bounds the growing time after which it sends them away again.
	doubtFor  = time.Second
	doubtMost = time.Minute
)

// taking is a cluster that is to be claimed, from whoever has the fence; then what came of it.
type taking struct {
	cluster string
	joined  int // the membership in which that was decided
	from    store.Claim
	claim   store.Claim
	err     error
}

// reconcile brings what this shard has in line with the roster: clusters that another has claimed are released, those
// that are dealt to it are compiled, claimed, and served. It runs when the roster, the inventory or the weights changed.
//
//	dealt ──▶ compiled ──▶ claim ──taken──▶ owned ──claimed by another──▶ released
//	               ▲          │ another was faster
//	               └──────────┘ as long as it is dealt here
func (s *clusterShard) reconcile(now time.Time) {
	here, ok := s.roster.attendance(now)
	if !s.loaded {
		return
	}
	if !ok {
		s.doubt(now)
		return
	}
	s.doubtful = time.Time{}
	if here.joined != s.joined {
		s.joined = here.joined
		clear(s.outrun)
	}
	s.release()
	s.deal(here.dealt)
	wanted := s.wanted(here.calm)
	s.prepare(wanted)
	if now.Before(s.paused) {
		s.lookAgain(s.paused)
	} else {
		s.take(wanted)
	}
	s.lookAgain(here.again)
}

// lookAgain has the shard reconcile at a time, if it would not do so sooner; zero is never.
func (s *clusterShard) lookAgain(at time.Time) {
	if at.IsZero() || !s.again.IsZero() && s.again.Before(at) {
		return
	}
	s.again = at
	s.timer.Reset(time.Until(at))
}

// doubt sends the agents away while the replica does not know whose the clusters are: if another has taken them over, it
// is reached by more than this replica's word. Agents that come back are let in, and told nothing new. They are sent away
// again, ever less often, since the first time may be before another has taken over, which sends them back here.
func (s *clusterShard) doubt(now time.Time) {
	if s.doubtful.IsZero() {
		s.patience = doubtFor
		s.doubtful = now.Add(s.patience)
	}
	if !now.Before(s.doubtful) {
		for _, name := range s.names() {
			s.agents.Dismiss(name, "this replica has lost the zone's store; another may serve this cluster")
		}
		s.patience = min(2*s.patience, doubtMost)
		s.doubtful = now.Add(s.patience)
	}
	s.lookAgain(s.doubtful)
}

// release lets go of the clusters that others have claimed. Their agents are sent there. It lets go as well of those whose
// claim is gone or an older one of this replica's own, which a store that was set back brings about: no agent is served by a
// fence that the store does not have, and take has them again at once.
func (s *clusterShard) release() {
	for _, name := range s.names() {
		claim, _ := s.roster.claim(name)
		o, _ := s.get(name)
		if claim.Owner == s.roster.self.ID && claim.Fence == o.fence.Fence {
			continue
		}
		s.lose(name)
		if claim.Owner == s.roster.self.ID || claim.Owner == "" {
			s.log.Warn("the store no longer has this replica's claim", "cluster", name, "fence", o.fence, "claim", claim.Fence)
			s.agents.Dismiss(name, "the claim on this cluster is another than it was")
			continue
		}
		s.log.Info("cluster taken over by another replica", "cluster", name, "owner", claim.Owner, "fence", claim.Fence)
		s.sendOn(name)
		s.stats.released.Add(1)
	}
}

// sendOn sends the agent of a cluster that is not owned here to whoever owns it, or away where that is not known.
func (s *clusterShard) sendOn(name string) {
	const reason = "another replica serves this cluster now"
	if address, known := s.roster.owner(name); known {
		s.agents.Redirect(name, address, reason)
	} else {
		s.agents.Dismiss(name, reason)
	}
}

// lose forgets what is known of a cluster; nothing is removed in it.
func (s *clusterShard) lose(name string) {
	s.mu.Lock()
	delete(s.owned, name)
	s.wake()
	s.mu.Unlock()
	s.board.release(name)
	s.compiler.Disown(name)
}

// deal deals the zone's clusters anew if what that follows from has changed.
func (s *clusterShard) deal(members []string) {
	if !s.redeal && slices.Equal(s.dealtTo, members) {
		return
	}
	s.dealt = dealGroups(members, s.clusters, s.weights)
	s.dealtTo, s.redeal = members, false
}

// dealGroups deals clusters to members. Those of one primary go to one member, which thus knows what each of them has taken in
// of the others' configuration.
func dealGroups(members []string, clusters map[string]record.Cluster, weights weights) map[string]string {
	groups := map[string]int64{}
	for name, c := range clusters {
		groups[placeOf(c).Primary] += weights.of(name)
	}
	loads := make([]shard.Load, 0, len(groups))
	for primary, weight := range groups {
		loads = append(loads, shard.Load{Key: primary, Weight: weight})
	}
	dealt := shard.Deal(members, loads)
	out := make(map[string]string, len(clusters))
	for name, c := range clusters {
		if member, ok := dealt[placeOf(c).Primary]; ok {
			out[name] = member
		}
	}
	return out
}

// wanted are the clusters that are dealt here and are to be claimed now: at once from whoever is gone or leaving, from one
// that lives only while the members are calm.
func (s *clusterShard) wanted(calm bool) []taking {
	var out []taking
	for name, id := range s.dealt {
		if id != s.roster.self.ID || s.has(name) || s.taking[name] {
			continue
		}
		claim, keeps := s.roster.claim(name)
		if keeps && claim.Owner != s.roster.self.ID && !calm || claim.Fence < s.outrun[name] {
			continue
		}
		delete(s.outrun, name)
		out = append(out, taking{cluster: name, joined: s.joined, from: claim})
	}
	slices.SortFunc(out, func(a, b taking) int { return strings.Compare(a.cluster, b.cluster) })
	return out
}

// prepare compiles clusters before they are claimed, so that nobody waits for it after, and forgets those that were
// prepared and are no longer dealt here.
func (s *clusterShard) prepare(wanted []taking) {
	var fresh []string
	for _, t := range wanted {
		if s.prepared[t.cluster] == nil {
			fresh = append(fresh, t.cluster)
		}
	}
	for name := range s.prepared {
		if s.dealt[name] != s.roster.self.ID && !s.taking[name] {
			delete(s.prepared, name)
			s.compiler.Disown(name)
		}
	}
	if len(fresh) == 0 {
		return
	}
	began := time.Now()
	for _, name := range fresh {
		s.prepared[name] = newOwned(s.limits)
	}
	s.publish(s.compiler.Own(fresh...))
	s.compiled(time.Since(began))
}

// take has clusters claimed. Those that have this replica's claim already, from before a restart, are owned at once: ids
// are unique.
func (s *clusterShard) take(wanted []taking) {
	for _, t := range wanted {
		if t.from.Owner == s.roster.self.ID {
			s.own(t.cluster, t.from.Fence)
			continue
		}
		s.taking[t.cluster] = true
		s.wants = append(s.wants, t)
	}
	if len(s.taking) == 0 {
		s.open()
	}
}

// own serves a cluster that was claimed and compiled.
func (s *clusterShard) own(name string, fence int64) {
	o := s.prepared[name]
	delete(s.prepared, name)
	o.fence = feed.Fence{Epoch: s.position.Epoch, Fence: fence}
	s.board.add(name, o.fence)
	s.board.expect(name, s.compiler.Whole(name), time.Now())
	s.log.Info("cluster owned", "cluster", name, "fence", o.fence, "objects", o.outbox.Len())
	if !o.outbox.Complete() {
		s.log.Warn("some applications cannot be compiled; nothing is removed in the cluster meanwhile", "cluster", name)
	}
	s.stats.owned.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.owned[name] = o
	s.wake()
}

// took takes the outcome of claims. One that another was faster for is not tried again before the roster shows whose it is.
func (s *clusterShard) took(results []taking) {
	for _, t := range results {
		delete(s.taking, t.cluster)
		switch {
		case t.err == nil:
			if s.roster.claimed(t.claim, t.joined) && s.prepared[t.cluster] != nil {
				s.own(t.cluster, t.claim.Fence)
			}
		case errors.Is(t.err, store.ErrClaimed):
			s.stats.outrun.Add(1)
			s.log.Debug("another was faster", "error", t.err)
			if t.joined == s.joined {
				s.outrun[t.cluster] = t.from.Fence + 1
			}
		default:
			s.log.Warn("claiming clusters", "error", t.err, "again", claimPause)
			s.paused = time.Now().Add(claimPause)
		}
	}
}

// claim makes claims, one lot after another, until ctx ends.
func (s *clusterShard) claim(ctx context.Context) error {
	for {
		select {
		case lot := <-s.claims:
			var group errgroup.Group
			group.SetLimit(claimsAtOnce)
			for i := range lot {
				group.Go(func() error {
					t := &lot[i]
					t.claim, t.err = s.store.Claim(ctx, t.cluster, s.roster.self.ID, t.from.Fence)
					if t.err != nil {
						t.err = fmt.Errorf("claiming cluster %s: %w", t.cluster, t.err)
					}
					return nil
				})
			}
			_ = group.Wait() // each taking has its own outcome
			select {
			case s.claimed <- lot:
			case <-ctx.Done():
				return ctx.Err()
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// handOver tells the others that this replica ends, and goes on until they have taken its clusters, nobody else is there,
// or ctx ends.
func (s *clusterShard) handOver(ctx context.Context) {
	if err := s.roster.leave(ctx); err != nil {
		s.log.Warn("telling the other replicas that this one ends", "error", err)
		return
	}
	for {
		roster := s.roster.wait()
		s.mu.Lock()
		left, changed := len(s.owned), s.changed
		s.mu.Unlock()
		if left == 0 || s.roster.last() {
			return
		}
		select {
		case <-roster:
		case <-changed:
		case <-ctx.Done():
			s.log.Warn("ending although the other replicas have not taken all clusters over", "clusters", left)
			return
		}
	}
}
