package record

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/meridian-federation/meridian/internal/record/recordpb"
)

// marshal is deterministic, so that equal models have equal versions.
func marshal(key Key, m proto.Message) Record {
	content, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		panic(fmt.Sprintf("record %s cannot be encoded: %v", key, err)) // only invalid UTF-8 in our own strings
	}
	return New(key, content)
}

// unmarshal checks the key's kind and number of name parts, and decodes the content.
func unmarshal(r Record, kind Kind, parts int, m proto.Message) ([]string, error) {
	if r.Key.Kind != kind {
		return nil, fmt.Errorf("record %s is not a %s", r.Key, kind)
	}
	p := strings.Split(r.Key.Name, "/")
	if len(p) != parts {
		return nil, fmt.Errorf("record %s: the name has %d parts, want %d", r.Key, len(p), parts)
	}
	if err := proto.Unmarshal(r.Content, m); err != nil {
		return nil, fmt.Errorf("decoding record %s: %w", r.Key, err)
	}
	return p, nil
}

// RevisionKey is revision/NAMESPACE/APPLICATION/HASH.
func RevisionKey(namespace, application, hash string) Key {
	return Key{KindRevision, namespace + "/" + application + "/" + hash}
}

// Record encodes the revision; its hash is the last part of the record's name.
func (v Revision) Record() Record {
	r := marshal(Key{}, &recordpb.Revision{Namespace: v.Namespace, Application: v.Application,
		Environment: v.Environment, Tenant: v.Tenant, Spec: v.Spec})
	r.Key = RevisionKey(v.Namespace, v.Application, r.Version.String())
	return r
}

// DecodeRevision reads a revision and checks that its name is its hash.
func DecodeRevision(r Record) (Revision, error) {
	var m recordpb.Revision
	p, err := unmarshal(r, KindRevision, 3, &m)
	if err != nil {
		return Revision{}, err
	}
	if hash := VersionOf(r.Content).String(); p[2] != hash {
		return Revision{}, fmt.Errorf("record %s: its content has the hash %s", r.Key, hash)
	}
	if m.Namespace != p[0] || m.Application != p[1] {
		return Revision{}, fmt.Errorf("record %s: its content is of %s/%s", r.Key, m.Namespace, m.Application)
	}
	return Revision{Namespace: m.Namespace, Application: m.Application, Environment: m.Environment,
		Tenant: m.Tenant, Spec: m.Spec}, nil
}

// ServiceKey is service/NAMESPACE/APPLICATION.
func ServiceKey(namespace, application string) Key {
	return Key{KindService, ServiceName(namespace, application)}
}

// Record encodes the service.
func (v Service) Record() Record {
	m := &recordpb.Service{Environment: v.Environment, Tenant: v.Tenant, ServiceAccount: v.ServiceAccount,
		Unproxied: v.Unproxied, External: v.External.message()}
	for _, p := range v.Ports {
		m.Ports = append(m.Ports, &recordpb.Port{Name: p.Name, Port: p.Port, TargetPort: p.TargetPort,
			Protocol: p.Protocol, AppProtocol: p.AppProtocol})
	}
	return marshal(ServiceKey(v.Namespace, v.Application), m)
}

// DecodeService reads a service.
func DecodeService(r Record) (Service, error) {
	var m recordpb.Service
	p, err := unmarshal(r, KindService, 2, &m)
	if err != nil {
		return Service{}, err
	}
	v := Service{Namespace: p[0], Application: p[1], Environment: m.Environment, Tenant: m.Tenant,
		ServiceAccount: m.ServiceAccount, Unproxied: m.Unproxied, External: externalOf(m.External)}
	for _, q := range m.Ports {
		v.Ports = append(v.Ports, Port{Name: q.Name, Port: q.Port, TargetPort: q.TargetPort,
			Protocol: q.Protocol, AppProtocol: q.AppProtocol})
	}
	return v, nil
}

// ClusterKey is cluster/NAME.
func ClusterKey(name string) Key { return Key{KindCluster, name} }

