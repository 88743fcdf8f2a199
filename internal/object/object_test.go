package object_test

import (
	"slices"
	"testing"

	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
)

func TestID(t *testing.T) {
	tests := map[string]struct {
		id          object.ID
		text, short string
	}{
		"core": {object.ID{Version: "v1", Kind: "ConfigMap", Namespace: "shop", Name: "x"},
			"core/v1/ConfigMap/shop/x", "ConfigMap shop/x"},
		"a group": {object.ID{Group: "apps", Version: "v1", Kind: "Deployment", Namespace: "shop", Name: "web"},
			"apps/v1/Deployment/shop/web", "Deployment shop/web"},
		"cluster-scoped": {object.ID{Version: "v1", Kind: "Namespace", Name: "shop"},
			"core/v1/Namespace/-/shop", "Namespace shop"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := tt.id.String(); got != tt.text {
				t.Errorf("String = %s, want %s", got, tt.text)
			}
			if got := tt.id.Short(); got != tt.short {
				t.Errorf("Short = %s, want %s", got, tt.short)
			}
			if got, err := object.FromKey(tt.id.Key()); err != nil || got != tt.id {
				t.Errorf("FromKey(Key) = %+v, %v; want %+v", got, err, tt.id)
			}
		})
	}
	for _, bad := range []string{"", "core/v1/ConfigMap/shop", "/v1/ConfigMap/shop/x", "core/v1//shop/x", "core/v1/ConfigMap//x", "core/v1/ConfigMap/shop/"} {
		if id, err := object.ParseID(bad); err == nil {
			t.Errorf("ParseID(%q) = %+v, want an error", bad, id)
		}
	}
	if _, err := object.FromKey(record.ClusterKey("c")); err == nil {
		t.Error("FromKey takes a cluster for an object")
	}
}

// TestOrder holds the order of application: an object comes after what it refers to.
func TestOrder(t *testing.T) {
	key := func(group, kind string) record.Key {
		return object.ID{Group: group, Version: "v1", Kind: kind, Namespace: "shop", Name: "x"}.Key()
	}
	want := []record.Key{record.ClusterKey("c"), key("", "Namespace"), key("", "ServiceAccount"), key("", "ConfigMap"),
		key("security.istio.io", "AuthorizationPolicy"), key("", "Service"), key("networking.istio.io", "Sidecar"), key("apps", "Deployment")}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, func(a, b record.Key) int { return object.Rank(a) - object.Rank(b) })
	if !slices.Equal(got, want) {
		t.Errorf("the order is %v, want %v", got, want)
	}
}

// TestRunsPods holds which kinds are deleted after their pods: workloads, and not what scales them.
func TestRunsPods(t *testing.T) {
	var got []string
	for _, k := range object.Kinds() {
		if object.RunsPods(k.Group, k.Kind) {
			got = append(got, k.Kind)
		}
	}
	if want := []string{"Deployment", "CronJob"}; !slices.Equal(got, want) {
		t.Errorf("kinds that run pods: got %v, want %v", got, want)
	}
}

// TestKinds holds what the kinds are relied on for: each is listed once, in one version, and Secrets are not.
func TestKinds(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range object.Kinds() {
		kind := k.Group + "/" + k.Kind
		if seen[kind] {
			t.Errorf("%s is listed twice", kind)
		}
		seen[kind] = true
		if k.Kind == "Secret" {
			t.Error("Secrets are managed")
		}
		if class := object.ClassOf(k.Group, k.Kind); class < 0 || int(class) >= object.Classes {
			t.Errorf("%s has class %d of %d", kind, class, object.Classes)
		}
		if k.Resource == "" || !k.Namespaced && k.Carried {
			t.Errorf("%+v: it has no resource name, or is carried and not in a namespace", k)
		}
	}
}
