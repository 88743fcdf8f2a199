package graphtest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/meridian-federation/meridian/internal/mesh"
	"github.com/meridian-federation/meridian/internal/record"
)

// Zone is all that the store of a zone holds of the world, sorted by key.
func (w *World) Zone(zone string) []record.Record {
	var out []record.Record
	places := map[string]bool{}
	for _, c := range w.Clusters {
		if c.Zone == zone {
			out = append(out, c.Record())
		}
	}
	callers := w.Callers()
	for id := range w.Applications {
		for _, r := range w.Of(zone, id, callers[id]) {
			out = append(out, r)
			if r.Key.Kind == record.KindLocation {
				places[r.Key.Parts()[2]] = true
			}
		}
	}
	for id, e := range w.Externals {
		out = append(out, w.external(zone, e, callers[id])...)
	}
	for cluster := range places {
		out = append(out, w.place(cluster).Record())
	}
	slices.SortFunc(out, func(a, b record.Record) int { return a.Key.Compare(b.Key) })
	return out
}

// Of is what the store of a zone holds of one application, which Callers says who calls.
func (w *World) Of(zone, id string, callers []*Application) []record.Record {
	a := w.Applications[id]
	if a == nil {
		return nil
	}
	var out []record.Record
	revision := record.Record{}
	for cluster, replicas := range a.Clusters {
		if w.Clusters[cluster].Zone != zone {
			continue
		}
		if revision.Content == nil {
			revision = a.Revision()
			out = append(out, revision, a.policy().Record())
		}
		out = append(out, w.binding(a, cluster, replicas, revision.Key.Parts()[2]).Record())
	}
	called := w.calledIn(zone, callers)
	if called {
		out = append(out, a.Service().Record())
	}
	if called || revision.Content != nil {
		audience := w.audience(a.Namespace, a.Name, callers)
		if len(audience.Zones) > 0 {
			out = append(out, audience.Record())
		}
		for _, l := range w.locations(a, audience, zone, called) {
			out = append(out, l.Record())
		}
	}
	return out
}

func (a *Application) policy() record.Policy {
	p := record.Policy{Namespace: a.Namespace, Application: a.Name, Environment: Environment, TrustDomain: TrustDomain}
	if len(a.Allowed) > 0 {
		rule := record.Rule{Policy: "callers"}
		for _, namespace := range a.Allowed {
			rule.Callers = append(rule.Callers, record.Caller{Namespace: namespace})
		}
		p.Rules = append(p.Rules, rule)
	}
	return p
}

func (w *World) binding(a *Application, cluster string, replicas int32, revision string) record.Binding {
	b := record.Binding{Namespace: a.Namespace, Application: a.Name, Cluster: cluster, Revision: revision, Replicas: replicas,
		Generation: mesh.Generation}
	for _, d := range a.Dependencies {
		if provider := w.Applications[d]; provider != nil && len(provider.Ports) > 0 || w.Externals[d] != nil {
			b.Dependencies = append(b.Dependencies, d)
		}
	}
	return b
}

func (w *World) audience(namespace, name string, callers []*Application) record.Audience {
	namespaces, zones, networks := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, c := range callers {
		namespaces[c.Namespace] = true
		for cluster := range c.Clusters {
			zones[w.Clusters[cluster].Zone] = true
		}
	}
	for _, c := range w.Clusters {
		if zones[c.Zone] {
			networks[c.Network] = true
		}
	}
	out := record.Audience{Namespace: namespace, Application: name, Zones: slices.Sorted(maps.Keys(zones)),
		Networks: slices.Sorted(maps.Keys(networks))}
	if out.Namespaces = slices.Sorted(maps.Keys(namespaces)); len(out.Namespaces) > record.MaxAudience {
		out.Namespaces, out.Everyone = nil, true
	}
	return out
}

// locations are those of an application that a zone holds: of its own clusters where it has consumers elsewhere, of others
// where it is called.
func (w *World) locations(a *Application, audience record.Audience, zone string, called bool) []record.Location {
	var out []record.Location
	for cluster := range a.Clusters {
		c := w.Clusters[cluster]
		if c.Zone != zone && !called || !w.abroad(c, audience) {
			continue
		}
		l := record.Location{Namespace: a.Namespace, Application: a.Name, Cluster: cluster, Zone: c.Zone, Region: c.Region,
			Epoch: 1, Sequence: 1}
		counts := l
		if n := a.Ready[cluster]; n > 0 {
			counts.Ready = []record.Ready{{Endpoints: n}}
		}
		out = append(out, counts)
		if slices.Contains(audience.Networks, c.Network) {
			out = append(out, w.chunks(a, l)...)
		}
	}
	return out
}

// abroad tells whether consumers of what runs in a cluster may be under other istiods.
func (w *World) abroad(c record.Cluster, audience record.Audience) bool {
	for _, zone := range audience.Zones {
		if zone != c.Zone {
			return true
		}
		for _, other := range w.Clusters {
			if other.Zone == zone && istiod(other) != istiod(c) {
				return true
			}
		}
	}
	return false
}

func istiod(c record.Cluster) string { return cmp.Or(c.Mesh.Primary, c.Name) }

// chunks give every ready pod an address.
func (w *World) chunks(a *Application, l record.Location) []record.Location {
	var out []record.Location
	number := 0
	for _, r := range a.ID() + l.Cluster {
		number = (number*131 + int(r)) % 200
	}
	for i := range a.Ready[l.Cluster] {
		if i%record.MaxEndpoints == 0 {
			next := l
			next.Chunk = fmt.Sprintf("%s-%d", a.Name, i/record.MaxEndpoints)
			out = append(out, next)
		}
		last := &out[len(out)-1]
		last.Endpoints = append(last.Endpoints, record.Endpoint{Address: fmt.Sprintf("10.%d.%d.%d", number, i/250, i%250+1)})
	}
	for i := range out {
		if a.Broken {
			out[i].Endpoints[0].Address = "broken"
		}
		slices.SortFunc(out[i].Endpoints, func(a, b record.Endpoint) int { return strings.Compare(a.Address, b.Address) })
	}
	return out
}

func (w *World) place(cluster string) record.Place {
	c := w.Clusters[cluster]
	return record.Place{Cluster: cluster, Region: c.Region, Zone: c.Zone, Network: c.Network, Gateways: c.Mesh.Gateway.Addresses,
		Primary: istiod(c), Meshless: c.Mesh.Dataplane == "None"}
}
