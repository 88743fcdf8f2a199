package local

import (
	"fmt"
	"net/netip"
	"strings"
)

// environment is the only one of a local run.
const environment = "prod"

// podRange holds the addresses that simulated nodes give to their pods.
const podRange = "10.0.0.0/8"

// podPool is the addresses that each network has to give to clusters for their pods: 8 zones' of 16 clusters. Networks meet
// at gateways, so they may all have the same.
const podPool = "ranges: [{cidr: 10.64.0.0/12}], delegation: {regionLength: 13, zoneLength: 16}, claimLength: 20"

// inventory writes the resources that describe the topology. Clusters of one region share a network, and meet those of
// other regions at gateways, where nothing runs. The ranges that IPAM gives to clusters are for show: their simulated nodes
// give addresses of their own.
func (t Topology) inventory() []byte {
	var b strings.Builder
	object := func(kind, name, labels, spec string) {
		fmt.Fprintf(&b, "apiVersion: meridian.dev/v1alpha1\nkind: %s\nmetadata:\n  name: %s\n", kind, name)
		if labels != "" {
			fmt.Fprintf(&b, "  labels: {%s}\n", labels)
		}
		fmt.Fprintf(&b, "spec: {%s}\n---\n", spec)
	}
	object("Environment", environment, "", "")
	gateways := 0
	for _, r := range t.Regions {
		object("Network", r.Name, "", fmt.Sprintf("podRanges: [%s]", podRange))
		object("IPPool", "pods-"+r.Name, "", fmt.Sprintf("family: IPv4, purpose: Pod, network: %s, %s", r.Name, podPool))
		object("Region", r.Name, "", "")
		for _, z := range r.Zones {
			object("Zone", z.Name, "region: "+r.Name, "region: "+r.Name)
			for _, c := range z.Clusters {
				gateways++
				object("Cluster", c.Name, "region: "+r.Name+", zone: "+z.Name,
					fmt.Sprintf("zone: %s, environments: [%s], network: %s, addresses: {podRange: {}, ingress: {}}, mesh: {gateway: {addresses: [%s]}}", z.Name,
						environment, r.Name, gatewayAddress(gateways)))
			}
		}
	}
	return []byte(b.String())
}

// gatewayAddress is the nth address of 198.18.0.0/15, which is set aside for tests of networks.
func gatewayAddress(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{198, 18, byte(n >> 8), byte(n)})
}
