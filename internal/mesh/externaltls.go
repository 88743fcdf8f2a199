package mesh

import (
	"cmp"
	"slices"

	"github.com/meridian-federation/meridian/internal/record"
)

// Istio honours the credentialName of a DestinationRule at sidecars only where it has a workloadSelector, which picks pods of
// the rule's own namespace alone (networking/v1alpha3/destination_rule.proto in istio/api). So each caller has a rule of its
// own for that, in its namespace, where proxies look first. The ExternalService's namespace has one all the same, which trusts
// the system's authorities and shows nothing: a sidecar that sees the hosts and has no rule of its own, because it is new or nobody's
// application, must not be let to send in the clear what others encrypt, as istiod has it do that meets a credentialName
// without a workloadSelector (pilot/pkg/networking/core/cluster_tls.go). This is no
// lock: it wants the Sidecar of the mesh's root namespace (spec.mesh.defaultSidecar), without which pods that Meridian does not
// manage see what a caller's namespace sees; it is not for the proxies of gateways, which have no Sidecar, nor for those that let
// through what they do not know (ALLOW_ANY).
//
// Where both are in one namespace, istiod may take them for one rule if they are exported alike, and go by the older
// (pilot/pkg/model/destination_rule.go). So a caller's says the namespace's name, which is the same as "." and is never what
// the other says.

// destinationRules are about one host each; there are none where proxies have nothing to do.
func (e *external) destinationRules(exportTo []string) []Object {
	var out []Object
	for _, host := range e.hosts {
		if policy := e.trafficPolicy(host, false); len(policy) > 0 {
			out = append(out, e.draft("DestinationRule", e.application()+"-"+hashOf(host), fields{
				{"host", host}, {"exportTo", exportTo}, {"trafficPolicy", policy}}).seal())
		}
	}
	sortObjects(out)
	return out
}

// credentialRules have the application's proxies use the Secret of its own namespace where they call what asks for one. Their
// names have a dot, which no application's has, and begin with the caller's: nobody else's object is named so.
func (s *Spec) credentialRules(called []*external) []Object {
	var out []Object
	for _, e := range called {
		if e.tls == nil || e.tls.CredentialName == "" || !slices.ContainsFunc(e.ports, beginsTLS) {
			continue
		}
		for _, host := range e.hosts {
			name := s.application + ".calls-" + hashOf(record.ServiceName(e.namespace, e.name)+"/"+host)
			out = append(out, s.draft(idOf(groupNetworking, "v1", "DestinationRule", s.namespace, name), fields{
				{"host", host},
				{"exportTo", []string{s.namespace}},
				{"workloadSelector", fields{{"matchLabels", selectorOf(s.application)}}},
				{"trafficPolicy", e.trafficPolicy(host, true)},
			}).seal())
		}
	}
	sortObjects(out)
	return out
}

// beginsTLS tells whether proxies may begin TLS at a port: callers have not done so themselves.
func beginsTLS(p record.Port) bool { return p.AppProtocol != "https" && p.AppProtocol != "tls" }

// trafficPolicy is empty where there is nothing to say. What is said of a port replaces what is said of the host, so it has
// all of that too.
func (e *external) trafficPolicy(host string, credential bool) fields {
	var policy fields
	if slices.ContainsFunc(e.endpoints, func(at endpoint) bool { return at.locality != "" }) {
		policy = nearestFirst()
	}
	if e.tls == nil {
		return policy
	}
	var ports []any
	for _, p := range e.ports {
		if beginsTLS(p) {
			ports = append(ports, slices.Concat(policy, fields{{"port", fields{{"number", p.Port}}}, {"tls", e.clientTLS(host, credential)}}))
		}
	}
	if len(ports) == 0 {
		return policy
	}
	return append(policy, field{"portLevelSettings", ports})
}

// clientTLS has the host itself asked for and checked where nothing else is said. Left to istiod, both would follow what an HTTP
// request says; other protocols say nothing, and beside an SNI of ours it would have no name checked at all
// (setAutoSniAndAutoSanValidation in pilot/pkg/networking/core/cluster_tls.go).
func (e *external) clientTLS(host string, credential bool) fields {
	names := sortedSet(e.tls.SubjectAltNames)
	if len(names) == 0 {
		names = []string{host}
	}
	out := fields{{"sni", cmp.Or(e.tls.SNI, host)}, {"subjectAltNames", names}}
	if !credential {
		return append(out, field{"mode", "SIMPLE"})
	}
	mode := "SIMPLE"
	if e.tls.Mutual {
		mode = "MUTUAL"
	}
	return append(out, field{"mode", mode}, field{"credentialName", e.tls.CredentialName})
}
