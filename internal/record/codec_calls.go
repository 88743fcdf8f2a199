package record

import (
	"fmt"
	"strings"

	"github.com/meridian-federation/meridian/internal/record/recordpb"
)

// PolicyKey is policy/NAMESPACE/APPLICATION.
func PolicyKey(namespace, application string) Key {
	return Key{KindPolicy, ServiceName(namespace, application)}
}

// Record encodes the policy.
func (v Policy) Record() Record {
	m := &recordpb.Policy{Environment: v.Environment, TrustDomain: v.TrustDomain, IsolatedBy: v.IsolatedBy}
	for _, r := range v.Rules {
		q := &recordpb.Rule{Policy: r.Policy, Index: r.Index, Ports: r.Ports, Methods: r.Methods, Paths: r.Paths}
		for _, c := range r.Callers {
			q.Callers = append(q.Callers, &recordpb.Caller{Namespace: c.Namespace, Application: c.Application})
		}
		m.Rules = append(m.Rules, q)
	}
	return marshal(PolicyKey(v.Namespace, v.Application), m)
}

// DecodePolicy reads a policy. A rule without callers, or a caller without a namespace, is refused.
func DecodePolicy(r Record) (Policy, error) {
	var m recordpb.Policy
	p, err := unmarshal(r, KindPolicy, 2, &m)
	if err != nil {
		return Policy{}, err
	}
	v := Policy{Namespace: p[0], Application: p[1], Environment: m.Environment, TrustDomain: m.TrustDomain, IsolatedBy: m.IsolatedBy}
	for i, q := range m.Rules {
		rule := Rule{Policy: q.Policy, Index: q.Index, Ports: q.Ports, Methods: q.Methods, Paths: q.Paths}
		for _, c := range q.Callers {
			if c.Namespace == "" {
				return Policy{}, fmt.Errorf("record %s: a caller of rule %d has no namespace", r.Key, i)
			}
			rule.Callers = append(rule.Callers, Caller{c.Namespace, c.Application})
		}
		if len(rule.Callers) == 0 {
			return Policy{}, fmt.Errorf("record %s: rule %d has no callers", r.Key, i)
		}
		v.Rules = append(v.Rules, rule)
	}
	return v, nil
}

// AudienceKey is audience/NAMESPACE/APPLICATION.
func AudienceKey(namespace, application string) Key {
	return Key{KindAudience, ServiceName(namespace, application)}
}

// Record encodes the audience.
func (v Audience) Record() Record {
	return marshal(AudienceKey(v.Namespace, v.Application), &recordpb.Audience{Namespaces: v.Namespaces, Everyone: v.Everyone,
		Zones: v.Zones, Networks: v.Networks})
}

// DecodeAudience reads an audience. One that names more than MaxAudience namespaces, or any beside Everyone, is refused.
func DecodeAudience(r Record) (Audience, error) {
	var m recordpb.Audience
	p, err := unmarshal(r, KindAudience, 2, &m)
	if err != nil {
		return Audience{}, err
	}
	switch n := len(m.Namespaces); {
	case m.Everyone && n > 0:
		return Audience{}, fmt.Errorf("record %s: everyone, and %d namespaces", r.Key, n)
	case n > MaxAudience:
		return Audience{}, fmt.Errorf("record %s: %d namespaces, at most %d are named", r.Key, n, MaxAudience)
	}
	return Audience{Namespace: p[0], Application: p[1], Namespaces: m.Namespaces, Everyone: m.Everyone, Zones: m.Zones,
		Networks: m.Networks}, nil
}

// PlaceKey is place/CLUSTER.
func PlaceKey(cluster string) Key { return Key{KindPlace, cluster} }

// Record encodes the place.
func (v Place) Record() Record {
	return marshal(PlaceKey(v.Cluster), &recordpb.Place{Region: v.Region, Zone: v.Zone, Network: v.Network, Gateways: v.Gateways,
		Primary: v.Primary, StaleSince: nanos(v.StaleSince), Meshless: v.Meshless})
}

// DecodePlace reads a place.
func DecodePlace(r Record) (Place, error) {
	var m recordpb.Place
	p, err := unmarshal(r, KindPlace, 1, &m)
	if err != nil {
		return Place{}, err
	}
	return Place{Cluster: p[0], Region: m.Region, Zone: m.Zone, Network: m.Network, Gateways: m.Gateways, Primary: m.Primary,
		StaleSince: fromNanos(m.StaleSince), Meshless: m.Meshless}, nil
}

// LocationKey is location/NAMESPACE/APPLICATION/CLUSTER, and for a chunk of addresses /CHUNK behind it.
func LocationKey(namespace, application, cluster, chunk string) Key {
	name := namespace + "/" + application + "/" + cluster
	if chunk != "" {
		name += "/" + chunk
	}
	return Key{KindLocation, name}
}

// Record encodes the location.
func (v Location) Record() Record {
	return marshal(LocationKey(v.Namespace, v.Application, v.Cluster, v.Chunk), encodeLocation(v))
}

func encodeLocation(v Location) *recordpb.Location {
	m := &recordpb.Location{Zone: v.Zone, Region: v.Region, Epoch: v.Epoch, Sequence: v.Sequence}
	for _, r := range v.Ready {
		m.Ready = append(m.Ready, &recordpb.Ready{Version: r.Version, Endpoints: r.Endpoints})
	}
	for _, e := range v.Endpoints {
		m.Endpoints = append(m.Endpoints, &recordpb.Endpoint{Address: e.Address, Version: e.Version})
	}
	return m
}

// DecodeLocation reads a location. One with more than MaxEndpoints addresses, with a count below zero or with counts in a
// chunk is refused.
func DecodeLocation(r Record) (Location, error) {
	parts := 3
	if strings.Count(r.Key.Name, "/") == 3 {
		parts = 4
	}
	var m recordpb.Location
	p, err := unmarshal(r, KindLocation, parts, &m)
	if err != nil {
		return Location{}, err
	}
	v, err := decodeLocation(&m)
	if err != nil {
		return Location{}, fmt.Errorf("record %s: %w", r.Key, err)
	}
	v.Namespace, v.Application, v.Cluster = p[0], p[1], p[2]
	if parts == 4 {
		v.Chunk = p[3]
	}
	if v.Chunk != "" && len(v.Ready) > 0 {
		return Location{}, fmt.Errorf("record %s: counts of %d versions in a chunk", r.Key, len(v.Ready))
	}
	return v, nil
}

func decodeLocation(m *recordpb.Location) (Location, error) {
	v := Location{Zone: m.Zone, Region: m.Region, Epoch: m.Epoch, Sequence: m.Sequence}
	if len(m.Endpoints) > MaxEndpoints {
		return Location{}, fmt.Errorf("%d addresses, at most %d fit", len(m.Endpoints), MaxEndpoints)
	}
	for _, q := range m.Ready {
		if q.Endpoints < 0 {
			return Location{}, fmt.Errorf("%d endpoints of version %q", q.Endpoints, q.Version)
		}
		v.Ready = append(v.Ready, Ready{Version: q.Version, Endpoints: q.Endpoints})
	}
	for _, e := range m.Endpoints {
		v.Endpoints = append(v.Endpoints, Endpoint{Address: e.Address, Version: e.Version})
	}
	return v, nil
}
