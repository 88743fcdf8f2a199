package mesh

import (
	"errors"
	"fmt"

	"github.com/meridian-federation/meridian/internal/record"
)

// gatewayName begins the names of the Gateways that Meridian keeps.
const gatewayName = "meridian-eastwest"

// GatewayPart names the part of an east-west gateway's hosts that an application, NAMESPACE/APPLICATION, belongs to. There
// are sixteen, with a Gateway each, so that one more host rewrites a sixteenth of what may be ten thousand. An application
// never moves: of two Gateways with a host in common istiod drops one, all its hosts with it (MergeGateways in
// pilot/pkg/model/gateway.go).
func GatewayPart(application string) string {
	return record.VersionOf([]byte(application)).String()[:1]
}

// GatewayInput is all that one part of a cluster's east-west gateway is made of.
type GatewayInput struct {
	// Cluster is the one whose istiod configures the gateway.
	Cluster record.Cluster
	Part    string
	// Exported are the applications of the part that are called from other networks, NAMESPACE/APPLICATION, in any order.
	Exported []string
}

// Gateway compiles one part of the east-west gateway: it hands connections on to exactly the exported hosts, without ending
// their TLS, so that the pods' own proxies authorize. There is none where nothing is exported, or the cluster has no
// gateway.
func Gateway(in GatewayInput) ([]Object, error) {
	if !hasGateway(in.Cluster) || len(in.Exported) == 0 {
		return nil, nil
	}
	o, err := in.compile()
	if err != nil {
		return nil, fmt.Errorf("compiling the gateway of cluster %s: %w", in.Cluster.Name, err)
	}
	return []Object{o}, nil
}

func (in *GatewayInput) compile() (Object, error) {
	gateway := in.Cluster.Mesh.Gateway
	if !isLabel(gateway.Namespace) {
		return Object{}, fmt.Errorf("mesh.gateway.namespace: %q is not a DNS label", gateway.Namespace)
	}
	if len(gateway.Selector) == 0 {
		return Object{}, errors.New("mesh.gateway.selector: it is empty, which would be every proxy")
	}
	hosts := make([]string, len(in.Exported))
	for i, name := range in.Exported {
		namespace, application, err := cutName(name)
		if err != nil {
			return Object{}, fmt.Errorf("exported application %w", err)
		}
		if part := GatewayPart(name); part != in.Part {
			return Object{}, fmt.Errorf("exported application %s belongs to part %s, not %q", name, part, in.Part)
		}
		hosts[i] = hostOf(namespace, application)
	}
	return draft{id: idOf(groupNetworking, "v1", "Gateway", gateway.Namespace, gatewayName+"-"+in.Part), spec: fields{
		{"selector", gateway.Selector},
		{"servers", []any{fields{
			{"hosts", sortedSet(hosts)},
			{"port", fields{{"name", "tls-" + in.Part}, {"number", portGateway}, {"protocol", "TLS"}}},
			{"tls", fields{{"mode", "AUTO_PASSTHROUGH"}}},
		}}},
	}}.seal(), nil
}
