package az_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
	"github.com/meridian-federation/meridian/internal/tiertest"
)

// claim is who owns a cluster.
func (z *shared) claim(cluster string) store.Claim {
	z.mu.Lock()
	defer z.mu.Unlock()
	history := z.claims[cluster]
	return history[len(history)-1]
}

// overview asks the zone until the answer satisfies cond.
func (z *shared) overview(what string, cond func(question.Node) bool) question.Node {
	z.t.Helper()
	var node question.Node
	tiertest.Await(z.t, what, func() bool {
		node = ask(z.t, z.parent, question.KindOverview, question.OverviewRequest{})
		return cond(node)
	})
	return node
}

func unanswered(n question.Node) (out []string) {
	for _, c := range n.Children {
		if c.Unanswered != "" {
			out = append(out, c.Name+": "+c.Unanswered)
		}
	}
	return out
}

// answering has all agents answer.
func (z *shared) answering() {
	for name, a := range z.agents {
		a.Answers(func(q feed.Question) ([]byte, error) {
			node := question.Node{Overview: &question.Overview{Objects: 5}}
			if q.Kind == question.KindConfirm {
				req, err := question.Decode[question.ConfirmRequest](q.Payload)
				if err != nil || req.Target.Cluster != name {
					return nil, fmt.Errorf("cluster %s was asked %+v, %w", name, req, err)
				}
				node.Confirmed = []string{"done in " + name}
			}
			return question.Encode(node)
		})
	}
}

// TestReplicasAnswerTogether asks a zone about clusters of several replicas.
func TestReplicasAnswerTogether(t *testing.T) {
	z := newShared(t, 3, 6)
	z.answering()
	z.awaitOwners("r0", "r1", "r2")
	z.everywhere(app{name: "cart", image: "cart:1"})
	clusters := []string{"c0", "c1", "c2", "c3", "c4", "c5"}
	names := func(n question.Node) (out []string) {
		for _, c := range n.Children {
			out = append(out, c.Name)
		}
		return out
	}

	application := ask(t, z.parent, question.KindApplication, question.ApplicationRequest{Namespace: "n", Name: "cart"})
	if got := names(application); !slices.Equal(got, clusters) || len(unanswered(application)) > 0 {
		t.Errorf("application: got clusters %v, unanswered %v; want %v, none", got, unanswered(application), clusters)
	}
	for _, c := range application.Children {
		if c.Application == nil || c.Application.Ready != 1 || len(c.Application.Objects) != objectsPerApp || c.Application.ReceivedAt.IsZero() {
			t.Errorf("application: cluster %s answers %+v", c.Name, c.Application)
		}
	}
	if a := application.Application; a == nil || a.Clusters != 6 || a.Ready != 6 {
		t.Errorf("application: the sum is %+v, want 6 ready in 6 clusters", a)
	}

	overview := z.overview("all replicas tell the leader", func(n question.Node) bool {
		return !slices.ContainsFunc(n.Overview.Replicas, func(r question.Replica) bool { return !r.Connected })
	})
	o := overview.Overview
	if got := names(overview); !slices.Equal(got, clusters) || len(o.Sessions) != 6 || o.Nodes != 60 || len(o.Replicas) != 3 || o.Leader == "" {
		t.Errorf("overview: got clusters %v and %+v", got, o)
	}
	sum := 0
	for _, r := range o.Replicas {
		sum += r.Clusters
		if r.Address != z.replicas[r.ID].address || r.Clusters == 0 || r.Leaving {
			t.Errorf("overview: replica %+v", r)
		}
	}
	if sum != 6 {
		t.Errorf("overview: the replicas %+v have %d clusters, want 6", o.Replicas, sum)
	}
	for _, c := range overview.Children {
		if c.Overview == nil || c.Overview.Objects != 5 || c.Overview.Nodes != 10 {
			t.Errorf("overview: cluster %s answers %+v", c.Name, c.Overview)
		}
	}

	for _, c := range clusters {
		node := ask(t, z.parent, question.KindConfirm, question.ConfirmRequest{What: question.WhatRemovals,
			Target: question.Path{Region: "west", Zone: "a", Cluster: c}})
		if len(node.Children) != 1 || node.Children[0].Name != c || !slices.Equal(node.Children[0].Confirmed, []string{"done in " + c}) {
			t.Errorf("confirming in %s, which %s owns: got %+v", c, z.claim(c).Owner, node.Children)
		}
	}
	all := ask(t, z.parent, question.KindConfirm, question.ConfirmRequest{What: question.WhatRemovals,
		Target: question.Path{Region: "west", Zone: "a"}})
	if got := names(all); !slices.Equal(got, clusters) || all.Omitted != "" {
		t.Errorf("confirming in all clusters: got %v, omitted %q; want %v", got, all.Omitted, clusters)
	}

	z.parent.Edit(feed.Remove(record.ClusterKey("c5"), record.CausePerson))
	z.overview("the replicas have the five clusters that are left", func(n question.Node) bool {
		sum := 0
		for _, r := range n.Overview.Replicas {
			sum += r.Clusters
		}
		return sum == 5 && len(n.Children) == 5
	})
}

