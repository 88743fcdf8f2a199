package clusteragent

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/meridian-federation/meridian/internal/object"
)

// steps bound the looks and writes for one object when others write to it at the same moment.
const steps = 4

var errRestless = errors.New("others keep creating and deleting it")

// writer brings one object of the cluster in line.
type writer struct {
	kube *kube
	// applied is told of an object after its manifest was applied, before anybody else is.
	applied func(id object.ID, m manifest, obj *metav1.PartialObjectMetadata)
	// mayRun says why a manifest must not be applied though the API server would take it.
	mayRun func(id object.ID, m manifest) error
}

// do carries out a task.
func (w *writer) do(ctx context.Context, t task) result {
	if t.want.gone {
		seen, err := w.remove(ctx, t.id, t.seen)
		return result{seen: seen, err: err}
	}
	m, err := parseManifest(t.id, t.want.record.Version, t.want.record.Content)
	if err != nil {
		return result{err: refuse(reasonManifest, "%v", err)}
	}
	if err := w.mayRun(t.id, m); err != nil {
		return result{err: err}
	}
	seen, err := w.put(ctx, t.id, m, t.seen)
	if err != nil {
		return result{seen: seen, err: fmt.Errorf("applying %s: %w", t.id.Short(), err)}
	}
	return result{seen: seen}
}

// put applies a manifest to the object that was seen, or creates it if none was. Both are one request, unless the
// object turns out to be another than was thought.
func (w *writer) put(ctx context.Context, id object.ID, m manifest, seen *sighting) (*sighting, error) {
	for range steps {
		if seen != nil && seen.deleting {
			return seen, terminating(id)
		}
		var content []byte
		if err := w.handover(ctx, id, m, seen); err != nil {
			return nil, err
		}
		if seen != nil {
			content = m.only("uid", string(seen.uid))
		} else {
			content = m.only("resourceVersion", noResourceVersion)
		}
		now, err := w.patch(ctx, id, content, m)
		switch {
		case err == nil && now.deleting:
			return now, terminating(id)
		case err == nil:
			return now, nil
		case seen == nil && apierrors.IsConflict(err):
			if seen, err = w.adopt(ctx, id, m); err != nil {
				return nil, err
			}
		case seen != nil && (apierrors.IsConflict(err) || isOther(err)):
			seen = nil
		default:
			return nil, err
		}
	}
	return nil, errRestless
}

func (w *writer) patch(ctx context.Context, id object.ID, content []byte, m manifest) (*sighting, error) {
	at, err := w.kube.at(id)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, requestWithin)
	defer cancel()
	force := true
	obj, err := at.Patch(ctx, id.Name, types.ApplyPatchType, content,
		metav1.PatchOptions{FieldManager: object.FieldManager, Force: &force})
	if err != nil {
		return nil, err
	}
	if w.applied != nil {
		w.applied(id, m, obj)
	}
	return look(id, obj), nil
}

// adopt looks at the object that stands in the way of a creation, and returns it if it may be applied to.
func (w *writer) adopt(ctx context.Context, id object.ID, m manifest) (*sighting, error) {
	s, err := w.kube.get(ctx, id)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, err
	case s.recognised(), m.adopt, s.released:
		return s, nil
	}
	return nil, refuse(reasonForeign, "%s exists and is not Meridian's; set spec.adopt, or rename", id.Short())
}

// terminating refuses a manifest whose object is still on its way out. It is applied when that is gone.
func terminating(id object.ID) error {
	return refuse(reasonTerminating, "the %s of this name is being deleted", id.Kind)
}

// isOther recognises the answer to a write for a UID that the object of this name does not have.
func isOther(err error) bool {
	return apierrors.IsInvalid(err) && apierrors.HasStatusCause(err, metav1.CauseTypeFieldValueInvalid) &&
		causeField(err, "metadata.uid")
}

func causeField(err error, field string) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil {
		return false
	}
	for _, c := range status.Status().Details.Causes {
		if c.Field == field {
			return true
		}
	}
	return false
}

// remove deletes an object if it is Meridian's by all marks, exactly as it was seen, and returns what it was when it was
// last there. What is not Meridian's, stays.
func (w *writer) remove(ctx context.Context, id object.ID, seen *sighting) (*sighting, error) {
	for range steps {
		if seen == nil || !seen.ours() {
			var err error
			if seen, err = w.kube.get(ctx, id); apierrors.IsNotFound(err) {
				return nil, nil
			} else if err != nil {
				return nil, fmt.Errorf("looking at %s: %w", id.Short(), err)
			}
		}
		if !seen.ours() || seen.deleting {
			return seen, nil
		}
		err := w.end(ctx, id, seen)
		switch {
		case err == nil:
			return seen, nil
		case apierrors.IsNotFound(err):
			return nil, nil
		case !apierrors.IsConflict(err) && !isOther(err):
			return nil, fmt.Errorf("removing %s: %w", id.Short(), err)
		}
		seen = nil // changed since
	}
	return nil, errRestless
}

// end deletes an object, a workload after its pods, or lets go of a namespace that must stay.
func (w *writer) end(ctx context.Context, id object.ID, seen *sighting) error {
	if id.Kind == "Namespace" && id.Group == "" {
		stays, err := w.kube.mustStay(ctx, id.Name, seen)
		if err != nil {
			return err
		}
		if stays {
			return w.letGo(ctx, id, seen)
		}
	}
	at, err := w.kube.at(id)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, requestWithin)
	defer cancel()
	propagation := metav1.DeletePropagationBackground
	if object.RunsPods(id.Group, id.Kind) {
		propagation = metav1.DeletePropagationForeground
	}
	return at.Delete(ctx, id.Name, metav1.DeleteOptions{
		PropagationPolicy: &propagation,
		Preconditions:     &metav1.Preconditions{UID: &seen.uid, ResourceVersion: &seen.resourceVersion},
	})
}
