package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ExternalService is something outside the mesh that Applications call: a
// database, a Redis over TLS, a machine of its own. Applications name it in
// dependsOn, by its kind; the proxies of those alone know it. Inside one
// namespace every Application may depend on it; of others those that consumers
// lists, in the same environment.
//
// The mesh tells apart by their host names only what is HTTP or TLS. A port of
// another protocol needs an address, which the ExternalService is given from an
// IPPool, the same for all clusters: that is what its host resolves to for
// callers with a proxy that answers DNS (ISTIO_META_DNS_CAPTURE).
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=mext,categories=meridian
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].status`
// +kubebuilder:printcolumn:name="Hosts",type=string,JSONPath=`.spec.hosts`
// +kubebuilder:printcolumn:name="Address",type=string,JSONPath=`.status.address`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Accepted")].message`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$')",message="metadata.name must be a DNS-1035 label of at most 40 characters"
type ExternalService struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says where it is and who may call it.
	// +required
	Spec ExternalServiceSpec `json:"spec"`

	// status is what Global made of it.
	// +optional
	Status ExternalServiceStatus `json:"status,omitempty,omitzero"`
}

// ExternalServiceSpec says where something outside the mesh is, and who may call
// it.
//
// +kubebuilder:validation:XValidation:rule="size(self.hosts) == 1 || self.ports.all(p, has(p.appProtocol) && p.appProtocol in ['http', 'http2', 'grpc', 'grpc-web', 'https', 'tls'])",message="with several spec.hosts each port needs an appProtocol by which the mesh can tell the hosts apart: http, http2, grpc, grpc-web, https or tls"
// +kubebuilder:validation:XValidation:rule="!has(self.tls) || self.ports.exists(p, !has(p.appProtocol) || !(p.appProtocol in ['https', 'tls']))",message="spec.tls has proxies begin TLS, and every port is TLS of the callers' own already; give the plain port at which they call, with the server's as targetPort"
// +kubebuilder:validation:XValidation:rule="self.ports.all(p, has(p.appProtocol) && p.appProtocol in ['http', 'http2', 'grpc', 'grpc-web', 'https', 'tls']) || !self.ports.exists(p, has(p.appProtocol) && p.appProtocol in ['https', 'tls'])",message="spec.ports: a port that is https or tls beside one that needs an address is called at that address too, which callers do not find without DNS capture; use two ExternalServices with hosts of their own"
type ExternalServiceSpec struct {
	// hosts are the DNS names by which it is called. Where no endpoints are
	// given, they are also where it is. One to 16. None is a name by which a
	// cluster finds a Service, such as NAME.NAMESPACE.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=253
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)+$`
	// +kubebuilder:validation:XValidation:rule="self.all(h, !isIP(h))",message="spec.hosts are DNS names; addresses go to spec.endpoints"
	// +kubebuilder:validation:XValidation:rule="self.all(h, !h.matches('[.][0-9]+$') || isIP(h))",message="the last label of spec.hosts is not a number"
	// +kubebuilder:validation:XValidation:rule="self.all(h, !h.endsWith('.cluster.local') && !h.endsWith('.clusterset.local') && !h.endsWith('.svc'))",message="spec.hosts are outside the mesh; what is a cluster's own ends with .cluster.local, .clusterset.local or .svc"
	Hosts []string `json:"hosts"`

	// ports at which it is called. One to 16.
	// +required
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule="self.all(a, self.exists_one(b, a.port == b.port))",message="two ports have the same number"
	Ports []ExternalPort `json:"ports"`

	// endpoints are where it is. Default: what DNS says of hosts. At most 64.
	// +optional
	// +listType=map
	// +listMapKey=address
	// +kubebuilder:validation:MaxItems=64
	Endpoints []ExternalEndpoint `json:"endpoints,omitempty"`

	// tls has the callers' proxies begin TLS on ports that are not https or tls.
	// +optional
	TLS *ExternalTLS `json:"tls,omitempty"`

	// address says from which IPPool the address is taken that a port needs whose
	// protocol is neither HTTP nor TLS. Default: any pool of purpose Service that
	// is for all clusters.
	// +optional
	Address *AddressRequest `json:"address,omitempty"`

	// consumers lists who of other namespaces may depend on it. At most 64.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Consumers []CallerSelector `json:"consumers,omitempty"`
}

// ExternalPort is one port at which an ExternalService is called.
type ExternalPort struct {
	// name of the port.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=15
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name"`

	// port is the number at which callers call it.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port"`

	// targetPort is the number at which it listens. Default: port.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	TargetPort int32 `json:"targetPort,omitempty"`

	// appProtocol is what callers speak. Default tcp.
	// +optional
	// +kubebuilder:validation:Enum=http;http2;grpc;grpc-web;https;tls;tcp;mongo;mysql;redis
	AppProtocol string `json:"appProtocol,omitempty"`
}

// ExternalEndpoint is one place where an ExternalService is.
type ExternalEndpoint struct {
	// address of the machine.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=45
	// +kubebuilder:validation:XValidation:rule="isIP(self)",message="an endpoint's address is an IP address; DNS names go to spec.hosts"
	Address string `json:"address"`

	// region where it is; callers of the same prefer it. Default: anywhere.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Region string `json:"region,omitempty"`

	// zone of the region.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Zone string `json:"zone,omitempty"`
}

// ExternalTLSMode says how proxies begin TLS.
// +kubebuilder:validation:Enum=Simple;Mutual
type ExternalTLSMode string

const (
	// ExternalTLSSimple: the server alone shows a certificate.
	ExternalTLSSimple ExternalTLSMode = "Simple"
	// ExternalTLSMutual: the proxy shows one, too.
	ExternalTLSMutual ExternalTLSMode = "Mutual"
)

// ExternalTLS says how proxies begin TLS.
//
// +kubebuilder:validation:XValidation:rule="self.mode != 'Mutual' || has(self.credentialName)",message="tls.mode Mutual needs tls.credentialName, the Secret with the certificate to show"
type ExternalTLS struct {
	// mode is Simple or Mutual. Default Simple.
	// +optional
	// +kubebuilder:default=Simple
	Mode ExternalTLSMode `json:"mode,omitempty"`

	// credentialName is the Secret, in each caller's namespace, with the
	// certificate to show (tls.crt, tls.key) and the authority to believe
	// (ca.crt). Default, for Simple: the authorities of the proxy's system.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	CredentialName string `json:"credentialName,omitempty"`

	// sni is the name that is asked for. Default: the host that is called.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	SNI string `json:"sni,omitempty"`

	// subjectAltNames are names of which the server's certificate must have one.
	// Default: the host that is called. At most 16.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=253
	SubjectAltNames []string `json:"subjectAltNames,omitempty"`
}

// ExternalServiceStatus is what Global made of an ExternalService.
type ExternalServiceStatus struct {
	// observedGeneration is the metadata.generation that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// conditions are Accepted, and for one that needs an address Allocated.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// address that it was given.
	// +optional
	Address string `json:"address,omitempty"`
}

// ExternalServiceList is a list of ExternalServices.
//
// +kubebuilder:object:root=true
type ExternalServiceList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []ExternalService `json:"items"`
}
