package mesh

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
)

// labelNamespace is the label with its own name that Kubernetes gives every namespace.
const labelNamespace = "kubernetes.io/metadata.name"

// proxyPorts are asked by kubelets (probes, which Istio rewrites to the first), load balancers and scrapers, which have no
// identity and come from anywhere.
var proxyPorts = []int32{15020, 15021, 15090}

func (s *Spec) networkPolicyID() object.ID {
	return idOf("networking.k8s.io", "v1", "NetworkPolicy", s.namespace, s.application)
}

// networkPolicy lets in whom the AuthorizationPolicy lets in, and out what the Sidecar lists.
func (in *WorkloadInput) networkPolicy() (Object, error) {
	s := in.Spec
	ingress, err := in.ingress()
	if err != nil {
		return Object{}, err
	}
	egress, err := in.egress()
	if err != nil {
		return Object{}, err
	}
	spec := map[string]any{"podSelector": map[string]any{"matchLabels": selectorOf(s.application)},
		"policyTypes": []string{"Ingress", "Egress"}, "egress": egress}
	if len(ingress) > 0 {
		spec["ingress"] = ingress
	}
	return s.draft(s.networkPolicyID(), map[string]any{"spec": spec}).seal(), nil
}

// ingress opens ports of the Service alone to other namespaces, and every port to the application's own. Rules that limit
// requests open their ports where a proxy holds the rest of them; without a mesh nobody would, and they open nothing.
func (in *WorkloadInput) ingress() ([]any, error) {
	s, meshed := in.Spec, inMesh(in.Cluster)
	allowed, err := allowances(in.Policy, s.ports)
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	if !meshed {
		allowed = slices.DeleteFunc(allowed, allowance.requestsOnly)
	}
	var rules []any
	inside := len(in.Policy.IsolatedBy) == 0
	if inside {
		rules = append(rules, map[string]any{"from": []any{map[string]any{"podSelector": map[string]any{}}}})
	}
	rules = append(rules, byPorts(allowed)...)
	if !meshed {
		return rules, nil
	}
	ports := targets(s.ports, "TCP")
	if !inside {
		ports = nil
		for _, a := range allowed {
			ports = append(ports, a.tcp...)
		}
		ports = sortedSet(ports)
	}
	remote, err := in.remoteCallers()
	if err != nil {
		return nil, err
	}
	if len(remote) > 0 && len(ports) > 0 {
		rules = append(rules, map[string]any{"from": remote, "ports": portList(ports, nil)})
	}
	return append(rules, map[string]any{"ports": portList(proxyPorts, nil)}), nil
}

// byPorts writes one rule for each set of ports, with all who may call these.
func byPorts(allowed []allowance) []any {
	type entry struct {
		ports   []any
		callers []record.Caller
	}
	entries := map[string]*entry{}
	for _, a := range allowed {
		key := fmt.Sprint(a.tcp, a.udp)
		e := entries[key]
		if e == nil {
			e = &entry{ports: portList(a.tcp, a.udp)}
			entries[key] = e
		}
		e.callers = append(e.callers, a.callers...)
	}
	var rules []any
	for _, key := range slices.Sorted(maps.Keys(entries)) {
		e := entries[key]
		slices.SortFunc(e.callers, compareCallers)
		var from []any
		for _, c := range slices.Compact(e.callers) {
			from = append(from, podsOf(c.Namespace, c.Application))
		}
		rules = append(rules, map[string]any{"from": from, "ports": e.ports})
	}
	return rules
}

// remoteCallers are the gateway's pods where calls come from other networks, and all pods of this network where consumers
// are on it: selectors find no pods of other clusters. Proxies tell who of them may call.
func (in *WorkloadInput) remoteCallers() ([]any, error) {
	var from []any
	if gateway := in.Cluster.Mesh.Gateway; calledThroughGateway(in.Cluster, in.Audience) {
		if len(gateway.Selector) == 0 {
			return nil, fmt.Errorf("cluster %s: mesh.gateway.selector: it is empty, which would be every pod of %s",
				in.Cluster.Name, gateway.Namespace)
		}
		from = append(from, map[string]any{"namespaceSelector": namespaceSelector(gateway.Namespace),
			"podSelector": map[string]any{"matchLabels": gateway.Selector}})
	}
	if slices.Contains(in.Audience.Networks, in.Cluster.Network) {
		blocks, err := in.podRanges()
		if err != nil {
			return nil, err
		}
		from = append(from, blocks...)
	}
	return from, nil
}

func (in *WorkloadInput) podRanges() ([]any, error) {
	var prefixes []netip.Prefix
	for i, cidr := range in.Cluster.PodRanges {
		prefix, err := netip.ParsePrefix(cidr)
		if err != nil {
			return nil, fmt.Errorf("cluster %s: podRanges[%d]: %q is not a CIDR", in.Cluster.Name, i, cidr)
		}
		prefixes = append(prefixes, prefix.Masked())
	}
	slices.SortFunc(prefixes, netip.Prefix.Compare)
	var blocks []any
	for _, prefix := range slices.Compact(prefixes) {
		blocks = append(blocks, ipBlock(prefix))
	}
	return blocks, nil
}

func ipBlock(prefix netip.Prefix) map[string]any {
	return map[string]any{"ipBlock": map[string]any{"cidr": prefix.String()}}
}

func namespaceSelector(namespace string) map[string]any {
	return map[string]any{"matchLabels": map[string]string{labelNamespace: namespace}}
}

// podsOf picks an application's pods, or with an empty one all of the namespace.
func podsOf(namespace, application string) map[string]any {
	peer := map[string]any{"namespaceSelector": namespaceSelector(namespace)}
	if application != "" {
		peer["podSelector"] = map[string]any{"matchLabels": selectorOf(application)}
	}
	return peer
}

func portList(tcp, udp []int32) []any {
	list := make([]any, 0, len(tcp)+len(udp))
	for _, p := range tcp {
		list = append(list, map[string]any{"port": p, "protocol": "TCP"})
	}
	for _, p := range udp {
		list = append(list, map[string]any{"port": p, "protocol": "UDP"})
	}
	return list
}
