package clusteragent

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"

	"github.com/meridian-federation/meridian/internal/object"
)

// annotationReleased is all that is left on a namespace which Meridian let go of because it holds something else. With
// it, and the field manager, an agent takes the namespace back when an application needs it again.
const annotationReleased = "meridian.dev/released"

const (
	contentPage = 500
	// contentLists bounds the lists at the same time.
	contentLists = 8
)

// notContent are kinds, as GROUP/RESOURCE, whose objects nobody would miss: the cluster derives them from others. Secrets,
// roles and their bindings are here for another reason: whoever may list them may read them, and the agent's role does
// not allow it. A namespace that Meridian made itself is deleted with those that were put into it.
var notContent = []string{"/events", "events.k8s.io/events", "/endpoints", "discovery.k8s.io/endpointslices", "/secrets",
	"rbac.authorization.k8s.io/roles", "rbac.authorization.k8s.io/rolebindings"}

// derived are the objects, as RESOURCE/NAME, that a cluster puts into every namespace.
var derived = []string{"configmaps/kube-root-ca.crt", "configmaps/istio-ca-root-cert",
	"configmaps/openshift-service-ca.crt", "serviceaccounts/default"}

// mustStay tells whether a namespace must not be deleted: somebody else has written to it, or it holds anything that is
// not Meridian's, or anything that cannot be listed.
func (k *kube) mustStay(ctx context.Context, namespace string, seen *sighting) (bool, error) {
	if seen.shared {
		return true, nil
	}
	kinds, err := k.namespacedKinds()
	if discovery.IsGroupDiscoveryFailedError(err) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("asking which kinds there are: %w", err)
	}
	found := make([]bool, len(kinds))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(contentLists)
	for i, kind := range kinds {
		g.Go(func() (err error) {
			if found[i], err = k.holds(ctx, namespace, kind); err != nil {
				return fmt.Errorf("listing %s in namespace %s: %w", kind.Resource, namespace, err)
			}
			return nil
		})
	}
	err = g.Wait()
	return slices.Contains(found, true), err
}

// namespacedKinds are the kinds whose objects can be in a namespace. A group that is announced and not served just now
// makes the answer an error.
func (k *kube) namespacedKinds() ([]schema.GroupVersionResource, error) {
	_, lists, err := k.discovery.ServerGroupsAndResources()
	if err != nil {
		return nil, err
	}
	lists = discovery.FilteredBy(discovery.SupportsAllVerbs{Verbs: []string{"list", "create"}}, lists)
	seen := map[string]bool{}
	var kinds []schema.GroupVersionResource
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return nil, err
		}
		for _, r := range list.APIResources {
			name := gv.Group + "/" + r.Name
			if !r.Namespaced || strings.Contains(r.Name, "/") || seen[name] || slices.Contains(notContent, name) {
				continue
			}
			seen[name] = true
			kinds = append(kinds, gv.WithResource(r.Name))
		}
	}
	return kinds, nil
}

// holds lists metadata until it finds an object that stands for itself. What has a controller goes with that.
func (k *kube) holds(ctx context.Context, namespace string, kind schema.GroupVersionResource) (bool, error) {
	opts := metav1.ListOptions{Limit: contentPage}
	for {
		page, err := k.meta.Resource(kind).Namespace(namespace).List(ctx, opts)
		switch {
		case apierrors.IsForbidden(err):
			return true, nil
		case apierrors.IsNotFound(err): // the kind went in the meantime
			return false, nil
		case err != nil:
			return false, err
		}
		for i := range page.Items {
			if k.counts(kind, &page.Items[i]) {
				return true, nil
			}
		}
		if opts.Continue = page.Continue; opts.Continue == "" {
			return false, nil
		}
	}
}

// counts tells whether an object keeps its namespace: it is nobody's child, nothing that every namespace has, and not
// an object of Meridian's that is on its way out.
func (k *kube) counts(kind schema.GroupVersionResource, obj *metav1.PartialObjectMetadata) bool {
	if metav1.GetControllerOf(obj) != nil || slices.Contains(derived, kind.Resource+"/"+obj.Name) {
		return false
	}
	for _, m := range k.kinds {
		if m.Group == kind.Group && m.Resource == kind.Resource {
			id := object.ID{Group: m.Group, Version: m.Version, Kind: m.Kind, Namespace: obj.Namespace, Name: obj.Name}
			s := look(id, obj)
			return !s.ours() || !s.deleting
		}
	}
	return true
}

// letGo takes Meridian's marks off a namespace, and all else that Meridian wrote to it.
func (w *writer) letGo(ctx context.Context, id object.ID, seen *sighting) error {
	content, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Namespace",
		"metadata": map[string]any{"name": id.Name, "uid": seen.uid,
			"annotations": map[string]string{annotationReleased: "true"}},
	})
	if err != nil {
		return fmt.Errorf("writing a manifest: %w", err)
	}
	at, err := w.kube.at(id)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, requestWithin)
	defer cancel()
	force := true
	_, err = at.Patch(ctx, id.Name, types.ApplyPatchType, content,
		metav1.PatchOptions{FieldManager: object.FieldManager, Force: &force})
	return err
}
