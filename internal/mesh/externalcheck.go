package mesh

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/meridian-federation/meridian/internal/record"
)

// The most that an ExternalService's schema takes.
const (
	maxExternalHosts     = 16
	maxExternalPorts     = 16
	maxExternalEndpoints = 64
	maxSubjectAltNames   = 16
)

// CheckExternal tells why the record of an ExternalService cannot be compiled; the error begins with the field, as it is named
// below the resource's spec. Its names are not looked at.
func CheckExternal(s record.Service) error { return (&external{}).read(s) }

// readExternal reads a service record as that of an ExternalService. All that the schema of the resource and Istio's schemas
// hold, and what these do not, is held again: what is written of it goes to many clusters.
func readExternal(s record.Service) (*external, error) {
	name, ok := record.CutExternal(s.Application)
	if !ok || !isLabel(s.Namespace) || !isName(name) {
		return nil, fmt.Errorf("service %s/%s is not named as an ExternalService's", s.Namespace, s.Application)
	}
	e := &external{namespace: s.Namespace, name: name}
	if err := e.read(s); err != nil {
		return nil, fmt.Errorf("%s: %w", e.title(), err)
	}
	return e, nil
}

func (e *external) read(s record.Service) error {
	if s.External == nil {
		return errors.New("the record does not say where it is")
	}
	if err := e.readHosts(s.External.Hosts); err != nil {
		return err
	}
	if s.External.Address != "" {
		var err error
		if e.address, err = checkAddress("address", s.External.Address); err != nil {
			return err
		}
	}
	if err := e.readPorts(s.Ports); err != nil {
		return err
	}
	if err := e.readEndpoints(s.External.Endpoints); err != nil {
		return err
	}
	e.tls = s.External.TLS
	return checkExternalTLS(e.tls)
}

func (e *external) readHosts(hosts []string) error {
	if len(hosts) == 0 || len(hosts) > maxExternalHosts {
		return fmt.Errorf("hosts: %d, and there must be one to %d", len(hosts), maxExternalHosts)
	}
	for i, host := range hosts {
		_, notIP := netip.ParseAddr(host)
		switch {
		case len(validation.IsDNS1123Subdomain(host)) > 0 || !strings.Contains(host, ".") || notIP == nil:
			return fmt.Errorf("hosts[%d]: %q is not a DNS name of two labels or more", i, host)
		case isNumber(host[strings.LastIndexByte(host, '.')+1:]):
			return fmt.Errorf("hosts[%d]: %q ends with a label that is a number; no top-level domain is one, and istiod takes no such host", i, host)
		case ofCluster(host):
			return fmt.Errorf("hosts[%d]: %q is a cluster's own; it must be outside the mesh", i, host)
		}
	}
	e.hosts = sortedSet(hosts)
	return nil
}

// ofCluster tells whether a host is a Service's by its ending: that of the cluster's domain, or of a set of clusters (KEP-1645),
// or what resolvers complete by the cluster's domain.
func ofCluster(host string) bool {
	return strings.HasSuffix(host, ".svc") || strings.HasSuffix(host, ".cluster.local") || strings.HasSuffix(host, ".clusterset.local")
}

// isNumber tells whether a label is all digits, which istiod takes for no top-level domain (ValidateFQDN in
// pkg/config/validation/agent/validation.go).
func isNumber(label string) bool { return strings.Trim(label, "0123456789") == "" }

func (e *external) readPorts(ports []record.Port) error {
	if len(ports) == 0 || len(ports) > maxExternalPorts {
		return fmt.Errorf("ports: %d, and there must be one to %d", len(ports), maxExternalPorts)
	}
	if field, problem := checkPorts(ports); problem != "" {
		return fmt.Errorf("%s: %s", field, problem)
	}
	e.all = ports
	for i, p := range ports {
		byHost, known := tellsHosts(p.AppProtocol)
		switch {
		case p.Protocol != "TCP":
			return fmt.Errorf("ports[%d].protocol: %q is not TCP, which alone the mesh carries", i, p.Protocol)
		case !known:
			return fmt.Errorf("ports[%d].appProtocol: %q is none that a ServiceEntry takes", i, p.AppProtocol)
		case !byHost && len(e.hosts) > 1:
			return fmt.Errorf("ports[%d].appProtocol: %q does not tell %d hosts apart; it must be HTTP or TLS", i, p.AppProtocol, len(e.hosts))
		case !byHost && !e.address.IsValid():
			e.waiting = append(e.waiting, "port "+p.Name)
		default:
			e.ports = append(e.ports, p)
		}
	}
	return nil
}

// tellsHosts tells whether what is sent first names the host that is meant: HTTP's Host, or TLS's server name. Where it does
// not, the mesh knows whom is called by the address alone. Known are the protocols of ExternalPort, all of which Istio has
// (pkg/config/protocol/instance.go).
func tellsHosts(appProtocol string) (byHost, known bool) {
	switch appProtocol {
	case "http", "http2", "grpc", "grpc-web", "https", "tls":
		return true, true
	case "", "tcp", "mongo", "mysql", "redis":
		return false, true
	default:
		return false, false
	}
}

func (e *external) readEndpoints(endpoints []record.ExternalEndpoint) error {
	if len(endpoints) > maxExternalEndpoints {
		return fmt.Errorf("endpoints: %d, more than %d", len(endpoints), maxExternalEndpoints)
	}
	for i, p := range endpoints {
		address, err := checkAddress(fmt.Sprintf("endpoints[%d].address", i), p.Address)
		if err != nil {
			return err
		}
		for _, part := range []struct{ field, value string }{{"region", p.Region}, {"zone", p.Zone}} {
			if len(validation.IsValidLabelValue(part.value)) > 0 {
				return fmt.Errorf("endpoints[%d].%s: %q cannot be the value of a node's label; use letters, digits, '-', '_' and '.'", i, part.field, part.value)
			}
		}
		at := endpoint{address: address}
		if p.Region != "" {
			at.locality = locality(record.Place{Region: p.Region, Zone: p.Zone})
		}
		e.endpoints = append(e.endpoints, at)
	}
	slices.SortFunc(e.endpoints, func(a, b endpoint) int {
		return cmp.Or(a.address.Compare(b.address), cmp.Compare(a.locality, b.locality))
	})
	e.endpoints = slices.CompactFunc(e.endpoints, func(a, b endpoint) bool { return a.address == b.address })
	return nil
}

func checkExternalTLS(t *record.ExternalTLS) error {
	switch {
	case t == nil:
		return nil
	case t.Mutual && t.CredentialName == "":
		return errors.New("tls.credentialName: mode Mutual needs the Secret with the certificate to show")
	case t.CredentialName != "" && len(validation.IsDNS1123Subdomain(t.CredentialName)) > 0:
		return fmt.Errorf("tls.credentialName: %q cannot be the name of a Secret", t.CredentialName)
	case t.SNI != "" && len(validation.IsDNS1123Subdomain(t.SNI)) > 0:
		return fmt.Errorf("tls.sni: %q is not a DNS name", t.SNI)
	case len(t.SubjectAltNames) > maxSubjectAltNames:
		return fmt.Errorf("tls.subjectAltNames: %d, more than %d", len(t.SubjectAltNames), maxSubjectAltNames)
	case slices.Contains(t.SubjectAltNames, ""):
		return errors.New("tls.subjectAltNames: one is empty, which would be no name at all")
	}
	return nil
}
