package mesh

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"

	"github.com/meridian-federation/meridian/internal/record"
)

// proxyPorts are asked by kubelets (probes, which Istio rewrites to the first), load balancers and scrapers, which have no
// identity and come from anywhere. Nothing but a proxy listens there in an application that has one, or is about to.
var proxyPorts = []int32{15020, 15021, 15090}

// networkPolicies let in whom the AuthorizationPolicy lets in, and out what the Sidecar lists. There is one for all pods, and
// one more for those with a proxy if anyone is let in whom only a proxy can judge: which pods have one shows in their labels,
// so that nobody is let in too early while a cluster gets a mesh.
func (in *WorkloadInput) networkPolicies() ([]Object, error) {
	rules, err := (&EnforceInput{Cluster: in.Cluster, Subject: in.Spec.Subject, Policy: in.Policy, Audience: in.Audience}).ingress()
	if err != nil {
		return nil, err
	}
	egress, err := in.egress()
	if err != nil {
		return nil, err
	}
	out := []Object{in.Spec.networkPolicy(rules.all, appendRules(make([]byte, 0, 2048), "to", egress))}
	if len(rules.proxied) > 0 {
		out = append(out, in.Spec.proxiedPolicy(rules.proxied))
	}
	return out, nil
}

func (s *Subject) networkPolicy(ingress []netRule, egress json.RawMessage) Object {
	return s.draft(s.networkPolicyID(), networkSpec(selectorOf(s.application), ingress, egress)).seal()
}

func (s *Subject) proxiedPolicy(ingress []netRule) Object {
	pods := append(selectorOf(s.application), field{labelInject, "true"})
	return s.draft(s.proxiedPolicyID(), networkSpec(pods, ingress, nil)).seal()
}

// egressOf is what a compiled NetworkPolicy lets out.
func egressOf(o Object) json.RawMessage {
	var policy struct {
		Spec struct {
			Egress json.RawMessage `json:"egress"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(o.Record.Content, &policy); err != nil {
		panic(fmt.Sprintf("reading %s, which was compiled here: %v", o.ID, err))
	}
	return policy.Spec.Egress
}

// ingress is who is let in by the network: to all pods, and besides to those that have a proxy.
type ingress struct{ all, proxied []netRule }

// ingress opens ports of the Service alone to other namespaces, and every port to the application's own. Rules that limit
// requests open their ports where a proxy holds the rest of them, and only there is anyone let in whom only a proxy could
// know. With an error, what is wrong is left out.
func (in *EnforceInput) ingress() (ingress, error) {
	s := in.Subject
	allowed, err := allowances(in.Policy, s.ports)
	if err != nil {
		err = fmt.Errorf("policy: %w", err)
	}
	var out ingress
	inside := len(in.Policy.IsolatedBy) == 0
	if inside {
		out.all = append(out.all, netRule{peers: []peer{{pods: fields{}}}})
	}
	plain := slices.DeleteFunc(slices.Clone(allowed), allowance.requestsOnly)
	out.all = append(out.all, byPorts(plain)...)
	if !inMesh(in.Cluster) || !s.proxied {
		return out, err
	}
	out.all = append(out.all, netRule{tcp: proxyPorts})
	out.proxied = byPorts(slices.DeleteFunc(slices.Clone(allowed), func(a allowance) bool { return !a.requestsOnly() }))
	ports := targets(s.ports, "TCP")
	if !inside {
		ports = nil
		for _, a := range allowed {
			ports = append(ports, a.tcp...)
		}
		ports = sortedSet(ports)
	}
	remote, wrong := in.remoteCallers()
	if len(remote) > 0 && len(ports) > 0 {
		out.proxied = append(out.proxied, netRule{peers: remote, tcp: ports})
	}
	return out, cmp.Or(err, wrong)
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
func (in *EnforceInput) remoteCallers() ([]peer, error) {
	var from []peer
	var err error
	if gateway := in.Cluster.Mesh.Gateway; calledThroughGateway(in.Cluster, in.Audience) {
		if len(gateway.Selector) == 0 {
			err = fmt.Errorf("cluster %s: mesh.gateway.selector: it is empty, which would be every pod of %s",
				in.Cluster.Name, gateway.Namespace)
		} else {
			from = append(from, peer{namespace: gateway.Namespace, pods: labelsOf(gateway.Selector)})
		}
	}
	if !slices.Contains(in.Audience.Networks, in.Cluster.Network) {
		return from, err
	}
	blocks, wrong := podRanges(in.Cluster)
	return append(from, blocks...), cmp.Or(err, wrong)
}

// podRanges are the addresses of all pods of a cluster's network, without those that are none.
func podRanges(cluster record.Cluster) ([]peer, error) {
	var blocks []peer
	var wrong error
	for i, cidr := range cluster.PodRanges {
		prefix, err := netip.ParsePrefix(cidr)
		if err != nil {
			wrong = cmp.Or(wrong, fmt.Errorf("cluster %s: podRanges[%d]: %q is not a CIDR", cluster.Name, i, cidr))
			continue
		}
		blocks = append(blocks, peer{block: prefix.Masked()})
	}
	return blocksOf(blocks), wrong
}

// blocksOf sorts peers that are addresses.
func blocksOf(blocks []peer) []peer {
	slices.SortFunc(blocks, func(a, b peer) int { return a.block.Compare(b.block) })
	return slices.CompactFunc(blocks, func(a, b peer) bool { return a.block == b.block })
}
