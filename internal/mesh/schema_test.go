package mesh_test

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	networking "istio.io/client-go/pkg/apis/networking/v1"
	security "istio.io/client-go/pkg/apis/security/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/meridian-federation/meridian/internal/mesh"
)

// TestWhatSchemasDoNotCatch reads every golden object with the types of those who use it, which refuse unknown fields, and
// holds it to the rules that Istio's CRDs leave out.
func TestWhatSchemasDoNotCatch(t *testing.T) {
	seen := map[string]bool{}
	for _, g := range goldens(t) {
		for _, o := range g.compile(t) {
			seen[o.ID.Kind] = true
			for _, wrong := range violations(t, o) {
				t.Errorf("%s: %s: %s", g.name(), o.ID.Short(), wrong)
			}
		}
	}
	for _, kind := range []string{"Service", "Sidecar", "DestinationRule", "WorkloadEntry", "ServiceEntry", "Gateway",
		"AuthorizationPolicy", "PeerAuthentication", "NetworkPolicy"} {
		if !seen[kind] {
			t.Errorf("no golden file has a %s", kind)
		}
	}
}

func strictly[T any](t *testing.T, o mesh.Object) *T {
	t.Helper()
	out := new(T)
	dec := json.NewDecoder(bytes.NewReader(o.Record.Content))
	dec.DisallowUnknownFields()
	if err := dec.Decode(out); err != nil {
		t.Fatalf("%s: %v", o.ID, err)
	}
	return out
}

func violations(t *testing.T, o mesh.Object) []string {
	var wrong []string
	hold := func(ok bool, what string) {
		if !ok {
			wrong = append(wrong, what)
		}
	}
	fqdn := func(host string) bool {
		return strings.HasSuffix(host, ".svc.cluster.local") && len(validation.IsDNS1123Subdomain(host)) == 0
	}
	address := func(s string) bool {
		_, err := netip.ParseAddr(s)
		return err == nil
	}
	switch o.ID.Kind {
	case "Service":
		if visible := annotation(t, o, "networking.istio.io/exportTo"); visible != "" {
			hold(goodExportTo(strings.Split(visible, ",")), "exportTo "+visible)
		}
	case "Sidecar":
		spec := &strictly[networking.Sidecar](t, o).Spec
		hold(len(spec.Egress) == 1 && len(spec.Egress[0].Hosts) > 0, "no egress hosts")
		for _, host := range spec.Egress[0].Hosts {
			namespace, name, _ := strings.Cut(host, "/")
			exact := len(validation.IsDNS1123Label(namespace)) == 0 && len(validation.IsDNS1123Subdomain(name)) == 0
			hold(exact || host == "~/*" || host == "./*" && spec.WorkloadSelector == nil, "host "+host)
		}
	case "DestinationRule":
		spec := &strictly[networking.DestinationRule](t, o).Spec
		if !fqdn(spec.Host) {
			return externalRule(spec, o.ID.Name)
		}
		hold(fqdn(spec.Host), "host "+spec.Host)
		hold(goodExportTo(spec.ExportTo), "exportTo")
		locality := spec.TrafficPolicy.LoadBalancer.LocalityLbSetting
		hold(locality.Enabled.Value && spec.TrafficPolicy.OutlierDetection != nil, "failover without outlier detection")
		hold(len(locality.Distribute) == 0 || len(locality.Failover) == 0, "distribute beside failover")
	case "WorkloadEntry":
		spec := &strictly[networking.WorkloadEntry](t, o).Spec
		hold(address(spec.Address), "address "+spec.Address)
		hold(spec.Weight > 0 && spec.Network != "" && spec.ServiceAccount != "" && spec.Locality != "", "an empty field")
		hold(spec.Labels["security.istio.io/tlsMode"] == "istio" && spec.Labels["meridian.dev/application"] != "", "labels")
	case "ServiceEntry":
		spec := &strictly[networking.ServiceEntry](t, o).Spec
		if spec.Location == 0 {
			return externalEntry(spec, o.ID.Name)
		}
		hold(len(spec.Hosts) == 1 && fqdn(spec.Hosts[0]), "hosts")
		hold(goodExportTo(spec.ExportTo), "exportTo")
		hold(spec.Resolution == 1 && len(spec.Endpoints) > 0 && len(spec.Endpoints) <= 100, "endpoints")
		for _, e := range spec.Endpoints {
			hold(address(e.Address), "address "+e.Address)
			hold(e.Network != "" && e.ServiceAccount != "" && e.Locality != "" && e.Labels["security.istio.io/tlsMode"] == "istio", "an empty field")
		}
		for _, p := range spec.Ports {
			hold(p.TargetPort > 0 && p.Number > 0 && p.Name != "", "a port")
		}
	case "Gateway":
		spec := &strictly[networking.Gateway](t, o).Spec
		hold(len(spec.Selector) > 0 && !slices.ContainsFunc(spec.Servers[0].Hosts, func(h string) bool { return !fqdn(h) }), "hosts")
	case "AuthorizationPolicy":
		spec := &strictly[security.AuthorizationPolicy](t, o).Spec
		hold(len(spec.Selector.MatchLabels) == 1 && spec.Action == 0, "not one application's")
		for _, rule := range spec.Rules {
			hold(len(rule.From) > 0, "a rule for everyone")
			for _, from := range rule.From {
				names := from.Source.Principals
				hold(len(names) > 0 && !slices.ContainsFunc(names, func(s string) bool { return !principal.MatchString(s) }), "a source for many")
				hold(len(from.Source.Namespaces) == 0, "a namespace of any trust domain")
			}
			for _, to := range rule.To {
				hold(len(to.Operation.Ports) > 0, "every port")
			}
		}
	case "PeerAuthentication":
		spec := &strictly[security.PeerAuthentication](t, o).Spec
		hold(spec.Selector == nil && spec.Mtls.Mode.String() == "STRICT", "not strict")
	case "NetworkPolicy":
		spec := strictly[networkingv1.NetworkPolicy](t, o).Spec
		if strings.HasSuffix(o.ID.Name, ".proxied") {
			hold(len(spec.PolicyTypes) == 1 && len(spec.Egress) == 0 && spec.PodSelector.MatchLabels["sidecar.istio.io/inject"] == "true" &&
				len(spec.PodSelector.MatchLabels) == 2, "not one way of an application's pods with a proxy")
			break
		}
		hold(len(spec.PolicyTypes) == 2 && len(spec.PodSelector.MatchLabels) == 1, "not both ways of one application")
		for _, rule := range spec.Ingress {
			hold(len(rule.From)+len(rule.Ports) > 0, "a rule for everyone")
		}
		for _, rule := range spec.Egress {
			hold(len(rule.To)+len(rule.Ports) > 0, "a rule to everywhere")
		}
	}
	return wrong
}

// principal is an application's identity, or all of a namespace. Istio puts its own trust domain in place of cluster.local
// only where there are all five parts.
var principal = regexp.MustCompile(`^[^/*]+/ns/[^/*]+/sa/([^/*]+|\*)$`)

// goodExportTo: ".", "*" and "~" are alone or, the first, among namespaces; nothing is there twice.
func goodExportTo(list []string) bool {
	if len(list) == 0 || !slices.IsSorted(list) || len(slices.Compact(slices.Clone(list))) != len(list) {
		return false
	}
	return !slices.ContainsFunc(list, func(s string) bool {
		return s != "." && (s != "*" || len(list) > 1) && len(validation.IsDNS1123Label(s)) > 0
	})
}
