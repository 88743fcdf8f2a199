package global_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store/mem"
)

// externalCondition waits until a condition of an ExternalService of namespace shop reads like this, of its last generation.
func (h *hub) externalCondition(t *testing.T, name, kind, want string) {
	t.Helper()
	eventually(t, "ExternalService "+name, func() string {
		obj, err := h.of("ExternalService", "shop").Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var x v1alpha1.ExternalService
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, &x); err != nil {
			t.Fatal(err)
		}
		c := meta.FindStatusCondition(x.Status.Conditions, kind)
		if c == nil || x.Status.ObservedGeneration != x.Generation {
			return kind + " is not known"
		}
		if got := fmt.Sprintf("%s(%s): %s", c.Status, c.Reason, c.Message); !strings.Contains(got, want) {
			return fmt.Sprintf("got %q, want %q in it", got, want)
		}
		return ""
	})
}

// TestExternalServiceAtHub follows an ExternalService from the hub to a region and back, beside one that is refused.
func TestExternalServiceAtHub(t *testing.T) {
	h, s := startHub(t), mem.New()
	g := startGlobal(t, s, h)
	west := startRegion(t, "west", g)
	h.set(t, inventory...)
	external := func(name, port, more string) string {
		return fmt.Sprintf(`{apiVersion: meridian.dev/v1alpha1, kind: ExternalService, metadata: {namespace: shop, name: %s},
			spec: {hosts: [%s.example.com], ports: [%s]%s}}`, name, name, port, more)
	}
	h.set(t, external("db", "{name: tls, port: 443, appProtocol: tls}", ""), external("bad", "{name: tls, port: 443, appProtocol: tls}", `, endpoints: [{address: 127.0.0.1}]`),
		external("sql", "{name: sql, port: 3306}", ""), application("web", "web:1", ", dependsOn: [{kind: ExternalService, name: db}, {kind: ExternalService, name: bad}]"))
	h.externalCondition(t, "db", v1alpha1.ConditionAccepted, "True(Accepted)")
	h.externalCondition(t, "bad", v1alpha1.ConditionAccepted, "False(InvalidSpec): spec.endpoints[0].address: 127.0.0.1")
	h.externalCondition(t, "sql", v1alpha1.ConditionAllocated, "False(Pending)")
	h.wantCondition(t, "web", v1alpha1.ConditionDependenciesResolved, "=False(DependencyNotFound): there is no accepted ExternalService shop/bad")
	key := record.ServiceKey("shop", record.ExternalName("db"))
	holds := func(want bool) {
		t.Helper()
		eventually(t, "the region's records", func() string {
			if got := slices.Contains(west.names(), key.String()); got != want {
				return fmt.Sprintf("they have %s: %t, want %t", key, got, want)
			}
			return ""
		})
	}
	holds(true)
	for _, name := range west.names() {
		if strings.Contains(name, "shop/sql.external") || strings.HasPrefix(name, "policy/") && strings.Contains(name, ".external") {
			t.Errorf("the region has %s, which nobody there needs", name)
		}
	}
	restartWritesNothing(t, h, s, g)
	g = startGlobal(t, s, h)
	west.stop()
	west = startRegion(t, "west", g)
	holds(true)
	if err := h.of("ExternalService", "shop").Delete(t.Context(), "db", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	h.wantCondition(t, "web", v1alpha1.ConditionDependenciesResolved, "there is no accepted ExternalService shop/bad, ExternalService shop/db")
	holds(false)
}
