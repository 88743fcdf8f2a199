package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Group and Version name the API as it appears in manifests and URLs.
const (
	Group   = "meridian.dev"
	Version = "v1alpha1"
)

// GroupVersion is the group and version of every type in this package.
var GroupVersion = schema.GroupVersion{Group: Group, Version: Version}

// Resource is what a dynamic client needs to know about one kind.
type Resource struct {
	Kind       string
	Plural     string
	Namespaced bool
}

// GroupVersionResource returns the resource's full name.
func (r Resource) GroupVersionResource() schema.GroupVersionResource {
	return GroupVersion.WithResource(r.Plural)
}

// GroupVersionKind returns the kind's full name.
func (r Resource) GroupVersionKind() schema.GroupVersionKind {
	return GroupVersion.WithKind(r.Kind)
}

// Resources lists every kind of this package in the order in which a set of
// them is best created: what others name comes first.
func Resources() []Resource {
	return []Resource{
		{Kind: "Environment", Plural: "environments"},
		{Kind: "Network", Plural: "networks"},
		{Kind: "Region", Plural: "regions"},
		{Kind: "Zone", Plural: "zones"},
		{Kind: "IPPool", Plural: "ippools"},
		{Kind: "Cluster", Plural: "clusters"},
		{Kind: "TenantQuota", Plural: "tenantquotas"},
		{Kind: "AccessPolicy", Plural: "accesspolicies", Namespaced: true},
		{Kind: "IPClaim", Plural: "ipclaims", Namespaced: true},
		{Kind: "ExternalService", Plural: "externalservices", Namespaced: true},
		{Kind: "Application", Plural: "applications", Namespaced: true},
	}
}

// AddToScheme registers every type of this package with s.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion,
		&AccessPolicy{}, &AccessPolicyList{},
		&Application{}, &ApplicationList{},
		&Cluster{}, &ClusterList{},
		&Environment{}, &EnvironmentList{},
		&ExternalService{}, &ExternalServiceList{},
		&IPClaim{}, &IPClaimList{},
		&IPPool{}, &IPPoolList{},
		&Network{}, &NetworkList{},
		&Region{}, &RegionList{},
		&TenantQuota{}, &TenantQuotaList{},
		&Zone{}, &ZoneList{},
	)
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
