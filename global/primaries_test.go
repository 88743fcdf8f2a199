package global

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/record"
)

// TestPrimaries names primaries in zone w1 with clusters w1-0 to w1-3, and w2 with w2-0.
func TestPrimaries(t *testing.T) {
	with := func(primaries map[string]string) resources {
		r := worldResources(map[string]int{"w1": 4, "w2": 1})
		for _, c := range r.clusters {
			c.Spec.Mesh.Primary = primaries[c.Name]
		}
		return r
	}
	tests := map[string]struct {
		before, now map[string]string
		want        map[string]string // the primaries of the clusters accepted or standing
		refused     map[string]string
		gone        []string
	}{
		"two of one":            {nil, map[string]string{"w1-1": "w1-0", "w1-2": "w1-0"}, map[string]string{"w1-1": "w1-0", "w1-2": "w1-0"}, nil, nil},
		"itself":                {nil, map[string]string{"w1-1": "w1-1"}, nil, nil, nil},
		"nobody":                {nil, map[string]string{"w1-1": "x"}, nil, map[string]string{"w1-1": "there is no accepted Cluster x in zone w1"}, []string{"w1-1"}},
		"of another zone":       {nil, map[string]string{"w1-1": "w2-0"}, nil, map[string]string{"w1-1": "no accepted Cluster w2-0 in zone w1"}, []string{"w1-1"}},
		"a chain":               {nil, map[string]string{"w1-1": "w1-0", "w1-2": "w1-1"}, map[string]string{"w1-1": "w1-0"}, map[string]string{"w1-2": "w1-1 has a primary of its own, w1-0"}, []string{"w1-2"}},
		"each other":            {nil, map[string]string{"w1-0": "w1-1", "w1-1": "w1-0"}, nil, map[string]string{"w1-0": "of its own", "w1-1": "of its own"}, []string{"w1-0", "w1-1"}},
		"a primary that stands": {map[string]string{"w1-1": "w1-0"}, map[string]string{"w1-1": "w1-0", "w1-0": "w1-2"}, map[string]string{"w1-1": "w1-0"}, map[string]string{"w1-0": "w1-1 has this one as its primary"}, nil},
		"turned about":          {map[string]string{"w1-1": "w1-0"}, map[string]string{"w1-0": "w1-1"}, map[string]string{"w1-0": "w1-1"}, nil, nil},
		"a bad change":          {map[string]string{"w1-1": "w1-0"}, map[string]string{"w1-1": "x"}, map[string]string{"w1-1": "w1-0"}, map[string]string{"w1-1": "no accepted Cluster x"}, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			standing := map[string]record.Cluster{}
			if tt.before != nil {
				standing = newInventory(with(tt.before), nil).clusters
			}
			inv := newInventory(with(tt.now), standing)
			got := map[string]string{}
			for name, c := range inv.clusters {
				if c.Mesh.Primary != "" {
					got[name] = c.Mesh.Primary
				}
			}
			if !maps.Equal(got, tt.want) {
				t.Errorf("primaries are %v, want %v", got, tt.want)
			}
			if got, want := names(inv.refusedClusters), names(tt.refused); !slices.Equal(got, want) {
				t.Errorf("refused are %v, want %v", got, want)
			}
			for name, why := range tt.refused {
				if got := inv.refusedClusters[name]; !strings.Contains(got, why) {
					t.Errorf("%s is refused by %q, want %q in it", name, got, why)
				}
			}
			if got, want := len(inv.clusters), 5-len(tt.gone); got != want {
				t.Errorf("got %d clusters, want %d", got, want)
			}
		})
	}
}

