package global

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/meridian-federation/meridian/api/v1alpha1"
)

// hub is the resources as the hub's API server has them, kept current by watches.
type hub struct {
	applications *kind[*v1alpha1.Application]
	environments *kind[*v1alpha1.Environment]
	networks     *kind[*v1alpha1.Network]
	regions      *kind[*v1alpha1.Region]
	zones        *kind[*v1alpha1.Zone]
	clusters     *kind[*v1alpha1.Cluster]
	namespaces   *kind[*corev1.Namespace]
	policies     *kind[*v1alpha1.AccessPolicy]
	quotas       *kind[*v1alpha1.TenantQuota]
	pools        *kind[*v1alpha1.IPPool]
	ipclaims     *kind[*v1alpha1.IPClaim]
	externals    *kind[*v1alpha1.ExternalService]
}

// newHub prepares the watches; what they see goes to the queue.
func newHub(c *client, q *queue, who *hubIdentity) *hub {
	return &hub{
		applications: resource(c, "applications", fresh[v1alpha1.Application], fresh[v1alpha1.ApplicationList], who, q.applicationEvents()),
		environments: resource(c, "environments", fresh[v1alpha1.Environment], fresh[v1alpha1.EnvironmentList], who, q.inventoryEvents()),
		networks:     resource(c, "networks", fresh[v1alpha1.Network], fresh[v1alpha1.NetworkList], who, q.inventoryEvents()),
		regions:      resource(c, "regions", fresh[v1alpha1.Region], fresh[v1alpha1.RegionList], who, q.inventoryEvents()),
		zones:        resource(c, "zones", fresh[v1alpha1.Zone], fresh[v1alpha1.ZoneList], who, q.inventoryEvents()),
		clusters:     resource(c, "clusters", fresh[v1alpha1.Cluster], fresh[v1alpha1.ClusterList], who, q.clusterEvents()),
		namespaces:   namespaces(c, who, q.namespaceEvents()),
		policies:     resource(c, "accesspolicies", fresh[v1alpha1.AccessPolicy], fresh[v1alpha1.AccessPolicyList], who, q.policyEvents()),
		quotas:       resource(c, "tenantquotas", fresh[v1alpha1.TenantQuota], fresh[v1alpha1.TenantQuotaList], who, q.quotaEvents()),
		pools:        resource(c, "ippools", fresh[v1alpha1.IPPool], fresh[v1alpha1.IPPoolList], who, q.poolEvents()),
		ipclaims:     resource(c, "ipclaims", fresh[v1alpha1.IPClaim], fresh[v1alpha1.IPClaimList], who, q.ipClaimEvents()),
		externals:    resource(c, "externalservices", fresh[v1alpha1.ExternalService], fresh[v1alpha1.ExternalServiceList], who, q.externalEvents()),
	}
}

func fresh[T any]() *T { return new(T) }

// controllers are the watches to run.
func (h *hub) controllers() []cache.Controller {
	return []cache.Controller{h.environments.controller, h.networks.controller, h.regions.controller,
		h.zones.controller, h.clusters.controller, h.namespaces.controller, h.policies.controller, h.quotas.controller,
		h.pools.controller, h.ipclaims.controller, h.externals.controller, h.applications.controller}
}

// run keeps the watches going until ctx ends.
func (h *hub) run(ctx context.Context) error {
	var g errgroup.Group
	for _, c := range h.controllers() {
		g.Go(func() error {
			c.RunWithContext(ctx)
			return nil
		})
	}
	return g.Wait()
}

// wait returns when everything has been listed once.
func (h *hub) wait(ctx context.Context) error {
	var synced []cache.InformerSynced
	for _, c := range h.controllers() {
		synced = append(synced, c.HasSynced)
	}
	if !cache.WaitForCacheSync(ctx.Done(), synced...) {
		return fmt.Errorf("listing the hub's resources: %w", ctx.Err())
	}
	return nil
}

// resources are those that make up the inventory.
func (h *hub) resources() resources {
	return resources{environments: h.environments.all(), networks: h.networks.all(), regions: h.regions.all(),
		zones: h.zones.all(), clusters: h.clusters.all()}
}
