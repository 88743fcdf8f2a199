package compile_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/meridian-federation/meridian/internal/graphtest"
	"github.com/meridian-federation/meridian/internal/mesh"
	"github.com/meridian-federation/meridian/internal/object"
)

// exportedBy is the rule: the hosts, sorted, that each part of an istiod's gateway hands on are those of what runs under it
// and is called from other networks.
func exportedBy(w *graphtest.World, istiod string) map[string][]string {
	out := map[string][]string{}
	for _, id := range w.IDs() {
		a := w.Applications[id]
		here := false
		for c := range a.Clusters {
			here = here || istiodOf(w.Clusters[c]) == istiod
		}
		if here && calledAbroad(w, id, w.Clusters[istiod].Network) {
			out[mesh.GatewayPart(id)] = append(out[mesh.GatewayPart(id)], a.Host())
		}
	}
	for _, hosts := range out {
		slices.Sort(hosts)
	}
	return out
}

// calledAbroad tells whether an application is called from zones that have a cluster on another network.
func calledAbroad(w *graphtest.World, id, network string) bool {
	for _, caller := range w.Callers()[id] {
		for c := range caller.Clusters {
			for _, other := range w.Clusters {
				if other.Zone == w.Clusters[c].Zone && other.Network != network {
					return true
				}
			}
		}
	}
	return false
}

func gatewaysOf(t *testing.T, objects held) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for key, r := range objects {
		if id, _ := object.FromKey(key); id.Kind == "Gateway" {
			var g struct {
				Spec struct {
					Servers []struct{ Hosts []string }
				}
			}
			if err := json.Unmarshal(r.Content, &g); err != nil || len(g.Spec.Servers) != 1 {
				t.Fatalf("%s is %s, want one server (%v)", id.Short(), r.Content, err)
			}
			out[strings.TrimPrefix(id.Name, "meridian-eastwest-")] = g.Spec.Servers[0].Hosts
		}
	}
	return out
}
