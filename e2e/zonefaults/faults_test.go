//go:build linux

package zonefaults

import (
	"context"
	"errors"
	"slices"
	"syscall"
	"testing"
	"time"
)

// Metrics that the tests look at.
const (
	batchesSent   = `feed_batches_sent_total{link="children"}`
	clustersTaken = `zone_clusters_taken_total`
	zoneReplicas  = `zone_replicas`
	agentSessions = `feed_sessions` // an agent has one link
)

// lostByGossip is what a replica logs when gossip tells it that another is gone. No metric shows it: the other may prove
// to live the next moment.
const lostByGossip = `msg="replica lost"`

// TestZone breaks a zone of three replicas in one way after the other. Each fault begins with the zone whole, and ends
// with it whole again and the clusters as intended.
func TestZone(t *testing.T) {
	if testing.Short() {
		t.Skip("starts API servers and a zone")
	}
	f := newFixture(t)
	t.Cleanup(func() {
		if t.Failed() {
			f.tails(t)
		}
	})
	f.settled(t)
	f.holds(t)
	for _, fault := range []struct {
		name   string
		happen func(*testing.T, *fixture)
	}{
		{"a replica is killed", func(t *testing.T, f *fixture) { kill(t, f, f.owner(t)) }},
		{"the leader is killed", func(t *testing.T, f *fixture) { kill(t, f, f.leader(t)) }},
		{"a replica is stopped past its lease", stopped},
		{"the leader is stopped until others do its work", replaced},
		{"a replica is cut off from etcd", func(t *testing.T, f *fixture) { cutFromStore(t, f, f.owner(t)) }},
		{"the leader is cut off from etcd", func(t *testing.T, f *fixture) { cutFromStore(t, f, f.leader(t)) }},
		{"a replica is cut off from gossip", cutFromGossip},
		{"the zone is cut off from its region", cutFromRegion},
		{"a replica ends", end},
		{"a replica is added", add},
	} {
		t.Run(fault.name, func(t *testing.T) {
			f.settled(t)
			stop := f.stream(t)
			f.flows(t)
			fault.happen(t, f)
			f.settled(t)
			f.flows(t)
			stop()
			f.holds(t)
		})
	}
}

// kill ends a replica as a crash does.
func kill(t *testing.T, f *fixture, victim *replica) {
	had := f.of(victim)
	began := time.Now()
	must(t, victim.kill(t.Context()))
	f.takenOver(t, victim)
	claimed := time.Since(began)
	f.flows(t)
	t.Logf("%s with %q is gone: claimed after %v, changes arrive everywhere within %v", victim.id, had, claimed, time.Since(began))
}

// stopped holds a replica until it has lost its lease, and lets it go on while its agents may still listen to it. It
// must not say anything by its old fence.
func stopped(t *testing.T, f *fixture) {
	victim := f.owner(t)
	f.quiet(t, victim, func() {
		f.await(t, victim.id+" has lost its lease", func(context.Context) error {
			if slices.Contains(f.roster.listed(), victim.id) {
				return errors.New("it is listed")
			}
			return nil
		})
	})
}

// replaced holds the leader until changes arrive everywhere without it.
func replaced(t *testing.T, f *fixture) {
	victim := f.leader(t)
	f.quiet(t, victim, func() {
		f.takenOver(t, victim)
		t.Logf("changes arrive everywhere %v after the clusters were claimed", f.flows(t))
	})
}

// quiet stops a replica by SIGSTOP for as long as the function takes, and fails the test if it sends anything to agents
// after that and before it has taken a cluster anew.
func (f *fixture) quiet(t *testing.T, victim *replica, during func()) {
	t.Helper()
	had := f.of(victim)
	f.hold(true)
	f.holds(t) // all that was to be sent has been
	sent, taken := f.number(t, victim.admin(), batchesSent), f.number(t, victim.admin(), clustersTaken)
	must(t, victim.signal(syscall.SIGSTOP))
	t.Cleanup(func() { _ = victim.signal(syscall.SIGCONT) })
	f.await(t, victim.id+" has stopped", func(context.Context) error { return victim.halted() })
	f.hold(false)
	during()
	must(t, victim.signal(syscall.SIGCONT))
	f.await(t, victim.id+" takes part again", func(ctx context.Context) error {
		now, err := f.metric(ctx, victim.admin(), batchesSent)
		if err != nil {
			return err
		}
		owns, err := f.metric(ctx, victim.admin(), clustersTaken)
		if err != nil {
			return err
		}
		if owns == taken && now != sent {
			t.Errorf("%s had %q and was stopped; it has sent %v batches by an old fence", victim.id, had, now-sent)
			sent = now
		}
		if !slices.Contains(f.roster.listed(), victim.id) {
			return errors.New("it is not listed")
		}
		return nil
	})
}

