package record

import (
	"fmt"

	"github.com/meridian-federation/meridian/internal/record/recordpb"
)

// StandingKey is standing/CLUSTER, or standing/CLUSTER/NAMESPACE/APPLICATION where app is NAMESPACE/APPLICATION.
func StandingKey(cluster, app string) Key {
	if app == "" {
		return Key{KindStanding, cluster}
	}
	return Key{KindStanding, cluster + "/" + app}
}

// LocatedKey is standing/CLUSTER/NAMESPACE/APPLICATION/located, and for a chunk of addresses /CHUNK behind it: the key of
// a standing with a Location. app is NAMESPACE/APPLICATION.
func LocatedKey(cluster, app, chunk string) Key {
	name := cluster + "/" + app + "/" + located
	if chunk != "" {
		name += "/" + chunk
	}
	return Key{KindStanding, name}
}

const located = "located"

// ParseLocatedKey finds the location that a standing's key is about; ok tells whether it is about one.
func ParseLocatedKey(key Key) (location Key, ok bool) {
	p := key.Parts()
	switch {
	case key.Kind != KindStanding || len(p) < 4 || len(p) > 5 || p[3] != located:
		return Key{}, false
	case len(p) == 5:
		return LocationKey(p[1], p[2], p[0], p[4]), true
	default:
		return LocationKey(p[1], p[2], p[0], ""), true
	}
}

// Record encodes the standing.
func (v Standing) Record() Record {
	m := &recordpb.Standing{Epoch: v.Epoch, Fence: v.Fence, Replicas: v.Replicas, Assumed: v.Assumed, Told: v.Told,
		Locations: v.Locations}
	if l := v.Location; l != nil {
		m.Location = encodeLocation(*l)
		return marshal(LocatedKey(v.Cluster, ServiceName(l.Namespace, l.Application), l.Chunk), m)
	}
	if v.Status != nil {
		m.Status = encodeStatus(*v.Status)
		return marshal(StandingKey(v.Cluster, ServiceName(v.Status.Namespace, v.Status.Application)), m)
	}
	if v.Health != nil {
		m.Health = encodeHealth(*v.Health)
	}
	return marshal(StandingKey(v.Cluster, ""), m)
}

// DecodeStanding reads a standing.
func DecodeStanding(r Record) (Standing, error) {
	var m recordpb.Standing
	where, isLocated := ParseLocatedKey(r.Key)
	parts := 1
	if n := len(r.Key.Parts()); isLocated {
		parts = n
	} else if n > 1 {
		parts = 3
	}
	p, err := unmarshal(r, KindStanding, parts, &m)
	if err != nil {
		return Standing{}, err
	}
	v := Standing{Cluster: p[0], Epoch: m.Epoch, Fence: m.Fence, Replicas: m.Replicas, Assumed: m.Assumed, Told: m.Told,
		Locations: m.Locations}
	switch {
	case isLocated && m.Location != nil && m.Health == nil && m.Status == nil:
		location, err := decodeLocation(m.Location)
		if err != nil {
			return Standing{}, fmt.Errorf("decoding record %s: %w", r.Key, err)
		}
		at := where.Parts()
		location.Namespace, location.Application, location.Cluster = at[0], at[1], at[2]
		if len(at) == 4 {
			location.Chunk = at[3]
		}
		v.Location = &location
	case parts == 3 && m.Status != nil && m.Health == nil:
		status, err := decodeStatus(m.Status)
		if err != nil {
			return Standing{}, fmt.Errorf("decoding record %s: %w", r.Key, err)
		}
		status.Namespace, status.Application = p[1], p[2]
		v.Status = &status
	case parts == 1 && m.Health != nil && m.Status == nil:
		health, err := decodeHealth(p[0], m.Health)
		if err != nil {
			return Standing{}, fmt.Errorf("decoding record %s: %w", r.Key, err)
		}
		v.Health = &health
	default:
		return Standing{}, fmt.Errorf("decoding record %s: want a status or a location for an application, and health for a cluster", r.Key)
	}
	return v, nil
}
