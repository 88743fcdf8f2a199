package graphtest

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
)

// Hosts are the egress hosts, NAMESPACE/HOST and sorted, that the Sidecars under an istiod should list, by application.
func (w *World) Hosts(istiodCluster string) map[string][]string {
	out := map[string][]string{}
	for id, a := range w.Applications {
		here := false
		for cluster := range a.Clusters {
			here = here || istiod(w.Clusters[cluster]) == istiodCluster
		}
		if !here {
			continue
		}
		hosts := slices.Clone(w.Clusters[istiodCluster].Mesh.PlatformHosts)
		for _, d := range append([]string{id}, a.Dependencies...) {
			if p := w.Applications[d]; p != nil && len(p.Ports) > 0 {
				hosts = append(hosts, p.Namespace+"/"+p.Host())
			}
			if e := w.Externals[d]; e != nil {
				for _, host := range e.Hosts {
					hosts = append(hosts, e.Namespace+"/"+host)
				}
			}
		}
		slices.Sort(hosts)
		out[id] = slices.Compact(hosts)
	}
	return out
}

// Host is the application's host name.
func (a *Application) Host() string { return a.Name + "." + a.Namespace + ".svc.cluster.local" }

// CompareSidecars counts the hosts by which the applications' Sidecars among a cluster's objects differ from Hosts. A
// Sidecar that is missing lacks all its hosts, one of no application has nothing but extra ones.
func (w *World) CompareSidecars(istiodCluster string, objects func(yield func(*record.Record) bool)) (extra, missing int, err error) {
	want := w.Hosts(istiodCluster)
	for r := range objects {
		id, bad := object.FromKey(r.Key)
		if bad != nil || id.Kind != "Sidecar" || id.Namespace == w.Clusters[istiodCluster].Mesh.RootNamespace {
			continue
		}
		var sidecar struct {
			Spec struct {
				Egress []struct {
					Hosts []string `json:"hosts"`
				} `json:"egress"`
			} `json:"spec"`
		}
		if err := json.Unmarshal(r.Content, &sidecar); err != nil {
			return 0, 0, fmt.Errorf("reading %s: %w", r.Key, err)
		}
		application := record.ServiceName(id.Namespace, id.Name)
		var got []string
		for _, e := range sidecar.Spec.Egress {
			got = append(got, e.Hosts...)
		}
		extra += without(got, want[application])
		missing += without(want[application], got)
		delete(want, application)
	}
	for _, hosts := range want {
		missing += len(hosts)
	}
	return extra, missing, nil
}

// without counts what is in one list and not in the other.
func without(in, other []string) int {
	n := 0
	for _, s := range in {
		if !slices.Contains(other, s) {
			n++
		}
	}
	return n
}
