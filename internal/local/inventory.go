package local

import (
	"fmt"
	"strings"
)

// environment is the only one of a local run.
const environment = "prod"

// inventory writes the resources that describe the topology. Clusters of one region share a network.
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
	for _, r := range t.Regions {
		object("Network", r.Name, "", "")
		object("Region", r.Name, "", "")
		for _, z := range r.Zones {
			object("Zone", z.Name, "region: "+r.Name, "region: "+r.Name)
			for _, c := range z.Clusters {
				object("Cluster", c.Name, "region: "+r.Name+", zone: "+z.Name,
					fmt.Sprintf("zone: %s, environments: [%s], network: %s", z.Name, environment, r.Name))
			}
		}
	}
	return []byte(b.String())
}
