package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/verify"
)

// exportsAtOnce bounds how many clusters' objects are asked for at the same time.
const exportsAtOnce = 4

// workloadKinds are what pods come from.
var workloadKinds = []string{"Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob"}

// meshKinds configure istiod.
var meshKinds = []string{"PeerAuthentication", "AuthorizationPolicy", "Sidecar"}

// compiled is what matters of all that is compiled for one cluster.
type compiled struct {
	mesh       []*unstructured.Unstructured
	namespaces []string
	err        error
}

// meshes examines what is compiled, by the istiods that it is for.
func (v *verification) meshes(ctx context.Context) error {
	inventory, err := v.inventory(ctx)
	if err != nil {
		return err
	}
	v.inventoried = inventory
	of := v.compile(ctx, inventory)
	for _, c := range inventory {
		if c.Spec.Mesh.Dataplane == v1alpha1.DataplaneNone {
			v.report.NoMesh(c.Name)
			continue
		}
		if !v.known(c.Name, of) {
			continue
		}
		if primary := cmp.Or(c.Spec.Mesh.Primary, c.Name); primary != c.Name {
			continue // examined with its primary
		}
		v.report.Mesh(meshOf(c, "compiled", of[c.Name].mesh, v.served(c.Name, of)))
	}
	return nil
}

// known tells whether there is something to examine, and reports why if there is not.
func (v *verification) known(cluster string, of map[string]*compiled) bool {
	if err := of[cluster].err; err != nil {
		for _, check := range []string{verify.CheckStrict, verify.CheckAllowAll, verify.CheckSidecar} {
			v.report.Skip(check, cluster+" (compiled)", err.Error())
		}
		return false
	}
	return true
}

// served are the namespaces whose pods the istiod of a primary configures, in all clusters that it serves.
func (v *verification) served(primary string, of map[string]*compiled) []string {
	var out []string
	for _, c := range v.inventoried {
		if cmp.Or(c.Spec.Mesh.Primary, c.Name) == primary && c.Spec.Mesh.Dataplane != v1alpha1.DataplaneNone {
			out = append(out, of[c.Name].namespaces...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func meshOf(c v1alpha1.Cluster, source string, objects []*unstructured.Unstructured, namespaces []string) verify.Mesh {
	wanted := c.Spec.Mesh.DefaultSidecar
	return verify.Mesh{Cluster: c.Name, Source: source, RootNamespace: cmp.Or(c.Spec.Mesh.RootNamespace, "istio-system"),
		DefaultSidecar: wanted == nil || *wanted, Namespaces: namespaces, Objects: objects}
}

// inventory lists the clusters.
func (v *verification) inventory(ctx context.Context) ([]v1alpha1.Cluster, error) {
	s, err := v.connect()
	if err != nil {
		return nil, err
	}
	mapping, err := s.mappingFor(v1alpha1.GroupVersion.WithKind("Cluster"))
	if err != nil {
		return nil, err
	}
	list, err := s.resource(mapping, "").List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("listing the clusters: %w", err)
	}
	out := make([]v1alpha1.Cluster, len(list.Items))
	for i, item := range list.Items {
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(item.Object, &out[i]); err != nil {
			return nil, fmt.Errorf("reading cluster %s: %w", item.GetName(), err)
		}
	}
	return out, nil
}

// compile asks for what is compiled for each cluster.
func (v *verification) compile(ctx context.Context, inventory []v1alpha1.Cluster) map[string]*compiled {
	out := make(map[string]*compiled, len(inventory))
	var mu sync.Mutex
	group := errgroup.Group{}
	group.SetLimit(exportsAtOnce)
	for _, c := range inventory {
		group.Go(func() error {
			one := &compiled{}
			one.err = v.pages(ctx, c.Name, one.take)
			mu.Lock()
			defer mu.Unlock()
			out[c.Name] = one
			return nil
		})
	}
	_ = group.Wait() // each keeps its own error
	return out
}

// take keeps of a page what configures istiod, and where workloads are.
func (c *compiled) take(page *question.Page) error {
	for _, content := range page.Objects {
		o := &unstructured.Unstructured{}
		if err := json.NewDecoder(bytes.NewReader(content)).Decode(&o.Object); err != nil {
			return fmt.Errorf("reading an object: %w", err)
		}
		switch {
		case slices.Contains(meshKinds, o.GetKind()):
			c.mesh = append(c.mesh, o)
		case slices.Contains(workloadKinds, o.GetKind()):
			c.namespaces = append(c.namespaces, o.GetNamespace())
		}
	}
	return nil
}
