package clusteragent

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/question"
)

func testLease(t *testing.T, id string) *lease {
	t.Helper()
	k, err := newKube(agentConfig(t, shared))
	if err != nil {
		t.Fatal(err)
	}
	return newLease(k, id, question.Path{Region: "r", Zone: "z"}, slog.New(slog.DiscardHandler))
}

// freeLease begins and ends a test with no Lease.
func freeLease(t *testing.T) {
	a := newAdmin(t, shared)
	remove := func() {
		err := a.Resource(coordinationv1.SchemeGroupVersion.WithResource("leases")).Namespace(systemNamespace).
			Delete(context.Background(), leaseName, metav1.DeleteOptions{})
		if err != nil {
			t.Log(err)
		}
	}
	remove()
	t.Cleanup(remove)
}

// TestLeaseKeepsState writes a state and reads it as the next agent does.
func TestLeaseKeepsState(t *testing.T) {
	freeLease(t)
	first := testLease(t, "a")
	if state, err := first.acquire(t.Context()); err != nil || state.Fence != (feed.Fence{}) {
		t.Fatalf("acquire = %+v, %v, want nothing", state, err)
	}
	want := feed.State{Fence: feed.Fence{Epoch: 0xfedcba9876543210, Fence: 42}, Floor: feed.Position{Epoch: 0xfedcba9876543210, Revision: 41},
		Guard: feed.Guard{Tripped: true, Minutes: []feed.MinuteCount{{Minute: 1, Count: 2}}}}
	first.learn([]string{"10.0.0.1:7420", "zone.example:7420"})
	if err := first.accept(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	second := testLease(t, "a") // the first did not release it
	state, err := second.acquire(t.Context())
	if err != nil || state.Fence != want.Fence || state.Floor != want.Floor || !state.Guard.Tripped || len(state.Guard.Minutes) != 1 {
		t.Errorf("acquire = %+v, %v, want %+v", state, err, want)
	}
	if got := second.addresses(); len(got) != 2 || got[1] != "zone.example:7420" {
		t.Errorf("addresses: got %q, want the two that the first learned", got)
	}
}

// TestKeptAddresses has an agent come back whose configured address leads nowhere any more: it finds the zone where it was
// told that it is. One that was given to another zone does not look there.
func TestKeptAddresses(t *testing.T) {
	freeLease(t)
	z := newZone(t)
	first := testLease(t, "kept")
	if _, err := first.acquire(t.Context()); err != nil {
		t.Fatal(err)
	}
	first.learn([]string{z.address})
	if err := first.write(t.Context()); err != nil {
		t.Fatal(err)
	}
	z.address = "127.0.0.1:1" // as the agent is configured; nothing listens there
	second := startAgent(t, shared, z, "kept")
	second.settle()
	second.stop()

	moved := testLease(t, "kept")
	moved.zone.Zone = "other"
	if _, err := moved.acquire(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := moved.addresses(); len(got) > 0 {
		t.Errorf("the agent of another zone would look at %q", got)
	}
}

// TestLeaseFence refuses the batch of an earlier owner.
func TestLeaseFence(t *testing.T) {
	freeLease(t)
	l := testLease(t, "a")
	if _, err := l.acquire(t.Context()); err != nil {
		t.Fatal(err)
	}
	at := func(fence int64) feed.State { return feed.State{Fence: feed.Fence{Epoch: 1, Fence: fence}} }
	for _, step := range []struct {
		fence int64
		ok    bool
	}{{5, true}, {4, false}, {5, true}, {6, true}, {5, false}} {
		if err := l.accept(t.Context(), at(step.fence)); (err == nil) != step.ok {
			t.Errorf("accept of fence %d = %v, want ok: %t", step.fence, err, step.ok)
		}
	}
}

// TestLeaseLost closes the gate when another agent has taken the Lease.
func TestLeaseLost(t *testing.T) {
	freeLease(t)
	a, b := testLease(t, "a"), testLease(t, "b")
	if _, err := a.acquire(t.Context()); err != nil {
		t.Fatal(err)
	}
	if current, err := b.load(t.Context()); err != nil || b.mayTake(current) {
		t.Fatalf("b may take a's lease: %t, %v", b.mayTake(current), err)
	}
	current, err := b.load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.takeOver(t.Context(), current); err != nil { // as it would when it had expired
		t.Fatal(err)
	}
	if err := a.write(t.Context()); !errors.Is(err, errLost) {
		t.Errorf("renewal = %v, want %v", err, errLost)
	}
	if a.holding() {
		t.Error("a holds the lease that it lost")
	}
	if err := b.release(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := a.acquire(t.Context()); err != nil {
		t.Errorf("acquire after a release = %v", err)
	}
}

// TestStandby takes over when the active agent ends, and only then.
func TestStandby(t *testing.T) {
	cleanUp(t, shared)
	z := newZone(t)
	active := startAgent(t, shared, z, "active")
	cm := configMap(t, "standby", "a", "1")
	z.put(namespaceRecord(t, "standby"), cm)
	standby := startAgent(t, shared, z, "standby")
	active.stop()
	standby.settle()
	next := configMap(t, "standby", "a", "2")
	z.put(next)
	if reason := z.rejection(next.Key); reason != "" {
		t.Errorf("rejected for %q", reason)
	}
}

// TestFloor refuses a zone whose store went back, and goes on with it when somebody confirms.
func TestFloor(t *testing.T) {
	freeLease(t)
	cleanUp(t, shared)
	z := newZone(t)
	a := newAdmin(t, shared)
	first := startAgent(t, shared, z, "floor")
	kept := configMap(t, "floor", "kept", "1")
	z.outbox.Update(feed.Position{Epoch: 7, Revision: 50}, feed.Put(namespaceRecord(t, "floor")), feed.Put(kept))
	first.settle()
	eventually(t, "the object", func() bool { _, err := a.get(kept.Key); return err == nil })
	first.stop()

	older := newZone(t) // a restored copy that knows nothing of the object
	older.outbox.SetPosition(feed.Position{Epoch: 7, Revision: 20})
	second := startAgent(t, shared, older, "floor")
	eventually(t, "the refusal", func() bool { return older.standing().RefusedBy != nil })
	if got := older.standing().RefusedBy.Kind; got != feed.RefusedFloor {
		t.Errorf("refused for %q, want %q", got, feed.RefusedFloor)
	}
	if _, err := a.get(kept.Key); err != nil {
		t.Errorf("the object: %v, want it kept", err)
	}
	answer := older.ask(t, "confirm", `{"target":"region/r/zone/z/cluster/c","what":"floor"}`)
	if len(answer.Confirmed) != 1 {
		t.Errorf("answer = %+v, want one confirmation", answer)
	}
	second.settle()
}
