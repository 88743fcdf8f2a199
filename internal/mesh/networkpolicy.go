package mesh

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
)

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
	return s.draft(s.networkPolicyID(), map[string]any{"spec": networkSpec(s.application, ingress, egress)}).seal(), nil
}

// ingress opens ports of the Service alone to other namespaces, and every port to the application's own. Rules that limit
// requests open their ports where a proxy holds the rest of them; without one nobody would, and they open nothing. Nor is
// anyone let in then whom only a proxy could know.
func (in *WorkloadInput) ingress() ([]netRule, error) {
	s := in.Spec
	checked := inMesh(in.Cluster) && s.proxied
	allowed, err := allowances(in.Policy, s.ports)
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	if !checked {
		allowed = slices.DeleteFunc(allowed, allowance.requestsOnly)
	}
	var rules []netRule
	inside := len(in.Policy.IsolatedBy) == 0
	if inside {
		rules = append(rules, netRule{peers: []peer{{pods: map[string]string{}}}})
	}
	rules = append(rules, byPorts(allowed)...)
	if !checked {
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
		rules = append(rules, netRule{peers: remote, tcp: ports})
	}
	return append(rules, netRule{tcp: proxyPorts}), nil
}

// byPorts writes one rule for each set of ports, with all who may call these.
func byPorts(allowed []allowance) []netRule {
	rules := slices.Clone(allowed)
	slices.SortStableFunc(rules, compareTargets)
	var out []netRule
	for len(rules) > 0 {
		n := 1
		for n < len(rules) && compareTargets(rules[0], rules[n]) == 0 {
			n++
		}
		var callers []record.Caller
		for _, a := range rules[:n] {
			callers = append(callers, a.callers...)
		}
		slices.SortFunc(callers, compareCallers)
		rule := netRule{tcp: rules[0].tcp, udp: rules[0].udp}
		for _, c := range slices.Compact(callers) {
			rule.peers = append(rule.peers, podsOf(c.Namespace, c.Application))
		}
		out, rules = append(out, rule), rules[n:]
	}
	return out
}

func compareTargets(a, b allowance) int {
	return cmp.Or(slices.Compare(a.tcp, b.tcp), slices.Compare(a.udp, b.udp))
}

// remoteCallers are the gateway's pods where calls come from other networks, and all pods of this network where consumers
// are on it: selectors find no pods of other clusters. Proxies tell who of them may call.
func (in *WorkloadInput) remoteCallers() ([]peer, error) {
	var from []peer
	if gateway := in.Cluster.Mesh.Gateway; calledThroughGateway(in.Cluster, in.Audience) {
		if len(gateway.Selector) == 0 {
			return nil, fmt.Errorf("cluster %s: mesh.gateway.selector: it is empty, which would be every pod of %s",
				in.Cluster.Name, gateway.Namespace)
		}
		from = append(from, peer{namespace: gateway.Namespace, pods: gateway.Selector})
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

func (in *WorkloadInput) podRanges() ([]peer, error) {
	var blocks []peer
	for i, cidr := range in.Cluster.PodRanges {
		prefix, err := netip.ParsePrefix(cidr)
		if err != nil {
			return nil, fmt.Errorf("cluster %s: podRanges[%d]: %q is not a CIDR", in.Cluster.Name, i, cidr)
		}
		blocks = append(blocks, peer{block: prefix.Masked()})
	}
	return blocksOf(blocks), nil
}

// blocksOf sorts peers that are addresses.
func blocksOf(blocks []peer) []peer {
	slices.SortFunc(blocks, func(a, b peer) int { return a.block.Compare(b.block) })
	return slices.CompactFunc(blocks, func(a, b peer) bool { return a.block == b.block })
}
