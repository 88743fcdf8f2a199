package az_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
	"github.com/meridian-federation/meridian/internal/store/mem"
	"github.com/meridian-federation/meridian/internal/tiertest"
)

func TestZoneConverges(t *testing.T) {
	z := newZone(t, "c1", "c2")
	first := app{name: "cart", image: "cart:1", replicas: 3}
	z.submit(first)
	s := z.parent.AwaitStatus(t, "n/cart", "cart is ready", ready(first.hash(), 3))
	if s.Clusters != 2 || s.AppliedAt.IsZero() || s.ReadyAt.IsZero() {
		t.Errorf("status: got %+v, want two clusters, and when they had applied it and were ready", s)
	}
	for name, agent := range z.agents {
		var kinds []string
		for key := range agent.Held() {
			id, _ := object.FromKey(key)
			kinds = append(kinds, id.Kind)
		}
		slices.Sort(kinds)
		want := []string{"AuthorizationPolicy", "Deployment", "Namespace", "NetworkPolicy", "PeerAuthentication", "Service",
			"ServiceAccount", "Sidecar"}
		if !slices.Equal(kinds, want) {
			t.Errorf("cluster %s holds %q, want %q", name, kinds, want)
		}
	}

	second := app{name: "cart", image: "cart:2", replicas: 4}
	z.submit(second, first)
	z.parent.AwaitStatus(t, "n/cart", "the second revision is ready", ready(second.hash(), 4))
	tiertest.Await(t, "the first revision is gone from the store", func() bool { return !z.holds(record.KindRevision, first.hash()) })

	z.remove(second)
	z.parent.Await(t, "nothing is said of cart", func(reports map[record.Key]record.Record) bool {
		_, said := reports[record.StatusKey("n", "cart")]
		return !said
	})
	for name, agent := range z.agents {
		agent.Await(t, "cluster "+name+" is empty", func(held map[record.Key]record.Record) bool { return len(held) == 0 })
	}
}

// TestZoneRestart shows that a restart with nothing changed writes nothing and sends nothing, that the zone does without
// its region meanwhile, and that what it reports is the same as before.
func TestZoneRestart(t *testing.T) {
	z := newZone(t, "c1", "c2")
	for i := range 30 {
		z.submit(app{name: fmt.Sprint("app-", i), image: "x:1", replicas: 3})
	}
	for i := range 30 {
		a := app{name: fmt.Sprint("app-", i), image: "x:1", replicas: 3}
		z.parent.AwaitStatus(t, "n/"+a.name, a.name+" is ready", ready(a.hash(), 3))
	}
	tiertest.Await(t, "the places are in the store", func() bool { return z.holds(record.KindPlace, "c1") && z.holds(record.KindPlace, "c2") })
	z.parent.AwaitInSync(t)
	z.parent.Stop()
	position, writes := z.position(), z.agents["c1"].Writes()
	z.stop()
	z.start()
	tiertest.Await(t, "the agents are back", func() bool { return z.agents["c1"].Connected() && z.agents["c2"].Connected() })
	z.parent.Start(t)
	a := app{name: "app-7", image: "x:1", replicas: 3}
	z.parent.AwaitStatus(t, "n/app-7", "app-7 is ready", ready(a.hash(), 3))
	z.parent.AwaitInSync(t)
	if got := z.position(); got != position {
		t.Errorf("the store is at revision %d, want %d", got, position)
	}
	if got := z.agents["c1"].Writes(); got != writes {
		t.Errorf("cluster c1 was written %d times, want %d", got, writes)
	}
	late := app{name: "late", image: "x:1", replicas: 1}
	z.submit(late)
	z.parent.AwaitStatus(t, "n/late", "late is ready", ready(late.hash(), 1))
}

