package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"github.com/meridian-federation/meridian/api/v1alpha1"
)

// settleEvery is how often the hub is asked whether it knows that all has converged.
const settleEvery = 2 * time.Second

// resource is one resource of Meridian's, as it is created.
type resource struct {
	plural, namespace string
	body              []byte
}

// manifest is a resource as JSON.
func manifest(kind, name string, labels, spec map[string]any) []byte {
	if spec == nil {
		spec = map[string]any{}
	}
	body, err := json.Marshal(map[string]any{"apiVersion": v1alpha1.GroupVersion.String(), "kind": kind,
		"metadata": map[string]any{"name": name, "namespace": "", "labels": labels}, "spec": spec})
	if err != nil {
		panic(fmt.Sprintf("encoding %s %s: %v", kind, name, err)) // maps of strings
	}
	return body
}

// hub writes to the hub's API server, with so many writers at once.
type hub struct {
	client  *rest.RESTClient
	writers int
}

func newHub(cfg *rest.Config, writers int) (*hub, error) {
	cfg = rest.CopyConfig(cfg)
	cfg.APIPath, cfg.GroupVersion, cfg.QPS = "/apis", &v1alpha1.GroupVersion, -1
	cfg.NegotiatedSerializer = scheme.Codecs.WithoutConversion()
	client, err := rest.RESTClientFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("making a client of the hub: %w", err)
	}
	return &hub{client, writers}, nil
}

// createNamespace makes the applications' namespace.
func (h *hub) createNamespace(ctx context.Context) error {
	body := fmt.Sprintf(`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":%q,"labels":{%q:%q}}}`,
		namespace, v1alpha1.LabelEnvironment, environment)
	return h.client.Post().AbsPath("/api/v1/namespaces").SetHeader("Content-Type", runtime.ContentTypeJSON).
		Body([]byte(body)).Do(ctx).Error()
}

func (h *hub) create(ctx context.Context, r resource) error {
	err := h.client.Post().SetHeader("Content-Type", runtime.ContentTypeJSON).NamespaceIfScoped(r.namespace, r.namespace != "").
		Resource(r.plural).Body(r.body).Do(ctx).Error()
	if err != nil {
		return fmt.Errorf("creating one of the %s: %w", r.plural, err)
	}
	return nil
}

// createAll creates resources, in any order.
func (h *hub) createAll(ctx context.Context, list []resource) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(h.writers)
	for _, r := range list {
		g.Go(func() error { return h.create(ctx, r) })
	}
	return g.Wait()
}

// setRound changes the image of an application.
func (h *hub) setRound(ctx context.Context, a *application, round int) error {
	patch := fmt.Sprintf(`[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":%q}]`, a.image(round))
	err := h.client.Patch(types.JSONPatchType).Namespace(namespace).Resource("applications").Name(a.name).Body([]byte(patch)).Do(ctx).Error()
	if err != nil {
		return fmt.Errorf("changing application %s: %w", a.name, err)
	}
	return nil
}

func (h *hub) remove(ctx context.Context, a *application) error {
	return h.client.Delete().Namespace(namespace).Resource("applications").Name(a.name).Do(ctx).Error()
}

// settle waits until the hub says of exactly so many applications that they have converged.
func (h *hub) settle(ctx context.Context, want int) error {
	tick := time.NewTicker(settleEvery)
	defer tick.Stop()
	for {
		converged, all, err := h.converged(ctx)
		if err != nil {
			return err
		}
		if converged == want && all == want {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d applications have converged, %d should: %w", converged, all, want, context.Cause(ctx))
		}
	}
}

// converged asks for a table, which has the conditions and none of the lines of zones.
func (h *hub) converged(ctx context.Context) (converged, all int, err error) {
	raw, err := h.client.Get().Namespace(namespace).Resource("applications").Param("resourceVersion", "0").
		Param("includeObject", string(metav1.IncludeNone)).
		SetHeader("Accept", "application/json;as=Table;g=meta.k8s.io;v=v1").DoRaw(ctx)
	if err != nil {
		return 0, 0, fmt.Errorf("listing the applications: %w", err)
	}
	var table metav1.Table
	if err := json.Unmarshal(raw, &table); err != nil {
		return 0, 0, fmt.Errorf("reading the applications: %w", err)
	}
	for i, column := range table.ColumnDefinitions {
		if column.Name != v1alpha1.ConditionConverged {
			continue
		}
		for _, row := range table.Rows {
			if row.Cells[i] == "True" {
				converged++
			}
		}
	}
	return converged, len(table.Rows), nil
}
