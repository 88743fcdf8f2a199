package simagent_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/tiertest"
	"github.com/meridian-federation/meridian/scale-tests/internal/simagent"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func deployment(round string) record.Record {
	id := object.ID{Group: "apps", Version: "v1", Kind: "Deployment", Namespace: "load", Name: "a"}
	return record.New(id.Key(), []byte(`{"spec":{"replicas":2,"template":{"spec":{"containers":[{"image":"a:`+round+`"}]}}}}`))
}

// start runs an agent until the test ends.
func start(t *testing.T, parent *tiertest.Parent, failures float64) (*simagent.Agent, <-chan simagent.Write) {
	writes := make(chan simagent.Write, 100)
	a := simagent.New(simagent.Config{Region: "r", Zone: "z", Cluster: "c", Targets: []string{parent.Address},
		Identity: tiertest.Source(t, "region/r/zone/z/cluster/c"), Latency: time.Millisecond,
		FailureRate: failures, RetryAfter: time.Millisecond, Wrote: func(w simagent.Write) { writes <- w }, Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("ending: %v", err)
		}
	})
	return a, writes
}

func synced(t *testing.T, a *simagent.Agent, number int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if s, err := a.Await(ctx, func(s simagent.Session) bool { return s.Number >= number && !s.Synced.IsZero() }); err != nil {
		t.Fatalf("waiting for session %d in sync: %v; it is %+v", number, err, s)
	}
}

func TestAgentAppliesAndReports(t *testing.T) {
	parent := tiertest.NewParent(t, "region/r/zone/z")
	parent.Put(deployment("1"))
	a, writes := start(t, parent, 0)
	synced(t, a, 1)
	if w := <-writes; w.Round != 1 {
		t.Errorf("first write: got round %d, want 1", w.Round)
	}
	ready := func(s record.Status) bool { return len(s.Workloads) == 1 && s.Workloads[0].Ready == 2 }
	parent.AwaitStatus(t, "load/a", "the workload is ready", ready)
	parent.Edit() // nothing changes
	number := a.Drop()
	synced(t, a, number+1)
	if len(writes) > 0 {
		t.Errorf("an unchanged view was written again: %+v", <-writes)
	}
	if records, bytes := a.Received(); records != 1 || bytes != int64(len(deployment("1").Content)) {
		t.Errorf("received: got %d records with %d bytes, want 1 with %d", records, bytes, len(deployment("1").Content))
	}
	if got, want := a.Holds()[deployment("1").Key], deployment("1").Version; got != want {
		t.Errorf("got version %s, want %s", got, want)
	}
}

func TestAgentAcceptsLateWhatItRefused(t *testing.T) {
	parent := tiertest.NewParent(t, "region/r/zone/z")
	a, writes := start(t, parent, 0.999999)
	synced(t, a, 1)
	parent.Put(deployment("3"))
	if w := <-writes; w.Round != 3 {
		t.Errorf("got round %d, want 3", w.Round)
	}
	parent.AwaitStatus(t, "load/a", "the workload is ready", func(s record.Status) bool { return len(s.Workloads) == 1 })
}