// TestReplicaDoesNotAnswer has a replica own clusters and never connect to the leader.
func TestReplicaDoesNotAnswer(t *testing.T) {
	z := newShared(t, 2, 6)
	z.answering()
	z.awaitOwners("r0", "r1")
	z.everywhere(app{name: "cart", image: "cart:1"})
	mute := z.mute()
	var want []string
	for _, name := range mute {
		want = append(want, name+": replica r2 serves it: not connected")
	}
	z.overview(fmt.Sprintf("%v have no answer", mute), func(n question.Node) bool {
		return len(mute) > 0 && len(n.Children) == 6 && slices.Equal(unanswered(n), want)
	})
	application := ask(t, z.parent, question.KindApplication, question.ApplicationRequest{Namespace: "n", Name: "cart"})
	if got := unanswered(application); len(application.Children) != 6 || !slices.Equal(got, want) {
		t.Errorf("application: got %d clusters, unanswered %q; want 6, %q", len(application.Children), got, want)
	}
	if a := application.Application; a.Clusters != 6 || a.Ready != 6 {
		t.Errorf("application: the sum is %+v, want what was known before", a)
	}
	confirm := ask(t, z.parent, question.KindConfirm, question.ConfirmRequest{What: question.WhatRemovals,
		Target: question.Path{Region: "west", Zone: "a", Cluster: mute[0]}})
	if got := unanswered(confirm); !slices.Equal(got, want[:1]) {
		t.Errorf("confirming in %s: unanswered %q, want %q", mute[0], got, want[0])
	}
	confirm = ask(t, z.parent, question.KindConfirm, question.ConfirmRequest{What: question.WhatRemovals,
		Target: question.Path{Region: "west", Zone: "a"}})
	if !strings.Contains(confirm.Omitted, "replica r2 did not say") {
		t.Errorf("confirming in all clusters: omitted is %q, want it to name the replica", confirm.Omitted)
	}
	confirm = ask(t, z.parent, question.KindConfirm, question.ConfirmRequest{What: question.WhatFloor,
		Target: question.Path{Region: "west", Zone: "a"}})
	if len(confirm.Children) > 0 || !strings.Contains(confirm.Omitted, "replica r2 did not say") {
		t.Errorf("confirming what nobody who answers waits for: got %+v, want nothing but the replica that did not answer", confirm)
	}
}

// TestReplicasLeaveOut has the agents say so much that their replicas leave them out.
func TestReplicasLeaveOut(t *testing.T) {
	z := newShared(t, 2, 6)
	for _, a := range z.agents {
		a.Answers(func(feed.Question) ([]byte, error) {
			return question.Encode(question.Node{Overview: &question.Overview{Version: strings.Repeat("1", question.MaxAnswer*2/3)}})
		})
	}
	z.awaitOwners("r0", "r1")
	z.everywhere(app{name: "cart", image: "cart:1"})
	z.overview("the answer says that clusters are left out", func(n question.Node) bool {
		return len(n.Children) == 0 && strings.Contains(n.Omitted, "replica r0: the answer was too long") &&
			strings.Contains(n.Omitted, "replica r1: the answer was too long")
	})
}

// TestLeaderIsSlowToAnswer has an agent of the leader's that never answers; the other replicas' clusters do.
func TestLeaderIsSlowToAnswer(t *testing.T) {
	z := newShared(t, 2, 4)
	for _, a := range z.agents {
		a.Answers(func(feed.Question) ([]byte, error) {
			return question.Encode(question.Node{Overview: &question.Overview{Objects: 5}})
		})
	}
	z.awaitOwners("r0", "r1")
	z.everywhere(app{name: "cart", image: "cart:1"})
	leader := z.overview("all replicas tell the leader", func(n question.Node) bool {
		return len(n.Overview.Replicas) == 2 && n.Overview.Replicas[0].Connected && n.Overview.Replicas[1].Connected
	}).Overview.Leader
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	var mute string
	for name, a := range z.agents {
		if z.claim(name).Owner == leader {
			mute = name
			a.Answers(func(feed.Question) ([]byte, error) {
				<-release
				return nil, context.Canceled
			})
			break
		}
	}
	answer, err := z.parent.AskWithin(t, 3*time.Second, question.KindOverview, []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	node, err := question.Decode[question.Node](answer)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := unanswered(node), []string{mute + ": no answer in time"}; !slices.Equal(got, want) || len(node.Children) != 4 {
		t.Errorf("got %d clusters, unanswered %q; want 4, %q", len(node.Children), got, want)
	}
}
