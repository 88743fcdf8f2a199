package global_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store/mem"
)

// inventory is one region with two zones of one cluster each.
var inventory = []string{
	`{apiVersion: meridian.dev/v1alpha1, kind: Environment, metadata: {name: prod}}`,
	`{apiVersion: meridian.dev/v1alpha1, kind: Network, metadata: {name: net}}`,
	`{apiVersion: meridian.dev/v1alpha1, kind: Region, metadata: {name: west}}`,
	`{apiVersion: meridian.dev/v1alpha1, kind: Zone, metadata: {name: west-a}, spec: {region: west}}`,
	`{apiVersion: meridian.dev/v1alpha1, kind: Zone, metadata: {name: west-b}, spec: {region: west}}`,
	`{apiVersion: meridian.dev/v1alpha1, kind: Cluster, metadata: {name: a1}, spec: {zone: west-a, network: net, environments: [prod]}}`,
	`{apiVersion: meridian.dev/v1alpha1, kind: Cluster, metadata: {name: b1}, spec: {zone: west-b, network: net, environments: [prod]}}`,
	`{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {meridian.dev/environment: prod, meridian.dev/tenant: retail}}}`,
}

// application writes a manifest with further spec fields.
func application(name, image, more string) string {
	return fmt.Sprintf(`{apiVersion: meridian.dev/v1alpha1, kind: Application, metadata: {namespace: shop, name: %s}, spec: {
  template: {spec: {containers: [{name: main, image: "%s"}]}}, ports: [{name: http, port: 80, appProtocol: http}]%s}}`, name, image, more)
}

func (h *hub) set(t *testing.T, manifests ...string) {
	t.Helper()
	for _, m := range manifests {
		h.apply(t, m)
	}
}

// condition describes a condition as TYPE=STATUS(REASON): MESSAGE.
func condition(app *v1alpha1.Application, kind string) string {
	if app == nil {
		return "there is no such application"
	}
	c := meta.FindStatusCondition(app.Status.Conditions, kind)
	if c == nil || app.Status.ObservedGeneration != app.Generation {
		return kind + " is not known"
	}
	return fmt.Sprintf("%s=%s(%s): %s", kind, c.Status, c.Reason, c.Message)
}

// wantCondition waits until a condition reads like this.
func (h *hub) wantCondition(t *testing.T, name, kind, want string) {
	t.Helper()
	eventually(t, "application "+name, func() string {
		if got := condition(h.application(t, "shop", name), kind); !strings.Contains(got, want) {
			return fmt.Sprintf("got %q, want %q in it", got, want)
		}
		return ""
	})
}

// wantAssigned waits until the region has exactly these assignments.
func wantAssigned(t *testing.T, r *region, want ...string) map[string]record.Assignment {
	t.Helper()
	slices.Sort(want)
	eventually(t, "assignments", func() string {
		if got := slices.Sorted(maps.Keys(r.assignments(t))); !slices.Equal(got, want) {
			return fmt.Sprintf("got %v, want %v", got, want)
		}
		return ""
	})
	return r.assignments(t)
}

