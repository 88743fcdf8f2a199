package mesh

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
)

// annotationExportTo says which namespaces of the mesh see a Service.
const annotationExportTo = "networking.istio.io/exportTo"

// Locate is what a cluster's agent reports of the endpoints behind a Service.
type Locate string

// The values of the label object.LabelLocate; LocateNone is no label.
const (
	LocateNone      Locate = ""
	LocateCounts    Locate = "counts"
	LocateAddresses Locate = "addresses"
)

// face is what the Service of an application is made of. An application that runs in a cluster and one that is only
// called from there have the same Service, byte for byte, as far as their inputs agree.
type face struct {
	namespace, application string
	adopt                  bool
	ports                  []record.Port
	exportTo               string
	locate                 Locate
}

func serviceID(namespace, application string) object.ID {
	return idOf("", "v1", "Service", namespace, application)
}

// service writes numeric target ports alone: Istio drops remote endpoints of a Service whose target port is a name.
func (f face) service() (Object, error) {
	if err := checkExportTo(f.exportTo); err != nil {
		return Object{}, fmt.Errorf("exportTo: %w", err)
	}
	list := make([]any, len(f.ports))
	for i, p := range f.ports {
		port := fields{{"name", p.Name}, {"port", p.Port}, {"targetPort", p.TargetPort}, {"protocol", p.Protocol}}
		if p.AppProtocol != "" {
			port = append(port, field{"appProtocol", p.AppProtocol})
		}
		list[i] = port
	}
	d := draft{id: serviceID(f.namespace, f.application), application: f.application, adopt: f.adopt,
		annotations: map[string]string{annotationExportTo: f.exportTo},
		spec:        fields{{"selector", selectorOf(f.application)}, {"ports", list}}}
	switch f.locate {
	case LocateNone:
	case LocateCounts, LocateAddresses:
		d.labels = map[string]string{object.LabelLocate: string(f.locate)}
	default:
		return Object{}, fmt.Errorf("locate: %q is neither counts nor addresses", f.locate)
	}
	return d.seal(), nil
}

// selectorOf picks an application's pods. A Deployment's selector can never change, so it is one label.
func selectorOf(application string) fields {
	return fields{{object.LabelApplication, application}}
}

func labelsOf(labels map[string]string) fields {
	list := make(fields, 0, len(labels))
	for key, value := range labels {
		list = append(list, field{key, value})
	}
	return list
}

// portsOf checks a spec's ports and fills in their defaults.
func portsOf(ports []v1alpha1.Port) ([]record.Port, error) {
	list := make([]record.Port, len(ports))
	for i, p := range ports {
		p = defaultPort(p)
		list[i] = record.Port{Name: p.Name, Port: p.Port, TargetPort: p.TargetPort, Protocol: string(p.Protocol), AppProtocol: p.AppProtocol}
	}
	if field, problem := checkPorts(list); problem != "" {
		return nil, invalidSpec("spec."+field, "%s", problem)
	}
	return list, nil
}

// checkPorts returns the first field that is wrong, and why.
func checkPorts(ports []record.Port) (field, problem string) {
	for i, p := range ports {
		if part, problem := checkPort(ports[:i], p); problem != "" {
			return fmt.Sprintf("ports[%d]%s", i, part), problem
		}
	}
	return "", ""
}

func checkPort(earlier []record.Port, p record.Port) (field, problem string) {
	switch {
	case !isLabel(p.Name) || len(p.Name) > 15:
		return ".name", fmt.Sprintf("%q is not a DNS label of at most 15 characters", p.Name)
	case p.Protocol != string(corev1.ProtocolTCP) && p.Protocol != string(corev1.ProtocolUDP):
		return ".protocol", fmt.Sprintf("%q is neither TCP nor UDP", p.Protocol)
	case p.Port < 1 || p.Port > 65535:
		return ".port", fmt.Sprintf("%d is not between 1 and 65535", p.Port)
	case p.TargetPort < 1 || p.TargetPort > 65535:
		return ".targetPort", fmt.Sprintf("%d is not between 1 and 65535", p.TargetPort)
	}
	for _, q := range earlier {
		if q.Name == p.Name || q.Port == p.Port && q.Protocol == p.Protocol {
			return "", fmt.Sprintf("an earlier port has the name %s or the number %d/%s already", p.Name, p.Port, p.Protocol)
		}
	}
	return "", ""
}

// checkService checks a service record as portsOf does a spec: it was checked where it was accepted, but what is written
// of it goes to other clusters than those that would refuse the application.
func checkService(s record.Service) error {
	name := record.ServiceName(s.Namespace, s.Application)
	if !isLabel(s.Namespace) || !isName(s.Application) {
		return fmt.Errorf("service %q is not NAMESPACE/APPLICATION", name)
	}
	if s.ServiceAccount != "" && len(validation.IsDNS1123Subdomain(s.ServiceAccount)) > 0 {
		return fmt.Errorf("service %s: serviceAccount: %q cannot be the name of one", name, s.ServiceAccount)
	}
	if field, problem := checkPorts(s.Ports); problem != "" {
		return fmt.Errorf("service %s: %s: %s", name, field, problem)
	}
	return nil
}

// tcpPorts are those that the mesh carries.
func tcpPorts(ports []record.Port) []record.Port {
	out := make([]record.Port, 0, len(ports))
	for _, p := range ports {
		if p.Protocol == "TCP" {
			out = append(out, p)
		}
	}
	return out
}