// cutFromStore parts a replica from etcd. It may still hear its agents, gossip and the region.
func cutFromStore(t *testing.T, f *fixture, victim *replica) {
	had := f.of(victim)
	began := time.Now()
	must(t, victim.host.cut(legStore))
	f.takenOver(t, victim)
	claimed := time.Since(began)
	f.flows(t)
	t.Logf("%s with %q is cut off: claimed after %v, changes arrive everywhere within %v", victim.id, had, claimed, time.Since(began))
	must(t, victim.host.heal(legStore))
}

// cutFromGossip parts a replica from the gossip alone: all replicas go on renewing their leases, and must come to terms
// about the clusters.
func cutFromGossip(t *testing.T, f *fixture) {
	victim := f.owner(t)
	before := f.roster.takings()
	lost := map[*replica]int{}
	for _, r := range f.replicas {
		lost[r] = f.logged(t, r, lostByGossip)
	}
	must(t, victim.host.cut(legGossip))
	for _, r := range f.replicas {
		want := lost[r] + 1
		if r == victim {
			want = lost[r] + len(f.replicas) - 1
		}
		f.await(t, r.id+" has lost others by gossip", func(context.Context) error {
			return atLeast("times that it has", f.logged(t, r, lostByGossip), want)
		})
	}
	for _, r := range f.replicas {
		f.await(t, r.id+" knows better from etcd", func(ctx context.Context) error {
			n, err := f.metric(ctx, r.admin(), zoneReplicas)
			return errors.Join(err, atLeast("replicas that it sees", int(n), len(f.replicas)))
		})
	}
	f.flows(t)
	f.calm(t, before)
	must(t, victim.host.heal(legGossip))
	f.flows(t)
	f.calm(t, before)
}

// fightFor is how long claims are watched: replicas that do not agree take clusters from each other after about a second.
const fightFor = 5 * time.Second

// calm waits until the clusters are claimed as they are dealt, and fails the test if they do not stay so.
func (f *fixture) calm(t *testing.T, before int) {
	t.Helper()
	f.await(t, "the clusters are claimed as they are dealt", func(context.Context) error { return f.shared() })
	at := f.roster.takings()
	if most := 4 * len(clusters); at-before > most {
		t.Errorf("clusters were claimed %d times, want at most %d", at-before, most)
	}
	ctx, cancel := context.WithTimeout(t.Context(), fightFor)
	defer cancel()
	<-ctx.Done()
	if n := f.roster.takings() - at; n > 0 {
		t.Errorf("clusters that were claimed as dealt were claimed %d times more in %v", n, fightFor)
	}
	t.Logf("clusters were claimed %d times", at-before)
}

// cutFromRegion parts all replicas from the region. The zone goes on: it replaces a replica that is lost, takes it back,
// and serves an agent that is new.
func cutFromRegion(t *testing.T, f *fixture) {
	for _, r := range f.replicas {
		must(t, r.host.cut(legParent))
	}
	victim := f.owner(t)
	had, leading := f.of(victim), legFront.address(f.leader(t).host.number, portZone)
	must(t, victim.kill(t.Context()))
	f.takenOver(t, victim)
	for _, name := range had {
		f.served(t, name)
	}
	for _, name := range append(had, realClusters[0]) {
		f.clusters[name].stop()
		f.clusters[name].start(t, leading)
		f.served(t, name)
	}
	f.startReplica(t, victim)
	leader := f.leader(t)
	must(t, leader.kill(t.Context()))
	f.takenOver(t, leader)
	for _, name := range clusters {
		f.served(t, name)
	}
	f.startReplica(t, leader)
	for _, r := range f.replicas {
		must(t, r.host.heal(legParent))
	}
	began := time.Now()
	f.flows(t)
	t.Logf("changes arrive again after %v", time.Since(began))
}

// served waits until a cluster's agent has a session.
func (f *fixture) served(t *testing.T, name string) {
	t.Helper()
	f.await(t, "the agent of "+name+" is served", f.clusters[name].served)
}

// end stops a replica gracefully: others have its clusters before it goes.
func end(t *testing.T, f *fixture) {
	victim := f.owner(t)
	had := f.of(victim)
	gaps := map[string]func() time.Duration{}
	for _, name := range had {
		gaps[name] = f.clusters[name].gap()
	}
	began := time.Now()
	must(t, victim.stop(t.Context()))
	took := time.Since(began)
	if err := f.owned(f.others(victim)); err != nil {
		t.Errorf("%s has ended, and %v", victim.id, err)
	}
	f.flows(t)
	for _, name := range had {
		t.Logf("%s ended in %v; the longest time without a write in %s was %v", victim.id, took, name, gaps[name]())
	}
}

// add brings in a fourth replica, and lets it go again.
func add(t *testing.T, f *fixture) {
	before := f.roster.takings()
	r := f.addHost(t, len(f.replicas))
	f.startReplica(t, r)
	f.settled(t)
	f.flows(t)
	f.calm(t, before)
	t.Logf("%s has %q", r.id, f.of(r))
	must(t, r.stop(t.Context()))
	f.replicas = f.replicas[:len(f.replicas)-1]
}
