package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/meridian-federation/meridian/internal/localkube"
)

// mark is a moment, as how many writes each cluster's agent had made.
type mark map[string]int

// mark notes the moment.
func (f *federation) mark(t *testing.T) mark {
	t.Helper()
	m := mark{}
	for _, name := range allClusters {
		m[name] = len(f.agentWrites(t, name))
	}
	return m
}

// agentWrites are all writes of a cluster's agent, but for its Lease.
func (f *federation) agentWrites(t *testing.T, name string) localkube.Writes {
	t.Helper()
	writes, err := f.clusters[name].kube.AuditWrites(localkube.AgentUser)
	if err != nil {
		t.Fatal(err)
	}
	return writes.Without("leases")
}

// wrote fails the test unless the agents have written exactly this since the mark, as "VERB RESOURCE NAMESPACE/NAME" by
// cluster. A change that came later has arrived everywhere when it looks, so that nothing is still on its way.
func (f *federation) wrote(t *testing.T, since mark, want map[string][]string) {
	t.Helper()
	f.beat(t)
	for name, got := range f.written(t, since) {
		wanted := slices.Sorted(slices.Values(want[name]))
		if !slices.Equal(got, wanted) {
			t.Errorf("the agent of %s wrote\n\t%q, want\n\t%q", name, got, wanted)
		}
	}
}

// written are the agents' writes since the mark, sorted, without those of beats.
func (f *federation) written(t *testing.T, since mark) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for _, name := range allClusters {
		out[name] = nil
		for _, w := range f.agentWrites(t, name)[since[name]:] {
			if w.Namespace == beatNamespace {
				continue
			}
			line := fmt.Sprintf("%s %s %s/%s", w.Verb, w.Resource, w.Namespace, w.Name)
			if w.Code >= 400 {
				line += fmt.Sprintf(" (%d)", w.Code)
			}
			out[name] = append(out[name], line)
		}
		slices.Sort(out[name])
	}
	return out
}

// removal lists the deletions of an application's own objects in one cluster; last adds those of its namespace.
func removal(namespace, name string, last bool) []string {
	var out []string
	for _, resource := range []string{"deployments", "sidecars", "authorizationpolicies", "networkpolicies", "services", "serviceaccounts"} {
		out = append(out, fmt.Sprintf("delete %s %s/%s", resource, namespace, name))
	}
	if last {
		out = append(out, fmt.Sprintf("delete peerauthentications %s/default", namespace),
			fmt.Sprintf("delete namespaces %s/%s", namespace, namespace))
	}
	return out
}

// wroteNothing fails the test if an agent has written since the mark.
func (f *federation) wroteNothing(t *testing.T, since mark) {
	t.Helper()
	f.wrote(t, since, nil)
}

// statusWrites counts Global's writes of applications' statuses, but for that of the beat.
func (f *federation) statusWrites(t *testing.T) int {
	t.Helper()
	writes, err := f.hubKube.AuditWrites("")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, w := range writes {
		if strings.HasPrefix(w.UserAgent, "meridian-global") && w.Resource == applications.Resource && w.Namespace != beatNamespace {
			n++
		}
	}
	return n
}

// inventory is the identity of every managed object in every cluster.
type inventory map[string]map[string]types.UID

func (f *federation) inventory(t *testing.T) inventory {
	t.Helper()
	out := inventory{}
	for _, name := range allClusters {
		objects, err := f.clusters[name].managed(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		out[name] = map[string]types.UID{}
		for _, o := range objects {
			out[name][o.name] = o.uid
		}
	}
	return out
}

// stands fails the test unless every object of the inventory is there, the same one.
func (f *federation) stands(t *testing.T, before inventory) {
	t.Helper()
	now := f.inventory(t)
	for cluster, objects := range before {
		for name, uid := range objects {
			switch got := now[cluster][name]; got {
			case uid:
			case "":
				t.Errorf("%s: %s is gone", cluster, name)
			default:
				t.Errorf("%s: %s was made anew", cluster, name)
			}
		}
	}
}
