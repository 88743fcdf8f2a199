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

// accessPolicy writes a manifest for namespace shop.
func accessPolicy(name, spec string) string {
	return fmt.Sprintf(`{apiVersion: meridian.dev/v1alpha1, kind: AccessPolicy, metadata: {namespace: shop, name: %s}, spec: {%s}}`, name, spec)
}

func namespace(name, environment, tenant string) string {
	return fmt.Sprintf(`{apiVersion: v1, kind: Namespace, metadata: {name: %s, labels: {meridian.dev/environment: %s, meridian.dev/tenant: %s}}}`,
		name, environment, tenant)
}

// wantAccepted waits until the condition and the count of an AccessPolicy of shop read like this.
func (h *hub) wantAccepted(t *testing.T, name string, applications int32, want string) {
	t.Helper()
	eventually(t, "access policy "+name, func() string {
		obj, err := h.of("AccessPolicy", "shop").Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var p v1alpha1.AccessPolicy
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, &p); err != nil {
			t.Fatal(err)
		}
		c := meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionAccepted)
		if c == nil || p.Status.ObservedGeneration != p.Generation {
			return "nothing is known"
		}
		if got := fmt.Sprintf("%s(%s): %s", c.Status, c.Reason, c.Message); !strings.HasPrefix(got, want) || p.Status.Applications != applications {
			return fmt.Sprintf("got %q for %d applications, want %q for %d", got, p.Status.Applications, want, applications)
		}
		return ""
	})
}

// wantResolved waits until an application's condition and the dependencies that its zones were told are these.
func wantResolved(t *testing.T, h *hub, r *region, name, condition string, dependencies ...string) {
	t.Helper()
	c := strings.Split(name, "/")
	eventually(t, "dependencies of "+name, func() string {
		if got := conditionOf(h, t, c[0], c[1]); !strings.Contains(got, condition) {
			return fmt.Sprintf("got %q, want %q in it", got, condition)
		}
		if got := r.assignments(t)[name+"/west-a"].Dependencies; !slices.Equal(got, dependencies) {
			return fmt.Sprintf("the zone was told %v, want %v", got, dependencies)
		}
		return ""
	})
}

func conditionOf(h *hub, t *testing.T, namespace, name string) string {
	t.Helper()
	return condition(h.application(t, namespace, name), v1alpha1.ConditionDependenciesResolved)
}

