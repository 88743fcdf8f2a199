package az_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/meridian-federation/meridian/az"
	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/shard"
	"github.com/meridian-federation/meridian/internal/store"
	"github.com/meridian-federation/meridian/internal/store/mem"
	"github.com/meridian-federation/meridian/internal/tiertest"
)

// rumours are what one replica's gossip says, as the test has it.
type rumours struct {
	mu      sync.Mutex
	lost    map[string]time.Time
	changed chan struct{}
}

func newRumours() *rumours {
	return &rumours{lost: map[string]time.Time{}, changed: make(chan struct{})}
}

func (r *rumours) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

func (r *rumours) Changed() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changed
}

func (r *rumours) Lost(id string) (time.Time, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at, lost := r.lost[id]
	return at, lost
}

func (r *rumours) lose(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lost[id] = time.Now()
	close(r.changed)
	r.changed = make(chan struct{})
}

// replica is one of the zone's processes.
type replica struct {
	id, address string
	store       *mem.Store
	gossip      *rumours
	stop        func()
}

// shared is a zone of several replicas on one store, between a parent and its agents.
type shared struct {
	t        *testing.T
	parent   *tiertest.Parent
	store    *mem.Store
	replicas map[string]*replica
	agents   map[string]*tiertest.Child

	mu     sync.Mutex
	claims map[string][]store.Claim // by cluster, in their order
	// losers are, by cluster, who had it when it was last to be claimed, as the roster listed it then; zero where it did not.
	losers map[string]store.Member
	// members are as the roster lists them; claims wait until held is closed.
	members map[string]store.Member
	held    chan struct{}
	// barred replicas wait to join until theirs is closed.
	barred map[string]chan struct{}
}

// claimant is a replica's store, which notes from whom clusters are claimed, and has claims, and those who join, wait where the
// test says so.
type claimant struct {
	*mem.Store
	zone *shared
}

func (c claimant) Join(ctx context.Context, m store.Member) (store.Membership, error) {
	c.zone.mu.Lock()
	barred := c.zone.barred[m.ID]
	c.zone.mu.Unlock()
	if barred != nil {
		select {
		case <-barred:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return c.Store.Join(ctx, m)
}

func (c claimant) Claim(ctx context.Context, name, owner string, prev int64) (store.Claim, error) {
	c.zone.mu.Lock()
	held := c.zone.held
	c.zone.mu.Unlock()
	select {
	case <-held:
	case <-ctx.Done():
		return store.Claim{}, ctx.Err()
	}
	seen := errors.New("seen")
	err := c.WatchRoster(ctx, func(r *store.Roster) error {
		c.zone.mu.Lock()
		defer c.zone.mu.Unlock()
		c.zone.losers[name] = r.Members[r.Claims[name].Owner]
		return seen
	})
	if !errors.Is(err, seen) {
		return store.Claim{}, err
	}
	return c.Store.Claim(ctx, name, owner, prev)
}

// newShared starts the replicas one after another, and agents that know the first two alone.
func newShared(t *testing.T, replicas, clusters int) *shared {
	t.Helper()
	z := &shared{t: t, parent: tiertest.NewParent(t, "region/west"), store: mem.New(), replicas: map[string]*replica{},
		agents: map[string]*tiertest.Child{}, claims: map[string][]store.Claim{}, losers: map[string]store.Member{},
		held: make(chan struct{}), barred: map[string]chan struct{}{}}
	close(z.held)
	z.observe()
	for i := range clusters {
		z.parent.Put(cluster(fmt.Sprint("c", i)).Record())
	}
	for i := range replicas {
		z.start(fmt.Sprint("r", i))
	}
	t.Cleanup(func() {
		for _, r := range z.replicas {
			r.stop()
		}
	})
	for i := range clusters {
		name := fmt.Sprint("c", i)
		a := tiertest.NewChild(t, "cluster", "region/west/zone/a/cluster/"+name, z.replicas["r0"].address, z.replicas["r1"].address)
		a.Ready(tiertest.Replicas)
		health := record.Health{Cluster: name, Nodes: 10, KubernetesVersion: "v1.34.0"}.Record()
		a.Outbox.Edit(feed.Put(&health))
		a.Start()
		z.agents[name] = a
	}
	return z
}

// patient is longer than any agent takes to come back, and than a test waits for another replica to take clusters over:
// nothing is told because time ran out.
const patient = time.Minute

// start starts a replica, at the address that it had before if it ran before.
func (z *shared) start(id string) {
	z.t.Helper()
	r := z.replicas[id]
	if r == nil {
		r = &replica{id: id, address: "127.0.0.1:0"}
		z.replicas[id] = r
	}
	r.store, r.gossip = z.store.Open(), newRumours()
	listener, err := net.Listen("tcp", r.address)
	if err != nil {
		z.t.Fatal(err)
	}
	r.address = listener.Addr().String()
	log := slog.New(slog.DiscardHandler)
	if testing.Verbose() {
		log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo})).With("replica", id)
	}
	cfg := az.Config{ID: id, Region: "west", Zone: "a", Parent: []string{z.parent.Address}, Settle: patient}
	cfg.Default()
	tier := az.New(cfg.WithSlack(patient), az.Deps{Store: claimant{r.store, z}, Listener: listener, Gossip: r.gossip, Log: log,
		Identity: tiertest.Source(z.t, "region/west/zone/a")})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- tier.Run(ctx) }()
	r.stop = func() {
		cancel()
		if err := <-done; err != nil {
			z.t.Errorf("running replica %s: %v", id, err)
		}
		if err := r.store.Close(); err != nil {
			z.t.Errorf("closing the store of replica %s: %v", id, err)
		}
		r.stop = func() {}
	}
}