// Record encodes the cluster.
func (v Cluster) Record() Record {
	m := &recordpb.Cluster{Region: v.Region, Zone: v.Zone, Environments: v.Environments, Network: v.Network,
		Labels: v.Labels, PodRanges: v.PodRanges, Mesh: &recordpb.Mesh{Dataplane: v.Mesh.Dataplane,
			PlatformHosts: v.Mesh.PlatformHosts, DefaultSidecar: v.Mesh.DefaultSidecar, RootNamespace: v.Mesh.RootNamespace,
			Primary: v.Mesh.Primary}}
	if g := v.Mesh.Gateway; len(g.Addresses) > 0 {
		m.Mesh.Gateway = &recordpb.Gateway{Addresses: g.Addresses, Namespace: g.Namespace, Selector: g.Selector}
	}
	for _, t := range v.Taints {
		m.Taints = append(m.Taints, &recordpb.Taint{Key: t.Key, Value: t.Value, Effect: t.Effect})
	}
	return marshal(ClusterKey(v.Name), m)
}

// DecodeCluster reads a cluster.
func DecodeCluster(r Record) (Cluster, error) {
	var m recordpb.Cluster
	p, err := unmarshal(r, KindCluster, 1, &m)
	if err != nil {
		return Cluster{}, err
	}
	v := Cluster{Name: p[0], Region: m.Region, Zone: m.Zone, Environments: m.Environments, Network: m.Network,
		Labels: m.Labels, PodRanges: m.PodRanges, Mesh: Mesh{Dataplane: m.Mesh.GetDataplane(),
			PlatformHosts: m.Mesh.GetPlatformHosts(), DefaultSidecar: m.Mesh.GetDefaultSidecar(),
			RootNamespace: m.Mesh.GetRootNamespace(), Primary: m.Mesh.GetPrimary()}}
	if g := m.Mesh.GetGateway(); g != nil {
		v.Mesh.Gateway = Gateway{Addresses: g.Addresses, Namespace: g.Namespace, Selector: g.Selector}
	}
	for _, t := range m.Taints {
		v.Taints = append(v.Taints, Taint{Key: t.Key, Value: t.Value, Effect: t.Effect})
	}
	return v, nil
}

// AssignmentKey is assignment/NAMESPACE/APPLICATION/ZONE.
func AssignmentKey(namespace, application, zone string) Key {
	return Key{KindAssignment, namespace + "/" + application + "/" + zone}
}

// Record encodes the assignment.
func (v Assignment) Record() Record {
	return marshal(AssignmentKey(v.Namespace, v.Application, v.Zone), &recordpb.Assignment{Region: v.Region,
		Revision: v.Revision, Replicas: v.Replicas, Generation: v.Generation, Dependencies: v.Dependencies,
		Draining: v.Draining, AcceptedAt: nanos(v.AcceptedAt)})
}

// DecodeAssignment reads an assignment.
func DecodeAssignment(r Record) (Assignment, error) {
	var m recordpb.Assignment
	p, err := unmarshal(r, KindAssignment, 3, &m)
	if err != nil {
		return Assignment{}, err
	}
	return Assignment{Namespace: p[0], Application: p[1], Zone: p[2], Region: m.Region, Revision: m.Revision,
		Replicas: m.Replicas, Generation: m.Generation, Dependencies: m.Dependencies, Draining: m.Draining,
		AcceptedAt: fromNanos(m.AcceptedAt)}, nil
}

// BindingKey is binding/NAMESPACE/APPLICATION/CLUSTER.
func BindingKey(namespace, application, cluster string) Key {
	return Key{KindBinding, namespace + "/" + application + "/" + cluster}
}

// Record encodes the binding.
func (v Binding) Record() Record {
	return marshal(BindingKey(v.Namespace, v.Application, v.Cluster), &recordpb.Binding{Revision: v.Revision,
		Replicas: v.Replicas, Generation: v.Generation, Dependencies: v.Dependencies, Draining: v.Draining})
}

// DecodeBinding reads a binding.
func DecodeBinding(r Record) (Binding, error) {
	var m recordpb.Binding
	p, err := unmarshal(r, KindBinding, 3, &m)
	if err != nil {
		return Binding{}, err
	}
	return Binding{Namespace: p[0], Application: p[1], Cluster: p[2], Revision: m.Revision, Replicas: m.Replicas,
		Generation: m.Generation, Dependencies: m.Dependencies, Draining: m.Draining}, nil
}

func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func fromNanos(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n)
}
