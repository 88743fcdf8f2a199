package mesh

import (
	"fmt"
	"slices"

	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
)

const (
	groupNetworking = "networking.istio.io"
	// hostNone lists nothing: istiod refuses a Sidecar with an egress listener and no hosts.
	hostNone = "~/*"
	// hostsOwnNamespace is every Service of the pod's own namespace.
	hostsOwnNamespace = "./*"
	// rootSidecar is the name of the Sidecar of the root namespace.
	rootSidecar = "default"
)

func (s *Spec) sidecarID() object.ID {
	return idOf(groupNetworking, "v1", "Sidecar", s.namespace, s.application)
}

// sidecar tells the application's proxies about its own Service, its dependencies, the platform's hosts, and no more.
func (s *Spec) sidecar(in *ConfigInput, called []*external) (Object, error) {
	if s.namespace == in.Cluster.Mesh.RootNamespace {
		return Object{}, fmt.Errorf("%s is the mesh's root namespace, where Istio takes no Sidecar with a selector", s.namespace)
	}
	hosts, err := s.hosts(in, called)
	if err != nil {
		return Object{}, err
	}
	return s.draft(s.sidecarID(), fields{
		{"workloadSelector", fields{{"labels", selectorOf(s.application)}}},
		{"egress", []any{fields{{"hosts", hosts}}}},
		{"outboundTrafficPolicy", fields{{"mode", "REGISTRY_ONLY"}}},
	}).seal(), nil
}

// hosts are the exact egress hosts, sorted. Each is NAMESPACE/HOST: exact ones take a path in istiod that is linear in
// the hosts, whereas a single wildcard has it scan every visible service.
func (s *Spec) hosts(in *ConfigInput, called []*external) ([]string, error) {
	hosts := make([]string, 0, len(in.Dependencies)+len(in.Cluster.Mesh.PlatformHosts)+1)
	if len(s.ports) > 0 {
		hosts = append(hosts, s.namespace+"/"+hostOf(s.namespace, s.application))
	}
	portless := make(map[string]bool)
	for _, service := range in.Services {
		if len(service.Ports) == 0 {
			portless[record.ServiceName(service.Namespace, service.Application)] = true
		}
	}
	self := record.ServiceName(s.namespace, s.application)
	for _, dependency := range in.Dependencies {
		if _, ok := record.CutExternal(dependency); ok {
			continue
		}
		host, err := dependencyHost(dependency)
		if err != nil {
			return nil, err
		}
		if dependency != self && !portless[dependency] {
			hosts = append(hosts, host)
		}
	}
	for _, e := range called {
		for _, host := range e.hosts {
			hosts = append(hosts, e.namespace+"/"+host)
		}
	}
	platform, err := platformHosts(in.Cluster)
	if err != nil {
		return nil, err
	}
	hosts = append(hosts, platform...)
	if len(hosts) == 0 {
		return []string{hostNone}, nil
	}
	slices.Sort(hosts)
	return slices.Compact(hosts), nil
}

func platformHosts(cluster record.Cluster) ([]string, error) {
	for _, host := range cluster.Mesh.PlatformHosts {
		if err := checkHost(host); err != nil {
			return nil, fmt.Errorf("cluster %s: %w", cluster.Name, err)
		}
	}
	return cluster.Mesh.PlatformHosts, nil
}

// Root compiles the Sidecar of the mesh's root namespace, which bounds what a pod is sent that Meridian does not manage:
// its own namespace and the platform's hosts. The root namespace itself is Istio's, and is never written. The result is
// empty where the cluster has no mesh or does not want the Sidecar.
func Root(cluster record.Cluster) ([]Object, error) {
	if !inMesh(cluster) || !cluster.Mesh.DefaultSidecar {
		return nil, nil
	}
	root := cluster.Mesh.RootNamespace
	if !isLabel(root) {
		return nil, fmt.Errorf("compiling the root Sidecar of cluster %s: root namespace %q is not a DNS label", cluster.Name, root)
	}
	platform, err := platformHosts(cluster)
	if err != nil {
		return nil, fmt.Errorf("compiling the root Sidecar: %w", err)
	}
	hosts := append([]string{hostsOwnNamespace}, platform...)
	slices.Sort(hosts)
	d := draft{id: idOf(groupNetworking, "v1", "Sidecar", root, rootSidecar),
		spec: fields{{"egress", []any{fields{{"hosts", slices.Compact(hosts)}}}}}}
	return []Object{d.seal()}, nil
}