// TestOfOnePrimary changes what clusters of one primary must have in common; w1-1's is w1-0.
func TestOfOnePrimary(t *testing.T) {
	gateway := func(namespace, selector string) *v1alpha1.EastWestGateway {
		return &v1alpha1.EastWestGateway{Addresses: []string{"192.0.2.1"}, Namespace: namespace, Selector: map[string]string{"istio": selector}}
	}
	type cluster struct {
		network string
		gateway *v1alpha1.EastWestGateway
	}
	with := func(clusters [2]cluster) resources {
		r := worldResources(map[string]int{"w1": 2})
		r.networks = append(r.networks, &v1alpha1.Network{ObjectMeta: metav1.ObjectMeta{Name: "other"}},
			&v1alpha1.Network{ObjectMeta: metav1.ObjectMeta{Name: "third"}})
		for i, c := range clusters {
			r.clusters[i].Spec.Network, r.clusters[i].Spec.Mesh.Gateway = cmp.Or(c.network, "net"), c.gateway
		}
		r.clusters[1].Spec.Mesh.Primary = "w1-0"
		return r
	}
	one, two := gateway("gateways", "one"), gateway("gateways", "two")
	same, agreed := [2]cluster{}, [2]cluster{{"", one}, {"", one}}
	tests := map[string]struct {
		before, now [2]cluster
		fresh       bool // nothing stood before
		refused     map[string]string
	}{
		"another network": {now: [2]cluster{{}, {network: "other"}}, fresh: true,
			refused: map[string]string{"w1-1": "spec.network: must be net, that of the primary w1-0, and is other"}},
		"another namespace": {now: [2]cluster{{gateway: one}, {gateway: gateway("else", "one")}}, fresh: true,
			refused: map[string]string{"w1-1": "spec.mesh.gateway.namespace: must be gateways, that of the primary w1-0, and is else"}},
		"another selector": {now: [2]cluster{{gateway: one}, {gateway: two}}, fresh: true,
			refused: map[string]string{"w1-1": "spec.mesh.gateway.selector: must be istio=one, that of the primary w1-0, and is istio=two"}},
		"a gateway of the primary alone": {now: [2]cluster{{gateway: one}, {}}, fresh: true},
		"a gateway of the member alone": {now: [2]cluster{{}, {gateway: one}}, fresh: true,
			refused: map[string]string{"w1-1": "spec.mesh.gateway: the primary w1-0 has none"}},
		"the same gateway":       {now: agreed, fresh: true},
		"the member moves":       {before: same, now: [2]cluster{{}, {network: "other"}}, refused: map[string]string{"w1-1": "spec.network: must be net"}},
		"the primary moves":      {before: same, now: [2]cluster{{network: "other"}, {}}, refused: map[string]string{"w1-0": "cluster w1-1 has this one as its primary, and contradicts it: spec.network: must be other"}},
		"both move":              {before: same, now: [2]cluster{{network: "other"}, {network: "other"}}},
		"both move apart":        {before: same, now: [2]cluster{{network: "other"}, {network: "third"}}, refused: map[string]string{"w1-0": "spec.network", "w1-1": "spec.network: must be net"}},
		"the primary's selector": {before: agreed, now: [2]cluster{{gateway: two}, {gateway: one}}, refused: map[string]string{"w1-0": "spec.mesh.gateway.selector"}},
		"another gateway comes to the primary": {before: [2]cluster{{}, {gateway: one}}, now: [2]cluster{{gateway: two}, {gateway: one}},
			refused: map[string]string{"w1-1": "spec.mesh.gateway.selector"}},
		"a gateway comes to both": {before: same, now: agreed},
		"a gateway comes to the member": {before: same, now: [2]cluster{{}, {gateway: one}},
			refused: map[string]string{"w1-1": "spec.mesh.gateway: the primary w1-0 has none"}},
		"the gateway goes from the primary": {before: agreed, now: [2]cluster{{}, {gateway: one}},
			refused: map[string]string{"w1-0": "cluster w1-1 has this one as its primary, and contradicts it: spec.mesh.gateway: the primary"}},
		"the gateway goes from both": {before: agreed, now: same},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			standing := map[string]record.Cluster{}
			if !tt.fresh {
				standing = newInventory(with(tt.before), nil).clusters
			}
			inv := newInventory(with(tt.now), standing)
			if got, want := names(inv.refusedClusters), names(tt.refused); !slices.Equal(got, want) {
				t.Errorf("refused are %v, want %v", inv.refusedClusters, want)
			}
			asNow := newInventory(with(tt.now), nil).clusters
			asNow["w1-1"] = clusterRecord(with(tt.now).clusters[1], "w", nil, "")
			for _, name := range []string{"w1-0", "w1-1"} {
				if got, why := inv.refusedClusters[name], tt.refused[name]; !strings.Contains(got, why) {
					t.Errorf("%s is refused by %q, want %q in it", name, got, why)
				}
				want := asNow[name]
				if tt.refused[name] != "" {
					want = standing[name]
				}
				if got := inv.clusters[name]; !reflect.DeepEqual(got, want) {
					t.Errorf("%s is %+v, want %+v", name, got, want)
				}
			}
		})
	}
}

// TestMeshRecord fills in what a cluster says of its mesh, its network and its environments.
func TestMeshRecord(t *testing.T) {
	r := worldResources(map[string]int{"w1": 1})
	r.networks[0].Spec.PodRanges = []string{"10.2.0.0/16", "10.1.0.0/16"}
	r.environments[0].Spec.TrustDomain = "prod.example"
	r.clusters[0].Spec.Mesh.Gateway = &v1alpha1.EastWestGateway{Addresses: []string{"192.0.2.9", "192.0.2.1"}}
	inv := newInventory(r, nil)
	c := inv.clusters["w1-0"]
	want := record.Gateway{Addresses: []string{"192.0.2.1", "192.0.2.9"}, Namespace: "istio-system", Selector: map[string]string{"istio": "eastwestgateway"}}
	if !reflect.DeepEqual(c.Mesh.Gateway, want) {
		t.Errorf("the gateway is %+v, want %+v", c.Mesh.Gateway, want)
	}
	if want := []string{"10.1.0.0/16", "10.2.0.0/16"}; !slices.Equal(c.PodRanges, want) {
		t.Errorf("pod ranges are %v, want %v", c.PodRanges, want)
	}
	if got := inv.environments["prod"]; got != "prod.example" {
		t.Errorf("the trust domain is %q", got)
	}
}
