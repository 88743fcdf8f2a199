package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/hubclient"
	"github.com/meridian-federation/meridian/internal/question"
)

const (
	// convergeWithin bounds the wait for the applications.
	convergeWithin = 5 * time.Minute
	// lookEvery is how often they are counted.
	lookEvery = 250 * time.Millisecond
	// stuckFor is how long an application that has a problem is waited for when all others are Ready.
	stuckFor = 3 * time.Second
)

// converge waits until every cluster answers Global's questions and every application is Ready, and shows how far it
// is. Applications that Meridian has refused, or that a cluster has, are named and not waited for.
func converge(ctx context.Context, hub *rest.Config, l layout, t Topology, say func(string, ...any)) error {
	ctx, cancel := context.WithTimeout(ctx, convergeWithin)
	defer cancel()
	client, err := dynamic.NewForConfig(hub)
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	global, err := hubclient.Dial(ctx, hub, t.asking(l))
	if err != nil {
		return err
	}
	defer global.Close()
	said, since := "", time.Now()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		clusters := share{of: len(t.clusters())}
		tree, err := overview(ctx, global)
		if err != nil {
			return err
		}
		clusters.ready = answering(*tree)
		if err := stopped(*tree); err != nil {
			return err
		}
		apps, err := countReady(ctx, client)
		if err != nil {
			return err
		}
		if now := fmt.Sprintf("%s clusters connected, %s applications converged and ready", clusters, apps.share); now != said {
			said, since = now, time.Now()
			say("%s", now)
		}
		if clusters.all() && apps.all() {
			return nil
		}
		if clusters.all() && len(apps.waiting) == 0 && time.Since(since) > stuckFor {
			for _, problem := range apps.stuck {
				say("not ready: %s", problem)
			}
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s; waiting for %v: %w", said, first(append(apps.waiting, apps.stuck...), 5), ctx.Err())
		case <-tick.C:
		}
	}
}

// overview asks for the state of the tree.
func overview(ctx context.Context, global *question.Client) (*question.Node, error) {
	payload, err := json.Marshal(question.OverviewRequest{})
	if err != nil {
		return nil, err
	}
	answer, err := global.Answer(ctx, question.KindOverview, payload)
	if err != nil {
		return nil, fmt.Errorf("asking Global for the state of the tree: %w", err)
	}
	node, err := question.Decode[question.Node](answer)
	return &node, err
}

// answering counts the clusters whose agents answered.
func answering(n question.Node) int {
	count := 0
	if n.Tier == question.TierCluster && n.Unanswered == "" {
		count = 1
	}
	for _, child := range n.Children {
		count += answering(child)
	}
	return count
}

// stopped is an error if a node waits for a person's word, because its parent or API server is not the one that it
// knew.
func stopped(n question.Node) error {
	var errs []error
	if n.Overview != nil {
		for _, r := range n.Overview.Refusals {
			if r.Kind == question.WhatIdentity || r.Kind == question.WhatEpoch {
				errs = append(errs, fmt.Errorf("%s waits for a person (%s): %s", nodeName(n), r.Kind, r.Reason))
			}
		}
	}
	for _, child := range n.Children {
		errs = append(errs, stopped(child))
	}
	return errors.Join(errs...)
}

// nodeName is a node's tier and name.
func nodeName(n question.Node) string {
	if n.Tier == question.TierGlobal {
		return "Global"
	}
	return string(n.Tier) + " " + n.Name
}

// share is how many of some things are ready.
type share struct{ ready, of int }

func (s share) all() bool      { return s.ready == s.of }
func (s share) String() string { return fmt.Sprintf("%d/%d", s.ready, s.of) }

// applications says how many are Ready, which are under way, and what is wrong with the others.
type applications struct {
	share
	waiting, stuck []string
}

// countReady looks at all applications. One is Ready when its status is current and says so.
func countReady(ctx context.Context, client dynamic.Interface) (applications, error) {
	list, err := client.Resource(v1alpha1.GroupVersion.WithResource("applications")).List(ctx, metav1.ListOptions{})
	if err != nil {
		return applications{}, fmt.Errorf("listing applications: %w", err)
	}
	out := applications{share: share{of: len(list.Items)}}
	for _, item := range list.Items {
		name := item.GetNamespace() + "/" + item.GetName()
		var app v1alpha1.Application
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(item.Object, &app); err != nil {
			return applications{}, fmt.Errorf("reading application %s: %w", name, err)
		}
		switch {
		case app.Status.ObservedGeneration != app.Generation:
			out.waiting = append(out.waiting, name)
		case meta.IsStatusConditionTrue(app.Status.Conditions, v1alpha1.ConditionReady):
			out.ready++
		case app.Status.Message != "":
			out.stuck = append(out.stuck, name+": "+app.Status.Message)
		default:
			out.waiting = append(out.waiting, name)
		}
	}
	return out, nil
}

func first(names []string, n int) []string { return names[:min(n, len(names))] }
