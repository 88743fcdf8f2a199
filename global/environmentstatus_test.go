package global_test

import (
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/store/mem"
)

// TestEnvironmentStatus: an Environment says whether it has its trust domain, and what is in it follows.
func TestEnvironmentStatus(t *testing.T) {
	h := startHub(t)
	h.set(t, inventory...)
	startGlobal(t, mem.New(), h)
	says := func(name, status, reason, message string) {
		t.Helper()
		eventually(t, "environment "+name+" says "+reason, func() string {
			obj, err := h.of("Environment", "").Get(t.Context(), name, metav1.GetOptions{})
			if err != nil {
				return err.Error()
			}
			conditions, _, _ := unstructured.NestedSlice(obj.Object, "status", "conditions")
			for _, c := range conditions {
				c := c.(map[string]any)
				if c["type"] == v1alpha1.ConditionAccepted && c["status"] == status && c["reason"] == reason && strings.Contains(fmt.Sprint(c["message"]), message) {
					return ""
				}
			}
			return fmt.Sprintf("its conditions are %v", conditions)
		})
	}
	says("prod", "True", v1alpha1.ReasonAccepted, "")
	h.apply(t, `{apiVersion: meridian.dev/v1alpha1, kind: Environment, metadata: {name: zoo}}`)
	says("zoo", "False", v1alpha1.ReasonTrustDomainTaken, "has the trust domain cluster.local of environment prod")
	h.apply(t, `{apiVersion: meridian.dev/v1alpha1, kind: Environment, metadata: {name: zoo}, spec: {trustDomain: zoo.example}}`)
	says("zoo", "True", v1alpha1.ReasonAccepted, "")
	h.apply(t, `{apiVersion: meridian.dev/v1alpha1, kind: Environment, metadata: {name: zoo}, spec: {trustDomain: cluster.local, shareTrustDomain: true}}`)
	says("zoo", "True", v1alpha1.ReasonAccepted, "")
	says("prod", "True", v1alpha1.ReasonAccepted, "")
}