// TestGlobal follows applications from their specs to records at a region, and what the region reports to conditions.
func TestGlobal(t *testing.T) {
	h, s := startHub(t), mem.New()
	g := startGlobal(t, s, h)
	west := startRegion(t, "west", g)
	h.set(t, inventory...)
	h.set(t, application("cart", "cart:1", ", replicas: 4, dependsOn: [{name: catalog}, {namespace: bank, name: ledger}]"))

	t.Run("a spec becomes records", func(t *testing.T) {
		got := wantAssigned(t, west, "shop/cart/west-a", "shop/cart/west-b")
		for name, a := range got {
			if a.Replicas != 2 || len(a.Dependencies) != 0 || a.Generation != 1 || a.Region != "west" {
				t.Errorf("%s is %+v, want 2 replicas, no dependency, generation 1", name, a)
			}
		}
		h.wantCondition(t, "cart", v1alpha1.ConditionAccepted, "=True")
		h.wantCondition(t, "cart", v1alpha1.ConditionConverged, "waiting for west-a, west-b")
		h.wantCondition(t, "cart", v1alpha1.ConditionDependenciesResolved,
			"no accepted Application with ports: bank/ledger, shop/catalog")
	})
	t.Run("a dependency resolves when it comes", func(t *testing.T) {
		h.set(t, application("catalog", "catalog:1", ""))
		eventually(t, "cart's dependencies", func() string {
			if got := west.assignments(t)["shop/cart/west-a"].Dependencies; !slices.Equal(got, []string{"shop/catalog"}) {
				return fmt.Sprintf("got %v, want shop/catalog", got)
			}
			return ""
		})
	})
	t.Run("reports become conditions", func(t *testing.T) {
		a := west.assignments(t)
		west.report(a["shop/cart/west-a"], a["shop/cart/west-b"])
		h.wantCondition(t, "cart", v1alpha1.ConditionConverged, "=True")
		h.wantCondition(t, "cart", v1alpha1.ConditionReady, "=True")
		if got := h.application(t, "shop", "cart").Status; got.Summary != "4/4" || got.ZoneCount != 2 || len(got.Zones) != 2 {
			t.Errorf("status is %+v, want 4/4 in two zones", got)
		}
	})
	t.Run("a zone is left only when the others are ready", func(t *testing.T) {
		h.set(t, application("cart", "cart:1", ", replicas: 4, placement: {zones: {matchLabels: {meridian.dev/name: west-b}}}"))
		eventually(t, "cart in west-a", func() string {
			a := west.assignments(t)
			if !a["shop/cart/west-a"].Draining || a["shop/cart/west-b"].Replicas != 4 {
				return fmt.Sprintf("got %+v, want west-a draining and 4 in west-b", a)
			}
			return ""
		})
		west.report(west.assignments(t)["shop/cart/west-b"])
		wantAssigned(t, west, "shop/cart/west-b", "shop/catalog/west-a")
		eventually(t, "cart's zones", func() string {
			if got := h.application(t, "shop", "cart").Status; got.ZoneCount != 1 || got.Summary != "4/4" {
				return fmt.Sprintf("got %d zones with %s, want one with 4/4", got.ZoneCount, got.Summary)
			}
			return ""
		})
	})
	t.Run("a restart writes nothing", func(t *testing.T) { restartWritesNothing(t, h, s, g) })
	west.stop()
	g = startGlobal(t, s, h)
	west = startRegion(t, "west", g)
	wantAssigned(t, west, "shop/cart/west-b", "shop/catalog/west-a")
	h.set(t, application("marker", "marker:1", "")) // a deletion is a person's only where Global saw it
	h.wantCondition(t, "marker", v1alpha1.ConditionAccepted, "=True")
	t.Run("a deletion removes the records for a person's sake", func(t *testing.T) {
		key := record.AssignmentKey("shop", "cart", "west-b")
		if err := h.of("Application", "shop").Delete(t.Context(), "cart", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		wantAssigned(t, west, "shop/catalog/west-a", "shop/marker/west-a")
		if cause, ok := west.cause(key); !ok || cause != record.CausePerson {
			t.Errorf("%s was removed: %v, with cause %v, want person", key, ok, cause)
		}
		eventually(t, "what the region holds", func() string {
			for _, name := range west.names() {
				if strings.Contains(name, "shop/cart") {
					return name + " is left"
				}
			}
			return ""
		})
	})
}

// restartWritesNothing stops Global and runs another on the same store and hub until it has looked at everything.
func restartWritesNothing(t *testing.T, h *hub, s *mem.Store, g *tier) {
	t.Helper()
	g.stop()
	before, err := s.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	versions := h.versions(t)
	again := startGlobal(t, s, h)
	h.set(t, application("marker", "marker:1", ""))
	h.wantCondition(t, "marker", v1alpha1.ConditionAccepted, "=True")
	if err := h.of("Application", "shop").Delete(t.Context(), "marker", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the marker's records", func() string {
		after, err := s.Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(after.Entries) != len(before.Entries) {
			return fmt.Sprintf("%d records, want %d", len(after.Entries), len(before.Entries))
		}
		for _, e := range after.Entries {
			if e.Revision > before.Position.Revision {
				t.Errorf("record %s was written again", e.Key)
			}
		}
		return ""
	})
	if after := h.versions(t); !maps.Equal(after, versions) {
		t.Errorf("the hub's objects are at %v, want %v", after, versions)
	}
	again.stop()
}

// versions are the resource versions of what has a status.
func (h *hub) versions(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, kind := range []string{"Application", "AccessPolicy", "ExternalService", "Cluster", "Zone", "Region"} {
		list, err := h.of(kind, "").List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range list.Items {
			out[kind+"/"+item.GetName()] = item.GetResourceVersion()
		}
	}
	return out
}

