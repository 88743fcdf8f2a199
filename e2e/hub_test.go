package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/question"
)

// apply gives manifests to `meridian apply`.
func (f *federation) apply(ctx context.Context, manifests string) error {
	_, err := f.command(ctx, manifests, "apply", "-f", "-")
	return err
}

// submit applies manifests, which must be accepted by the hub's API server.
func (f *federation) submit(t *testing.T, manifests ...string) {
	t.Helper()
	if err := f.apply(t.Context(), strings.Join(manifests, "\n---\n")); err != nil {
		t.Fatal(err)
	}
}

// inNamespace makes a namespace at the hub, and deletes every application in it when the test ends.
func (f *federation) inNamespace(t *testing.T, name string) {
	t.Helper()
	f.submit(t, namespaceManifest(name))
	t.Cleanup(func() {
		f.seeTo(t) // the deletion needs all that it goes through
		// The test's context has ended by now.
		ctx, cancel := context.WithTimeout(context.Background(), awaitWithin)
		defer cancel()
		err := f.hub.Resource(applications).Namespace(name).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{})
		if err != nil {
			t.Errorf("deleting the applications of %s: %v", name, err)
		}
		tick := time.NewTicker(lookEvery)
		defer tick.Stop()
		for err = f.emptied(ctx, name); err != nil && ctx.Err() == nil; err = f.emptied(ctx, name) {
			<-tick.C
		}
		if err != nil {
			t.Errorf("after the deletion of the applications of %s: %v", name, err)
		}
	})
}

// emptied is an error while a cluster holds managed objects in a namespace, or the namespace.
func (f *federation) emptied(ctx context.Context, namespace string) error {
	for _, name := range allClusters {
		all, err := f.clusters[name].managed(ctx)
		if err != nil {
			return err
		}
		for _, o := range all {
			if o.namespace == namespace || o.name == "Namespace "+namespace {
				return fmt.Errorf("cluster %s has %s", name, o.name)
			}
		}
	}
	return nil
}

// app reads an application at the hub.
func (f *federation) app(ctx context.Context, namespace, name string) (*v1alpha1.Application, error) {
	o, err := f.hub.Resource(applications).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	var app v1alpha1.Application
	return &app, runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &app)
}

