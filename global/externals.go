package global

import (
	"strings"

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
	// namespaces are inverted indexes: those in a namespace, and those that name it, or a tenant, among their consumers.
	namespaces, callers, tenants index
}

// external is what the planner knows of one spec.
type external struct {
	consumers []v1alpha1.CallerSelector
	standing  externalStanding
}

func newExternals() *externals {
	return &externals{specs: map[string]*external{}, namespaces: index{}, callers: index{}, tenants: index{}}
}

// set notes whom an ExternalService lets depend on it.
func (x *externals) set(name string, consumers []v1alpha1.CallerSelector) *external {
	e := x.specs[name]
	if e == nil {
		e = &external{}
		x.specs[name] = e
		x.namespaces.add(callerOf(name).Namespace, name)
	}
	x.each(e.consumers, func(of index, key string) { of.remove(key, name) })
	e.consumers = consumers
	x.each(e.consumers, func(of index, key string) { of.add(key, name) })
	return e
}

// forget drops one whose spec is gone.
func (x *externals) forget(name string) {
	if e := x.specs[name]; e != nil {
		x.each(e.consumers, func(of index, key string) { of.remove(key, name) })
		x.namespaces.remove(callerOf(name).Namespace, name)
		delete(x.specs, name)
	}
}

// each calls with the index that each selector belongs to; the schema has it name either a namespace or a tenant.
func (x *externals) each(consumers []v1alpha1.CallerSelector, look func(of index, key string)) {
	for _, c := range consumers {
		if c.Tenant != "" {
			look(x.tenants, c.Tenant)
		} else {
			look(x.callers, c.Namespace)
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
