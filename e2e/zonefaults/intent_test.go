//go:build linux

package zonefaults

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/mesh"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/tiertest"
)

const (
	region, zone, namespace = "west", "west-a", "shop"
	applications            = 5
)

// Clusters of the zone.
var (
	realClusters      = []string{"west-a-1", "west-a-2", "west-a-3"}
	simulatedClusters = []string{"sim-1", "sim-2", "sim-3", "sim-4", "sim-5", "sim-6"}
	clusters          = slices.Concat(realClusters, simulatedClusters)
)

func clusterOf(name string) record.Cluster {
	return record.Cluster{Name: name, Region: region, Zone: zone, Environments: []string{"prod"},
		Mesh: record.Mesh{RootNamespace: "istio-system"}}
}

// intent is what should be: every application in every cluster. It plays Global, and knows by compiling from scratch
// which objects the clusters should hold, and held before.
type intent struct {
	parent *tiertest.Parent

	mu sync.Mutex // guards all below
	// current is each application's number of changes, revisions its revision.
	current   map[string]int
	revisions map[string]record.Record
	// wanted is the version of each object, issued the number of the change that first brought a version of it.
	wanted map[string]string
	issued map[string]map[string]int
	next   int
}

// newIntent submits the clusters and the applications.
func newIntent(parent *tiertest.Parent) (*intent, error) {
	in := &intent{parent: parent, current: map[string]int{}, revisions: map[string]record.Record{}, wanted: map[string]string{},
		issued: map[string]map[string]int{}}
	for _, name := range clusters {
		parent.Put(clusterOf(name).Record())
	}
	objects, err := mesh.Namespace(mesh.NamespaceInput{Cluster: clusterOf(clusters[0]), Namespace: namespace, Environment: "prod", Strict: true})
	if err != nil {
		return nil, err
	}
	in.issue(objects, 0)
	for range applications {
		if err := in.change(); err != nil {
			return nil, err
		}
	}
	return in, nil
}

// change changes the next application's image.
func (in *intent) change() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	name := fmt.Sprintf("app-%d", in.next%applications)
	in.next++
	in.current[name]++
	n := in.current[name]
	revision := record.Revision{Namespace: namespace, Application: name, Environment: "prod", Spec: fmt.Appendf(nil,
		`{"template":{"metadata":{},"spec":{"containers":[{"name":"c","image":"app:%d"}]}},"ports":[{"name":"http","port":80}],"placement":{"mode":"Duplicated"}}`,
		n)}
	encoded := revision.Record()
	spec, err := mesh.Decode(revision)
	if err != nil {
		return err
	}
	version := encoded.Version.String()
	policy := record.Policy{Namespace: namespace, Application: name, Environment: "prod", TrustDomain: "prod.example.com"}
	workload, err := mesh.Workload(mesh.WorkloadInput{Cluster: clusterOf(clusters[0]), Spec: spec, Policy: policy, Binding: record.Binding{
		Namespace: namespace, Application: name, Cluster: clusters[0], Revision: version, Replicas: 1, Generation: mesh.Generation}})
	if err != nil {
		return err
	}
	config, err := mesh.Config(mesh.ConfigInput{Cluster: clusterOf(clusters[0]), Spec: spec, Policy: policy, Generation: mesh.Generation})
	if err != nil {
		return err
	}
	in.issue(slices.Concat(workload, config), n)
	assignment := record.Assignment{Namespace: namespace, Application: name, Zone: zone, Region: region, Revision: version,
		Replicas: 1, Generation: mesh.Generation}.Record()
	allowed := policy.Record()
	edits := []feed.Edit{feed.Put(&encoded), feed.Put(&allowed), feed.Put(&assignment)}
	if old, ok := in.revisions[name]; ok {
		edits = append(edits, feed.Remove(old.Key, record.CausePerson))
	}
	in.revisions[name] = encoded
	in.parent.Edit(edits...)
	return nil
}

// issue notes objects that a change brings.
func (in *intent) issue(objects []mesh.Object, change int) {
	for _, o := range objects {
		key, version := o.ID.String(), o.Record.Version.String()
		in.wanted[key] = version
		if in.issued[key] == nil {
			in.issued[key] = map[string]int{}
		}
		if _, known := in.issued[key][version]; !known {
			in.issued[key][version] = change
		}
	}
}

// number is that of the change that brought a version of an object; ok is false if none has.
func (in *intent) number(key, version string) (n int, ok bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	n, ok = in.issued[key][version]
	return n, ok
}

// objects are the versions that every cluster should hold.
func (in *intent) objects() map[string]string {
	in.mu.Lock()
	defer in.mu.Unlock()
	return maps.Clone(in.wanted)
}

// numbers are how often each application has been changed.
func (in *intent) numbers() map[string]int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return maps.Clone(in.current)
}

// latest are the applications' revisions.
func (in *intent) latest() map[string]string {
	in.mu.Lock()
	defer in.mu.Unlock()
	out := map[string]string{}
	for name, r := range in.revisions {
		out[name] = r.Version.String()
	}
	return out
}