// TestZoneMakesBeforeItBreaks moves an application off a cluster whose successor is slow.
func TestZoneMakesBeforeItBreaks(t *testing.T) {
	z := newZone(t, "c1", "c2")
	on := func(cluster string) string {
		return fmt.Sprintf(`{"mode":"Divided","clusters":{"matchLabels":{"meridian.dev/name":%q}}}`, cluster)
	}
	first := app{name: "cart", image: "cart:1", replicas: 2, placement: on("c1")}
	z.submit(first)
	z.parent.AwaitStatus(t, "n/cart", "cart is ready in c1", ready(first.hash(), 2))

	z.agents["c2"].Ready(func(record.Record) int32 { return 0 }) // it starts, and does not become ready
	second := app{name: "cart", image: "cart:2", replicas: 2, placement: on("c2")}
	z.submit(second, first)
	z.agents["c2"].Await(t, "c2 has cart", func(held map[record.Key]record.Record) bool {
		_, ok := held[deploymentKey("cart")]
		return ok
	})
	z.parent.AwaitStatus(t, "n/cart", "c2 is converged", func(s record.Status) bool { return s.Revision == second.hash() && s.Converged == 1 })
	if held, ok := z.agents["c1"].Held()[deploymentKey("cart")]; !ok || !strings.Contains(string(held.Content), "cart:1") {
		t.Fatalf("c1 no longer runs the first revision while c2 is not ready")
	}
	if !z.holds(record.KindRevision, first.hash()) {
		t.Errorf("the first revision is gone from the store while c1 runs it")
	}
	status := record.Status{Namespace: "n", Application: "cart", Workloads: []record.Workload{{Key: deploymentKey("cart"),
		Version: z.agents["c2"].Held()[deploymentKey("cart")].Version, Desired: 2, Updated: 2, Ready: 2}}}.Record()
	z.agents["c2"].Outbox.Edit(feed.Put(&status))
	z.agents["c1"].Await(t, "c1 is left", func(held map[record.Key]record.Record) bool { return len(held) == 0 })
	tiertest.Await(t, "the first revision is gone from the store", func() bool { return !z.holds(record.KindRevision, first.hash()) })
}

// TestZoneReportsProblems covers what a person is told of.
func TestZoneReportsProblems(t *testing.T) {
	z := newZone(t, "c1")
	z.agents["c1"].Reject(func(r record.Record) *feed.Rejection {
		if r.Key == deploymentKey("bad") {
			return &feed.Rejection{Reason: "Invalid", Message: "spec.template is broken"}
		}
		return nil
	})
	z.submit(app{name: "bad", image: "bad:1", replicas: 1})
	z.submit(app{name: "lost", image: "lost:1", replicas: 1, placement: `{"clusters":{"matchLabels":{"tier":"gold"}}}`})
	good := app{name: "good", image: "good:1", replicas: 1}
	z.submit(good)
	z.parent.AwaitStatus(t, "n/good", "good is ready", ready(good.hash(), 1))
	problem := func(s record.Status, reason, text string) bool {
		return len(s.Problems) == 1 && s.Problems[0].Reason == reason && s.Problems[0].Zone == "a" &&
			strings.Contains(s.Problems[0].Message, text) && s.Converged == 0
	}
	z.parent.AwaitStatus(t, "n/bad", "the rejection is reported", func(s record.Status) bool {
		return problem(s, "Invalid", "spec.template is broken") && s.Problems[0].Cluster == "c1" &&
			s.Problems[0].Object == "Deployment n/bad"
	})
	z.parent.AwaitStatus(t, "n/lost", "no eligible cluster is reported", func(s record.Status) bool {
		return problem(s, "NoEligibleCluster", "cluster c1 is not selected by placement.clusters")
	})

	broken := record.New(record.AssignmentKey("n", "broken", "a"), []byte{0xff})
	z.parent.Put(broken)
	z.parent.AwaitOutcome(t, broken.Key, "the undecodable record is rejected", func(o feed.Outcome) bool {
		return o.Rejection != nil && o.Rejection.Reason == "InvalidRecord"
	})
	own := record.Binding{Namespace: "n", Application: "x", Cluster: "c1"}.Record()
	z.parent.Put(own)
	z.parent.AwaitOutcome(t, own.Key, "a binding from above is rejected", func(o feed.Outcome) bool { return o.Rejection != nil })
}

