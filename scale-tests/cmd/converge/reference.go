package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/meridian-federation/meridian/internal/mesh"
	"github.com/meridian-federation/meridian/internal/object"
)

// reference writes the objects of applications straight to the clusters, as an agent does: server-side apply of the same
// bytes, with answers of metadata alone.
type reference struct {
	clients   []metadata.Interface
	resources map[schema.GroupVersionKind]schema.GroupVersionResource
}

func newReference(clusters []*rest.Config) (*reference, error) {
	r := &reference{resources: map[schema.GroupVersionKind]schema.GroupVersionResource{}}
	for _, m := range object.Kinds() {
		r.resources[m.GroupVersionKind] = m.GVR()
	}
	for _, cfg := range clusters {
		client, err := metadata.NewForConfig(cfg)
		if err != nil {
			return nil, fmt.Errorf("making a client of a cluster: %w", err)
		}
		r.clients = append(r.clients, client)
	}
	return r, nil
}

func (r *reference) lanes() int { return len(r.clients) }

func (r *reference) do(ctx context.Context, lane int, v verb, a app) error {
	if v == remove {
		for _, o := range slices.Backward(a.objects) {
			if err := r.at(lane, o.ID).Delete(ctx, o.ID.Name, metav1.DeleteOptions{}); err != nil {
				return err
			}
		}
		return nil
	}
	for _, o := range a.objects {
		if v == update && o.ID.Kind != "Deployment" {
			continue // a new image changes nothing else
		}
		if err := r.apply(ctx, lane, o); err != nil {
			return err
		}
	}
	return nil
}

func (r *reference) apply(ctx context.Context, lane int, o mesh.Object) error {
	force := true
	_, err := r.at(lane, o.ID).Patch(ctx, o.ID.Name, types.ApplyPatchType, o.Record.Content,
		metav1.PatchOptions{FieldManager: object.FieldManager, Force: &force})
	return err
}

func (r *reference) at(lane int, id object.ID) metadata.ResourceInterface {
	resource := r.clients[lane].Resource(r.resources[id.GVK()])
	if id.Namespace == "" {
		return resource
	}
	return resource.Namespace(id.Namespace)
}

// settle pauses as long as the hub's does at least: the readings of CPU time cover as much idling.
func (r *reference) settle(ctx context.Context, _ int) error {
	select {
	case <-time.After(settleEvery):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
