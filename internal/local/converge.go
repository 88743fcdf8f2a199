package local

import (
	"context"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/meridian-federation/meridian/api/v1alpha1"
)

// convergeWithin bounds the wait for the applications.
const convergeWithin = 5 * time.Minute

// converge waits until every cluster is connected and every application is Ready, and shows how far it is.
func converge(ctx context.Context, hub *rest.Config, t Topology, say func(string, ...any)) error {
	ctx, cancel := context.WithTimeout(ctx, convergeWithin)
	defer cancel()
	client, err := dynamic.NewForConfig(hub)
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	said := ""
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		clusters, _, err := countReady(ctx, client, "clusters")
		if err != nil {
			return err
		}
		apps, waiting, err := countReady(ctx, client, "applications")
		if err != nil {
			return err
		}
		if now := fmt.Sprintf("%s clusters connected, %s applications converged and ready", clusters, apps); now != said {
			said = now
			say("%s", now)
		}
		if clusters.all() && apps.all() && clusters.of == len(t.clusters()) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %v: %w", first(waiting, 5), ctx.Err())
		case <-tick.C:
		}
	}
}

// share is how many of some things are ready.
type share struct{ ready, of int }

func (s share) all() bool      { return s.ready == s.of }
func (s share) String() string { return fmt.Sprintf("%d/%d", s.ready, s.of) }

// countReady counts the resources whose status is current and Ready, and names the others.
func countReady(ctx context.Context, client dynamic.Interface, plural string) (share, []string, error) {
	list, err := client.Resource(v1alpha1.GroupVersion.WithResource(plural)).List(ctx, metav1.ListOptions{})
	if err != nil {
		return share{}, nil, fmt.Errorf("listing %s: %w", plural, err)
	}
	s := share{of: len(list.Items)}
	var waiting []string
	for _, item := range list.Items {
		if isReady(&item) {
			s.ready++
		} else {
			waiting = append(waiting, item.GetNamespace()+"/"+item.GetName())
		}
	}
	return s, waiting, nil
}

func isReady(item *unstructured.Unstructured) bool {
	var read struct {
		Status struct {
			ObservedGeneration int64              `json:"observedGeneration"`
			Conditions         []metav1.Condition `json:"conditions"`
		} `json:"status"`
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(item.Object, &read); err != nil {
		return false
	}
	return read.Status.ObservedGeneration == item.GetGeneration() &&
		slices.ContainsFunc(read.Status.Conditions, func(c metav1.Condition) bool {
			return c.Type == v1alpha1.ConditionReady && c.Status == metav1.ConditionTrue
		})
}

func first(names []string, n int) []string { return names[:min(n, len(names))] }
