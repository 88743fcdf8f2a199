// Package graphtest makes worlds of applications that call each other over clusters, zones and networks, and the records
// that the tiers above a zone's compiler would keep of them. Tests, benchmarks and the harnesses of scale-tests import it.
//
// A World is a model: it is edited freely, and Zone then tells all the records that follow. It decides by the same rules
// as Global and the zones' leaders, written as plainly as can be and from scratch each time. One goroutine uses it.
package graphtest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/mesh"
	"github.com/meridian-federation/meridian/internal/record"
)

// Environment is the one of all applications, TrustDomain its.
const (
	Environment = "prod"
	TrustDomain = "prod.example.com"
)

// World is applications, the clusters that they run in, and what they call outside.
type World struct {
	Clusters     map[string]record.Cluster
	Applications map[string]*Application // by NAMESPACE/NAME
	Externals    map[string]*External    // by NAMESPACE/NAME.external
}

// Application is one application of a World.
type Application struct {
	Namespace, Name string
	// Image changes the revision.
	Image string
	// Ports are of the Service; without any, nobody can call it.
	Ports []record.Port
	// Dependencies are NAMESPACE/NAME, of ExternalServices NAMESPACE/NAME.external, sorted.
	Dependencies []string
	// Clusters it is bound to, sorted, with its replicas in each; Ready are those that are ready, by cluster.
	Clusters map[string]int32
	Ready    map[string]int32
	// Broken: an address in each chunk is no host's.
	Broken bool
	// Allowed are the other namespaces that an AccessPolicy lets call, sorted.
	Allowed []string

	// revision is what revisionOf came to: normalising a spec is most of the work of making a world.
	revision   record.Record
	revisionOf string
}

// ID is NAMESPACE/NAME.
func (a *Application) ID() string { return record.ServiceName(a.Namespace, a.Name) }

// HTTP is the one port that most applications have.
func HTTP() []record.Port {
	return []record.Port{{Name: "http", Port: 80, TargetPort: 8080, Protocol: "TCP", AppProtocol: "http"}}
}

// Cluster makes a meshed cluster with a gateway.
func Cluster(name, zone, region, network string) record.Cluster {
	number := 0
	for _, r := range name + "/" + zone {
		number = (number*31 + int(r)) % 65000
	}
	return record.Cluster{Name: name, Region: region, Zone: zone, Network: network, Environments: []string{Environment},
		PodRanges: []string{"10.0.0.0/8"}, Mesh: record.Mesh{Dataplane: string(v1alpha1.DataplaneSidecar),
			RootNamespace: "istio-system", DefaultSidecar: true, PlatformHosts: []string{"istio-system/istiod.istio-system.svc.cluster.local"},
			Gateway: record.Gateway{Addresses: []string{fmt.Sprintf("192.0.%d.%d", number/250+1, number%250+1)},
				Namespace: "istio-gateways", Selector: map[string]string{"istio": "eastwestgateway"}}}}
}

// Add adds an application that runs in clusters, all of it ready.
func (w *World) Add(a *Application) *Application {
	if a.Ready == nil {
		a.Ready = maps.Clone(a.Clusters)
	}
	slices.Sort(a.Dependencies)
	a.Dependencies = slices.Compact(a.Dependencies)
	w.Applications[a.ID()] = a
	return a
}

// IDs are all applications, sorted.
func (w *World) IDs() []string { return slices.Sorted(maps.Keys(w.Applications)) }

// Callers are the applications that depend on each, ExternalServices among them, and run somewhere, sorted.
func (w *World) Callers() map[string][]*Application {
	out := map[string][]*Application{}
	for _, id := range w.IDs() {
		for _, d := range w.Applications[id].Dependencies {
			if len(w.Applications[id].Clusters) > 0 {
				out[d] = append(out[d], w.Applications[id])
			}
		}
	}
	return out
}

// Spec is the application as a person would write it.
func (a *Application) Spec() v1alpha1.ApplicationSpec {
	spec := v1alpha1.ApplicationSpec{
		Placement: v1alpha1.Placement{Mode: v1alpha1.PlacementDivided},
		Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "main", Image: "registry.example.com/" + a.Name + ":" + cmp.Or(a.Image, "1"),
			Env: []corev1.EnvVar{{Name: "LOG_LEVEL", Value: "info"}, {Name: "REGION_AWARE", Value: "true"}},
			Resources: corev1.ResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("500m"), corev1.ResourceMemory: resource.MustParse("512Mi")},
				Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi")}},
		}}}},
	}
	for _, p := range a.Ports {
		spec.Ports = append(spec.Ports, v1alpha1.Port{Name: p.Name, Port: p.Port, TargetPort: p.TargetPort,
			Protocol: corev1.Protocol(p.Protocol), AppProtocol: p.AppProtocol})
	}
	for _, d := range a.Dependencies {
		namespace, name, _ := strings.Cut(d, "/")
		kind := v1alpha1.DependencyApplication
		if external, ok := record.CutExternal(name); ok {
			kind, name = v1alpha1.DependencyExternalService, external
		}
		spec.DependsOn = append(spec.DependsOn, v1alpha1.Dependency{Kind: kind, Namespace: namespace, Name: name})
	}
	return spec
}

// Revision is the application's revision record. It panics on what no person could submit.
func (a *Application) Revision() record.Record {
	of := fmt.Sprint(a.Image, a.Ports, a.Dependencies)
	if a.revisionOf == of {
		return a.revision
	}
	spec := a.Spec()
	content, err := mesh.Normalise(a.Namespace, a.Name, &spec)
	if err != nil {
		panic(fmt.Sprintf("normalising a generated spec: %v", err))
	}
	a.revision, a.revisionOf = record.Revision{Namespace: a.Namespace, Application: a.Name, Environment: Environment,
		Tenant: "tenant-" + a.Namespace, Spec: content}.Record(), of
	return a.revision
}

// Service is the application's service record.
func (a *Application) Service() record.Service {
	return record.Service{Namespace: a.Namespace, Application: a.Name, Environment: Environment, Tenant: "tenant-" + a.Namespace,
		Ports: a.Ports, ServiceAccount: a.Name}
}
