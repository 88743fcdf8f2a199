// Generate writes the manifests of the agent's role from the kinds that agents manage, to the file that it is given.
package main

import (
	"bytes"
	_ "embed" // for what surrounds the rules
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/meridian-federation/meridian/internal/object"
)

//go:embed manifests.yaml
var manifests []byte

// place is where the rules go in manifests.yaml.
const place = "rules: []\n"

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("usage: generate FILE")
	}
	if n := bytes.Count(manifests, []byte(place)); n != 1 {
		return fmt.Errorf("manifests.yaml has %d places for rules, want one", n)
	}
	out := "# Written by make generate from internal/object's kinds and deploy/agent/generate; not to be edited.\n" +
		string(bytes.Replace(manifests, []byte(place), []byte("rules:\n"+rules()), 1))
	return os.WriteFile(args[0], []byte(out), 0o644)
}

// rule is what a ClusterRole allows with some resources of one API group.
type rule struct {
	group            string
	resources, verbs []string
}

func (r rule) String() string {
	group := r.group
	if group == "" {
		group = `""`
	}
	return fmt.Sprintf("- apiGroups: [%s]\n  resources: [%s]\n  verbs: [%s]\n", group, strings.Join(r.resources, ", "), strings.Join(r.verbs, ", "))
}

func rules() string {
	var b strings.Builder
	b.WriteString("# What agents apply, watch and delete.\n")
	managed := managedKinds()
	for _, r := range managed {
		b.WriteString(r.String())
	}
	b.WriteString("# Ready endpoints of Services that are called from other clusters are counted.\n")
	b.WriteString(rule{"discovery.k8s.io", []string{"endpointslices"}, []string{"list", "watch"}}.String())
	b.WriteString("# Nodes are counted, and the ranges of the cluster's pods and Services reported.\n")
	b.WriteString(rule{"", []string{"nodes"}, []string{"list", "watch"}}.String())
	b.WriteString(rule{"networking.k8s.io", []string{"servicecidrs"}, []string{"list", "watch"}}.String())
	b.WriteString(`# A namespace is deleted only if it holds nothing else. The agent asks for metadata alone, and only then. A namespace
# in a cluster that serves a kind which is not listed here stays, without Meridian's marks; give the agent the right to
# list the kind to have such namespaces deleted. Secrets, roles and their bindings are left out on purpose: to list them
# is to read them.
`)
	for _, r := range contents {
		if r.resources = without(r, managed); len(r.resources) > 0 {
			b.WriteString(r.String())
		}
	}
	return b.String()
}

// managedKinds are a rule for each API group, in the order of object.Kinds.
func managedKinds() []rule {
	var out []rule
	for _, k := range object.Kinds() {
		i := slices.IndexFunc(out, func(r rule) bool { return r.group == k.Group })
		if i < 0 {
			i = len(out)
			out = append(out, rule{group: k.Group, verbs: []string{"get", "list", "watch", "create", "patch", "delete"}})
		}
		out[i].resources = append(out[i].resources, k.Resource)
	}
	return out
}

// without are a rule's resources that agents may list for being managed neither.
func without(r rule, managed []rule) []string {
	return slices.DeleteFunc(slices.Clone(r.resources), func(resource string) bool {
		return slices.ContainsFunc(managed, func(m rule) bool { return m.group == r.group && slices.Contains(m.resources, resource) })
	})
}

var list = []string{"list"}

// contents are the kinds of Kubernetes, of the Gateway API and of Istio that can be in a namespace.
var contents = []rule{
	{"", []string{"limitranges", "pods", "podtemplates", "replicationcontrollers", "resourcequotas"}, list},
	{"apps", []string{"controllerrevisions", "daemonsets", "replicasets", "statefulsets"}, list},
	{"batch", []string{"jobs"}, list},
	{"certificates.k8s.io", []string{"podcertificaterequests"}, list},
	{"coordination.k8s.io", []string{"leasecandidates", "leases"}, list},
	{"extensions.istio.io", []string{"trafficextensions", "wasmplugins"}, list},
	{"gateway.networking.k8s.io", []string{"backendtlspolicies", "gateways", "grpcroutes", "httproutes", "listenersets",
		"referencegrants", "tcproutes", "tlsroutes", "udproutes"}, list},
	{"networking.istio.io", []string{"envoyfilters", "proxyconfigs", "virtualservices", "workloadgroups"}, list},
	{"networking.k8s.io", []string{"ingresses"}, list},
	{"resource.k8s.io", []string{"resourceclaims", "resourceclaimtemplates"}, list},
	{"scheduling.k8s.io", []string{"podgroups", "workloads"}, list},
	{"security.istio.io", []string{"requestauthentications"}, list},
	{"storage.k8s.io", []string{"csistoragecapacities"}, list},
	{"telemetry.istio.io", []string{"telemetries"}, list},
}
