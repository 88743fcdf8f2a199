package verify

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Mesh is what one istiod is configured by, and the namespaces whose pods it configures.
type Mesh struct {
	// Cluster is where the objects are; Source says whether they are those that are compiled for it or those that it has.
	Cluster, Source string
	RootNamespace   string
	// DefaultSidecar: the inventory wants one in the root namespace.
	DefaultSidecar bool
	// Namespaces are those that run workloads of Meridian's.
	Namespaces []string
	// Objects are PeerAuthentications, AuthorizationPolicies and Sidecars; others do not matter.
	Objects []*unstructured.Unstructured
}

func (m Mesh) subject(o *unstructured.Unstructured) string {
	return m.Cluster + " (" + m.Source + "): " + o.GetKind() + " " + o.GetNamespace() + "/" + o.GetName()
}

// Mesh examines the configuration of one istiod.
func (r *Report) Mesh(m Mesh) {
	strict := map[string]bool{}
	scoped := false
	for _, o := range m.Objects {
		switch o.GetKind() {
		case "PeerAuthentication":
			if r.peerAuthentication(m, o) {
				strict[o.GetNamespace()] = true
			}
		case "AuthorizationPolicy":
			r.authorizationPolicy(m, o)
		case "Sidecar":
			scoped = scoped || o.GetNamespace() == m.RootNamespace && bounds(o)
		}
	}
	for _, namespace := range m.Namespaces {
		r.examined(CheckStrict)
		if !strict[namespace] && !strict[m.RootNamespace] {
			r.add(Critical, CheckStrict, m.Cluster+" ("+m.Source+"): namespace "+namespace,
				"no PeerAuthentication has mTLS STRICT for it, so its pods take calls in plain text from anybody")
		}
	}
	r.examined(CheckSidecar)
	switch {
	case scoped:
	case m.DefaultSidecar:
		r.add(Warning, CheckSidecar, m.Cluster+" ("+m.Source+")",
			"no Sidecar without a selector in %s bounds what pods are sent that Meridian does not manage", m.RootNamespace)
	default:
		r.add(Info, CheckSidecar, m.Cluster+" ("+m.Source+")", "its inventory has mesh.defaultSidecar off: pods that Meridian does not manage are sent the whole mesh")
	}
}

// NoMesh notes a cluster whose inventory has no mesh in it.
func (r *Report) NoMesh(cluster string) {
	r.add(Info, CheckStrict, cluster, "its inventory has mesh.dataplane None: calls between its pods are neither encrypted nor judged by identity")
}

// peerAuthentication tells whether it makes mTLS strict for the whole of its namespace.
func (r *Report) peerAuthentication(m Mesh, o *unstructured.Unstructured) bool {
	r.examined(CheckStrict)
	mode, _, _ := unstructured.NestedString(o.Object, "spec", "mtls", "mode")
	if mode == "PERMISSIVE" || mode == "DISABLE" {
		r.add(Critical, CheckStrict, m.subject(o), "mTLS is %s: calls in plain text are let in", mode)
	}
	ports, _, _ := unstructured.NestedMap(o.Object, "spec", "portLevelMtls")
	for port, of := range ports {
		if value, _ := of.(map[string]any); value["mode"] == "PERMISSIVE" || value["mode"] == "DISABLE" {
			r.add(Critical, CheckStrict, m.subject(o), "mTLS is %v at port %s: calls in plain text are let in", value["mode"], port)
		}
	}
	return mode == "STRICT" && !selects(o)
}

// authorizationPolicy looks for rules that let in whoever comes.
func (r *Report) authorizationPolicy(m Mesh, o *unstructured.Unstructured) {
	r.examined(CheckAllowAll)
	action, _, _ := unstructured.NestedString(o.Object, "spec", "action")
	if action != "" && action != "ALLOW" {
		return
	}
	rules, _, _ := unstructured.NestedSlice(o.Object, "spec", "rules")
	for _, each := range rules {
		rule, _ := each.(map[string]any)
		_, narrowed := rule["to"]
		_, conditional := rule["when"]
		switch {
		case !anybody(rule) || conditional:
		case narrowed:
			r.add(Warning, CheckAllowAll, m.subject(o), "one of its rules lets anybody make some calls: it names no source")
		default:
			r.add(Critical, CheckAllowAll, m.subject(o), "one of its rules lets anybody make any call")
		}
	}
}

// anybody tells whether a rule is for all sources. The fields of one source must all match, those of several need not.
func anybody(rule map[string]any) bool {
	from, _ := rule["from"].([]any)
	if len(from) == 0 {
		return true
	}
	return slices.ContainsFunc(from, func(each any) bool {
		one, _ := each.(map[string]any)
		source, _ := one["source"].(map[string]any)
		for field, values := range source {
			if strings.HasPrefix(field, "not") || !all(values) {
				return false
			}
		}
		return true
	})
}

// all tells whether the values of a source's field match everything.
func all(values any) bool {
	list, _ := values.([]any)
	return slices.ContainsFunc(list, func(v any) bool { return v == "*" || v == "0.0.0.0/0" || v == "::/0" })
}

// bounds tells whether a Sidecar is for a whole namespace and does not import everything.
func bounds(o *unstructured.Unstructured) bool {
	if _, workload, _ := unstructured.NestedMap(o.Object, "spec", "workloadSelector"); workload {
		return false
	}
	egress, _, _ := unstructured.NestedSlice(o.Object, "spec", "egress")
	if len(egress) == 0 {
		return false
	}
	return !slices.ContainsFunc(egress, func(each any) bool {
		one, _ := each.(map[string]any)
		hosts, _ := one["hosts"].([]any)
		return slices.ContainsFunc(hosts, func(h any) bool { return h == "*/*" })
	})
}

func selects(o *unstructured.Unstructured) bool {
	labels, _, _ := unstructured.NestedMap(o.Object, "spec", "selector", "matchLabels")
	return len(labels) > 0
}
