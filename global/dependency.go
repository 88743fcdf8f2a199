package global

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/policy"
	"github.com/meridian-federation/meridian/internal/record"
)

// face is what the callers of an application, or an ExternalService, see of it: whether it is accepted and has ports, and
// whom it lets call.
type face struct {
	callable bool
	policy   record.Policy
	// version is the policy record's; zero for an application without records.
	version record.Version
}

// verdict says whether an application may depend on another, and if not, why.
type verdict struct {
	// reason is empty if it may.
	reason string
	// by is the other's environment, or the AccessPolicy that isolates it; empty where no policy speaks of the caller.
	by string
}

// judge decides one dependency of an application of an environment.
func judge(caller record.Caller, environment string, on face) verdict {
	switch {
	case !on.callable:
		return verdict{reason: v1alpha1.ReasonDependencyNotFound}
	case on.policy.Environment != environment:
		return verdict{v1alpha1.ReasonOtherEnvironment, on.policy.Environment}
	case policy.MayCall(on.policy, caller):
		return verdict{}
	case caller.Namespace == on.policy.Namespace:
		return verdict{v1alpha1.ReasonDependencyDenied, on.policy.IsolatedBy[0]}
	}
	return verdict{reason: v1alpha1.ReasonDependencyDenied}
}

// declared lists what a spec in a namespace depends on, sorted.
func declared(namespace string, dependsOn []v1alpha1.Dependency) []string {
	out := make([]string, 0, len(dependsOn))
	for _, d := range dependsOn {
		name := d.Name
		if d.Kind == v1alpha1.DependencyExternalService {
			name = record.ExternalName(name)
		}
		out = append(out, record.ServiceName(cmp.Or(d.Namespace, namespace), name))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// resolve sorts the dependencies of an application into those that it may call and those that it may not, with the
// reason of each. Applications may depend on each other in circles.
func resolve(caller record.Caller, dependencies []string, ask func(name string) verdict) (resolved []string, why *refusal) {
	refused := map[verdict][]string{}
	for _, name := range dependencies {
		v := ask(name)
		if v.reason == "" {
			resolved = append(resolved, name)
			continue
		}
		refused[v] = append(refused[v], name)
	}
	if len(refused) == 0 {
		return resolved, nil
	}
	order := slices.SortedFunc(maps.Keys(refused), func(a, b verdict) int {
		return cmp.Or(cmp.Compare(weight(a.reason), weight(b.reason)), cmp.Compare(a.by, b.by))
	})
	var parts []string
	for _, v := range order {
		parts = append(parts, explain(caller, v, refused[v])...)
	}
	return resolved, &refusal{order[0].reason, strings.Join(parts, "; ")}
}

// weight orders reasons: what a person can allow comes first.
func weight(reason string) int {
	return slices.Index([]string{v1alpha1.ReasonDependencyDenied, v1alpha1.ReasonOtherEnvironment, v1alpha1.ReasonDependencyNotFound}, reason)
}

// explain says why those named cannot be depended on, all for the same reason: applications first.
func explain(caller record.Caller, v verdict, names []string) []string {
	var applications, external []string
	for _, name := range names {
		if isExternal(name) {
			external = append(external, "ExternalService "+externalKey(name))
		} else {
			applications = append(applications, name)
		}
	}
	var parts []string
	switch {
	case v.reason == v1alpha1.ReasonOtherEnvironment:
		return []string{fmt.Sprintf("in environment %s, and no policy allows calls from one environment to another: %s", v.by,
			listed(append(applications, external...)))}
	case v.reason == v1alpha1.ReasonDependencyNotFound:
		if len(applications) > 0 {
			parts = append(parts, "no accepted Application with ports: "+listed(applications))
		}
		if len(external) > 0 {
			parts = append(parts, "there is no accepted "+listed(external))
		}
		return parts
	}
	parts = denied(caller, v, applications)
	if len(external) > 0 {
		parts = append(parts, fmt.Sprintf("%s is not among the consumers of %s", record.ServiceName(caller.Namespace, caller.Application), listed(external)))
	}
	return parts
}

// denied says which namespaces' policies do not let the caller call applications.
func denied(caller record.Caller, v verdict, names []string) []string {
	byNamespace := map[string][]string{}
	for _, name := range names {
		namespace, short, _ := strings.Cut(name, "/")
		byNamespace[namespace] = append(byNamespace[namespace], short)
	}
	var parts []string
	for _, namespace := range slices.Sorted(maps.Keys(byNamespace)) {
		who, whom := record.ServiceName(caller.Namespace, caller.Application), listed(byNamespace[namespace])
		if v.by != "" {
			parts = append(parts, fmt.Sprintf("AccessPolicy %s/%s has sameNamespace: Deny, and none in namespace %s lets %s call %s",
				namespace, v.by, namespace, who, whom))
			continue
		}
		parts = append(parts, fmt.Sprintf("no AccessPolicy in namespace %s lets %s call %s", namespace, who, whom))
	}
	return parts
}

// listed joins names, the first few of many.
func listed(names []string) string {
	const most = 10
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
