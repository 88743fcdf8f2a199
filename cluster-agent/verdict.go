package clusteragent

import (
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/object"
)

// The reasons that the agent itself gives for rejecting an object; others are the API server's.
const (
	reasonForeign     = "ObjectExists" // as api/v1alpha1 documents it
	reasonTerminating = "Terminating"
	reasonNamespace   = "NamespaceMissing"
	reasonKind        = "KindNotServed"
	reasonManifest    = "BadManifest"
	reasonUnavailable = "Unavailable"
)

// patience is how often a write is tried against an API server that answers, but not with a result, before the object
// is rejected so that it holds up no others.
const patience = 6

// refused is an error that is a rejection: the cluster answered, and the answer is no.
type refused struct{ reason, message string }

func (r *refused) Error() string { return r.message }

func refuse(reason, format string, args ...any) error {
	return &refused{reason, fmt.Sprintf(format, args...)}
}

// judge tells a rejection from an error that is worth waiting for, after so many tries. It returns nil for the latter.
func judge(err error, id object.ID, tries int) *feed.Rejection {
	reject := func(reason, message string) *feed.Rejection {
		return &feed.Rejection{Key: id.Key(), Reason: reason, Message: message}
	}
	var r *refused
	if errors.As(err, &r) {
		return reject(r.reason, r.message)
	}
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return nil // no answer
	}
	switch {
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return reject(reasonTerminating, fmt.Sprintf("namespace %s is being deleted", id.Namespace))
	case apierrors.IsNotFound(err):
		return missing(id, status.Status())
	case apierrors.IsInvalid(err), apierrors.IsForbidden(err), apierrors.IsBadRequest(err),
		apierrors.IsRequestEntityTooLargeError(err), apierrors.IsMethodNotSupported(err), apierrors.IsNotAcceptable(err),
		apierrors.IsUnsupportedMediaType(err):
		return reject(string(status.Status().Reason), status.Status().Message)
	case tries >= patience:
		return reject(reasonUnavailable, status.Status().Message)
	}
	return nil
}

// missing tells a namespace that is not there from a kind that is not.
func missing(id object.ID, status metav1.Status) *feed.Rejection {
	r := &feed.Rejection{Key: id.Key(), Reason: reasonKind,
		Message: fmt.Sprintf("this cluster does not serve %s of %s: its definition is not installed", id.Kind,
			strings.TrimPrefix(id.Group+"/"+id.Version, "/"))}
	if d := status.Details; id.Namespace != "" && d != nil && d.Kind == "namespaces" {
		r.Reason, r.Message = reasonNamespace, fmt.Sprintf("namespace %s does not exist", id.Namespace)
	}
	return r
}