// apps lists all applications.
func (f *federation) apps(ctx context.Context) ([]v1alpha1.Application, error) {
	list, err := f.hub.Resource(applications).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	out := make([]v1alpha1.Application, len(list.Items))
	for i := range list.Items {
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(list.Items[i].Object, &out[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// externals reads all ExternalServices.
func (f *federation) externals(ctx context.Context) ([]v1alpha1.ExternalService, error) {
	list, err := f.hub.Resource(v1alpha1.GroupVersion.WithResource("externalservices")).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	out := make([]v1alpha1.ExternalService, len(list.Items))
	for i := range list.Items {
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(list.Items[i].Object, &out[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// deleteApp deletes an application by the CLI.
func (f *federation) deleteApp(t *testing.T, namespace, name string) {
	t.Helper()
	f.meridian(t, "delete", "application", name, "-n", namespace)
}

// isReady is an error unless the application's status speaks of its spec and says that all is Ready.
func isReady(app *v1alpha1.Application) error {
	name := app.Namespace + "/" + app.Name
	if app.Status.ObservedGeneration != app.Generation {
		return fmt.Errorf("%s: status is of generation %d, spec is %d", name, app.Status.ObservedGeneration, app.Generation)
	}
	for _, kind := range []string{v1alpha1.ConditionConverged, v1alpha1.ConditionReady} {
		if c := meta.FindStatusCondition(app.Status.Conditions, kind); c == nil || c.Status != metav1.ConditionTrue {
			return fmt.Errorf("%s: condition %s is %+v; message %q, problems %+v", name, kind, c, app.Status.Message, app.Status.Problems)
		}
	}
	return nil
}

// ready waits until applications are.
func (f *federation) ready(t *testing.T, namespace string, names ...string) {
	t.Helper()
	for _, name := range names {
		await(t, "it is Ready", func(ctx context.Context) error {
			app, err := f.app(ctx, namespace, name)
			if err != nil {
				return err
			}
			return isReady(app)
		})
	}
}

// gone waits until an application and all its objects are, of which its account goes last.
func (f *federation) gone(t *testing.T, namespace, name string, clusters ...string) {
	t.Helper()
	await(t, namespace+"/"+name+" is gone", func(ctx context.Context) error {
		if _, err := f.app(ctx, namespace, name); !apierrors.IsNotFound(err) {
			return fmt.Errorf("at the hub: %w", cmpErr(err, "it is there"))
		}
		for _, c := range clusters {
			for _, r := range []schema.GroupVersionResource{deployments, accounts} {
				if _, err := f.clusters[c].get(ctx, r, namespace, name); !apierrors.IsNotFound(err) {
					return fmt.Errorf("in %s: %w", c, cmpErr(err, "it is still among "+r.Resource))
				}
			}
		}
		return nil
	})
}

// cmpErr is err, or one with the text.
func cmpErr(err error, text string) error {
	if err != nil {
		return err
	}
	return errors.New(text)
}

// settled waits until the tree is whole and in sync, and every application Ready, with its address if it asks for one.
func (f *federation) settled(t *testing.T) {
	t.Helper()
	await(t, "all is converged", func(ctx context.Context) error {
		tree, err := f.tree(ctx)
		if err != nil {
			return err
		}
		if err := inSync(tree); err != nil {
			return err
		}
		if n := len(nodes(tree, question.TierCluster)); n != len(allClusters) {
			return fmt.Errorf("the tree has %d clusters, want %d", n, len(allClusters))
		}
		apps, err := f.apps(ctx)
		if err != nil {
			return err
		}
		for i := range apps {
			if err := isReady(&apps[i]); err != nil {
				return err
			}
			if apps[i].Spec.Address != nil && apps[i].Status.Address == "" {
				return fmt.Errorf("%s/%s has no address", apps[i].Namespace, apps[i].Name)
			}
		}
		externals, err := f.externals(ctx)
		if err != nil {
			return err
		}
		for _, x := range externals {
			if allocated := meta.FindStatusCondition(x.Status.Conditions, v1alpha1.ConditionAllocated); allocated != nil && x.Status.Address == "" {
				return fmt.Errorf("ExternalService %s/%s has no address: %s", x.Namespace, x.Name, allocated.Message)
			}
		}
		return nil
	})
}

// ask asks Global a question, as the CLI does.
func (f *federation) ask(ctx context.Context, kind string, request any) (*question.Node, error) {
	payload, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	answer, err := f.question.Answer(ctx, kind, payload)
	if err != nil {
		return nil, err
	}
	node, err := question.Decode[question.Node](answer)
	return &node, err
}

// tree is the state of all nodes.
func (f *federation) tree(ctx context.Context) (*question.Node, error) {
	return f.ask(ctx, question.KindOverview, question.OverviewRequest{})
}

// nodes lists those of a tier.
func nodes(n *question.Node, tier question.Tier) []*question.Node {
	var out []*question.Node
	if n.Tier == tier {
		out = append(out, n)
	}
	for i := range n.Children {
		out = append(out, nodes(&n.Children[i], tier)...)
	}
	return out
}

// node finds one.
func node(n *question.Node, tier question.Tier, name string) *question.Node {
	all := nodes(n, tier)
	i := slices.IndexFunc(all, func(x *question.Node) bool { return x.Name == name })
	if i < 0 {
		return &question.Node{Tier: tier, Name: name, Unanswered: "not in the tree"}
	}
	return all[i]
}

// inSync is an error unless every node answers, has all that it should have, and waits for nobody.
func inSync(n *question.Node) error {
	where := string(n.Tier) + " " + n.Name
	if n.Unanswered != "" {
		return fmt.Errorf("%s: %s", where, n.Unanswered)
	}
	o := n.Overview
	for _, s := range o.Sessions {
		if !s.Connected || !s.InSync {
			return fmt.Errorf("%s: session %+v", where, s)
		}
	}
	if len(o.Refusals) > 0 || o.Held != nil {
		return fmt.Errorf("%s: refuses %+v, holds back %+v", where, o.Refusals, o.Held)
	}
	for i := range n.Children {
		if err := inSync(&n.Children[i]); err != nil {
			return err
		}
	}
	return nil
}

// beat changes an application that is in every cluster, and waits until the change is everywhere. What was changed
// before it and is not there then, will not come.
func (f *federation) beat(t *testing.T) {
	t.Helper()
	f.beats++
	f.submit(t, beatManifest(f.beats))
	for _, name := range allClusters {
		await(t, "a change has reached "+name, func(ctx context.Context) error {
			o, err := f.clusters[name].get(ctx, configMaps, beatNamespace, "beat")
			if err != nil {
				return err
			}
			data, _ := o.Object["data"].(map[string]any)
			return wrong[any]("the beat in "+name, data["count"], strconv.Itoa(f.beats))
		})
	}
	f.ready(t, beatNamespace, "beat")
}
