package az_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/tiertest"
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
	handsOver(t, 0, func(z *shared, _ []string) {
		z.expire("r1", "r0")
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
		z.expire("r1", "r0")
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
