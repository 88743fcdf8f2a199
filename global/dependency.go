package global

import (
	"fmt"
	"slices"
	"strings"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/record"
)

// resolve sorts an application's declared dependencies into those that it may call and those that it may not, with the
// reason of each. callable tells whether an application is accepted and has ports. Inside one namespace calls are
// allowed; across namespaces they are denied, since there is no policy yet that could allow them.
func resolve(app *v1alpha1.Application, callable func(name string) bool) (resolved []string, why *refusal) {
	var missing, denied []string
	for _, d := range app.Spec.DependsOn {
		namespace := d.Namespace
		if namespace == "" {
			namespace = app.Namespace
		}
		name := record.ServiceName(namespace, d.Name)
		switch {
		case namespace != app.Namespace:
			denied = append(denied, name)
		case !callable(name):
			missing = append(missing, name)
		default:
			resolved = append(resolved, name)
		}
	}
	slices.Sort(resolved)
	resolved = slices.Compact(resolved)
	var parts []string
	reason := v1alpha1.ReasonDependencyNotFound
	if len(missing) > 0 {
		parts = append(parts, fmt.Sprintf("no accepted Application with ports: %s", listed(missing)))
	}
	if len(denied) > 0 {
		reason = v1alpha1.ReasonCrossNamespaceDenied
		parts = append(parts, fmt.Sprintf("calls to another namespace are denied: %s", listed(denied)))
	}
	if parts == nil {
		return resolved, nil
	}
	return resolved, &refusal{reason, strings.Join(parts, "; ")}
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