// TestAccess has cafe/bar call shop/ledger, and takes that away in each way that there is.
func TestAccess(t *testing.T) {
	h, s := startHub(t), mem.New()
	g := startGlobal(t, s, h)
	west := startRegion(t, "west", g)
	h.set(t, inventory...)
	h.set(t, `{apiVersion: meridian.dev/v1alpha1, kind: Environment, metadata: {name: test}, spec: {trustDomain: test.example}}`, namespace("cafe", "prod", "food"))
	bar := strings.Replace(application("bar", "bar:1", ", dependsOn: [{namespace: shop, name: ledger}]"), "namespace: shop, name: bar", "namespace: cafe, name: bar", 1)
	h.set(t, application("ledger", "ledger:1", ""), application("web", "web:1", ", dependsOn: [{name: ledger}]"), bar)

	const denied = "=False(DependencyDenied): no AccessPolicy in namespace shop lets cafe/bar call ledger"
	wantResolved(t, h, west, "cafe/bar", denied)
	wantResolved(t, h, west, "shop/web", "=True", "shop/ledger")
	let := accessPolicy("let", "applications: [ledger], rules: [{from: [{tenant: food}], ports: [80], methods: [GET]}]")
	allowed := func() { wantResolved(t, h, west, "cafe/bar", "=True", "shop/ledger") }

	t.Run("a policy allows it", func(t *testing.T) {
		h.set(t, let)
		allowed()
		h.wantAccepted(t, "let", 1, "True(Accepted): ")
		wantPolicy(t, west, "ledger", "let: cafe [80] [GET]")
		wantPolicy(t, west, "web", "")
		wantAudience(t, west, "ledger", "[cafe shop] [west-a] [net]")
	})
	t.Run("the policy is deleted", func(t *testing.T) {
		if err := h.of("AccessPolicy", "shop").Delete(t.Context(), "let", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		wantResolved(t, h, west, "cafe/bar", denied)
		wantPolicy(t, west, "ledger", "")
		wantAudience(t, west, "ledger", "[shop] [west-a] [net]")
		h.set(t, let)
		allowed()
	})
	t.Run("the tenant's label moves", func(t *testing.T) {
		h.set(t, namespace("cafe", "prod", "drink"))
		wantResolved(t, h, west, "cafe/bar", denied)
		h.wantAccepted(t, "let", 1, "True(Accepted): tenants without a namespace in environment prod: food")
		h.set(t, namespace("cafe", "prod", "food"))
		allowed()
	})
	t.Run("isolated", func(t *testing.T) {
		h.set(t, accessPolicy("shut", "applications: [ledger], sameNamespace: Deny"))
		wantResolved(t, h, west, "shop/web", "AccessPolicy shop/shut has sameNamespace: Deny, and none in namespace shop lets shop/web call ledger")
		allowed()
		h.set(t, accessPolicy("shut", "applications: [ledger], sameNamespace: Deny, rules: [{from: [{namespace: shop, application: web}]}]"))
		wantResolved(t, h, west, "shop/web", "=True", "shop/ledger")
		h.wantAccepted(t, "shut", 1, "True(Accepted): ")
	})
	t.Run("a restart writes nothing", func(t *testing.T) { restartWritesNothing(t, h, s, g) })
	west.stop()
	g = startGlobal(t, s, h)
	west = startRegion(t, "west", g)
	t.Run("another environment", func(t *testing.T) {
		for _, c := range []string{"a1", "b1"} {
			zone := "west-" + c[:1]
			h.set(t, fmt.Sprintf(`{apiVersion: meridian.dev/v1alpha1, kind: Cluster, metadata: {name: %s}, spec: {zone: %s, network: net, environments: [prod, test]}}`, c, zone))
		}
		h.set(t, namespace("cafe", "test", "food"))
		wantResolved(t, h, west, "cafe/bar", "=False(OtherEnvironment): in environment prod, and no policy allows calls from one environment to another: shop/ledger")
		h.set(t, namespace("shop", "test", "retail"))
		allowed()
		wantPolicy(t, west, "ledger", "let: cafe [80] [GET]; shut: shop/web [] []; isolated by [shut]; in test.example")
	})
}

// wantPolicy waits until the region has this policy of an application of shop.
func wantPolicy(t *testing.T, r *region, name, want string) {
	t.Helper()
	eventually(t, "policy of "+name, func() string {
		r.mu.Lock()
		rec, ok := r.records[record.PolicyKey("shop", name)]
		r.mu.Unlock()
		if !ok {
			return "there is none"
		}
		p, err := record.DecodePolicy(rec)
		if err != nil {
			t.Fatal(err)
		}
		var parts []string
		for _, rule := range p.Rules {
			var who []string
			for _, c := range rule.Callers {
				who = append(who, strings.TrimSuffix(record.ServiceName(c.Namespace, c.Application), "/"))
			}
			parts = append(parts, fmt.Sprint(rule.Policy, ": ", strings.Join(who, " "), " ", rule.Ports, " ", rule.Methods))
		}
		if len(p.IsolatedBy) > 0 {
			parts = append(parts, fmt.Sprint("isolated by ", p.IsolatedBy))
		}
		if p.TrustDomain != "cluster.local" {
			parts = append(parts, "in "+p.TrustDomain)
		}
		if got := strings.Join(parts, "; "); got != want {
			return fmt.Sprintf("got %q, want %q", got, want)
		}
		return ""
	})
}

// wantAudience waits until the region has this audience of an application of shop.
func wantAudience(t *testing.T, r *region, name, want string) {
	t.Helper()
	eventually(t, "audience of "+name, func() string {
		r.mu.Lock()
		rec, ok := r.records[record.AudienceKey("shop", name)]
		r.mu.Unlock()
		if !ok {
			return "there is none"
		}
		a, err := record.DecodeAudience(rec)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(a.Namespaces, " ", a.Zones, " ", a.Networks); got != want {
			return fmt.Sprintf("got %q, want %q", got, want)
		}
		return ""
	})
}
