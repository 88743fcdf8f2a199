package global

import (
	"slices"

	"github.com/meridian-federation/meridian/api/v1alpha1"
)

// home is what a Namespace says of the applications in it. Its zero value is a namespace that does not exist.
type home struct {
	exists              bool
	environment, tenant string
}

func homeOf(labels map[string]string) home {
	return home{true, labels[v1alpha1.LabelEnvironment], labels[v1alpha1.LabelTenant]}
}

// tenancy knows the namespaces, by name and by whose they are.
type tenancy struct {
	homes   map[string]home
	members map[home][]string // sorted namespaces of one environment and tenant
}

func newTenancy() *tenancy {
	return &tenancy{homes: map[string]home{}, members: map[home][]string{}}
}

// set notes what a namespace says now, and returns what it said before.
func (t *tenancy) set(namespace string, now home) (before home) {
	before = t.homes[namespace]
	if before == now {
		return before
	}
	if list := t.members[before]; before.exists {
		i, _ := slices.BinarySearch(list, namespace)
		if t.members[before] = slices.Delete(list, i, i+1); len(list) == 1 {
			delete(t.members, before)
		}
		delete(t.homes, namespace)
	}
	if now.exists {
		i, _ := slices.BinarySearch(t.members[now], namespace)
		t.members[now] = slices.Insert(t.members[now], i, namespace)
		t.homes[namespace] = now
	}
	return before
}

// namespacesOf lists a tenant's namespaces in all environments.
func (t *tenancy) namespacesOf(tenant string) []string {
	var out []string
	for h, namespaces := range t.members {
		if h.tenant == tenant {
			out = append(out, namespaces...)
		}
	}
	return out
}

// ofTenant lists a tenant's namespaces in one environment. The caller must not write to the list.
func (t *tenancy) ofTenant(environment, tenant string) []string {
	return t.members[home{true, environment, tenant}]
}
