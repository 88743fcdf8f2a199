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

// Record encodes the standing.
func (v Standing) Record() Record {
	m := &recordpb.Standing{Epoch: v.Epoch, Fence: v.Fence, Replicas: v.Replicas, Assumed: v.Assumed}
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
	parts := 1
	if len(r.Key.Parts()) > 1 {
		parts = 3
	}
	p, err := unmarshal(r, KindStanding, parts, &m)
	if err != nil {
		return Standing{}, err
	}
	v := Standing{Cluster: p[0], Epoch: m.Epoch, Fence: m.Fence, Replicas: m.Replicas, Assumed: m.Assumed}
	switch {
	case parts == 3 && m.Status != nil && m.Health == nil:
		status, err := decodeStatus(m.Status)
		if err != nil {
			return Standing{}, fmt.Errorf("decoding record %s: %w", r.Key, err)
		}
		status.Namespace, status.Application = p[1], p[2]
		v.Status = &status
	case parts == 1 && m.Health != nil && m.Status == nil:
		health := decodeHealth(p[0], m.Health)
		v.Health = &health
	default:
		return Standing{}, fmt.Errorf("decoding record %s: want a status for an application, and health for a cluster", r.Key)
	}
	return v, nil
}
