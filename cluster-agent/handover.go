package clusteragent

import (
	"context"
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/meridian-federation/meridian/internal/object"
)

// handoverManager holds the replicas of a Deployment between Meridian, which no longer sets them, and an autoscaler,
// which has not set them yet. Without it the field would have no owner, and the Deployment the default of one replica.
const handoverManager = "meridian-handover"

// handover gives up the replicas of a Deployment in the safe order: another manager owns their present number before
// Meridian's manifest is applied that does not.
// https://kubernetes.io/docs/reference/using-api/server-side-apply/#transferring-ownership
func (w *writer) handover(ctx context.Context, id object.ID, m manifest, seen *sighting) error {
	if seen == nil || !seen.replicas || m.replicas {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, requestWithin)
	defer cancel()
	deployments := w.kube.apps.Deployments(id.Namespace)
	live, err := deployments.Get(ctx, id.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil // nothing to hand over; the apply will find out
	}
	if err != nil {
		return fmt.Errorf("reading the replicas: %w", err)
	}
	content, err := json.Marshal(map[string]any{
		"apiVersion": appsv1.SchemeGroupVersion.String(), "kind": "Deployment",
		"metadata": map[string]any{"name": id.Name, "namespace": id.Namespace, "uid": seen.uid},
		"spec":     map[string]any{"replicas": desired(live)},
	})
	if err != nil {
		return fmt.Errorf("writing a manifest: %w", err)
	}
	force := true
	_, err = deployments.Patch(ctx, id.Name, types.ApplyPatchType, content,
		metav1.PatchOptions{FieldManager: handoverManager, Force: &force})
	if err != nil && !apierrors.IsConflict(err) && !isOther(err) {
		return fmt.Errorf("handing over the replicas: %w", err)
	}
	return nil
}
