package record

import (
	"fmt"
	"strings"

	"github.com/meridian-federation/meridian/internal/record/recordpb"
)

// StatusKey is status/NAMESPACE/APPLICATION.
func StatusKey(namespace, application string) Key {
	return Key{KindStatus, ServiceName(namespace, application)}
}

// Record encodes the status.
func (v Status) Record() Record {
	return marshal(StatusKey(v.Namespace, v.Application), encodeStatus(v))
}

func encodeStatus(v Status) *recordpb.Status {
	m := &recordpb.Status{Revision: v.Revision, Desired: v.Desired, Updated: v.Updated, Ready: v.Ready,
		Clusters: v.Clusters, Converged: v.Converged, AppliedAt: nanos(v.AppliedAt), ReadyAt: nanos(v.ReadyAt),
		Problems: encodeProblems(v.Problems)}
	for _, l := range v.Lines {
		m.Lines = append(m.Lines, &recordpb.Line{Zone: l.Zone, Region: l.Region, Revision: l.Revision,
			Desired: l.Desired, Updated: l.Updated, Ready: l.Ready, Clusters: l.Clusters, Converged: l.Converged,
			AppliedAt: nanos(l.AppliedAt), ReadyAt: nanos(l.ReadyAt)})
	}
	for _, w := range v.Workloads {
		m.Workloads = append(m.Workloads, &recordpb.Workload{Key: w.Key.String(), Version: w.Version.String(),
			Desired: w.Desired, Updated: w.Updated, Ready: w.Ready, ReadyAt: nanos(w.ReadyAt)})
	}
	return m
}

// DecodeStatus reads a status.
func DecodeStatus(r Record) (Status, error) {
	var m recordpb.Status
	p, err := unmarshal(r, KindStatus, 2, &m)
	if err != nil {
		return Status{}, err
	}
	v, err := decodeStatus(&m)
	if err != nil {
		return Status{}, fmt.Errorf("decoding record %s: %w", r.Key, err)
	}
	v.Namespace, v.Application = p[0], p[1]
	return v, nil
}

func decodeStatus(m *recordpb.Status) (Status, error) {
	v := Status{Problems: decodeProblems(m.Problems),
		Counts: Counts{Revision: m.Revision, Desired: m.Desired, Updated: m.Updated, Ready: m.Ready,
			Clusters: m.Clusters, Converged: m.Converged, AppliedAt: fromNanos(m.AppliedAt),
			ReadyAt: fromNanos(m.ReadyAt)}}
	for _, l := range m.Lines {
		v.Lines = append(v.Lines, Line{Zone: l.Zone, Region: l.Region, Counts: Counts{Revision: l.Revision,
			Desired: l.Desired, Updated: l.Updated, Ready: l.Ready, Clusters: l.Clusters, Converged: l.Converged,
			AppliedAt: fromNanos(l.AppliedAt), ReadyAt: fromNanos(l.ReadyAt)}})
	}
	for _, w := range m.Workloads {
		key, err := ParseKey(w.Key)
		if err != nil {
			return Status{}, fmt.Errorf("workload: %w", err)
		}
		version, err := ParseVersion(w.Version)
		if err != nil {
			return Status{}, fmt.Errorf("workload %s: %w", key, err)
		}
		v.Workloads = append(v.Workloads, Workload{Key: key, Version: version, Desired: w.Desired,
			Updated: w.Updated, Ready: w.Ready, ReadyAt: fromNanos(w.ReadyAt)})
	}
	return v, nil
}

// HealthKey is health/CLUSTER.
func HealthKey(cluster string) Key { return Key{KindHealth, cluster} }

// Record encodes the health.
func (v Health) Record() Record { return marshal(HealthKey(v.Cluster), encodeHealth(v)) }

func encodeHealth(v Health) *recordpb.Health {
	return &recordpb.Health{Zone: v.Zone, Region: v.Region, Connected: v.Connected, Nodes: v.Nodes,
		KubernetesVersion: v.KubernetesVersion, Applications: v.Applications, Problems: encodeProblems(v.Problems),
		PodRanges: v.PodRanges, ServiceRanges: v.ServiceRanges}
}

// DecodeHealth reads a health record.
func DecodeHealth(r Record) (Health, error) {
	var m recordpb.Health
	p, err := unmarshal(r, KindHealth, 1, &m)
	if err != nil {
		return Health{}, err
	}
	v, err := decodeHealth(p[0], &m)
	if err != nil {
		return Health{}, fmt.Errorf("decoding record %s: %w", r.Key, err)
	}
	return v, nil
}

func decodeHealth(cluster string, m *recordpb.Health) (Health, error) {
	v := Health{Cluster: cluster, Zone: m.Zone, Region: m.Region, Connected: m.Connected, Nodes: m.Nodes,
		KubernetesVersion: m.KubernetesVersion, Applications: m.Applications, Problems: decodeProblems(m.Problems),
		PodRanges: m.PodRanges, ServiceRanges: m.ServiceRanges}
	for _, field := range []struct {
		name   string
		ranges []string
	}{{"pod ranges", v.PodRanges}, {"service ranges", v.ServiceRanges}} {
		if n := len(field.ranges); n > MaxRanges {
			return Health{}, fmt.Errorf("%s: %d prefixes, at most %d are told", field.name, n, MaxRanges)
		}
		if _, err := prefixes(field.ranges); err != nil {
			return Health{}, fmt.Errorf("%s: %w", field.name, err)
		}
	}
	return v, nil
}

func encodeProblems(problems []Problem) []*recordpb.Problem {
	var out []*recordpb.Problem
	for _, p := range problems {
		out = append(out, &recordpb.Problem{Zone: p.Zone, Cluster: p.Cluster, Object: p.Object, Reason: p.Reason,
			Message: clip(p.Message)})
	}
	return out
}

// maxMessage bounds a problem's text: API servers quote whole objects in their messages.
const maxMessage = 512

// clip makes a foreign text fit for a record: bounded, and valid UTF-8.
func clip(s string) string {
	if len(s) > maxMessage {
		s = s[:maxMessage] + "…"
	}
	return strings.ToValidUTF8(s, "?")
}

func decodeProblems(problems []*recordpb.Problem) []Problem {
	var out []Problem
	for _, p := range problems {
		out = append(out, Problem{Zone: p.Zone, Cluster: p.Cluster, Object: p.Object, Reason: p.Reason,
			Message: p.Message})
	}
	return out
}
