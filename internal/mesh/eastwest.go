package mesh

import (
	"fmt"

	"github.com/meridian-federation/meridian/internal/record"
)

// gatewayName is that of the Gateway object that Meridian keeps.
const gatewayName = "meridian-eastwest"

// GatewayInput is all that a cluster's east-west Gateway is made of.
type GatewayInput struct {
	// Cluster is the one whose istiod configures the gateway.
	Cluster record.Cluster
	// Exported are the applications that are called from other networks, NAMESPACE/APPLICATION, in any order.
	Exported []string
}

// Gateway compiles the east-west Gateway: it hands connections on to exactly the exported hosts, without ending their TLS,
// so that the pods' own proxies authorize. There is none where nothing is exported, or the cluster has no gateway.
func Gateway(in GatewayInput) ([]Object, error) {
	gateway := in.Cluster.Mesh.Gateway
	if !hasGateway(in.Cluster) || len(in.Exported) == 0 {
		return nil, nil
	}
	if !isLabel(gateway.Namespace) {
		return nil, fmt.Errorf("compiling the gateway of cluster %s: mesh.gateway.namespace: %q is not a DNS label",
			in.Cluster.Name, gateway.Namespace)
	}
	if len(gateway.Selector) == 0 {
		return nil, fmt.Errorf("compiling the gateway of cluster %s: mesh.gateway.selector: it is empty, which would be every proxy",
			in.Cluster.Name)
	}
	hosts := make([]string, len(in.Exported))
	for i, name := range in.Exported {
		namespace, application, err := cutName(name)
		if err != nil {
			return nil, fmt.Errorf("compiling the gateway of cluster %s: exported application %w", in.Cluster.Name, err)
		}
		hosts[i] = hostOf(namespace, application)
	}
	return []Object{draft{id: idOf(groupNetworking, "v1", "Gateway", gateway.Namespace, gatewayName), body: map[string]any{
		"spec": map[string]any{"selector": gateway.Selector, "servers": []any{map[string]any{
			"hosts": sortedSet(hosts),
			"port":  map[string]any{"name": "tls", "number": portGateway, "protocol": "TLS"},
			"tls":   map[string]any{"mode": "AUTO_PASSTHROUGH"},
		}}},
	}}.seal()}, nil
}
