package global_test

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/store/mem"
)

// wantQuota waits until the status of a TenantQuota reads like this.
func (h *hub) wantQuota(t *testing.T, name, want string) {
	t.Helper()
	eventually(t, "tenant quota "+name, func() string {
		obj, err := h.of("TenantQuota", "").Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var q v1alpha1.TenantQuota
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, &q); err != nil {
			t.Fatal(err)
		}
		c := meta.FindStatusCondition(q.Status.Conditions, v1alpha1.ConditionWithinLimits)
		if c == nil || q.Status.ObservedGeneration != q.Generation || q.Status.Limits.Applications == nil {
			return "nothing is known"
		}
		u := q.Status.Used
		got := fmt.Sprintf("%d/%d %d %d, %d refused, %s(%s): %s", u.Applications, *q.Status.Limits.Applications, u.Replicas, u.Consumers,
			q.Status.Refused, c.Status, c.Reason, c.Message)
		if got != want {
			return fmt.Sprintf("got %q, want %q", got, want)
		}
		return ""
	})
}

// TestTenantQuota takes a tenant to its limits, by its applications and its policies, through a restart.
func TestTenantQuota(t *testing.T) {
	h, s := startHub(t), mem.New()
	g := startGlobal(t, s, h)
	west := startRegion(t, "west", g)
	h.set(t, inventory...)
	quota := func(applications int) string {
		return fmt.Sprintf(`{apiVersion: meridian.dev/v1alpha1, kind: TenantQuota, metadata: {name: retail}, spec: {tenant: retail, applications: %d, consumers: 1}}`, applications)
	}
	h.set(t, namespace("shop", "prod", "retail"), namespace("cafe", "prod", "food"), quota(1))
	accepted := func(name, want string) {
		t.Helper()
		eventually(t, "application "+name, func() string {
			if got := condition(h.application(t, "shop", name), v1alpha1.ConditionAccepted); !strings.Contains(got, want) {
				return fmt.Sprintf("got %q, want %q in it", got, want)
			}
			return ""
		})
	}
	h.set(t, application("ledger", "ledger:1", ""))
	accepted("ledger", "=True")
	h.set(t, application("web", "web:1", ""))
	accepted("web", "=False(QuotaExceeded): tenant retail may have 1 applications (TenantQuota retail), has 1, and this asks for 1 more")
	for _, name := range []string{"bar", "kitchen"} {
		h.set(t, strings.Replace(application(name, "x:1", ", dependsOn: [{namespace: shop, name: ledger}]"), "namespace: shop, name: "+name, "namespace: cafe, name: "+name, 1))
	}
	h.set(t, accessPolicy("bar", "rules: [{from: [{namespace: cafe, application: bar}]}]"))
	wantResolved(t, h, west, "cafe/bar", "=True", "shop/ledger")
	h.set(t, accessPolicy("all", "rules: [{from: [{tenant: food}]}]"))
	const exceeded = "False(QuotaExceeded): tenant retail may have 1 consumers (TenantQuota retail), has 1, and this asks for 1 more"
	h.wantAccepted(t, "all", 2, exceeded)
	wantResolved(t, h, west, "cafe/kitchen", "=False(DependencyDenied)")
	h.wantQuota(t, "retail", "1/1 1 1, 2 refused, True(WithinLimits): ")

	west.stop()
	g.stop()
	g = startGlobal(t, s, h)
	west = startRegion(t, "west", g)
	t.Run("a lower limit", func(t *testing.T) {
		h.set(t, quota(0))
		h.wantQuota(t, "retail", "1/0 1 1, 2 refused, False(OverQuota): applications: 1 used, limit 0; what was accepted stays, and nothing more is accepted")
		accepted("ledger", "=True")
		accepted("web", "tenant retail may have 0 applications")
	})
	t.Run("room", func(t *testing.T) {
		h.set(t, quota(2))
		accepted("web", "=True")
		if err := h.of("AccessPolicy", "shop").Delete(t.Context(), "bar", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		h.set(t, accessPolicy("all", "rules: [{from: [{namespace: cafe, application: kitchen}]}]"))
		wantResolved(t, h, west, "cafe/kitchen", "=True", "shop/ledger")
		h.wantAccepted(t, "all", 2, "True(Accepted): ")
		h.wantQuota(t, "retail", "2/2 2 1, 0 refused, True(WithinLimits): ")
	})
}