// TestBadApplications submits what cannot be accepted or placed beside one that can.
func TestBadApplications(t *testing.T) {
	h, s := startHub(t), mem.New()
	g := startGlobal(t, s, h)
	west := startRegion(t, "west", g)
	h.set(t, inventory...)
	h.set(t, application("good", "good:1", ", resources: [{apiVersion: v1, kind: ConfigMap, metadata: {name: shared}}]"))
	wantAssigned(t, west, "shop/good/west-a")

	tests := map[string]struct{ name, more, condition, want string }{
		"an object of another's": {"thief", ", resources: [{apiVersion: v1, kind: ConfigMap, metadata: {name: shared}}]",
			v1alpha1.ConditionAccepted, "ObjectOwnedByAnother): ConfigMap shop/shared belongs to application shop/good"},
		"a kind that is not allowed": {"secretive", ", resources: [{apiVersion: v1, kind: Secret, metadata: {name: x}}]",
			v1alpha1.ConditionAccepted, "ResourceNotAllowed): spec.resources[0]"},
		"too large": {"large", ", resources: [{apiVersion: v1, kind: ConfigMap, metadata: {name: large}, data: {x: " + strings.Repeat("x", 300<<10) + "}}]",
			v1alpha1.ConditionAccepted, "SpecTooLarge): spec is 300 KiB"},
		"placed nowhere": {"nowhere", ", placement: {regions: {matchLabels: {meridian.dev/name: north}}}",
			v1alpha1.ConditionPlaced, "NoMatchingZone): spec.placement.regions selects no region"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h.set(t, application(tt.name, "bad:1", tt.more))
			h.wantCondition(t, tt.name, tt.condition, tt.want)
			if got := h.application(t, "shop", tt.name).Status.Message; got == "" {
				t.Error("status.message is empty")
			}
		})
	}
	t.Run("a namespace without environment", func(t *testing.T) {
		h.set(t, `{apiVersion: v1, kind: Namespace, metadata: {name: bare}}`)
		h.set(t, strings.Replace(application("bare", "bare:1", ""), "namespace: shop", "namespace: bare", 1))
		eventually(t, "the application", func() string {
			if got := condition(h.application(t, "bare", "bare"), v1alpha1.ConditionAccepted); !strings.Contains(got, "NamespaceHasNoEnvironment") {
				return got
			}
			return ""
		})
	})
	t.Run("the good one is let be", func(t *testing.T) { wantAssigned(t, west, "shop/good/west-a") })
	t.Run("a bad change keeps what ran", func(t *testing.T) {
		before := west.assignments(t)["shop/good/west-a"]
		h.set(t, application("good", "good:2", ", resources: [{apiVersion: v1, kind: Secret, metadata: {name: x}}]"))
		h.wantCondition(t, "good", v1alpha1.ConditionAccepted, "ResourceNotAllowed")
		if after := wantAssigned(t, west, "shop/good/west-a")["shop/good/west-a"]; after.Revision != before.Revision {
			t.Errorf("the assignment is of revision %s, want %s", after.Revision, before.Revision)
		}
	})
	t.Run("an object that is let go goes to who waits", func(t *testing.T) {
		h.set(t, application("good", "good:2", ""))
		h.wantCondition(t, "thief", v1alpha1.ConditionAccepted, "=True")
	})
}

// TestStrangeHub starts Global before another API server than the one it knows.
func TestStrangeHub(t *testing.T) {
	known, s := startHub(t), mem.New()
	g := startGlobal(t, s, known)
	west := startRegion(t, "west", g)
	known.set(t, inventory...)
	known.set(t, application("cart", "cart:1", ""), application("catalog", "catalog:1", ""))
	wantAssigned(t, west, "shop/cart/west-a", "shop/catalog/west-a")
	west.stop()
	g.stop()

	stranger := startHub(t)
	stranger.set(t, `{apiVersion: meridian.dev/v1alpha1, kind: Region, metadata: {name: west}}`)
	g = startGlobal(t, s, stranger)
	west = startRegion(t, "west", g)
	overview := func() question.Overview {
		node, err := g.ask(t, question.KindOverview, question.OverviewRequest{})
		if err != nil {
			t.Fatal(err)
		}
		return *node.Overview
	}
	eventually(t, "the stranger", func() string {
		if r := overview().Refusals; len(r) != 1 || r[0].Kind != question.WhatIdentity {
			return fmt.Sprintf("refusals are %+v", r)
		}
		return ""
	})
	wantAssigned(t, west, "shop/cart/west-a", "shop/catalog/west-a")

	if _, err := g.ask(t, question.KindConfirm, question.ConfirmRequest{What: question.WhatIdentity}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the held removals", func() string {
		if held := overview().Held; held == nil || held.Total != 4 {
			return fmt.Sprintf("held is %+v, want two applications and two clusters", held)
		}
		return ""
	})
	wantAssigned(t, west, "shop/cart/west-a", "shop/catalog/west-a")

	if _, err := g.ask(t, question.KindConfirm, question.ConfirmRequest{What: question.WhatRemovals}); err != nil {
		t.Fatal(err)
	}
	wantAssigned(t, west)
}
