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
}

// claimant is a replica's store, which notes from whom clusters are claimed, and has claims wait where the test says so.
type claimant struct {
	*mem.Store
	zone *shared
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
	z := &shared{t: t, parent: tiertest.NewParent(t), store: mem.New(), replicas: map[string]*replica{},
		agents: map[string]*tiertest.Child{}, claims: map[string][]store.Claim{}, losers: map[string]store.Member{},
		held: make(chan struct{})}
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

// patient is longer than any agent takes to come back: nothing is told because time ran out.
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
	tier := az.New(cfg, az.Deps{Store: claimant{r.store, z}, Listener: listener, Gossip: r.gossip, Log: log})
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

// history are the claims on a cluster, in their order.
func (z *shared) history(cluster string) []store.Claim {
	z.mu.Lock()
	defer z.mu.Unlock()
	return slices.Clone(z.claims[cluster])
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

func TestReplicasShareClusters(t *testing.T) {
	z := newShared(t, 3, 12)
	z.awaitOwners("r0", "r1", "r2")
	for id, n := range z.owners() {
		if n > 6 {
			t.Errorf("replica %s owns %d of 12 clusters, want about a third", id, n)
		}
	}
	z.everywhere(app{name: "cart", image: "cart:1"})
	z.monotonic()
}

// TestReplicaCrashes kills replicas one after another, the leader first, and starts them again: what runs is left alone,
// and what comes arrives.
func TestReplicaCrashes(t *testing.T) {
	z := newShared(t, 3, 9)
	z.awaitOwners("r0", "r1", "r2")
	z.everywhere(app{name: "cart", image: "cart:1"})
	for i, id := range []string{"r0", "r1", "r2"} {
		before := z.writes()
		z.crash(id)
		rest := slices.DeleteFunc([]string{"r0", "r1", "r2"}, func(r string) bool { return r == id })
		z.awaitOwners(rest...)
		z.everywhere(app{name: fmt.Sprint("late-", i), image: "x:1"})
		z.start(id)
		z.awaitOwners("r0", "r1", "r2")
		z.settled(app{name: "cart", image: "cart:1"})
		z.unwritten(before, objectsPerApp)
	}
	z.monotonic()
}

// handsOver has two replicas share clusters that run something, and the second lose its own, while some applications come.
// What runs is left alone, and what comes arrives.
func handsOver(t *testing.T, apps int, lose func(z *shared, clusters []string)) {
	t.Helper()
	z := newShared(t, 2, 6)
	z.awaitOwners("r0", "r1")
	z.everywhere(app{name: "cart", image: "cart:1"})
	before := z.writes()
	lose(z, z.owned("r1"))
	z.everywhere(app{name: "late", image: "x:1"})
	z.unwritten(before, (apps+1)*objectsPerApp)
	z.monotonic()
}

// TestReplicaEnds stops a replica as an operator does: it serves its clusters, and says that it is leaving, until the other
// has claimed them.
func TestReplicaEnds(t *testing.T) {
	handsOver(t, 1, func(z *shared, clusters []string) {
		release := z.hold()
		defer release()
		done := make(chan struct{})
		go func() {
			defer close(done)
			z.replicas["r1"].stop()
		}()
		tiertest.Await(t, "r1 says that it is leaving", func() bool {
			z.mu.Lock()
			defer z.mu.Unlock()
			return z.members["r1"].Leaving
		})
		z.arrives(app{name: "meanwhile", image: "x:1"})
		release()
		<-done
		z.awaitOwners("r0")
		z.mu.Lock()
		defer z.mu.Unlock()
		for _, name := range clusters {
			if m := z.losers[name]; m.ID != "r1" || !m.Leaving {
				t.Errorf("cluster %s was claimed from %+v, want r1, which is leaving", name, m)
			}
		}
	})
}

// TestReplicaLosesItsLease takes a replica off the roster while its agents are connected: the others take over, it finds
// out, and comes back.
func TestReplicaLosesItsLease(t *testing.T) {
	handsOver(t, 0, func(z *shared, clusters []string) {
		since := map[string]int{}
		for _, name := range clusters {
			since[name] = len(z.history(name))
		}
		z.store.Expire("r1")
		for name, n := range since {
			tiertest.Await(t, "r0 has taken "+name+" from r1", func() bool {
				return slices.ContainsFunc(z.history(name)[n:], func(c store.Claim) bool { return c.Owner == "r0" })
			})
		}
		z.awaitOwners("r0", "r1")
	})
}

// TestReplicaLosesItsLeaseAmongChanges takes a replica off the roster again and again while records change all the time: the
// news of one must not keep that of the other from being heard.
func TestReplicaLosesItsLeaseAmongChanges(t *testing.T) {
	z := newShared(t, 2, 6)
	z.awaitOwners("r0", "r1")
	ctx, cancel := context.WithCancel(t.Context())
	var changing sync.WaitGroup
	defer changing.Wait()
	defer cancel()
	changing.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			z.parent.Edit(app{name: "busy", image: fmt.Sprint("x:", i%7), replicas: 1, placement: `{"mode":"Duplicated"}`}.puts()...)
		}
	})
	for i := range 5 {
		z.store.Expire("r1")
		z.awaitOwners("r0")
		z.awaitOwners("r0", "r1")
		z.arrives(app{name: fmt.Sprint("late-", i), image: "x:1"})
	}
	z.monotonic()
}

