package global

import (
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/record"
)

// An ExternalService NAMESPACE/NAME is planned, charged and guarded under NAMESPACE/NAME.external, as its records are
// named and assignments depend on it: no application has such a name.

// externalName is the name under which an ExternalService is planned, by its key.
func externalName(key string) string { return record.ExternalName(key) }

// externalKey is the key of the ExternalService that is planned under a name.
func externalKey(name string) string {
	key, _ := record.CutExternal(name)
	return key
}

// isExternal tells ExternalServices from applications among names that are planned.
func isExternal(name string) bool {
	_, is := record.CutExternal(name)
	return is
}

// specTarget is the resource that is planned under a name.
func specTarget(name string) target {
	if !isExternal(name) {
		return applicationTarget(name)
	}
	namespace, short, _ := strings.Cut(externalKey(name), "/")
	return target{"externalservices", namespace, short}
}

// externals are the ExternalServices that have a spec, by the names under which they are planned. The planner alone
// touches it.
type externals struct {
	specs map[string]*external
	// namespaces are inverted indexes: those in a namespace, and those that name it, or a tenant, among their consumers; hosts
	// those with a host of two labels, by the second.
	namespaces, callers, tenants, hosts index
}

// external is what the planner knows of one spec.
type external struct {
	uid        types.UID
	generation int64
	consumers  []v1alpha1.CallerSelector
	hosts      []string
	// edited: a person was seen to make it what it is while it was in doubt who took away what is missing.
	edited   bool
	standing externalStanding
}

func newExternals() *externals {
	return &externals{specs: map[string]*external{}, namespaces: index{}, callers: index{}, tenants: index{}, hosts: index{}}
}

// set notes what an ExternalService says of hosts and of whom it lets depend on it, and whether a person said so in doubt.
func (x *externals) set(name string, spec *v1alpha1.ExternalService, doubtful bool) *external {
	e := x.specs[name]
	if e == nil {
		e = &external{}
		x.specs[name] = e
		x.namespaces.add(callerOf(name).Namespace, name)
	}
	if same := e.uid == spec.UID; !same || e.generation != spec.Generation {
		e.edited = doubtful && same && spec.Generation > e.generation
	}
	e.uid, e.generation = spec.UID, spec.Generation
	x.each(e, func(of index, key string) { of.remove(key, name) })
	e.consumers, e.hosts = spec.Spec.Consumers, spec.Spec.Hosts
	x.each(e, func(of index, key string) { of.add(key, name) })
	return e
}

// forget drops one whose spec is gone.
func (x *externals) forget(name string) {
	if e := x.specs[name]; e != nil {
		x.each(e, func(of index, key string) { of.remove(key, name) })
		x.namespaces.remove(callerOf(name).Namespace, name)
		delete(x.specs, name)
	}
}

// each calls with the index that each selector and host belongs to; the schema has a selector name either a namespace or a tenant.
func (x *externals) each(e *external, look func(of index, key string)) {
	for _, c := range e.consumers {
		if c.Tenant != "" {
			look(x.tenants, c.Tenant)
		} else {
			look(x.callers, c.Namespace)
		}
	}
	for _, host := range e.hosts {
		if _, second, _ := strings.Cut(host, "."); !strings.Contains(second, ".") {
			look(x.hosts, second)
		}
	}
}

// all are those that have a spec.
func (x *externals) all() map[string]bool {
	out := make(map[string]bool, len(x.specs))
	for name := range x.specs {
		out[name] = true
	}
	return out
}

// concerned has those planned again that a namespace concerns which was, or is now, one of these tenants.
func (x *externals) concerned(namespace string, tenants []string, dirty *todo) {
	dirty.addAll(x.namespaces[namespace])
	dirty.addAll(x.callers[namespace])
	for _, tenant := range tenants {
		dirty.addAll(x.tenants[tenant])
	}
}
