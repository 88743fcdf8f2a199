package mesh

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/meridian-federation/meridian/internal/object"
)

// checkTemplate finds what every cluster would refuse, so that a person hears of it before any cluster does. It is not
// all of Kubernetes' validation: what it lets through, clusters still report.
func checkTemplate(name string, t *podTemplate) error {
	const field = "spec.template"
	if v, ok := t.labels[object.LabelApplication]; ok && v != name {
		return invalidTemplate(field+".metadata.labels", "%s is the label by which pods are selected and must be %s; leave it out",
			object.LabelApplication, name)
	}
	if err := checkMarks(field+".metadata", t); err != nil {
		return err
	}
	for _, account := range []string{t.pod.serviceAccountName, t.pod.serviceAccount} {
		if account != "" && account != name {
			return invalidTemplate(field+".spec.serviceAccountName", "%q is not the application's own account, %s; leave it out", account, name)
		}
	}
	if p := t.pod.restartPolicy; p != "" && p != string(corev1.RestartPolicyAlways) {
		return invalidTemplate(field+".spec.restartPolicy", "it is %s, but a Deployment's pods are always restarted; leave it out", p)
	}
	if t.pod.ephemeralContainers > 0 {
		return invalidTemplate(field+".spec.ephemeralContainers", "they can be added to running pods alone; leave them out")
	}
	if len(t.pod.containers) == 0 {
		return invalidTemplate(field+".spec.containers", "there are none; a pod needs at least one container")
	}
	return checkContainers(field+".spec", &t.pod)
}

func checkMarks(field string, t *podTemplate) error {
	for _, key := range slices.Sorted(maps.Keys(t.labels)) {
		value := t.labels[key]
		if strings.HasPrefix(key, reservedPrefix) && key != object.LabelApplication {
			return invalidTemplate(field+".labels", "%s is Meridian's own; leave it out", key)
		}
		if problems := append(validation.IsQualifiedName(key), validation.IsValidLabelValue(value)...); len(problems) > 0 {
			return invalidTemplate(field+".labels", "%s: %q is not valid: %s", key, value, problems[0])
		}
	}
	for _, key := range slices.Sorted(maps.Keys(t.annotations)) {
		if strings.HasPrefix(key, reservedPrefix) {
			return invalidTemplate(field+".annotations", "%s is Meridian's own; leave it out", key)
		}
		if problems := validation.IsQualifiedName(strings.ToLower(key)); len(problems) > 0 {
			return invalidTemplate(field+".annotations", "%s is not valid: %s", key, problems[0])
		}
	}
	return nil
}

// checkContainers also looks for what server-side apply cannot express: two entries of a list with one key.
func checkContainers(field string, spec *podSpec) error {
	volumes := map[string]bool{}
	for i, name := range spec.volumes {
		if volumes[name] || !isLabel(name) {
			return invalidTemplate(fmt.Sprintf("%s.volumes[%d].name", field, i), "%q is not a DNS label that no other volume has", name)
		}
		volumes[name] = true
	}
	names := map[string]bool{}
	check := func(list string, containers []container) error {
		for i := range containers {
			c, at := &containers[i], fmt.Sprintf("%s.%s[%d]", field, list, i)
			if names[c.name] || !isLabel(c.name) {
				return invalidTemplate(at+".name", "%q is not a DNS label that no other container has", c.name)
			}
			names[c.name] = true
			if err := checkContainer(at, c, volumes); err != nil {
				return err
			}
		}
		return nil
	}
	if err := check("initContainers", spec.initContainers); err != nil {
		return err
	}
	return check("containers", spec.containers)
}

func checkContainer(at string, c *container, volumes map[string]bool) error {
	if strings.TrimSpace(c.image) != c.image || c.image == "" {
		return invalidTemplate(at+".image", "%q is not an image", c.image)
	}
	ports := map[string]bool{}
	for i, p := range c.ports {
		key := fmt.Sprintf("%d/%s", p.ContainerPort, defaultProtocol(p.Protocol))
		if len(validation.IsValidPortNum(int(p.ContainerPort))) > 0 || ports[key] {
			return invalidTemplate(fmt.Sprintf("%s.ports[%d].containerPort", at, i), "%s is not a port that no other entry has", key)
		}
		ports[key] = true
	}
	env := map[string]bool{}
	for i, name := range c.env {
		if name == "" || env[name] {
			return invalidTemplate(fmt.Sprintf("%s.env[%d].name", at, i), "%q is not a name that no other variable has", name)
		}
		env[name] = true
	}
	paths := map[string]bool{}
	for i, m := range c.mounts {
		if !volumes[m.Name] {
			return invalidTemplate(fmt.Sprintf("%s.volumeMounts[%d].name", at, i), "there is no volume %q in spec.template.spec.volumes", m.Name)
		}
		if m.MountPath == "" || paths[m.MountPath] {
			return invalidTemplate(fmt.Sprintf("%s.volumeMounts[%d].mountPath", at, i), "%q is not a path that no other mount has", m.MountPath)
		}
		paths[m.MountPath] = true
	}
	return nil
}
