package mesh

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/meridian-federation/meridian/api/v1alpha1"
)

// annotationExportTo says which namespaces of the mesh see a Service.
const annotationExportTo = "networking.istio.io/exportTo"

// exportToOwn shows a Service to its own namespace alone.
const exportToOwn = "."

// service writes numeric target ports alone: Istio drops remote endpoints of a Service whose target port is a name.
func (s *Spec) service(ports []v1alpha1.Port) (Object, error) {
	list := make([]any, len(ports))
	names, numbers := map[string]bool{}, map[string]bool{}
	for i, p := range ports {
		p = defaultPort(p)
		field := fmt.Sprintf("spec.ports[%d]", i)
		if len(validation.IsDNS1123Label(p.Name)) > 0 || len(p.Name) > 15 {
			return Object{}, invalidSpec(field+".name", "%q is not a DNS label of at most 15 characters", p.Name)
		}
		if p.Protocol != corev1.ProtocolTCP && p.Protocol != corev1.ProtocolUDP {
			return Object{}, invalidSpec(field+".protocol", "%q is neither TCP nor UDP", p.Protocol)
		}
		if len(validation.IsValidPortNum(int(p.Port))) > 0 {
			return Object{}, invalidSpec(field+".port", "%d is not between 1 and 65535", p.Port)
		}
		if len(validation.IsValidPortNum(int(p.TargetPort))) > 0 {
			return Object{}, invalidSpec(field+".targetPort", "%d is not between 1 and 65535", p.TargetPort)
		}
		number := fmt.Sprintf("%d/%s", p.Port, p.Protocol)
		if names[p.Name] || numbers[number] {
			return Object{}, invalidSpec(field, "an earlier port has the name %s or the number %s already", p.Name, number)
		}
		names[p.Name], numbers[number] = true, true
		port := map[string]any{"name": p.Name, "port": p.Port, "targetPort": p.TargetPort, "protocol": string(p.Protocol)}
		if p.AppProtocol != "" {
			port["appProtocol"] = p.AppProtocol
		}
		list[i] = port
	}
	d := s.draft(idOf("", "v1", "Service", s.namespace, s.application),
		map[string]any{"spec": map[string]any{"selector": s.selector(), "ports": list}})
	d.annotations = map[string]string{annotationExportTo: exportToOwn}
	return d.seal(), nil
}
