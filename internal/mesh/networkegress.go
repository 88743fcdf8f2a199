package mesh

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/meridian-federation/meridian/internal/record"
)

const (
	portDNS = 53
	// portIstiod serves configuration and certificates to proxies.
	portIstiod = 15012
	// portGateway is that of every east-west gateway.
	portGateway = 15443
)

func (in *WorkloadInput) egress() ([]netRule, error) {
	s, meshed := in.Spec, inMesh(in.Cluster)
	dns := []int32{portDNS}
	rules := make([]netRule, 0, len(in.Binding.Dependencies)+6)
	rules = append(rules, netRule{tcp: dns, udp: dns}, netRule{peers: []peer{{pods: selectorOf(s.application)}}})
	if meshed {
		istiod, err := in.toIstiod()
		if err != nil {
			return nil, err
		}
		rules = append(rules, istiod)
	}
	services, err := in.dependencies()
	if err != nil {
		return nil, err
	}
	for _, d := range services {
		rules = append(rules, netRule{peers: []peer{podsOf(d.Namespace, d.Application)},
			tcp: targets(d.Ports, "TCP"), udp: targets(d.Ports, "UDP")})
	}
	if meshed {
		remote, err := in.toRemotes(services)
		if err != nil {
			return nil, err
		}
		rules = append(rules, remote...)
	}
	outside, err := in.toExternals()
	if err != nil {
		return nil, err
	}
	rules = append(rules, outside...)
	return in.toPlatform(rules)
}

// dependencies are the known applications that can be called, sorted, the application itself left out.
func (in *WorkloadInput) dependencies() ([]record.Service, error) {
	wanted := make(map[string]bool, len(in.Binding.Dependencies))
	for _, d := range in.Binding.Dependencies {
		wanted[d] = true
	}
	delete(wanted, record.ServiceName(in.Spec.namespace, in.Spec.application))
	out := make([]record.Service, 0, len(in.Services))
	for _, d := range in.Services {
		name := record.ServiceName(d.Namespace, d.Application)
		if !wanted[name] || len(d.Ports) == 0 || isExternal(d) {
			continue
		}
		if err := checkService(d); err != nil {
			return nil, err
		}
		delete(wanted, name)
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b record.Service) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Application, b.Application))
	})
	return out, nil
}

// toIstiod opens the way to the istiod that configures the pods' proxies. One in another cluster is reached at its east-west
// gateway, or directly where pods of the network are; where that gateway has no known address it may be anywhere.
func (in *WorkloadInput) toIstiod() (netRule, error) {
	rule := netRule{tcp: []int32{portIstiod}}
	if primary := in.Cluster.Mesh.Primary; primary == "" || primary == in.Cluster.Name {
		root := in.Cluster.Mesh.RootNamespace
		if !isLabel(root) {
			return netRule{}, fmt.Errorf("cluster %s: mesh.rootNamespace: %q is not a DNS label", in.Cluster.Name, root)
		}
		rule.peers = []peer{{namespace: root}}
		return rule, nil
	}
	addresses, _ := gatewaysOf(record.Place{Gateways: in.Istiod}) // what is wrong with them is told where they are called
	if len(addresses) == 0 {
		return rule, nil
	}
	blocks, err := podRanges(in.Cluster)
	if err != nil {
		return netRule{}, err
	}
	for _, ip := range addresses {
		blocks = append(blocks, peer{block: netip.PrefixFrom(ip, ip.BitLen())})
	}
	rule.peers = blocksOf(blocks)
	return rule, nil
}

// toRemotes opens the way to the gateways of other networks, and on this one to all pods at the dependencies' ports.
func (in *WorkloadInput) toRemotes(services []record.Service) ([]netRule, error) {
	var gateways []peer
	flat := false
	for _, place := range in.Remotes {
		if place.Network == in.Cluster.Network {
			flat = flat || place.Cluster != in.Cluster.Name
			continue
		}
		addresses, _ := gatewaysOf(place) // what is wrong with others is told of by Callee
		for _, ip := range addresses {
			gateways = append(gateways, peer{block: netip.PrefixFrom(ip, ip.BitLen())})
		}
	}
	var rules []netRule
	if len(gateways) > 0 {
		rules = append(rules, netRule{peers: blocksOf(gateways), tcp: []int32{portGateway}})
	}
	if !flat {
		return rules, nil
	}
	var ports []int32
	for _, d := range services {
		ports = append(ports, targets(d.Ports, "TCP")...)
	}
	blocks, err := podRanges(in.Cluster)
	if err != nil {
		return nil, err
	}
	if len(blocks) > 0 && len(ports) > 0 {
		rules = append(rules, netRule{peers: blocks, tcp: sortedSet(ports)})
	}
	return rules, nil
}

// toExternals opens the way to ExternalServices, at the ports where they listen: to their endpoints, or where DNS alone knows
// these, to all that is no pod of the network. Ports that wait for an address are not called yet in a mesh, and without one
// need none.
func (in *WorkloadInput) toExternals() ([]netRule, error) {
	var rules []netRule
	for _, e := range externalsOf(in.Binding.Dependencies, in.Services) {
		ports := e.ports
		if !inMesh(in.Cluster) {
			ports = e.all
		}
		if len(ports) == 0 {
			continue
		}
		rule := netRule{tcp: targets(ports, "TCP")}
		for _, at := range e.endpoints {
			rule.peers = append(rule.peers, peer{block: netip.PrefixFrom(at.address, at.address.BitLen())})
		}
		if len(e.endpoints) == 0 {
			var err error
			if rule.peers, err = beyond(in.Cluster); err != nil {
				return nil, err
			}
		}
		rules = append(rules, rule)
	}
	return rules, nil
}

// linkLocal are the addresses of RFC 3927 and RFC 4291. Nothing beyond the machine has one, and at 169.254.169.254 clouds tell
// the machine's own credentials.
var linkLocal = []netip.Prefix{netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("fe80::/10")}

// beyond is every address but those of the network's pods, as far as these are known, and link-local ones.
func beyond(cluster record.Cluster) ([]peer, error) {
	pods, err := podRanges(cluster)
	if err != nil {
		return nil, err
	}
	v4, v6 := peer{block: netip.PrefixFrom(netip.IPv4Unspecified(), 0)}, peer{block: netip.PrefixFrom(netip.IPv6Unspecified(), 0)}
	v4.except, v6.except = linkLocal[:1:1], linkLocal[1:2:2]
	for _, p := range pods {
		switch {
		case p.block.Bits() == 0: // an exception must be smaller than what it is of
		case p.block.Addr().Is4():
			v4.except = append(v4.except, p.block)
		default:
			v6.except = append(v6.except, p.block)
		}
	}
	return []peer{v4, v6}, nil
}

// toPlatform opens the namespaces of the platform's hosts.
func (in *WorkloadInput) toPlatform(rules []netRule) ([]netRule, error) {
	hosts, err := platformHosts(in.Cluster)
	if err != nil {
		return nil, err
	}
	var namespaces []string
	for _, host := range hosts {
		namespace, _, _ := strings.Cut(host, "/")
		namespaces = append(namespaces, namespace)
	}
	var to []peer
	for _, namespace := range sortedSet(namespaces) {
		to = append(to, peer{namespace: namespace})
	}
	if len(to) > 0 {
		rules = append(rules, netRule{peers: to})
	}
	return rules, nil
}