// TestZoneTurnsStrangersAway shows that a cluster which the inventory does not place here gets nothing, and one that
// leaves the inventory keeps what it has.
func TestZoneTurnsStrangersAway(t *testing.T) {
	z := newZone(t, "c1", "c2")
	a := app{name: "cart", image: "cart:1", replicas: 2}
	z.submit(a)
	z.parent.AwaitStatus(t, "n/cart", "cart is ready", ready(a.hash(), 2))
	stranger := z.agent("c9")
	stranger.Start()
	z.parent.Edit(feed.Remove(record.ClusterKey("c2"), record.CausePerson))
	tiertest.Await(t, "c2 is disconnected", func() bool { return !z.agents["c2"].Connected() })
	z.parent.AwaitStatus(t, "n/cart", "all of cart is in c1", func(s record.Status) bool { return s.Clusters == 1 && ready(a.hash(), 2)(s) })
	if got, want := len(z.agents["c2"].Held()), objectsPerApp+objectsPerNamespace; got != want {
		t.Errorf("c2 holds %d objects, want the %d that it had", got, want)
	}
	if stranger.Connected() || len(stranger.Held()) > 0 {
		t.Errorf("a cluster that is not in the inventory is connected")
	}
	z.parent.Put(cluster("c9").Record())
	tiertest.Await(t, "c9 is connected", stranger.Connected)
}

// TestZoneSetBack restores the zone's store from an older copy: the agent takes nothing until a person confirms it.
func TestZoneSetBack(t *testing.T) {
	z := newZone(t, "c1")
	first := app{name: "cart", image: "cart:1", replicas: 1}
	z.submit(first)
	z.parent.AwaitStatus(t, "n/cart", "cart is ready", ready(first.hash(), 1))
	backup := z.store.Copy()
	for i := range 3 { // few enough that the guard lets their removal pass in the end
		a := app{name: fmt.Sprint("later-", i), image: "x:1", replicas: 1}
		z.submit(a)
		z.parent.AwaitStatus(t, "n/"+a.name, a.name+" is ready", ready(a.hash(), 1))
	}
	for i := range 20 { // which the store, set back, does not reach again by what a restart writes
		a := app{name: "later-0", image: "x:1", replicas: int32(i + 2)}
		z.submit(a)
		z.parent.AwaitStatus(t, "n/later-0", "later-0 is ready", ready(a.hash(), a.replicas))
	}
	z.parent.AwaitInSync(t)
	z.parent.Stop()
	z.stop()
	z.store.Restore(backup)
	z.start()
	tiertest.Await(t, "the agent is back", z.agents["c1"].Connected)
	held := len(z.agents["c1"].Held())

	confirmed := make(chan question.ConfirmRequest, 1)
	z.agents["c1"].Answers(func(q feed.Question) ([]byte, error) {
		if q.Kind != question.KindConfirm {
			return question.Encode(question.Node{Overview: &question.Overview{}})
		}
		req, err := question.Decode[question.ConfirmRequest](q.Payload)
		if err != nil {
			return nil, err
		}
		confirmed <- req
		return question.Encode(question.Node{Confirmed: []string{"done"}})
	})
	// A region that was set back as well, so that the zone has nothing to catch up with.
	lagging := tiertest.NewParent(t, "region/west")
	for range 3 {
		lagging.Edit()
	}
	lagging.Put(cluster("c1").Record())
	for range 20 {
		lagging.Edit()
	}
	revision, assignment := first.records()
	lagging.Put(revision, first.policy(), assignment)
	z.stop()
	z.parent = lagging
	z.start()
	lagging.Await(t, "health tells of the refusal", func(reports map[record.Key]record.Record) bool {
		h, err := record.DecodeHealth(reports[record.HealthKey("c1")])
		return err == nil && len(h.Problems) == 1 && strings.Contains(h.Problems[0].Message, "confirm region/west/zone/a/cluster/c1 --what floor")
	})
	if got := len(z.agents["c1"].Held()); got != held {
		t.Errorf("c1 holds %d objects after the store was set back, want the %d that it had", got, held)
	}
	overview := ask(t, lagging, question.KindOverview, question.OverviewRequest{})
	if s := overview.Overview.Sessions; len(s) != 1 || s[0].Refused == nil || s[0].Refused.Kind != "floor" {
		t.Errorf("overview: got sessions %+v, want one that is refused for the floor", s)
	}
	node := ask(t, lagging, question.KindConfirm, question.ConfirmRequest{What: question.WhatFloor,
		Target: question.Path{Region: "west", Zone: "a"}})
	want := question.Path{Region: "west", Zone: "a", Cluster: "c1"}
	if got := <-confirmed; got.Target != want || len(node.Children) != 1 || node.Children[0].Unanswered != "" {
		t.Errorf("confirm: the agent was asked %+v and the answer is %+v", got, node)
	}
	if err := z.agents["c1"].Confirm(question.WhatFloor); err != nil {
		t.Fatal(err)
	}
	z.agents["c1"].Await(t, "c1 has what the restored zone says", func(held map[record.Key]record.Record) bool {
		return len(held) == objectsPerApp+objectsPerNamespace
	})
}

