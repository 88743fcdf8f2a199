package mesh

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/meridian-federation/meridian/internal/object"
)

// restrict holds a carried object to its own application: whatever a kind refers to by name or by labels, it must not be
// another application's. What Kubernetes shares among all pods of a namespace, such as its Secrets and claims, is shared
// among its applications, too.
func (s *Spec) restrict(field string, d *draft) error {
	field += ".spec"
	spec := mapAt(d.body, "spec")
	switch d.id.Kind {
	case "Service":
		return s.restrictService(field, d, spec)
	case "CronJob":
		return s.restrictCronJob(field, spec)
	case "HorizontalPodAutoscaler":
		return s.restrictAutoscaler(field, spec)
	case "PodDisruptionBudget":
		return s.restrictBudget(field, spec)
	}
	return nil
}

// restrictService holds a carried Service to what holds for the application's own: it is visible in its namespace
// unless it says otherwise, and its target ports are numbers. It takes no addresses, which would be anybody's:
// https://github.com/kubernetes/kubernetes/issues/97076
func (s *Spec) restrictService(field string, d *draft, spec map[string]any) error {
	if value, ok := d.annotations[annotationExportTo]; ok {
		if err := checkExportTo(value); err != nil {
			return invalidSpec(strings.TrimSuffix(field, ".spec")+".metadata.annotations", "%s: %v", annotationExportTo, err)
		}
	} else {
		annotations := map[string]string{annotationExportTo: exportToOwn}
		maps.Copy(annotations, d.annotations)
		d.annotations = annotations
	}
	if app, ok := mapAt(spec, "selector")[object.LabelApplication]; ok && app != s.application {
		return notAllowed(field+".selector", "%s is %q: these are another application's pods; it must be %s", object.LabelApplication,
			app, s.application)
	}
	if _, ok := spec["externalIPs"]; ok {
		return notAllowed(field+".externalIPs", "a Service with them takes calls that others make to these addresses; leave them out")
	}
	ports, _ := spec["ports"].([]any)
	for i, p := range ports {
		port, _ := p.(map[string]any)
		if name, ok := port["targetPort"].(string); ok {
			return invalidSpec(fmt.Sprintf("%s.ports[%d].targetPort", field, i),
				"%q is a name; give the number, since Istio cannot send calls from other clusters to a named port", name)
		}
	}
	return nil
}

// restrictCronJob keeps its pods from running as another application, and from being taken for another's.
func (s *Spec) restrictCronJob(field string, spec map[string]any) error {
	field += ".jobTemplate"
	job := mapAt(spec, "jobTemplate")
	if err := s.ownMarks(field, job); err != nil {
		return err
	}
	field += ".spec.template"
	template := mapAt(job, "spec", "template")
	if err := s.ownMarks(field, template); err != nil {
		return err
	}
	pod := mapAt(template, "spec")
	for _, name := range []string{"serviceAccountName", "serviceAccount"} {
		if account, ok := pod[name]; ok && account != s.application {
			return notAllowed(field+".spec."+name, "%q is not the application's own account, %s; change it or leave it out", account, s.application)
		}
	}
	return nil
}

// ownMarks refuses Meridian's labels and annotations in the metadata of a template, but the application's own name.
func (s *Spec) ownMarks(field string, template map[string]any) error {
	for _, marks := range []string{"labels", "annotations"} {
		values := mapAt(template, "metadata", marks)
		for _, key := range slices.Sorted(maps.Keys(values)) {
			if !strings.HasPrefix(key, reservedPrefix) || marks == "labels" && key == object.LabelApplication && values[key] == s.application {
				continue
			}
			return invalidSpec(field+".metadata."+marks, "%s is Meridian's own; leave it out", key)
		}
	}
	return nil
}

// restrictAutoscaler leaves it one thing to scale.
func (s *Spec) restrictAutoscaler(field string, spec map[string]any) error {
	target := mapAt(spec, "scaleTargetRef")
	apiVersion, _ := target["apiVersion"].(string)
	own := s.deploymentID()
	if target["kind"] != own.Kind || target["name"] != own.Name || !strings.HasPrefix(apiVersion, own.Group+"/") {
		return notAllowed(field+".scaleTargetRef", "it must be the application's own workload, kind %s, name %s of apiVersion %s",
			own.Kind, own.Name, own.GVK().GroupVersion())
	}
	return nil
}

// restrictBudget leaves it the application's own pods: a budget that selects others' keeps their nodes from being drained.
func (s *Spec) restrictBudget(field string, spec map[string]any) error {
	if app := mapAt(spec, "selector", "matchLabels")[object.LabelApplication]; app != s.application {
		return notAllowed(field+".selector.matchLabels", "it must select the application's own pods; add %s: %s", object.LabelApplication, s.application)
	}
	return nil
}

// mapAt is the object at a path of field names; nil where there is none.
func mapAt(m map[string]any, path ...string) map[string]any {
	for _, name := range path {
		m, _ = m[name].(map[string]any)
	}
	return m
}
