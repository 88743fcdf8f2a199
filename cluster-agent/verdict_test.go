package clusteragent

import (
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// TestJudge tells what is rejected from what is waited for.
func TestJudge(t *testing.T) {
	configMaps := schema.GroupResource{Resource: "configmaps"}
	terminating := apierrors.NewForbidden(configMaps, "a", errors.New("being terminated"))
	terminating.ErrStatus.Details.Causes = append(terminating.ErrStatus.Details.Causes,
		metav1.StatusCause{Type: corev1.NamespaceTerminatingCause})
	tests := map[string]struct {
		err   error
		tries int
		want  string // empty: waited for
	}{
		"no answer":               {errors.New("connection refused"), 100, ""},
		"busy":                    {apierrors.NewTooManyRequests("busy", 1), 0, ""},
		"busy for long":           {apierrors.NewTooManyRequests("busy", 1), patience, reasonUnavailable},
		"webhook":                 {apierrors.NewInternalError(errors.New("failed calling webhook")), 0, ""},
		"webhook for long":        {apierrors.NewInternalError(errors.New("failed calling webhook")), patience, reasonUnavailable},
		"forbidden":               {apierrors.NewForbidden(configMaps, "a", errors.New("no")), 0, "Forbidden"},
		"invalid":                 {apierrors.NewInvalid(schema.GroupKind{Kind: "ConfigMap"}, "a", nil), 0, "Invalid"},
		"namespace missing":       {apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "ns"), 0, reasonNamespace},
		"namespace being deleted": {terminating, 0, reasonTerminating},
		"ours":                    {refuse(reasonForeign, "not ours"), 0, reasonForeign},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := ""
			if r := judge(tt.err, idOf("", "ConfigMap", "ns", "a"), tt.tries); r != nil {
				got = r.Reason
			}
			if got != tt.want {
				t.Errorf("judge = %q, want %q", got, tt.want)
			}
		})
	}
}
