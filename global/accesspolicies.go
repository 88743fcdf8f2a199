package global

import (
	"slices"
	"strings"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/record"
)

// accessPolicies are the AccessPolicies as the planner last looked at them, under NAMESPACE/NAME.
type accessPolicies struct {
	specs map[string]*v1alpha1.AccessPolicy
	// names are a namespace's policies, sorted.
	names map[string][]string
	// callers and tenants are inverted indexes: the policies that name a namespace, or a tenant, as callers.
	callers, tenants index
	// limited are what is in force of those that a quota keeps from being so in whole.
	limited map[string]*v1alpha1.AccessPolicy
}

func newAccessPolicies() *accessPolicies {
	return &accessPolicies{specs: map[string]*v1alpha1.AccessPolicy{}, names: map[string][]string{}, callers: index{}, tenants: index{},
		limited: map[string]*v1alpha1.AccessPolicy{}}
}

// set notes what a policy says now, nil if it is gone, and returns what it said before.
func (x *accessPolicies) set(key string, now *v1alpha1.AccessPolicy) (before *v1alpha1.AccessPolicy) {
	namespace, name, _ := strings.Cut(key, "/")
	before = x.specs[key]
	i, listed := slices.BinarySearch(x.names[namespace], name)
	if before != nil {
		eachCaller(before, func(c v1alpha1.CallerSelector) { x.of(c).remove(c.Namespace+c.Tenant, key) })
	}
	if now == nil {
		if listed {
			x.names[namespace] = slices.Delete(x.names[namespace], i, i+1)
		}
		if len(x.names[namespace]) == 0 {
			delete(x.names, namespace)
		}
		delete(x.specs, key)
		return before
	}
	if !listed {
		x.names[namespace] = slices.Insert(x.names[namespace], i, name)
	}
	eachCaller(now, func(c v1alpha1.CallerSelector) { x.of(c).add(c.Namespace+c.Tenant, key) })
	x.specs[key] = now
	return before
}

// of is the index that a selector belongs to; the schema has it name either a namespace or a tenant.
func (x *accessPolicies) of(c v1alpha1.CallerSelector) index {
	if c.Tenant != "" {
		return x.tenants
	}
	return x.callers
}

func eachCaller(p *v1alpha1.AccessPolicy, look func(v1alpha1.CallerSelector)) {
	for _, r := range p.Spec.Rules {
		for _, c := range r.From {
			look(c)
		}
	}
}

// inForce is a policy as far as it is in force; nil if there is none.
func (x *accessPolicies) inForce(key string) *v1alpha1.AccessPolicy {
	if part := x.limited[key]; part != nil {
		return part
	}
	return x.specs[key]
}

// concerning lists the policies that concern an application, by name, as far as they are in force.
func (x *accessPolicies) concerning(namespace, application string) []*v1alpha1.AccessPolicy {
	var out []*v1alpha1.AccessPolicy
	for _, name := range x.names[namespace] {
		p := x.inForce(record.ServiceName(namespace, name))
		if len(p.Spec.Applications) == 0 || slices.Contains(p.Spec.Applications, application) {
			out = append(out, p)
		}
	}
	return out
}
