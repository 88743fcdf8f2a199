package global

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/mesh"
	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
)

// maxSpec bounds a normalised spec: it is one record in every tier's store and one message on every hop.
const maxSpec = 256 << 10

// admitted is a spec that can be compiled: its revision, its face, and the objects that it will own.
type admitted struct {
	revision record.Record
	hash     string
	service  *record.Record // nil for an application without ports
	ids      []object.ID
	// environment of its namespace.
	environment string
}

// scaled tells whether the application brings an autoscaler, which then decides on its replicas.
func (a *admitted) scaled() bool {
	return slices.ContainsFunc(a.ids, func(id object.ID) bool { return id.Kind == "HorizontalPodAutoscaler" })
}

// admit checks what one Application and its Namespace show, and turns the spec into records.
func admit(app *v1alpha1.Application, namespaceLabels map[string]string, inv *inventory) (*admitted, *refusal) {
	environment, refused := admitTo(app.Namespace, namespaceLabels, inv)
	if refused != nil {
		return nil, refused
	}
	ids, err := mesh.Check(app.Namespace, app.Name, &app.Spec)
	if err != nil {
		return nil, refusalOf(err)
	}
	spec, err := mesh.Normalise(app.Namespace, app.Name, &app.Spec)
	if err != nil {
		return nil, refusalOf(err)
	}
	if len(spec) > maxSpec {
		return nil, &refusal{v1alpha1.ReasonSpecTooLarge, fmt.Sprintf(
			"spec is %d KiB with its resources, at most %d KiB can travel; keep large data outside and refer to it", len(spec)>>10, maxSpec>>10)}
	}
	out := &admitted{ids: ids, environment: environment}
	out.revision = record.Revision{Namespace: app.Namespace, Application: app.Name, Environment: environment,
		Tenant: namespaceLabels[v1alpha1.LabelTenant], Spec: spec}.Record()
	out.hash = out.revision.Version.String()
	if len(app.Spec.Ports) > 0 {
		service := serviceOf(app, environment, namespaceLabels[v1alpha1.LabelTenant]).Record()
		out.service = &service
	}
	return out, nil
}

// admitTo is the environment of a namespace that Applications and ExternalServices may be in.
func admitTo(namespace string, labels map[string]string, inv *inventory) (environment string, _ *refusal) {
	if why := reserved(namespace, inv); why != "" {
		return "", &refusal{v1alpha1.ReasonInvalidSpec, why}
	}
	environment = labels[v1alpha1.LabelEnvironment]
	if environment == "" {
		return "", &refusal{v1alpha1.ReasonNamespaceHasNoEnvironment, fmt.Sprintf(
			"namespace %s has no environment; label it %s=NAME with the name of an Environment", namespace, v1alpha1.LabelEnvironment)}
	}
	if _, ok := inv.environments[environment]; !ok {
		return "", &refusal{v1alpha1.ReasonUnknownEnvironment, fmt.Sprintf(
			"namespace %s is labelled %s=%s, and there is no Environment of that name", namespace, v1alpha1.LabelEnvironment, environment)}
	}
	if other, taken := inv.taken[environment]; taken {
		return "", &refusal{v1alpha1.ReasonTrustDomainTaken, domainTaken(environment, other, inv.environments[environment])}
	}
	return environment, nil
}

// serviceOf is the application as others call it.
func serviceOf(app *v1alpha1.Application, environment, tenant string) record.Service {
	out := record.Service{Namespace: app.Namespace, Application: app.Name, Environment: environment, Tenant: tenant,
		ServiceAccount: app.Name, Unproxied: !mesh.Proxied(&app.Spec.Template)}
	for _, p := range app.Spec.Ports {
		port := record.Port{Name: p.Name, Port: p.Port, TargetPort: p.TargetPort, Protocol: string(p.Protocol),
			AppProtocol: p.AppProtocol}
		if port.TargetPort == 0 {
			port.TargetPort = port.Port
		}
		if port.Protocol == "" {
			port.Protocol = "TCP"
		}
		out.Ports = append(out.Ports, port)
	}
	return out
}

// reserved says why no application may live in a namespace, or "".
func reserved(namespace string, inv *inventory) string {
	if namespace == "default" || namespace == systemNamespace || strings.HasPrefix(namespace, "kube-") {
		return fmt.Sprintf("namespace %s is reserved in every cluster; use a namespace of your own", namespace)
	}
	if cluster, ok := inv.roots[namespace]; ok {
		return fmt.Sprintf("namespace %s is the mesh's root namespace in cluster %s; use a namespace of your own", namespace, cluster)
	}
	return ""
}

// refusalOf keeps the reason that the compiler gives.
func refusalOf(err error) *refusal {
	var compile *mesh.Error
	if errors.As(err, &compile) {
		return &refusal{compile.Reason, compile.Error()}
	}
	return &refusal{v1alpha1.ReasonInvalidSpec, err.Error()}
}