// TestZoneSetBackWhileItRuns restores the zone's store from a copy in which the cluster is not claimed yet, or by an older
// fence of the same replica's, without a restart: the zone claims it again, and its agent takes what it is sent.
func TestZoneSetBackWhileItRuns(t *testing.T) {
	tests := map[string]func(z *zone) (backup *mem.Store){
		"not claimed": func(z *zone) *mem.Store {
			backup := z.store.Copy()
			z.parent.Put(cluster("c1").Record())
			return backup
		},
		"an older claim": func(z *zone) *mem.Store {
			z.parent.Put(cluster("c1").Record())
			claim := z.awaitClaim("c1", 0)
			backup := z.store.Copy()
			if _, err := z.store.Claim(z.t.Context(), "c1", "gone", claim.Fence); err != nil {
				z.t.Fatal(err)
			}
			z.awaitClaim("c1", claim.Fence)
			return backup
		},
	}
	for name, prepare := range tests {
		t.Run(name, func(t *testing.T) {
			z := newZone(t)
			backup := prepare(z)
			agent := z.agent("c1")
			agent.Start()
			before := app{name: "cart", image: "cart:1", replicas: 1}
			z.submit(before)
			z.parent.AwaitStatus(t, "n/cart", "cart is ready", ready(before.hash(), 1))
			z.store.Restore(backup)
			z.submit(app{name: "late", image: "x:1", replicas: 1})
			tiertest.Await(t, "c1 has what came after", func() bool {
				_ = agent.Confirm(question.WhatFloor) // as a person does, once it refuses
				_, ok := agent.Held()[deploymentKey("late")]
				return ok
			})
		})
	}
}

// awaitClaim waits until this zone has a claim on a cluster that is newer than a fence.
func (z *zone) awaitClaim(cluster string, than int64) store.Claim {
	z.t.Helper()
	var claim store.Claim
	found := errors.New("found")
	ctx, cancel := context.WithTimeout(z.t.Context(), time.Minute)
	defer cancel()
	err := z.store.WatchRoster(ctx, func(r *store.Roster) error {
		if claim = r.Claims[cluster]; claim.Owner == "zone-0" && claim.Fence > than {
			return found
		}
		return nil
	})
	if !errors.Is(err, found) {
		z.t.Fatal(err)
	}
	return claim
}

// TestZoneAnswers asks for one application.
func TestZoneAnswers(t *testing.T) {
	z := newZone(t, "c1", "c2")
	accepted := time.Unix(1_700_000_000, 0)
	a := app{name: "cart", image: "cart:1", replicas: 3, accepted: accepted}
	z.submit(a)
	z.parent.AwaitStatus(t, "n/cart", "cart is ready", ready(a.hash(), 3))
	node := ask(t, z.parent, question.KindApplication, question.ApplicationRequest{Namespace: "n", Name: "cart"})
	got := node.Application
	if got == nil || got.Revision != a.hash() || got.Ready != 3 || got.Converged != 2 || !got.AcceptedAt.Equal(accepted) || got.ReceivedAt.IsZero() {
		t.Fatalf("the zone answers %+v", got)
	}
	if len(node.Children) != 2 || node.Children[0].Name != "c1" || len(node.Children[0].Application.Objects) != objectsPerApp ||
		node.Children[0].Application.ReceivedAt.IsZero() || node.Children[0].Application.ReadyAt.IsZero() {
		t.Errorf("its clusters answer %+v", node.Children)
	}
	if none := ask(t, z.parent, question.KindApplication, question.ApplicationRequest{Namespace: "n", Name: "none"}); none.Application != nil {
		t.Errorf("an unknown application: got %+v", none.Application)
	}
}

// TestZoneFences shows that every batch carries the fence of the claim.
func TestZoneFences(t *testing.T) {
	z := newZone(t, "c1")
	a := app{name: "cart", image: "cart:1", replicas: 1}
	z.submit(a)
	z.parent.AwaitStatus(t, "n/cart", "cart is ready", ready(a.hash(), 1))
	claim := z.awaitClaim("c1", 0)
	for _, f := range z.agents["c1"].Fences() {
		if f.Fence != claim.Fence || f.Epoch == 0 {
			t.Errorf("a batch has fence %s, want %d", f, claim.Fence)
		}
	}
}