// crash ends a replica without a word; the others' gossip notices.
func (z *shared) crash(id string) {
	z.t.Helper()
	if err := z.replicas[id].store.Close(); err != nil {
		z.t.Fatal(err)
	}
	for other, r := range z.replicas {
		if other != id {
			r.gossip.lose(id)
		}
	}
	z.replicas[id].stop()
}

// hold has all claims wait until they are released.
func (z *shared) hold() (release func()) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.held = make(chan struct{})
	return sync.OnceFunc(func() { close(z.held) })
}

// expire takes a replica off the roster, as a lost lease does, and lets it back when the others named have its clusters.
func (z *shared) expire(id string, others ...string) {
	z.t.Helper()
	bar := make(chan struct{})
	defer close(bar)
	z.mu.Lock()
	z.barred[id] = bar
	z.mu.Unlock()
	z.store.Expire(id)
	z.awaitOwners(others...)
}

// observe notes the members and every claim.
func (z *shared) observe() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = z.store.WatchRoster(ctx, func(r *store.Roster) error {
			z.mu.Lock()
			defer z.mu.Unlock()
			z.members = maps.Clone(r.Members)
			for name, c := range r.Claims {
				if had := z.claims[name]; len(had) == 0 || had[len(had)-1] != c {
					z.claims[name] = append(had, c)
				}
			}
			return nil
		})
	}()
	z.t.Cleanup(func() {
		cancel()
		<-done
	})
}

// owners are how many clusters each replica has.
func (z *shared) owners() map[string]int {
	z.mu.Lock()
	defer z.mu.Unlock()
	out := map[string]int{}
	for _, history := range z.claims {
		out[history[len(history)-1].Owner]++
	}
	return out
}

// owned are the clusters of one replica.
func (z *shared) owned(id string) (names []string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	for name, history := range z.claims {
		if history[len(history)-1].Owner == id {
			names = append(names, name)
		}
	}
	return names
}

// awaitOwners waits until all clusters belong to the replicas named, and each of them has some.
func (z *shared) awaitOwners(ids ...string) {
	z.t.Helper()
	tiertest.Await(z.t, fmt.Sprintf("the clusters belong to %v", ids), func() bool {
		owners := z.owners()
		sum := 0
		for _, n := range owners {
			sum += n
		}
		return sum == len(z.agents) && slices.Equal(slices.Sorted(maps.Keys(owners)), ids)
	})
}

// everywhere submits an application to all clusters and waits until all run it, and the parent knows.
func (z *shared) everywhere(a app) {
	z.t.Helper()
	a.replicas, a.placement = 1, `{"mode":"Duplicated"}`
	z.parent.Edit(a.puts()...)
	z.settled(a)
}

// arrives submits an application to all clusters and waits until all have it.
func (z *shared) arrives(a app) {
	z.t.Helper()
	a.replicas, a.placement = 1, `{"mode":"Duplicated"}`
	z.parent.Edit(a.puts()...)
	z.arrived(a)
}

func (z *shared) arrived(a app) {
	z.t.Helper()
	for name, agent := range z.agents {
		agent.Await(z.t, a.name+" runs in "+name, func(held map[record.Key]record.Record) bool {
			_, ok := held[deploymentKey(a.name)]
			return ok
		})
	}
}

func (z *shared) settled(a app) {
	z.t.Helper()
	z.arrived(a)
	a.replicas, a.placement = 1, `{"mode":"Duplicated"}`
	z.parent.AwaitStatus(z.t, "n/"+a.name, a.name+" is ready everywhere", ready(a.hash(), int32(len(z.agents))))
}

func (z *shared) writes() map[string]int {
	out := map[string]int{}
	for name, a := range z.agents {
		out[name] = a.Writes()
	}
	return out
}

// unwritten checks that since a count each cluster was written only so often.
func (z *shared) unwritten(before map[string]int, more int) {
	z.t.Helper()
	for name, n := range z.writes() {
		if n != before[name]+more {
			z.t.Errorf("cluster %s was written %d times, want %d", name, n, before[name]+more)
		}
	}
}

// monotonic checks that no agent was ever sent a fence below an earlier one.
func (z *shared) monotonic() {
	z.t.Helper()
	for name, a := range z.agents {
		fences := a.Fences()
		for i := 1; i < len(fences); i++ {
			if fences[i].Fence < fences[i-1].Fence {
				z.t.Errorf("cluster %s took fence %v after %v", name, fences[i], fences[i-1])
			}
		}
	}
}

// objectsPerApp are a ServiceAccount, Service, NetworkPolicy, AuthorizationPolicy, Sidecar and Deployment; objectsPerNamespace
// the Namespace and its PeerAuthentication.
const (
	objectsPerApp       = 6
	objectsPerNamespace = 2
)

// mute has a replica r2 join that answers nobody, and claim the clusters that are dealt to it beside r0 and r1, so that
// nobody takes them back. It returns these, sorted.
func (z *shared) mute() (clusters []string) {
	z.t.Helper()
	s := z.store.Open()
	if _, err := s.Join(z.t.Context(), store.Member{ID: "r2", Address: "127.0.0.1:1"}); err != nil {
		z.t.Fatal(err)
	}
	z.t.Cleanup(func() {
		z.store.Expire("r2")
		_ = s.Close()
	})
	var loads []shard.Load
	for name := range z.agents {
		loads = append(loads, shard.Load{Key: name, Weight: 10})
	}
	for name, id := range shard.Deal([]string{"r0", "r1", "r2"}, loads) {
		if id != "r2" {
			continue
		}
		if _, err := s.Claim(z.t.Context(), name, "r2", z.claim(name).Fence); err != nil {
			z.t.Fatal(err)
		}
		clusters = append(clusters, name)
	}
	slices.Sort(clusters)
	return clusters
}