// TestZoneAlone cuts a zone of several replicas off from its region. It loses a replica, gets another, restarts as a whole,
// takes an agent in that starts anew, and moves replicas to a cluster that grew.
func TestZoneAlone(t *testing.T) {
	z := newShared(t, 3, 4)
	z.awaitOwners("r0", "r1", "r2")
	z.everywhere(app{name: "cart", image: "cart:1"})
	divided := app{name: "web", image: "web:1", replicas: 40}
	z.parent.Edit(divided.puts()...)
	z.parent.AwaitStatus(t, "n/web", "web is ready", ready(divided.hash(), 40))
	before := z.writes()
	z.parent.Stop()

	z.crash("r0")
	z.awaitOwners("r1", "r2")
	z.start("r3")
	z.awaitOwners("r1", "r2", "r3")
	for _, id := range []string{"r1", "r2", "r3"} {
		z.replicas[id].stop()
	}
	for _, id := range []string{"r1", "r2", "r3"} {
		z.start(id)
	}
	z.awaitOwners("r1", "r2", "r3")
	z.agents["c1"].Stop()
	z.agents["c1"].Start()
	for name, a := range z.agents {
		tiertest.Await(t, "the agent of "+name+" is served", a.Connected)
	}
	z.unwritten(before, 0)

	grown := record.Health{Cluster: "c0", Nodes: 70, KubernetesVersion: "v1.34.0"}.Record()
	z.agents["c0"].Outbox.Edit(feed.Put(&grown))
	z.agents["c0"].Await(t, "c0 runs 28 of 40", func(held map[record.Key]record.Record) bool {
		return tiertest.Replicas(held[deploymentKey("web")]) == 28
	})
	z.parent.Start(t)
	z.parent.AwaitStatus(t, "n/web", "web is ready", ready(divided.hash(), 40))
	z.settled(app{name: "cart", image: "cart:1"})
	z.monotonic()
}

// TestGossipIsWrong has two replicas believe of each other that they are gone. Claims change hands a few times at most,
// and in the end the clusters are shared as before.
func TestGossipIsWrong(t *testing.T) {
	z := newShared(t, 2, 6)
	z.awaitOwners("r0", "r1")
	z.everywhere(app{name: "cart", image: "cart:1"})
	before, owners := z.writes(), z.owners()
	z.replicas["r0"].gossip.lose("r1")
	z.replicas["r1"].gossip.lose("r0")
	z.everywhere(app{name: "late", image: "x:1"})
	tiertest.Await(t, "the clusters are shared as before", func() bool { return maps.Equal(z.owners(), owners) })
	z.everywhere(app{name: "later", image: "x:1"})
	z.unwritten(before, 2*objectsPerApp)
	z.monotonic()
	z.mu.Lock()
	defer z.mu.Unlock()
	for name, history := range z.claims {
		if len(history) > 6 {
			t.Errorf("cluster %s was claimed %d times: %v", name, len(history), history)
		}
	}
}
