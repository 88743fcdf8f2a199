package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"github.com/meridian-federation/meridian/api/v1alpha1"
)

// settleEvery is how often the hub is asked whether it knows that all has converged. Each time costs its API server
// some tens of milliseconds of CPU, which count as Meridian's.
const settleEvery = time.Second

// hub writes applications to the hub's API server.
type hub struct{ client *rest.RESTClient }

func newHub(cfg *rest.Config) (*hub, error) {
	cfg = rest.CopyConfig(cfg)
	cfg.APIPath, cfg.GroupVersion = "/apis", &v1alpha1.GroupVersion
	cfg.NegotiatedSerializer = scheme.Codecs.WithoutConversion()
	client, err := rest.RESTClientFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("making a client of the hub: %w", err)
	}
	return &hub{client}, nil
}

func (h *hub) lanes() int { return 1 }

func (h *hub) do(ctx context.Context, _ int, v verb, a app) error {
	var request *rest.Request
	switch v {
	case create:
		request = h.client.Post().SetHeader("Content-Type", runtime.ContentTypeJSON).Body(a.manifest)
	case update:
		request = h.client.Patch(types.MergePatchType).Name(a.name).Body(a.manifest)
	default:
		request = h.client.Delete().Name(a.name)
	}
	return request.Namespace(namespace).Resource("applications").Do(ctx).Error()
}

// settle waits until the hub has as many applications as are in the clusters and says that all have converged.
func (h *hub) settle(ctx context.Context, present int) error {
	tick := time.NewTicker(settleEvery)
	defer tick.Stop()
	for {
		// The pause comes first: what is left to do is done undisturbed.
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting for the status at the hub: %w", ctx.Err())
		}
		converged, all, err := h.converged(ctx)
		if err != nil {
			return err
		}
		if converged == present && all == present {
			return nil
		}
	}
}

func (h *hub) converged(ctx context.Context) (converged, all int, err error) {
	raw, err := h.client.Get().Namespace(namespace).Resource("applications").Param("resourceVersion", "0").DoRaw(ctx)
	if err != nil {
		return 0, 0, fmt.Errorf("listing the applications: %w", err)
	}
	var list v1alpha1.ApplicationList
	if err := json.Unmarshal(raw, &list); err != nil {
		return 0, 0, fmt.Errorf("reading the applications: %w", err)
	}
	for _, a := range list.Items {
		c := meta.FindStatusCondition(a.Status.Conditions, v1alpha1.ConditionConverged)
		if c != nil && c.Status == metav1.ConditionTrue && a.Status.ObservedGeneration == a.Generation {
			converged++
		}
	}
	return converged, len(list.Items), nil
}
