package mesh

import (
	"encoding/json"
	"net/netip"
	"strconv"
)

// labelNamespace is the label with its own name that Kubernetes gives every namespace.
const labelNamespace = "kubernetes.io/metadata.name"

// netRule is one rule of a NetworkPolicy. Without peers it is about everyone, without ports about every port.
type netRule struct {
	peers    []peer
	tcp, udp []int32
}

// peer is one side of connections: addresses, or the pods that both selectors pick.
type peer struct {
	block netip.Prefix
	// except are prefixes inside the block that are not meant.
	except []netip.Prefix
	// namespace is empty for the policy's own.
	namespace string
	// pods is nil for all of the namespace.
	pods fields
}

// podsOf are an application's pods, or with an empty one all of the namespace.
func podsOf(namespace, application string) peer {
	if application == "" {
		return peer{namespace: namespace}
	}
	return peer{namespace: namespace, pods: selectorOf(application)}
}

// appendRules writes rules as canonical JSON, with peers in field "from" or "to". Much of what a cluster is sent are
// NetworkPolicies, of which rules are the most; so they are written directly.
func appendRules(b []byte, field string, rules []netRule) []byte {
	b = append(b, '[')
	for i, r := range rules {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '{')
		if field == "from" {
			b = r.appendPeers(b, field)
			b = r.appendPorts(b)
		} else {
			b = r.appendPorts(b)
			b = r.appendPeers(b, field)
		}
		b = append(b, '}')
	}
	return append(b, ']')
}

func (r netRule) appendPeers(b []byte, field string) []byte {
	if len(r.peers) == 0 {
		return b
	}
	return appendList(appendField(b, field), r.peers, appendPeer)
}

func (r netRule) appendPorts(b []byte) []byte {
	if len(r.tcp)+len(r.udp) == 0 {
		return b
	}
	b = append(appendField(b, "ports"), '[')
	for i, p := range r.tcp {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(strconv.AppendInt(append(b, `{"port":`...), int64(p), 10), `,"protocol":"TCP"}`...)
	}
	for i, p := range r.udp {
		if i+len(r.tcp) > 0 {
			b = append(b, ',')
		}
		b = append(strconv.AppendInt(append(b, `{"port":`...), int64(p), 10), `,"protocol":"UDP"}`...)
	}
	return append(b, ']')
}

func appendPeer(b []byte, p peer) []byte {
	b = append(b, '{')
	if p.block.IsValid() {
		b = append(p.block.AppendTo(append(b, `"ipBlock":{"cidr":"`...)), '"')
		if len(p.except) > 0 {
			b = appendList(appendField(b, "except"), p.except, appendPrefix)
		}
		b = append(b, '}')
	}
	if p.namespace != "" {
		b = append(append(appendField(b, "namespaceSelector"), `{"matchLabels":{"`+labelNamespace+`":`...), '"')
		b = append(append(b, p.namespace...), `"}}`...)
	}
	if p.pods != nil {
		b = append(appendField(b, "podSelector"), '{')
		if len(p.pods) > 0 {
			b = appendFields(appendField(b, "matchLabels"), p.pods)
		}
		b = append(b, '}')
	}
	return append(b, '}')
}

func appendPrefix(b []byte, p netip.Prefix) []byte {
	return append(p.AppendTo(append(b, '"')), '"')
}

// appendField begins a further field of an object.
func appendField(b []byte, name string) []byte {
	if b[len(b)-1] != '{' {
		b = append(b, ',')
	}
	return append(append(append(b, '"'), name...), `":`...)
}

// networkSpec is the spec of a NetworkPolicy for some pods of its namespace. Without egress it says nothing of what they send.
func networkSpec(pods fields, ingress []netRule, egress json.RawMessage) json.RawMessage {
	b := append(make([]byte, 0, len(egress)+2048), '{')
	if egress != nil {
		b = append(appendField(b, "egress"), egress...)
	}
	if len(ingress) > 0 {
		b = appendRules(appendField(b, "ingress"), "from", ingress)
	}
	b = append(appendFields(append(appendField(b, "podSelector"), `{"matchLabels":`...), pods), '}')
	if egress == nil {
		return append(appendField(b, "policyTypes"), `["Ingress"]}`...)
	}
	return append(appendField(b, "policyTypes"), `["Ingress","Egress"]}`...)
}
